"""How far completions are from the truth: over the hidden pixels alone, on the scale [0, 1].

error  mean absolute difference
PSNR   -10 log10 of the mean squared difference, in dB (peak 1), averaged per image
SSIM   structural similarity (Wang, Bovik, Sheikh, Simoncelli, 2004), whose local values are
       averaged over the hidden pixels; their windows see visible ones too

The first two are the definitions that the published table of completions fits: in all of its
cells 10^(-PSNR/20) is about 1.25 times the error, the ratio of Gaussian errors, which no average
over whole images would give.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import bootstrap
from torch import Tensor

PSNR_CEILING = 100.0
"""dB given to a completion without any difference, whose PSNR would be infinite."""
K1, K2 = 0.01, 0.03
WINDOW_SIGMA = 1.5
WINDOW_RADIUS = 5
RESAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of B images, (B,) each."""

    error: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray


class Interval(NamedTuple):
    """A mean, and the bounds of its confidence interval."""

    mean: float
    low: float
    high: float


def scores(y: Tensor, x: Tensor, mask: Tensor) -> Scores:
    """Compare completions with the truth.

    Args:
        y: completions, (B, C, ..., H, W) in [-1, 1].
        x: the truth, of the same shape.
        mask: boolean, (B or 1, C or 1, ...), true where hidden.
    """
    y, x, mask = (t.detach().cpu() for t in (y, x, mask))
    hidden = mask.expand(x.shape).flatten(1)
    count = hidden.sum(1)
    difference = (y.double() - x.double()).flatten(1).div(2) * hidden
    error = difference.abs().sum(1) / count
    squared = difference.square().sum(1) / count
    psnr = -10 * squared.clamp_min(10 ** (-PSNR_CEILING / 10)).log10()
    similarity = torch.from_numpy(ssim_map(_unit(y), _unit(x))).flatten(1)
    return Scores(error.numpy(), psnr.numpy(), ((similarity * hidden).sum(1) / count).numpy())


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Structural similarity around every pixel of planes (..., H, W) in [0, 1].

    Gaussian windows of sigma 1.5, 11 pixels wide, mirrored at the edge of the image.
    """

    def blur(planes: np.ndarray) -> np.ndarray:
        axes = (planes.ndim - 2, planes.ndim - 1)
        found: np.ndarray = gaussian_filter(
            planes, WINDOW_SIGMA, radius=WINDOW_RADIUS, axes=axes, mode="reflect"
        )
        return found

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = K1**2, K2**2
    same = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity: np.ndarray = same / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return similarity


def interval(values: np.ndarray, level: float = 0.95, seed: int = 0) -> Interval:
    """The mean of one value for each image, and its bootstrap confidence interval.

    Images are drawn with replacement 10,000 times; the bounds are percentiles of the means.
    One image alone has no interval: the bounds are not a number.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    found = bootstrap(
        (np.asarray(values, float),), np.mean, n_resamples=RESAMPLES, confidence_level=level,
        method="percentile", vectorized=True, batch=100, rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high))


def _unit(x: Tensor) -> np.ndarray:
    unit: np.ndarray = (x.double().numpy() + 1) / 2
    return unit
