"""Which settings a method uses, and that the others make no difference to it."""

from dataclasses import is_dataclass, replace
from typing import Any

import pytest
import torch

from coopnets.concern import CONCERNED, concerns
from coopnets.config import SAMPLED_BY, Config
from coopnets.methods import build, recipe
from coopnets.processes import Processes
from small import tiny


@pytest.mark.parametrize(
    ("setting", "methods"),
    [
        ("langevin.delta", {"coopnets", "descriptor"}),
        ("chain.restart", {"descriptor"}),
        ("critic.channels", {"dcgan", "wgan"}),
        ("wgan.clip", {"wgan"}),
        ("vae.kl_weight", {"vae"}),
        ("posterior.steps", {"coopnets", "generator"}),
        ("sigma", {"coopnets", "vae", "generator"}),
        ("generator.channels", set(SAMPLED_BY) - {"descriptor"}),
        ("memory", {"coopnets"}),
        ("flip", set(SAMPLED_BY) - {"generator"}),
        ("batch_size", set(SAMPLED_BY)),
    ],
)
def test_settings_concern_those_that_use_them(setting: str, methods: set[str]) -> None:
    assert {m for m in SAMPLED_BY if concerns(setting, m)} == methods


def _changed(part: Any) -> Any:
    """Another value of a setting, or of all numbers of a part; it may make no sense."""
    if is_dataclass(part):
        numbers = {k: v for k, v in vars(part).items() if type(v) is float}
        return replace(part, **{k: 3 * v + 0.5 for k, v in numbers.items()})  # type: ignore[type-var]
    if isinstance(part, str):
        return f"not {part}"
    return (part or 0) + 1


@pytest.mark.parametrize("method", sorted(set(SAMPLED_BY) - {"coopnets"}))
def test_a_method_learns_the_same_whatever_the_others_are_told(method: str) -> None:
    config = recipe(tiny(layout="contiguous"), method)
    idle = [name for name, users in CONCERNED.items() if method not in users and name != "flip"]
    assert idle
    other = replace(config, **{name: _changed(getattr(config, name)) for name in idle})
    assert _weights(config) == _weights(other) != _weights(replace(config, seed=1))


def _weights(config: Config) -> list[float]:
    """Sums of all trained numbers after one iteration."""
    learner = build(config, Processes(), 40)
    noise = torch.Generator().manual_seed(0)
    learner.iterate(2 * torch.rand(learner.images, 1, 8, 8, generator=noise) - 1, 0)
    return [float(p.detach().double().sum()) for net in learner.networks.values()
            for p in net.parameters()]  # fmt: skip
