"""The guard: is an iteration running away?

Users of energy-based models complain of divergence first. An iteration is examined after its
revision and before any weight moves, so what is rolled back is never much.
"""

import math
from collections.abc import Mapping

from coopnets.config import LangevinConfig


class Diverged(Exception):
    """Raised within an iteration that runs away; the message says what did."""


DISPLACEMENT_LIMIT = 1.0
"""Root mean square distance, on the scale of [-1, 1], that a revision may move a pixel: half of
the whole range. Healthy revisions start near 0.3 and fall to a few hundredths."""

SETTLED, SETTLED_LIMIT = 200, 0.5
"""From this iteration on the generator has begun to follow, and half of that is too much."""

ENERGY_LIMIT = 300.0
"""Largest gap between mean f of data and of revisions, in units of dim(x) / s^2 (the order of
|x|^2 / s^2, which f must balance). Healthy gaps are below 1."""

CLIMB_LIMIT, SETTLED_CLIMB_LIMIT = 3.0, 0.03
"""The same without a reference, in units of dim(x) / (delta^2 / 2): what f gains where one step of
its drift moves each pixel by 1. Healthy gaps may reach 0.3 in the first iterations and are soon
below 0.0005."""

CHAIN_LIMIT = 3.0
"""Root mean square of the pixels of chains that start at noise. Images lie in [-1, 1]."""


def examine_numbers(metrics: Mapping[str, float]) -> None:
    """Pass an iteration whose numbers are all finite: all that can be asked of any method.

    Raises:
        Diverged: a value is not finite.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} is {value}")


def examine_chains(metrics: Mapping[str, float]) -> None:
    """Pass chains from noise that stayed where images are.

    Args:
        metrics: ``chain_rms``, the root mean square of their pixels; more are looked at for being
            finite.

    Raises:
        Diverged: a value is not finite, or the chains left for good.
    """
    examine_numbers(metrics)
    if metrics["chain_rms"] > CHAIN_LIMIT:
        raise Diverged(f"chains have pixels of {metrics['chain_rms']:.2f}, over {CHAIN_LIMIT:g}")


def gap_limit(langevin: LangevinConfig, dim: int, iteration: int) -> float:
    """Largest gap between the means of f of data and of revisions, images of ``dim`` numbers."""
    if langevin.s is not None:
        limit = ENERGY_LIMIT
    else:
        limit = CLIMB_LIMIT if iteration < SETTLED else SETTLED_CLIMB_LIMIT
    return limit * gap_unit(langevin, dim)


def gap_unit(langevin: LangevinConfig, dim: int) -> float:
    """Unit of differences of f, for images of ``dim`` numbers.

    With a reference dim(x)/s^2, the order of |x|^2/s^2, which f must balance; without one
    dim(x)/(delta^2/2), what f gains where one step of its drift moves each pixel by 1.
    """
    return dim / (langevin.delta**2 / 2 if langevin.s is None else langevin.s**2)


def examine(metrics: Mapping[str, float], iteration: int, largest_gap: float) -> None:
    """Pass a healthy revision.

    Args:
        metrics: ``displacement`` (root mean square over pixels and chains of revised minus
            proposed x), ``f_data`` and ``f_revised`` (means of f); more are looked at for being
            finite.
        iteration: its number, from 0.
        largest_gap: between the means of f; see :func:`gap_limit`.

    Raises:
        Diverged: a value is not finite, or beyond its limit.
    """
    examine_numbers(metrics)
    displacement = metrics["displacement"]
    limit = DISPLACEMENT_LIMIT if iteration < SETTLED else SETTLED_LIMIT
    if displacement > limit:
        raise Diverged(f"revision moves pixels by {displacement:.2f}, over {limit}")
    gap = abs(metrics["f_data"] - metrics["f_revised"])
    if gap > largest_gap:
        raise Diverged(f"f(data) and f(revised) are {gap:.3g} apart, over {largest_gap:.3g}")


def examine_climb(metrics: Mapping[str, float], langevin: LangevinConfig, iteration: int) -> None:
    """Pass a chain that climbed.

    Without a reference the drift is the gradient of f alone. A chain that ends lower than it
    began, though its drift is larger than its noise, jumps across the tops of f: its steps are
    too long for the curvature of f. Soon f gains without end; this tells it a hundred iterations
    before the gap does.

    Args:
        metrics: ``u_proposed`` and ``u_revised`` (means of the energy, -f), ``drift`` and
            ``noise`` (of a step, over pixels and relative to x).
        langevin: the chain's settings.
        iteration: its number; before :data:`SETTLED` all passes.

    Raises:
        Diverged: it did not climb.
    """
    if langevin.s is not None or iteration < SETTLED or metrics["drift"] < metrics["noise"]:
        return
    fell = metrics["u_revised"] - metrics["u_proposed"]
    if fell > 0:
        raise Diverged(
            f"f fell by {fell:.3g} in a revision: its steps overshoot (a smaller "
            "--langevin.damping bears more, a larger --data-noise keeps f smooth)"
        )
