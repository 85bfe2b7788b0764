"""The command: trained runs and held-out images in, the table out."""

import json
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
import tyro

from coopnets.complete.classic import CLASSIC
from coopnets.complete.classic.mrf import duality_gap
from coopnets.complete.latent import Search
from coopnets.config import to_dict
from coopnets.data import ImageData, open_images, to_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate.provenance import provenance
from coopnets.model import CoopNets
from coopnets.pictures import grid, save_grid
from coopnets.report.settings import option, settings
from experiments.command import say
from experiments.completion import jobs
from experiments.completion.cells import SHOWN, Cell, compute, masks, pictures
from experiments.completion.layout import Table, markdown, tabulate, verdicts
from experiments.completion.published import SIDES

Variant = Literal["both", "generator", "generator, plain", "descriptor"]


def make_table(
    run: str,
    images: str,
    out: Path,
    dcgan: str | None = None,
    split: str = "test",
    limit: int | None = 1000,
    sides: tuple[int, ...] = SIDES,
    coopnets: Variant = "both",
    steps: int = 60,
    starts: int = 4,
    sigma: float | None = None,
    langevin_steps: int | None = None,
    descriptor: bool = False,
    classics: tuple[str, ...] = tuple(CLASSIC),
    shown: tuple[str, ...] = (),
    seed: int = 0,
    data_dir: Path | None = None,
    device: str = "auto",
) -> int:
    """Complete held-out images with a hidden square, by all methods, and compare.

    Repeating the command goes on where it was stopped, and makes anew what depends on a
    setting that has changed.

    Args:
        run: run folder of a pair.
        images: held-out images: a name, a folder or zip, ...
        out: folder for table.md, table.json, a sheet for each size of square, and cells.
        dcgan: run folder of a DCGAN; without it that column is left out.
        split: part of the data; train for a folder or zip that holds held-out images alone.
        limit: how many images.
        sides: of the hidden squares.
        coopnets: which completion by the pair stands in the main table.
        steps: Langevin steps of the latent vector, for both generators.
        starts: latent vectors to start at.
        sigma: standard deviation of what a generator leaves unexplained; by default its run's.
        langevin_steps: steps of revision by the descriptor.
        descriptor: also complete by the descriptor alone, a column among the variants.
        classics: methods without a model.
        shown: columns of the sheets, as sheet-30.txt names them; by default all.
        seed: of masks and chains.
        data_dir: where named data sets are downloaded to.
        device: cpu, cuda, ...; auto takes an accelerator if there is one.
    """
    pair = CoopNets.from_pretrained(run, device)
    other = None if dcgan is None else CoopNets.from_pretrained(dcgan, device)
    jobs.check_runs(pair, other)
    if unknown := sorted(set(classics) - set(CLASSIC)):
        raise CoopNetsError(f"--classics {unknown[0]}: choose among {', '.join(CLASSIC)}")
    c = pair.config
    if not sides or not 1 <= min(sides) <= max(sides) < c.size:
        raise CoopNetsError(f"--sides must be 1 to {c.size - 1}")
    opened = open_images(
        images, size=c.size, channels=c.image_channels, crop=c.crop, split=split, limit=limit,
        data_dir=data_dir, say=say,
    )  # fmt: skip
    search = Search(steps=steps, starts=starts, sigma=sigma)
    work = [jobs.classic(name) for name in classics]
    if descriptor or coopnets == "descriptor":
        work.append(jobs.descriptor(pair, langevin_steps, seed))
    work.append(jobs.pair(pair, search, langevin_steps, seed))
    if other is not None:
        work.append(jobs.dcgan(other, search, seed))
    if unknown := sorted(set(shown) - {column for job in work for column in job.columns}):
        raise CoopNetsError(f"--shown {unknown[0]}: there is no such column here")
    began, cells = time.perf_counter(), dict[int, list[Cell]]()
    for side in sides:
        cells[side] = [
            compute(job, opened, side, seed, out / "cells", pair.device, say) for job in work
        ]
        _save_sheet(out / f"sheet-{side}.png", opened, side, seed, out / "cells", work, shown)
    found = tabulate(cells, coopnets)
    rates = _rates(cells, work, len(opened))
    about = _about(pair, other, opened, coopnets, search, seed, cells)
    if "mrf-l1" in classics:
        gap = max(_gap(opened, side, seed) for side in sides)
        about["MRF-L1"] = f"duality gap of the first image at most {gap:.1g} (0 is the minimum)"
    about["seconds of this call"] = round(time.perf_counter() - began, 1)
    text = markdown(found, [f"- {k}: {v}" for k, v in about.items()], rates)
    _write(out, text, found, about, rates)
    print(text)
    print(out / "table.md")
    return 0


def command(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    try:
        return tyro.cli(make_table, args=argv, prog="python -m experiments.completion")
    except CoopNetsError as error:
        print(f"completion: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("completion: interrupted; repeat the command to go on", file=sys.stderr)
        return 130


def _about(
    pair: CoopNets, other: CoopNets | None, images: ImageData, variant: str, search: Search,
    seed: int, cells: dict[int, list[Cell]],
) -> dict[str, Any]:  # fmt: skip
    made = provenance(pair.device)
    told = {
        "command": shlex.join(["python", "-m", "experiments.completion", *sys.argv[1:]]),
        "images": f"{len(images):,} of {Path(images.source).name}, split {images.split}",
        "hidden": "one square an image, all channels, any place alike; the same for all methods",
        "CoopNets": f"{variant}; {_trained(pair)}",
        "DCGAN": "left out" if other is None else _trained(other),
        "search": f"{search.starts} starts, {search.steps} steps",
        "seed": seed,
        "intervals": "95 %, bootstrap over images, 10,000 resamples",
        "computing": f"{sum(c.seconds for row in cells.values() for c in row) / 60:.1f} minutes",
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
    }
    return {**told, **made, "machine": ", ".join(f"{k} {v}" for k, v in made["machine"].items())}


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


def _rates(cells: dict[int, list[Cell]], work: list[jobs.Job], images: int) -> dict[str, float]:
    """Seconds an image by job, averaged over the sizes of square."""
    return {
        job.name: sum(row[i].seconds for row in cells.values()) / (images * len(cells))
        for i, job in enumerate(work)
    }


def _save_sheet(
    file: Path, images: ImageData, side: int, seed: int, folder: Path, work: list[jobs.Job],
    shown: tuple[str, ...],
) -> None:  # fmt: skip
    """Sixteen images: damaged | every column, or those to be shown, in order | truth."""
    count = min(SHOWN, len(images))
    x = images.batch(torch.arange(count))
    mask = masks(side, x.shape[-1], seed, 0, count)
    made = {k: v for job in work for k, v in pictures(folder, side, job).items()}
    order = shown or tuple(made)
    rows = torch.stack(
        [to_pixels(x.masked_fill(mask, 0.0)), *(made[name] for name in order), to_pixels(x)], 1
    )
    unit = rows.flatten(0, 1).float() / 127.5 - 1
    save_grid(grid(unit, len(order) + 2), file)
    named = " | ".join(["damaged", *order, "truth"])
    file.with_suffix(".txt").write_text(f"columns: {named}\n")


def _write(
    out: Path, text: str, table: Table, about: dict[str, Any], rates: dict[str, float]
) -> None:
    rows = [
        {"measure": measure, "side": side, "column": column, "mean": found.mean,
         "95 %": [found.low, found.high]}
        for (measure, side, column), found in sorted(table.intervals.items())
    ]  # fmt: skip
    content = {
        "about": about, "rows": rows, "verdicts": verdicts(table), "seconds_an_image": rates,
    }  # fmt: skip
    try:
        (out / "table.md").write_text(text)
        (out / "table.json").write_text(json.dumps(content, indent=1))
    except OSError as error:
        raise CoopNetsError(f"cannot write into {out}: {error.strerror}") from error
