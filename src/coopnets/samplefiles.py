"""Samples as files, written as they come: a picture, an array, or a folder of pictures."""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from coopnets.data.pixels import to_pixels
from coopnets.errors import CoopNetsError
from coopnets.pictures import grid, save_grid

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
GRID_LIMIT = 10_000
"""Images in one picture."""


def write_samples(batches: Iterable[Tensor], number: int, out: Path, first: int = 0) -> None:
    """Write batches (B, C, H, W) in [-1, 1] to ``out``, by its suffix.

    Args:
        batches: the samples, together ``number`` of them.
        number: how many.
        out: a picture (one grid), ``.npz`` (uint8 under ``images``), or a folder.
        first: number of the first sample, which names its file in a folder.

    Raises:
        CoopNetsError: the suffix is none of these, too many for a grid, or it cannot be written.
    """
    suffix = out.suffix.lower()
    if suffix in PICTURES and number > GRID_LIMIT:
        raise CoopNetsError(
            f"{number} images make no grid: choose samples.npz or a folder above {GRID_LIMIT}"
        )
    if suffix not in ("", ".npz", *PICTURES):
        raise CoopNetsError(f"cannot write {out.name}: choose .png, .npz or a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npz":
            write_array(batches, number, out, "images")
        elif suffix:
            pixels = torch.cat([to_pixels(batch.cpu()) for batch in batches])
            save_grid(grid(pixels, math.ceil(number**0.5)), out)
        else:
            _write_folder(batches, number, out, first)
    except OSError as error:
        raise CoopNetsError(f"cannot write {out}: {error.strerror or error}") from error


def _write_folder(batches: Iterable[Tensor], number: int, out: Path, first: int) -> None:
    out.mkdir(exist_ok=True)
    files = [out / f"{first + i:06d}.png" for i in range(number)]
    if taken := next((f for f in files if f.exists()), None):
        raise CoopNetsError(f"{taken} is there already: choose another folder, or another --first")
    images = (image for batch in batches for image in to_pixels(batch.cpu()))
    for file, image in zip(files, images, strict=True):
        save_grid(image, file)


def write_array(
    batches: Iterable[Tensor], number: int, out: Path, name: str, **beside: np.generic
) -> None:
    """Stream into an .npz: numpy's own savez wants the whole array in memory.

    Args:
        batches: (B, ...) in [-1, 1], together ``number`` rows.
        number: how many.
        out: where to.
        name: what the array, uint8 (number, ...), is called.
        beside: numbers that stand beside it.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    fresh = out.with_name(out.name + ".unfinished")
    try:
        with zipfile.ZipFile(fresh, "w") as archive:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                for i, batch in enumerate(batches):
                    pixels = to_pixels(batch.cpu()).numpy()
                    if i == 0:
                        shape = (number, *pixels.shape[1:])
                        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_2_0(stream, header)
                    stream.write(pixels.tobytes())
            for key, value in beside.items():
                with archive.open(f"{key}.npy", "w") as stream:
                    np.lib.format.write_array(stream, np.asarray(value), allow_pickle=False)
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)
