"""Curves as SVG that takes its colours from the page, and so follows light and dark."""

import math
import re
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from coopnets.report.explain import Scale
from coopnets.report.history import Column
from coopnets.report.text import number

SIZE = (6.4, 3.2)
BINS = 240
"""Points of a curve at most; of more lines, means and the range around them are drawn."""
FEW = 12
ROUND = (1, 2, 5, 10)
WIDE = 30.0
"""Ratio of largest to smallest value from which ``auto`` is logarithmic."""

# Colours that stand for variables of the page's style sheet.
INK, GRID, ALARM = "#010101", "#020202", "#030303"
COLOURS = ("#040401", "#040402", "#040403", "#040404", "#040405", "#040406")
VARIABLES = {INK: "muted", GRID: "grid", ALARM: "alarm"} | {
    colour: f"c{i + 1}" for i, colour in enumerate(COLOURS)
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "coopnets",
    "path.simplify": True,
    "font.size": 11,
}


@dataclass(frozen=True)
class Binned:
    """A curve reduced to what can be seen: means, and the range around each."""

    t: Column
    mean: Column
    low: Column
    high: Column


def binned(t: Column, values: Column, bins: int = BINS) -> Binned:
    """Means over at most ``bins`` stretches of the log, missing values left out."""
    known = np.isfinite(values)
    t, values = t[known], values[known]
    parts = min(bins, len(t))
    if not parts:
        return Binned(t, values, values, values)
    starts = np.linspace(0, len(t), parts, endpoint=False).astype(int)
    counts = np.diff(np.append(starts, len(t)))
    return Binned(
        np.add.reduceat(t, starts) / counts,
        np.add.reduceat(values, starts) / counts,
        np.minimum.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
    )


def draw(
    t: Column,
    columns: list[Column],
    scale: Scale,
    *,
    events: list[float],
    mark: float | None = None,
) -> str:
    """Draw columns over iterations.

    Args:
        t: iteration of each line of the log.
        columns: one or more curves; for ``shares`` the parts that are stacked.
        scale: of the value axis.
        events: iterations to mark with a vertical line.
        mark: value to mark with a dotted horizontal line.

    Returns:
        An ``<svg>`` element.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(SIZE)
        axes = figure.add_axes((0.12, 0.115, 0.86, 0.845))
        if scale == "shares":
            _stack(axes, t, columns)
        else:
            logarithmic = scale == "log" or (scale == "auto" and _wide(columns))
            _lines(axes, t, columns, logarithmic)
            if mark is not None:
                axes.axhline(mark, color=INK, linewidth=1, linestyle=(0, (1, 2.5)))
            _value_axis(axes, logarithmic)
        for event in events:
            axes.axvline(event, color=ALARM, linewidth=1.2, linestyle=(0, (4, 2)))
        _frame(axes, t, events)
        return _svg(figure)


def _lines(axes: Axes, t: Column, columns: list[Column], logarithmic: bool) -> None:
    for colour, column in zip(COLOURS, columns, strict=False):
        values = np.where(column > 0, column, np.nan) if logarithmic else column
        curve = binned(t, values)
        if len(values) > BINS:
            axes.fill_between(curve.t, curve.low, curve.high, color=colour, alpha=0.2, lw=0)
        marker = "o" if len(curve.t) <= FEW else ""
        axes.plot(curve.t, curve.mean, color=colour, linewidth=1.7, marker=marker, markersize=4)
    if logarithmic:
        axes.set_yscale("log")
    elif window := _settled(columns):
        axes.set_ylim(*window)


def _settled(columns: list[Column]) -> tuple[float, float] | None:
    """Bounds that hold all but the first tenth, where that start would dwarf the rest."""
    rest = np.concatenate([column[len(column) // 10 :] for column in columns])
    everything = np.concatenate(columns)
    rest, everything = rest[np.isfinite(rest)], everything[np.isfinite(everything)]
    if not len(rest) or np.ptp(everything) < 5 * np.ptp(rest) or not np.ptp(rest):
        return None
    margin = 0.08 * np.ptp(rest)
    return float(rest.min() - margin), float(rest.max() + margin)


def _stack(axes: Axes, t: Column, parts: list[Column]) -> None:
    curves = [binned(t, np.nan_to_num(part)) for part in parts]
    total = np.maximum(np.sum([curve.mean for curve in curves], 0), 1e-12)
    shares = [100 * curve.mean / total for curve in curves]
    axes.stackplot(curves[0].t, *shares, colors=COLOURS[: len(parts)], alpha=0.85, linewidth=0)
    axes.set_ylim(0, 100)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g} %"))


def _wide(columns: list[Column]) -> bool:
    values = np.concatenate(columns)
    values = values[np.isfinite(values)]
    return len(values) > 0 and values.min() > 0 and bool(values.max() / values.min() > WIDE)


def _value_axis(axes: Axes, logarithmic: bool) -> None:
    low, high = axes.get_ylim()
    if logarithmic:
        decades = math.log10(high / low)
        subs = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.5 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axes.yaxis.set_minor_locator(NullLocator())
        if decades < 0.5:  # less than a tick apart: ticks as on a linear axis
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))


def _frame(axes: Axes, t: Column, events: list[float]) -> None:
    first, last = min([t[0], *events]), max([t[-1], *events])
    margin = (last - first) * 0.02 or 1.0
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, pad=5)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GRID)


def _svg(figure: Figure) -> str:
    stream = StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=metadata)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # Inline SVG needs no name spaces, and a fixed size would not fit a phone.
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text.strip()
