"""Small pictures are learnt by every method: means and spreads of samples come to the data's."""

import pytest
import torch
from methods_small import changed, small
from torch import Tensor

from coopnets.config import Config
from coopnets.data import batch_indices
from coopnets.methods import build
from coopnets.processes import Processes
from small import pixels

COUNT, BATCH = 400, 32
SHARED = {"batch_size": BATCH, "chains": BATCH, "ema": 0.95}
GAME = {"generator": {"channels": (32, 16)}, "critic": {"channels": (16, 32)}}
CODE = {"generator": {"channels": (32, 16)}}
ENERGY = {"descriptor": {"channels": (16, 32)}, "descriptor_optimizer": {"lr": 1e-3}}


def rates(**optimizer: float | str) -> dict[str, dict[str, float | str]]:
    return {"generator_optimizer": optimizer, "critic_optimizer": optimizer}


CASES: dict[str, tuple[Config, int]] = {
    "dcgan": (small("dcgan", **SHARED, **GAME, **rates(lr=5e-4)), 200),
    "wgan": (small("wgan", **SHARED, **GAME, **rates(lr=5e-4), wgan={"critic_steps": 2}), 100),
    "wgan-gp": (
        changed(
            small("wgan", **SHARED, **GAME, **rates(kind="adam", lr=1e-3, beta1=0.0)),
            critic={"norm": "none", "init_std": None},
            wgan={"critic_steps": 2, "gradient_penalty": 10.0},
        ),
        120,
    ),
    "vae": (small("vae", **SHARED, **CODE), 150),
    "generator": (
        small("generator", **SHARED, **CODE, posterior={"steps": 5, "delta": 0.1}), 200,
    ),
    "descriptor": (small("descriptor", **SHARED, **ENERGY, langevin={"steps": 30}), 60),
    "persistent": (
        small(
            "descriptor", **SHARED, **ENERGY, langevin={"steps": 10, "sample_steps": 50},
            chain={"start": "persistent", "buffer": BATCH, "restart": 0.1},
        ),
        200,
    ),
}  # fmt: skip
"""Settings and iterations; rates above the recipes', so that a test need not wait."""


@pytest.fixture(scope="module")
def data() -> Tensor:
    return torch.from_numpy(pixels(COUNT)).float()[:, None] / 127.5 - 1


def apart(x: Tensor, data: Tensor) -> tuple[float, float]:
    """Root mean square error of the mean picture, and of the picture of standard deviations."""
    x = x.clamp(-1, 1)
    mean, spread = x.mean(0) - data.mean(0), x.std(0) - data.std(0)
    return float(mean.square().mean().sqrt()), float(spread.square().mean().sqrt())


@pytest.mark.parametrize("name", CASES)
def test_small_pictures_are_learnt(name: str, data: Tensor) -> None:
    config, iterations = CASES[name]
    learner = build(config, Processes(), COUNT)
    before = apart(learner.show(200)[0], data)
    batches = learner.images // BATCH
    for t in range(iterations):
        rows = [batch_indices(COUNT, BATCH, t * batches + i, 0) for i in range(batches)]
        learner.iterate(data[torch.cat(rows)], t)
    after = apart(learner.show(200)[0], data)
    assert before[0] > 0.7 and before[1] > 0.25  # the data's mean is -0.72, its spread 0.38
    assert after[0] < 0.25 and after[1] < 0.25
