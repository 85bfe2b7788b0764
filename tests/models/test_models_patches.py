"""Convolutions as matrix products against the library's own."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coopnets.models import Descriptor, Generator, evaluating, frozen
from coopnets.models.patches import (
    ROWS,
    THIN,
    convolve,
    convolve_transposed,
    deep,
    product_down,
    product_up,
    thin,
)
from coopnets.presets import preset

SHAPES = [
    # channels in, out, side, kernel, stride, padding: thin, then deep
    (1, 5, 8, 4, 2, 1), (3, 7, 9, 5, 2, 2), (3, 6, 6, 3, 1, 0), (4, 5, 7, 5, 1, 2),
    (6, 5, 8, 4, 2, 1), (5, 6, 10, 4, 2, 0), (6, 7, 9, 5, 2, 2), (5, 5, 4, 3, 1, 1),
    (5, 6, 9, 3, 2, 1), (5, 6, 11, 2, 3, 0),  # taps that do not fill a last stride, or one
]  # fmt: skip
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def drawn(*shape: int, layout: torch.memory_format | None = None) -> Tensor:
    made = torch.randn(*shape, dtype=torch.float64)
    return (made.contiguous(memory_format=layout) if layout else made).requires_grad_()


def assert_same_with_gradients(
    ours: Tensor, theirs: Tensor, inputs: list[Tensor], **tolerance: float
) -> None:
    torch.testing.assert_close(ours, theirs, **tolerance)
    direction = torch.randn_like(theirs)
    made = torch.autograd.grad(ours, inputs, direction)
    expected = torch.autograd.grad(theirs, inputs, direction)
    for a, b in zip(made, expected, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    first, last, side, kernel, stride, padding = shape
    x = drawn(3, first, side, side, layout=layout)
    w, b = drawn(last, first, kernel, kernel, layout=layout), drawn(last)
    ours, theirs = convolve(x, w, b, stride, padding), F.conv2d(x, w, b, stride, padding)
    assert_same_with_gradients(ours, theirs, [x, w, b])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_convolution(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    first, last, side, kernel, stride, padding = shape
    x = drawn(3, last, side, side, layout=layout)
    w, b = drawn(last, first, kernel, kernel, layout=layout), drawn(first)
    ours = convolve_transposed(x, w, b, stride, padding)
    theirs = F.conv_transpose2d(x, w, b, stride, padding)
    assert_same_with_gradients(ours, theirs, [x, w, b])


@pytest.mark.parametrize("count", [2, 40], ids=["few rows", "many rows"])
def test_fp32_takes_other_ways_to_the_same(count: int) -> None:
    """With enough rows the library convolves, and it always spreads: 2 x 9 and 40 x 9 rows."""
    assert 2 * 9 < ROWS <= 40 * 9
    x = torch.randn(count, 6, 6, 6, requires_grad=True)
    w, b = torch.randn(5, 6, 4, 4, requires_grad=True), torch.randn(5, requires_grad=True)
    ours, theirs = convolve(x, w, b, 2, 1), F.conv2d(x, w, b, 2, 1)
    assert_same_with_gradients(ours, theirs, [x, w, b], rtol=1e-4, atol=1e-4)
    y, b = torch.randn(count, 5, 3, 3, requires_grad=True), torch.randn(6, requires_grad=True)
    ours, theirs = convolve_transposed(y, w, b, 2, 1), F.conv_transpose2d(y, w, b, 2, 1)
    assert_same_with_gradients(ours, theirs, [y, w, b], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] <= THIN])
def test_the_way_down_is_the_adjoint_of_the_way_up(shape: tuple[int, ...]) -> None:
    """<P(x) W', y> = <x, P*(y W)>, without the library."""
    first, last, side, kernel, stride, padding = shape
    x, w = drawn(3, first, side, side).detach(), drawn(last, first, kernel, kernel).detach()
    up = product_up(x, w, stride, padding)
    y = torch.randn_like(up)
    down = product_down(y, w, x.shape, stride, padding)
    torch.testing.assert_close((up * y).sum(), (x * down).sum())


@pytest.mark.parametrize("channels", [2, 5], ids=["thin", "deep"])
def test_second_derivatives(channels: int) -> None:
    x, w = drawn(2, channels, 6, 6), drawn(5, channels, 4, 4)
    y = drawn(2, 5, 3, 3)
    assert torch.autograd.gradgradcheck(lambda x, w: convolve(x, w, None, 2, 1), (x, w))
    assert torch.autograd.gradgradcheck(lambda y, w: convolve_transposed(y, w, None, 2, 1), (y, w))


def test_what_is_thin_and_what_is_deep() -> None:
    kernel = torch.zeros(64, 64, 4, 4)
    assert thin(3, kernel) and not thin(5, kernel)
    assert not deep(kernel, 16)  # contiguous: patches would have to be turned round first
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    assert deep(kernel, 16) and not deep(kernel, 17) and not deep(kernel[:63], 16)


@pytest.mark.parametrize("name", ["digits", "scene", "tf-pami-mnist"])
def test_networks_compute_the_same_in_both_layouts(name: str) -> None:
    """f, its gradient, g and its weight gradients; some layers take the short way."""
    c = preset(name)
    torch.manual_seed(0)
    f = Descriptor(replace(c.descriptor, init_std=0.05), c.size, c.image_channels)
    g = Generator(replace(c.generator, init_std=0.05), c.size, c.image_channels)
    x = torch.rand(2, c.image_channels, c.size, c.size) * 2 - 1
    z = torch.randn(2, c.generator.latent)

    def computed() -> list[Tensor]:
        point = x.clone().requires_grad_()
        f_x, made = f(point), g(z)
        error = (made - x).square().sum()
        weights = [p for p in g.parameters() if p.requires_grad]
        return [
            f_x, made, *torch.autograd.grad(f_x.sum(), [point, *f.parameters()]),
            *torch.autograd.grad(error, weights),
        ]  # fmt: skip

    with evaluating(g):  # batch statistics would leave the biases before them undetermined
        before = computed()
        f.to(memory_format=torch.channels_last)
        g.to(memory_format=torch.channels_last)
        after = computed()
    for a, b in zip(before, after, strict=True):
        scale = float(a.detach().abs().max()) + 1e-12
        torch.testing.assert_close(b / scale, a / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_collapsed_is_f(layout: torch.memory_format, spectral_norm: bool) -> None:
    c = preset("digits")
    f = Descriptor(replace(c.descriptor, init_std=0.05, spectral_norm=spectral_norm), 28, 1)
    f.to(memory_format=layout)
    torch.nn.init.normal_(f.top.bias)
    x = torch.rand(3, 1, 28, 28, requires_grad=True)
    with evaluating(f):
        whole, short = f(x), f.collapsed()(x)
    torch.testing.assert_close(short, whole, rtol=1e-4, atol=1e-4)
    (a,) = torch.autograd.grad(whole.sum(), x)
    (b,) = torch.autograd.grad(short.sum(), x)
    torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_collapsed_brings_weights_to_bf16_once(
    layout: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is packed: bit for bit what autocast does at every evaluation."""
    monkeypatch.setattr("coopnets.models.descriptor.packs", lambda *_: False)
    c = preset("digits")
    torch.manual_seed(0)
    f = Descriptor(replace(c.descriptor, init_std=0.05), 28, 1).to(memory_format=layout)
    x = torch.rand(3, 1, 28, 28, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16), frozen(f):
        once, each = f.collapsed("bf16")(x), f.collapsed("fp32")(x)
        (a,) = torch.autograd.grad(once.sum(), x)
        (b,) = torch.autograd.grad(each.sum(), x)
    assert torch.equal(once, each) and torch.equal(a, b)


def test_collapsed_normalises_spectrally_once(monkeypatch: pytest.MonkeyPatch) -> None:
    c = preset("digits")
    f = Descriptor(replace(c.descriptor, spectral_norm=True), 28, 1).eval()
    done: list[int] = []
    kind = type(f.features[0].parametrizations.weight[0])
    divide = kind.forward
    monkeypatch.setattr(kind, "forward", lambda *a: done.append(1) or divide(*a))
    short = f.collapsed()
    for _ in range(3):
        short(torch.rand(1, 1, 28, 28))
    assert len(done) == 5  # four convolutions and the top


def test_frozen_networks_thaw_whatever_happens() -> None:
    f = Descriptor(preset("digits").descriptor, 28, 1)
    f.top.bias.requires_grad_(False)
    with pytest.raises(KeyboardInterrupt), frozen(f):
        assert not any(p.requires_grad for p in f.parameters())
        raise KeyboardInterrupt
    assert all(p.requires_grad != (p is f.top.bias) for p in f.parameters())
