"""Random numbers that depend on what they are for, and on nothing that ran before.

Each iteration and each sample has a stream of its own, found from the seed. So a resumed run
repeats an uninterrupted one, a sample does not depend on how many are drawn with it, and
several processes draw together what one would have drawn.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def stream(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Generator for the stream named by a tuple of integers; different tuples do not collide."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "big") >> 1)


class Draws:
    """The random numbers of one training iteration, shared out over processes.

    Every process draws the numbers of the global batch and keeps its own rows.

    Args:
        key: what names the stream, for instance (seed, iteration, attempt).
        device: where the numbers are made.
        rank: this process, 0 to world - 1.
        world: number of processes.
    """

    def __init__(self, key: Sequence[int], device: torch.device, rank: int, world: int) -> None:
        self.generator = stream(*key, device=device)
        self.device, self.rank, self.world = device, rank, world

    def normal(self, total: int, *shape: int) -> Tensor:
        """This process' rows of (total, \\*shape) standard normal numbers."""
        drawn = torch.randn(total, *shape, generator=self.generator, device=self.device)
        return self._mine(drawn)

    def like(self, x: Tensor) -> Tensor:
        """Standard normal numbers for ``x``, whose first axis is this process' rows."""
        return self.normal(len(x) * self.world, *x.shape[1:])

    def uniform(self, total: int, *shape: int) -> Tensor:
        """This process' rows of (total, \\*shape) numbers, uniform in [0, 1)."""
        drawn = torch.rand(total, *shape, generator=self.generator, device=self.device)
        return self._mine(drawn)

    def integers(self, high: int, total: int) -> Tensor:
        """This process' rows of ``total`` integers, uniform in 0 to high - 1."""
        drawn = torch.randint(high, (total,), generator=self.generator, device=self.device)
        return self._mine(drawn)

    def _mine(self, drawn: Tensor) -> Tensor:
        return drawn if self.world == 1 else drawn.chunk(self.world)[self.rank]


def per_sample(seed: int, first: int, count: int) -> list[torch.Generator]:
    """One generator for each of the samples ``first`` to ``first + count - 1``.

    They live on the CPU, so that a sample is the same wherever the networks run.
    """
    return [stream(seed, i) for i in range(first, first + count)]
