"""Pictures, and a cheap feature network, for the experiments with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets.evaluate.classifier import Classifier, save_classifier


def waves(side: int, channels: int, seed: int = 0) -> np.ndarray:
    """Smooth noise with a preferred direction, uint8 (side, side) or (side, side, channels)."""
    rng = np.random.default_rng(seed)
    field = np.fft.rfft2(rng.normal(size=(channels, side, side)))
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    kept = np.exp(-300 * rows**2 - 2000 * (columns - 0.06) ** 2)
    smooth = np.fft.irfft2(field * kept, s=(side, side))
    mixed = smooth / smooth.std() + (smooth[:1] / smooth[:1].std())  # colours hang together
    pixels = (128 + 55 * np.tanh(mixed)).astype(np.uint8)
    return pixels[0] if channels == 1 else pixels.transpose(1, 2, 0)


@pytest.fixture(scope="session")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey one that is a little too large, and one of colour."""
    folder = tmp_path_factory.mktemp("textures")
    Image.fromarray(waves(270, 1)).save(folder / "free_grey.png")
    Image.fromarray(waves(256, 3, seed=1)).save(folder / "colour.png")
    (folder / "README.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """The file of an untrained classifier of so many channels: a cheap feature network."""

    def make(channels: int) -> str:
        torch.manual_seed(0)
        file = tmp_path_factory.mktemp("network") / f"small-{channels}.safetensors"
        save_classifier(Classifier(10, channels, 8), file, 0.5)
        return str(file)

    return make
