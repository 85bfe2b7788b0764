"""Whether few images are repeated by heart: the training image nearest to each sample."""

from dataclasses import dataclass

import torch
from torch import Tensor

from coopnets.data import ImageData, to_pixels, to_unit
from coopnets.model import CoopNets

LOOKED_AT = 64
SHOWN = 8


@dataclass(frozen=True, eq=False)
class Nearest:
    """Samples and their nearest training images.

    Attributes:
        samples: some of them, (SHOWN, C, H, W) in [-1, 1].
        images: the training image nearest to each.
        samples_distance: median distance of a sample from its nearest training image: root mean
            square of a pixel in [-1, 1].
        images_distance: the same for training images and the nearest other one. Far below it,
            samples are copies.
    """

    samples: Tensor
    images: Tensor
    samples_distance: float
    images_distance: float


def nearest(model: CoopNets, learnt: ImageData, seed: int) -> Nearest:
    """The training images nearest to revised samples, by the distance of pixels.

    Args:
        model: a pair.
        learnt: its training images; their mirror images count too if it was shown those.
        seed: names the samples.
    """
    known = torch.from_numpy(learnt.images[:].copy())
    if model.config.flip:
        known = torch.cat([known, known.flip(3)])
    vectors = to_unit(known).flatten(1)
    samples = to_unit(to_pixels(model.sample(LOOKED_AT, seed=seed).cpu()))
    distances = torch.cdist(samples.flatten(1), vectors)
    found = distances.min(1)
    some = vectors[: min(LOOKED_AT, len(learnt))]
    among = torch.cdist(some, vectors)
    itself = torch.arange(len(vectors)) % len(learnt)
    among[torch.arange(len(some))[:, None] == itself[None]] = torch.inf
    root = vectors.shape[1] ** 0.5
    return Nearest(
        samples[:SHOWN], to_unit(known[found.indices[:SHOWN]]),
        float(found.values.median()) / root, float(among.min(1).values.median()) / root,
    )  # fmt: skip
