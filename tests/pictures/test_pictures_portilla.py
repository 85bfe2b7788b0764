"""Portilla and Simoncelli's model: a synthesis has the statistics of its original."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from experiments.textures.portilla import Statistics, components, correlation, synthesise

po = pytest.importorskip("plenoptic")


@pytest.fixture(scope="module")
def colour(textures: Path) -> Tensor:
    """uint8 (3, 128, 128), which is as small as four scales allow."""
    pixels = np.array(Image.open(textures / "colour.png"))
    return torch.from_numpy(pixels[:128, :128]).permute(2, 0, 1).contiguous()


def covariance(pixels: Tensor) -> Tensor:
    return torch.cov(pixels.double().flatten(1) / 255)


def test_a_synthesis_has_colours_and_statistics_of_its_original(colour: Tensor) -> None:
    said: list[str] = []
    made = synthesise(colour, iterations=8, seed=1, say=said.append)
    assert made.pixels.shape == colour.shape and made.pixels.dtype == torch.uint8
    assert made.losses[-1] < made.losses[0] / 5
    assert list(made.losses) == sorted(made.losses, reverse=True)
    means = (made.pixels.double().mean((1, 2)) - colour.double().mean((1, 2))).abs()
    assert float(means.max()) < 3
    wanted = covariance(colour)
    assert (covariance(made.pixels) - wanted).norm() < 0.2 * wanted.norm()
    # By a measure of its own: the statistics that were optimised, from the pixels that came out.
    x = colour[None].double() / 255
    statistics = Statistics(po, x)
    distance = statistics.loss(statistics(made.pixels[None].double() / 255), statistics(x))
    assert float(distance) < made.losses[0] / 4
    assert len(said) == len(made.losses) - 1
    again = synthesise(colour, iterations=1, seed=1)
    other = synthesise(colour, iterations=1, seed=2)
    assert again.iterations == 1 and not again.converged
    assert torch.equal(again.pixels, synthesise(colour, iterations=1, seed=1).pixels)
    assert not torch.equal(again.pixels, other.pixels)


def test_nothing_more_to_win_ends_it(colour: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.textures.portilla.SETTLED", 1.0)
    monkeypatch.setattr("experiments.textures.portilla.CHUNK", 2)
    made = synthesise(colour[:1], iterations=40)
    assert made.converged and made.iterations == 2


def test_components_are_uncorrelated_and_fill_their_range(colour: Tensor) -> None:
    x = colour[None].double() / 255
    axes, offset = components(x)
    y = torch.einsum("kc,bchw->bkhw", axes, x) - offset[:, None, None]
    torch.testing.assert_close(y.amin((0, 2, 3)), torch.zeros(3, dtype=y.dtype))
    torch.testing.assert_close(y.amax((0, 2, 3)), torch.ones(3, dtype=y.dtype))
    found = torch.corrcoef(y[0].flatten(1))
    assert (found - torch.eye(3, dtype=y.dtype)).abs().max() < 1e-9


def test_grey_in_three_channels_is_grey(colour: Tensor) -> None:
    """One component, and no statistics between colours that it has not."""
    grey = colour[None, :1].double() / 255
    one, three = Statistics(po, grey), Statistics(po, grey.expand(-1, 3, -1, -1))
    assert len(three.axes) == 1 and three.across == 0
    torch.testing.assert_close(three(grey.expand(-1, 3, -1, -1)), one(grey))


def test_statistics_across_colours_see_them_part(colour: Tensor) -> None:
    """Each component's own statistics are blind to a shift of it; those across are not."""
    x = colour[None].double() / 255
    axes, offset = components(x)
    y = torch.einsum("kc,bchw->bkhw", axes, x) - offset[:, None, None]
    y[:, 1] = y[:, 1].roll((16, 16), (1, 2))
    parted = torch.einsum("ck,bkhw->bchw", torch.linalg.inv(axes), y + offset[:, None, None])
    statistics = Statistics(po, x)
    own = statistics(x).shape[2] - statistics.across
    difference = (statistics(parted) - statistics(x))[0, 0].abs()
    assert difference[:own].max() < 1e-6 < 1e-2 < difference[own:].max()


def test_correlation_is_pearsons() -> None:
    a, b = torch.randn(2, 1, 2, 5, 7, dtype=torch.float64)
    b = b + a
    expected = torch.stack([torch.corrcoef(torch.stack([a[0, i].ravel(), b[0, i].ravel()]))[0, 1]
                            for i in range(2)])  # fmt: skip
    torch.testing.assert_close(correlation(a, b)[0], expected)
