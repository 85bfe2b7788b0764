"""TensorFlow's SAME convolution, its adjoint, and batch normalisation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coopnets.models.layers import BatchNorm2d, Conv2d, ConvTranspose2d, start_normal

PAIRS = [(4, 7), (4, 8), (7, 14), (7, 13), (1, 2), (14, 28)]


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [5, 7, 8, 14])
def test_same_padding_is_tensorflows(kernel: int, stride: int, side: int) -> None:
    """Side ceil(side / stride); of an odd padding the larger part comes after."""
    torch.manual_seed(0)
    layer, x = Conv2d(2, 3, kernel, stride, None), torch.randn(2, 2, side, side)
    out = (side + stride - 1) // stride
    total = max((out - 1) * stride + kernel - side, 0)
    before, after = total // 2, total - total // 2
    padded = F.pad(x, (before, after, before, after))
    found = layer(x)
    assert found.shape[-2:] == (out, out)
    torch.testing.assert_close(found, F.conv2d(padded, layer.weight, layer.bias, stride))


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "first"), [(4, 2, 8, 1), (5, 2, 8, 1), (3, 2, 8, 0), (4, 1, 8, 1)]
)
def test_same_padding_places_known_from_tensorflow(
    kernel: int, stride: int, side: int, first: int
) -> None:
    """The first output sees the kernel cut by ``first`` zeros before the image."""
    layer = Conv2d(1, 1, kernel, stride, None)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    corner = layer(torch.ones(1, 1, side, side))[0, 0, 0, 0]
    assert corner.item() == (kernel - first) ** 2


def test_stated_padding_is_used() -> None:
    layer, x = Conv2d(2, 3, 5, 2, 1), torch.randn(2, 2, 32, 32)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, layer.bias, 2, 1))
    assert Conv2d(1, 1, 3, 1, 0)(torch.zeros(1, 1, 8, 8)).shape[-1] == 6


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize(("small", "large"), PAIRS)
def test_transposed_layer_is_the_exact_adjoint(kernel: int, small: int, large: int) -> None:
    """<A x, y> = <x, A^T y> for every x and y, A the SAME convolution of stride 2."""
    torch.manual_seed(0)
    down = Conv2d(2, 3, kernel, 2, None).double()
    up = ConvTranspose2d(3, 2, kernel, small, large).double()
    with torch.no_grad():
        up.weight.copy_(down.weight)
        down.bias.zero_()
        up.bias.zero_()
    x = torch.randn(4, 2, large, large, dtype=torch.float64)
    y = torch.randn(4, 3, small, small, dtype=torch.float64)
    assert up(y).shape == x.shape
    torch.testing.assert_close((down(x) * y).sum(), (x * up(y)).sum(), rtol=1e-11, atol=1e-11)


def test_transposed_layer_equals_the_gradient_of_the_convolution() -> None:
    """Not only in sum: pixel by pixel it is what autograd gives."""
    torch.manual_seed(0)
    down, up = Conv2d(1, 2, 5, 2, None), ConvTranspose2d(2, 1, 5, 7, 14)
    with torch.no_grad():
        up.weight.copy_(down.weight)
        up.bias.zero_()
    x, y = torch.randn(3, 1, 14, 14, requires_grad=True), torch.randn(3, 2, 7, 7)
    (adjoint,) = torch.autograd.grad(down(x), x, y)
    torch.testing.assert_close(up(y), adjoint)


def test_kernel_too_small_for_the_side_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot reach"):
        ConvTranspose2d(1, 1, 1, 4, 8)


@pytest.mark.parametrize("scale", [False, True])
def test_batch_norm_is_torchs(scale: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm2d(3, scale=scale, eps=1e-3), nn.BatchNorm2d(3, eps=1e-3)
    with torch.no_grad():
        for net in (ours, theirs):
            net.bias.copy_(torch.tensor([0.3, -0.2, 0.1]))
    for _ in range(3):
        x = torch.randn(5, 3, 4, 4) * 3 + 1
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    ours.eval()
    theirs.eval()
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours.weight.requires_grad is scale and ours.bias.requires_grad


def test_batch_norm_gradient_is_torchs() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    slopes: list[Tensor] = []
    for net in (BatchNorm2d(3, scale=True, eps=1e-3), nn.BatchNorm2d(3, eps=1e-3)):
        point = x.clone().requires_grad_()
        slopes.append(torch.autograd.grad((net(point) * weight).sum(), point)[0])
    torch.testing.assert_close(*slopes)


def test_normal_start() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(Conv2d(16, 64, 5, 1, None), nn.Linear(200, 200), nn.Conv2d(1, 1, 1))
    start_normal(net, 0.01)
    for layer in net[:2]:
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
        assert not layer.bias.any()
