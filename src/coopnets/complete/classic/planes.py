"""Images as planes, each with a hole: equal holes are prepared once and filled together.

An image of C channels is C planes, filled one by one; so is every frame of a video. The linear
methods depend on the hole alone until the last moment, so the system of a hole is factorised
once for all planes that have it, wherever it lies in the image.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from coopnets.errors import CoopNetsError

MARGIN = 4
"""Pixels around a hole that a method may look at: two for an equation that touches it, and two
more that this equation reaches."""

Filler = Callable[[np.ndarray], np.ndarray]
"""From planes (K, H, W), float64, to the values of their hidden pixels, (K, hidden)."""

Method = Callable[[np.ndarray], Filler]
"""Prepares what depends on a hole alone, boolean (H, W), true where hidden."""


@dataclass(frozen=True, eq=False)
class Group:
    """Planes whose holes look the same within a window, and where those windows are."""

    hidden: np.ndarray
    members: list[tuple[int, tuple[slice, slice]]]


def fill(x: Tensor, mask: Tensor, method: Method) -> Tensor:
    """Fill the hidden pixels of images by a classic method.

    Args:
        x: images, (..., H, W); hidden values are never looked at.
        mask: boolean, broadcasts to x, true where hidden.
        method: one of :data:`coopnets.complete.classic.CLASSIC`.

    Returns:
        Like x, with the visible pixels as they were. Values are not cut off at [-1, 1].

    Raises:
        CoopNetsError: a plane has no visible pixel, or too few of them for the method.
    """
    height, width = x.shape[-2:]
    filled = x.detach().double().cpu().clone(memory_format=torch.contiguous_format)
    planes = filled.view(-1, height, width).numpy()
    hidden = mask.expand(x.shape).reshape(-1, height, width).cpu().numpy()
    for group in grouped(hidden):
        filler = method(group.hidden)
        windows = np.stack([planes[i][window] for i, window in group.members])
        windows[:, group.hidden] = 0  # whatever stood there, a NaN perhaps
        values = filler(windows)
        for (i, window), value in zip(group.members, values, strict=True):
            planes[i][window][group.hidden] = value
    return torch.where(mask.cpu(), filled.to(x.dtype), x.detach().cpu()).to(x.device)


def grouped(hidden: np.ndarray) -> Iterator[Group]:
    """Planes with a hole, (N, H, W), by what their windows look like.

    A window is the hole and ``MARGIN`` pixels around it, less where the image ends: windows
    look the same only if the image ends on the same sides.

    Raises:
        CoopNetsError: a plane has no visible pixel.
    """
    groups: dict[tuple[object, ...], Group] = {}
    for i, plane in enumerate(hidden):
        if not plane.any():
            continue
        if plane.all():
            raise CoopNetsError("a mask hides everything: there is nothing to complete from")
        rows, columns = (np.flatnonzero(plane.any(axis)) for axis in (1, 0))
        window = (_around(rows, plane.shape[0]), _around(columns, plane.shape[1]))
        part = plane[window]
        key = (part.shape, part.tobytes())
        groups.setdefault(key, Group(part, [])).members.append((i, window))
    yield from groups.values()


def _around(hidden: np.ndarray, end: int) -> slice:
    return slice(max(int(hidden[0]) - MARGIN, 0), min(int(hidden[-1]) + 1 + MARGIN, end))
