"""What a run logged, as columns of numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coopnets.runfolder import RunFolder

Column = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """The log of a run: lines of numbers, and events between them."""

    lines: list[dict[str, Any]]
    events: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: RunFolder) -> "History":
        """The log of a run; lines that are none (a killed run leaves such) are left out."""
        found = [m for m in folder.metrics() if isinstance(m, dict) and "iteration" in m]
        return cls([m for m in found if "event" not in m], [m for m in found if "event" in m])

    def divergences(self) -> list[dict[str, Any]]:
        """The events at which training ran away and was rolled back."""
        return [event for event in self.events if event["event"] == "diverged"]

    def column(self, key: str) -> Column:
        """A number of every line; NaN where it is missing or not finite."""
        column = np.array([_number(line.get(key)) for line in self.lines], dtype=np.float64)
        column[~np.isfinite(column)] = np.nan
        return column

    def has(self, *keys: str) -> bool:
        """Whether each key has at least one finite number."""
        return all(bool(np.isfinite(self.column(key)).any()) for key in keys)

    def keys(self) -> list[str]:
        """All keys with a finite number, in the order of their first appearance."""
        seen = dict.fromkeys(key for line in self.lines for key in line)
        return [key for key in seen if self.has(key)]

    def middle(self, key: str) -> float:
        """Median over all lines, NaN without any."""
        return median(self.column(key))

    def last(self, key: str, default: float = 0.0) -> float:
        """The latest finite number of a key."""
        column = self.column(key)
        finite = column[np.isfinite(column)]
        return float(finite[-1]) if len(finite) else default


def median(values: Column) -> float:
    """Median of the finite values, NaN without any."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
