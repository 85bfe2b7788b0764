"""``coopnets compare``."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from coopnets.cli.train import preset_name, seconds
from coopnets.config import Config
from coopnets.data import ImageData, open_images
from coopnets.errors import CoopNetsError, SplitError
from coopnets.launch import this_process
from coopnets.model import find_device
from coopnets.presets import preset
from coopnets.processes import Processes


def compare_command(arguments: Sequence[str]) -> Callable[..., int]:
    """The command, its defaults being those of the preset that ``arguments`` name."""
    chosen = preset(preset_name(arguments, "compare"))

    def command(
        data: tyro.conf.Positional[str],
        /,
        out: Path,
        max_time: str,
        methods: str = "coopnets,dcgan,wgan,vae",
        moments: int = 6,
        samples: int = 10_000,
        curve_samples: int = 2_000,
        features: str = "inception",
        inception_weights: Path | None = None,
        real: str | None = None,
        split: str | None = None,
        real_limit: int | None = None,
        parzen: bool = False,
        classifier: bool = False,
        limit: int | None = None,
        data_dir: Path | None = None,
        fresh: bool = False,
        checkpoint_every: int = 200,
        device: str = "auto",
        config: Annotated[Config, tyro.conf.arg(name="")] = chosen,
    ) -> int:
        """Train methods for the same time each on this machine, and score them alike.

        Leaves a run folder for each method, table.md, table.json, curves.svg, samples.png and
        compare.html. Repeating a command goes on from where it stands; more methods, a longer
        time or other scores may be asked of what is there. Settings of the preset can be changed
        as for training; each method then applies its own published recipe to them.

        Args:
            data: training images: a name, a folder or zip, Parquet, hf:owner/name, or an array.
            out: folder of the comparison; made if need be.
            max_time: training time of each method: 90s, 20m, 1h30m. Scoring does not count.
            methods: of coopnets, dcgan, wgan, vae, descriptor, generator; with commas.
            moments: equally spaced times of training at which the curves have points.
            samples: how many are scored for the table.
            curve_samples: how many are scored at each moment.
            features: inception, efficientnet-lite0 (from a pip package, no download), or the
                file of a saved classifier.
            inception_weights: file of the official Inception weights; by default the cache of
                torch.hub. Its checksum is verified.
            real: images to compare with, where they are not a split of the same data.
            split: part to compare with; by default test, or all of --real if it has no parts.
            real_limit: compare with only this many of them.
            parzen: also the Parzen window's log-likelihood, for digits, as published and clean.
            classifier: also train a digit classifier once, and let it label the samples.
            limit: train on only so many of the images, spread over the set.
            data_dir: where named data sets are downloaded to.
            fresh: delete the comparison that is there and start over.
            checkpoint_every: iterations between checkpoints.
            device: cpu, cuda, ...; auto takes an accelerator if there is one.
            config: the preset's settings.
        """
        from coopnets.compare import (
            Comparison,
            ComparisonFolder,
            Plan,
            check,
            is_training,
            methods_in,
        )
        from coopnets.evaluate import Yardstick, open_extractor, trained_judge

        if config.method != "coopnets":
            raise CoopNetsError(f"compare takes several methods: --methods {config.method},...")
        plan = Plan(
            methods=methods_in(methods), config=config, max_time=seconds(max_time),
            moments=moments, samples=samples, curve_samples=curve_samples,
            checkpoint_every=checkpoint_every,
        )  # fmt: skip
        check(plan, preset(config.preset))
        processes = _alone(device)
        pictures = partial(
            open_images, size=config.size, channels=config.image_channels, crop=config.crop,
            data_dir=data_dir,
        )  # fmt: skip
        images = pictures(data, limit=limit)
        against = _real_images(pictures, data, real, split, real_limit)
        extractor = open_extractor(features, weights=inception_weights, device=processes.device)
        stick = Yardstick(real=against, extractor=extractor)
        if parzen or classifier:
            train = images if limit is None else pictures(data)
            if is_training(against, train):
                raise CoopNetsError(
                    "--parzen and --classifier learn on train: compare with another split"
                )
            judge = None
            if classifier:
                whole = pictures(against.source, split=against.split)
                judge = trained_judge(train, whole, data_dir=data_dir, device=processes.device)
            stick = replace(stick, train=train if parzen else None, judge=judge)
        comparison = Comparison(plan, images, stick, ComparisonFolder(out), processes, limit=limit)
        comparison.carry_out(fresh)
        folder = comparison.folder
        print(folder.markdown.read_text(encoding="utf-8"))
        print(f"table     {folder.table}")
        print(f"page      {folder.page}")
        return 0

    return command


def _alone(device: str) -> Processes:
    processes = this_process()
    if processes.world > 1:
        raise CoopNetsError("compare trains in one process: start it without accelerate launch")
    return processes if device == "auto" else Processes(find_device(device))


def _real_images(
    pictures: Callable[..., ImageData],
    data: str,
    real: str | None,
    split: str | None,
    limit: int | None,
) -> ImageData:
    """The images to compare with; those of the training only if they are asked for."""
    from coopnets.evaluate import SMALLEST

    try:
        found = pictures(real or data, split=split or "test", limit=limit)
    except SplitError as error:
        if split is not None:
            raise
        if real is None:
            raise SplitError(
                f"{data} has no split 'test' to compare with: give other images of the kind with "
                "--real, or compare with those of the training themselves by --split train"
            ) from error
        found = pictures(real, limit=limit)
    if len(found) < SMALLEST:
        raise CoopNetsError(
            f"{found.source} has {len(found)} images to compare with: at least {SMALLEST} are "
            "needed"
        )
    return found
