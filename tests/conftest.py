"""Quiet surroundings for every test: one thread, no network, no accelerator, its own cache."""

import os

# Before torch is imported. One thread, as sums in another order are other sums.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ACCELERATE_USE_CPU"] = "true"

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from coopnets.cli import main
from coopnets.data import ImageData, open_images
from coopnets.model import CoopNets
from small import pixels, train_command

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOPNETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def array(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty 8x8 pictures in a .npy file."""
    file = tmp_path_factory.mktemp("pictures") / "x.npy"
    np.save(file, pixels(40))
    return file


@pytest.fixture(scope="session")
def images(array: Path) -> ImageData:
    """The same pictures, opened."""
    return open_images(array, size=8, channels=1, say=lambda _: None)


@pytest.fixture(scope="session")
def trained(array: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny training, not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "trained"
    assert main(train_command(array, run, steps=60)) == 0
    return run


@pytest.fixture(scope="session")
def model(trained: Path) -> CoopNets:
    """What that training gave."""
    return CoopNets.from_pretrained(trained)
