"""Contact sheets, moving pictures of what was synthesised, and the spectra."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from coopnets.clipfiles import write_clips
from coopnets.data import to_unit
from coopnets.pictures import contact_sheet
from dynamic.layout import titled
from dynamic.systems import load_clips
from experiments.cells import Result, save_figure

COLOURS = {"itself": "black", "revised": "tab:blue", "generator": "tab:cyan"}
WARM = ("tab:red", "tab:orange", "tab:pink", "tab:brown")
LINES = list(product(("-", "--", ":", "-."), WARM))
"""Of the linear systems, which begin anew where there are more."""
FRAMES = 8
PANELS = 3
"""Spectra in a row, and loops."""


def draw_clip(systems: Sequence[str], folder: Path, original: Tensor | None, file: Path) -> None:
    """One row for each system: frames spread over its first sample, and a slice along time; then
    the reconstruction.

    The slice has the middle row of pixels of every frame, one below the other, the first on top:
    what stands still is a vertical stripe.

    Args:
        systems: those that drew clips.
        folder: of the clip.
        original: uint8 (C, T, H, W), or None where it may not be shown.
        file: the figure, a PNG.
    """
    shown = {} if original is None else {"original": original}
    shown |= {titled(s): load_clips(folder / f"{s}.npz")["clips"][0] for s in systems}
    shown["reconstruction"] = load_clips(folder / "reconstructed-generator.npz")["clip"]
    widths = [FRAMES, 1]
    figure = Figure(figsize=(1.25 * sum(widths), 1.25 * len(shown) + 0.3), dpi=130)
    grid = figure.add_gridspec(
        len(shown), 2, width_ratios=widths, wspace=0.03, hspace=0.06,
        left=0.03, right=0.99, bottom=0.01, top=1 - 0.3 / (1.25 * len(shown) + 0.3),
    )  # fmt: skip
    for i, (name, clip) in enumerate(shown.items()):
        frames, slices = (figure.add_subplot(grid[i, k]) for k in range(2))
        _panel(frames, contact_sheet(to_unit(clip)[None], FRAMES))
        _panel(slices, clip[:, :, clip.shape[2] // 2])
        frames.set_ylabel(name.replace(", ", ",\n"), fontsize=7)
        if i == 0:
            frames.set_title(f"{FRAMES} of {clip.shape[1]} frames", fontsize=8)
            slices.set_title("middle row over time", fontsize=8)
    save_figure(figure, file)


def write_moving(systems: Sequence[str], folder: Path, fps: float, out: Path, name: str) -> None:
    """GIFs of what was synthesised: clips of the length learnt, side by side, and the loop.

    Args:
        systems: those whose clips are written.
        folder: of the clip.
        fps: frames a second.
        out: where to.
        name: of the files.
    """
    for system in systems:
        drawn = load_clips(folder / f"{system}.npz")
        _gif(drawn["clips"][:2], fps, out / f"{name}-{system}.gif")
        for kind in ("loop", "long"):
            if system == "revised" and kind in drawn:
                _gif(drawn[kind][None], fps, out / f"{name}-{kind}.gif")


def write_loops(rows: Sequence[Result], out: Path, file: Path) -> None:
    """One GIF of the loops of every clip by the descriptor's revision, side by side.

    Args:
        rows: of the table; a failed training has no loop.
        out: folder of the experiment.
        file: the GIF, at the rate of the fastest clip.
    """
    shown = [row for row in rows if not row["failed"]]
    drawn = [load_clips(out / row["name"] / "revised.npz") for row in shown]
    if loops := [clips["loop"] for clips in drawn if "loop" in clips]:
        fps = max(row["clip"]["fps"] for row in shown)
        _gif(torch.stack(loops), fps, file, columns=min(PANELS, len(loops)))


def draw_spectra(rows: Sequence[Result], file: Path) -> None:
    """Power over frequency of the original and of every system, the mean over samples."""
    rows = [row for row in rows if not row["failed"]]
    if not rows:
        return
    columns = min(PANELS, len(rows))
    count = -(-len(rows) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.9 * count), dpi=110)
    for i, row in enumerate(rows):
        axes = figure.add_subplot(count, columns, i + 1)
        lines = {system: ("-", colour) for system, colour in COLOURS.items()}
        lines |= {system: LINES[k % len(LINES)] for k, system in enumerate(row["linear"])}
        for system, (style, colour) in lines.items():
            curves = torch.tensor([entry["curve"] for entry in row["measured"][system]])
            frequencies = torch.linspace(0, row["clip"]["fps"] / 2, curves.shape[1] + 1)[1:]
            axes.plot(
                frequencies, curves.mean(0), style, color=colour, label=_label(system),
                linewidth=1.4,
            )  # fmt: skip
        axes.set_yscale("log")
        axes.set_title(row["name"], fontsize=8)
        axes.set_xlabel("Hz", fontsize=7)
        if i % columns == 0:
            axes.set_ylabel("power per cycle a frame", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=7)
    figure.tight_layout()
    save_figure(figure, file)


def _label(system: str) -> str:
    return "original" if system == "itself" else titled(system)


def _gif(clips: Tensor, fps: float, file: Path, columns: int | None = None) -> None:
    columns = columns or len(clips)
    write_clips([to_unit(clips)], len(clips), file, fps, columns=columns, say=lambda _: None)


def _panel(axes: Axes, pixels: Tensor) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    picture = pixels if len(pixels) == 3 else pixels.expand(3, -1, -1)
    axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")
