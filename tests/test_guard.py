import math

import pytest

from coopnets.guard import (
    DISPLACEMENT_LIMIT,
    ENERGY_LIMIT,
    SETTLED,
    SETTLED_LIMIT,
    Diverged,
    examine,
)

HEALTHY = {"displacement": 0.3, "f_data": 10.0, "f_revised": -10.0, "u_data": 1.0}


def look(iteration: int = 0, **changed: float) -> None:
    examine({**HEALTHY, **changed}, iteration, energy_unit=5.0)


def test_healthy_passes() -> None:
    look()
    look(displacement=DISPLACEMENT_LIMIT)
    look(displacement=SETTLED_LIMIT, iteration=SETTLED)
    look(f_data=5 * ENERGY_LIMIT, f_revised=0.0)


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
            look(f_data=sign * 5.1 * ENERGY_LIMIT, f_revised=0.0)
    # Both far off together is a free constant of f, not a divergence.
    look(f_data=1e7, f_revised=1e7)
