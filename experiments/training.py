"""Trainings of the experiments, by the command that a reader would give."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from coopnets.cli import main as coopnets
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets
from coopnets.runfolder import RunFolder


def use_threads(count: int | None) -> None:
    """Compute with so many threads; None leaves it to the machine.

    Raises:
        CoopNetsError: fewer than one.
    """
    if count is None:
        return
    if count < 1:
        raise CoopNetsError("--threads must be at least 1")
    os.environ["OMP_NUM_THREADS"] = str(count)  # or the container's quota would decide
    torch.set_num_threads(count)


def trained(data: Path | str, run: Path, minutes: float, options: Sequence[str]) -> CoopNets:
    """A run of ``coopnets train``, from where it stands.

    Args:
        data: what to learn from.
        run: folder of the run.
        minutes: of training in all.
        options: further ones of the command.

    Raises:
        CoopNetsError: the training failed; it has said why.
        KeyboardInterrupt: it was interrupted, and is saved.
    """
    argv = ["train", str(data), "--run", str(run), "--max-time", f"{60 * minutes:g}s", *options]
    called, sys.argv = sys.argv, ["coopnets", *argv]  # which is what the run folder keeps
    try:
        code = coopnets(argv)
    finally:
        sys.argv = called
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise CoopNetsError(f"the training of {run} failed")
    log = RunFolder(run).log_file
    said = log.read_text().splitlines() if log.exists() else []
    if said and "interrupted at" in said[-1]:
        raise KeyboardInterrupt
    return CoopNets.from_pretrained(run, "auto")
