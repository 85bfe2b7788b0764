"""The networks that are measured compute the same, and their operations are counted rightly."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.limit import best_rate
from benchmarks.networks import (
    PlainDescriptor,
    batches_of,
    convolution_flops,
    descriptor,
    distinct,
    images,
    plain,
    plain_generator,
)
from benchmarks.timing import Rounds
from coopnets.config import Config
from coopnets.models import Descriptor, Generator
from coopnets.presets import PRESETS, preset

CPU = torch.device("cpu")
NAMES = ["digits", "scene", "tf-pami-scene", "pt-cifar", "matlab-object"]
"""Even and odd padding, SAME and stated, kernels of 2 to 5."""


def settings(name: str) -> Config:
    """Of a preset; smaller pictures and clips where the networks take any size."""
    small = {"texture": {"size": 32}, "matlab-texture": {"size": 32},
             "dynamic-texture": {"size": 16, "frames": 32}}  # fmt: skip
    return replace(preset(name), **small.get(name, {}))


@pytest.mark.parametrize("name", [*NAMES, "texture", "matlab-texture", "dynamic-texture"])
def test_the_plain_descriptor_is_ours(name: str) -> None:
    config = settings(name)
    f, x = descriptor(config, CPU), images(config, 2, CPU)
    usual = plain(config, f)
    x.requires_grad_()
    ours, theirs = f(x), usual(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)
    (a,), (b,) = (torch.autograd.grad(y.sum(), x) for y in (ours, theirs))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


@pytest.mark.parametrize("name", ["cifar", "scene"])
def test_the_plain_generator_is_ours(name: str) -> None:
    c = preset(name)
    g = Generator(replace(c.generator, init_std=0.05), c.size, c.image_channels)
    usual, z = plain_generator(c, g), torch.randn(3, c.generator.latent)
    torch.testing.assert_close(usual(z), g(z), rtol=1e-4, atol=1e-5)


def test_the_plain_generator_of_odd_kernels_costs_the_same() -> None:
    c = preset("pt-cifar")
    g = Generator(c.generator, c.size, c.image_channels)
    usual, z = plain_generator(c, g), torch.randn(2, c.generator.latent)
    assert usual(z).shape == g(z).shape
    sizes = [sum(p.numel() for p in net.parameters() if p.requires_grad) for net in (g, usual)]
    assert sizes[0] == sizes[1]


def test_batches_are_left_out_that_nobody_has() -> None:
    assert batches_of(preset("scene"), (1, 16, 100)) == [1, 16, 100]
    assert batches_of(preset("object-128"), (1, 16, 100)) == [1, 16]
    assert batches_of(preset("matlab-texture"), (1, 16, 100)) == [1]
    assert batches_of(preset("dynamic-texture"), (1, 16, 100)) == [1]
    assert batches_of(preset("tf-dynamic-texture"), (1, 16, 100)) == [1]  # a million pixels


def test_operations_by_hand() -> None:
    """28, 14, 7 and 4 a side: 2 x positions x inputs x outputs x kernel each."""
    f = Descriptor(preset("digits").descriptor, 28, 1)
    large = 14**2 * 32 * 64 + 7**2 * 64 * 128 + 4**2 * 128 * 256
    by_hand = 2 * (9 * 28**2 * 1 * 32 + 16 * large)
    assert convolution_flops(preset("digits"), f) == by_hand


@pytest.mark.parametrize("name", [*NAMES, "dynamic-texture"])
def test_operations_by_pytorch(name: str) -> None:
    """The counter of PyTorch agrees, forwards and for the input gradient."""
    config = settings(name)
    f = descriptor(config, CPU)
    usual, x = plain(config, f), images(config, 2, CPU).requires_grad_()
    for p in usual.parameters():
        p.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        h = usual.features(x) if isinstance(usual, PlainDescriptor) else usual(x)
        forwards = counter.get_total_flops()
        h.sum().backward()
    assert forwards == 2 * convolution_flops(config, f)
    assert counter.get_total_flops() == 2 * forwards


@pytest.mark.parametrize("name", ["tf-pami-mnist", "pt-cifar"])
def test_the_gradient_balances_the_reference(name: str) -> None:
    """Else a wrong gradient would drown in the noise, and the check of a step prove little."""
    config = preset(name)
    f, x = descriptor(config, CPU), images(config, 8, CPU, seed=3).requires_grad_()
    (slope,) = torch.autograd.grad(f(x).sum(), x)
    ratio = (
        slope.square().mean().sqrt() / (x.detach() / config.langevin.s**2).square().mean().sqrt()
    )
    assert 0.8 < float(ratio) < 1.25


def test_networks_are_measured_once() -> None:
    own = distinct(["own"])
    assert list(own) == ["digits", "demo", "cifar", "scene, face", "texture", "dynamic-texture"]
    everything = distinct(["all", "tf-pami-scene"])
    assert sorted(name for names in everything for name in names.split(", ")) == sorted(PRESETS)
    assert "tf-pami-scene, tf-aaai-scene" in everything


def test_the_limit_is_at_least_a_plain_product() -> None:
    rate, what = best_rate("fp32", CPU, Rounds(least=2, most=2, warm_ups=1), small=True)
    assert rate > 1e8 and what
