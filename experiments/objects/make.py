"""Small sets of aligned objects, and what lies between them: one command.

    python experiments/objects/make.py --data cats/ --out DIR --minutes 30 --flip

Repeating the command goes on where it was stopped; a longer --minutes trains on. Options that are
not known here go to every `coopnets train`, such as `--flip`.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script, whose own folder is searched instead of the root
    sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from coopnets.data import ImageData, open_images
from coopnets.errors import CoopNetsError, DivergenceError
from coopnets.evaluate import Yardstick, evaluate, open_extractor
from coopnets.evaluate.scores import SPREAD
from coopnets.model import CoopNets, find_device
from coopnets.pictures import grid, save_grid
from coopnets.runfolder import RunFolder
from experiments.cells import Result, caught_up, once, weights_of, write
from experiments.command import circumstances, new_parser, refuse, run, say, show, table_row
from experiments.gallery import draw
from experiments.objects.copies import nearest
from experiments.training import OWN, last_good, trained, use_threads

PRESETS = {64: "face", 128: "object-128"}
TWO = ("--generator.latent", "2")
"""As in the authors' setting for objects: two latent numbers make a map."""


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: of its folder.
        preset: its settings.
        size: of its images.
        count: how many it learns from.
        kinds: of interpolation that are drawn.
        options: further ones of ``coopnets train``.
    """

    name: str
    preset: str
    size: int
    count: int
    kinds: tuple[str, ...]
    options: tuple[str, ...] = ()


def jobs(
    sizes: Sequence[int], counts: Sequence[int], plane: int, plane_preset: str = PRESETS[64]
) -> list[Job]:
    """What is trained: every size with every number of images, and the latent plane.

    Raises:
        CoopNetsError: there is no preset for a size.
    """
    if unknown := sorted(set(sizes) - set(PRESETS)):
        raise CoopNetsError(f"--sizes {unknown[0]}: choose among {', '.join(map(str, PRESETS))}")
    if min(counts, default=1) < 1 or plane < 0:
        raise CoopNetsError("--counts must be at least 1, --plane at least 0")
    found = [
        Job(f"{size}-{count}", PRESETS[size], size, count, ("linear", "sphere"))
        for size in sizes
        for count in counts
    ]
    if plane:
        kinds = ("plane", "linear", "sphere")
        found.append(Job(f"plane-{plane}", plane_preset, 64, plane, kinds, TWO))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return run("experiments/objects/make.py", _parser(), make, argv)


def make(given: argparse.Namespace, more: Sequence[str], command: str) -> int:
    """Every training, its pictures and figures, and after each the table of what there is."""
    use_threads(given.threads)
    if given.minutes <= 0 or given.samples < 0:
        raise CoopNetsError("--minutes must be above 0, --samples at least 0")
    refuse(more, OWN)
    todo = jobs(given.sizes, given.counts, given.plane, given.plane_preset)
    rows: list[Result] = []
    with RunFolder(given.out).locked():
        for job in todo:
            say(f"{job.name}: training up to {given.minutes:g} minutes")
            rows.append(_row(job, given, more))
            table = given.out / "table.json"
            if caught_up(table, rows) or len(rows) == len(todo):
                about = _about(given, more, command)
                write(given.out / "table.md", markdown(rows, about))
                write(table, json.dumps({"about": about, "rows": rows}, indent=1))
    show(given.out / "table.md")
    return 0


def _row(job: Job, given: argparse.Namespace, more: Sequence[str]) -> Result:
    """One training with its pictures and scores; ``failed`` is why it ended early, or None."""
    row: Result = {"name": job.name, "preset": job.preset, "images": job.count, "failed": None}
    options = ["--preset", job.preset, "--limit", str(job.count), "--split", given.split,
               *job.options, *more]  # fmt: skip
    if given.data_dir is not None:
        options += ["--data-dir", str(given.data_dir)]
    try:
        model = trained(given.data, given.out / job.name / "run", given.minutes, options)
    except DivergenceError as error:
        row["failed"] = str(error)
        say(f"{job.name}: {error}")
        if (kept := last_good(given.out / job.name / "run")) is None:
            return row
        model = kept
    c = model.config  # where the command asked for another preset than the job's
    row |= {"preset": c.preset, "size": c.size, "flip": c.flip}
    row |= draw(model, given.out / job.name, job.kinds, given.seed)
    return row | _measured(job, model, given)


def _measured(job: Job, model: CoopNets, given: argparse.Namespace) -> Result:
    """How near samples are to images of the training, and to the whole set in features."""
    c, folder = model.config, given.out / job.name

    def images(limit: int | None) -> ImageData:
        return open_images(
            given.data, size=c.size, channels=c.image_channels, crop=c.crop, limit=limit,
            split=given.split, data_dir=given.data_dir, say=say,
        )  # fmt: skip

    learnt = images(job.count)
    settings = {"weights": weights_of(model), "images": learnt.fingerprint, "seed": given.seed}

    def look() -> Result:
        found = nearest(model, learnt, given.seed)
        save_grid(grid(torch.cat([found.samples, found.images]), 8), folder / "nearest.png")
        return {"nearest": found.samples_distance, "nearest_among_images": found.images_distance,
                "images": len(learnt)}  # fmt: skip

    row = once(folder / "nearest.json", settings, look)
    if given.samples:
        whole = images(None)
        extractor = open_extractor(given.features, device=model.device)
        settings |= {"all": whole.fingerprint, "samples": given.samples,
                     "features": extractor.identity}  # fmt: skip
        stick = Yardstick(real=whole, extractor=extractor)
        row["scores"] = once(
            folder / "scores.json", settings,
            lambda: {r["source"]: r["scores"] for r in evaluate(
                model, stick, samples=given.samples, seed=given.seed, say=say)},
        )  # fmt: skip
    return row


def markdown(rows: Sequence[Result], about: dict[str, Any]) -> str:
    """table.md."""
    scored = [s for row in rows for s in row.get("scores", {}).values()]
    found = dict.fromkeys(n for s in scored for n in s if n.startswith(("FD", "FID", "KID")))
    names = [n for n in found if not n.endswith(SPREAD)]
    heads = [f"{source}: {n}" for n in names for source in ("descriptor", "generator")]
    columns = ["run", "preset", "images", "iterations", "training", "displacement",
               "nearest training image", "of training images", *heads]  # fmt: skip
    lines = ["# Objects", "", *(f"- {key}: {value}" for key, value in about.items()), "",
             table_row(columns), "| --- | --- |" + " ---: |" * (len(columns) - 2)]  # fmt: skip
    for row in rows:
        scores = [f"{row['scores'][head.partition(': ')[0]][head.partition(': ')[2]]:.4g}"
                  if "scores" in row else "–" for head in heads]  # fmt: skip
        first = [row["name"], row["preset"], f"{row['images']:,}"]
        if "iterations" not in row:  # it ran away before anything was saved
            lines.append(table_row([*first, *["–"] * (len(columns) - len(first))]))
            continue
        moved = row["displacement"]
        lines.append(table_row([
            *first, f"{row['iterations']:,}",
            f"{row['seconds'] / 60:.1f} min", "–" if moved is None else f"{moved:.3f}",
            f"{row['nearest']:.3f}", f"{row['nearest_among_images']:.3f}", *scores,
        ]))  # fmt: skip
    failed = [f"- {row['name']}: {row['failed']}" for row in rows if row["failed"]]
    return "\n".join([*lines, "", *(["Failed:", "", *failed, ""] if failed else [])])


def _about(given: argparse.Namespace, more: Sequence[str], command: str) -> dict[str, Any]:
    return {
        "command": f"`{command}`",
        "data": Path(given.data).name,
        "training": f"{given.minutes:g} minutes each, `{shlex.join(more)}`",
        "nearest training image": "root mean square distance of a pixel in [-1, 1], mirror images "
        "counted where they were trained on; median over 64 samples of the descriptor, and over "
        "64 training images, each to the nearest other",
        "distances": f"of {given.samples:,} samples to all images of the set, those of the "
        "training among them" if given.samples else "left out",
        "seed": given.seed,
        **circumstances(find_device("auto")),
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--data", required=True, help="aligned objects: a folder, zip, Parquet, ...")
    add("--split", default="train", help="part of a named data set")
    add("--data-dir", type=Path, help="where named data sets are downloaded to")
    add("--out", type=Path, required=True, help="folder for runs, pictures and the table")
    add("--minutes", type=float, default=30.0, help="of training, each")
    add("--sizes", nargs="*", type=int, default=[64, 128])
    add("--counts", nargs="*", type=int, default=[50, 200, 2000], help="training images")
    add("--plane", type=int, default=200,
        help="training images of a map of two latent numbers; 0 leaves it out")  # fmt: skip
    add("--plane-preset", default=PRESETS[64],
        help="settings of its training; matlab-object is the authors'")  # fmt: skip
    add("--samples", type=int, default=1000,
        help="scored against all images of the set; 0 leaves it out")  # fmt: skip
    add("--features", default="efficientnet-lite0", help="network that distances are measured in")
    add("--seed", type=int, default=0, help="of samples and paths")
    return parser


if __name__ == "__main__":
    sys.exit(main())
