"""Networks that are convolutional throughout: stationary, of any size, and periodic."""

from dataclasses import replace

import pytest
import torch

from coopnets.config import DescriptorConfig, GeneratorConfig
from coopnets.models import Descriptor, Generator, wrapped

KERNELS = [(4, 4, 4), (5, 5, 5), (3, 4, 6), (2, 4, 4)]
SIZE, CELL = 32, 8


def map_generator(kernels: tuple[int, ...], border: str) -> Generator:
    torch.manual_seed(0)
    config = GeneratorConfig(
        latent=3, start="map", border=border, channels=(6, 5), kernels=kernels, init_std=0.3
    )
    return Generator(config, SIZE, 3).eval()


@pytest.mark.parametrize("kernels", KERNELS)
def test_edges_are_made_as_the_middle_is(kernels: tuple[int, ...]) -> None:
    """A picture is what a larger one shows at that place: nothing tells of the border."""
    g = map_generator(kernels, "cut")
    latent, rows, columns = g.latent_shape
    z = torch.randn(1, latent, rows + 6, columns + 6)
    part = g(z[:, :, 2 : 2 + rows, 3 : 3 + columns])
    assert part.shape == (1, 3, SIZE, SIZE)
    torch.testing.assert_close(
        g(z)[:, :, 2 * CELL : 2 * CELL + SIZE, 3 * CELL : 3 * CELL + SIZE], part, rtol=0, atol=1e-6
    )


def test_zeros_beyond_the_border_do_show() -> None:
    g = map_generator((4, 4, 4), "zero")
    assert g.latent_shape == (3, 4, 4)
    z = torch.randn(1, 3, 10, 10)
    part, larger = g(z[:, :, 2:6, 3:7]), g(z)[:, :, 2 * CELL : 6 * CELL, 3 * CELL : 7 * CELL]
    assert not torch.allclose(part, larger, atol=1e-2)


@pytest.mark.parametrize("kernels", KERNELS)
def test_margins_are_as_wide_as_needed_and_no_wider(kernels: tuple[int, ...]) -> None:
    """The outermost latent numbers are the last that the picture depends on."""
    g = map_generator(kernels, "cut")
    z = torch.randn(1, *g.latent_shape, requires_grad=True)
    (slope,) = torch.autograd.grad(g(z).sum(), z)
    rows = slope.abs().amax((0, 1, 3))
    assert float(rows[0]) > 0 or float(rows[-1]) > 0


@pytest.mark.parametrize("border", ["cut", "zero"])
@pytest.mark.parametrize("kernels", KERNELS)
def test_a_tile_wraps_around(kernels: tuple[int, ...], border: str) -> None:
    """To shift the latent map around the torus is to shift the picture."""
    g = map_generator(kernels, border)
    z = torch.randn(2, 3, 4, 5)
    x = g.tile(z)
    assert x.shape == (2, 3, 4 * CELL, 5 * CELL)
    moved = g.tile(z.roll((1, 2), (2, 3)))
    torch.testing.assert_close(moved, x.roll((CELL, 2 * CELL), (2, 3)), rtol=0, atol=1e-6)


def test_a_size_that_is_no_multiple_of_a_cell_is_refused() -> None:
    config = GeneratorConfig(start="map", channels=(6, 5), kernels=(4, 4, 4))
    with pytest.raises(ValueError, match="no multiple of 8"):
        Generator(config, 36, 3)
    with pytest.raises(ValueError, match="one kernel more"):
        Generator(replace(config, kernels=(4, 4)), 32, 3)


def map_descriptor(top: str = "map") -> Descriptor:
    torch.manual_seed(0)
    config = DescriptorConfig(
        channels=(4, 5, 6), kernels=(5, 4, 3), strides=(2, 2, 1), top=top, outputs=7, init_std=0.2
    )
    return Descriptor(config, SIZE, 3)


@pytest.mark.parametrize("top", ["map", "none"])
def test_f_is_a_sum_over_positions_in_pictures_of_any_size(top: str) -> None:
    f = map_descriptor(top)
    x = torch.randn(2, 3, 48, 64)
    h = f.features(x)
    assert h.shape[2:] == (12, 16)
    by_hand = h if top == "none" else torch.einsum("bchw,kc->bkhw", h, f.top.weight[:, :, 0, 0])
    expected = by_hand.sum((1, 2, 3))
    if top == "map":
        torch.nn.init.normal_(f.top.bias)
        expected = expected + 12 * 16 * f.top.bias.sum()
    torch.testing.assert_close(f(x), expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(f.collapsed()(x), expected, rtol=1e-5, atol=1e-3)


def test_a_wrapped_descriptor_does_not_know_where_the_torus_is_cut() -> None:
    f = map_descriptor()
    x = torch.randn(2, 3, 48, 64)
    moved = x.roll((4, 12), (2, 3))
    with wrapped(f):
        torch.testing.assert_close(f(moved), f(x), rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(f.collapsed()(moved), f(x), rtol=1e-5, atol=1e-3)
    assert not torch.allclose(f(moved), f(x), atol=1e-2)
