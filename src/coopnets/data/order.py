"""The order in which images are visited: a pure function of (seed, iteration)."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MIRROR = 1
"""Third number of the streams that decide on mirrors; the order of images has two."""


def batch_indices(n: int, batch_size: int, iteration: int, seed: int) -> Tensor:
    """Returns the images of one mini-batch, with no state kept between calls.

    The n images are shuffled anew each epoch and the epochs are laid end to end; batch number
    ``iteration`` is the corresponding stretch of that line. So every image appears exactly once
    an epoch, every batch is full (it may span two epochs, or many when n < batch_size), and a
    resumed run needs only its iteration number to continue as if never stopped.

    Args:
        n: Number of images, at least 1.
        batch_size: Images per batch, at least 1.
        iteration: Number of the batch, from 0.
        seed: Any integer.

    Returns:
        int64 of shape (batch_size,), values in 0..n-1.

    Raises:
        ValueError: If n or batch_size is below 1, or iteration below 0.
    """
    if n < 1 or batch_size < 1 or iteration < 0:
        raise ValueError(
            f"need n, batch_size >= 1 and iteration >= 0: {n=} {batch_size=} {iteration=}"
        )
    start = iteration * batch_size
    stop = start + batch_size
    pieces = [
        _permutation(n, seed, epoch)[max(start - epoch * n, 0) : stop - epoch * n]
        for epoch in range(start // n, (stop - 1) // n + 1)
    ]
    return torch.from_numpy(np.concatenate(pieces))


def mirrored(batch_size: int, iteration: int, seed: int) -> Tensor:
    """Which images of a mini-batch are shown mirrored, with no state kept between calls.

    Args:
        batch_size: Images per batch.
        iteration: Number of the batch, from 0.
        seed: Any integer.

    Returns:
        bool of shape (batch_size,), each true with probability 1/2.
    """
    rng = np.random.default_rng((seed % 2**64, iteration, MIRROR))
    return torch.from_numpy(rng.random(batch_size) < 0.5)


@lru_cache(maxsize=4)
def _permutation(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch; the modulus admits negative seeds, which NumPy refuses."""
    order = np.random.default_rng((seed % 2**64, epoch)).permutation(n)
    order.flags.writeable = False
    return order
