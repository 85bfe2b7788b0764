"""Scores of what was trained: a generator's samples, a descriptor's, or both side by side."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from coopnets.data import ImageData, to_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate import parzen as parzen_window
from coopnets.evaluate.classifier import WANTED, check
from coopnets.evaluate.features import Extractor, extract
from coopnets.evaluate.judge import Judge
from coopnets.evaluate.provenance import provenance
from coopnets.evaluate.reference import Reference, reference
from coopnets.evaluate.scores import all_scores, score_names, warnings_for
from coopnets.model import CoopNets
from coopnets.sample import usual_steps

STREAMED = ("generator", "descriptor")
"""Whose samples the two tensors are that a model streams: proposals, and revisions or chains."""
IMAGES = "images"
"""Source of a record whose samples are real images."""
SMALLEST = 10
"""Images needed on each side: the Inception score's ten splits want one each."""
BATCH = 100
Record = dict[str, Any]
Say = Callable[[str], None]
PROGRESS_SECONDS = 30.0
Batch = TypeVar("Batch", Tensor, tuple[Tensor, Tensor])


@dataclass(frozen=True, eq=False, kw_only=True)
class Yardstick:
    """What samples are measured against, and by what."""

    real: ImageData
    """The images to compare with."""
    extractor: Extractor
    """The feature network, on the device of the models."""
    train: ImageData | None = None
    """Training images, which the Parzen window's sigma is chosen on; None leaves it out."""
    judge: Judge | None = None
    """A classifier to label the samples as well."""
    cache_dir: Path | None = None
    """Where features of real images are kept."""

    def reference(self, say: Say = print) -> Reference:
        """Features of the real images, from the cache if they are there."""
        return reference(
            self.real, self.extractor, cache_dir=self.cache_dir, say=say,
            watch=lambda batches: _watched(batches, len(self.real), "real images", say),
        )  # fmt: skip


@dataclass(eq=False)
class Drawn:
    """What is kept of the samples of one source: features, and images for the Parzen window."""

    features: list[Tensor] = field(default_factory=list)
    logits: list[Tensor] = field(default_factory=list)
    judged: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    images: list[Tensor] = field(default_factory=list)
    count: int = 0


def evaluate(
    model: CoopNets,
    yardstick: Yardstick,
    *,
    samples: int = 10_000,
    sources: Sequence[str] | None = None,
    langevin_steps: int | None = None,
    seed: int = 0,
    batch_size: int = BATCH,
    say: Say = print,
) -> list[Record]:
    """Compare samples with real images: the generator's and the descriptor's side by side.

    Args:
        model: the trained pair, or what another method trained.
        yardstick: the real images, of the model's size and channels, and the networks.
        samples: how many to draw.
        sources: whose samples, ``generator`` or ``descriptor``; None takes all that the method
            has. The generator alone needs no Langevin steps.
        langevin_steps: steps of the descriptor's chains; None takes the configured number.
        seed: names the samples.
        batch_size: samples drawn at a time.
        say: told how far it is.

    Returns:
        One record for each source, ready for JSON: the scores, and all that they depend on.

    Raises:
        CoopNetsError: too few images, a score that cannot be computed, or a source that the
            method has not.
        DataError: samples that are not finite.
    """
    sources = model.sources if sources is None else sources
    if strangers := sorted(set(sources) - set(model.sources)):
        raise CoopNetsError(f"the method {model.config.method} has no {strangers[0]}")
    began = time.perf_counter()
    found = yardstick.reference(say)
    steps = usual_steps(model.config.langevin) if langevin_steps is None else langevin_steps
    if "descriptor" not in sources:
        steps = 0
    stream = model.stream(samples, seed=seed, langevin_steps=steps, batch_size=batch_size)
    drawn = _draw(stream, samples, sources, yardstick, say)
    warnings = _warnings_of_the_data(model, yardstick.real)
    taken = {"generator": 0, "descriptor": steps}
    records = []
    for source in sources:
        record = _record(source, drawn.pop(source), yardstick, found, say)
        record["warnings"] += warnings
        records.append({**record, "langevin_steps": taken[source]})
    about = {
        "method": model.config.method, "preset": model.config.preset,
        **_about(yardstick, samples, seed, model.device),
        "iteration": model.about.get("iteration"), "training_seconds": model.about.get("seconds"),
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip
    return [{**record, **about} for record in records]


def evaluate_images(
    images: ImageData,
    yardstick: Yardstick,
    *,
    samples: int = 10_000,
    seed: int = 0,
    device: torch.device | str = "cpu",
    say: Say = print,
) -> Record:
    """Score real images in the place of samples: what a model that copies its data would have.

    The Parzen window's sigma is chosen on other training images than these: around themselves they
    would ask for a window of no width.

    Args:
        images: those to score, usually of the training split.
        yardstick: as for :func:`evaluate`.
        samples: how many of them, drawn at random; all, if there are fewer.
        seed: of the draw.
        device: where the networks are, for the record.
        say: told how far it is.

    Raises:
        CoopNetsError: too few images, or a score that cannot be computed.
    """
    began = time.perf_counter()
    found = yardstick.reference(say)
    order = np.random.default_rng(seed % 2**64).permutation(len(images))[:samples]
    chosen = np.sort(order)
    drawn = Drawn()
    parts = (images.batch(chosen[i : i + BATCH]) for i in range(0, len(chosen), BATCH))
    for x in _watched(parts, len(chosen), "images", say):
        _keep(drawn, x, yardstick)
    if yardstick.train is not None:
        others = _without(yardstick.train, images.images[chosen])
        yardstick = replace(yardstick, train=others)
    record = _record(IMAGES, drawn, yardstick, found, say)
    about = _about(yardstick, len(chosen), seed, torch.device(device))
    return {
        **record, **about, "of": images.source, "of_split": images.split,
        "seconds": round(time.perf_counter() - began, 2),
    }  # fmt: skip


def _without(images: ImageData, left_out: np.ndarray) -> ImageData:
    """A set without the images of which there are equal ones in ``left_out``."""
    known = {image.tobytes() for image in left_out}
    kept = [i for i, image in enumerate(images.images) if image.tobytes() not in known]
    return replace(images, images=images.images[kept])


def _about(yardstick: Yardstick, samples: int, seed: int, device: torch.device) -> Record:
    """What the scores depend on, apart from the samples' origin."""
    real, extractor = yardstick.real, yardstick.extractor
    return {
        "extractor": extractor.name, "resize": extractor.resize, "weights": extractor.identity,
        "n_real": len(real), "n_generated": samples, "data": real.source, "split": real.split,
        "fingerprint": real.fingerprint, "seed": seed,
        "time": datetime.now(UTC).isoformat(timespec="seconds"), **provenance(device),
    }  # fmt: skip


def _warnings_of_the_data(model: CoopNets, real: ImageData) -> list[str]:
    """Whether the real images are those that were learnt from, as far as can be told."""
    learnt = model.about.get("data", {})
    same_part = (learnt.get("source"), learnt.get("split")) == (real.source, real.split)
    if same_part or learnt.get("fingerprint") == real.fingerprint:
        return ["the real images are those of the training: a copy of them would score best"]
    return []


def _draw(
    stream: Iterator[tuple[Tensor, Tensor]], samples: int, sources: Sequence[str],
    yardstick: Yardstick, say: Say,
) -> dict[str, Drawn]:  # fmt: skip
    """One pass over proposals and revisions; only what the scores need is kept."""
    drawn: dict[str, Drawn] = {source: Drawn() for source in sources}
    for pair in _watched(stream, samples, "samples", say):
        for source, x in zip(STREAMED, pair, strict=True):
            if source in drawn:
                _keep(drawn[source], x.cpu(), yardstick)
    return drawn


def _keep(drawn: Drawn, x: Tensor, yardstick: Yardstick) -> None:
    pixels, judge = to_pixels(x), yardstick.judge
    features, logits = extract(yardstick.extractor, [pixels])
    drawn.features.append(features)
    if logits is not None:
        drawn.logits.append(logits)
    if judge is not None:
        seen, classes = extract(judge.extractor, [pixels])
        drawn.judged.append((seen, seen[:, :0] if classes is None else classes))
    if yardstick.train is not None and drawn.count < parzen_window.CENTRES:
        drawn.images.append(x)
    drawn.count += len(x)


def _record(source: str, kept: Drawn, yardstick: Yardstick, found: Reference, say: Say) -> Record:
    """The scores of one source of samples, and what a reader must be warned of."""
    extractor, real = yardstick.extractor, yardstick.real
    names = score_names(extractor.name, extractor.official)
    features = torch.cat(kept.features)
    logits = torch.cat(kept.logits) if kept.logits else None
    record: Record = {
        "source": source,
        "scores": all_scores(features, logits, found.features, found.moments, names),
        "warnings": warnings_for(kept.count, len(real), features.shape[1], names["frechet"]),
    }
    if yardstick.train is not None:
        _add_parzen(record, torch.cat(kept.images), yardstick.train, real)
    if yardstick.judge is not None:
        seen = reference(real, yardstick.judge.extractor, cache_dir=yardstick.cache_dir, say=say)
        _add_judgement(record, kept.judged, yardstick.judge, seen.features)
    return record


def _add_parzen(record: Record, samples: Tensor, train: ImageData, test: ImageData) -> None:
    """Both protocols; what the first cannot repeat on a finished model is said beside it."""
    published = parzen_window.as_published([samples], train.images, test.images)
    clean = parzen_window.clean(samples, train.images, test.images)
    record["parzen"] = {"as published": published.told(), "clean": clean.told()}
    record["warnings"].append(
        "Parzen as published: samples are of the frozen weights, one set, not the best by test "
        "score of all epochs"
    )
    if published.centres < parzen_window.CENTRES:
        record["warnings"].append(
            f"Parzen windows of {published.centres:,} samples: the protocols have "
            f"{parzen_window.CENTRES:,}, and fewer lower the figure"
        )
    for found in (published, clean):
        if found.edge:
            record["warnings"].append(
                f"Parzen {found.protocol}: sigma {found.sigma:g} is at the end of its grid"
            )


def _add_judgement(
    record: Record, judged: Iterable[tuple[Tensor, Tensor]], judge: Judge, real: Tensor
) -> None:
    features, logits = (torch.cat(parts) for parts in zip(*judged, strict=True))
    record["classifier"] = {**check(logits, features, real), "accuracy": judge.accuracy}
    if judge.accuracy < WANTED:
        record["warnings"].append(
            f"the classifier is right on {100 * judge.accuracy:.2f} % of test images; below "
            f"{100 * WANTED:.0f} % what it says of samples means little"
        )


def _watched(batches: Iterator[Batch], total: int, what: str, say: Say) -> Iterator[Batch]:
    """Passes batches on, and tells now and then how far it is."""
    last, count = time.monotonic(), 0
    for batch in batches:
        yield batch
        count += len(batch if isinstance(batch, Tensor) else batch[0])
        if time.monotonic() - last > PROGRESS_SECONDS:
            last = time.monotonic()
            say(f"{count:,} of {total:,} {what}")
