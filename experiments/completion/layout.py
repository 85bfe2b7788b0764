"""The table in the layout of the paper, with intervals, and the published one beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coopnets.complete.scores import Interval, interval
from experiments.completion.cells import Cell
from experiments.completion.published import METHODS, PUBLISHED

TITLES = {
    "coopnets": "CoopNets", "dcgan": "DCGAN", "mrf-l1": "MRF-L1", "mrf-l2": "MRF-L2",
    **{f"inter-{i}": f"inter-{i}" for i in range(1, 6)},
    "biharmonic": "scikit-image", "telea": "OpenCV",
}  # fmt: skip
VARIANTS = ("both", "generator", "generator, plain", "descriptor")
"""Completions by the pair, one of which stands in the main table as CoopNets."""
MINIMUM = (
    "MRF-L1 and MRF-L2 of this run are solved to the exact minimum, and those published evidently "
    "were not: at its minimum MRF-L2 is inter-4, whose published figures are better."
)
DIGITS = {"error": 3, "psnr": 3, "ssim": 3}
UNITS = {"error": "error", "psnr": "PSNR (dB)", "ssim": "SSIM"}


@dataclass(frozen=True, eq=False)
class Table:
    """Intervals by measure, side and column, and each image's values."""

    intervals: dict[tuple[str, int, str], Interval]
    values: dict[tuple[str, int, str], np.ndarray]
    sides: tuple[int, ...]

    def rivals(self, networks: bool = True) -> list[str]:
        """The other columns of the paper that are there, in its order; also that of a network."""
        others = [m for m in METHODS[1:] if networks or m != "dcgan"]
        return [m for m in others if ("error", self.sides[0], m) in self.intervals]


def tabulate(cells: dict[int, list[Cell]], chosen: str) -> Table:
    """Means and intervals of all columns; the chosen variant of the pair stands as CoopNets."""
    values = {
        (measure, side, column): np.array(found)
        for side, row in cells.items()
        for cell in row
        for column, by_measure in cell.scores.items()
        for measure, found in by_measure.items()
    }
    for measure, side in {(m, s) for m, s, _ in values}:
        if (measure, side, chosen) in values:
            values[measure, side, "coopnets"] = values[measure, side, chosen]
    return Table({k: interval(v) for k, v in values.items()}, values, tuple(cells))


def markdown(table: Table, about: list[str], rates: dict[str, float]) -> str:
    """Everything as one document."""
    main = [c for c in TITLES if ("error", table.sides[0], c) in table.intervals]
    known = {c for _, _, c in table.intervals}
    variants = [c for c in (*VARIANTS, "dcgan", "dcgan, plain") if c in known]
    parts = [
        "# Completion", "", *about, "", "## This run", "", *_grid(table, main), "",
        "## As published", "", *_published(table.sides), "",
        "## CoopNets against the best other column of the paper", "", *_verdicts(table), "",
        "## CoopNets against the best column without a network, where the paper's second is", "",
        *_verdicts(table, networks=False), "",
        "## Variants of the networks' completions", "", *_grid(table, variants), "",
        "## Seconds an image", "", "| method | " + " | ".join(rates) + " |",
        "| --- |" + " ---: |" * len(rates),
        "| seconds | " + " | ".join(f"{v:.4f}" for v in rates.values()) + " |", "",
    ]  # fmt: skip
    return "\n".join(parts)


def _grid(table: Table, columns: Sequence[str]) -> list[str]:
    rows = [
        "| | | " + " | ".join(TITLES.get(c, c) for c in columns) + " |",
        "| --- | --- |" + " ---: |" * len(columns),
    ]
    for measure in UNITS:
        best = max if measure != "error" else min
        for side in table.sides:
            found = {c: table.intervals[measure, side, c] for c in columns}
            first = best(found, key=lambda c: found[c].mean)
            cells = [_cell(found[c], DIGITS[measure], c == first) for c in columns]
            rows.append(f"| {UNITS[measure]} | M{side} | " + " | ".join(cells) + " |")
    return rows


def _cell(found: Interval, digits: int, first: bool) -> str:
    mean = f"{found.mean:.{digits}f}"
    return (f"**{mean}**" if first else mean) + f" [{found.low:.3f}, {found.high:.3f}]"


def _published(sides: tuple[int, ...]) -> list[str]:
    if not {("error", side, "coopnets") for side in sides} & PUBLISHED.keys():
        return ["Nothing was published for squares of these sides."]
    rows = [
        "| | | " + " | ".join(TITLES[m] for m in METHODS) + " |",
        "| --- | --- |" + " ---: |" * len(METHODS),
    ]
    for measure in ("error", "psnr"):
        for side in (s for s in sides if ("error", s, "coopnets") in PUBLISHED):
            cells = [f"{PUBLISHED[measure, side, m]:.3f}" for m in METHODS]
            rows.append(f"| {UNITS[measure]} | M{side} | " + " | ".join(cells) + " |")
    return [*rows, "", MINIMUM]


def verdicts(table: Table, networks: bool = True) -> list[dict[str, Any]]:
    """For each row: the best other column, the margin, and whether it is beyond chance.

    Without ``networks`` DCGAN is passed over; the published one was the last but one.

    ``ahead`` means that the mean of CoopNets is outside the other's interval, on the better
    side; ``difference`` is the interval of the difference image by image.
    """
    found = []
    for measure, sign in (("error", 1), ("psnr", -1)):
        for side in table.sides:
            if ("error", side, "coopnets") not in table.intervals or not table.rivals(networks):
                continue
            second = min(
                table.rivals(networks), key=lambda c: sign * table.intervals[measure, side, c].mean
            )
            ours, theirs = (table.intervals[measure, side, c] for c in ("coopnets", second))
            bound = theirs.low if sign == 1 else theirs.high
            pairs = table.values[measure, side, second] - table.values[measure, side, "coopnets"]
            margin = sign * (theirs.mean - ours.mean)
            found.append({
                "measure": measure, "side": side, "second": second,
                "margin": margin / theirs.mean if measure == "error" else margin,
                "ahead": bool(sign * ours.mean < sign * bound),
                "difference": list(interval(sign * pairs)),
                "published margin": _published_margin(measure, side, sign),
            })  # fmt: skip
    return found


def _published_margin(measure: str, side: int, sign: int) -> float | None:
    """The same of the published table: relative for the error, in dB for PSNR."""
    if (measure, side, "coopnets") not in PUBLISHED:
        return None
    ours = PUBLISHED[measure, side, "coopnets"]
    theirs = sign * min(sign * PUBLISHED[measure, side, m] for m in METHODS[1:])
    return (theirs - ours) / theirs if measure == "error" else ours - theirs


def _verdicts(table: Table, networks: bool = True) -> list[str]:
    rows = [
        "| | | second | margin | published margin | outside its interval | difference by image |",
        "| --- | --- | --- | ---: | ---: | --- | --- |",
    ]
    for v in verdicts(table, networks):
        error = v["measure"] == "error"
        margin, published = (
            "" if m is None else f"{100 * m:.1f} %" if error else f"{m:.3f} dB"
            for m in (v["margin"], v["published margin"])
        )
        mean, low, high = v["difference"]
        rows.append(
            f"| {UNITS[v['measure']]} | M{v['side']} | {TITLES[v['second']]} | {margin} | "
            f"{published} | {'yes' if v['ahead'] else 'no'} | "
            f"{mean:.4f} [{low:.4f}, {high:.4f}] |"
        )
    return rows
