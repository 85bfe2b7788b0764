"""The descriptor: a bottom-up ConvNet f(x) that defines an energy-based model.

p(x; theta) is proportional to exp(f(x; theta)) N(x; 0, s^2 I), so the energy is
U(x) = |x|^2 / (2 s^2) - f(x; theta) (TPAMI 2018, section on the descriptor net).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from coopnets.config import DescriptorConfig
from coopnets.models.layers import Conv2d, activation, bound_spectra, start_normal
from coopnets.models.packed import dotted, packed, packs


class Descriptor(nn.Module):
    """f(x; theta): convolutions, then a dense layer whose K outputs are summed.

    With ``top`` other than dense it is fully convolutional: f is a sum over positions as well, and
    takes pictures of any size.

    Args:
        config: layers.
        size: side of the square images.
        image_channels: 1 for grey, 3 for colour.

    Raises:
        ValueError: the layer lists differ in length.
    """

    metric = None
    """In which chains move; pictures have none."""

    def __init__(self, config: DescriptorConfig, size: int, image_channels: int) -> None:
        super().__init__()
        paddings = config.padding or (None,) * len(config.channels)
        lengths = {len(v) for v in (config.channels, config.kernels, config.strides, paddings)}
        if len(lengths) != 1:
            raise ValueError("descriptor: channels, kernels, strides and padding differ in length")
        layers: list[nn.Module] = []
        width = image_channels
        for channels, kernel, stride, padding in zip(
            config.channels, config.kernels, config.strides, paddings, strict=True
        ):
            layers.append(Conv2d(width, channels, kernel, stride, padding))
            layers.append(activation(config.activation, config.slope))
            width = channels
        self.features = nn.Sequential(*layers)
        self.top: nn.Linear | Conv2d | None = None
        if config.top == "dense":
            with torch.no_grad():
                self.map = self.features(torch.zeros(1, image_channels, size, size)).shape[1:]
            self.top = nn.Linear(self.map.numel(), config.outputs)
        elif config.top == "map":
            self.top = Conv2d(width, config.outputs, 1, 1, 0)
        if config.init_std is not None:
            start_normal(self, config.init_std)
        if config.spectral_norm:
            bound_spectra(self)

    def forward(self, x: Tensor) -> Tensor:
        """f of each image: (B, C, H, W) in about [-1, 1] to (B,).

        Raises:
            ValueError: with a dense top, images of another size.
        """
        h = self.features(x)
        if isinstance(self.top, nn.Linear):
            if h.shape[1:] != self.map:
                raise ValueError(f"f takes no images of {x.shape[2]}x{x.shape[3]}")
            # A sum of K linear outputs is one linear output with the summed weights.
            weight = self.top.weight.sum(0).view(1, *self.map)
            return (dotted(h, weight) + _bias(self.top).sum()).float()
        outputs: Tensor = h if self.top is None else self.top(h)
        return outputs.float().flatten(1).sum(1)

    def collapsed(self, precision: str = "fp32") -> Callable[[Tensor], Tensor]:
        """f for many evaluations with the same weights, none of which gets a gradient.

        A sum of K linear outputs is one linear output with the summed weights. The weights are
        brought to ``precision``, and divided by their norms if they are, once instead of at every
        evaluation.
        """
        modules = list(self.features)
        dtype, top = torch.bfloat16 if precision == "bf16" else torch.float32, self.top
        everywhere = not isinstance(top, nn.Linear)  # alike at every position
        with torch.no_grad():
            layers = [_with_weights(layer, dtype) for layer in self.features]
            weights = [layer.keywords["weight"] for layer in layers if isinstance(layer, partial)]
            weight, bias = torch.ones(1, 1, 1, 1), torch.zeros(())
            if top is not None:
                weight, bias = top.weight.float().sum(0), _bias(top).float().sum()
                weight = weight.view(1, *((-1, 1, 1) if everywhere else self.map))
                weight = weight.contiguous(memory_format=torch.channels_last)

        ready: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}

        def f(x: Tensor) -> Tensor:
            if packs(x, modules, dtype):
                if x.shape not in ready:
                    ready[x.shape] = packed(x, modules, weights, weight, bias)
                return ready[x.shape](x)
            h = x
            for layer in layers:
                h = layer(h)
            if top is None:
                return h.float().sum((1, 2, 3))
            positions = h.shape[2] * h.shape[3] if everywhere else 1
            return dotted(h, weight) + bias * positions

        return f


def _bias(layer: nn.Linear | Conv2d) -> Tensor:
    if layer.bias is None:
        raise ValueError("the top has no bias")
    return layer.bias


def _with_weights(layer: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The layer with its present weights in ``dtype``, as constants."""
    if not isinstance(layer, Conv2d):
        return layer
    bias = None if layer.bias is None else layer.bias.detach().to(dtype)
    return partial(layer.convolve, weight=layer.weight.detach().to(dtype), bias=bias)


def energy(f: Tensor, x: Tensor, s: float | None) -> Tensor:
    """U(x) = |x|^2 / (2 s^2) - f(x), (B,); without reference (s is None) it is -f(x)."""
    return -f if s is None else x.square().flatten(1).sum(1) / (2 * s**2) - f
