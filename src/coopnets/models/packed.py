"""f and its slope for few images on a CPU: weights packed once a chain, no graph in between.

At one image a step of a small network is a few hundred microseconds of arithmetic, and thrice that
of everything around it. Before each convolution the library brings the weights into an order of
its own, which takes longer than the convolution; and autograd builds a graph for every step. Here
the weights are packed when the chain begins, the nonlinearity is part of the convolution, and the
slope is written out: what comes down through the nonlinearity, and then through the adjoint of
the convolution, layer by layer. The operators are those that PyTorch's own compiler uses on CPUs
(``torch.ops.mkldnn``); where they are missing, nothing is packed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from coopnets.models.layers import Conv2d, placed

FEW = 4
"""Images up to which packing pays: from 16 on the convolutions are all that counts."""

Top = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Packed:
    """A convolution and its adjoint on maps of one size, ready to be run.

    Attributes:
        up: packed weight of the convolution.
        down: packed weight of its adjoint.
        bias: of the convolution.
        stride: of both.
        padding: that all ends share.
        beyond: what is padded beyond it, as `F.pad` takes it.
        rest: rows and columns of the input that no kernel reaches.
    """

    up: Tensor
    down: Tensor
    bias: Tensor | None
    stride: int
    padding: int
    beyond: tuple[int, ...]
    rest: tuple[int, int]


def packs(x: Tensor, layers: Sequence[nn.Module]) -> bool:
    """Whether f of such images is computed this way."""
    return (
        len(x) <= FEW
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and _available()
        and all(
            (isinstance(layer, Conv2d) and not layer.wrap) or _slope(layer) is not None
            for layer in layers
        )
    )


def packed(
    x: Tensor,
    layers: Sequence[nn.Module],
    weights: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor,
) -> Callable[[Tensor], Tensor]:
    """f for images like x.

    Args:
        x: images, (B, C, H, W); only its shape matters.
        layers: convolutions, each followed by its nonlinearity.
        weights: of the convolutions.
        weight: of the top, (1, C', H', W'), or (1, C', 1, 1) for all positions of the last map,
            whose sum times it is f.
        bias: of the top, at each of these.

    Returns:
        A function (B, C, H, W) to (B,), once differentiable with respect to the images.
    """
    made: list[tuple[Packed, float]] = []
    shape: tuple[int, ...] = tuple(x.shape)
    for layer, nonlinearity, kernels in zip(layers[::2], layers[1::2], weights, strict=True):
        assert isinstance(layer, Conv2d)
        slope = _slope(nonlinearity)
        assert slope is not None
        one, shape = _pack(layer, kernels, shape)
        made.append((one, slope))
    positions = shape[2] * shape[3] if weight.shape[2:] == (1, 1) else 1
    return lambda images: _Packed.apply(images, made, weight) + bias * positions


class _Packed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, made: list[tuple[Packed, float]], weight: Tensor) -> Tensor:
        ops, maps, h = torch.ops.mkldnn, [], x.contiguous(memory_format=torch.channels_last)
        for one, slope in made:
            h = F.pad(h, one.beyond) if one.beyond else h
            h = ops._convolution_pointwise(
                h, one.up, one.bias, [one.padding] * 2, [one.stride] * 2, [1, 1], 1,
                "leaky_relu", [slope], "",
            )  # fmt: skip
            maps.append(h)
        ctx.made, ctx.weight, ctx.maps = made, weight, maps
        return (h * weight).sum((1, 2, 3))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ops = torch.ops
        down = (gradients[0][:, None, None, None] * ctx.weight).expand_as(ctx.maps[-1])
        for (one, slope), h in zip(reversed(ctx.made), reversed(ctx.maps), strict=True):
            # A map has the sign of what the nonlinearity was given.
            down = ops.aten.leaky_relu_backward(down, h, slope, True)
            down = ops.mkldnn._convolution_transpose_pointwise(
                down, one.down, None, [one.padding] * 2, list(one.rest), [one.stride] * 2,
                [1, 1], 1, "none", [], "",
            )  # fmt: skip
            if one.beyond:
                down = F.pad(down, [-n for n in one.beyond])
        return down, None, None


def _pack(layer: Conv2d, weight: Tensor, shape: Sequence[int]) -> tuple[Packed, tuple[int, ...]]:
    """The layer for maps of a shape, and the shape of what it gives."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    padding = None if layer.same else int(layer.padding[0])
    inner, beyond, _ = placed(shape[2], shape[3], kernel, stride, padding)
    left, right, top, bottom = beyond or (0, 0, 0, 0)
    sides = (shape[2] + top + bottom, shape[3] + left + right)
    out = [(side + 2 * inner - kernel) // stride + 1 for side in sides]
    rest = tuple(
        side + 2 * inner - kernel - (count - 1) * stride
        for side, count in zip(sides, out, strict=True)
    )
    weight, ops = weight.contiguous(), torch.ops.mkldnn
    given, made = [shape[0], shape[1], *sides], [shape[0], layer.out_channels, *out]
    up = ops._reorder_convolution_weight(
        weight, [inner] * 2, [stride] * 2, [1, 1], 1, given
    )  # fmt: skip
    down = ops._reorder_convolution_transpose_weight(
        weight, [inner] * 2, list(rest), [stride] * 2, [1, 1], 1, made
    )
    bias = None if layer.bias is None else layer.bias.detach()
    return Packed(up, down, bias, stride, inner, beyond, (rest[0], rest[1])), tuple(made)


def _slope(layer: nn.Module) -> float | None:
    """Negative slope of a nonlinearity whose sign is that of its input; else None."""
    if isinstance(layer, nn.LeakyReLU):
        return layer.negative_slope if layer.negative_slope > 0 else None
    return 0.0 if isinstance(layer, nn.ReLU) else None


@cache
def _available() -> bool:
    """Whether this PyTorch has the operators, and they compute what they should."""
    try:
        layer = Conv2d(2, 3, 4, 2, None)
        x = torch.linspace(-1, 1, 2 * 6 * 6).view(1, 2, 6, 6)
        with torch.no_grad():
            one, _ = _pack(layer, layer.weight, x.shape)
            f = _Packed.apply(x, [(one, 0.2)], torch.ones(1, 3, 3, 3))
            expected = F.leaky_relu(layer(x), 0.2).sum()
        return bool(torch.allclose(f, expected, rtol=1e-4, atol=1e-5))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
