"""What the table says of itself, and its files."""

import json
from pathlib import Path
from typing import Any

import torch

from coopnets.complete.classic import CLASSIC
from coopnets.complete.classic.mrf import duality_gap
from coopnets.complete.latent import Search
from coopnets.config import to_dict
from coopnets.data import ImageData
from coopnets.model import CoopNets
from coopnets.report.settings import option, settings
from experiments.cells import write
from experiments.command import circumstances
from experiments.completion.cells import Cell, masks
from experiments.completion.jobs import Job
from experiments.completion.layout import Table, verdicts


def about(
    command: str, pair: CoopNets, other: CoopNets | None, images: ImageData, variant: str,
    search: Search, seed: int, cells: dict[int, list[Cell]],
) -> dict[str, Any]:  # fmt: skip
    """By name, all that a reader must know of the table.

    Args:
        command: that makes it.
        pair: whose columns stand under CoopNets.
        other: the DCGAN, if there is one.
        images: what was completed.
        variant: the completion by the pair that stands in the main table.
        search: how z was looked for.
        seed: of masks and chains.
        cells: by size of square.
    """
    found = {
        "command": f"`{command}`",
        "images": f"{len(images):,} of {Path(images.source).name}, split {images.split}",
        "hidden": "one square an image, all channels, any place alike; the same for all methods",
        "CoopNets": f"{variant}; {_trained(pair)}",
        "DCGAN": "left out" if other is None else _trained(other),
        "search": f"{search.starts} starts, {search.steps} steps, sigma {search.sigma}",
        "seed": seed,
        "intervals": "95 %, bootstrap over images, 10,000 resamples",
        "computing": f"{sum(c.seconds for row in cells.values() for c in row) / 60:.1f} minutes",
        **circumstances(pair.device),
    }
    if any("mrf-l1" in cell.scores for row in cells.values() for cell in row):
        gap = max(_gap(images, side, seed) for side in cells)
        found["MRF-L1"] = f"duality gap of the first image at most {gap:.1g} (0 is the minimum)"
    return found


def _gap(images: ImageData, side: int, seed: int) -> float:
    """The largest duality gap of MRF-L1 over the channels of the first image."""
    x = images.batch(torch.arange(1)).double()
    mask = masks(side, x.shape[-1], seed, 0, 1)
    hidden = mask[0, 0].numpy()
    y = CLASSIC["mrf-l1"](x, mask)[0].numpy()
    return max(abs(duality_gap(plane[hidden], plane, hidden)) for plane in y)


def _trained(model: CoopNets) -> str:
    """Preset, settings that are not its own, iterations and time."""
    minutes = model.about.get("seconds", 0.0) / 60
    words = [f"preset {model.config.preset}"]
    for row in settings(to_dict(model.config)):
        words += option(row) if row.changed and row.name != "method" else []
    return (
        f"{' '.join(words)}, {model.about.get('iteration', 0):,} iterations, {minutes:.0f} minutes"
    )


def rates(cells: dict[int, list[Cell]], work: list[Job], images: int) -> dict[str, float]:
    """Seconds an image by job, averaged over the sizes of square."""
    return {
        job.name: sum(row[i].seconds for row in cells.values()) / (images * len(cells))
        for i, job in enumerate(work)
    }


def save(
    out: Path, text: str, table: Table, about: dict[str, Any], rates: dict[str, float]
) -> None:
    """Write table.md and table.json."""
    rows = [
        {"measure": measure, "side": side, "column": column, "mean": found.mean,
         "95 %": [found.low, found.high]}
        for (measure, side, column), found in sorted(table.intervals.items())
    ]  # fmt: skip
    content = {
        "about": about, "rows": rows, "verdicts": verdicts(table),
        "without a network": verdicts(table, networks=False), "seconds_an_image": rates,
    }  # fmt: skip
    write(out / "table.md", text)
    write(out / "table.json", json.dumps(content, indent=1))
