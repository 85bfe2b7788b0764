"""Convolutions over time and space against PyTorch's own in three dimensions."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coopnets.models.layers import ends
from coopnets.models.time import (
    TimeConv,
    Up,
    WholeClip,
    WholeFrames,
    needed,
    placed,
    spread,
    windows,
)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def kernel_of(weight: Tensor, frames: int) -> Tensor:
    """(C_out, frames C_in, k, k) as (C_out, C_in, frames, k, k)."""
    return weight.unflatten(1, (frames, -1)).transpose(1, 2)


def first(x: Tensor) -> Tensor:
    """(B, T, H, W, C) as (B, C, T, H, W)."""
    return x.permute(0, 4, 1, 2, 3)


PLACES = [(9, 5, 2, 0, 3), (8, 3, 1, 1, 8), (6, 2, 2, 0, 3), (8, 5, 2, 1, 4), (7, 5, 1, 6, 9)]
"""Frames, kernel, stride, first and windows; the last with windows beyond both ends."""


@pytest.mark.parametrize(("frames", "kernel", "stride", "first", "count"), PLACES)
def test_windows_hold_the_frames_they_name(
    frames: int, kernel: int, stride: int, first: int, count: int
) -> None:
    x = torch.arange(1.0, frames + 1).view(1, frames, 1)
    seen = windows(x, kernel, stride, first, count)[0]
    for t in range(count):
        for tap in range(kernel):
            at = stride * t + tap - first
            assert seen[t, tap] == (at + 1 if 0 <= at < frames else 0)


@pytest.mark.parametrize(("frames", "kernel", "stride", "first", "count"), PLACES)
def test_spread_is_the_adjoint_of_windows(
    frames: int, kernel: int, stride: int, first: int, count: int
) -> None:
    x = torch.randn(2, frames, 3, 4, dtype=torch.double)
    seen = windows(x, kernel, stride, first, count)
    y = torch.randn_like(seen)
    back = spread(y, kernel, stride, first, frames)
    assert torch.allclose((seen * y).sum(), (x * back).sum())


def test_windows_and_spread_have_second_derivatives() -> None:
    x = torch.randn(1, 7, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: windows(v, 3, 2, 1, 4), x)
    assert torch.autograd.gradgradcheck(lambda v: windows(v, 3, 2, 1, 4) ** 3, x)
    y = torch.randn(1, 3, 2, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: spread(v, 3, 2, 1, 6), y)


@pytest.mark.parametrize(
    ("frames", "step", "side", "stride", "padding"),
    [(5, 2, 5, 2, None), (3, 1, 7, 2, None), (1, 1, 3, 2, None), (5, 2, 3, 1, 2)],
)
def test_a_convolution_over_time_is_that_of_three_dimensions(
    frames: int, step: int, side: int, stride: int, padding: int | None
) -> None:
    layer = TimeConv(3, 4, frames, step, side, stride, padding).double()
    x = torch.randn(2, 9, 12, 12, 3, dtype=torch.double, requires_grad=True)
    y = layer(x)
    before, after = ends(9, frames, step, padding)
    low, high = ends(12, side, stride, None)
    padded = F.pad(first(x), (low, high, low, high, before, after))
    expected = F.conv3d(
        padded, kernel_of(layer.conv.weight, frames), layer.conv.bias, (step, stride, stride)
    )
    assert torch.allclose(first(y), expected)
    w = torch.randn_like(y)
    mine = torch.autograd.grad((y * w).sum(), (x, layer.conv.weight))
    theirs = torch.autograd.grad((expected * first(w)).sum(), (x, layer.conv.weight))
    assert all(torch.allclose(a, b) for a, b in zip(mine, theirs, strict=True))


def test_whole_frames_are_a_convolution_as_large_as_a_frame() -> None:
    layer = WholeFrames(4 * 4 * 3, 6, 5, 2, 2).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 8, 4, 4, 3, dtype=torch.double)
    kernel = layer.taps.weight.view(5, 6, 4, 4, 3).permute(1, 4, 0, 2, 3)
    expected = F.conv3d(F.pad(first(x), (0, 0, 0, 0, 2, 2)), kernel, layer.bias, (2, 1, 1))
    assert torch.allclose(first(layer(x)), expected, atol=1e-5)  # summed in fp32


def test_the_sum_of_outputs_is_that_of_the_layer() -> None:
    x = torch.randn(2, 8, 4, 4, 3)
    for layer in (TimeConv(3, 6, 1, 1, 1, 1), WholeFrames(48, 6, 5, 2, 2), WholeClip(384, 6)):
        whole = layer(x).flatten(1).sum(1)
        total = layer.constant(torch.float32, total=True)(x)
        assert total.shape[-1] == 1
        assert torch.allclose(total.flatten(1).sum(1), whole, atol=1e-4)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (4, 2), (4, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("valid", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_transposed_convolution_is_that_of_three_dimensions_where_it_is_kept(
    kernel: int, stride: int, valid: bool, cut: bool
) -> None:
    layer = Up(3, 2, kernel, stride, 5, 2, dense=False, valid=valid, cut=(cut, False)).double()
    x = torch.randn(2, 7, 4, 4, 3, dtype=torch.double)
    y = layer(x)
    assert isinstance(layer.map, torch.nn.ConvTranspose2d)
    weight = kernel_of(layer.map.weight, kernel)
    full = F.conv_transpose3d(first(x), weight, None, (stride, 2, 2))
    at, length = placed(7, kernel, stride, valid, cut)
    lacking = max(0, at + length - full.shape[2])
    full = F.pad(full, (0, 0, 0, 0, 0, lacking))[:, :, at : at + length, 1:9, 1:9]
    assert y.shape == (2, length, 8, 8, 2)
    assert torch.allclose(first(y), full)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (4, 2), (4, 1), (2, 1)])
def test_what_is_cut_is_what_zeros_have_reached(kernel: int, stride: int) -> None:
    """A longer input changes nothing that is kept, but for its place."""
    layer = Up(2, 3, kernel, stride, 1, 1, dense=True, valid=False, cut=(True, False)).double()
    long = torch.randn(1, 12, 1, 1, 2, dtype=torch.double)
    short = long[:, 3:11]
    whole, part = layer(long), layer(short)
    assert torch.equal(whole[:, 3 * stride : 3 * stride + part.shape[1]], part)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (4, 2), (4, 1), (2, 1)])
@pytest.mark.parametrize(("valid", "cut"), [(False, False), (True, False), (False, True)])
def test_needed_inputs_give_the_length(kernel: int, stride: int, valid: bool, cut: bool) -> None:
    for count in range(5, 12):
        length = placed(count, kernel, stride, valid, cut)[1]
        assert needed(length, kernel, stride, valid, cut) == count
