"""Remembered pairs of a latent vector and its revised image.

Revision is expensive and teaching is cheap, so the generator is taught again on pairs of the
last few iterations. The images are kept in half precision: 11 bits, finer than 8-bit pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from coopnets.chance import Draws


class Memory:
    """Ring of the last ``depth`` iterations' pairs, each of ``chains`` rows.

    Args:
        depth: iterations remembered.
        chains: rows of an iteration on this process.
        latent: shape of z.
        image: (C, H, W).
        device: where the pairs are kept.
    """

    def __init__(
        self,
        depth: int,
        chains: int,
        latent: Sequence[int],
        image: Sequence[int],
        device: torch.device,
    ) -> None:
        self.z = torch.zeros(depth, chains, *latent, device=device)
        self.x = torch.zeros(depth, chains, *image, device=device, dtype=torch.float16)
        self.written = 0

    def add(self, z: Tensor, x: Tensor) -> None:
        """Remember (chains, \\*latent) and (chains, C, H, W), forgetting the oldest iteration."""
        slot = self.written % len(self.z)
        self.z[slot], self.x[slot] = z, x
        self.written += 1

    def recall(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """As many pairs as an iteration has, each from a random remembered iteration."""
        chains = self.z.shape[1]
        slots = draws.integers(min(self.written, len(self.z)), chains * draws.world)
        rows = torch.arange(chains, device=slots.device)
        return self.z[slots, rows], self.x[slots, rows].float()
