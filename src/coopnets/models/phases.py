"""The adjoint of a convolution of stride s as one convolution onto s x s phases.

A pixel s I + a of the image (phase a of position I) is reached from the positions i = I + r for
which its tap k = a + padding - s r lies within the kernel. Gathered by r, the taps of all phases
make one convolution of stride 1 with s s C_in outputs, which then take their places in the image:
the sub-pixel convolution of Shi et al., *Real-Time Single Image and Video Super-Resolution Using
an Efficient Sub-Pixel Convolutional Neural Network* (CVPR 2016). Taps outside the kernel are
zeros, so it does more arithmetic (36 taps for 16 at k = 4, s = 2), but in a form that wide
vector units are good at where an image of three channels leaves them idle.
"""

from functools import cache

import torch.nn.functional as F
from torch import Tensor


@cache
def offsets(kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """The least and the largest r at which any phase has a tap."""
    return -((kernel - 1 - padding) // stride), (stride - 1 + padding) // stride


def phase_kernels(weight: Tensor, stride: int, padding: int) -> Tensor:
    """(C_out, C_in, k, k) to (C_in s s, C_out, n, n): taps by phase and offset, zeros elsewhere.

    Outputs are ordered as ``F.pixel_shuffle`` takes them. Differentiable.
    """
    kernel = weight.shape[2]
    first, last = offsets(kernel, stride, padding)
    taps = [
        [tap if 0 <= (tap := a + padding - stride * r) < kernel else kernel
         for r in range(first, last + 1)]
        for a in range(stride)
    ]  # fmt: skip
    padded = F.pad(weight, (0, 1, 0, 1))  # where no tap is, the zero behind the kernel
    chosen = padded[:, :, taps][..., taps]  # (C_out, C_in, a, r, b, q)
    return chosen.permute(1, 2, 4, 0, 3, 5).flatten(0, 2)


def around(
    shape: tuple[int, int], made: tuple[int, int], kernel: int, stride: int, padding: int
) -> tuple[int, tuple[int, ...]]:
    """What surrounds the map ``made`` so that every phase of an image of ``shape`` is reached.

    Returns:
        Padding for the convolution, where as much before as behind will do (what is too much
        behind makes phases beyond the image, which are cut off); else 0, and what `F.pad` takes.
    """
    first, last = offsets(kernel, stride, padding)
    behind = [-(-side // stride) + last - count for side, count in zip(shape, made, strict=True)]
    if max(behind) <= -first and first <= 0:
        return -first, ()
    return 0, (-first, behind[1], -first, behind[0])


def placed_phases(y: Tensor, shape: tuple[int, int], stride: int) -> Tensor:
    """(B, C s s, I, J) to (B, C, H, W): every phase at its pixels, what is beyond cut off."""
    image = F.pixel_shuffle(y, stride)
    return image[..., : shape[0], : shape[1]]


def spread(y: Tensor, weight: Tensor, shape: tuple[int, int], stride: int, padding: int) -> Tensor:
    """The adjoint of ``F.conv2d`` by ``weight``: (B, C_out, h, w) to (B, C_in, *shape)."""
    kernels = phase_kernels(weight, stride, padding)
    inner, beyond = around(shape, (y.shape[2], y.shape[3]), weight.shape[2], stride, padding)
    y = F.pad(y, beyond) if beyond else y
    return placed_phases(F.conv2d(y, kernels, padding=inner), shape, stride)
