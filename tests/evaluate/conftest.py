"""Real handwritten digits of 8x8 pixels, which come with scikit-learn, and a cheap extractor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.evaluate import Extractor
from parquet_files import write_parquet

Digits = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Images (1797, 1, 8, 8) uint8, and labels."""
    datasets = pytest.importorskip("sklearn.datasets")
    loaded = datasets.load_digits()
    return (loaded.images[:, None] * 15.9).astype(np.uint8), loaded.target.astype(np.int64)


@pytest.fixture(scope="session")
def digit_folder(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as train.parquet (1,400) and test.parquet (397)."""
    folder = tmp_path_factory.mktemp("digits")
    write_parquet(folder / "train.parquet", digits[0][:1400], digits[1][:1400])
    write_parquet(folder / "test.parquet", digits[0][1400:], digits[1][1400:])
    return folder


@pytest.fixture
def linear() -> Callable[..., Extractor]:
    """An extractor that multiplies the pixels, as numbers in [0, 1], by a matrix (P, D)."""

    def make(matrix: Tensor, name: str = "linear", official: bool = False) -> Extractor:
        def compute(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
            features = (pixels.flatten(1).double() / 255) @ matrix.double()
            return features, torch.cat([features, -features], 1)

        return Extractor(name, "none", f"{float(matrix.sum())}", compute, official)

    return make
