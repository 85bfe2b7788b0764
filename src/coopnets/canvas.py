"""Pictures of any size, and tiles, from networks that are convolutional throughout.

A picture is drawn a little larger than asked for, and its frame cut off: the generator's border
does not show at all, the descriptor's, which each step of a chain carries further inside, hardly.
A tile is drawn on a torus: latent map, convolutions and chain all wrap around, so that opposite
edges meet.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from coopnets.config import Config, receptive_field
from coopnets.errors import CoopNetsError
from coopnets.models import Generator, wrapped
from coopnets.threads import CGROUP

FLOAT_BYTES = 4
COPIES = 3.0
"""Of every activation of the descriptor that a step of Langevin dynamics holds at once, at most:
its map, the gradient, and what a convolution works with."""
STATES = 8
"""Of the image: x, its start, gradient, drift, noise and what comes of them."""


@dataclass(frozen=True)
class Canvas:
    """What is drawn for pictures of a size.

    Attributes:
        height: rows asked for.
        width: columns asked for.
        latent: shape of the latent map, (latent, h, w).
        drawn: rows and columns that the networks see.
        tile: whether opposite edges meet.
        unit: sides that are proposed instead are multiples of this.
    """

    height: int
    width: int
    latent: tuple[int, int, int]
    drawn: tuple[int, int]
    tile: bool
    unit: int = 16

    def draw(self, g: Generator, z: Tensor) -> Tensor:
        r"""The generator's proposals for latent maps z, (B, C, \*drawn)."""
        return g.tile(z) if self.tile else g(z)

    def seen_by(self, f: nn.Module) -> AbstractContextManager[None]:
        """The descriptor sees a torus, if that is what is drawn."""
        return wrapped(f) if self.tile else nullcontext()

    def cut(self, x: Tensor) -> Tensor:
        """The middle of what was drawn, (B, C, height, width)."""
        top, left = (self.drawn[0] - self.height) // 2, (self.drawn[1] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


def plan(config: Config, g: Generator, height: int, width: int, tile: bool = False) -> Canvas:
    """The canvas for pictures of (height, width).

    Raises:
        CoopNetsError: the networks are made for one size, or these sides cannot be tiled.
    """
    if config.generator.start != "map" or config.descriptor.top == "dense":
        raise CoopNetsError(
            f"this model draws pictures of {config.size}x{config.size} alone: another size, or a "
            "tile, needs a texture model (train with --preset texture)"
        )
    if min(height, width) < 1:
        raise CoopNetsError(f"a picture of {height}x{width} has no pixels")
    latent = config.generator.latent
    if tile:
        unit = tile_unit(config, g)
        if height % unit or width % unit:
            near = " or ".join(f"{h}x{w}" for h, w in _near(height, width, unit))
            raise CoopNetsError(
                f"a tile's sides are multiples of {unit}, not {height}x{width}: choose {near}"
            )
        shape = latent, height // g.cell, width // g.cell
        return Canvas(height, width, shape, (height, width), True, unit)
    frame = reach(config)
    if not g.cut:
        frame = max(frame, g.margins[0] * g.cell)
    drawn = tuple(-(-(side + 2 * frame) // g.cell) * g.cell for side in (height, width))
    return Canvas(height, width, g.map_shape(latent, *drawn), (drawn[0], drawn[1]), False)


def tile_unit(config: Config, g: Generator) -> int:
    """Pixels that the sides of a tile are multiples of."""
    return math.lcm(g.cell, math.prod(config.descriptor.strides))


def reach(config: Config) -> int:
    """Pixels on each side that one number of the descriptor's last map looks at."""
    return receptive_field(config.descriptor) // 2


def bytes_each(config: Config, canvas: Canvas, revised: bool = True) -> int:
    """Memory that one picture needs while it is drawn, about; less if it is not revised."""
    per_pixel, stride = STATES * config.image_channels, 1
    floats = float(per_pixel)
    if revised:
        f = config.descriptor
        for channels, step in zip(f.channels, f.strides, strict=True):
            stride *= step
            floats += COPIES * channels / stride**2
    else:  # the generator's last hidden map, of half the sides
        floats += COPIES * config.generator.channels[-1] / 4
    return int(FLOAT_BYTES * floats * canvas.drawn[0] * canvas.drawn[1])


def batch_that_fits(
    config: Config, canvas: Canvas, wanted: int, device: torch.device, revised: bool = True
) -> int:
    """How many pictures are drawn at a time, at most ``wanted``.

    Args:
        config: settings of the training.
        canvas: what is drawn.
        wanted: at most.
        device: whose memory must do.
        revised: whether the descriptor will revise them.

    Raises:
        CoopNetsError: not even one fits into memory.
    """
    free, each = free_bytes(device), bytes_each(config, canvas, revised)
    if each > free:
        fits = "x".join(map(str, _fitting(canvas, each, free)))
        raise CoopNetsError(
            f"a picture of {canvas.height}x{canvas.width} needs about {each / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB are free: {fits} would fit"
            + ("" if canvas.tile else ", or draw a --tile and lay it side by side")
        )
    return max(1, min(wanted, free // each))


def free_bytes(device: torch.device, folder: Path = CGROUP) -> int:
    """Memory that can be had on a device; of the processor's, no more than a container may.

    Args:
        device: where.
        folder: where the kernel describes the container's control group.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free, names = int(psutil.virtual_memory().available), ("max", "current", "inactive_file")
    if (old := folder / "memory" / "memory.limit_in_bytes").exists():  # version 1
        folder, names = old.parent, ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
    try:
        allowed, taken = (int((folder / f"memory.{name}").read_text()) for name in names[:2])
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return min(free, allowed - taken + int(stat[names[2]]))  # given back when asked for
    except (OSError, ValueError, KeyError):  # no control group, or "max"
        return free


def _fitting(canvas: Canvas, each: int, free: int) -> tuple[int, int]:
    """Sides that leave room to spare, in the same proportion as far as they can be."""
    pixel = each / math.prod(canvas.drawn)
    frame = canvas.drawn[0] - canvas.height, canvas.drawn[1] - canvas.width
    scale = math.sqrt(free / each)
    while True:
        h, w = (max(canvas.unit, int(0.95 * scale * side) // canvas.unit * canvas.unit)
                for side in (canvas.height, canvas.width))  # fmt: skip
        if pixel * (h + frame[0]) * (w + frame[1]) <= free or h == w == canvas.unit:
            return h, w
        scale *= 0.9


def _near(height: int, width: int, unit: int) -> list[tuple[int, int]]:
    lower = (max(unit, height // unit * unit), max(unit, width // unit * unit))
    upper = (-(-height // unit) * unit, -(-width // unit) * unit)
    return [lower, upper] if lower != upper else [upper]
