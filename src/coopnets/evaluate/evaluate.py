"""Scores of a trained pair: its generator's proposals and its descriptor's revisions."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from coopnets.data import ImageData, to_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate import parzen as parzen_window
from coopnets.evaluate.classifier import WANTED, check
from coopnets.evaluate.features import Extractor, extract
from coopnets.evaluate.provenance import provenance
from coopnets.evaluate.reference import reference
from coopnets.evaluate.scores import all_scores, score_names, warnings_for
from coopnets.model import CoopNets

Source = Literal["generator", "descriptor"]
SOURCES: tuple[Source, ...] = ("generator", "descriptor")
Record = dict[str, Any]
PROGRESS_SECONDS = 30.0
Batch = TypeVar("Batch", Tensor, tuple[Tensor, Tensor])


@dataclass(frozen=True, eq=False)
class Judge:
    """A classifier that labels the samples: as a feature network, and its test accuracy."""

    extractor: Extractor
    accuracy: float


@dataclass(eq=False)
class Drawn:
    """What is kept of the samples of one source: features, and images for the Parzen window."""

    features: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    judged: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)


def evaluate(
    model: CoopNets,
    real: ImageData,
    extractor: Extractor,
    *,
    samples: int = 10_000,
    sources: Sequence[Source] = SOURCES,
    langevin_steps: int | None = None,
    seed: int = 0,
    batch_size: int = 100,
    train: ImageData | None = None,
    parzen: bool = False,
    judge: Judge | None = None,
    cache_dir: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[Record]:
    """Compare samples with real images, for the generator and the descriptor side by side.

    Args:
        model: the trained pair.
        real: the images to compare with, of the model's size and channels.
        extractor: the feature network, on the model's device.
        samples: how many to draw.
        sources: whose samples; the generator alone needs no Langevin steps.
        langevin_steps: steps of revision; None takes the configured number.
        seed: names the samples.
        batch_size: samples drawn at a time.
        train: training images, which the Parzen window's sigma is chosen on.
        parzen: also measure the Parzen window's log-likelihood of ``real``.
        judge: also let this classifier label the samples.
        cache_dir: where features of real images are kept.
        say: told how far it is.

    Returns:
        One record for each source, ready for JSON: the scores, and all that they depend on.

    Raises:
        CoopNetsError: too few images, or a score that cannot be computed.
        DataError: samples that are not finite.
    """
    if parzen and train is None:
        raise CoopNetsError("the Parzen window needs training images to choose its sigma on")
    began = time.perf_counter()
    found = reference(
        real, extractor, cache_dir=cache_dir, say=say,
        watch=lambda batches: _watched(batches, len(real), "real images", say),
    )  # fmt: skip
    steps = _steps(model, langevin_steps) if "descriptor" in sources else 0
    stream = model.stream(samples, seed=seed, langevin_steps=steps, batch_size=batch_size)
    drawn = _draw(stream, samples, sources, extractor, judge, parzen, say)
    names = score_names(extractor.name, extractor.official)
    width = found.features.shape[1]
    records: list[Record] = []
    for source in sources:
        kept = drawn.pop(source)
        logits = torch.cat(kept.logits) if kept.logits else None
        record: Record = {
            "source": source,
            "scores": all_scores(
                torch.cat(kept.features), logits, found.features, found.moments, names
            ),
            "warnings": warnings_for(samples, len(real), width, names["frechet"]),
        }
        if train is not None and parzen:
            _add_parzen(record, torch.cat(kept.images), train, real)
        if judge is not None:
            _add_judgement(record, kept, judge, real, cache_dir, say)
        records.append(record)
    about = {
        "extractor": extractor.name, "resize": extractor.resize, "weights": extractor.identity,
        "n_real": len(real), "n_generated": samples, "data": real.source, "split": real.split,
        "fingerprint": real.fingerprint, "seed": seed, "iteration": model.about.get("iteration"),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 2), **provenance(model.device),
    }  # fmt: skip
    taken = {"generator": 0, "descriptor": steps}
    return [{**r, "langevin_steps": taken[r["source"]], **about} for r in records]


def _steps(model: CoopNets, asked: int | None) -> int:
    settings = model.config.langevin
    usual = settings.steps if settings.sample_steps is None else settings.sample_steps
    return usual if asked is None else asked


def _draw(
    stream: Iterator[tuple[Tensor, Tensor]], samples: int, sources: Sequence[Source],
    extractor: Extractor, judge: Judge | None, images: bool, say: Callable[[str], None],
) -> dict[str, Drawn]:  # fmt: skip
    """One pass over proposals and revisions; only what the scores need is kept."""
    drawn: dict[str, Drawn] = {source: Drawn() for source in sources}
    count = 0
    for x_hat, x_tilde in _watched(stream, samples, "samples", say):
        for source, x in zip(SOURCES, (x_hat, x_tilde), strict=True):
            if source in drawn:
                keep = images and count < parzen_window.CENTRES
                _keep(drawn[source], x.cpu(), extractor, judge, keep)
        count += len(x_hat)
    return drawn


def _keep(drawn: Drawn, x: Tensor, extractor: Extractor, judge: Judge | None, image: bool) -> None:
    pixels = to_pixels(x)
    features, logits = extract(extractor, [pixels])
    drawn.features.append(features)
    if logits is not None:
        drawn.logits.append(logits)
    if judge is not None:
        seen, classes = extract(judge.extractor, [pixels])
        drawn.judged.append((seen, seen[:, :0] if classes is None else classes))
    if image:
        drawn.images.append(x)


def _add_parzen(record: Record, samples: Tensor, train: ImageData, test: ImageData) -> None:
    """Both protocols; what the first cannot repeat on a finished model is said beside it."""
    published = parzen_window.as_published([samples], train.images, test.images)
    clean = parzen_window.clean(samples, train.images, test.images)
    record["parzen"] = {"as published": published.told(), "clean": clean.told()}
    record["warnings"].append(
        "Parzen as published: samples are of the frozen weights, one set, not the best by test "
        "score of all epochs"
    )
    for found in (published, clean):
        if found.edge:
            record["warnings"].append(
                f"Parzen {found.protocol}: sigma {found.sigma:g} is at the end of its grid"
            )


def _add_judgement(
    record: Record, kept: Drawn, judge: Judge, real: ImageData, cache_dir: Path | None,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    features, logits = (torch.cat(parts) for parts in zip(*kept.judged, strict=True))
    found = reference(real, judge.extractor, cache_dir=cache_dir, say=say)
    record["classifier"] = {
        **check(logits, features, found.features), "accuracy": judge.accuracy,
    }  # fmt: skip
    if judge.accuracy < WANTED:
        record["warnings"].append(
            f"the classifier is right on {100 * judge.accuracy:.2f} % of test images; below "
            f"{100 * WANTED:.0f} % what it says of samples means little"
        )


def _watched(
    batches: Iterator[Batch], total: int, what: str, say: Callable[[str], None]
) -> Iterator[Batch]:
    """Passes batches on, and tells now and then how far it is."""
    last, count = time.monotonic(), 0
    for batch in batches:
        yield batch
        count += len(batch if isinstance(batch, Tensor) else batch[0])
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            say(f"{count:,} of {total:,} {what}")
