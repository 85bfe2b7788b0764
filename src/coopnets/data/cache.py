"""Decoded pictures on disk, memory-mapped: built once, in constant memory, whole or not at all.

A cache is one file: the pixels, then a description in JSON, then its length and a mark. The
description comes last because the number of pictures of a stream is known only at its end, and
it is in the same file because a single rename then publishes all of it at once: a reader sees
no cache or a complete one, and of two builders at work together the later merely repeats it.
"""

import hashlib
import json
import os
import secrets
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from coopnets.errors import DataError

MARK = b"coopnets pixels\n"
TAIL = struct.Struct(f"<Q{len(MARK)}s")
PARTIAL = ".partial"
ABANDONED_SECONDS = 24 * 3600

Row = tuple[str, np.ndarray | str]
"""A picture's name, and its uint8 pixels (C, H, W) or the reason why it could not be read."""


@dataclass(frozen=True, eq=False)
class Cached:
    """What a cache file holds.

    Attributes:
        images: uint8 of shape (N, C, H, W), memory-mapped and read-only.
        skipped: (name, reason) of the pictures that could not be read.
        digest: Hash of the shape and all pixels.
    """

    images: np.ndarray
    skipped: tuple[tuple[str, str], ...]
    digest: str


def load(path: Path, shape: tuple[int, int, int]) -> Cached | None:
    """Maps a cache file.

    Args:
        path: The file.
        shape: (C, H, W) that it must hold.

    Returns:
        Its contents, or None if it is missing, damaged or of another shape.

    Raises:
        DataError: If it is there but may not be read.
    """
    try:
        with path.open("rb") as file:
            description, pixel_bytes = _description(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    except ValueError:
        return None
    count = description["count"]
    if description["shape"] != list(shape) or count < 1 or count * _volume(shape) != pixel_bytes:
        return None
    images = np.memmap(path, np.uint8, "r", shape=(count, *shape))
    skipped = tuple((name, why) for name, why in description["skipped"])
    return Cached(images, skipped, description["digest"])


def write(path: Path, shape: tuple[int, int, int], rows: Iterable[Row]) -> Cached:
    """Builds a cache file from pictures as they come.

    Args:
        path: The file; its folder is made if need be.
        shape: (C, H, W) of every picture.
        rows: The pictures; those that carry a reason are listed as skipped. What goes wrong in
            fetching them must come as a DataError, as an OSError counts as the disk's.

    Returns:
        The contents, mapped.

    Raises:
        DataError: If the disk is full or not writable, or no picture was readable. Whatever
            ends the build, Ctrl-C included, the unfinished file is removed.
    """
    with _on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
    partial = path.with_name(f"{path.stem}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        # Around the file as a whole, as closing it writes what is left and can fail again.
        with _on_disk(path), partial.open("xb") as file:
            _fill(file, shape, rows)
        with _on_disk(path):
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    cached = load(path, shape)
    if cached is None:
        raise DataError(f"the image cache {path} was damaged as it was written; try again")
    return cached


def _fill(file: BinaryIO, shape: tuple[int, int, int], rows: Iterable[Row]) -> None:
    digest = hashlib.blake2b(repr(shape).encode(), digest_size=16)
    skipped: list[tuple[str, str]] = []
    count = 0
    for name, result in rows:
        if isinstance(result, str):
            skipped.append((name, result))
            continue
        if result.shape != shape or result.dtype != np.uint8:
            raise ValueError(f"{name}: {result.dtype}{result.shape} is not uint8{shape}")
        pixels = result.tobytes()
        digest.update(pixels)
        file.write(pixels)
        count += 1
    if count == 0:
        first = f" (first: {': '.join(skipped[0])})" if skipped else ""
        raise DataError(f"none of the {len(skipped):,} images could be read{first}; give others")
    description = {
        "count": count,
        "shape": list(shape),
        "skipped": skipped,
        "digest": digest.hexdigest(),
    }
    encoded = json.dumps(description).encode()
    file.write(encoded + TAIL.pack(len(encoded), MARK))
    file.flush()
    os.fsync(file.fileno())  # else a power cut could leave a renamed file without its bytes


def _description(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Reads what stands behind the pixels; ValueError if it is not whole."""
    end = file.seek(0, os.SEEK_END)
    if end < TAIL.size:
        raise ValueError("too short")
    file.seek(end - TAIL.size)
    length, mark = TAIL.unpack(file.read(TAIL.size))
    start = end - TAIL.size - length
    if mark != MARK or start < 0:
        raise ValueError("unfinished")
    file.seek(start)
    return json.loads(file.read(length)), start


def _sweep(folder: Path) -> None:
    """Removes what killed builders left; a living one touches its file far more often."""
    for partial in folder.glob(f"*{PARTIAL}"):
        try:
            if time.time() - partial.stat().st_mtime > ABANDONED_SECONDS:
                partial.unlink()
        except OSError:
            continue  # another process swept it first, or it is not ours to remove


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot use the image cache in {path.parent}: {error.strerror or error}; free space "
        "or permissions there, or choose another folder with cache_dir or COOPNETS_CACHE"
    )


def _volume(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
