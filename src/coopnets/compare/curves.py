"""Quality against training time, as a picture."""

from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from coopnets.compare.plan import ROWS

INK, GRID = "#7d7d83", "#8a8a9040"
"""Of middle brightness: the picture stands on light and on dark pages."""
COLOURS = dict(
    zip(ROWS.values(),
        ("#8a5fb0", "#c9902a", "#2f9a74", "#5f9ea8", "#a0708a", "#e07a2e", "#3b7dd8"),
        strict=True)
)  # fmt: skip
OURS = 2.4
OTHERS = 1.5
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "coopnets", "font.size": 11}
ROUND = (1, 2, 5, 10)
Outcome = dict[str, Any]


def draw_curves(outcome: Outcome) -> str:
    """The Frechet and the kernel distance of each row over time, as an SVG document.

    Args:
        outcome: as in table.json.
    """
    names, count = outcome["features"]["names"], outcome["comparison"]["curve_samples"]
    with mpl.rc_context(STYLE):
        figure = Figure((9.6, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, key in ((left, "frechet"), (right, "kernel")):
            _panel(axes, outcome, names[key])
        lines = left.get_legend_handles_labels()
        figure.suptitle(f"{count:,} samples at each moment; lower is better", color=INK, size=11)
        if lines[0]:
            figure.legend(
                *lines, loc="outside lower center", ncols=4 + (len(lines[0]) == 5),
                frameon=False, labelcolor=INK,
            )  # fmt: skip
        stream = StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def _panel(axes: Axes, outcome: Outcome, score: str) -> None:
    """One score of every row over time."""
    unit, divisor = _unit(outcome["comparison"]["max_time"])
    values: list[float] = []
    for curve in outcome["curves"]:
        points = [p for p in curve["points"] if score in p["scores"]]
        if not points:
            continue
        t = [p["training_seconds"] / divisor for p in points]
        y = [p["scores"][score] for p in points]
        ours = curve["method"] == "coopnets"
        axes.plot(
            t, y, color=COLOURS[curve["row"]], label=curve["row"], marker="o", markersize=4,
            linewidth=OURS if ours else OTHERS, zorder=3 if ours else 2,
        )  # fmt: skip
        values += y
    axes.set_title(score, color=INK, size=12)
    axes.set_xlabel(f"{unit} of training", color=INK)
    axes.set_xlim(left=0)
    if values and min(values) > 0:
        _logarithmic(axes, max(values) / min(values))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND))
    axes.grid(color=GRID, linewidth=0.8)
    axes.tick_params(colors=INK, length=0, which="both")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _logarithmic(axes: Axes, ratio: float) -> None:
    """Equal ratios look equal: a method twice as good is as far below wherever it stands."""
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    if ratio < np.sqrt(10):  # less than a tick apart
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=ROUND))
    else:
        subs = (1.0, 2.0, 3.0, 5.0, 7.0) if ratio < 10 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=12))


def _unit(seconds: float) -> tuple[str, float]:
    if seconds >= 4 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if seconds >= 4 * 60 else ("seconds", 1.0)
