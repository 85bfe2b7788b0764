"""Clips of any length, and loops, from networks that slide along time.

A clip is drawn somewhat longer than asked for, and its ends cut off, so that neither network's
border shows; one of the length that was learnt is drawn as in training. A loop is drawn on a
circle: latent sequence, convolutions and chain all come around, so that the last frame is
followed by the first.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from coopnets.canvas import COPIES, FLOAT_BYTES, STATES, free_bytes
from coopnets.config import Config
from coopnets.errors import CoopNetsError
from coopnets.models import ClipDescriptor, ClipGenerator, looped
from coopnets.models.clips import DESCRIPTORS, growing, options


@dataclass(frozen=True)
class ClipCanvas:
    """What is drawn for clips of a length and size.

    Attributes:
        frames: asked for.
        height: rows asked for.
        width: columns asked for.
        latent: shape of z, (latent, t, h, w).
        drawn: frames, rows and columns that the networks see.
        loop: whether the end meets the beginning.
    """

    frames: int
    height: int
    width: int
    latent: tuple[int, ...]
    drawn: tuple[int, int, int]
    loop: bool

    def draw(self, g: ClipGenerator, z: Tensor) -> Tensor:
        """The generator's proposals, (B, C, \\*drawn)."""
        x = g.loop(z) if self.loop else g(z)
        return x[:, :, : self.drawn[0]]

    def seen_by(self, f: nn.Module) -> AbstractContextManager[None]:
        """The descriptor sees a loop, if that is what is drawn."""
        return looped(f) if self.loop else nullcontext()

    def cut(self, x: Tensor) -> Tensor:
        """The middle of what was drawn, (B, C, frames, height, width)."""
        for axis, length in ((2, self.frames), (3, self.height), (4, self.width)):
            x = x.narrow(axis, (x.shape[axis] - length) // 2, length)
        return x


def plan_clip(
    config: Config,
    g: ClipGenerator,
    f: ClipDescriptor | None,
    frames: int | None = None,
    size: tuple[int, int] | None = None,
    loop: bool = False,
) -> ClipCanvas:
    """The canvas for clips of so many frames of (height, width); None is as in training.

    Args:
        config: settings of the training.
        g: generator.
        f: descriptor that will revise; None if none does.
        frames: asked for.
        size: asked for.
        loop: the end meets the beginning.

    Raises:
        CoopNetsError: the networks cannot; the message says what they can.
    """
    frames = config.frames if frames is None else frames
    size = size or (config.size, config.size)
    if frames < 1 or min(size) < 1:
        raise CoopNetsError(f"a clip of {frames} frames of {size[0]}x{size[1]} has no pixels")
    grown, stretched = size != (config.size, config.size), frames != config.frames
    if grown and not (g.grows and (f is None or f.grows)):
        raise CoopNetsError(
            f"this model draws frames of {config.size}x{config.size} alone: another size needs "
            f"both networks of type ST (train with {growing(config)})"
        )
    if f is not None and f.frames and (stretched or loop):
        raise CoopNetsError(
            f"the descriptor {config.descriptor.clips} looks at clips of {f.frames} frames as a "
            "whole: for another length, or a loop, draw --source generator, or train with "
            f"{options('descriptor', 'FC_S')}"
        )
    if loop:
        unit = loop_unit(g, f)
        if frames % unit:
            raise CoopNetsError(
                f"a loop's frames are multiples of {unit}, not {frames}: choose "
                f"{nearest_loop(frames, unit)}"
            )
        latent = (g.latent, frames // g.unit, *g.shape(frames, *size)[2:])
        return ClipCanvas(frames, *size, latent, (frames, *_whole(g, size)), True)
    more = 0
    if stretched:
        more = 2 * max(0 if f is None else f.reach, 0 if g.cut else g.margin(True) * g.unit)
    drawn = max(g.least, -(-(frames + more) // g.unit) * g.unit)
    latent = g.shape(drawn, *size)
    return ClipCanvas(frames, *size, latent, (drawn, *_whole(g, size)), False)


def loop_unit(g: ClipGenerator, f: ClipDescriptor | None) -> int:
    """Frames that the length of a loop is a multiple of."""
    return math.lcm(g.unit, 1 if f is None else f.unit)


def nearest_loop(frames: int, unit: int) -> int:
    """The length of a loop next to so many frames."""
    return max(1, round(frames / unit)) * unit


def clips_that_fit(
    config: Config, canvas: ClipCanvas, wanted: int, device: torch.device, unit: int = 1,
    revised: bool = True,
) -> int:  # fmt: skip
    """How many clips are drawn at a time, at most ``wanted``; lengths are multiples of ``unit``.

    Raises:
        CoopNetsError: not even one fits into memory.
    """
    free, each = free_bytes(device), clip_bytes(config, canvas, revised)
    if each > free:
        more = canvas.drawn[0] - canvas.frames  # those that are cut off
        fitting = int(0.9 * canvas.drawn[0] * free / each) - more - unit
        raise CoopNetsError(
            f"a clip of {canvas.frames} frames of {canvas.height}x{canvas.width} needs about "
            f"{each / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free: "
            + (f"{fitting // unit * unit} frames would fit" if fitting >= unit else "too few")
            + ("" if canvas.loop else ", or draw a --loop and repeat it")
        )
    return max(1, min(wanted, free // each))


def clip_bytes(config: Config, canvas: ClipCanvas, revised: bool = True) -> int:
    """Memory that one clip needs while it is drawn, about: the largest layers, and the clip.

    A layer of the descriptor, which only revision needs, has windows of ``frames`` times its
    input's channels, and its map.
    """
    per_position: float = STATES * config.image_channels
    width, share = config.image_channels, 1.0
    layers = DESCRIPTORS[config.descriptor.clips] if revised else ()
    for layer, out in zip(layers, config.descriptor.channels, strict=False):
        taps = layer.frames / layer.step * width * share
        share /= layer.step * layer.stride**2
        per_position += COPIES * (taps + out * share)
        width = out
    per_position += COPIES * config.generator.channels[-1] / 4
    return int(FLOAT_BYTES * per_position * math.prod(canvas.drawn))


def _whole(g: ClipGenerator, size: tuple[int, int]) -> tuple[int, int]:
    if not g.grows:
        return size
    height, width = (-(-side // g.cell) * g.cell for side in size)
    return height, width
