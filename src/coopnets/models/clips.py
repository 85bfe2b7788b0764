"""The networks of the spatial-temporal model, for clips of (C, T, H, W) (experiment 7).

Types and kernels are those of the authors' code (jianwen-xie/STCoopNets by name): ``FC_S`` is
dense in space and slides in time (its number is the side that the authors drew, any other will
do), ``FRAME_2`` and ``FRAME_3`` end in a layer over the whole clip,
``ST`` is convolutional in time and space. Their ``ST`` is a generator; the descriptor of that name
is ours, so that a pair can grow in both. ``DEEP`` is ours: dense in space as ``FC_S``, with the
depth that pictures of this size are learnt with, and a linear part that is begun from the data.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from coopnets.config import Config, DescriptorConfig, GeneratorConfig
from coopnets.lds import MovingAverage
from coopnets.models.layers import BatchNorm2d, activation, bound_spectra, ends, start_normal
from coopnets.models.linear import Linear, Strength, odd, within_range
from coopnets.models.metric import Metric
from coopnets.models.time import TimeConv, Up, WholeClip, WholeFrames, needed

WHOLE = 0
"""As large as the map."""


class Layer(NamedTuple):
    """Kernel and stride, in time and in space."""

    frames: int
    step: int
    side: int
    stride: int
    padding: int | None = None
    """Of a descriptor's layer, in time; None is SAME. In space it is SAME always."""
    valid: bool = False
    """Of a generator's layer: every frame that the kernel reaches is kept."""


DESCRIPTORS: dict[str, tuple[Layer, ...]] = {
    "FC_S": (Layer(5, 2, 5, 2), Layer(5, 2, WHOLE, 1, padding=2), Layer(5, 2, 1, 1, padding=2)),
    "FRAME_2": (Layer(3, 1, 7, 2), Layer(WHOLE, 1, WHOLE, 1)),
    "FRAME_3": (Layer(1, 1, 3, 2), Layer(3, 2, 3, 2), Layer(WHOLE, 1, WHOLE, 1)),
    "ST": (Layer(5, 2, 5, 2), Layer(3, 2, 3, 2), Layer(3, 1, 3, 2), Layer(1, 1, 1, 1)),
    "DEEP": (
        Layer(1, 1, 3, 1), Layer(4, 2, 4, 2), Layer(4, 2, 4, 2), Layer(4, 2, 4, 2),
        Layer(3, 1, 4, 2), Layer(3, 1, WHOLE, 1, padding=1),
    ),
}  # fmt: skip
GENERATORS: dict[str, tuple[Layer, ...]] = {
    "FC_S_64": (
        Layer(5, 1, 1, 1, valid=True), Layer(5, 2, WHOLE, 1, valid=True), Layer(5, 2, 5, 2),
    ),
    "FC_S_128": (
        Layer(5, 1, 1, 1, valid=True), Layer(5, 2, WHOLE, 1, valid=True), Layer(5, 2, 5, 2),
        Layer(2, 1, 5, 2),
    ),
    "ST": (
        Layer(4, 1, 4, 1), Layer(4, 2, 4, 2), Layer(4, 2, 4, 2), Layer(4, 2, 4, 2),
        Layer(4, 2, 4, 2),
    ),
    "DEEP": (
        Layer(5, 1, 1, 1, valid=True), Layer(5, 2, WHOLE, 1, valid=True), Layer(4, 2, 4, 2),
        Layer(4, 2, 4, 2), Layer(3, 1, 4, 2), Layer(3, 1, 4, 2),
    ),
}  # fmt: skip
LINEAR = ("DEEP",)
"""Generators with a linear part (:mod:`coopnets.models.linear`), to which the other layers add."""
REACH = 4
"""Latent positions that a frame of the linear part hears."""
Which = Literal["descriptor", "generator"]
WIDTHS: dict[Which, dict[str, tuple[int, ...]]] = {
    "descriptor": {
        "FC_S": (48, 30), "FRAME_2": (24,), "FRAME_3": (48, 30), "ST": (48, 64, 64),
        "DEEP": (8, 16, 32, 64, 128),
    },
    "generator": {
        "FC_S_64": (128, 64), "FC_S_128": (128, 64, 32), "ST": (256, 128, 64, 32),
        "DEEP": (128, 128, 64, 32, 16),
    },
}  # fmt: skip
"""Channels of hidden layers to begin with, as many as the type has; any others will do."""


class ClipDescriptor(nn.Module):
    """f(x; theta) of clips: the sum of all outputs, over positions in time (and in space, of ST).

    Args:
        config: ``clips`` names the type, ``channels`` and ``outputs`` are its widths.
        frames: T.
        size: side of the square frames.
        image_channels: 1 for grey, 3 for colour.
        metric: f sees clips, and chains move, in units of the data; else all pixels are alike.

    Raises:
        ValueError: the channels do not fit the type.
    """

    def __init__(
        self,
        config: DescriptorConfig,
        frames: int,
        size: int,
        image_channels: int,
        metric: bool = False,
    ) -> None:
        super().__init__()
        plan, widths = DESCRIPTORS[config.clips], (*config.channels, config.outputs)
        _check("descriptor", config.clips, config.channels)
        self.frames = frames if plan[-1].frames == WHOLE else None
        """Length of the clips, where it is fixed."""
        self.grows = all(layer.side != WHOLE for layer in plan)
        """Whether it takes frames of any size."""
        self.metric = Metric(None if self.grows else size, image_channels) if metric else None
        """The units in which f sees clips, and in which chains move."""
        self.plan = plan
        layers: list[nn.Module] = []
        width, time, side = image_channels, frames, size
        for i, (layer, out) in enumerate(zip(plan, widths, strict=True)):
            layers.append(_descending(layer, width, out, time, side))
            if i + 1 < len(plan):
                layers.append(activation(config.activation, config.slope))
            time = 1 if layer.frames == WHOLE else _length(time, layer)
            side = 1 if layer.side == WHOLE else -(-side // layer.stride)
            width = out
        self.layers = nn.Sequential(*layers)
        if config.init_std is not None:
            start_normal(self, config.init_std)
        if config.spectral_norm:
            bound_spectra(self)

    def forward(self, x: Tensor) -> Tensor:
        """f of each clip: (B, C, T, H, W) in about [-1, 1] to (B,)."""
        outputs: Tensor = self.layers(frames_last(self._standard(x)))
        return outputs.float().flatten(1).sum(1)

    def collapsed(self, precision: str = "fp32") -> Callable[[Tensor], Tensor]:
        """f for many evaluations with the same weights, none of which gets a gradient.

        See :meth:`coopnets.models.descriptor.Descriptor.collapsed`.
        """
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        with torch.no_grad():
            *below, top = [
                layer.constant(dtype, total=i + 1 == len(self.layers))
                if isinstance(layer, TimeConv | WholeFrames | WholeClip)
                else layer
                for i, layer in enumerate(self.layers)
            ]

        def f(x: Tensor) -> Tensor:
            h = frames_last(self._standard(x))
            for layer in below:
                h = layer(h)
            total: Tensor = top(h).float().flatten(1).sum(1)
            return total

        return f

    def _standard(self, x: Tensor) -> Tensor:
        return x if self.metric is None else self.metric.standard(x)

    @property
    def reach(self) -> int:
        """Frames on each side that one output looks at."""
        seen, step = 1, 1
        for layer in self.plan:
            seen += (layer.frames - 1) * step
            step *= layer.step
        return seen // 2

    @property
    def unit(self) -> int:
        """Frames from one output to the next; a loop is a multiple of them."""
        return prod(layer.step for layer in self.plan)


class ClipGenerator(nn.Module):
    """g(z; alpha): a sequence (or a map) of latent numbers to a clip.

    More latent numbers along time give a longer clip with the same weights: every one adds
    ``unit`` frames.

    Args:
        config: ``clips`` names the type, ``channels`` its widths; with ``border`` cut, every
            frame is made alike.
        frames: T.
        size: side of the square frames.
        image_channels: 1 for grey, 3 for colour.

    Raises:
        ValueError: the channels do not fit the type, or the type makes no clip of that size.
    """

    def __init__(
        self, config: GeneratorConfig, frames: int, size: int, image_channels: int
    ) -> None:
        super().__init__()
        self.plan, self.latent = GENERATORS[config.clips], config.latent
        _check("generator", config.clips, config.channels)
        self.cut = config.border == "cut"
        self.grows = config.clips == "ST"
        """Whether the latent map has a place for every part of a frame."""
        self.unit, self.least = lengths(config)
        """Frames of one latent position, and of the shortest clip."""
        self.cell = prod(layer.stride for layer in self.plan)
        """Pixels, along a side, of one latent position of ST; otherwise of the first map."""
        if size % self.cell:
            near = [n for n in (size // self.cell, size // self.cell + 1) if n]
            raise ValueError(
                f"generator {config.clips}: size {size} is no multiple of {self.cell}: --size "
                f"{' or '.join(str(n * self.cell) for n in near)} would do"
            )
        if frames % self.unit or frames < self.least:
            raise ValueError(
                f"generator {config.clips}: frames are multiples of {self.unit}, from "
                f"{self.least} on: --frames {max(self.least, frames // self.unit * self.unit)} "
                "would do"
            )
        self.latent_shape = self.shape(frames, size, size)
        widths = [config.latent, *config.channels, image_channels]
        layers: list[nn.Module] = []
        for i, layer in enumerate(self.plan):
            layers.append(
                Up(
                    widths[i], widths[i + 1], layer.frames, layer.step,
                    layer.side or size // self.cell, layer.stride,
                    dense=not self.grows and layer.stride == 1, valid=layer.valid,
                    cut=(self.cut, self.cut and self.grows),
                )
            )  # fmt: skip
            if i + 1 < len(self.plan):
                layers += activated(config, widths[i + 1])
        self.linear: Linear | None = None
        if config.clips in LINEAR and config.states:
            frame = (size, size, image_channels)
            self.linear = Linear(config.latent, config.states, frame, self.unit, REACH)
            layers.append(Strength(size))
        else:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)
        if config.init_std is not None:
            start_normal(self, config.init_std)

    def begin(self, found: MovingAverage, scale: Tensor) -> None:
        """Let the linear part make what that moving average makes.

        Args:
            found: of the clips that are learnt from.
            scale: (H, W), how strongly each pixel moves (:func:`coopnets.models.metric.units`).
        """
        for part in self.modules():
            if isinstance(part, Linear):
                part.begin(found)
            if isinstance(part, Strength):
                part.begin(scale)

    def shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """(latent, t, h, w) of the latent numbers of a clip, rounded up to whole positions."""
        time = -(-frames // self.unit) + self.margin(self.cut)
        if not self.grows:
            return self.latent, time, 1, 1
        more = self.margin(True, space=True) if self.cut else 0
        return self.latent, time, -(-height // self.cell) + more, -(-width // self.cell) + more

    def margin(self, cut: bool, space: bool = False) -> int:
        """Latent positions along an axis, less those that a clip has by its length."""
        return _margin(self.plan, cut, space)

    def forward(self, z: Tensor) -> Tensor:
        """Clips in about [-1, 1], (B, C, T, H, W), of z (B, latent, t, h, w)."""
        x = self._layers(z) if self.linear is None else odd(self._layers, z)
        x = x[:, : self.unit * (z.shape[2] - self.margin(self.cut))]
        if self.grows and self.cut:
            more = self.margin(True, space=True)
            x = x[:, :, : self.cell * (z.shape[3] - more), : self.cell * (z.shape[4] - more)]
        if self.linear is not None:
            # Of the latent numbers that the layers see, the linear part hears those in the middle.
            more = REACH - 1 - self.margin(self.cut)
            heard = F.pad(z[..., 0, 0], (more // 2, more - more // 2))
            x = within_range(x + self.linear(heard))
        return x.permute(0, 4, 1, 2, 3).contiguous()

    def _layers(self, z: Tensor) -> Tensor:
        x: Tensor = self.layers(frames_last(z)).float()
        return x

    def loop(self, z: Tensor) -> Tensor:
        """Clips whose end meets their beginning: (B, C, t unit, H, W) of (B, latent, t, h, w)."""
        count, margin = z.shape[2], self.margin(True)
        before = 0 if self.cut else margin
        places = torch.arange(-before, count + margin, device=z.device) % count
        x: Tensor = self(z.index_select(2, places))
        return x[:, :, before * self.unit :][:, :, : count * self.unit]


def lengths(config: GeneratorConfig) -> tuple[int, int]:
    """What a clip's number of frames is a multiple of, and the least number."""
    plan = GENERATORS[config.clips]
    unit = prod(layer.step for layer in plan)
    return unit, max(1, 1 - _margin(plan, config.border == "cut")) * unit


def longest(config: Config, frames: int) -> int:
    """Frames of the longest clip that can be learnt where there are so many; 0 if none can."""
    unit, least = lengths(config.generator) if config.method == "coopnets" else (1, 2)
    found = frames // unit * unit
    return found if found >= least else 0


def options(which: Which, kind: str) -> str:
    """A type as it is asked for on the command line, with widths that fit it."""
    return f"--{which}.clips {kind} --{which}.channels {_spoken(WIDTHS[which][kind])}"


def growing(config: Config) -> str:
    """The same of a pair whose clips grow in space, with what else of the settings must change."""
    plan = GENERATORS["ST"]
    units = {"frames": prod(layer.step for layer in plan),
             "size": prod(layer.stride for layer in plan)}  # fmt: skip
    more = [
        f"--{name} {max(unit, value // unit * unit)}"
        for name, unit in units.items() if (value := getattr(config, name)) % unit
    ]  # fmt: skip
    return " ".join([options("generator", "ST"), options("descriptor", "ST"), *more])


def frames_last(x: Tensor) -> Tensor:
    """(B, C, T, H, W) as (B, T, H, W, C), in memory too."""
    return x.permute(0, 2, 3, 4, 1).contiguous()


class FrameNorm(nn.Module):
    """Batch normalisation over clips, frames and positions."""

    def __init__(self, channels: int, *, scale: bool, eps: float) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels, scale=scale, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, T, H, W, C) channel by channel."""
        y: Tensor = self.norm(x.flatten(0, 1).permute(0, 3, 1, 2))
        return torch.unflatten(y.permute(0, 2, 3, 1), 0, x.shape[:2])


def activated(config: GeneratorConfig, width: int) -> list[nn.Module]:
    """What follows a layer of that many channels: normalisation, if any, and activation."""
    layers: list[nn.Module] = []
    if config.norm == "batch":
        layers.append(FrameNorm(width, scale=config.norm_scale, eps=config.norm_eps))
    return [*layers, activation(config.activation, config.slope)]


def _descending(
    layer: Layer, width: int, out: int, time: int, side: int
) -> TimeConv | WholeFrames | WholeClip:
    if layer.frames == WHOLE:
        return WholeClip(time * side * side * width, out)
    if layer.side == WHOLE or (side == 1 and layer.padding is not None):
        padding = layer.padding or 0
        return WholeFrames(side * side * width, out, layer.frames, layer.step, padding)
    return TimeConv(width, out, layer.frames, layer.step, layer.side, layer.stride, layer.padding)


def _length(time: int, layer: Layer) -> int:
    padded = time + sum(ends(time, layer.frames, layer.step, layer.padding))
    return (padded - layer.frames) // layer.step + 1


def _margin(plan: Sequence[Layer], cut: bool, space: bool = False) -> int:
    """Latent positions along an axis, less those that a clip has by its length."""
    sizes = [(v.side, v.stride) if space else (v.frames, v.step) for v in plan]
    many = 64
    count = many * prod(stride for _, stride in sizes)
    for layer, (kernel, stride) in zip(reversed(plan), reversed(sizes), strict=True):
        count = needed(count, kernel, stride, layer.valid and not space, cut)
    return count - many


def _check(which: Which, kind: str, channels: tuple[int, ...]) -> None:
    count = len(widths := WIDTHS[which][kind])
    if len(channels) != count:
        raise ValueError(
            f"{which} {kind} has {count} hidden layer{'s' * (count > 1)}, and channels "
            f"{channels}: give for instance --{which}.channels {_spoken(widths)}"
        )


def _spoken(widths: tuple[int, ...]) -> str:
    return " ".join(map(str, widths))
