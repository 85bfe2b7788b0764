"""How near a synthesised texture is to the picture it was learnt from, and whether it is a copy.

The distance is a Frechet distance between features of random windows, so that it asks for the
same statistics and not for the same picture. A picture that merely repeats its original would
win: hence the copy check beside it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.evaluate.features import Extractor, extract
from coopnets.evaluate.scores import Moments, frechet_distance, moments

WINDOWS = 1000


def random_windows(pictures: Sequence[Tensor], side: int, count: int, seed: int = 0) -> Tensor:
    """Windows at uniformly random places of uniformly chosen pictures.

    Args:
        pictures: uint8 (C, H, W) each, no side below ``side``.
        side: of the windows.
        count: how many.
        seed: of the places.

    Returns:
        uint8 (count, C, side, side).

    Raises:
        CoopNetsError: a picture is smaller than a window.
    """
    if any(min(p.shape[1:]) < side for p in pictures):
        raise CoopNetsError(f"windows of {side} pixels need pictures at least as large")
    rng = np.random.default_rng(seed)
    cut = []
    for number in rng.integers(len(pictures), size=count):
        picture = pictures[number]
        top, left = (int(rng.integers(extent - side + 1)) for extent in picture.shape[1:])
        cut.append(picture[:, top : top + side, left : left + side])
    return torch.stack(cut)


def texture_distance(
    made: Sequence[Tensor],
    original: Sequence[Tensor],
    extractor: Extractor,
    side: int,
    *,
    count: int = WINDOWS,
    seed: int = 0,
) -> float:
    """Frechet distance between features of random windows of two sets of pictures.

    The places differ between the two sets, so that a picture against itself gives the floor that
    ``count`` windows can reach, and not zero.

    Args:
        made: uint8 (C, H, W) each.
        original: uint8 (C, H, W) each.
        extractor: the feature network.
        side: of the windows.
        count: windows of each set; the covariance is singular below the features' number, which
            is the same for all that are compared at one ``count``.
        seed: of the places.

    Raises:
        CoopNetsError: a picture is smaller than a window.
    """
    found = [
        window_moments(pictures, extractor, side, count=count, seed=seed + i)
        for i, pictures in enumerate((made, original))
    ]
    return frechet_distance(*found)


def window_moments(
    pictures: Sequence[Tensor], extractor: Extractor, side: int, *, count: int, seed: int
) -> Moments:
    """Mean and covariance of the features of random windows, to be compared with others.

    Args:
        pictures: uint8 (C, H, W) each.
        extractor: the feature network.
        side: of the windows.
        count: how many.
        seed: of the places.

    Raises:
        CoopNetsError: a picture is smaller than a window.
    """
    return moments(extract(extractor, [random_windows(pictures, side, count, seed)])[0])


def largest_correlation(
    made: Tensor, original: Tensor, side: int = 48, *, count: int = 16, seed: int = 0
) -> float:
    """The copy check: how closely any place of the original matches patches of a synthesis.

    Args:
        made: uint8 (C, H, W).
        original: uint8 (C, H, W).
        side: of the patches.
        count: random patches of ``made``.
        seed: of the patches.

    Returns:
        The largest normalised cross-correlation over patches and places, all channels together,
        each less its own mean; 1 for a piece of the original, up to its hue, brightness and
        contrast.

    Raises:
        CoopNetsError: a picture is smaller than a patch.
    """
    patches = random_windows([made], side, count, seed).double().numpy()
    random_windows([original], side, 1)  # the same demand
    return max(float(correlations(p, original.double().numpy()).max()) for p in patches)


def correlations(patch: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation of a patch (C, h, w) with every place of (C, H, W).

    Returns:
        (H - h + 1, W - w + 1) in [-1, 1]; 0 where patch or place is of a single colour.
    """
    patch = patch - patch.mean((1, 2), keepdims=True)
    ones, number = np.ones(patch.shape[1:]), patch.size
    totals = [fftconvolve(plane, ones, mode="valid") for plane in picture]
    squares = fftconvolve(np.square(picture).sum(0), ones, mode="valid")
    product = sum(
        fftconvolve(plane, kernel[::-1, ::-1], mode="valid")
        for plane, kernel in zip(picture, patch, strict=True)
    )
    inside = squares - sum(np.square(total) for total in totals) / ones.size
    spread = np.sqrt(np.maximum(inside, 0) * np.square(patch).sum())
    found: np.ndarray = np.where(spread > 1e-6 * number, product / np.maximum(spread, 1e-12), 0.0)
    return found


def phase_noise(picture: Tensor, seed: int = 0) -> Tensor:
    """A picture with the same spectrum and random phases: what colour and spectrum alone give.

    The same phase is added to all channels, which keeps their correlation (Galerne, Gousseau,
    Morel, *Random Phase Textures*, IEEE TIP 2011).

    Args:
        picture: uint8 (C, H, W).
        seed: of the phases.

    Returns:
        uint8 (C, H, W), cut off at 0 and 255.
    """
    plane = picture.double()
    white = torch.randn(
        picture.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    phase = torch.fft.rfft2(white)
    phase = phase / phase.abs().clamp_min(1e-12)
    phase[0, 0] = 1  # the mean stays
    made = torch.fft.irfft2(torch.fft.rfft2(plane) * phase, s=tuple(picture.shape[1:]))
    levels: Tensor = made.round().clamp(0, 255).to(torch.uint8)
    return levels
