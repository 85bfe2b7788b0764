"""Optimiser steps against their recipes written out by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from coopnets.config import OptimizerConfig
from coopnets.cooperate import Cooperation
from coopnets.models import Descriptor, Generator, new_generator
from coopnets.models.linear import Strength
from coopnets.optimize import (
    bound_entries,
    make_optimizer,
    output_positions,
    rate_at,
    step,
    trained,
)
from coopnets.presets import preset
from coopnets.processes import Processes
from small import tiny

SGD = OptimizerConfig(kind="sgd", lr=0.1, momentum=0.5, weight_decay=0.01)


def descend(
    net: nn.Module, settings: OptimizerConfig, losses: list[Tensor], **more: object
) -> None:
    optimizer = make_optimizer(net, settings)
    for t, x in enumerate(losses):
        gradients = torch.autograd.grad(net(x).square().mean(), trained(optimizer))
        step(optimizer, gradients, settings, t, Processes(), **more)


def by_hand(
    net: nn.Module, settings: OptimizerConfig, losses: list[Tensor], rates: dict[str, float]
) -> dict[str, Tensor]:
    """m <- momentum m - decay w - gradient, w <- w + rate m: the Matlab code's order."""
    w = {k: p.detach().clone() for k, p in net.named_parameters()}
    m = {k: torch.zeros_like(v) for k, v in w.items()}
    for x in losses:
        leaves = {k: v.clone().requires_grad_() for k, v in w.items()}
        loss = torch.func.functional_call(net, leaves, (x,)).square().mean()
        for k, gradient in zip(w, torch.autograd.grad(loss, list(leaves.values())), strict=True):
            if settings.cap and gradient.abs().max() > settings.cap:
                gradient = gradient / gradient.abs().max() * settings.cap
            decay = settings.weight_decay if k.endswith("weight") else 0.0
            m[k] = settings.momentum * m[k] - decay * w[k] - gradient
            w[k] = w[k] + settings.lr * rates[k] * m[k]
    return w


def test_sgd_with_momentum_layer_rates_and_caps_is_the_recipe() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    settings = replace(SGD, layer_rates=(1.0, 0.25), bias_rate=2.0, cap=0.05)
    inputs = [torch.randn(6, 5) for _ in range(4)]
    rates = {"0.weight": 1.0, "0.bias": 2.0, "2.weight": 0.25, "2.bias": 0.5}
    expected = by_hand(net, settings, inputs, rates)
    descend(net, settings, inputs)
    for k, p in net.named_parameters():
        torch.testing.assert_close(p.detach(), expected[k])


def test_norm_scale_learns_at_the_bias_rate_and_neither_part_decays() -> None:
    g = Generator(
        replace(preset("matlab-object").generator, channels=(4, 4), kernels=(5, 5)), 8, 3
    )
    made = make_optimizer(g, preset("matlab-object").generator_optimizer)
    found = {id(p): (group["relative"], group["weight_decay"])
             for group in made.param_groups for p in group["params"]}  # fmt: skip
    of = {k: found[id(p)] for k, p in g.named_parameters()}
    assert of["layers.1.weight"] == (2.0, 0.0) and of["layers.1.bias"] == (1.0, 0.0)
    assert of["layers.0.weight"] == (1.0, 1e-4) and of["layers.0.bias"] == (2.0, 0.0)


def test_the_strength_of_motion_does_not_decay() -> None:
    config = preset("dynamic-texture")
    g = new_generator(config)
    made = make_optimizer(g, replace(config.generator_optimizer, weight_decay=0.1))
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    (strength,) = (layer for layer in g.modules() if isinstance(layer, Strength))
    assert decays[id(strength.motion)] == 0.0
    assert sorted(set(decays.values())) == [0.0, 0.1]


def test_gradients_are_divided_by_the_positions_of_the_map() -> None:
    """The Matlab object descriptor: maps of 33, 36 and 1 a side."""
    c = preset("matlab-object")
    f = Descriptor(c.descriptor, 64, 3)
    counts = output_positions(f, torch.zeros(1, 3, 64, 64))
    sides = {k: counts[p] for k, p in f.named_parameters()}
    assert sides == {
        "features.0.weight": 33**2, "features.0.bias": 33**2, "features.2.weight": 36**2,
        "features.2.bias": 36**2, "top.weight": 1, "top.bias": 1,
    }  # fmt: skip
    plain, divided = (Descriptor(c.descriptor, 64, 3) for _ in range(2))
    divided.load_state_dict(plain.state_dict())
    x, settings = [torch.rand(2, 3, 64, 64)], OptimizerConfig(kind="sgd", lr=1e-3)
    descend(plain, settings, x)
    places = output_positions(divided, torch.zeros(1, 3, 64, 64))
    descend(divided, settings, x, positions=places)
    for (k, p), q in zip(plain.named_parameters(), divided.parameters(), strict=True):
        torch.testing.assert_close(q.grad * sides[k], p.grad)


def test_caps_shrink_a_tensor_as_a_whole_and_only_when_needed() -> None:
    large, small = torch.tensor([4.0, -16.0]), torch.tensor([1.0, -8.0])
    bound_entries([large, small, zero := torch.zeros(2)], 8.0)
    assert large.tolist() == [2.0, -8.0] and small.tolist() == [1.0, -8.0]
    assert zero.tolist() == [0.0, 0.0]


def test_matlab_rates_fall_from_one_to_a_hundredth_in_80_plateaus() -> None:
    """logspace(-2, -4, 80) * 100, each for 3000 / 80 iterations."""
    settings = preset("matlab-object").descriptor_optimizer
    rates = [rate_at(settings, t) / 0.07 for t in range(3000)]
    plateaus = torch.logspace(-2, -4, 80, dtype=torch.float64) * 100
    expected = [plateaus[min(t // 37, 79)].item() for t in range(3000)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_a_rate_for_each_layer_or_a_refusal() -> None:
    with pytest.raises(ValueError, match="3 layer rates for 2 layers"):
        make_optimizer(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
                       replace(SGD, layer_rates=(1.0, 1.0, 1.0)))  # fmt: skip


def test_adam_keeps_one_group_so_that_its_state_keeps_its_order() -> None:
    """Checkpoints name the optimiser's state by the parameter's index."""
    learner = Cooperation(tiny(), Processes())
    for name, optimizer in learner.optimizers.items():
        (group,) = optimizer.param_groups
        trained = [p for p in learner.networks[name].parameters() if p.requires_grad]
        assert [id(p) for p in group["params"]] == [id(p) for p in trained]
