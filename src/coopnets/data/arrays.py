"""NumPy files of pictures: .npy (mapped, never whole in memory) and .npz (one member is read)."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from coopnets.data.files import file_identity
from coopnets.data.source import Contents, Item, Source, one_line
from coopnets.data.splits import canonical, only_train
from coopnets.errors import DataError, SplitError

CHANNELS = (1, 3, 4)
PLAIN_KEYS = ("images", "x", "data", "arr_0")
SLACK = 1e-4  # rounding in whatever wrote the floats
CHUNK = 256

Scale = Callable[[np.ndarray], np.ndarray]


def array_source(path: Path, split: str) -> Source:
    """The pictures of an array of shape (N, H, W), (N, H, W, C) or (N, C, H, W).

    uint8 is taken as it is. Floats must lie in [0, 1] or [-1, 1] over the whole array, which
    decides once for all its pictures how they are scaled. Members of an .npz may name a split.
    """
    if path.suffix.lower() == ".npy":
        only_train(split, str(path))

    def contents() -> Contents:
        images = _channels_last(_loaded(path, split), path)
        scale = _scale(images, path)
        items = _items(images, scale, path.name)
        return Contents(items, len(images))

    return Source(file_identity(path, "array"), contents)


def _items(images: np.ndarray, scale: Scale, name: str) -> Iterator[Item]:
    for i in range(len(images)):
        yield Item(f"{name}[{i}]", partial(_scaled, images, i, scale))


def _scaled(images: np.ndarray, i: int, scale: Scale) -> np.ndarray:
    return scale(images[i])


def _loaded(path: Path, split: str) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            return array
        with np.load(path, allow_pickle=False) as archive:
            member: np.ndarray = archive[_key(list(archive.files), split, path)]
            return member
    except DataError:
        raise
    except Exception as error:  # NumPy raises many kinds for a broken or pickled file
        raise DataError(
            f"cannot read {path}: {one_line(error)}; save a plain uint8 or float array"
        ) from error


def _key(keys: list[str], split: str, path: Path) -> str:
    wanted = canonical(split)
    tries = [wanted, f"x_{wanted}", f"{wanted}_images", f"images_{wanted}"]
    if wanted == "train":
        tries += PLAIN_KEYS
        if len(keys) == 1:
            tries += keys
    for key in tries:
        if key in keys:
            return key
    raise SplitError(
        f"{path} has no array for split '{split}': looked for {', '.join(tries)}, "
        f"found {', '.join(keys) or 'nothing'}"
    )


def _channels_last(array: np.ndarray, path: Path) -> np.ndarray:
    """A view of shape (N, H, W, C); where both ends could be the channels, the last is."""
    given = array.shape
    if array.ndim == 3:
        array = array[..., None]
    elif array.ndim == 4 and array.shape[3] not in CHANNELS and array.shape[1] in CHANNELS:
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in CHANNELS or 0 in array.shape:
        raise DataError(
            f"{path} has shape {given}; expected (N, H, W), (N, H, W, C) or (N, C, H, W) "
            "with C of 1, 3 or 4"
        )
    return array


def _scale(images: np.ndarray, path: Path) -> Scale:
    """How one picture of the array becomes uint8."""
    if images.dtype == np.uint8:
        return lambda image: np.asarray(image)
    if not np.issubdtype(images.dtype, np.floating):
        raise DataError(
            f"{path} has dtype {images.dtype}; save it as uint8, or as floats in [0, 1] or [-1, 1]"
        )
    low, high = _range(images)
    if not (low >= -1 - SLACK and high <= 1 + SLACK):  # also when NaN
        raise DataError(
            f"{path} holds floats in [{low:g}, {high:g}]; scale them to [0, 1] or [-1, 1], "
            "or save uint8"
        )
    if low >= -SLACK:
        return lambda image: np.rint(np.clip(image, 0, 1) * 255.0).astype(np.uint8)
    return lambda image: np.rint((np.clip(image, -1, 1) + 1) * 127.5).astype(np.uint8)


def _range(images: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value, a stretch at a time; NaN if any value is."""
    chunks = [images[i : i + CHUNK] for i in range(0, len(images), CHUNK)]
    lows, highs = zip(*((chunk.min(), chunk.max()) for chunk in chunks), strict=True)
    return float(np.min(lows)), float(np.max(highs))
