"""What each step descends is what the log says: gradients against finite differences."""

import pytest
import torch
from methods_small import small

from coopnets.methods import build
from coopnets.processes import Processes

STILL = {"lr": 0.0}
STOPPED = {"generator_optimizer": STILL, "critic_optimizer": STILL, "descriptor_optimizer": STILL}
FREE = {"critic_steps": 1, "clip": 1e9}
CONFIGS = {
    "dcgan": small("dcgan", **STOPPED),
    "wgan": small("wgan", **STOPPED, wgan=FREE),
    # Without kinks, at which the slope that is penalised would jump.
    "wgan-gp": small(
        "wgan", **STOPPED, critic={"norm": "none", "slope": 1.0},
        wgan={**FREE, "gradient_penalty": 10.0},
    ),
    "vae": small("vae", **STOPPED),
    "vae-beta": small("vae", **STOPPED, vae={"kl_weight": 3.0}),
    "descriptor": small("descriptor", **STOPPED, langevin={"steps": 0}),
    "generator": small("generator", **STOPPED, posterior={"steps": 0}),
}  # fmt: skip
DESCENDED = {
    ("dcgan", "critic"): {"critic_loss": 1.0},
    ("dcgan", "generator"): {"generator_loss": 1.0},
    ("wgan", "critic"): {"distance": -1.0},
    ("wgan", "generator"): {"generator_loss": 1.0},
    ("wgan-gp", "critic"): {"distance": -1.0, "penalty": 10.0},
    ("wgan-gp", "generator"): {"generator_loss": 1.0},
    ("vae", "encoder"): {"bound": -1.0},
    ("vae", "generator"): {"bound": -1.0},
    ("vae-beta", "encoder"): {"bound": -1.0, "kl": 2.0},
    ("descriptor", "descriptor"): {"f_revised": 1.0, "f_data": -1.0},
    ("generator", "generator"): {"reconstruction_error": 1.0},
}
"""Of each network the numbers of the log, and their weights, whose sum it descends."""


@pytest.mark.parametrize(("name", "network"), DESCENDED, ids=lambda v: v)
def test_each_network_descends_its_loss(name: str, network: str) -> None:
    learner = build(CONFIGS[name], Processes(), 8)
    for net in learner.networks.values():  # larger than at the start: all terms take part
        for p in net.parameters():
            p.data.mul_(8 if p.dim() > 1 else 1)
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    weights = DESCENDED[name, network]

    def loss() -> float:
        metrics = learner.iterate(x, 0).metrics
        return sum(weight * metrics[key] for key, weight in weights.items())

    loss()
    parameters = [p for p in learner.networks[network].parameters() if p.requires_grad]
    gradients = [p.grad.clone() for p in parameters if p.grad is not None]
    assert len(gradients) == len(parameters)
    size = float(torch.stack([g.square().sum() for g in gradients]).sum().sqrt())
    h = 3e-4
    sides = []
    for sign in (1, -2):  # to one side, then over to the other
        for p, g in zip(parameters, gradients, strict=True):
            p.data.add_(g, alpha=sign * h / size)
        sides.append(loss())
    assert size > 1e-3
    assert (sides[0] - sides[1]) / (2 * h) == pytest.approx(size, rel=0.005)
