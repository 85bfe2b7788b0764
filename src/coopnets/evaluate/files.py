"""Cache files, written whole or not at all."""

import os
import secrets
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file under another name and rename it: a reader sees none or all of it.

    Args:
        file: where to; its folder is made if need be.
        content: what to write.

    Raises:
        OSError: the disk is full or may not be written; nothing is left behind.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, as two processes may write the same file at once.
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with fresh.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
