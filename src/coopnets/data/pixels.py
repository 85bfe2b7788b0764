"""The one map between stored pixels in {0..255} and the model's range [-1, 1].

The map is the same for every image, always: a per-image stretch would hide a generator that
gets brightness wrong, and would make pictures from different runs incomparable.
"""

import torch
from torch import Tensor

from coopnets.errors import DataError

HALF_RANGE = 127.5


def to_unit(pixels: Tensor) -> Tensor:
    """Maps uint8 pixels to the model's range by ``x / 127.5 - 1``.

    Args:
        pixels: uint8, any shape.

    Returns:
        float32 in [-1, 1], same shape and device; 0 becomes -1 and 255 becomes 1 exactly.

    Raises:
        DataError: If the tensor is not uint8, so that the map cannot be applied twice.
    """
    if pixels.dtype != torch.uint8:
        raise DataError(f"to_unit takes uint8 pixels, got {pixels.dtype}; pass raw pixels")
    return pixels.to(torch.float32).div_(HALF_RANGE).sub_(1.0)


def to_pixels(x: Tensor) -> Tensor:
    """Maps the model's range back to pixels: ``(x + 1) * 127.5``, rounded and clamped.

    Args:
        x: Floating point, any shape; values outside [-1, 1] are clamped.

    Returns:
        uint8, same shape and device. ``to_pixels(to_unit(p)) == p`` for every p.

    Raises:
        DataError: If a value is NaN or infinite, which no pixel can stand for.
    """
    if not bool(torch.isfinite(x).all()):
        raise DataError(
            "the images hold NaN or infinite values; the model that made them diverged"
        )
    scaled = x.detach().to(torch.float32).add(1.0).mul_(HALF_RANGE)
    return scaled.round_().clamp_(0, 255).to(torch.uint8)
