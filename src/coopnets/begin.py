"""What networks of clips begin with: means, deviations and covariances of the clips themselves."""

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
"""Frames that are looked at: all of them stand in memory at once, twice."""
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
    clips = _first(images, MOST)
    if not any(bool((clip != clips[0][:, :1]).any()) for clip in clips):
        return
    frames = torch.cat(clips, 1)
    mean, scale = frames.mean(1, keepdim=True), units(_deviations(frames))
    for metric in metrics:
        metric.begin(mean, scale)
    if generators and (linear := generators[0].linear) is not None:
        found = moving_average(clips, linear.states, linear.latent, linear.unit, linear.reach)
        for g in generators:
            g.begin(found, scale)


def _first(images: ClipData, most: int) -> list[Tensor]:
    """The first frames, (C, T, H, W) in [-1, 1] from each clip."""
    taken: list[Tensor] = []
    for clip in images.clips:
        if most < LEAST:
            break
        taken.append(to_unit(torch.from_numpy(clip[:, :most])))
        most -= taken[-1].shape[1]
    return [clip for clip in taken if clip.shape[1] >= LEAST]


def _deviations(frames: Tensor) -> Tensor:
    """Standard deviation of each pixel over all frames, (H, W), channels together."""
    return frames.var(1, correction=0).mean(0).sqrt()
