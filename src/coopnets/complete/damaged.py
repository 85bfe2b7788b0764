"""Pictures to complete, read one by one with what a mask drawn on them must know."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from coopnets.cachefolder import cache_folder
from coopnets.data.decode import decode, fitted, reason, transparency, upright
from coopnets.data.files import is_image
from coopnets.data.resolve import find_source
from coopnets.data.source import Contents
from coopnets.data.stream import limited
from coopnets.errors import DataError, SplitError

WEIGHT = 0.01
OPAQUE = 128
"""Alpha from which on a pixel counts as being there."""


@dataclass(frozen=True, eq=False)
class Damaged:
    """A picture as the model sees it.

    Attributes:
        name: where it comes from, relative to what was asked for.
        pixels: uint8 (C, H, W), of the model's channels, and its size unless it knows any.
        extent: (height, width) of the original.
        holes: boolean (H, W), true where the original is mostly transparent: nobody knows what was
            there; None if nothing is.
    """

    name: str
    pixels: np.ndarray
    extent: tuple[int, int]
    holes: np.ndarray | None


def open_damaged(
    source: str,
    *,
    size: int | None,
    channels: int,
    crop: int | None,
    split: str | None = None,
    limit: int | None = None,
    data_dir: Path | None = None,
    say: Callable[[str], None] = print,
) -> Iterator[Damaged]:
    """Read pictures from whatever :func:`coopnets.data.open_images` reads, without its cache.

    Args:
        source: a file, folder, zip, name, ...
        size: side of the model's images; None leaves each picture its own size.
        channels: 1 or 3; pictures of any other mode are converted.
        crop: centre crop before the resize, if there is one.
        split: part of the data; None is test where there is such a part, else all.
        limit: only so many, spread over the whole source.
        data_dir: where named data sets are downloaded to.
        say: told of each picture that cannot be read.

    Raises:
        DataError: there is no such source, or no readable picture in it.
    """
    contents = _contents(source, split, data_dir or cache_folder() / "downloads")
    return _pictures(contents, source, size, channels, crop, limit, say)


def _contents(source: str, split: str | None, data_dir: Path) -> Contents:
    try:
        return find_source(source, split or "test", data_dir).open()
    except SplitError:
        if split is not None:
            raise
    return find_source(source, "train", data_dir).open()


def stem(name: str) -> str:
    """A picture's name without its extension; x.npy[7] has none."""
    return str(PurePosixPath(name).with_suffix("")) if is_image(name) else name


def shrunk(hidden: np.ndarray, size: int, crop: int | None) -> np.ndarray:
    """A hole of the original, boolean (H, W), as it is in the picture cropped and resized.

    A pixel belongs to it if the original's hidden pixels weigh more than a hundredth in it.
    """
    weights = fitted(Image.fromarray(hidden.astype(np.float32)), (size, size), crop)
    part: np.ndarray = np.abs(np.asarray(weights)) > WEIGHT
    return part


def _pictures(
    contents: Contents, source: str, size: int | None, channels: int, crop: int | None,
    limit: int | None, say: Callable[[str], None],
) -> Iterator[Damaged]:  # fmt: skip
    count, last = 0, ""
    for item in limited(contents, limit):
        try:
            image = upright(item.load())
            extent = image.height, image.width
            if size is None:
                pixels = decode(image, extent, channels)
            else:
                pixels = decode(image, (size, size), channels, crop)
            alpha = transparency(image)
        except MemoryError:
            raise
        except Exception as error:  # a broken picture can make Pillow raise almost anything
            last = f"cannot read {item.name}: {reason(error)}"
            say(last)
            continue
        holes = None if alpha is None or alpha.min() >= OPAQUE else alpha < OPAQUE
        if holes is not None and size is not None:
            holes = shrunk(holes, size, crop)
        yield Damaged(item.name, pixels, extent, holes)
        count += 1
    if not count:
        raise DataError(last or f"{source} holds no pictures")
