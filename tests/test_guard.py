import math
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from coopnets.config import LangevinConfig
from coopnets.guard import (
    DISPLACEMENT_LIMIT,
    SETTLED,
    SETTLED_LIMIT,
    Diverged,
    examine,
    examine_climb,
    gap_limit,
)
from coopnets.langevin import revise

HEALTHY = {"displacement": 0.3, "f_data": 10.0, "f_revised": -10.0, "u_data": 1.0}


def look(iteration: int = 0, **changed: float) -> None:
    examine({**HEALTHY, **changed}, iteration, largest_gap=1500.0)


def test_healthy_passes() -> None:
    look()
    look(displacement=DISPLACEMENT_LIMIT)
    look(displacement=SETTLED_LIMIT, iteration=SETTLED)
    look(f_data=1500.0, f_revised=0.0)


@pytest.mark.parametrize("name", ["displacement", "f_data", "f_revised", "u_data"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite_is_a_divergence(name: str, value: float) -> None:
    with pytest.raises(Diverged, match=r"nan|inf"):
        look(**{name: value})


@pytest.mark.parametrize(
    ("iteration", "limit"),
    [(0, DISPLACEMENT_LIMIT), (SETTLED - 1, DISPLACEMENT_LIMIT), (SETTLED, SETTLED_LIMIT)],
)
def test_moving_too_far_is_a_divergence(iteration: int, limit: float) -> None:
    with pytest.raises(Diverged, match="moves pixels"):
        look(displacement=limit * 1.01, iteration=iteration)
    look(displacement=limit * 0.99, iteration=iteration)


def test_energies_too_far_apart_are_a_divergence() -> None:
    for sign in (1, -1):
        with pytest.raises(Diverged, match="apart"):
            look(f_data=sign * 1501.0, f_revised=0.0)
    # Both far off together is a free constant of f, not a divergence.
    look(f_data=1e7, f_revised=1e7)


def test_gap_with_a_reference_is_in_units_of_what_f_must_balance() -> None:
    langevin = LangevinConfig(s=0.5, delta=0.003)
    assert gap_limit(langevin, 12, 0) == gap_limit(langevin, 12, SETTLED) == 300 * 12 / 0.25


@pytest.mark.parametrize("delta", [2**0.5, 0.01])
def test_gap_without_a_reference_is_in_units_of_what_a_step_can_climb(delta: float) -> None:
    """On a plane whose drift moves each of 12 pixels by 1, a step gains one unit."""
    slope = 2 / delta**2
    gained = 12 * slope * (delta**2 / 2 * slope)
    langevin = LangevinConfig(s=None, delta=delta)
    assert gap_limit(langevin, 12, SETTLED) == pytest.approx(0.03 * gained)
    assert gap_limit(langevin, 12, SETTLED - 1) == pytest.approx(3 * gained)


@pytest.mark.parametrize(
    ("curvature", "damping", "climbs"),
    [(1.9, None, True), (2.1, None, False), (2.1, 0.1, True), (12.0, 0.1, False)],
)
def test_a_chain_that_overshoots_is_a_divergence(
    curvature: float, damping: float | None, climbs: bool
) -> None:
    """On f = -c x^2 / 2 a step of delta^2 / 2 = 1 climbs up to c = 2, and damped ones further."""

    def f(x: Tensor) -> Tensor:
        return -curvature * x.square().flatten(1).sum(1) / 2

    langevin = LangevinConfig(s=None, delta=2**0.5, tau=0.003, steps=6, damping=damping)
    x = torch.randn(16, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    revised, trace = revise(
        f, x, steps=6, delta=langevin.delta, tau=langevin.tau, damping=damping,
        noise=torch.Generator().manual_seed(1),
    )  # fmt: skip
    metrics = {
        "u_proposed": -float(f(x).mean()), "u_revised": -float(f(revised).mean()),
        "drift": float(trace.drift.mean()), "noise": float(trace.noise.mean()),
    }  # fmt: skip
    examine_climb(metrics, langevin, SETTLED - 1)
    with nullcontext() if climbs else pytest.raises(Diverged, match="overshoot"):
        examine_climb(metrics, langevin, SETTLED)


def test_a_chain_that_falls_by_noise_or_by_its_reference_passes() -> None:
    fell = {"u_proposed": 1.0, "u_revised": 2.0, "drift": 0.01, "noise": 0.004}
    examine_climb(fell, LangevinConfig(s=0.016), SETTLED)
    examine_climb({**fell, "noise": 0.02}, LangevinConfig(s=None), SETTLED)
