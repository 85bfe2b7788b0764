"""Held-out faces with a hidden square, completed by nine methods: one command.

    python experiments/completion/make.py --train celeba --train-limit 9000 --minutes 50 --out DIR

trains a pair and a DCGAN, completes the test images and writes the table; --run and --dcgan take
runs that are trained already. Repeating the command goes on where it was stopped; a longer
--minutes trains on, and what depends on a setting that has changed is made anew. Options that are
not known here go to both trainings, such as `--flip`.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # as a script, whose own folder is searched instead of the root
    sys.path.insert(0, str(Path(__file__).parents[2]))

from coopnets.cachefolder import cache_folder
from coopnets.cli.complete import check_counts
from coopnets.complete.classic import CLASSIC, require
from coopnets.complete.latent import SIGMA, STARTS, STEPS, Search
from coopnets.data import open_images
from coopnets.data.resolve import find_source
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets
from coopnets.presets import preset
from coopnets.runfolder import RunFolder
from experiments.command import new_parser, refuse, run, say, show
from experiments.completion import jobs
from experiments.completion.cells import Cell, compute
from experiments.completion.layout import VARIANTS, markdown, tabulate
from experiments.completion.published import SIDES
from experiments.completion.sheet import save_sheet
from experiments.completion.table import about, rates, save
from experiments.training import OWN, trained, use_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    return run("experiments/completion/make.py", _parser(), make, argv)


def make(given: argparse.Namespace, more: Sequence[str], command: str) -> int:
    """Both trainings, every cell, a sheet for each size of square, and the table."""
    use_threads(given.threads)
    search, done = _check(given, more), _done(given, more)
    with RunFolder(given.out).locked():
        pair, other = _models(given, more, done)
        jobs.check_runs(pair, other)
        c = pair.config
        _check_sides(given, c.size)
        opened = open_images(
            given.images, size=c.size, channels=c.image_channels, crop=c.crop, split=given.split,
            limit=given.limit, data_dir=given.data_dir, say=say,
        )  # fmt: skip
        work = [jobs.classic(name) for name in given.classics]
        if given.descriptor or given.coopnets == "descriptor":
            work.append(jobs.descriptor(pair, given.langevin_steps, given.seed))
        work.append(jobs.pair(pair, search, given.langevin_steps, given.seed))
        if other is not None:
            work.append(jobs.dcgan(other, search, given.seed))
        began, cells = time.perf_counter(), dict[int, list[Cell]]()
        folder = given.out / "cells"
        for side in given.sides:
            cells[side] = [
                compute(job, opened, side, given.seed, folder, pair.device, say) for job in work
            ]
            save_sheet(given.out / f"sheet-{side}.png", opened, side, given.seed, folder, work,
                       given.shown, given.blocks)  # fmt: skip
        found = tabulate(cells, given.coopnets)
        known = about(command, pair, other, opened, given.coopnets, search, given.seed, cells)
        known["seconds of this call"] = round(time.perf_counter() - began, 1)
        taken = rates(cells, work, len(opened))
        text = markdown(found, [f"- {k}: {v}" for k, v in known.items()], taken)
        save(given.out, text, found, known, taken)
    show(given.out / "table.md")
    return 0


def _check(given: argparse.Namespace, more: Sequence[str]) -> Search:
    """Refuse what cannot be done before hours are spent on the rest; fill in --images."""
    refuse(more, (*OWN, "--method"))
    check_counts(
        limit=given.limit, langevin_steps=given.langevin_steps, blocks=given.blocks,
        train_limit=given.train_limit,
    )  # fmt: skip
    if given.minutes <= 0:
        raise CoopNetsError("--minutes must be above 0")
    if not given.sides or min(given.sides) < 1:
        raise CoopNetsError("--sides must be at least 1")
    if given.train is None and given.run is None:
        raise CoopNetsError("give finished runs, --run and --dcgan, or --train DATA to train them")
    if more and not _trains(given):
        raise CoopNetsError(f"{more[0]}: there is no such option, and nothing is trained")
    if unknown := sorted(set(given.classics) - set(CLASSIC)):
        raise CoopNetsError(f"--classics {unknown[0]}: choose among {', '.join(CLASSIC)}")
    for name in given.classics:
        require(name)
    if given.images is None and given.train is None:
        raise CoopNetsError("--images: say what is to be completed")
    columns = {*given.classics, *jobs.PAIR}
    if given.descriptor or given.coopnets == "descriptor":
        columns |= {*jobs.DESCRIPTOR}
    if given.dcgan or (given.train and not given.no_dcgan):
        columns |= {*jobs.DCGAN}
    if unknown := sorted(set(given.shown) - columns):
        raise CoopNetsError(f"--shown {unknown[0]}: there is no such column here")
    one = given.images and given.train and Path(given.images) == Path(given.train)
    if (given.images is None or one) and given.split == "train":
        raise CoopNetsError("--split train: these images would be completed that are trained on")
    given.images = given.images or given.train
    find_source(given.images, given.split, given.data_dir or cache_folder() / "downloads")
    return Search(steps=given.steps, starts=given.starts, sigma=given.sigma)


def _trains(given: argparse.Namespace) -> bool:
    """Whether anything is to be trained."""
    missing = given.run is None or (given.dcgan is None and not given.no_dcgan)
    return given.train is not None and missing


def _models(
    given: argparse.Namespace, more: Sequence[str], done: dict[Path, CoopNets]
) -> tuple[CoopNets, CoopNets | None]:
    """The pair and the DCGAN, trained if they are not given; None if there is to be no DCGAN."""
    usual = ["--preset", given.preset]
    if given.train_limit is not None:
        usual += ["--limit", str(given.train_limit)]
    if given.data_dir is not None:
        usual += ["--data-dir", str(given.data_dir)]

    def trained_or(folder: Path | None, name: str, options: Sequence[str]) -> CoopNets:
        if folder is not None:
            return done[folder]
        folder = given.out / name
        say(f"{name}: training up to {given.minutes:g} minutes")
        trained(given.train, folder, given.minutes, [*usual, *options, *more])
        return CoopNets.from_pretrained(folder, given.device)

    pair = trained_or(given.run, "pair", ["--observed.weight", "1"])
    if given.dcgan is None and (given.train is None or given.no_dcgan):
        return pair, None
    return pair, trained_or(given.dcgan, "dcgan", ["--method", "dcgan"])


def _done(given: argparse.Namespace, more: Sequence[str]) -> dict[Path, CoopNets]:
    """The runs that are given; refused if they do not fit what is to be trained beside them."""
    done = {folder: CoopNets.from_pretrained(folder, given.device)
            for folder in (given.run, given.dcgan) if folder is not None}  # fmt: skip
    if given.run in done:
        jobs.check_runs(done[given.run], done.get(given.dcgan))
    elif given.dcgan in done:
        jobs.check_dcgan(done[given.dcgan])
    configs = [model.config for model in done.values()]
    changed = {word.partition("=")[0] for word in more}
    if _trains(given) and not {"--size", "--image-channels", "--crop"} & changed:
        configs.append(preset(given.preset))
    images = {(c.size, c.image_channels, c.crop) for c in configs}
    if len(images) > 1:
        found, other = sorted(images, key=str)
        raise CoopNetsError(
            f"a run and what is trained beside it make different images (size, channels, crop), "
            f"{found} and {other}: choose another --preset, or --size, --image-channels, --crop"
        )
    for c in configs[:1]:
        _check_sides(given, c.size)
    return done


def _check_sides(given: argparse.Namespace, size: int) -> None:
    if max(given.sides) >= size:
        raise CoopNetsError(f"--sides must be 1 to {size - 1}")


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for runs, cells, sheets and the table")
    add("--train", metavar="DATA", help="what the runs that are not given learn from: a name, ...")
    add("--train-limit", type=int, help="images of it")
    add("--minutes", type=float, default=50.0, help="of training, each")
    add("--preset", default="face", help="settings of the trainings")
    add("--run", type=Path, help="finished run of a pair, in place of a training")
    add("--dcgan", type=Path, help="finished run of a DCGAN; without --train it may be left out")
    add("--no-dcgan", action="store_true", help="train none, and leave that column out")
    add("--images", metavar="DATA", help="held-out images; by default those of --train")
    add("--split", default="test",
        help="their part of the data; train if a folder or zip holds them alone")  # fmt: skip
    add("--limit", type=int, default=1000, help="how many of them")
    add("--sides", nargs="+", type=int, default=SIDES, help="of the hidden squares")
    add("--coopnets", choices=VARIANTS, default="both",
        help="which completion by the pair stands in the main table")  # fmt: skip
    add("--steps", type=int, default=STEPS, help="Langevin steps of z, for both generators")
    add("--starts", type=int, default=STARTS, help="latent vectors to start at")
    add("--sigma", type=float, default=SIGMA,
        help="standard deviation of what a generator leaves unexplained")  # fmt: skip
    add("--langevin-steps", type=int, help="steps of revision by the descriptor")
    add("--descriptor", action="store_true",
        help="also complete by the descriptor alone, a column among the variants")  # fmt: skip
    add("--classics", nargs="*", default=tuple(CLASSIC), help="methods without a model")
    add("--shown", nargs="*", default=(),
        help="columns of the sheets, as sheet-30.txt names them; by default all")  # fmt: skip
    add("--blocks", type=int, default=1, help="of rows, side by side on the sheets")
    add("--seed", type=int, default=0, help="of masks and chains")
    add("--data-dir", type=Path, help="where named data sets are downloaded to")
    add("--device", default="auto",
        help="of the completions: cpu, cuda, ...; auto takes an accelerator if any")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
