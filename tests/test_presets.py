import json
import math
from dataclasses import replace

import pytest
import torch

from coopnets.config import Config, from_dict, image_shape, to_dict
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError
from coopnets.presets import ABOUT, PRESETS, preset
from coopnets.processes import Processes
from small import snapshot


@pytest.mark.parametrize("name", PRESETS)
def test_preset_builds_and_learns(name: str) -> None:
    config = replace(
        preset(name), batch_size=2, chains=2, precision="fp32",
        langevin=replace(preset(name).langevin, steps=2),
    )  # fmt: skip
    learner = Cooperation(config, Processes())
    before = {k: snapshot(v.state_dict()) for k, v in learner.networks.items()}
    images = torch.rand(2, *image_shape(config)) * 2 - 1
    made = learner.iterate(images, 0)
    assert made.x_tilde.shape == images.shape
    assert all(math.isfinite(v) for v in made.metrics.values())
    for k, net in learner.networks.items():
        assert any(not torch.equal(v, before[k][n]) for n, v in net.state_dict().items())


@pytest.mark.parametrize("name", PRESETS)
def test_preset_survives_json(name: str) -> None:
    assert preset(name).preset == name
    assert from_dict(Config, json.loads(json.dumps(to_dict(preset(name))))) == preset(name)


def test_each_preset_is_described() -> None:
    assert set(ABOUT) == set(PRESETS)


def test_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(CoopNetsError) as error:
        preset("imagenet")
    assert "'imagenet'" in str(error.value) and all(name in str(error.value) for name in PRESETS)
    assert "\n" not in str(error.value)


def test_published_settings_of_the_paper() -> None:
    c = preset("tf-pami-scene")
    assert (c.langevin.steps, c.langevin.delta, c.langevin.s, c.sigma) == (15, 0.002, 0.016, 0.3)
    assert (c.batch_size, c.chains) == (100, 144)
    assert (c.descriptor_optimizer.lr, c.generator_optimizer.lr) == (0.007, 0.0001)
    assert c.posterior.steps == 0 and c.memory == 0 and c.ema == 0
