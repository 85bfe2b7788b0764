"""Memory layout of the networks, chosen by measurement.

Which layout is faster depends on the processor, the arithmetic and the layers: channels last is
faster by a quarter on one machine and slower by as much on another. Channels last also lets deep
layers run as one matrix product (:mod:`coopnets.models.patches`). What was measured is kept, so
that every run of the same settings on the same machine computes the same.
"""

import hashlib
import json
import time
from contextlib import suppress
from typing import cast

import torch
from torch import nn

from coopnets.cachefolder import cache_folder
from coopnets.config import Config, Layout, image_shape, to_dict
from coopnets.machine import describe_machine
from coopnets.models import new_descriptor
from coopnets.precision import autocast
from coopnets.processes import Processes

TRIAL_CHAINS, TRIALS = 16, 4
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def arrange(net: nn.Module, layout: Layout) -> None:
    """Lay the weights out; what flows through the network follows them."""
    if layout != "auto":
        net.to(memory_format=FORMATS[layout])


def resolve_layout(config: Config, processes: Processes) -> Layout:
    """The faster layout for the descriptor's gradient here; the same on all processes.

    Args:
        config: settings, with ``precision`` resolved.
        processes: the first one's measurement decides.
    """
    if config.layout != "auto":
        return config.layout
    if config.frames:  # the maps of clips are channels last by themselves
        return "channels_last"
    last = False
    if processes.first:
        last = _remembered(config, processes.device) == "channels_last"
    return "channels_last" if processes.any(last) else "contiguous"


def _remembered(config: Config, device: torch.device) -> Layout:
    """What was found the first time, in a file of the cache folder."""
    what = [describe_machine(device), to_dict(config.descriptor), config.size,
            config.image_channels, config.chains, config.precision]  # fmt: skip
    name = hashlib.blake2b(json.dumps(what).encode(), digest_size=8).hexdigest()
    file = cache_folder() / f"layout-{name}"
    with suppress(OSError):
        if (found := file.read_text().strip()) in FORMATS:
            return cast(Layout, found)
    layout = measure(config, device)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x") as opened:  # of two runs that start together the first decides
            opened.write(layout)
    except FileExistsError:
        found = file.read_text().strip()
        return cast(Layout, found) if found in FORMATS else layout
    except OSError:
        pass  # no cache: the next run measures again
    return layout


def measure(config: Config, device: torch.device) -> Layout:
    """Time the gradients of f in both layouts, a few times each.

    With respect to the weights (step D2) and the images (chains, unless packed).
    """
    seconds: dict[Layout, float] = dict.fromkeys(("contiguous", "channels_last"), float("inf"))
    for _ in range(TRIALS):  # interleaved, so that a busy moment hits both
        for layout in seconds:
            seconds[layout] = min(seconds[layout], _seconds(config, layout, device))
    return min(seconds, key=lambda layout: seconds[layout])


def _seconds(config: Config, layout: Layout, device: torch.device) -> float:
    with torch.random.fork_rng(devices=[]):
        f = new_descriptor(config).to(device).eval()
    arrange(f, layout)
    image = image_shape(config)
    x = torch.zeros(min(config.chains, TRIAL_CHAINS), *image, device=device, requires_grad=True)
    inputs = [x, *f.parameters()]
    with autocast(config.precision, device):
        for _ in range(2):  # the first warms up
            began = time.perf_counter()
            gradients = torch.autograd.grad(f(x).sum(), inputs)
            float(gradients[0].flatten()[0])  # waits for an accelerator
    return time.perf_counter() - began
