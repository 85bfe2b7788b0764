"""Distance from the held-out photos over the number of training images, a panel for each scene."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.cells import Result, save_figure

STYLES = {"CoopNets descriptor": "o-", "CoopNets generator": "o--", "DCGAN": "s-",
          "training images": "k:"}  # fmt: skip


def draw_curves(rows: Sequence[Result], file: Path) -> None:
    """Frechet distance of every method, and of the training images themselves, as SVG.

    Args:
        rows: those of the table.
        file: the figure.

    Raises:
        CoopNetsError: it cannot be written.
    """
    scenes = list(dict.fromkeys(row["scene"] for row in rows))
    figure = Figure(figsize=(3.4 * len(scenes) + 0.6, 3.2))
    panels = figure.subplots(1, len(scenes), sharey=True, squeeze=False)[0]
    for axes, scene in zip(panels, scenes, strict=True):
        for name, style in STYLES.items():
            points = sorted(curve([row for row in rows if row["scene"] == scene], name))
            axes.plot([x for x, _ in points], [y for _, y in points], style, label=name, ms=4)
        axes.set_xscale("log")
        ticks = sorted({row["images"] for row in rows if row["scene"] == scene})
        axes.set_xticks(ticks, [f"{n:,}" for n in ticks], fontsize=7)
        axes.minorticks_off()
        axes.set_title(scene, fontsize=9)
        axes.set_xlabel("training images", fontsize=8)
    panels[0].set_ylabel(rows[0]["names"]["frechet"], fontsize=8)
    panels[-1].legend(fontsize=7)
    figure.tight_layout()
    save_figure(figure, file)


def curve(rows: Sequence[Result], name: str) -> list[tuple[int, float]]:
    """(training images, distance) of a method, or of the training images, where there is one."""
    found = []
    for row in rows:
        scores = row["floor"] if name == "training images" else row["rows"][name]["scores"]
        if scores is not None:
            found.append((row["images"], float(scores[row["names"]["frechet"]])))
    return found
