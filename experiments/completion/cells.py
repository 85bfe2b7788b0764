"""Cells of the table as files: the scores of one job for one size of square.

A cell is written after every batch, so that a run that was stopped goes on where it was. A cell
made with other settings is made anew.
"""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from coopnets.complete.masks import random_square
from coopnets.complete.scores import scores
from coopnets.data import ImageData, to_pixels, to_unit
from coopnets.errors import CoopNetsError
from coopnets.evaluate.files import write_whole
from experiments.completion.jobs import Job

MEASURES = ("error", "psnr", "ssim")
BATCH = 50
SHOWN = 16
"""Completions that are kept as pictures."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Scores by column and measure, one for each image, and what they took."""

    scores: dict[str, dict[str, list[float]]]
    seconds: float
    settings: dict[str, Any]


def compute(
    job: Job, images: ImageData, side: int, seed: int, folder: Path, device: torch.device,
    say: Callable[[str], None],
) -> Cell:  # fmt: skip
    """A cell, from where its file stands.

    Args:
        job: the method.
        images: what to complete, all of it.
        side: of the hidden square.
        seed: of its places.
        folder: where cells are.
        device: where to compute.
        say: told how far it is.
    """
    name = f"{side}-{job.name}"
    settings = {
        "side": side, "mask_seed": seed, "images": images.fingerprint, "number": len(images),
        **job.settings,
    }  # fmt: skip
    cell = _read(folder / f"{name}.json", settings, job)
    done = len(cell.scores[job.columns[0]]["error"])
    kept = pictures(folder, side, job) if done else {}
    shown = {column: [kept[column]] if done else [] for column in job.columns}
    while done < len(images):
        count = min(BATCH, len(images) - done)
        x = images.batch(np.arange(done, done + count)).to(device)
        mask = masks(side, x.shape[-1], seed, done, count).to(device)
        began = time.perf_counter()
        made = job.complete(x, mask, done)
        seconds = cell.seconds + time.perf_counter() - began
        for column, y in made.items():
            pixels = to_pixels(torch.where(mask, y.clamp(-1, 1), x)).cpu()
            found = scores(to_unit(pixels), x.cpu(), mask.cpu())
            for measure in MEASURES:
                cell.scores[column][measure] += getattr(found, measure).tolist()
            if done < SHOWN:
                shown[column].append(pixels[: SHOWN - done])
        if done < SHOWN:
            _save_pictures(folder / f"{name}.npz", shown)
        done += count
        cell = Cell(cell.scores, seconds, settings)
        _save(folder / f"{name}.json", cell)
        say(f"{name}: {done:,} of {len(images):,} images, {seconds / done:.3f} s each")
    return cell


def masks(side: int, size: int, seed: int, first: int, count: int) -> Tensor:
    """Squares of images ``first`` and on, (count, 1, size, size), true where hidden."""
    return torch.stack([random_square(side, size, seed, first + i) for i in range(count)])


def pictures(folder: Path, side: int, job: Job) -> dict[str, Tensor]:
    """The completions that were kept, uint8 (SHOWN, C, H, W) by column.

    Raises:
        CoopNetsError: their file is missing or damaged.
    """
    file = folder / f"{side}-{job.name}.npz"
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {column: torch.from_numpy(archive[column]) for column in job.columns}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise CoopNetsError(
            f"cannot read {file} ({error}): remove {file.with_suffix('.json')}, and its cell is "
            "made anew"
        ) from error


def _read(file: Path, settings: dict[str, Any], job: Job) -> Cell:
    empty = Cell({c: {m: [] for m in MEASURES} for c in job.columns}, 0.0, settings)
    try:
        content = json.loads(file.read_text())
        if content["settings"] != json.loads(json.dumps(settings)):
            return empty
        return Cell(
            {c: {m: content["scores"][c][m] for m in MEASURES} for c in job.columns},
            float(content["seconds"]), settings,
        )  # fmt: skip
    except FileNotFoundError:
        return empty
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoopNetsError(f"cannot read {file} ({error}): remove it") from error


def _save(file: Path, cell: Cell) -> None:
    content = {"settings": cell.settings, "seconds": cell.seconds, "scores": cell.scores}
    _write(file, json.dumps(content).encode())


def _save_pictures(file: Path, shown: dict[str, list[Tensor]]) -> None:
    stream = io.BytesIO()
    np.savez(stream, **{c: torch.cat(parts).numpy() for c, parts in shown.items()})  # type: ignore[arg-type]
    _write(file, stream.getvalue())


def _write(file: Path, content: bytes) -> None:
    try:
        write_whole(file, content)
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error
