"""Parquet files in the Hugging Face image layout, read a stretch of rows at a time."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from coopnets.data.files import file_identity
from coopnets.data.source import Contents, Item, Source, one_line
from coopnets.data.splits import by_file_name, only_train
from coopnets.errors import DataError

COLUMNS = ("image", "img", "images", "jpg", "png")
ROWS = 64  # rows held at a time; the pictures may be large
BUFFER_BYTES = 2**20  # without a buffer pyarrow reads whole column chunks at once


def parquet_source(path: Path, split: str) -> Source:
    """The pictures of one Parquet file."""
    only_train(split, str(path))
    return _source([path], file_identity(path, "parquet"))


def parquet_folder_source(folder: Path, names: list[str], split: str) -> Source:
    """The pictures of a folder of Parquet files, whose names may tell the split.

    Args:
        folder: The folder.
        names: Relative paths of its Parquet files, sorted; not empty.
        split: The wanted split.

    Raises:
        DataError: If there is no such split.
    """
    paths = [folder / name for name in by_file_name(names, split, str(folder))]
    identity = [part for path in paths for part in file_identity(path, "parquet")]
    return _source(paths, tuple(identity))


def bytes_of(value: Any) -> bytes:
    """The encoded picture in a cell: plain bytes, or a struct with `bytes`.

    Raises:
        ValueError: If there is none.
    """
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        raise ValueError("the row carries no image bytes")
    return found


def _source(paths: list[Path], identity: tuple[str, ...]) -> Source:
    def contents() -> Contents:
        parquet = _parquet()
        files = [(path, _opened(parquet, path)) for path in paths]
        count = sum(file.metadata.num_rows for _, file in files)
        if count == 0:
            raise DataError(f"{paths[0]} holds no rows; give a Parquet file with images")
        columns = [_column(file, path) for path, file in files]
        items = (
            item
            for (path, file), column in zip(files, columns, strict=True)
            for item in _items(file, path, column)
        )
        return Contents(items, count)

    return Source(identity, contents)


def _items(file: Any, path: Path, column: str) -> Iterator[Item]:
    row = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS, columns=[column]):
            for cell in batch.column(0):
                yield Item(f"{path.name} row {row}", partial(bytes_of, cell.as_py()))
                row += 1
    except OSError as error:  # pyarrow's own errors on damaged pages are OSErrors too
        raise DataError(
            f"cannot read {path} after row {row}: {one_line(error)}; copy or download it again"
        ) from error


def _parquet() -> ModuleType:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise DataError(
            'Parquet files need pyarrow; install it with pip install "coopnets[datasets]"'
        ) from error
    return parquet  # type: ignore[no-any-return]


def _opened(parquet: ModuleType, path: Path) -> Any:
    try:
        return parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise DataError(
            f"{path} is not a readable Parquet file ({one_line(error)}); copy it again"
        ) from error


def _column(file: Any, path: Path) -> str:
    names = list(file.schema_arrow.names)
    for name in COLUMNS:
        if name in names:
            return name
    raise DataError(
        f"{path} has no image column: looked for {', '.join(COLUMNS)}, found {', '.join(names)}"
    )
