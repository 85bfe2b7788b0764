"""How near a synthesised clip is to the one it was learnt from: in its frames and in its motion.

A dynamic texture should look like its original without being it, so nothing here compares frame
by frame but the copy check. Clips are uint8 (C, T, H, W), as they are seen.

frames FD, KD        Frechet and kernel distance between features of random windows of frames
differences FD, KD   the same of pictures of what changes between neighbouring frames: clips with
                     the right frames in a wrong order, or at a wrong pace, are found out here
spectrum             distance of the temporal power spectra, in dB
energy               mean squared difference of neighbouring frames, over that of the original: a
                     clip that stands still has 0, one that flickers more than 1
copy                 how closely pieces of the original are repeated, at most 1

**Few frames.** A clip of 64 frames gives 64 pictures, and the networks' features are 1,280
numbers. A covariance of n samples has rank n - 1 at most: in the other directions the fitted
Gaussian has no width, so that two clips of one process are far apart merely because each spans
its own few directions. Windows at random places and times (as for textures) are more samples, but
not independent ones, and the covariance stays singular below 1,281 of them. So the Frechet
distances here are biased upward and mean something only against each other, at one number of
windows, and against the floors: the original against itself with other windows, and one half of
it against the other. The kernel distance has no such bias and stands beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.signal import welch
from torch import Tensor

from coopnets.complete.scores import scores
from coopnets.data.pixels import to_unit
from coopnets.errors import CoopNetsError
from coopnets.evaluate.extras import extra
from coopnets.evaluate.features import Extractor, extract
from coopnets.evaluate.textures import random_windows

COUNT = 500
"""Windows a side of each distance."""
WINDOW = 0.75
"""Side of a window, as part of a frame's."""
SHOWN = 32.0
"""Root mean square, in levels, of the original's differences as the network is shown them."""
LEAST_GAIN = 0.5
"""With which no difference is cut off."""
SEGMENT = 32
"""Frames of a spectrum's segments."""
ROUNDING = 2 * (1 / 255) ** 2 / 12
"""One-sided power of rounding to 8 bits, per cycle a frame: no spectrum is taken below it."""
PIECE = 8
"""Frames of the pieces that are looked for in the original."""


@dataclass(frozen=True, eq=False)
class Original:
    """What made clips are measured against.

    Attributes:
        clips: uint8 (C, T, H, W) each.
        extractor: the feature network.
        side: of the windows.
        count: windows a side of each distance.
        seed: of their places; those of a made clip lie elsewhere.
        frames: features of the windows of frames, (count, D).
        differences: those of the windows of differences.
        gain: of the differences as they are shown.
        energy: mean squared difference of neighbouring frames, on the scale [0, 1].
        spectrum: power over frequencies.
    """

    clips: tuple[Tensor, ...]
    extractor: Extractor
    side: int
    count: int
    seed: int
    frames: Tensor
    differences: Tensor
    gain: float
    energy: float
    spectrum: np.ndarray


def look_at(
    clips: Sequence[Tensor],
    extractor: Extractor,
    *,
    side: int | None = None,
    count: int = COUNT,
    seed: int = 0,
) -> Original:
    """All that is needed of an original, computed once.

    Args:
        clips: uint8 (C, T, H, W) each, of one process.
        extractor: the feature network.
        side: of the windows; by default three quarters of a frame's shorter side.
        count: windows a side of each distance.
        seed: of their places.

    Raises:
        CoopNetsError: there is no clip, one is too short or stands still, or smaller than a
            window.
    """
    _check(clips)
    side = side or max(1, int(WINDOW * min(clips[0].shape[2:])))
    measured = float(np.mean([energy(clip) for clip in clips]))
    if measured == 0:
        raise CoopNetsError("the original does not move: there is no motion to compare with")
    gain = max(LEAST_GAIN, SHOWN / (255 * measured**0.5))
    frames, differences = _features(clips, extractor, side, count, seed, gain)
    return Original(
        tuple(clips), extractor, side, count, seed, frames, differences, gain, measured,
        np.mean([power_spectrum(clip)[1] for clip in clips], 0),
    )  # fmt: skip


def measure(made: Tensor, original: Original, number: int = 0) -> dict[str, float]:
    """All measures of one made clip.

    Args:
        made: uint8 (C, T, H, W), frames of the original's size, any T from 32 on.
        original: from :func:`look_at`.
        number: of the clip; each has its windows at places of its own.

    Raises:
        CoopNetsError: the clip is too short, or of another size.
    """
    _check([made])
    if made[:, 0].shape != original.clips[0][:, 0].shape:
        raise CoopNetsError("the made clip and the original differ in size or channels")
    frames, differences = _features(
        [made], original.extractor, original.side, original.count, original.seed + 1 + number,
        original.gain,
    )  # fmt: skip
    return {
        "frames FD": frechet(frames, original.frames),
        "frames KD": kernel(frames, original.frames),
        "differences FD": frechet(differences, original.differences),
        "differences KD": kernel(differences, original.differences),
        "spectrum": spectral_distance(power_spectrum(made)[1], original.spectrum),
        "energy": energy(made) / original.energy,
        "copy": copied(made, original.clips),
    }


def shown_differences(clip: Tensor, gain: float = LEAST_GAIN) -> Tensor:
    """What changes between neighbouring frames, as pictures around grey.

    A pixel that goes from a to b levels is shown as ``127.5 + gain (b - a)``, rounded and cut
    off at 0 and 255.

    Args:
        clip: uint8 (C, T, H, W).
        gain: 0.5 cuts nothing off, but of a faint motion leaves little more than rounding.

    Returns:
        uint8 (C, T - 1, H, W).
    """
    x = clip.float()
    shown: Tensor = (127.5 + gain * (x[:, 1:] - x[:, :-1])).round().clamp(0, 255).to(torch.uint8)
    return shown


def energy(clip: Tensor) -> float:
    """Mean squared difference of neighbouring frames of a uint8 (C, T, H, W), on [0, 1]."""
    return float(_steps(clip).mean())


def seam(clip: Tensor) -> float:
    """The step from the last frame to the first, over the mean step between neighbours.

    Steps are mean squared differences: 1 is a loop without a seam; where frames far apart have
    nothing in common, a cut gives the ratio of twice the variance to the mean step.

    Raises:
        CoopNetsError: the clip stands still.
    """
    within = energy(clip)
    if within == 0:
        raise CoopNetsError("a clip that stands still has no seam to speak of")
    return float(_steps(clip[:, [-1, 0]]).mean()) / within


def power_spectrum(clip: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How fast pixels change: the mean over pixels and channels of |FFT over time|^2.

    By Welch's method: segments of 32 frames (of all, if there are fewer), half of each shared
    with the next, each less its mean and under Hann's window, without which a slow drift would
    leak into all frequencies.

    Args:
        clip: uint8 (C, T, H, W), T at least 4.

    Returns:
        Frequencies in cycles a frame, from 1 / segment to 1/2, and power per cycle a frame, on
        the scale [0, 1]: its sum times the step of frequency is about the temporal variance.
    """
    values = clip.double().numpy() / 255
    frequencies, power = welch(
        values, nperseg=min(SEGMENT, values.shape[1]), detrend="constant", axis=1
    )
    return frequencies[1:], power.mean((0, 2, 3))[1:]


def spectral_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square, over frequencies, of the levels' difference in dB.

    Powers below what rounding to 8 bits leaves are taken as that, so that a clip that stands
    still is far away and not infinitely far.
    """
    levels = [10 * np.log10(np.maximum(power, ROUNDING)) for power in (a, b)]
    return float(np.sqrt(np.mean((levels[0] - levels[1]) ** 2)))


def copied(made: Tensor, originals: Sequence[Tensor], frames: int = PIECE) -> float:
    """The copy check: how closely pieces of a clip repeat some piece of the original.

    For every piece of so many neighbouring frames the largest correlation with any piece of the
    original, both less the original's mean frame, which all clips of a still camera share; the
    mean over pieces.

    Returns:
        1 for a repeated original; about 0 for motion that has nothing of it.
    """
    mean = torch.cat([o.double().flatten(2) for o in originals], 1).mean(1)
    x = _deviations(made, mean)
    found = torch.full((len(x) - frames + 1,), -1.0, dtype=torch.float64)
    for original in originals:
        y = _deviations(original, mean)
        norms = [_pieces(v.square().sum(1), frames).sqrt() for v in (x, y)]
        products = x @ y.T
        rows = len(x) - frames + 1, len(y) - frames + 1
        inner = sum(products[d : d + rows[0], d : d + rows[1]] for d in range(frames))
        lengths = norms[0][:, None] * norms[1]
        # A piece that does not deviate from the mean frame is like none.
        correlation = torch.where(lengths > 0, inner / lengths.clamp_min(1e-12), 0.0)
        found = torch.maximum(found, correlation.amax(1))
    return float(found.mean())


def reconstruction(made: Tensor, original: Tensor) -> tuple[float, float]:
    """PSNR (dB) and SSIM of a clip that is to be the same as another, pixel by pixel.

    PSNR is of the mean squared difference over the whole clip, peak 1 on the scale [0, 1]; SSIM
    is that of frames, averaged (:mod:`coopnets.complete.scores`).

    Args:
        made: uint8 (C, T, H, W).
        original: of the same shape.

    Raises:
        CoopNetsError: the shapes differ.
    """
    if made.shape != original.shape:
        raise CoopNetsError(f"clips of {tuple(made.shape)} and {tuple(original.shape)} differ")
    everywhere = torch.ones(1, dtype=torch.bool).view(1, 1, 1, 1, 1)
    found = scores(to_unit(made)[None], to_unit(original)[None], everywhere)
    return float(found.psnr[0]), float(found.ssim[0])


def frechet(a: Tensor, b: Tensor) -> float:
    """The Frechet distance of Gaussians fitted to features (N, D) and (M, D).

    As :func:`coopnets.evaluate.scores.frechet_distance`, but by the singular values of N x M
    numbers instead of the eigenvalues of D x D: with X and Y the centred features, each divided by
    the root of its number less one, tr (C_a C_b)^(1/2) is the nuclear norm of X Y^T.
    """
    means = [f.double().mean(0) for f in (a, b)]
    x, y = (
        (f.double() - mean) / (len(f) - 1) ** 0.5 for f, mean in zip((a, b), means, strict=True)
    )
    shared = torch.linalg.svdvals(x @ y.T).sum()
    distance = (means[0] - means[1]).square().sum() + x.square().sum() + y.square().sum()
    return float(distance - 2 * shared)


def kernel(a: Tensor, b: Tensor) -> float:
    """Unbiased MMD^2 under the cubic kernel, of equally many features; may be below 0."""
    fidelity = extra("torch_fidelity.metric_kid")
    found = fidelity.kid_features_to_metric(
        a.double(), b.double(), kid_subsets=1, kid_subset_size=len(a), rng_seed=0, verbose=False
    )
    return float(found[fidelity.KEY_METRIC_KID_MEAN])


def _features(
    clips: Sequence[Tensor], extractor: Extractor, side: int, count: int, seed: int, gain: float
) -> tuple[Tensor, Tensor]:
    frames = [frame for clip in clips for frame in clip.unbind(1)]
    changes = [c for clip in clips for c in shown_differences(clip, gain).unbind(1)]
    first, second = (
        extract(extractor, [random_windows(pictures, side, count, seed)])[0]
        for pictures in (frames, changes)
    )
    return first, second


def _steps(clip: Tensor) -> Tensor:
    """Mean squared difference of each frame and the next, (T - 1,)."""
    x = clip.double() / 255
    return (x[:, 1:] - x[:, :-1]).square().mean((0, 2, 3))


def _deviations(clip: Tensor, mean: Tensor) -> Tensor:
    """The frames of a clip less a mean frame (C, H W), as rows."""
    return (clip.double().flatten(2) - mean[:, None]).transpose(0, 1).flatten(1)


def _pieces(values: Tensor, frames: int) -> Tensor:
    """Sums over every run of neighbours."""
    return values.unfold(0, frames, 1).sum(1)


def _check(clips: Sequence[Tensor]) -> None:
    if not clips:
        raise CoopNetsError("there is no clip to measure")
    for clip in clips:
        if clip.dtype != torch.uint8 or clip.ndim != 4:
            raise CoopNetsError("measures take clips of uint8 pixels, (C, T, H, W)")
        if clip.shape[1] < SEGMENT:
            raise CoopNetsError(
                f"a clip of {clip.shape[1]} frames is too short: measures take {SEGMENT} or more"
            )
