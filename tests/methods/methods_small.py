"""The other methods at the smallest useful size, and parts whose mathematics is known."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from coopnets.config import Config, CriticConfig
from coopnets.methods import recipe
from small import CONFIG


def changed(config: Config, **changes: Any) -> Config:
    """Fields replaced; ``langevin={...}`` replaces fields of a part."""
    parts = {
        k: replace(getattr(config, k), **v) if isinstance(v, dict) else v
        for k, v in changes.items()
    }
    return replace(config, **parts)


def small(method: str, **changes: Any) -> Config:
    """CONFIG as a method uses it: networks of two layers of eight channels, short chains."""
    config = replace(
        recipe(CONFIG, method),
        critic=CriticConfig(channels=(8, 8), kernels=(4, 4), strides=(2, 2)),
    )
    if method == "descriptor":
        config = changed(config, langevin={"steps": 4})
    if method == "generator":
        config = changed(config, posterior={"steps": 3})
    return changed(config, **changes)


PENALTY: dict[str, Any] = {"wgan": {"gradient_penalty": 10.0}, "critic": {"norm": "none"}}
PERSISTENT: dict[str, Any] = {"chain": {"start": "persistent", "buffer": 20, "restart": 0.2}}
VARIANTS = {
    "dcgan": small("dcgan"),
    "wgan": small("wgan", wgan={"critic_steps": 2}),
    "wgan-gp": small("wgan", **{**PENALTY, "wgan": {"gradient_penalty": 10.0, "critic_steps": 2}}),
    "vae": small("vae"),
    "descriptor": small("descriptor"),
    "persistent": small("descriptor", **PERSISTENT),
    "generator": small("generator"),
}
"""Every method, and both ways where one has two."""


class Linear(nn.Module):
    """x (B, ...) to scale w.x + b, (B,), |w| = 1: a critic whose slope is known."""

    def __init__(self, pixels: int, scale: float = 1.0, seed: int = 0) -> None:
        super().__init__()
        w = torch.randn(pixels, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(scale * w / w.norm())
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight + self.bias


class Factors(nn.Module):
    """z (B, d) to W z as images (B, 1, side, side): factor analysis, whose posterior is known.

    Args:
        w: (pixels, d).
    """

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(w.clone())
        self.latent_shape = (w.shape[1],)

    def forward(self, z: Tensor) -> Tensor:
        side = round(len(self.weight) ** 0.5)
        return (z @ self.weight.t()).view(-1, 1, side, side)


def factors(pixels: int, latent: int, seed: int = 0) -> Tensor:
    """Some W, (pixels, latent)."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(pixels, latent, generator=chance) / pixels**0.5
