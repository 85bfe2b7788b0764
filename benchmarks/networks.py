"""The networks that are measured: those of presets, ours and in plain PyTorch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from benchmarks.clipnets import PlainClipDescriptor, clip_flops
from coopnets.config import Config, image_shape
from coopnets.models import AnyDescriptor, ClipDescriptor, Descriptor, Generator, new_descriptor
from coopnets.models.layers import BatchNorm2d, Conv2d, ConvTranspose2d, activation
from coopnets.presets import PRESETS, preset

OWN = ("digits", "demo", "cifar", "scene", "face", "texture", "dynamic-texture")
"""Our own presets; the rest are the authors'."""
PIXELS = 100 * 64 * 64
"""At most so many in a batch: what a hundred images of 64x64 have."""


def distinct(names: Sequence[str]) -> dict[str, Config]:
    """Settings of presets, those with the same descriptor under one name.

    Args:
        names: presets; ``own`` and ``all`` stand for many.
    """
    many = {"own": OWN, "all": tuple(PRESETS)}
    chosen = [preset(n) for name in names for n in many.get(name, (name,))]
    groups: dict[tuple[object, ...], list[Config]] = {}
    for c in dict.fromkeys(chosen):
        shape = replace(c.descriptor, init_std=None, outputs=1, activation="relu", slope=0.0)
        groups.setdefault((shape, image_shape(c)), []).append(c)
    return {", ".join(c.preset for c in same): same[0] for same in groups.values()}


def batches_of(config: Config, wanted: Sequence[int]) -> list[int]:
    """Those of ``wanted`` that are of a size which is trained or sampled with; one always is."""
    each = prod(image_shape(config)) // config.image_channels
    return [batch for batch in wanted if batch == 1 or batch * each <= PIXELS]


def descriptor(config: Config, device: torch.device, seed: int = 0) -> AnyDescriptor:
    """A descriptor whose gradient balances the reference, as after training.

    Weights as a preset starts them have next to no gradient, and no error in it would be seen.
    Here the root mean square of df/dx at noise in [-1, 1] is that of x / s^2.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings = replace(config.descriptor, init_std=None)
        f = new_descriptor(replace(config, descriptor=settings))
    x = images(config, 4, torch.device("cpu"))
    (slope,) = torch.autograd.grad(f(x.requires_grad_()).sum(), x)
    wanted = float(x.detach().square().mean().sqrt()) / (config.langevin.s or 1.0) ** 2
    with torch.no_grad():
        last_weight(f).mul_(wanted / slope.square().mean().sqrt())
    return f.to(device)


def last_weight(f: nn.Module) -> nn.Parameter:
    """The weight nearest to the output."""
    return [p for p in f.parameters() if p.ndim > 1][-1]


def plain(config: Config, f: AnyDescriptor) -> nn.Module:
    """The same function as a descriptor's, in the layers that PyTorch users write."""
    if isinstance(f, ClipDescriptor):
        c = config.descriptor
        between = _not_in_place(activation(c.activation, c.slope))
        return PlainClipDescriptor(f, image_shape(config), between)
    return PlainDescriptor(config, f)


def images(config: Config, count: int, device: torch.device, seed: int = 1) -> Tensor:
    """Uniform noise in [-1, 1], (count, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *image_shape(config))
    return (2 * torch.rand(shape, generator=generator) - 1).to(device)


class PlainDescriptor(nn.Module):
    """The same function as a descriptor's, in the layers that PyTorch users write.

    Args:
        config: settings of the descriptor.
        f: whose weights it takes, as copies.
    """

    def __init__(self, config: Config, f: Descriptor) -> None:
        super().__init__()
        kind, slope = config.descriptor.activation, config.descriptor.slope
        layers: list[nn.Module] = []
        for layer, _, pads in convolutions(f, config.size):
            if pads[0][0] == pads[0][1]:
                padding = pads[0][0]
            else:
                layers.append(nn.ZeroPad2d((*pads[1], *pads[0])))
                padding = 0
            plain = nn.Conv2d(
                layer.in_channels, layer.out_channels, layer.kernel_size[0],
                layer.stride[0], padding,
            )  # fmt: skip
            plain.load_state_dict(layer.state_dict())
            layers += [plain, _not_in_place(activation(kind, slope))]
        self.features = nn.Sequential(*layers)
        self.top = nn.Sequential()
        if isinstance(f.top, nn.Linear):
            self.top = nn.Sequential(
                nn.Flatten(), _same(nn.Linear(f.top.in_features, f.top.out_features), f.top)
            )
        elif f.top is not None:
            self.top = nn.Sequential(
                _same(nn.Conv2d(f.top.in_channels, f.top.out_channels, 1), f.top)
            )
        self.to(last_weight(f).device)

    def forward(self, x: Tensor) -> Tensor:
        """f of each image: (B, C, H, W) to (B,)."""
        outputs: Tensor = self.top(self.features(x))
        return outputs.flatten(1).sum(1)


def _same(made: nn.Module, layer: nn.Module) -> nn.Module:
    made.load_state_dict(layer.state_dict())
    return made


def plain_generator(config: Config, g: Generator) -> nn.Module:
    """A generator of the same layers in plain PyTorch, with the same weights.

    Maps of twice the side come from ``output_padding``, as in the published port; where the
    padding is odd that is a mirror image of our layer, of the same cost.
    """
    layers: list[nn.Module] = [nn.Unflatten(1, (*g.latent_shape, 1, 1))]
    for layer in g.layers:
        made: nn.Module
        if isinstance(layer, ConvTranspose2d):
            padding = (layer.extra + 1) // 2
            made = nn.ConvTranspose2d(
                layer.in_channels, layer.out_channels, layer.kernel_size[0], 2, padding,
                layer.extra % 2,
            )  # fmt: skip
            made.load_state_dict(layer.state_dict())
        elif isinstance(layer, nn.ConvTranspose2d):
            made = nn.ConvTranspose2d(layer.in_channels, layer.out_channels, layer.kernel_size[0])
            made.load_state_dict(layer.state_dict())
        elif isinstance(layer, BatchNorm2d):
            made = nn.BatchNorm2d(len(layer.weight), layer.eps)
        elif isinstance(layer, nn.Tanh):
            made = nn.Tanh()
        else:
            made = _not_in_place(activation(config.generator.activation, config.generator.slope))
        layers.append(made)
    return nn.Sequential(*layers).to(next(g.parameters()).device)


def convolution_flops(config: Config, f: AnyDescriptor) -> int:
    """Floating-point operations of one image's convolutions, a multiply-add being two.

    Taps on zeros beyond the border count, as they do for everybody's convolutions.
    """
    if isinstance(f, ClipDescriptor):
        return clip_flops(f, image_shape(config))
    total = 0
    for layer, sides, _ in convolutions(f, config.size):
        rows, columns = (_output_side(layer, side) for side in sides)
        total += 2 * rows * columns * layer.weight.numel()
    return total


def convolutions(
    f: Descriptor, size: int
) -> Iterator[tuple[Conv2d, tuple[int, int], list[tuple[int, int]]]]:
    """Every convolution, the sides of its input, and what is padded before and after each."""
    sides = (size, size)
    for layer in f.features:
        if isinstance(layer, Conv2d):
            yield layer, sides, [_pads(layer, side) for side in sides]
            sides = (_output_side(layer, sides[0]), _output_side(layer, sides[1]))


def _pads(layer: Conv2d, side: int) -> tuple[int, int]:
    if not layer.same:
        return int(layer.padding[0]), int(layer.padding[0])
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _output_side(layer: Conv2d, side: int) -> int:
    return (side + sum(_pads(layer, side)) - layer.kernel_size[0]) // layer.stride[0] + 1


def _not_in_place(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.ReLU | nn.LeakyReLU | nn.SiLU):
        layer.inplace = False
    return layer
