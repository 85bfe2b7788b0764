"""The encoder: the generator's mirror image, from an example to its latent numbers.

q(z|x) = N(mu(x), diag sigma(x)^2) (Kingma, Welling, ICLR 2014, arXiv 1312.6114). It has the maps
of the generator in reverse: as wide, as large, normalised alike. Where z is a map or a sequence
that reaches beyond the example, the example goes on beyond its border as it was there.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from coopnets.config import GeneratorConfig
from coopnets.models.clips import (
    GENERATORS,
    WHOLE,
    ClipGenerator,
    Layer,
    activated,
    frames_last,
)
from coopnets.models.generator import Generator, normalised
from coopnets.models.layers import Conv2d, start_normal
from coopnets.models.time import TimeConv, WholeFrames, placed


class Encoder(nn.Module):
    """q(z|x) of images, for latent vectors and latent maps.

    Args:
        config: the generator's layers.
        g: the generator that is mirrored.
        size: side of the square images.
        image_channels: 1 for grey, 3 for colour.
    """

    def __init__(
        self, config: GeneratorConfig, g: Generator, size: int, image_channels: int
    ) -> None:
        super().__init__()
        self.map = config.start == "map"
        kernels = config.kernels[1:] if self.map else config.kernels
        beyond = g.margins[0] * g.cell if self.map and g.cut else 0
        self.pads = [(beyond, beyond), (beyond, beyond)]
        layers: list[nn.Module] = []
        width, side = image_channels, size
        for channels, kernel in zip(config.channels[::-1], kernels[::-1], strict=True):
            bias = config.norm != "batch"
            layers.append(Conv2d(width, channels, kernel, 2, None, bias=bias))
            layers += normalised(config, channels)
            width, side = channels, -(-side // 2)
        self.features = nn.Sequential(*layers)
        self.top: nn.Module = (
            Conv2d(width, 2 * config.latent, config.kernels[0], 2, None)
            if self.map
            else nn.Linear(width * side**2, 2 * config.latent)
        )
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log sigma^2 of q(z|x), shaped as z, of images (B, C, H, W)."""
        h = self.features(_bordered(x, self.pads))
        mu, log_variance = self.top(h if self.map else h.flatten(1)).float().chunk(2, dim=1)
        return mu, log_variance


class ClipEncoder(nn.Module):
    """q(z|x) of clips: a sequence, or a map, of latent numbers.

    Args:
        config: the generator's layers.
        g: the generator that is mirrored.
        frames: T.
        size: side of the square frames.
        image_channels: 1 for grey, 3 for colour.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        g: ClipGenerator,
        frames: int,
        size: int,
        image_channels: int,
    ) -> None:
        super().__init__()
        time, rows, _ = g.latent_shape[1:]
        none, before = (0, 0), _shift(g)
        self.pads = [none, none, none]
        if g.cut:  # z reaches beyond the clip
            self.pads[0] = before, g.unit * time - frames - before
        if g.cut and g.grows:
            before = _shift(g, space=True)
            self.pads[1] = self.pads[2] = before, g.cell * rows - size - before
        plan, widths = GENERATORS[config.clips][::-1], (*config.channels[::-1], 2 * config.latent)
        layers: list[nn.Module] = []
        width, side = image_channels, size
        for i, (layer, out) in enumerate(zip(plan, widths, strict=True)):
            # The adjoint of a layer that keeps all that its kernel reaches has no padding.
            padding = 0 if layer.valid and not g.cut else layer.frames // 2
            layers.append(
                WholeFrames(side**2 * width, out, layer.frames, layer.step, padding)
                if _dense(layer)
                else TimeConv(width, out, layer.frames, layer.step, layer.side, layer.stride)
            )
            if i + 1 < len(plan):
                layers += activated(config, out)
            width, side = out, 1 if _dense(layer) else -(-side // layer.stride)
        self.layers = nn.Sequential(*layers)
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and log sigma^2 of q(z|x), shaped as z, of clips (B, C, T, H, W)."""
        h = self.layers(frames_last(_bordered(x, self.pads)))
        mu, log_variance = h.permute(0, 4, 1, 2, 3).float().chunk(2, dim=1)
        return mu, log_variance


def _dense(layer: Layer) -> bool:
    """Whether a layer of the generator begins at a single place of a frame."""
    return layer.side in (WHOLE, 1)


def _bordered(x: Tensor, pads: list[tuple[int, int]]) -> Tensor:
    """x made larger along its last axes, by so many places before and behind."""
    flat = [n for pair in reversed(pads) for n in pair]
    return F.pad(x, flat, mode="replicate") if any(flat) else x


def _shift(g: ClipGenerator, space: bool = False) -> int:
    """How far before a clip the encoder has to begin for each latent number to see its own part.

    The middle of what a latent number makes is followed down the generator, and the middle of what
    its guess sees down the encoder; from position to position both go on by the same.
    """
    makes, sees = 0.0, 0.0
    for layer in g.plan:
        kernel, stride = (layer.side, layer.stride) if space else (layer.frames, layer.step)
        first, _ = placed(0, kernel, stride, layer.valid and not space, g.cut)
        makes = stride * makes + (kernel - 1) / 2 - first
        before = kernel // 2 if _dense(layer) else (kernel - stride) // 2
        sees = stride * sees + (kernel - 1) / 2 - before
    return round(sees - makes)
