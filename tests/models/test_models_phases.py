"""The adjoint of a convolution onto phases, against autograd's."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coopnets.models.layers import Conv2d, ConvTranspose2d
from coopnets.models.patches import convolve
from coopnets.models.phases import phase_kernels, spread

SHAPES = [
    # channels in, out, side, kernel, stride, padding
    (1, 5, 8, 4, 2, 1), (3, 7, 9, 5, 2, 2), (3, 6, 6, 3, 1, 0), (4, 5, 7, 5, 1, 2),
    (3, 5, 14, 7, 3, 2), (3, 5, 10, 4, 2, 0), (2, 6, 9, 3, 2, 1),
    (3, 6, 11, 2, 3, 0),  # positions that no kernel reaches
    (2, 3, 15, 5, 2, 0),  # more behind than before
    (3, 4, 5, 1, 1, 1), (2, 3, 6, 3, 2, 3),  # more padding than the kernel reaches
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_adjoint(shape: tuple[int, ...]) -> None:
    first, last, side, kernel, stride, padding = shape
    x = torch.randn(2, first, side, side + 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(last, first, kernel, kernel, dtype=torch.float64)
    y = F.conv2d(x, w, None, stride, padding)
    direction = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, x, direction)
    torch.testing.assert_close(spread(direction, w, (side, side + 3), stride, padding), expected)


def test_each_tap_is_there_once() -> None:
    kernels = phase_kernels(torch.arange(1.0, 17).view(1, 1, 4, 4), 2, 1)
    assert kernels.shape == (4, 1, 3, 3)
    assert sorted(kernels[kernels != 0].tolist()) == list(range(1, 17))


def test_thin_layers_in_bf16_learn_and_slope_as_in_fp32() -> None:
    """bf16 is off by per cents, a wrong phase by everything."""
    torch.manual_seed(0)
    w, b = torch.randn(6, 3, 4, 4), torch.randn(6)
    x, direction = torch.randn(3, 3, 8, 8), torch.randn(3, 6, 4, 4)

    def slopes(dtype: torch.dtype) -> list[Tensor]:
        given = [t.to(dtype).requires_grad_() for t in (x, w, b)]
        y = convolve(given[0], given[1], given[2], 2, 1)
        return [g.float() for g in torch.autograd.grad(y, given, direction.to(dtype))]

    for a, e in zip(slopes(torch.bfloat16), slopes(torch.float32), strict=True):
        assert (a - e).norm() < 0.02 * e.norm()


@pytest.mark.parametrize("kernel", [4, 5])
def test_doublings_in_bf16(kernel: int) -> None:
    """Odd kernels get their bias apart from the product."""
    torch.manual_seed(0)
    layer = ConvTranspose2d(6, 5, kernel, 8, 16)
    x = torch.randn(2, 6, 8, 8)
    expected = layer(x)
    plain = F.conv_transpose2d(x, layer.weight, layer.bias, 2, layer.padding)
    torch.testing.assert_close(expected, plain[..., :16, :16])
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    assert made.dtype == torch.bfloat16
    assert (made - expected).norm() < 0.02 * expected.norm()
    direction = torch.randn_like(expected)
    slopes = [torch.autograd.grad(y.float(), list(layer.parameters()), direction)
              for y in (made, expected)]  # fmt: skip
    for a, e in zip(*slopes, strict=True):
        assert (a - e).norm() < 0.02 * e.norm()


def test_a_convolution_of_the_image_in_bf16() -> None:
    """Uneven padding, and the way down onto phases."""
    torch.manual_seed(0)
    layer, x = Conv2d(3, 6, 4, 2, None), torch.randn(2, 3, 7, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        made = layer(x)
    expected = layer(x)
    assert (made - expected).norm() < 0.02 * expected.norm()
    direction = torch.randn_like(expected)
    (a,), (e,) = (torch.autograd.grad(y.float(), x, direction) for y in (made, expected))
    assert (a - e).norm() < 0.02 * e.norm()
