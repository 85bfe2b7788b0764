"""Rules of health of the other methods."""

import math

import numpy as np

from coopnets.report.health import STRETCH, Rule, recent
from coopnets.report.history import Column, History, median

WON, LOST = 0.02, 2.1 * math.log(2)
"""Losses of a discriminator that has won, and of one that is worse than a guess (2 log 2)."""
PASSED = 0.95
"""Part of its peak that a distance in decline has fallen to."""
COLLAPSED = 1.0
"""KL in nats below which a generator ignores z."""
LATENTS = (0.7, 1.4)
"""Root mean square of inferred z; that of the prior is 1."""
OUTSIDE = 1.1
"""Root mean square of a chain's pixels that no image has: theirs is at most 1."""
PARTED = 4.0
"""Growth of the gap over half a run that is no chance."""


def _quarters(values: Column) -> tuple[float, float]:
    """Medians of the second quarter of a run and of the last."""
    parts = np.array_split(values, 4)
    return median(parts[1]), median(parts[3])


def _not_won(history: History, _: float) -> tuple[bool, str]:
    loss = median(recent(history.column("critic_loss")))
    return loss >= WON, f"the discriminator's loss is {loss:.2g}"


def _not_lost(history: History, _: float) -> tuple[bool, str]:
    loss = median(recent(history.column("critic_loss")))
    return loss <= LOST, f"the discriminator's loss is {loss:.2g}"


def _critic_sees(history: History, _: float) -> tuple[bool, str]:
    distance = median(recent(history.column("distance")))
    return distance > 0, f"distance {distance:.2g}"


def _distance_falls(history: History, _: float) -> tuple[bool, str]:
    values = history.column("distance")
    parts = np.array_split(values, max(1, len(values) // STRETCH))
    peak, now = max(median(part) for part in parts), median(recent(values))
    return now < PASSED * peak, f"distance {now:.2g}, at most {peak:.2g} before"


def _bound_rises(history: History, _: float) -> tuple[bool, str]:
    before, now = _quarters(history.column("bound"))
    return (
        now >= before,
        f"bound {'went' if now >= before else 'fell'} from {before:.4g} to {now:.4g}",
    )


def _latents_used(history: History, _: float) -> tuple[bool, str]:
    kl = median(recent(history.column("kl")))
    return kl > COLLAPSED, f"KL {kl:.3g} nats"


def _error_falls(history: History, _: float) -> tuple[bool, str]:
    before, now = _quarters(history.column("reconstruction_error"))
    fell = now <= 1.1 * before  # it ripples from batch to batch
    return fell, f"error {'went' if fell else 'rose'} from {before:.3g} to {now:.3g}"


def _latents_normal(history: History, _: float) -> tuple[bool, str]:
    size = median(recent(history.column("latent_rms")))
    return LATENTS[0] <= size <= LATENTS[1], f"rms of z {size:.2f}"


def _chains_inside(history: History, _: float) -> tuple[bool, str]:
    size = median(recent(history.column("chain_rms")))
    return size <= OUTSIDE, f"rms of a chain's pixels {size:.2f}"


def _together(history: History, _: float) -> tuple[bool, str]:
    before, now = _quarters(np.abs(history.column("f_data") - history.column("f_revised")))
    parted = now > PARTED * before
    return not parted, f"gap {'grew' if parted else 'went'} from {before:.2g} to {now:.2g}"


DCGAN = (
    Rule(
        f"The discriminator has not won: its loss is above {WON:g}",
        ("critic_loss", "d_data"),
        _not_won,
        "Early on this passes by itself. If it lasts, lower `--critic-optimizer.lr`.",
    ),
    Rule(
        "The discriminator is no worse than a guess: its loss is below 2 log 2",
        ("critic_loss", "d_data"),
        _not_lost,
        "Its rate is too high for it to follow: lower `--critic-optimizer.lr` and "
        "`--generator-optimizer.lr`.",
    ),
)
WGAN = (
    Rule(
        "The critic finds data above generated images",
        ("distance",),
        _critic_sees,
        "It does not keep up with the generator: raise `--wgan.critic-steps`, or lower "
        "`--generator-optimizer.lr`.",
    ),
    Rule(
        "The distance has passed its peak",
        ("distance",),
        _distance_falls,
        "Early on this passes by itself: the critic must learn to look first. If it lasts, the "
        "generator does not follow: raise `--generator-optimizer.lr`.",
    ),
)
VAE = (
    Rule(
        "The bound rises",
        ("bound",),
        _bound_rises,
        "Lower `--generator-optimizer.lr`.",
    ),
    Rule(
        f"The latent vectors are used: KL is above {COLLAPSED:g} nat",
        ("kl",),
        _latents_used,
        "All samples look alike then: lower `--sigma` or `--vae.kl-weight`.",
    ),
)
GENERATOR = (
    Rule(
        "The reconstruction error falls",
        ("reconstruction_error",),
        _error_falls,
        "Lower `--posterior.delta` or `--generator-optimizer.lr`.",
    ),
    Rule(
        f"Latent vectors are as large as the prior's (rms {LATENTS[0]:g} to {LATENTS[1]:g})",
        ("latent_rms",),
        _latents_normal,
        "Samples are drawn elsewhere than where z was inferred. Above: lower `--posterior.delta` "
        "or raise `--sigma`. Below: z is hardly used, raise `--posterior.steps` or lower "
        "`--sigma`.",
    ),
)
DESCRIPTOR = (
    Rule(
        f"Chains end where images are: rms of at most {OUTSIDE:g}",
        ("chain_rms",),
        _chains_inside,
        "Lower `--langevin.delta` or `--descriptor-optimizer.lr`, or keep them in with "
        "`--langevin.clamp 1`.",
    ),
    Rule(
        "f(data) and f(chains) stay together",
        ("f_data", "f_revised"),
        _together,
        "The descriptor is too strong: lower `--descriptor-optimizer.lr` or raise `--data-noise`.",
    ),
)
