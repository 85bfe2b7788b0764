"""f and its slope on a CPU: weights packed once a chain, no graph in between.

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

from coopnets.models import phases
from coopnets.models.layers import Conv2d, placed
from coopnets.models.patches import THIN, product_down, thin_in_bf16

FEW = 4
"""Images up to which the library's way down a thin layer in fp32 is faster than a product."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A convolution and its adjoint on maps of one size, ready to be run.

    Attributes:
        weight: packed, of the convolution.
        bias: of the convolution.
        stride: of the convolution.
        padding: that all ends share.
        beyond: what is padded beyond it, as `F.pad` takes it.
        adjoint: the convolution's, from its map to the padded map below.
    """

    weight: Tensor
    bias: Tensor | None
    stride: int
    padding: int
    beyond: tuple[int, ...]
    adjoint: Callable[[Tensor], Tensor]


def packs(x: Tensor, layers: Sequence[nn.Module], dtype: torch.dtype) -> bool:
    """Whether f of such images, with weights in ``dtype``, is computed this way."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and bool(torch.backends.mkldnn.enabled)
        and _available(dtype)
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
        ops, maps = torch.ops.mkldnn, []
        h = x.contiguous(memory_format=torch.channels_last).to(made[0][0].weight.dtype)
        for one, slope in made:
            h = F.pad(h, one.beyond) if one.beyond else h
            h = ops._convolution_pointwise(
                h, one.weight, one.bias, [one.padding] * 2, [one.stride] * 2, [1, 1], 1,
                "leaky_relu", [slope], "",
            )  # fmt: skip
            maps.append(h)
        ctx.made, ctx.weight = made, weight
        ctx.save_for_backward(*maps)
        return dotted(h, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps = ctx.saved_tensors
        weight = ctx.weight.to(maps[-1].dtype)
        down = gradients[0].to(weight.dtype)[:, None, None, None] * weight
        down = down.expand_as(maps[-1])
        with torch.autocast("cpu", enabled=False):
            for (one, slope), h in zip(reversed(ctx.made), reversed(maps), strict=True):
                # A map has the sign of what the nonlinearity was given.
                down = one.adjoint(torch.ops.aten.leaky_relu_backward(down, h, slope, True))
                if one.beyond:
                    down = F.pad(down, [-n for n in one.beyond])
        return down.float(), None, None


def dotted(h: Tensor, weight: Tensor) -> Tensor:
    """Each map times the weight, summed: (B, C, H, W) and (1, C, H, W) or (1, C, 1, 1) to (B,).

    In the arithmetic of the weight, under autocast too: it is the energy that comes out.
    """
    h = h.to(weight.dtype)
    if weight.shape[2:] == (1, 1):
        return (h * weight).sum((1, 2, 3))
    if h.is_contiguous(memory_format=torch.channels_last):  # flat without a copy
        h, weight = h.permute(0, 2, 3, 1), weight.permute(0, 2, 3, 1)
    with torch.autocast(h.device.type, enabled=False):
        return h.flatten(1) @ weight.flatten()


def _pack(layer: Conv2d, weight: Tensor, shape: Sequence[int]) -> tuple[Packed, tuple[int, ...]]:
    """The layer for maps of a shape, and the shape of what it gives."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    padding = None if layer.same else int(layer.padding[0])
    inner, beyond, _ = placed(shape[2], shape[3], kernel, stride, padding)
    left, right, top, bottom = beyond or (0, 0, 0, 0)
    sides = (shape[2] + top + bottom, shape[3] + left + right)
    out = [(side + 2 * inner - kernel) // stride + 1 for side in sides]
    given, made = [shape[0], shape[1], *sides], [shape[0], layer.out_channels, *out]
    up = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(), [inner] * 2, [stride] * 2, [1, 1], 1, given
    )
    bias = None if layer.bias is None else layer.bias.detach().to(weight.dtype)
    adjoint = _adjoint(weight, given, made, stride, inner)
    return Packed(up, bias, stride, inner, beyond, adjoint), tuple(made)


def _adjoint(
    weight: Tensor, given: Sequence[int], made: Sequence[int], stride: int, padding: int
) -> Callable[[Tensor], Tensor]:
    """The convolution's adjoint, from maps of the shape ``made`` to ``given``."""
    if thin_in_bf16(weight):
        return _onto_phases(weight, given, made, stride, padding)
    if weight.shape[1] <= THIN and given[0] > FEW:
        shape = torch.Size(given)
        return lambda y: product_down(y, weight, shape, stride, padding)
    kernel, ops = weight.shape[2], torch.ops.mkldnn
    rest = [
        side + 2 * padding - kernel - (count - 1) * stride
        for side, count in zip(given[2:], made[2:], strict=True)
    ]
    ready = ops._reorder_convolution_transpose_weight(
        weight.contiguous(), [padding] * 2, rest, [stride] * 2, [1, 1], 1, list(made)
    )
    return lambda y: ops._convolution_transpose_pointwise(
        y, ready, None, [padding] * 2, rest, [stride] * 2, [1, 1], 1, "none", [], ""
    )


def _onto_phases(
    weight: Tensor, given: Sequence[int], made: Sequence[int], stride: int, padding: int
) -> Callable[[Tensor], Tensor]:
    """The same by :mod:`coopnets.models.phases`."""
    sides, ops = (given[2], given[3]), torch.ops.mkldnn
    kernels = phases.phase_kernels(weight, stride, padding).contiguous()
    inner, beyond = phases.around(sides, (made[2], made[3]), weight.shape[2], stride, padding)
    left, right, top, bottom = beyond or (0, 0, 0, 0)
    map_shape = [*made[:2], made[2] + top + bottom, made[3] + left + right]
    ready = ops._reorder_convolution_weight(kernels, [inner] * 2, [1, 1], [1, 1], 1, map_shape)

    def adjoint(y: Tensor) -> Tensor:
        y = F.pad(y, beyond) if beyond else y
        made = ops._convolution_pointwise(
            y, ready, None, [inner] * 2, [1, 1], [1, 1], 1, "none", [], ""
        )
        return phases.placed_phases(made, sides, stride)

    return adjoint


def _slope(layer: nn.Module) -> float | None:
    """Negative slope of a nonlinearity whose sign is that of its input; else None."""
    if isinstance(layer, nn.LeakyReLU):
        return layer.negative_slope if layer.negative_slope > 0 else None
    return 0.0 if isinstance(layer, nn.ReLU) else None


@cache
def _available(dtype: torch.dtype) -> bool:
    """Whether the operators are there for this processor, and compute what they should."""
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.random.fork_rng(devices=[]):  # others' random numbers stay as they were
            layer = Conv2d(2, 3, 4, 2, None)
        x = torch.linspace(-1, 1, 2 * 6 * 6).view(1, 2, 6, 6)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            one, _ = _pack(layer, layer.weight.to(dtype), x.shape)
            f = _Packed.apply(x, [(one, 0.2)], torch.ones(1, 3, 3, 3))
            expected = F.leaky_relu(layer(x), 0.2).sum()
        close = 1e-4 if dtype == torch.float32 else 0.05
        return bool(torch.allclose(f, expected, rtol=close))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
