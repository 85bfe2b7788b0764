"""Many samples end to end, as ``coopnets sample`` draws and writes them, and their peak memory.

Each row is a process of its own, from its start to the finished file, and its peak memory is what
the kernel says of it. A tenth of the samples is drawn too: memory must not grow with their number.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.command import Options, command
from benchmarks.networks import descriptor
from benchmarks.result import Column, Result, Row
from coopnets.config import Config
from coopnets.errors import CoopNetsError
from coopnets.layout import resolve_layout
from coopnets.model import CoopNets
from coopnets.models import Generator
from coopnets.precision import resolve
from coopnets.presets import preset
from coopnets.processes import Processes

COLUMNS = [
    Column("network", "preset"),
    Column("number", "samples", ",d"),
    Column("precision", "in"),
    Column("steps", "L", "d"),
    Column("seconds", "seconds", ".1f"),
    Column("rate", "images/s", ".1f"),
    Column("start", "of them starting, s", ".1f"),
    Column("peak", "peak memory, MB", ".0f"),
    Column("start_peak", "of it starting, MB", ".0f"),
]


@dataclass(kw_only=True)
class SamplingOptions(Options):
    """Time the drawing of many samples end to end."""

    presets: tuple[str, ...] = ("cifar",)
    """Presets whose networks to draw from."""
    number: int = 50_000
    """Samples."""
    batch_size: int = 100
    """Samples at a time."""


def run(options: SamplingOptions) -> Result:
    """Save an untrained model and draw from it, as anyone would from a trained one."""
    rows = []
    numbers = (8,) if options.quick else (max(options.number // 10, 1), options.number)
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("demo",) if options.quick else options.presets:
            model = Path(scratch) / name
            config = save_untrained(preset(name), model, options.device)
            start = drawn(model, 1, options)
            for number in numbers:
                rows.append(_row(name, config, number, start, drawn(model, number, options)))
    notes = ["From the start of the command to the finished file. Weights are untrained: the "
             "arithmetic is the same."]  # fmt: skip
    return Result(title="Samples end to end", columns=COLUMNS, rows=rows, notes=notes)


@dataclass(frozen=True)
class Drawn:
    """What a finished command took."""

    seconds: float
    peak: float
    """Peak memory in bytes."""


def drawn(model: Path, number: int, options: SamplingOptions) -> Drawn:
    """Run the command once.

    Raises:
        CoopNetsError: it failed.
    """
    out = model.parent / "samples.npz"
    environment = dict(os.environ)
    if options.threads is not None:
        environment["OMP_NUM_THREADS"] = str(options.threads)
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "coopnets", "sample", str(model), "--out", str(out),
         "-n", str(number), "--batch-size", str(options.batch_size), "--device", options.device],
        env=environment, stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise CoopNetsError(f"coopnets sample failed with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Drawn(seconds, usage.ru_maxrss * unit)


def save_untrained(config: Config, folder: Path, device: str) -> Config:
    """A model with the networks of a preset; its settings, resolved for this machine."""
    processes = Processes(device)
    config = replace(config, precision=resolve(config.precision, processes.device))
    config = replace(config, layout=resolve_layout(config, processes))
    cpu = torch.device("cpu")
    f = descriptor(config, cpu)
    g = Generator(config.generator, config.size, config.image_channels)
    weights = {"descriptor": f.state_dict(), "generator": g.state_dict()}
    CoopNets(config, weights).save_pretrained(folder)
    return config


def _row(name: str, config: Config, number: int, start: Drawn, taken: Drawn) -> Row:
    sampled = config.langevin.sample_steps
    return {
        "network": name, "number": number, "precision": config.precision,
        "steps": config.langevin.steps if sampled is None else sampled,
        "seconds": taken.seconds, "rate": number / taken.seconds, "start": start.seconds,
        "peak": taken.peak / 1e6, "start_peak": start.peak / 1e6,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command("sampling", SamplingOptions, run, argv)


if __name__ == "__main__":
    sys.exit(main())
