"""Trainings of the experiments, by the command that a reader would give."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from coopnets.cli import main as coopnets
from coopnets.errors import CoopNetsError, DivergenceError, RunError
from coopnets.model import CoopNets
from coopnets.runfolder import RunFolder

OWN = ("--run", "--max-time", "--limit", "--fresh")
"""Options of a training that its experiment gives itself."""


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


def spoken(script: str, words: Sequence[str]) -> str:
    """A command for the record; where data and results lie on one machine is left out."""
    return shlex.join(["python", script, *map(_without_place, words)])


def _without_place(word: str) -> str:
    """The last part of a path, and what stands for a name (``{}``) with all below it."""
    option, equals, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
    parts = value.rstrip("/").split("/")
    named = [i for i, part in enumerate(parts) if "{" in part]
    return option + equals + "/".join(parts[min(named, default=-1) :])


def called(argv: Sequence[str], what: str) -> None:
    """A command of ``coopnets``, as from the command line, which is what its folders remember.

    Args:
        argv: the command's words.
        what: what it does, for the message.

    Raises:
        CoopNetsError: it failed, and has said why.
        KeyboardInterrupt: it was interrupted.
    """
    before, sys.argv = sys.argv, ["coopnets", *argv]
    try:
        code = coopnets(argv)
    finally:
        sys.argv = before
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise CoopNetsError(f"{what} failed, as said above")


def trained(data: Path | str, run: Path, minutes: float, options: Sequence[str]) -> CoopNets:
    """A run of ``coopnets train``, from where it stands.

    Args:
        data: what to learn from.
        run: folder of the run.
        minutes: of training in all.
        options: further ones of the command.

    Raises:
        DivergenceError: the training ran away for good; its last words.
        CoopNetsError: the training failed otherwise, and has said why.
        KeyboardInterrupt: it was interrupted, and is saved.
    """
    budget, before = ["--max-time", f"{60 * minutes:g}s"], len(_said(run))
    try:
        called(
            ["train", str(data), "--run", str(run), *budget, *options], f"the training of {run}"
        )
    except CoopNetsError as error:
        words = _said(run)[before:]  # of this call alone: an earlier one may have given up
        if words and "gave up" in words[-1]:
            raise DivergenceError(words[-1]) from error
        raise
    if (words := _said(run)) and words[-1].startswith("interrupted at"):
        raise KeyboardInterrupt
    lines = RunFolder(run).metrics()
    last = lines[-1] if lines else {}
    if last.get("event") == "gave up":  # earlier, and nothing was learnt since
        raise DivergenceError(f"gave up at iteration {last['iteration']}: {last['what']}")
    return CoopNets.from_pretrained(run, "auto")


def last_good(run: Path) -> CoopNets | None:
    """What a training that ran away had learnt before, if anything."""
    try:
        model = CoopNets.from_pretrained(run, "auto")
    except RunError:
        return None
    return model if model.about["iteration"] else None  # the first checkpoint is the start


def _said(run: Path) -> list[str]:
    log = RunFolder(run).log_file
    return log.read_text().splitlines() if log.exists() else []
