"""What every source of pictures boils down to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from coopnets.data.decode import Raw


class Item(NamedTuple):
    """One picture: its name for messages, and how to fetch it (run in a worker thread)."""

    name: str
    load: Callable[[], Raw]


@dataclass(frozen=True)
class Contents:
    """Pictures in a fixed order, fetched one by one; count is None where a stream hides it."""

    items: Iterator[Item]
    count: int | None


@dataclass(frozen=True)
class Source:
    """A set of pictures that is cheap to identify and is opened only if its cache is missing.

    Attributes:
        identity: Changes whenever the pictures do; part of the cache key.
        open: Gives the pictures; raises DataError if there are none.
    """

    identity: tuple[str, ...]
    open: Callable[[], Contents]


def one_line(error: BaseException) -> str:
    """The message of a foreign error on one line, for the tail of ours."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "..."
