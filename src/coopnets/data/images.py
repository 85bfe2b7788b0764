"""Opens a set of pictures: finds it, decodes it once, and maps the result."""

import hashlib
import json
import re
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from coopnets.cachefolder import cache_folder
from coopnets.data import cache
from coopnets.data.decode import decode
from coopnets.data.pixels import to_unit
from coopnets.data.resolve import find_source
from coopnets.data.stream import at_least_one, decoded, limited, refusal, watched
from coopnets.errors import DataError

DECODING_RULES = 1  # part of every cache key: raise it when decoding gives other pixels


@dataclass(frozen=True, eq=False)
class ImageData:
    """A set of pictures of one size, on disk.

    Attributes:
        source: What was asked for.
        split: Which part of it.
        images: uint8 of shape (N, C, H, W), memory-mapped and read-only.
        skipped: (name, reason) of files that could not be read.
        fingerprint: Hash of the very pixels, the same wherever the data lies.
    """

    source: str
    split: str
    images: np.ndarray
    skipped: tuple[tuple[str, str], ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor | np.ndarray) -> Tensor:
        """Reads some pictures.

        Args:
            indices: int64 of shape (B,), values in 0..N-1, repeats allowed.

        Returns:
            float32 of shape (B, C, H, W) in [-1, 1], on the CPU, with memory of its own.
        """
        wanted = indices.cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
        return to_unit(torch.from_numpy(np.asarray(self.images[wanted])))


def open_images(
    source: str | Path,
    *,
    size: int | tuple[int, int],
    channels: int,
    split: str = "train",
    crop: int | None = None,
    limit: int | None = None,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    strict: bool = False,
    say: Callable[[str], None] = print,
) -> ImageData:
    """Opens pictures by name, path or hub address, decoding them on first use.

    Args:
        source: A known name (`mnist`), a folder, zip, image, Parquet file or folder of such,
            .npy or .npz, or `hf:owner/name[:config]`.
        size: Side, or (height, width), of the result.
        channels: 1 for grey, 3 for RGB.
        split: Part of the data: train, test or val, or what the source calls it.
        crop: Side of a centred square cut out before the resize.
        limit: Use only this many of the files, spread over the set by a fixed shuffle, so that
            a smaller limit's pictures are among a larger one's; of a hub stream, the first.
        data_dir: Where named sets are downloaded to; by default below the cache folder.
        cache_dir: Where decoded pictures are kept; by default `$COOPNETS_CACHE`, else
            `~/.cache/coopnets`.
        strict: Refuse a set with unreadable files instead of skipping them.
        say: Told in one line what was decoded and skipped, and now and then how far it is.

    Returns:
        The pictures.

    Raises:
        DataError: If the source is unknown, empty, broken or has no such split; if the cache
            cannot be written; or, when strict, if a file is unreadable.
    """
    height, width = size if isinstance(size, tuple) else (size, size)
    if channels not in (1, 3):
        raise DataError(f"channels is {channels}; it must be 1 (grey) or 3 (RGB)")
    at_least_one(size=min(height, width), crop=crop, limit=limit)
    folder = cache_dir or cache_folder()
    shape = (channels, height, width)
    found = find_source(source, split, data_dir or folder / "downloads")
    key = _key(found.identity, split, shape, crop, limit)
    path = folder / f"{_label(source)}-{height}x{width}x{channels}-{key}.pixels"

    cached = cache.load(path, shape)
    if cached is None:
        decode_one = partial(decode, size=(height, width), channels=channels, crop=crop)
        items = limited(found.open(), limit)
        with closing(decoded(items, decode_one)) as rows, warnings.catch_warnings():
            # Pillow warns of large pictures well before it refuses them; they are no news here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            cached = cache.write(path, shape, watched(rows, strict, say))
        say(_summary("decoded", cached, path))
    elif cached.skipped:
        if strict:
            raise refusal(*cached.skipped[0])
        say(_summary("opened", cached, path))
    return ImageData(str(source), split, cached.images, cached.skipped, cached.digest)


def _key(identity: tuple[str, ...], *request: object) -> str:
    text = json.dumps([DECODING_RULES, identity, request])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def _label(source: str | Path) -> str:
    """A few letters that let a person tell cache files apart."""
    return re.sub(r"[^A-Za-z0-9]+", "-", Path(source).stem).strip("-")[:32] or "images"


def _summary(verb: str, cached: cache.Cached, path: Path) -> str:
    count, channels, height, width = cached.images.shape
    bad = cached.skipped
    note = f" ({len(bad):,} unreadable, first: {bad[0][0]}: {bad[0][1]})" if bad else ""
    place = f"into {path}" if verb == "decoded" else f"from {path}"
    images = "image" if count == 1 else "images"
    extent = f"{height}x{width}x{channels}, {cached.images.nbytes / 1e6:,.0f} MB"
    return f"{verb} {count:,} {images}{note} {place} {extent}"
