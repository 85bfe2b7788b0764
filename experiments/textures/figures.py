"""Pictures side by side: one figure for each texture, and one of all of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.functional import center_crop
from torchvision.utils import make_grid

from coopnets.pictures import save_grid
from experiments.cells import Result, save_figure
from experiments.textures.layout import TITLES, distance
from experiments.textures.measures import SIDES
from experiments.textures.work import OURS, pictures

COLUMNS = ("original", "descriptor", "generator", "ps", "noise")
PANEL = 2.2
"""Inches of a picture."""
MIDDLE, ACROSS = 160, 6
"""Pixels of each picture in the sheet of all, and how many stand side by side."""


def draw_texture(found: Result, folder: Path, file: Path, originals: bool = True) -> None:
    """One texture: original | ours | its generator | Portilla-Simoncelli | noise, then a tile laid
    two by two, and a picture of twice the side.

    Args:
        found: what was measured.
        folder: where the pictures are.
        file: the figure, a PNG.
        originals: show the original even if it may not be published.
    """
    shown = _shown(found, folder, originals)
    more = pictures(folder, ("tile", "large")) if "training" in found else {}
    figure = Figure(figsize=(PANEL * len(COLUMNS), PANEL * (3.4 if more else 1.2)), dpi=120)
    rows = figure.add_gridspec(2 if more else 1, 1, height_ratios=[1, 2.2] if more else [1])
    upper = rows[0].subgridspec(1, len(COLUMNS))
    for i, name in enumerate(COLUMNS):
        axes = figure.add_subplot(upper[i])
        _panel(axes, shown.get(name), _caption(found, name), _absence(found, name))
    if more:
        lower = rows[1].subgridspec(1, 2)
        titles = {"tile": "a tile, laid two by two", "large": "twice the side"}
        for i, (name, pixels) in enumerate(more.items()):
            laid = pixels.tile(1, 2, 2) if name == "tile" else pixels
            _panel(figure.add_subplot(lower[i]), laid, titles[name])
    figure.suptitle(found["name"], fontsize=9)
    figure.tight_layout()
    save_figure(figure, file)


def draw_all(rows: Sequence[Result], out: Path, file: Path, originals: bool = True) -> None:
    """Every texture in a row: original | ours | Portilla-Simoncelli | noise."""
    columns = [name for name in COLUMNS if name != "generator"]
    size = (PANEL * len(columns) + 0.4, PANEL * 1.14 * len(rows))
    figure = Figure(figsize=size, dpi=90)
    for row, found in enumerate(rows):
        shown = _shown(found, out / found["name"], originals)
        for column, name in enumerate(columns):
            axes = figure.add_subplot(len(rows), len(columns), row * len(columns) + column + 1)
            _panel(axes, shown.get(name), _caption(found, name), _absence(found, name))
            if column == 0:
                axes.set_ylabel(found["name"], fontsize=7)
    figure.tight_layout()
    save_figure(figure, file)


def draw_synthesised(rows: Sequence[Result], out: Path, file: Path) -> None:
    """The middle of what was synthesised of each texture, pixel by pixel, in order of the rows."""
    made = [pictures(out / row["name"], ("descriptor",)).get("descriptor") for row in rows]
    middles = [center_crop(x.expand(3, -1, -1), [MIDDLE, MIDDLE]) for x in made if x is not None]
    if middles:
        save_grid(make_grid(torch.stack(middles), nrow=ACROSS, padding=4, pad_value=255), file)


def _shown(found: Result, folder: Path, originals: bool) -> dict[str, Tensor]:
    names = [n for n in COLUMNS if n != "original" or originals or found["shown"]]
    return pictures(folder, [n for n in names if n == "original" or n in found["measured"]])


def _caption(found: Result, name: str) -> str:
    if name == "original":
        return "original"
    values = [distance(found, name, side) for side in SIDES]
    told = " / ".join("–" if v is None else f"{v:.0f}" for v in values)
    ended = " (gave up)" if name in OURS and found["failed"] else ""
    return f"{TITLES[name]}{ended}\n{told}"


def _absence(found: Result, name: str) -> str:
    """Why there is no picture, if there is none."""
    if name == "original":
        return "not shown"
    failed = found["failed"] if name in OURS else found.get(f"{name}_failed")
    return "failed" if failed else "not made"


def _panel(axes: Axes, pixels: Tensor | None, title: str, absent: str = "") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=7)
    if pixels is None:
        axes.text(0.5, 0.5, absent, ha="center", va="center", fontsize=7,
                  transform=axes.transAxes)  # fmt: skip
        axes.set_aspect(1)
        return
    picture = pixels if len(pixels) == 3 else pixels.expand(3, -1, -1)
    axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
