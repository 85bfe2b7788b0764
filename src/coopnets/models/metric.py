"""The metric in which chains of clips move: most where the data move, and smoothly.

Langevin dynamics may walk in any coordinates: with a constant matrix A, steps of

    x  <-  x + delta^2/2 A A^T d/dx (-U) + tau delta A e,      e ~ N(0, I)

have the same stationary law exp(-U) as those with A = I (Roberts, Stramer, *Langevin Diffusions
and Metropolis-Hastings Algorithms*, 2002). Here A = S F: F prefers what is smooth along time,
height and width, as films are, and S is how far each pixel strays from its mean in the data.
"""

import torch
from torch import Tensor, nn

FLOOR, CEILING = 0.1, 3.0
"""Of a pixel's deviation over the root mean square of all: where the data stand quite still, a
chain must be able to mend a little, and nowhere may steps grow without bound."""


class Metric(nn.Module):
    """A = S F of clips (B, C, T, H, W).

    F = (I + K) / 2, where K passes a constant twice over and the finest checkerboard not at all:
    the binomial filter [1 2 1] / 4 along each axis, doubled.

    While ``loop`` is set, the last frame is a neighbour of the first.

    Args:
        size: side of the square frames; None is any, and S is left out.
    """

    scale: Tensor
    loop = False

    def __init__(self, size: int | None) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones((size, size) if size else (1, 1)))

    @torch.no_grad()
    def begin(self, scale: Tensor) -> None:
        """Take S, (H, W), from :func:`relative`."""
        if self.scale.numel() > 1:
            self.scale.copy_(scale)

    def noise(self, e: Tensor) -> Tensor:
        """A e."""
        return self._smooth(e) * self.scale

    def drift(self, gradient: Tensor) -> Tensor:
        """A A^T times a gradient; F is symmetric."""
        return self._smooth(self._smooth(gradient * self.scale)) * self.scale

    def _smooth(self, x: Tensor) -> Tensor:
        y = binomial(x, 2, around=self.loop)
        for axis in (3, 4):
            y = binomial(y, axis)
        return y.add_(x, alpha=0.5)


def binomial(x: Tensor, axis: int, around: bool = False) -> Tensor:
    """x filtered by [1 2 1] / 4; beyond its ends are zeros, or its other end."""
    if around:
        return x / 2 + (x.roll(1, axis) + x.roll(-1, axis)) / 4
    y, inner = x / 2, x.shape[axis] - 1
    y.narrow(axis, 0, inner).add_(x.narrow(axis, 1, inner), alpha=0.25)
    y.narrow(axis, 1, inner).add_(x.narrow(axis, 0, inner), alpha=0.25)
    return y


def relative(deviations: Tensor) -> Tensor:
    """Standard deviations of pixels (H, W), bounded, over the root mean square of all.

    Some of them must be above 0.
    """
    bounded = (deviations / deviations.square().mean().sqrt()).clamp(FLOOR, CEILING)
    return bounded / bounded.square().mean().sqrt()
