"""evaluation.json: every evaluation of a run, one record for each source of samples."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coopnets.errors import RunError
from coopnets.runfolder import EVALUATION, rewrite


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The records in a folder's evaluation.json, oldest first; none if there is no file.

    Raises:
        RunError: the file is damaged, or may not be read.
    """
    file = folder / EVALUATION
    try:
        records = json.loads(file.read_text())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read ({error}): move it away to start a new one") from (
            error
        )
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise RunError(f"{file} is no list of records: move it away to start a new one")
    return records


def append_records(folder: Path, records: Sequence[dict[str, Any]]) -> Path:
    """Add records to a folder's evaluation.json; the file is replaced whole or not at all.

    Raises:
        RunError: the file is damaged, or cannot be written.
    """
    file = folder / EVALUATION
    with _alone(folder):
        rewrite(file, [json.dumps([*read_records(folder), *records], indent=1)])
    return file


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second evaluation from reading before this one has written."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
