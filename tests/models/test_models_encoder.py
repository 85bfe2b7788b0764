"""The encoder is the generator's mirror image: each latent number sees what it makes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from coopnets.config import Config, image_shape
from coopnets.models import evaluating, new_encoder, new_generator
from coopnets.presets import PRESETS

ST: dict[str, Any] = {"clips": "ST", "channels": (8, 8, 8, 8)}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "vector": ("scene", {"channels": (8, 8, 8, 8)}),
    "odd": ("digits", {"channels": (8, 8, 8)}),
    "map": ("matlab-texture", {"channels": (8, 8, 8, 8)}),
    "cut map": ("texture", {"channels": (8, 8, 8, 8)}),
    "FC_S_128": ("dynamic-texture", {"clips": "FC_S_128", "channels": (8, 8, 8)}),
    "FC_S_64": ("dynamic-texture", {"clips": "FC_S_64", "channels": (8, 8)}),
    "valid": ("tf-dynamic-texture", {"channels": (8, 8, 8)}),
    "ST": ("dynamic-texture", ST),
    "DEEP": ("dynamic-texture", {"clips": "DEEP", "channels": (8, 8, 8, 8, 8)}),
    "ST with zeros": ("tf-dynamic-texture", ST),
    "one cell": ("dynamic-texture", ST),
    "one cell with zeros": ("tf-dynamic-texture", ST),
}


def config(name: str) -> Config:
    """The preset with few channels; maps are large enough for a middle far from the border."""
    preset, changes = SMALL[name]
    c = PRESETS[preset]
    if not c.frames and c.generator.start == "map":
        c = replace(c, size=256)
    if name == "DEEP":
        c = replace(c, frames=128)
    if name.startswith("one"):
        c = replace(c, size=16)
    return replace(c, generator=replace(c.generator, init_std=None, **changes))


@pytest.mark.parametrize("name", SMALL)
def test_guesses_have_the_shape_of_the_latent_numbers(name: str) -> None:
    c = config(name)
    g = new_generator(c)
    for made in new_encoder(c, g)(torch.rand(2, *image_shape(c))):
        assert made.shape == (2, *g.latent_shape)


def centre(weights: Tensor) -> Tensor:
    """Mean place of weights along each of their axes."""
    total = weights.sum()
    sums = [weights.sum([j for j in range(weights.ndim) if j != i]) for i in range(weights.ndim)]
    return torch.stack([(s * torch.arange(len(s))).sum() / total for s in sums])


def evenly(net: nn.Module) -> None:
    """All weights alike, so that a layer's effect has its middle in the middle of its kernel."""
    with torch.no_grad():
        for key, p in net.named_parameters():
            p.fill_(1 / p[0].numel() if key.endswith("weight") else 0.0)


@pytest.mark.parametrize("name", ["map", "cut map", "FC_S_128", "FC_S_64", "valid", "ST", "DEEP"])
def test_each_latent_number_sees_the_part_that_it_makes(name: str) -> None:
    """The middle latent number: the centre of what it changes is that of what changes it."""
    c = config(name)
    g = new_generator(c)
    q = new_encoder(c, g)
    evenly(g)
    evenly(q)
    here = (0, slice(None), *(n // 2 for n in g.latent_shape[1:]))
    z = torch.full((1, *g.latent_shape), 0.1)
    other = z.clone()
    other[here] += 1e-3
    x = torch.full((1, *image_shape(c)), 0.5, requires_grad=True)
    with evaluating(g, q):
        made = (g(other) - g(z)).detach().sum((0, 1))
        (seen,) = torch.autograd.grad(q(x)[0][here].sum(), x)
    places = g.latent_shape[1:]
    unit = torch.tensor([getattr(g, "unit", g.cell), g.cell, g.cell][-len(places) :])
    distance = (centre(made) - centre(seen.sum((0, 1)))) / unit
    moves = [i for i, n in enumerate(places) if n > 1]  # the axes that have more than one
    assert distance[moves].abs().max() < 0.05  # of the way to the next latent number
