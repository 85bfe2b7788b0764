"""Contact sheets, moving pictures of what was synthesised, and the spectra."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from coopnets.clipfiles import write_clips
from coopnets.data import to_unit
from coopnets.errors import CoopNetsError
from coopnets.pictures import contact_sheet
from dynamic.systems import Drawn, load_clips
from dynamic.work import SYSTEMS
from experiments.cells import Result

ROWS = {
    "original": "original", "revised": "CoopNets", "generator": "generator",
    "lds": "linear system", "reconstructed-generator": "reconstruction",
}  # fmt: skip
STYLES = {
    "itself": ("original", "black"), "revised": ("CoopNets", "tab:blue"),
    "generator": ("its generator alone", "tab:cyan"), "lds": ("linear system", "tab:red"),
}  # fmt: skip
FRAMES = 8
PANELS = 3
"""Spectra in a row."""


def draw_clip(folder: Path, original: Tensor | None, file: Path) -> None:
    """One row for each system: frames spread over its first sample, and a slice along time.

    The slice has the middle row of pixels of every frame, one below the other, the first on top:
    what stands still is a vertical stripe.

    Args:
        folder: of the clip.
        original: uint8 (C, T, H, W), or None where it may not be shown.
        file: the figure, a PNG.
    """
    shown = {} if original is None else {"original": original}
    shown |= {name: clip for name, clip in _clips(folder).items() if name in ROWS}
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
        frames.set_ylabel(ROWS[name], fontsize=8)
        if i == 0:
            frames.set_title(f"{FRAMES} of {clip.shape[1]} frames", fontsize=8)
            slices.set_title("middle row over time", fontsize=8)
    _save(figure, file)


def write_moving(folder: Path, fps: float, out: Path, name: str) -> None:
    """GIFs of what was synthesised: clips of the length learnt, side by side, and the loop.

    Args:
        folder: of the clip.
        fps: frames a second.
        out: where to.
        name: of the files.
    """
    drawn = {system: load_clips(folder / f"{system}.npz") for system in SYSTEMS}
    for system in ("revised", "lds"):
        _gif(drawn[system]["clips"][:2], fps, out / f"{name}-{system}.gif")
    if (loop := drawn["revised"].get("loop")) is not None:
        _gif(loop[None], fps, out / f"{name}-loop.gif")
    if (long := drawn["revised"].get("long")) is not None:
        _gif(long[None], fps, out / f"{name}-long.gif")


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
        for system, (title, colour) in STYLES.items():
            curves = torch.tensor([entry["curve"] for entry in row["measured"][system]])
            frequencies = torch.linspace(0, row["clip"]["fps"] / 2, curves.shape[1] + 1)[1:]
            axes.plot(frequencies, curves.mean(0), color=colour, label=title, linewidth=1.4)
        axes.set_yscale("log")
        energies = [
            sum(e["energy"] for e in row["measured"][s]) / len(row["measured"][s])
            for s in ("revised", "lds")
        ]
        told = f"energy {energies[0]:.2f}, linear system {energies[1]:.2f}"
        axes.set_title(f"{row['name']}\n{told}", fontsize=8)
        axes.set_xlabel("Hz", fontsize=7)
        if i % columns == 0:
            axes.set_ylabel("power per cycle a frame", fontsize=7)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=7)
    figure.tight_layout()
    _save(figure, file)


def _clips(folder: Path) -> Drawn:
    """The first sample of each system, and the reconstruction."""
    found = {system: load_clips(folder / f"{system}.npz")["clips"][0] for system in SYSTEMS}
    again = load_clips(folder / "reconstructed-generator.npz")["clip"]
    return found | {"reconstructed-generator": again}


def _gif(clips: Tensor, fps: float, file: Path) -> None:
    write_clips([to_unit(clips)], len(clips), file, fps, columns=len(clips), say=lambda _: None)


def _panel(axes: Axes, pixels: Tensor) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    picture = pixels if len(pixels) == 3 else pixels.expand(3, -1, -1)
    axes.imshow(picture.permute(1, 2, 0).numpy(), interpolation="nearest")


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"unfinished-{file.name}")
    try:
        figure.savefig(unfinished)
        unfinished.replace(file)
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error
