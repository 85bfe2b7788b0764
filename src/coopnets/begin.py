"""What networks of clips begin with: means, deviations and covariances of the clips themselves."""

import numpy as np
import torch
from torch import Tensor

from coopnets.data import Observed
from coopnets.data.clips import ClipData
from coopnets.data.pixels import to_unit
from coopnets.lds import moving_average
from coopnets.learner import Learner
from coopnets.models.clips import ClipDescriptor, ClipGenerator
from coopnets.models.metric import units

MOST = 1000
"""Frames that are looked at: all of them stand in memory at once, a few times."""
LEAST = 3
"""Frames of a clip that covariances along time ask for."""


def begin(learner: Learner, images: Observed) -> None:
    """Begin what a learner's networks take from clips; other networks stay as they are.

    Clips that do not move, or of too few frames, tell nothing, and networks then begin without.
    """
    nets = (*learner.networks.values(), *learner.averages.values())
    generators = [g for g in nets if isinstance(g, ClipGenerator) and g.linear is not None]
    metrics = [f.metric for f in nets if isinstance(f, ClipDescriptor) and f.metric is not None]
    if not isinstance(images, ClipData) or not (generators or metrics):
        return
    clips = _pieces(images, MOST)
    if not any(bool((clip != clips[0][:, :1]).any()) for clip in clips):
        return
    if learner.config.flip:
        clips += [clip.flip(3) for clip in clips]
    mean, deviations = _moments(torch.cat(clips, 1))
    scale = units(deviations)
    for metric in metrics:
        metric.begin(mean, scale)
    if generators and (linear := generators[0].linear) is not None:
        found = moving_average(clips, linear.states, linear.latent, linear.unit, linear.reach)
        for g in generators:
            g.begin(found, scale)


def _pieces(images: ClipData, most: int) -> list[Tensor]:
    """All frames that examples are cut from, (C, T, H, W) in [-1, 1] of each clip.

    If they are too many, pieces as long as an example, from everywhere alike.
    """
    length = images.frames
    clips = [clip if images.windows else clip[:, :length] for clip in images.clips]
    if sum(clip.shape[1] for clip in clips) > most:
        cut = [
            c[:, i : i + length] for c in clips for i in range(0, c.shape[1] - length + 1, length)
        ]
        count = min(len(cut), max(1, most // length))
        clips = [cut[i] for i in np.linspace(0, len(cut) - 1, count).round().astype(int)]
    return [to_unit(torch.from_numpy(clip)) for clip in clips if clip.shape[1] >= LEAST]


def _moments(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean frame (C, 1, H, W), and each pixel's standard deviation (H, W), channels together."""
    variance, mean = torch.var_mean(frames, 1, correction=0, keepdim=True)
    return mean, variance.mean((0, 1)).sqrt()
