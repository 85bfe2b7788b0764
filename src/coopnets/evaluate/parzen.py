"""Log-likelihood of images under a Gaussian Parzen window around samples, in two protocols.

The estimate is that of Breuleux, Bengio, Vincent, "Quickly generating representative samples
from an RBM-derived process" (Neural Computation 2011), which Goodfellow et al. 2014 (arXiv
1406.2661) made the usual table for digits: p(x) = 1/M sum_m N(x; c_m, sigma^2 I) with M
samples as centres. It says little of pictures above 28x28 (Theis, van den Oord, Bethge, arXiv
1511.01844).

``as_published`` follows the CoopNets authors' code for digits. ``clean`` mends what there
flatters the figure.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError

CENTRES = 10_000
"""Samples that are centres of the window, in both protocols."""
VALIDATION = 1000
"""Images that sigma is chosen on, in both protocols."""
PUBLISHED_START = 50_000
"""First of them in the authors' code, in the order of the training file."""
PUBLISHED_GRID = tuple(np.logspace(-1, 0, 10).tolist())
CLEAN_GRID = tuple(np.logspace(-2, 0.5, 51).tolist())
BLOCK = 250


@dataclass(frozen=True)
class Parzen:
    """A log-likelihood in nats of images scaled to [0, 1].

    Attributes:
        protocol: ``as published`` or ``clean``.
        log_likelihood: mean over the test images.
        standard_error: of that mean over the test images; it does not cover the choice of the
            samples.
        sigma: width of the window.
        sigma_on: what sigma was chosen on, in words.
        edge: whether sigma is the smallest or the largest there was to choose.
        centres: number of samples.
        tested: number of test images.
        epochs: sets of samples that the best was chosen from, by the test score.
    """

    protocol: str
    log_likelihood: float
    standard_error: float
    sigma: float
    sigma_on: str
    edge: bool
    centres: int
    tested: int
    epochs: int = 1

    def told(self) -> dict[str, Any]:
        """A plain dictionary, ready for JSON."""
        return asdict(self)


def log_likelihoods(images: Tensor, centres: Tensor, sigmas: Sequence[float]) -> Tensor:
    """``log 1/M sum_m N(x; c_m, sigma^2 I)`` of each image, in float64.

    Args:
        images: (N, D).
        centres: (M, D).
        sigmas: widths of the window, S of them, above 0.

    Returns:
        (S, N), nats.
    """
    centres = centres.double()
    norms = centres.square().sum(1)
    dimension, count = centres.shape[1], len(centres)
    found = torch.empty(len(sigmas), len(images), dtype=torch.float64)
    for start in range(0, len(images), BLOCK):
        x = images[start : start + BLOCK].double()
        # |x|^2 + |c|^2 - 2 x c rounds to about 1e-12 in float64, and may fall below 0 by that.
        squares = torch.addmm(norms + x.square().sum(1, keepdim=True), x, centres.T, alpha=-2)
        squares.clamp_(min=0)
        for i, sigma in enumerate(sigmas):
            total = (squares / (-2 * sigma**2)).logsumexp(1)
            constant = dimension * math.log(sigma * math.sqrt(2 * math.pi)) + math.log(count)
            found[i, start : start + BLOCK] = total - constant
    return found


def as_published(epochs: Iterable[Tensor], train: np.ndarray, test: np.ndarray) -> Parzen:
    """The protocol of the CoopNets authors' code, literally.

    1. The centres are the first 10,000 samples produced in training during an epoch. 2. They
    are clipped to [-1, 1], then stretched to [0, 1] by the least and the largest value of them
    all. 3. Parzen window. 4. Sigma is the best of ten from 0.1 to 1 on training images 50,000
    to 50,999. 5. Mean over the test images and its standard error; of several epochs the best
    by this very score counts.

    Args:
        epochs: samples (M, C, H, W) of each epoch, about [-1, 1]; the set of a finished model
            stands for a single epoch.
        train: uint8 (N, C, H, W) in the order of the training file; where there are fewer than
            51,000, sigma is chosen on the last 1,000.
        test: uint8 (T, C, H, W), T at least 2.

    Raises:
        CoopNetsError: no samples, too few images, or samples that are all alike.
    """
    validation, sigma_on = _published_validation(train)
    best, count = None, 0
    for samples in epochs:
        count += 1
        centres = _stretched(samples[:CENTRES])
        found = _measured(
            "as published", centres, _unit(validation), _unit(test), PUBLISHED_GRID, sigma_on, 0
        )
        if best is None or found.log_likelihood > best.log_likelihood:
            best = found
    if best is None:
        raise CoopNetsError("a Parzen window needs samples")
    return Parzen(**{**best.told(), "epochs": count})


def clean(samples: Tensor, train: np.ndarray, test: np.ndarray, *, seed: int = 0) -> Parzen:
    """Frozen weights, a fixed scale, sigma from training images alone, the test set used once.

    Sigma is the best of 51 from 0.01 to 3.2 on 1,000 training images drawn by the seed. There
    is nothing to fit but sigma, so these images, apart from the samples, are all that cross
    validation needs. The model has learnt from them: one that remembers them gets too narrow a
    window, which lowers the figure.

    Args:
        samples: (M, C, H, W) of a finished model, about [-1, 1]; the first 10,000 count.
        train: uint8 (N, C, H, W).
        test: uint8 (T, C, H, W), T at least 2.
        seed: of the choice of the training images.

    Raises:
        CoopNetsError: no samples or too few images.
    """
    if len(samples) == 0:
        raise CoopNetsError("a Parzen window needs samples")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train))[:VALIDATION])
    centres = ((samples[:CENTRES].double() + 1) / 2).clamp(0, 1).flatten(1)
    sigma_on = f"{len(chosen):,} training images drawn with seed {seed}"
    return _measured("clean", centres, _unit(train[chosen]), _unit(test), CLEAN_GRID, sigma_on, 1)


def _measured(
    protocol: str, centres: Tensor, validation: Tensor, test: Tensor,
    grid: Sequence[float], sigma_on: str, freedom: int,
) -> Parzen:  # fmt: skip
    if len(validation) == 0 or len(test) < 2:
        raise CoopNetsError("a Parzen window needs a training image and two test images")
    index = int(log_likelihoods(validation, centres, grid).mean(1).argmax())
    values = log_likelihoods(test, centres, [grid[index]])[0]
    error = float(values.std(correction=freedom)) / math.sqrt(len(values))
    return Parzen(
        protocol, float(values.mean()), error, grid[index], sigma_on,
        index in (0, len(grid) - 1), len(centres), len(test),
    )  # fmt: skip


def _published_validation(train: np.ndarray) -> tuple[np.ndarray, str]:
    start = PUBLISHED_START
    if len(train) < start + VALIDATION:
        start = max(0, len(train) - VALIDATION)
    chosen = train[start : start + VALIDATION]
    return chosen, f"training images {start:,} to {start + len(chosen) - 1:,}"


def _stretched(samples: Tensor) -> Tensor:
    clipped = samples.double().clamp(-1, 1).flatten(1)
    if len(clipped) == 0:
        raise CoopNetsError("a Parzen window needs samples")
    low, high = float(clipped.min()), float(clipped.max())
    if not high > low:
        raise CoopNetsError("the samples hold a single value: there is nothing to stretch")
    return (clipped - low) / (high - low)


def _unit(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(images)).double().div_(255).flatten(1)
