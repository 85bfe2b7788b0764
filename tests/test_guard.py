import math

import pytest

from coopnets.guard import DISPLACEMENT_LIMIT, ENERGY_LIMIT, Diverged, examine

HEALTHY = {"displacement": 0.3, "f_data": 10.0, "f_revised": -10.0, "energy_unit": 5.0}


def test_healthy_passes() -> None:
    examine(**HEALTHY)
    examine(**HEALTHY | {"displacement": DISPLACEMENT_LIMIT})
    examine(**HEALTHY | {"f_data": 5 * ENERGY_LIMIT, "f_revised": 0.0})


@pytest.mark.parametrize("name", ["displacement", "f_data", "f_revised"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite_is_a_divergence(name: str, value: float) -> None:
    with pytest.raises(Diverged, match=r"nan|inf"):
        examine(**HEALTHY | {name: value})


def test_beyond_the_limits_is_a_divergence() -> None:
    with pytest.raises(Diverged, match="moves pixels"):
        examine(**HEALTHY | {"displacement": DISPLACEMENT_LIMIT * 1.01})
    for sign in (1, -1):
        with pytest.raises(Diverged, match="apart"):
            examine(**HEALTHY | {"f_data": sign * 5.1 * ENERGY_LIMIT, "f_revised": 0.0})
    # Both far off together is a free constant of f, not a divergence.
    examine(**HEALTHY | {"f_data": 1e7, "f_revised": 1e7})
