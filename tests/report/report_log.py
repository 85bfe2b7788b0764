"""Lines of a log."""

from typing import Any

LINE = {
    "f_data": 5.1e6, "f_revised": 5.0e6, "displacement": 0.2, "generator_error": 400.0,
    "u_data": -3.0e6, "u_proposed": -2.0e6, "u_revised": -3.0e6,
    "drift": 0.01, "noise": 0.002, "seconds_g0": 0.1, "seconds_d1": 1.0,
    "seconds_g1": 0.1, "observed_residual": 0.3, "observed_kl": 90.0,
    "seconds_d2": 0.3, "seconds_g2": 0.7,
    "seconds_all": 2.3, "images_per_second": 14.0, "langevin_share": 0.43,
}  # fmt: skip
"""A line of the log with every number that cooperative learning writes."""


def line(i: int, **changed: Any) -> dict[str, Any]:
    return {"iteration": 10 * i, "seconds": 23.0 * i, **LINE, **changed}
