"""The units in which f sees clips, and the metric in which chains move: as the data do.

f sees (x - mean) / S, S being how far each pixel strays from its mean in the data, so that little
contrast is as good as much.

Langevin dynamics may walk in any coordinates: with a constant matrix A, steps of

    x  <-  x + delta^2/2 A A^T d/dx (-U) + tau delta A e,      e ~ N(0, I)

have the same stationary law exp(-U) as those with A = I (Roberts, Stramer, *Langevin Diffusions
and Metropolis-Hastings Algorithms*, 2002). Here A = S F: F prefers what is smooth along time,
height and width, as films are.
"""

import torch
from torch import Tensor, nn

FLOOR, CEILING = 0.1, 3.0
"""Of a pixel's deviation over the root mean square of all: where the data stand quite still, a
chain must be able to mend a little, and nowhere may steps grow without bound."""
USUAL = 0.3
"""Root mean square deviation that the steps of chains and the rates of f are made for."""


class Metric(nn.Module):
    """Mean, S and A = S F of clips (B, C, T, H, W).

    F = (I + K) / 2, where K passes a constant twice over and the finest checkerboard not at all:
    the binomial filter [1 2 1] / 4 along each axis, doubled.

    While ``loop`` is set, the last frame is a neighbour of the first.

    Args:
        size: side of the square frames; None is any, and S is one number.
        image_channels: C.
    """

    mean: Tensor
    scale: Tensor
    loop = False

    def __init__(self, size: int | None, image_channels: int) -> None:
        super().__init__()
        frame = (size, size) if size else (1, 1)
        self.register_buffer("mean", torch.zeros(image_channels, 1, *frame))
        self.register_buffer("scale", torch.ones(frame))

    @torch.no_grad()
    def begin(self, mean: Tensor, scale: Tensor) -> None:
        """Take the mean frame (C, 1, H, W) of the data and S (H, W) from :func:`units`."""
        if self.scale.numel() == 1:
            mean, scale = mean.mean((2, 3), keepdim=True), scale.square().mean().sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def standard(self, x: Tensor) -> Tensor:
        """(x - mean) / S, as f sees x: alike whatever the contrast of the data."""
        return (x - self.mean) / self.scale

    def noise(self, e: Tensor) -> Tensor:
        """A e."""
        return self._smooth(e) * self.scale

    def slope(self, gradient: Tensor) -> Tensor:
        """A^T times a gradient; F is symmetric."""
        return self._smooth(gradient * self.scale)

    def drift(self, gradient: Tensor) -> Tensor:
        """A A^T times a gradient."""
        return self.noise(self.slope(gradient))

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


def units(deviations: Tensor) -> Tensor:
    """S (H, W): standard deviations of pixels (H, W), bounded, over the usual one.

    Some of them must be above 0.
    """
    root = deviations.square().mean().sqrt()
    bounded = (deviations / root).clamp(FLOOR, CEILING)
    return bounded * (root / bounded.square().mean().sqrt() / USUAL)
