"""Trainings by two processes, and what is compared with one."""

import socket
from pathlib import Path

import torch
from torch import Tensor

from coopnets import checkpoint
from small import start_command

STEPS = 4
ALONE = ["--checkpoint-every", "2"]
UNDETERMINED = ("top.bias", "generator.layers.0.bias", "generator.layers.3.bias", "running_mean")
"""Parts without gradient but rounding, which Adam blows up: the constant of f, biases before
batch norm, and the means that follow these."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def in_two(argv: list[str], log: Path) -> None:
    """Run the command in two processes, as ``torchrun --nproc_per_node 2`` would."""
    common = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    children = [
        start_command(argv, log, {**common, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    try:
        for child in children:
            child.join(150)
        codes = [child.exitcode for child in children]
        if codes != [0, 0]:
            raise AssertionError(f"exit codes {codes}\n{log.read_text()}")
    finally:
        for child in children:
            child.kill()


def last_tensors(run: Path) -> dict[str, Tensor]:
    found = checkpoint.whole(run / "checkpoints")[0]
    assert found.iteration == STEPS
    return found.tensors()


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor], least: int = 10) -> None:
    """The networks, and what is remembered, agree; of at least so many tensors."""
    assert a.keys() == b.keys()
    compared = 0
    for k in a:
        network = k.startswith(("network", "average")) and not k.endswith(UNDETERMINED)
        if network or k.startswith("memory"):
            torch.testing.assert_close(
                a[k].float(), b[k].float(), rtol=1e-3, atol=1e-4,
                msg=lambda text, k=k: f"{k}: {text}",
            )  # fmt: skip
            compared += 1
    assert compared >= least
