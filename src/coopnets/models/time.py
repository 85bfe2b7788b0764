"""Convolutions over time and space, as two-dimensional ones over windows of frames.

A kernel of k frames sees k times the channels of one frame. So maps of clips are laid out as
(B, T, H, W, C): the channels of k neighbouring frames are put beside each other, and the fast
two-dimensional kernels do the rest, without more arithmetic than a three-dimensional convolution
has. The transposed convolution is the adjoint: k times the channels come out, and are added up
frame by frame.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coopnets.models.layers import Conv2d, ends

Function = Callable[[Tensor], Tensor]


class TimeConv(nn.Module):
    """Convolution by a kernel of ``frames`` x ``side`` x ``side``, SAME in space.

    While ``loop`` is set, what lies before a clip is its end, and behind it its beginning.

    Args:
        in_channels: of the map.
        out_channels: of the result.
        frames: kernel in time.
        step: stride in time.
        side: kernel in space.
        stride: in space.
        padding: frames of zeros at both ends; None is SAME: T -> ceil(T / step).
    """

    loop = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        frames: int,
        step: int,
        side: int,
        stride: int,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.frames, self.step, self.padding = frames, step, padding
        self.conv = Conv2d(frames * in_channels, out_channels, side, stride, None)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C_in) to (B, T', H', W', C_out)."""
        return self.convolve(x, self.conv.weight, self.conv.bias)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The same with weights from elsewhere."""
        before, after = ends(x.shape[1], self.frames, self.step, self.padding)
        count = (x.shape[1] + before + after - self.frames) // self.step + 1
        if self.loop:
            x, before = around(x, before, after), 0
        seen = windows(x, self.frames, self.step, before, count)
        y = self.conv.convolve(seen.flatten(0, 1).permute(0, 3, 1, 2), weight, bias)
        return torch.unflatten(y.permute(0, 2, 3, 1), 0, seen.shape[:2])

    def constant(self, dtype: torch.dtype, total: bool = False) -> Function:
        """The layer with its present weights, or the sum of its outputs (one channel)."""
        weight, bias = self.conv.weight.detach(), self.conv.bias
        fixed = None if bias is None else bias.detach()
        if total:
            weight = weight.sum(0, keepdim=True)
            fixed = None if fixed is None else fixed.sum(0, keepdim=True)
        weight, fixed = weight.to(dtype), None if fixed is None else fixed.to(dtype)
        return lambda x: self.convolve(x, weight, fixed)


class WholeFrames(nn.Module):
    """Convolution by a kernel as large as a frame: dense in space, sliding in time.

    Args:
        inputs: numbers of a frame, H W C_in.
        outputs: C_out.
        frames: kernel in time.
        step: stride in time.
        padding: frames of zeros at both ends.
    """

    loop = False

    def __init__(self, inputs: int, outputs: int, frames: int, step: int, padding: int) -> None:
        super().__init__()
        self.frames, self.step, self.padding, self.outputs = frames, step, padding, outputs
        self.taps = nn.Linear(inputs, frames * outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C_in) to (B, T', 1, 1, C_out), fp32."""
        return self._slide(x, self.taps.weight, self.bias)

    def constant(self, dtype: torch.dtype, total: bool = False) -> Function:
        """The layer with its present weights, or the sum of its outputs (one channel)."""
        weight, bias = self.taps.weight.detach(), self.bias.detach()
        if total:
            weight = torch.unflatten(weight, 0, (self.frames, -1)).sum(1)
            bias = bias.sum(0, keepdim=True)
        weight = weight.to(dtype)
        return lambda x: self._slide(x, weight, bias)

    def _slide(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Every frame under every tap in one product; then the taps are added up along time."""
        taps = F.linear(x.flatten(2), weight).float()
        both = (self.padding, self.padding)
        taps = around(taps, *both) if self.loop else F.pad(taps, (0, 0, *both))
        split = torch.unflatten(taps, 2, (self.frames, -1))
        moved = split.unfold(1, self.frames, self.step)
        y = moved.diagonal(dim1=2, dim2=4).sum(-1) + bias  # (B, T', C_out)
        return y[:, :, None, None]


class WholeClip(nn.Module):
    """A dense layer over all frames at once, for clips of one length."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C_in) to (B, 1, 1, 1, C_out)."""
        y: Tensor = self.dense(x.flatten(1))
        return y[:, None, None, None]

    def constant(self, dtype: torch.dtype, total: bool = False) -> Function:
        """The layer with its present weights, or the sum of its outputs (one channel)."""
        weight, bias = self.dense.weight.detach(), self.dense.bias.detach()
        if total:
            weight, bias = weight.sum(0, keepdim=True), bias.sum(0, keepdim=True)
        weight, bias = weight.to(dtype), bias.to(dtype)
        return lambda x: F.linear(x.flatten(1), weight, bias)[:, None, None, None]


class Up(nn.Module):
    """Transposed convolution over time and space.

    Args:
        in_channels: of the map.
        out_channels: of the result.
        frames: kernel in time.
        step: stride in time.
        side: kernel in space.
        stride: in space.
        dense: the map is 1x1 and becomes ``side`` x ``side``.
        valid: all frames that the kernel reaches are kept, not ``step`` times as many.
        cut: along time, and in space, what zeros beyond the border have reached is cut off.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        frames: int,
        step: int,
        side: int,
        stride: int,
        *,
        dense: bool,
        valid: bool,
        cut: tuple[bool, bool],
    ) -> None:
        super().__init__()
        self.frames, self.step, self.side, self.stride = frames, step, side, stride
        self.valid, self.cut = valid, cut
        many = frames * out_channels
        self.map: nn.Linear | nn.ConvTranspose2d = (
            nn.Linear(in_channels, side * side * many, bias=False)
            if dense
            else nn.ConvTranspose2d(in_channels, many, side, stride, bias=False)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, H, W, C_in) to (B, T', H', W', C_out)."""
        first, length = placed(x.shape[1], self.frames, self.step, self.valid, self.cut[0])
        return spread(self._in_space(x), self.frames, self.step, first, length) + self.bias

    def _in_space(self, x: Tensor) -> Tensor:
        """Every frame by itself, (B, T, H', W', frames C_out)."""
        if isinstance(self.map, nn.Linear):
            y: Tensor = self.map(x.flatten(2))
            return torch.unflatten(y, 2, (self.side, self.side, -1))
        y = self.map(x.flatten(0, 1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        for axis, count in ((1, x.shape[2]), (2, x.shape[3])):
            first, length = placed(count, self.side, self.stride, False, self.cut[1])
            y = y.narrow(axis, first, length)
        return torch.unflatten(y, 0, x.shape[:2])


def placed(count: int, kernel: int, stride: int, valid: bool, cut: bool) -> tuple[int, int]:
    """First position and number of those that a transposed convolution of ``count`` keeps.

    Position o gathers input t by tap o - stride t, so all that it should gather are there from
    kernel - stride on, and to the same distance from the end.
    """
    if cut:
        return kernel - stride, stride * (count + 1 - -(-kernel // stride))
    if valid:
        return 0, stride * count + kernel - 1
    return (kernel - stride) // 2, stride * count


def needed(length: int, kernel: int, stride: int, valid: bool, cut: bool) -> int:
    """Inputs that a transposed convolution needs for so many positions: inverse of `placed`."""
    if cut:
        return -(-length // stride) - (-kernel // stride) - 1
    return (length - (kernel - 1 if valid else 0)) // stride


def around(x: Tensor, before: int, after: int) -> Tensor:
    """(B, T, ...) as a loop, with what comes around before and behind along T."""
    places = torch.arange(-before, x.shape[1] + after, device=x.device) % x.shape[1]
    return x.index_select(1, places)


def windows(x: Tensor, kernel: int, stride: int, first: int, count: int) -> Tensor:
    """(B, T, ..., C) to (B, count, ..., kernel C): neighbouring frames, channels side by side.

    Window t has the frames from ``stride t - first`` on, zeros where there are none.
    """
    y: Tensor = _Windows.apply(x, kernel, stride, first, count)
    return y


def spread(y: Tensor, kernel: int, stride: int, first: int, count: int) -> Tensor:
    """(B, T', ..., kernel C) to (B, count, ..., C): the adjoint, which adds overlaps up."""
    x: Tensor = _Spread.apply(y, kernel, stride, first, count)
    return x


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int, first: int, count: int) -> Tensor:
        ctx.place = (kernel, stride, first, x.shape[1])
        whole = first == 0 and stride * (count - 1) + kernel <= x.shape[1]
        make = x.new_empty if whole else x.new_zeros
        y = make(len(x), count, *x.shape[2:-1], kernel, x.shape[-1])
        for tap in range(kernel):
            at, under = _meet(tap - first, stride, count, x.shape[1])
            y[:, at, ..., tap, :] = x[:, under]
        return y.flatten(-2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return spread(gradients[0], *ctx.place), None, None, None, None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, kernel: int, stride: int, first: int, count: int) -> Tensor:
        ctx.place = (kernel, stride, first, y.shape[1])
        parts = torch.unflatten(y, -1, (kernel, -1))
        x = y.new_zeros(len(y), count, *parts.shape[2:-2], parts.shape[-1])
        for tap in range(kernel):
            at, under = _meet(tap - first, stride, y.shape[1], count)
            x[:, under] += parts[:, at, ..., tap, :]
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return windows(gradients[0], *ctx.place), None, None, None, None


def _meet(offset: int, stride: int, windows: int, frames: int) -> tuple[slice, slice]:
    """Which windows have a frame under a tap, and which frames these are.

    Under the tap, window t has frame ``stride t + offset``, if that is one of ``frames``.
    """
    begin = max(0, -(offset // stride))
    end = max(begin, min(windows, (frames - 1 - offset) // stride + 1))
    start = stride * begin + offset
    return slice(begin, end), slice(start, start + stride * (end - begin), stride)
