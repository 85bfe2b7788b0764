"""Completion without a model: every classic method of the comparison in one place."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from coopnets.complete.classic import libraries, mrf, nans
from coopnets.complete.classic.planes import fill

Fill = Callable[[Tensor, Tensor], Tensor]

CLASSIC: dict[str, Fill] = {
    "mrf-l1": partial(fill, method=mrf.absolute),
    "mrf-l2": partial(fill, method=mrf.squared),
    "inter-1": partial(fill, method=nans.least_squares_laplace),
    "inter-2": partial(fill, method=nans.direct_laplace),
    "inter-3": partial(fill, method=nans.least_squares_biharmonic),
    "inter-4": partial(fill, method=nans.springs),
    "inter-5": partial(fill, method=nans.mean_of_eight),
    "biharmonic": libraries.biharmonic,
    "telea": libraries.telea,
}
"""By name: images (B, C, H, W) in [-1, 1] and a boolean mask that broadcasts to them, true where
hidden, to images with the hidden pixels filled; not cut off at [-1, 1]."""


def require(name: str) -> None:
    """Pass a method that can be computed with what is installed.

    Raises:
        CoopNetsError: its library is missing.
    """
    if name in libraries.LIBRARIES:
        libraries.library(name)


__all__ = ["CLASSIC", "Fill", "fill", "require"]
