"""The linear part of a generator of clips: what means and covariances tell of them.

A mean frame, and a moving average of z along time, seen through a few frames. It is begun as that
of the clips which are learnt from (:func:`coopnets.lds.moving_average`) and stays so. Other layers
add to it what is not linear, each pixel at a strength of its own.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from coopnets.lds import MovingAverage


class Linear(nn.Module):
    """Clips that are linear in z; nothing until it has been begun.

    Args:
        latent: numbers of each latent position, d.
        states: numbers that a frame is made of, at most.
        frame: (H, W, C).
        unit: frames of a latent position.
        reach: latent positions that a frame hears.
    """

    mean: Tensor
    taps: Tensor
    basis: Tensor

    def __init__(
        self, latent: int, states: int, frame: tuple[int, int, int], unit: int, reach: int
    ) -> None:
        super().__init__()
        self.latent, self.states, self.frame = latent, states, frame
        self.unit, self.reach = unit, reach
        height, width, channels = frame
        self.register_buffer("mean", torch.zeros(frame))
        self.register_buffer("taps", torch.zeros(reach, latent, unit, states))
        self.register_buffer("basis", torch.zeros(states, height * width * channels))

    @torch.no_grad()
    def begin(self, found: MovingAverage) -> None:
        """Make what that moving average makes; it has d numbers, and n <= ``states``."""
        n = found.c.shape[1]
        self.mean.copy_(self._frames(found.mean[None])[0])
        for part in (self.basis, self.taps):
            part.zero_()
        self.basis[:n] = self._frames(found.c.T).flatten(1)
        heard = torch.unflatten(torch.from_numpy(found.taps), 0, (self.reach, self.unit))
        # Of the positions that a frame hears, it is the last whose piece has only just begun.
        self.taps[..., :n] = heard.flip(0).permute(0, 3, 1, 2)

    def forward(self, z: Tensor) -> Tensor:
        """Frames (B, T, H, W, C), fp32, of z (B, d, t), t = T / unit + reach - 1."""
        heard = z.transpose(1, 2).unfold(1, self.reach, 1)  # (B, T / unit, d, reach)
        states = torch.einsum("btdk,kdus->btus", heard, self.taps).flatten(1, 2)
        return torch.unflatten(states @ self.basis, 2, self.frame).float() + self.mean

    def _frames(self, rows: np.ndarray) -> Tensor:
        """Rows of C H W numbers as (N, H, W, C)."""
        height, width, channels = self.frame
        planes = torch.from_numpy(rows.copy()).view(-1, channels, height, width)
        return planes.permute(0, 2, 3, 1)


class Strength(nn.Module):
    """How strongly the other layers move each pixel.

    Where nothing moves they make a faint noise, which takes them long to unlearn.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.motion = nn.Parameter(torch.zeros(size, size, 1))
        """Logarithm of the factor."""

    @torch.no_grad()
    def begin(self, scale: Tensor) -> None:
        """Take factors (H, W)."""
        self.motion.copy_(scale.log()[..., None])

    def forward(self, x: Tensor) -> Tensor:
        """Frames (B, T, H, W, C), each pixel at its own strength."""
        return x * self.motion.exp()


def odd(g: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """(g(z) - g(-z)) / sqrt(2), which has no mean over z ~ N(0, I): the linear part has the mean.

    Otherwise layers begin with, and learn, what all clips share: a pattern that does not move, and
    one that comes again with every latent position, as their kernels do.
    """
    up, down = g(torch.cat([z, -z])).chunk(2)
    return (up - down) / 2**0.5


def within_range(x: Tensor) -> Tensor:
    """x in [-1, 1], with the gradient of x: what went beyond must find its way back."""
    return x.detach().clamp(-1, 1) + (x - x.detach())
