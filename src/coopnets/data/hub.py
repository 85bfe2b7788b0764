"""Data sets of the Hugging Face hub, streamed: `hf:owner/name` or `hf:owner/name:config`."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from coopnets.data.decode import Raw
from coopnets.data.source import Contents, Item, Source, one_line
from coopnets.data.tables import COLUMNS, bytes_of
from coopnets.errors import DataError, SplitError

PREFIX = "hf:"


def hub_source(address: str, split: str) -> Source:
    """The pictures of a hub data set.

    Args:
        address: `hf:owner/name`, optionally followed by `:config`.
        split: A split by the hub's own name for it, e.g. train or validation.

    Raises:
        DataError: If the address has another form.
    """
    name, _, config = address.removeprefix(PREFIX).partition(":")
    if not name or name.count("/") > 1 or not all(name.split("/")):
        raise DataError(
            f"'{address}' is no hub data set; write hf:owner/name, e.g. hf:ylecun/mnist"
        )

    def contents() -> Contents:
        stream, column = _opened(name, config or None, split)
        return Contents(_items(stream, column, name), None)

    return Source(("hf", name, config, split), contents)


def _opened(name: str, config: str | None, split: str) -> tuple[Any, str]:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            'hf: data sets need the package datasets; pip install "coopnets[datasets]"'
        ) from error
    try:
        stream = datasets.load_dataset(name, config, split=split, streaming=True)
        if stream.features is None:
            stream = stream._resolve_features()
        column = _column(dict(stream.features or {}), name, datasets.Image)
        # Left encoded, so that one broken picture is skipped by us instead of ending the stream.
        return stream.cast_column(column, datasets.Image(decode=False)), column
    except DataError:
        raise
    except Exception as error:  # the hub client raises its own, requests' and pyarrow's errors
        # of a split that is not there the client says so, in a ValueError
        kind = SplitError if isinstance(error, ValueError) and "split" in str(error) else DataError
        raise kind(
            f"cannot open hf:{name} split '{split}': {one_line(error)}; "
            "check the name, the split, the config and the network"
        ) from error


def _column(features: dict[str, Any], name: str, image_type: type) -> str:
    found = [key for key, feature in features.items() if isinstance(feature, image_type)]
    found += [key for key in COLUMNS if key in features]
    if not found:
        raise DataError(f"hf:{name} has no image column; its columns are {', '.join(features)}")
    return found[0]


def _items(stream: Any, column: str, name: str) -> Iterator[Item]:
    row = 0
    try:
        for example in stream:
            yield Item(f"hf:{name} row {row}", partial(_raw, example[column]))
            row += 1
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"the stream of hf:{name} broke after {row:,} rows: {one_line(error)}; try again"
        ) from error


def _raw(value: Any) -> Raw:
    """The picture in a cell; sets made of loose files give a path in place of the bytes."""
    if isinstance(value, dict) and value.get("bytes") is None and value.get("path"):
        import datasets

        image: Raw = datasets.Image().decode_example(value)
        return image
    return bytes_of(value)
