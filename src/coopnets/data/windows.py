"""Windows at random places of pictures that keep their own size: how textures are observed.

Every place of a window in a picture counts as an image, so that the usual shuffled order visits
each once an epoch, and nothing is read but the pixels that are wanted.
"""

import hashlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from coopnets.cachefolder import cache_folder
from coopnets.data.decode import whole
from coopnets.data.pixels import to_unit
from coopnets.data.resolve import find_source
from coopnets.data.stream import at_least_one, decoded, limited, watched
from coopnets.errors import DataError

LARGEST = 2**30
"""Bytes of pixels that are kept in memory, all pictures together."""


@dataclass(frozen=True, eq=False)
class WindowData:
    """All windows of one size in some pictures.

    Attributes:
        source: What was asked for.
        split: Which part of it.
        pictures: uint8 (C, H, W) each, of their own sizes.
        window: Rows and columns of a window.
        skipped: (name, reason) of pictures that cannot be used.
        fingerprint: Hash of the pixels and of the window.
    """

    source: str
    split: str
    pictures: tuple[np.ndarray, ...]
    window: tuple[int, int]
    skipped: tuple[tuple[str, str], ...]
    fingerprint: str

    def __len__(self) -> int:
        return int(self._places().sum())

    def batch(self, indices: Tensor | np.ndarray) -> Tensor:
        """Cuts some windows out.

        Args:
            indices: int64 of shape (B,), values in 0..N-1, repeats allowed.

        Returns:
            float32 of shape (B, C, *window) in [-1, 1], on the CPU, with memory of its own.
        """
        ends = np.cumsum(self._places())
        height, width = self.window
        cut = []
        for index in np.asarray(indices).tolist():
            number = int(np.searchsorted(ends, index, side="right"))
            picture = self.pictures[number]
            place = index - (int(ends[number - 1]) if number else 0)
            top, left = divmod(place, picture.shape[2] - width + 1)
            cut.append(picture[:, top : top + height, left : left + width])
        return to_unit(torch.from_numpy(np.stack(cut)))

    def _places(self) -> np.ndarray:
        height, width = self.window
        return np.array(
            [(p.shape[1] - height + 1) * (p.shape[2] - width + 1) for p in self.pictures]
        )


def open_windows(
    source: str | Path,
    *,
    window: int | tuple[int, int],
    channels: int,
    split: str = "train",
    limit: int | None = None,
    data_dir: Path | None = None,
    strict: bool = False,
    say: Callable[[str], None] = print,
) -> WindowData:
    """Opens pictures at their own size, into memory.

    Args:
        source: As for `open_images`: one picture, or a folder or zip of pictures of one texture.
        window: Side, or (height, width), of the windows.
        channels: 1 for grey, 3 for RGB.
        split: Part of the data.
        limit: Use only this many pictures.
        data_dir: Where named sets are downloaded to.
        strict: Refuse a set with unusable pictures instead of skipping them.
        say: Told in one line what was opened and skipped.

    Raises:
        DataError: If the source is unknown or empty, the limit is below 1, or none of its
            pictures can be used: one that is broken, smaller than a window, an animation, or of
            a single colour.
    """
    at_least_one(limit=limit)
    window = window if isinstance(window, tuple) else (window, window)
    found = find_source(source, split, data_dir or cache_folder() / "downloads")
    pictures: list[np.ndarray] = []
    skipped: list[tuple[str, str]] = []
    used = 0
    with closing(
        decoded(limited(found.open(), limit), partial(_usable, window, channels))
    ) as rows:
        for name, result in watched(rows, strict, say):
            if isinstance(result, str):
                skipped.append((name, result))
                continue
            pictures.append(result)
            used += result.nbytes
            if used > LARGEST:
                raise DataError(
                    f"{source} has more than {LARGEST / 1e9:.0f} GB of pixels: a texture needs "
                    "few pictures, take some of them with --limit"
                )
    if not pictures:
        raise DataError(_none_usable(str(source), skipped))
    data = WindowData(
        str(source), split, tuple(pictures), window, tuple(skipped), _digest(pictures, window)
    )
    say(_summary(data))
    return data


def _usable(window: tuple[int, int], channels: int, raw: object) -> np.ndarray:
    pixels = whole(raw, channels)  # type: ignore[arg-type]
    height, width = pixels.shape[1:]
    if height < window[0] or width < window[1]:
        raise ValueError(
            f"{width}x{height} pixels, smaller than the window of {window[1]}x{window[0]}: lower "
            "--size, or give a larger picture"
        )
    if (pixels == pixels[:, :1, :1]).all():
        raise ValueError("a single colour: there is nothing to learn from it")
    return pixels


def _none_usable(source: str, skipped: list[tuple[str, str]]) -> str:
    name, why = skipped[0]
    if len(skipped) == 1:
        return f"{name} cannot be used: {why}"
    return f"none of the {len(skipped)} pictures in {source} can be used; {name}: {why}"


def _digest(pictures: list[np.ndarray], window: tuple[int, int]) -> str:
    digest = hashlib.blake2b(repr(window).encode(), digest_size=16)
    for picture in pictures:
        digest.update(repr(picture.shape).encode())
        digest.update(picture.tobytes())
    return digest.hexdigest()


def _summary(data: WindowData) -> str:
    count, first = len(data.pictures), data.pictures[0]
    what = f"a picture of {first.shape[2]}x{first.shape[1]}" if count == 1 else f"{count} pictures"
    bad = data.skipped
    note = f" ({len(bad)} skipped, first: {bad[0][0]}: {bad[0][1]})" if bad else ""
    return (
        f"opened {what}{note}: {len(data):,} places for a window of "
        f"{data.window[1]}x{data.window[0]}"
    )
