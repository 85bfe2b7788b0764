"""What is measured of a synthesis: distances in features of windows, and the copy check."""

from functools import cache

import torch
from torch import Tensor

from coopnets.evaluate import Extractor
from coopnets.evaluate.scores import Moments, frechet_distance
from coopnets.evaluate.textures import largest_correlation, window_moments
from experiments.cells import Result

SIDES = (64, 128)
PATCH = 48
"""Side of the patches that are looked for in the original."""
PATCHES = 32


class Measures:
    """Pictures measured against one original, whose features are computed once.

    Args:
        original: uint8 (C, H, W).
        extractor: the feature network.
        windows: random windows on each side of a distance.
        seed: of their places.
    """

    def __init__(self, original: Tensor, extractor: Extractor, windows: int, seed: int) -> None:
        self.original, self.extractor = original, extractor
        self.windows, self.seed = windows, seed
        self.wanted = cache(lambda side: self._moments(original, side, seed + 1))

    def settings(self) -> Result:
        """All that the figures depend on, beside the pictures."""
        return {
            "windows": self.windows, "sides": list(SIDES), "seed": self.seed,
            "patch": PATCH, "patches": PATCHES, "less": "means of channels",
            "features": self.extractor.name,
            "weights": self.extractor.identity, "resize": self.extractor.resize,
        }  # fmt: skip

    def of(self, made: Tensor) -> Result:
        """Distances by side of window, and the largest correlation with the original."""
        distances = {
            str(side): frechet_distance(self._moments(made, side, self.seed), self.wanted(side))
            for side in SIDES
        }
        found = largest_correlation(made, self.original, PATCH, count=PATCHES, seed=self.seed)
        return {"distance": distances, "correlation": found}

    def of_halves(self) -> Result:
        """Distances of the left half of the original from its right half.

        What a synthesis has that is as like the original as the original is like itself, a
        little further on. Their largest correlation is that of pieces of one texture that are no
        copies of each other.
        """
        left, right = torch.tensor_split(self.original, 2, dim=2)
        distances = {
            str(side): frechet_distance(
                self._moments(left, side, self.seed), self._moments(right, side, self.seed + 1)
            )
            for side in SIDES
        }
        found = largest_correlation(left, right, PATCH, count=PATCHES, seed=self.seed)
        return {"distance": distances, "correlation": found}

    def _moments(self, picture: Tensor, side: int, seed: int) -> Moments:
        return window_moments([picture], self.extractor, side, count=self.windows, seed=seed)
