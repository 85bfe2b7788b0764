"""Where samples are drawn that are not such as in training, and how many fit at a time."""

from typing import cast

import torch

from coopnets.canvas import Canvas, batch_that_fits, plan
from coopnets.clipcanvas import ClipCanvas, clips_that_fit, loop_unit, plan_clip
from coopnets.config import Config
from coopnets.errors import CoopNetsError
from coopnets.models import AnyDescriptor, AnyGenerator, ClipDescriptor, ClipGenerator, Generator


def stage(
    config: Config,
    g: AnyGenerator | None,
    f: AnyDescriptor | None,
    *,
    size: tuple[int, int] | None,
    tile: bool,
    frames: int | None,
    loop: bool,
    batch_size: int,
    device: torch.device,
) -> tuple[Canvas | ClipCanvas | None, int]:
    """The canvas of samples, None if they are such as in training, and the size of a batch.

    Args:
        config: settings of the training.
        g: generator; there must be one if anything is asked for.
        f: descriptor that will revise; None if none does.
        size: rows and columns asked for.
        tile: opposite edges of pictures meet.
        frames: of clips, asked for.
        loop: the ends of clips meet.
        batch_size: at most.
        device: whose memory must do.

    Raises:
        CoopNetsError: the networks cannot, or not even one sample fits.
    """
    if not config.frames:
        if frames is not None or loop:
            raise CoopNetsError("this model draws pictures: --frames and --loop are of clips")
        if size is None and not tile:
            return None, batch_size
        canvas = plan(config, cast(Generator, g), *(size or (config.size, config.size)), tile)
        return canvas, batch_that_fits(config, canvas, batch_size, device, f is not None)
    if tile:
        raise CoopNetsError("clips cannot be tiled: a clip that repeats is a --loop")
    if g is None:
        whole = (config.frames, config.size, config.size)
        own = ClipCanvas(*whole, (), whole, False)
        return None, clips_that_fit(config, own, batch_size, device)
    generator, descriptor = cast(ClipGenerator, g), cast(ClipDescriptor | None, f)
    clip = plan_clip(config, generator, descriptor, frames, size, loop)
    unit = loop_unit(generator, descriptor) if loop else 1
    return clip, clips_that_fit(config, clip, batch_size, device, unit, revised=f is not None)
