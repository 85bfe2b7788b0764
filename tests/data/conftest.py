"""Pictures made on the spot, and open_images with its cache in the test's own folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopnets.data import ImageData, open_images


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def opened(cache_dir: Path, said: list[str]) -> Callable[..., ImageData]:
    return partial(open_images, cache_dir=cache_dir, say=said.append, size=8, channels=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine pictures of different size and content, one folder down for a third of them."""
    root = tmp_path / "pictures"
    (root / "deep").mkdir(parents=True)
    rng = np.random.default_rng(1)
    for i in range(9):
        pixels = rng.integers(0, 256, (10 + i, 20 - i, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / ("deep" if i % 3 == 0 else ".") / f"{i}.png")
    return root


@pytest.fixture
def flat() -> Callable[[Path, int], None]:
    """Saves a picture of one grey level, by which it can be told apart."""

    def save(path: Path, level: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 12), (level, level, level)).save(path)

    return save
