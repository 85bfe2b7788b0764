"""Scores of generated against real images from their features, through torch-fidelity.

Frechet distance: Heusel et al. 2017 (arXiv 1706.08500), eq. 6. Kernel distance: Binkowski et
al. 2018 (arXiv 1801.01401), unbiased cubic-kernel MMD^2. Inception score: Salimans et al. 2016
(arXiv 1606.03498). Precision and recall: Kynkaanniemi et al. 2019 (arXiv 1904.06991), balls
around each image to its third neighbour.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.evaluate.extras import extra

SPREAD = " std"
"""Ending of a score's name that marks its standard deviation over subsets or splits."""
FEW = 10_000
"""Images below which the Frechet distance's upward bias is large enough to mislead."""
NEIGHBOURS = 3
SUBSETS = 100
SUBSET_SIZE = 1000
PAIRED = 10_000
"""Images a side for precision and recall, whose cost grows with their square."""
SPLITS = 10
CHUNK = 1000


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (D,) and covariance (D, D) of ``count`` feature vectors, float64."""

    mean: Tensor
    covariance: Tensor
    count: int


def moments(features: Tensor) -> Moments:
    """Mean and unbiased covariance, in two passes and in constant memory beside the features.

    Args:
        features: (N, D), N at least 2, any floating type; summed in float64.

    Raises:
        CoopNetsError: fewer than two rows, or values that are not finite.
    """
    if len(features) < 2:
        raise CoopNetsError(f"a covariance needs at least 2 images, there are {len(features)}")
    mean = features.mean(0, dtype=torch.float64)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for part in torch.split(features, CHUNK):
        centred = part.double() - mean
        covariance += centred.T @ centred
    covariance /= len(features) - 1
    if not bool(torch.isfinite(covariance).all()):
        raise CoopNetsError("the features hold NaN or infinite values: the images are broken")
    return Moments(mean, covariance, len(features))


def frechet_distance(a: Moments, b: Moments) -> float:
    """``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))``; 0 for equal moments.

    Raises:
        CoopNetsError: the moments do not fit together, or no finite number comes out.
    """
    if a.mean.shape != b.mean.shape:
        raise CoopNetsError(
            f"features of {len(a.mean)} and of {len(b.mean)} numbers cannot be compared"
        )
    fidelity = extra("torch_fidelity.metric_fid")
    with _numerical("Frechet distance"):
        result = fidelity.fid_statistics_to_metric(_plain(a), _plain(b), verbose=False)
        return _finite(result[fidelity.KEY_METRIC_FID])


def kernel_distance(generated: Tensor, real: Tensor, *, seed: int = 2020) -> tuple[float, float]:
    """Unbiased MMD^2, averaged over 100 random subsets of each side.

    Subsets hold 1,000 images, or half of the smaller side where that is less: subsets of all
    images would be one and the same, and have no spread.

    Args:
        generated: features, (N, D).
        real: features, (M, D).
        seed: of the subsets.

    Returns:
        Mean, which is about 0 (and may be below) for equal distributions, and standard
        deviation over subsets.

    Raises:
        CoopNetsError: fewer than four images on a side, or no finite number comes out.
    """
    size = min(SUBSET_SIZE, len(generated) // 2, len(real) // 2)
    if size < 2:
        raise CoopNetsError("a kernel distance needs at least 4 images on both sides")
    fidelity = extra("torch_fidelity.metric_kid")
    with _numerical("kernel distance"):
        # In float64, as the distance is a small difference of large sums.
        result = fidelity.kid_features_to_metric(
            generated.double(), real.double(), kid_subsets=SUBSETS, kid_subset_size=size,
            rng_seed=seed, verbose=False,
        )  # fmt: skip
        mean, spread = fidelity.KEY_METRIC_KID_MEAN, fidelity.KEY_METRIC_KID_STD
        return _finite(result[mean]), _finite(result[spread])


def inception_score(logits: Tensor, *, seed: int = 2020) -> tuple[float, float]:
    """``exp(mean KL(p(y|x) || p(y)))`` over 10 splits of shuffled images.

    Args:
        logits: (N, K) of generated images, N at least 10.
        seed: of the shuffle.

    Returns:
        Mean, between 1 and K, and standard deviation over splits.

    Raises:
        CoopNetsError: fewer images than splits, or no finite number comes out.
    """
    if len(logits) < SPLITS:
        raise CoopNetsError(f"an inception score needs at least {SPLITS} images")
    fidelity = extra("torch_fidelity.metric_isc")
    with _numerical("inception score"):
        result = fidelity.isc_features_to_metric(logits, splits=SPLITS, rng_seed=seed)
        mean, spread = fidelity.KEY_METRIC_ISC_MEAN, fidelity.KEY_METRIC_ISC_STD
        return _finite(result[mean]), _finite(result[spread])


def precision_recall(generated: Tensor, real: Tensor) -> tuple[float, float]:
    """Share of generated images among the real ones, and of real ones among the generated.

    Of more than 10,000 images on a side, a fixed random 10,000 are taken.

    Args:
        generated: features, (N, D), N above 3.
        real: features, (M, D), M above 3.

    Returns:
        Precision and recall, both in [0, 1].

    Raises:
        CoopNetsError: too few images, or distances that are not finite.
    """
    if min(len(generated), len(real)) <= NEIGHBOURS:
        raise CoopNetsError(f"precision and recall need more than {NEIGHBOURS} images a side")
    fidelity = extra("torch_fidelity.metric_prc")
    with _numerical("precision and recall"):
        result = fidelity.prc_features_to_metric(  # in this order: generated first
            _some(generated), _some(real), prc_neighborhood=NEIGHBOURS, prc_batch_size=CHUNK,
            save_cpu_ram=True, verbose=False,
        )  # fmt: skip
        precision, recall = fidelity.KEY_METRIC_PRECISION, fidelity.KEY_METRIC_RECALL
        return _finite(result[precision]), _finite(result[recall])


def score_names(extractor: str, official: bool) -> dict[str, str]:
    """What each score is called: FID, KID and IS only on the official Inception features."""
    short = {"frechet": "FID" if official else "FD", "kernel": "KID", "inception": "IS"}
    return short if official else {k: f"{name} ({extractor})" for k, name in short.items()}


def all_scores(
    generated: Tensor, logits: Tensor | None, real: Tensor, real_moments: Moments,
    names: dict[str, str],
) -> dict[str, float]:  # fmt: skip
    """Every score under its name; those with a spread have it under the name and SPREAD.

    Args:
        generated: features of generated images, (N, D).
        logits: of the same images, (N, K); None leaves the inception score out.
        real: features of real images, (M, D).
        real_moments: of ``real``.
        names: from :func:`score_names`.

    Raises:
        CoopNetsError: too few images, or numbers that are not finite.
    """
    scores = {names["frechet"]: frechet_distance(moments(generated), real_moments)}
    spread = {names["kernel"]: kernel_distance(generated, real)}
    if logits is not None:
        spread[names["inception"]] = inception_score(logits)
    for name, (mean, deviation) in spread.items():
        scores |= {name: mean, name + SPREAD: deviation}
    scores["precision"], scores["recall"] = precision_recall(generated, real)
    return scores


def warnings_for(n_generated: int, n_real: int, dimension: int, distance: str) -> list[str]:
    """What a reader of the distance must know where there are few images."""
    fewest, told = min(n_generated, n_real), []
    if fewest < FEW:
        told.append(
            f"{distance} of {n_generated:,} generated and {n_real:,} real images: below {FEW:,} "
            "it is biased upward; compare it only at equal numbers of images"
        )
    if fewest <= dimension:
        told.append(
            f"{fewest:,} images for {dimension:,} features: the covariance is singular and "
            f"{distance} far from its limit; take more, or trust the kernel distance"
        )
    return told


def _some(features: Tensor) -> Tensor:
    """Not the first ones, which in a sorted folder would be of a single class."""
    if len(features) <= PAIRED:
        return features
    chosen = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    return features[chosen[:PAIRED].sort().values]


def _plain(stated: Moments) -> dict[str, np.ndarray]:
    return {"mu": stated.mean.numpy(), "sigma": stated.covariance.numpy()}


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("it is not a finite number")
    return float(value)


@contextmanager
def _numerical(score: str) -> Iterator[None]:
    """Words a failure of the arithmetic."""
    try:
        yield
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate" in str(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CoopNetsError(f"the {score} cannot be computed: {reason}") from error
