"""Convolutions as one matrix product over patches, for the layers where that is faster on CPUs.

With P(x) the patches of x, one row each, and W the kernel as a matrix, one row per output
channel, a convolution is P(x) W', its input gradient is P*(g W), where P* adds overlapping
patches up, and its weight gradient is g' P(x). A transposed convolution is the same with the
roles exchanged. The library's own kernels are slower in two places (``python -m
benchmarks.layers`` measures it):

- *thin* layers, one side of which has the image's one to three channels: what goes towards that
  side (a descriptor's input gradient, a generator's image) runs at a tenth of the processor's
  speed there, as the inner loop goes over those channels. In bf16 it is one convolution onto
  phases instead (:mod:`coopnets.models.phases`);
- *deep* layers, with many channels on a map of a few positions: one large product instead of
  many small ones, for the weight gradient, and in bf16 or small batches for the way up. Towards
  the larger map the library is as fast or faster.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coopnets.models import phases

THIN = 4
"""Channels up to which a layer is thin."""
DEEP_POSITIONS, DEEP_CHANNELS = 16, 64
"""A layer is deep if its smaller map has at most so many positions, and either side at least so
many channels."""
ROWS = 256
"""Positions over the batch from which the library's fp32 convolution beats one product."""


def thin(channels: int, x: Tensor) -> bool:
    """Whether a layer whose thinner side has so many channels is faster our way."""
    return channels <= THIN and x.device.type == "cpu"


def thin_in_bf16(weight: Tensor) -> bool:
    """Whether the way towards the thin side is one convolution onto phases.

    A fold over patches is as slow in bf16 as it is in fp32, and then the larger part of the layer.
    """
    return weight.shape[1] <= THIN and weight.dtype == torch.bfloat16


def deep(weight: Tensor, positions: int) -> bool:
    """Whether a layer is, in all three directions; only if laid out channels last."""
    return (
        positions <= DEEP_POSITIONS
        and min(weight.shape[:2]) >= DEEP_CHANNELS
        and weight.device.type == "cpu"
        and weight.is_contiguous(memory_format=torch.channels_last)
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """``F.conv2d`` of (B, C_in, H, W) by (C_out, C_in, k, k) for a thin or deep layer."""
    y: Tensor = _Convolution.apply(x, weight, bias, stride, padding)
    return y


def convolve_transposed(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """``F.conv_transpose2d`` of (B, C_in, h, w) by (C_in, C_out, k, k), thin or deep."""
    y: Tensor = _Transposed.apply(x, weight, stride, padding)
    return y if bias is None else y + bias[:, None, None].to(y.dtype)


class _Convolution(torch.autograd.Function):
    """Made of differentiable operations both ways, so second derivatives hold."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased, ctx.place = bias is not None, (stride, padding)
        if _library_convolves(x, weight, stride, padding):
            return F.conv2d(x, weight, bias, stride, padding)
        y = product_up(x, weight, stride, padding)
        # A fresh tensor, not a view: what comes next may work in place.
        return y.clone() if bias is None else y + bias[:, None, None].to(y.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (gradient,) = ctx.saved_tensors, gradients
        for_x = for_weight = for_bias = None
        if ctx.needs_input_grad[0]:
            for_x = _spread(gradient, weight, x.shape, *ctx.place)
        if ctx.needs_input_grad[1]:
            for_weight = _correlate(gradient, x, weight, *ctx.place)
        if ctx.biased and ctx.needs_input_grad[2]:
            # With dtype= it would first copy the map.
            for_bias = gradient.sum((0, 2, 3)).to(weight.dtype)
        return for_x, for_weight, for_bias, None, None


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.place = (stride, padding)
        kernel = weight.shape[2]
        sides = [(side - 1) * stride + kernel - 2 * padding for side in x.shape[2:]]
        shape = torch.Size([len(x), weight.shape[1], *sides])
        return _spread(x, weight, shape, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (gradient,) = ctx.saved_tensors, gradients
        kernel, (stride, padding) = weight.to(gradient.dtype), ctx.place
        for_x = for_weight = patches = None
        if ctx.needs_input_grad[0]:
            if _library_convolves(gradient, kernel, stride, padding):
                for_x = F.conv2d(gradient, kernel, None, stride, padding)
            else:
                patches = _gather(gradient, kernel.shape[2], stride, padding)
                for_x = _times_rows(patches, kernel, len(gradient))
        if ctx.needs_input_grad[1]:
            x = x.to(gradient.dtype)
            for_weight = (
                _correlate(x, gradient, weight, stride, padding)
                if patches is None
                else _of_patches(x, patches[0], weight.shape).to(weight.dtype)
            )
        return for_x, for_weight, None, None


def _library_convolves(x: Tensor, weight: Tensor, stride: int, padding: int) -> bool:
    """Whether P(x) W' is best left to the library: thin layers, and fp32 with enough rows."""
    if weight.shape[1] <= THIN:
        return True
    kernel = weight.shape[2]
    rows, columns = ((side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:])
    return x.dtype == torch.float32 and len(x) * rows * columns >= ROWS


def product_up(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """P(x) W': (B, C_in, H, W) to (B, C_out, h, w), channels last."""
    return _times_rows(_gather(x, weight.shape[2], stride, padding), weight, len(x))


def _times_rows(gathered: tuple[Tensor, tuple[int, int]], weight: Tensor, count: int) -> Tensor:
    patches, (rows, columns) = gathered
    y = torch.matmul(patches, _rows(weight).t())
    return y.view(count, rows, columns, -1).permute(0, 3, 1, 2)


def _spread(y: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """P*(y W) the faster way: the library's, but for thin layers."""
    kernel, weight = weight.shape[2], weight.to(y.dtype)
    if thin_in_bf16(weight):
        return phases.spread(y, weight, (shape[2], shape[3]), stride, padding)
    if weight.shape[1] <= THIN:
        return product_down(y, weight, shape, stride, padding)
    beyond = [
        side + 2 * padding - kernel - (positions - 1) * stride
        for side, positions in zip(shape[2:], y.shape[2:], strict=True)
    ]
    return F.conv_transpose2d(y, weight, None, stride, padding, beyond)


def product_down(
    y: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int
) -> Tensor:
    """P*(y W) of a thin layer: (B, C_out, h, w) to an image of ``shape`` (B, C_in, H, W)."""
    patches = torch.matmul(weight.flatten(1).t(), _by_channel(y))
    return F.fold(patches, shape[2:], weight.shape[2], padding=padding, stride=stride)


def _correlate(y: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """y' P(x), shaped like the weight, the faster way: the library's for thin layers."""
    if weight.shape[1] <= THIN:
        _, made, _ = torch.ops.aten.convolution_backward(
            y, x.to(y.dtype), weight.to(y.dtype), None, (stride, stride), (padding, padding),
            (1, 1), False, (0, 0), 1, (False, True, False),
        )  # fmt: skip
        return made.to(weight.dtype)  # type: ignore[no-any-return]
    return product_weights(y, x.to(y.dtype), weight.shape, stride, padding).to(weight.dtype)


def product_weights(y: Tensor, x: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """y' P(x) of ``shape`` (C_out, C_in, k, k), channels last."""
    return _of_patches(y, _gather(x, shape[2], stride, padding)[0], shape)


def _of_patches(y: Tensor, patches: Tensor, shape: torch.Size) -> Tensor:
    count, channels, kernel, _ = shape
    made = torch.matmul(_by_position(y).t(), patches)
    return made.view(count, kernel, kernel, channels).permute(0, 3, 1, 2)


def _gather(x: Tensor, kernel: int, stride: int, padding: int) -> tuple[Tensor, tuple[int, int]]:
    """P(x) of (B, C, H, W): (B h w, k k C), zeros beyond the border; and (h, w)."""
    x = F.pad(x, (padding,) * 4) if padding else x
    x = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    count, height, width, _ = x.shape
    rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    windows = x.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (B, h, w, C, k, k), a view
    patches = windows.permute(0, 1, 2, 4, 5, 3).reshape(count * rows * columns, -1)
    return patches, (rows, columns)


def _rows(weight: Tensor) -> Tensor:
    """(C_out, C_in, k, k) as (C_out, k k C_in), without a copy if it is channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _by_position(y: Tensor) -> Tensor:
    """(B, C, h, w) as (B h w, C), without a copy if it is channels last."""
    return y.permute(0, 2, 3, 1).reshape(-1, y.shape[1])


def _by_channel(y: Tensor) -> Tensor:
    """(B, C, h, w) as (B, C, h w), without a copy in either layout."""
    return y.permute(0, 2, 3, 1).reshape(len(y), -1, y.shape[1]).transpose(1, 2)
