"""From pictures still to be fetched to decoded rows: chosen, decoded in threads, watched."""

import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from coopnets.data.cache import Row
from coopnets.data.decode import reason
from coopnets.data.source import Contents, Item
from coopnets.errors import DataError

PROGRESS_SECONDS = 30.0
IN_FLIGHT = 8  # pictures per worker under way at once; bounds memory


def at_least_one(**asked: int | None) -> None:
    """Refuse numbers below one; None asks for nothing.

    Raises:
        DataError: one is, by its name.
    """
    for name, value in asked.items():
        if value is not None and value < 1:
            raise DataError(f"{name} is {value}; it must be at least 1")


def limited(contents: Contents, limit: int | None) -> Iterator[Item]:
    """Some of the pictures in their own order, the same ones every time.

    Not the first of them: folders are often sorted by class, and would give a single class.
    """
    if limit is None:
        return contents.items
    if contents.count is None:
        return itertools.islice(contents.items, limit)
    chosen = spread(contents.count, limit)
    return (item for i, item in enumerate(contents.items) if i in chosen)


def spread(count: int, limit: int) -> set[int]:
    """Which of ``count`` are taken: a smaller limit's are among a larger one's."""
    return set(np.random.default_rng(0).permutation(count)[:limit].tolist())


def decoded(items: Iterator[Item], decode_one: Callable[..., np.ndarray]) -> Generator[Row]:
    """Decodes in threads (Pillow releases the lock), giving results in the order of items."""

    def work(item: Item) -> Row:
        name = printable(item.name)
        try:
            return name, decode_one(item.load())
        except MemoryError:
            raise
        except Exception as error:  # a broken file can make Pillow raise almost anything
            return name, reason(error)

    workers = min(8, os.cpu_count() or 1)
    pending: deque[Future[Row]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= workers * IN_FLIGHT:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def watched(rows: Iterator[Row], strict: bool, say: Callable[[str], None]) -> Iterator[Row]:
    """Passes rows on, refuses broken ones if asked to, and tells how far a long build is."""
    last = time.monotonic()
    for count, (name, result) in enumerate(rows, 1):
        if strict and isinstance(result, str):
            raise refusal(name, result)
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            say(f"decoding: {count:,} images so far")
        yield name, result


def printable(name: str) -> str:
    """A file name, which may hold bytes that are no text, or a newline: neither can be printed."""
    return " ".join(name.encode("utf-8", "replace").decode().split("\n"))


def refusal(name: str, why: str) -> DataError:
    """The error for an unreadable file where none is allowed."""
    return DataError(f"cannot read {name}: {why}; remove or replace it, or allow skipping")
