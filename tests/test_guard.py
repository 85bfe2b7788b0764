import math

import pytest

from coopnets.config import LangevinConfig
from coopnets.guard import DISPLACEMENT_LIMIT, SETTLED, SETTLED_LIMIT, Diverged, examine, gap_limit

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
