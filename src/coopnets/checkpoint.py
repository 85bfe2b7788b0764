"""Checkpoints: whole or absent, newest first, read without pickle.

A checkpoint is a folder ``checkpoints/00000200`` with ``tensors.safetensors`` and
``state.json``, written under another name and renamed when complete. ``state.json`` holds the
size and CRC-32 of the tensors, so one that a crash or a full disk damaged is recognised, and
the one before it is used.
"""

import json
import os
import shutil
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from coopnets.errors import RunError

TENSORS, STATE = "tensors.safetensors", "state.json"
UNFINISHED, REPLACED = ".unfinished", ".replaced"


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    path: Path
    state: dict[str, Any]

    @property
    def iteration(self) -> int:
        """Iterations done when it was written."""
        return int(self.path.name)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, by name, on the CPU."""
        return load_file(self.path / TENSORS)


def write(folder: Path, iteration: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write the checkpoint of an iteration, replacing one that is there.

    Raises:
        RunError: the disk is full or cannot be written; earlier checkpoints are untouched.
    """
    target = folder / f"{iteration:08d}"
    fresh = folder / f"{iteration:08d}{UNFINISHED}"
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, fresh / TENSORS)
        size, crc = (fresh / TENSORS).stat().st_size, _crc(fresh / TENSORS)
        whole = {**state, "tensors": {"bytes": size, "crc32": crc}}
        (fresh / STATE).write_text(json.dumps(whole, indent=1))
        for file in (fresh / TENSORS, fresh / STATE, fresh):
            _sync(file)
        aside = folder / f"{iteration:08d}{REPLACED}"
        if target.exists():  # a kill between the two renames leaves the old one, aside
            target.rename(aside)
        fresh.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        _sync(folder)
    except Exception as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(fresh, ignore_errors=True)
        raise RunError(
            f"cannot write a checkpoint under {folder} ({error}): make room and repeat the "
            "command, earlier checkpoints are untouched"
        ) from error


def whole(folder: Path) -> list[Checkpoint]:
    """The checkpoints of a run, newest first, without damaged and unfinished ones."""
    for aside in folder.glob(f"*{REPLACED}"):
        if not (target := aside.with_suffix("")).exists():
            with suppress(OSError):  # another reader was quicker
                aside.rename(target)
    found = []
    for path in sorted(folder.glob("[0-9]*"), reverse=True):
        if path.name.isdigit() and (checkpoint := _read(path)) is not None:
            found.append(checkpoint)
    return found


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints, and what a kill left unfinished."""
    done = sorted((p for p in folder.glob("[0-9]*") if p.name.isdigit()), reverse=True)
    leftovers = [*folder.glob(f"*{UNFINISHED}"), *folder.glob(f"*{REPLACED}")]
    for path in [*done[keep:], *leftovers]:
        shutil.rmtree(path, ignore_errors=True)


def forget_after(folder: Path, iteration: int) -> None:
    """Delete the checkpoints of later iterations."""
    for path in folder.glob("[0-9]*"):
        if path.name.isdigit() and int(path.name) > iteration:
            shutil.rmtree(path, ignore_errors=True)


def _read(path: Path) -> Checkpoint | None:
    try:
        state = json.loads((path / STATE).read_text())
        stored, file = state["tensors"], path / TENSORS
        if file.stat().st_size != stored["bytes"] or _crc(file) != stored["crc32"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Checkpoint(path, state)


def _crc(file: Path) -> int:
    crc = 0
    with file.open("rb") as stream:
        while block := stream.read(1 << 22):
            crc = zlib.crc32(block, crc)
    return crc


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
