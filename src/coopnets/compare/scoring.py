"""Scores of a run at a moment, kept in its folder and never computed twice."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from coopnets.compare.plan import Plan
from coopnets.data import ImageData
from coopnets.evaluate import (
    Yardstick,
    append_records,
    evaluate,
    evaluate_images,
    read_records,
)
from coopnets.evaluate.evaluate import IMAGES
from coopnets.evaluate.parzen import VALIDATION
from coopnets.model import CoopNets
from coopnets.report.page import duration
from coopnets.runfolder import RunFolder

MOMENT = "moment"
"""Key of a record: seconds of training after which it was meant to be made."""
Record = dict[str, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Scoring:
    """How the samples of all methods are scored, alike for each."""

    plan: Plan
    yardstick: Yardstick
    device: torch.device
    say: Callable[[str], None] = print

    def at_moment(self, run: RunFolder, moment: float) -> None:
        """Score few samples of a run that has come to a moment, unless that has been done.

        A run that stands where it was scored before, with the same yardstick, is not scored again
        either: so another yardstick, asked for at the end, gives the last point of the curve.
        """
        known = self.points(run)
        if moment in (r[MOMENT] for r in known):
            return
        model = self._model(run)
        if model.about["iteration"] not in (r["iteration"] for r in known):
            plain = replace(self.yardstick, train=None, judge=None)
            self._add(model, run, plain, self.plan.curve_samples, moment)

    def at_the_end(self, run: RunFolder) -> None:
        """Score the samples of a trained run, unless that has been done."""
        model = self._model(run)
        iteration = model.about["iteration"]
        if len(self.final(run, iteration)) < len(model.sources):
            self._add(model, run, self.yardstick, self.plan.samples, self.plan.max_time)

    def points(self, run: RunFolder) -> list[Record]:
        """The records of the curves: of few samples, by this yardstick, oldest first."""
        wanted = self._key(self.plan.curve_samples)
        return [r for r in read_records(run.path) if MOMENT in r and _fits(r, wanted)]

    def final(self, run: RunFolder, iteration: int) -> dict[str, Record]:
        """The records of the table by source, if the run was scored where it stands."""
        wanted = {**self._key(self.plan.samples), "iteration": iteration}
        found = [r for r in read_records(run.path) if MOMENT in r and self._complete(r, wanted)]
        return {r["source"]: r for r in found}

    def of_the_data(self, images: ImageData, folder: Path) -> Record:
        """Scores of training images in the place of samples, unless they are kept in the folder.

        The first of all scores, because whatever is wrong with the yardstick shows here.
        """
        # Some are left for the Parzen window's sigma.
        spare = min(VALIDATION, len(images) // 2) if self.yardstick.train is not None else 0
        count = min(self.plan.samples, len(images) - spare)
        wanted = {**self._key(count), "source": IMAGES, "of": images.source}
        if known := [r for r in read_records(folder) if self._complete(r, wanted)]:
            return known[-1]
        self.say(f"training images: scoring {count:,} of them")
        record = evaluate_images(
            images, self.yardstick, samples=count, seed=self.plan.config.seed,
            device=self.device, say=self.say,
        )  # fmt: skip
        append_records(folder, [record])
        return record

    def _add(
        self, model: CoopNets, run: RunFolder, yardstick: Yardstick, samples: int, moment: float
    ) -> None:
        spent = duration(model.about["seconds"])
        self.say(f"{model.config.method}: scoring {samples:,} samples after {spent}")
        records = evaluate(
            model, yardstick, samples=samples, seed=self.plan.config.seed, say=self.say
        )
        append_records(run.path, [{**record, MOMENT: moment} for record in records])

    def _complete(self, record: Record, wanted: Record) -> bool:
        """Whether a record has all that is asked for at the end."""
        parts = {"parzen": self.yardstick.train, "classifier": self.yardstick.judge}
        needed = {name for name, used in parts.items() if used is not None}
        return needed <= record.keys() and _fits(record, wanted)

    def _model(self, run: RunFolder) -> CoopNets:
        return CoopNets.from_pretrained(run.path, self.device)

    def _key(self, samples: int) -> Record:
        """What two records must have in common to say the same."""
        real, extractor = self.yardstick.real, self.yardstick.extractor
        return {
            "n_generated": samples, "seed": self.plan.config.seed, "n_real": len(real),
            "fingerprint": real.fingerprint, "extractor": extractor.name,
            "resize": extractor.resize, "weights": extractor.identity,
        }  # fmt: skip


def _fits(record: Record, wanted: Record) -> bool:
    return all(record.get(key) == value for key, value in wanted.items())
