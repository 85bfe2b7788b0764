"""From what the user wrote to the source it means."""

import difflib
from pathlib import Path

from coopnets.data.arrays import array_source
from coopnets.data.files import (
    EXTENSIONS,
    folder_source,
    is_image,
    no_images,
    single_source,
    walk,
    zip_source,
)
from coopnets.data.hub import PREFIX, hub_source
from coopnets.data.named import NAMES, named_source
from coopnets.data.source import Source
from coopnets.data.tables import parquet_folder_source, parquet_source
from coopnets.errors import DataError


def find_source(source: str | Path, split: str, data_dir: Path) -> Source:
    """Finds what a name, address or path means.

    A known name wins over a path of the same spelling; write `./mnist` for a folder `mnist`.

    Args:
        source: `mnist` and the like, `hf:owner/name`, or a path.
        split: The wanted split.
        data_dir: Where named data sets are downloaded to.

    Raises:
        DataError: If it means nothing, or has no such split.
    """
    if isinstance(source, str):
        if source.startswith(PREFIX):
            return hub_source(source, split)
        named = named_source(source, split, data_dir)
        if named is not None:
            return named
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return _folder(path, split)
        if path.is_file():
            return _file(path, split)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    raise DataError(_unknown(str(source)))


def _folder(folder: Path, split: str) -> Source:
    names = walk(folder)
    images = [name for name in names if is_image(name)]
    if images:
        return folder_source(folder, images, split)
    tables = [name for name in names if name.lower().endswith(".parquet")]
    if tables:
        return parquet_folder_source(folder, tables, split)
    raise DataError(no_images(str(folder), names))


def _file(path: Path, split: str) -> Source:
    suffix = path.suffix.lower()
    if suffix in EXTENSIONS:
        return single_source(path, split)
    if suffix == ".zip":
        return zip_source(path, split)
    if suffix == ".parquet":
        return parquet_source(path, split)
    if suffix in (".npy", ".npz"):
        return array_source(path, split)
    raise DataError(
        f"{path} is no kind of data known here; give a folder of images, a .zip, .parquet, .npy "
        f"or .npz, or an image with extension {' '.join(EXTENSIONS)}"
    )


def _unknown(source: str) -> str:
    if "/" in source or "." in source:  # meant as a path: a list of names would not help
        return f"no such path: {source}; check its spelling, or give a name or hf:owner/name"
    close = difflib.get_close_matches(source.lower().replace("_", "-"), NAMES, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return (
        f"no such path or data set: {source}{guess} (known names: {', '.join(NAMES)}; "
        "or give hf:owner/name)"
    )
