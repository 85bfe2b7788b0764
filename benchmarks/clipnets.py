"""The descriptor of clips in the layers that PyTorch users write: 3-D convolutions."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coopnets.models import ClipDescriptor
from coopnets.models.layers import ends
from coopnets.models.time import TimeConv, WholeClip, WholeFrames

Layer = TimeConv | WholeFrames | WholeClip


class PlainClipDescriptor(nn.Module):
    """The same function as a clip descriptor's.

    Args:
        f: whose weights it takes, as copies.
        shape: (C, T, H, W) of the clips.
        activation: between the layers, not in place.
    """

    def __init__(self, f: ClipDescriptor, shape: tuple[int, ...], activation: nn.Module) -> None:
        super().__init__()
        self.pads: list[tuple[int, ...]] = []
        plain: list[nn.Module] = []
        for layer, before, _ in layers(f, shape):
            made, pads = _plain(layer, before)
            plain.append(made)
            self.pads.append(pads)
        self.layers = nn.ModuleList(plain)
        self.activation = activation
        self.to(next(f.parameters()).device)

    def forward(self, x: Tensor) -> Tensor:
        """f of each clip: (B, C, T, H, W) to (B,)."""
        for i, (layer, pads) in enumerate(zip(self.layers, self.pads, strict=True)):
            x = layer(F.pad(x, pads) if any(pads) else x)
            x = self.activation(x) if i + 1 < len(self.layers) else x
        return x.flatten(1).sum(1)


def clip_flops(f: ClipDescriptor, shape: tuple[int, ...]) -> int:
    """Floating-point operations of one clip's convolutions, a multiply-add being two."""
    total = 0
    for layer, _, after in layers(f, shape):
        if isinstance(layer, TimeConv):
            total += 2 * after[1] * after[2] * after[3] * layer.conv.weight.numel()
        elif isinstance(layer, WholeFrames):
            total += 2 * after[1] * layer.taps.weight.numel()
        else:
            total += 2 * layer.dense.weight.numel()
    return total


def layers(
    f: ClipDescriptor, shape: tuple[int, ...]
) -> Iterator[tuple[Layer, tuple[int, ...], tuple[int, ...]]]:
    """Every layer with weights, and (C, T, H, W) before and after it."""
    h = torch.zeros(1, *shape[1:], shape[0], device=next(f.parameters()).device)
    with torch.no_grad():
        for layer in f.layers:
            before, h = h, layer(h)
            if isinstance(layer, Layer):
                yield layer, _channels_first(before), _channels_first(h)


def _channels_first(h: Tensor) -> tuple[int, ...]:
    return (h.shape[4], *h.shape[1:4])


def _plain(layer: Layer, before: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
    """A layer of PyTorch's own, and what is padded before it."""
    channels, time, height, width = before
    if isinstance(layer, WholeClip):
        dense = nn.Linear(layer.dense.in_features, layer.dense.out_features)
        weight = layer.dense.weight.view(-1, time, height, width, channels)
        with torch.no_grad():
            dense.weight.copy_(weight.permute(0, 4, 1, 2, 3).flatten(1))
            dense.bias.copy_(layer.dense.bias)
        return nn.Sequential(nn.Flatten(), dense), ()
    if isinstance(layer, WholeFrames):
        kernel, step = (layer.frames, height, width), (layer.step, 1, 1)
        made = nn.Conv3d(channels, layer.outputs, kernel, step)
        weight = layer.taps.weight.view(layer.frames, -1, height, width, channels)
        return _filled(made, weight.permute(1, 4, 0, 2, 3), layer.bias), (
            *(0,) * 4, layer.padding, layer.padding,
        )  # fmt: skip
    conv = layer.conv
    side, stride = conv.kernel_size[0], conv.stride[0]
    made = nn.Conv3d(
        channels, conv.out_channels, (layer.frames, side, side), (layer.step, stride, stride)
    )
    weight = conv.weight.view(conv.out_channels, layer.frames, channels, side, side)
    pads = (
        *ends(width, side, stride, None), *ends(height, side, stride, None),
        *ends(time, layer.frames, layer.step, layer.padding),
    )  # fmt: skip
    return _filled(made, weight.transpose(1, 2), conv.bias), pads


def _filled(made: nn.Conv3d, weight: Tensor, bias: Tensor | None) -> nn.Conv3d:
    with torch.no_grad():
        made.weight.copy_(weight)
        if made.bias is not None and bias is not None:
            made.bias.copy_(bias)
    return made
