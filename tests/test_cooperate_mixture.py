"""The whole method where the truth is known: four Gaussians of unequal weight in the plane.

With 1x1 images of two channels and 1x1 kernels both networks are multilayer perceptrons, and
everything else is the very code that learns pictures.
"""

import pytest
import torch
from torch import Tensor

from coopnets.chance import stream
from coopnets.config import (
    Config,
    DescriptorConfig,
    GeneratorConfig,
    LangevinConfig,
    OptimizerConfig,
)
from coopnets.cooperate import Cooperation
from coopnets.processes import Processes
from coopnets.sample import samples

WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1])
CENTRES = torch.tensor([[-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]])
SPREAD = 0.1
STEPS = 600


def mixture(count: int, generator: torch.Generator) -> Tensor:
    mode = torch.multinomial(WEIGHTS, count, True, generator=generator)
    points = CENTRES[mode] + SPREAD * torch.randn(count, 2, generator=generator)
    return points[:, :, None, None]


def settings(seed: int) -> Config:
    return Config(
        size=1,
        image_channels=2,
        descriptor=DescriptorConfig(
            channels=(64, 64), kernels=(1, 1), strides=(1, 1), outputs=1, activation="silu",
            init_std=None,
        ),
        generator=GeneratorConfig(
            latent=4, channels=(64, 64), kernels=(1, 1), norm="none", activation="silu",
            init_std=None,
        ),
        langevin=LangevinConfig(steps=10, delta=0.06, s=None),
        descriptor_optimizer=OptimizerConfig(lr=0.03, decay=0.1, decay_every=int(STEPS * 0.7)),
        generator_optimizer=OptimizerConfig(lr=0.005, decay=0.1, decay_every=int(STEPS * 0.7)),
        batch_size=200,
        chains=200,
        energy_l2=0.01,
        ema=0.99,
        precision="fp32",
        seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_modes_weights_and_spread_are_recovered(seed: int) -> None:
    config = settings(seed)
    learner, generator = Cooperation(config, Processes()), stream(seed, 99)
    for t in range(STEPS):
        learner.iterate(mixture(config.batch_size, generator), t)
    f, g = learner.averages["descriptor"], learner.averages["generator"]
    drawn = list(samples(f, g, config.langevin, 4000, seed=1, batch_size=2000))
    revised = torch.cat([x_tilde for _, x_tilde in drawn]).flatten(1)
    proposed = torch.cat([x_hat for x_hat, _ in drawn]).flatten(1)

    weights, spreads = shares(revised)
    torch.testing.assert_close(weights, WEIGHTS, rtol=0, atol=0.08)
    assert all(SPREAD / 2 < spread < SPREAD * 2 for spread in spreads), spreads
    # The generator alone is blurrier, by sigma, but knows all modes and their weights.
    weights, _ = shares(proposed)
    torch.testing.assert_close(weights, WEIGHTS, rtol=0, atol=0.1)


def shares(points: Tensor) -> tuple[Tensor, list[float]]:
    """Part of the points nearest to each centre, and their spread about it."""
    mode = torch.cdist(points, CENTRES).argmin(1)
    weights = torch.bincount(mode, minlength=4) / len(points)
    spreads = [
        (points[mode == i] - centre).square().mean().sqrt().item()
        for i, centre in enumerate(CENTRES)
    ]
    return weights, spreads
