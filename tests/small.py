"""What the tests share: the smallest useful settings, and processes of their own."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from coopnets.cli import main
from coopnets.config import (
    Config,
    DescriptorConfig,
    GeneratorConfig,
    LangevinConfig,
    OptimizerConfig,
)

CONFIG = Config(
    preset="digits",
    size=8,
    image_channels=1,
    descriptor=DescriptorConfig(channels=(8, 8), kernels=(4, 4), strides=(2, 2)),
    generator=GeneratorConfig(latent=6, channels=(8, 8), kernels=(4, 4)),
    langevin=LangevinConfig(steps=4, delta=0.002),
    descriptor_optimizer=OptimizerConfig(lr=0.007),
    generator_optimizer=OptimizerConfig(lr=0.0003),
    batch_size=8,
    chains=6,
    memory=3,
    teaching=1,
    ema=0.9,
    precision="fp32",
)
"""Everything switched on, at 8x8 pixels; fewer chains than images."""

FLAGS = [
    "--preset", "digits", "--size", "8", "--generator.latent", "6",
    "--generator.channels", "8", "8", "--generator.kernels", "4", "4",
    "--descriptor.channels", "8", "8", "--descriptor.kernels", "4", "4",
    "--descriptor.strides", "2", "2", "--langevin.steps", "4",
    "--batch-size", "8", "--chains", "6", "--memory", "3", "--teaching", "1",
    "--ema", "0.9", "--precision", "fp32", "--checkpoint-every", "5",
]  # fmt: skip
"""Nearly the same on the command line."""

WITH_REFERENCE = [
    "--descriptor.outputs", "100", "--descriptor.init-std", "0.01", "--langevin.delta", "0.002",
    "--langevin.s", "0.016", "--langevin.tau", "1", "--langevin.damping", "None",
    "--descriptor-optimizer.lr", "0.007", "--descriptor-optimizer.clip", "1",
    "--descriptor-optimizer.decay-floor", "0", "--lead", "None", "--data-noise", "0",
]  # fmt: skip
"""The rest of it; other methods than ours have recipes of their own."""

CLIPS = replace(
    CONFIG,
    preset="dynamic-texture",
    size=8,
    frames=32,
    image_channels=3,
    windows=True,
    descriptor=DescriptorConfig(
        clips="FC_S", channels=(6, 5), outputs=10, activation="relu", init_std=0.001
    ),
    generator=GeneratorConfig(
        clips="FC_S_128", latent=3, border="cut", channels=(8, 6, 5), activation="relu"
    ),
    langevin=LangevinConfig(steps=2, delta=0.003, drift_clip=0.1),
    batch_size=2,
    chains=2,
    memory=2,
)
"""Clips of 32 frames of 8x8."""

CLIP_FLAGS = [
    "--frames", "32", "--generator.clips", "FC_S_128", "--generator.latent", "3",
    "--generator.channels", "8", "6", "5", "--generator.init-std", "0.3",
    "--descriptor.clips", "FC_S", "--descriptor.channels", "6", "5",
    "--memory", "2", "--teaching", "1", "--precision", "fp32", *WITH_REFERENCE,
    "--descriptor.outputs", "10", "--descriptor.activation", "relu",
    "--descriptor.init-std", "0.001", "--langevin.delta", "0.003",
    "--generator-optimizer.lr", "0.0003",
]  # fmt: skip
"""Nearly the same on the command line."""


def tiny(**changes: Any) -> Config:
    """CONFIG with fields replaced; ``langevin={...}`` replaces fields of a part."""
    parts = {
        k: replace(getattr(CONFIG, k), **v) if isinstance(v, dict) else v
        for k, v in changes.items()
    }
    return replace(CONFIG, **parts)


def pixels(count: int, side: int = 8, seed: int = 0) -> np.ndarray:
    """Smooth grey pictures, uint8 (count, side, side)."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, side)
    at = rng.uniform(-0.7, 0.7, (count, 2, 1))
    rows, columns = np.exp(-4 * (axis - at).transpose(1, 0, 2) ** 2)
    return (255 * rows[:, :, None] * columns[:, None, :]).astype(np.uint8)


def train_command(array: Path, run: Path, *more: str, steps: int = 10) -> list[str]:
    """The command line of a tiny training."""
    settings = FLAGS if "--method" in more else [*FLAGS, *WITH_REFERENCE]
    return ["train", str(array), "--run", str(run), "--steps", str(steps), *settings, *more]


def snapshot(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies that later changes do not reach."""
    return {k: v.detach().clone() for k, v in tensors.items()}


def start_command(
    argv: Sequence[str], log: Path, environment: dict[str, str] | None = None
) -> BaseProcess:
    """Run the command line in a process of its own, with what it says in ``log``.

    Forked from a server that has already imported everything: a killed child costs nothing.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["coopnets.cli"])
    process = context.Process(target=_command, args=(list(argv), log, environment or {}))
    process.start()
    return process


def _command(argv: list[str], log: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.exit(main(argv))


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(0.005)
