"""Rules of health, choice of pictures and thinning of curves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from report_log import line

from coopnets.report.curves import binned
from coopnets.report.health import checks, verdict
from coopnets.report.history import History
from coopnets.report.images import latest, over_time, spread
from coopnets.report.settings import sample_command
from coopnets.report.text import number
from coopnets.runfolder import RunFolder

UNIT = 3.0e6


def falling(count: int = 100) -> History:
    """A healthy log: displacement from 0.3 to 0.05, f of data and revisions close."""
    values = 0.05 + 0.25 * np.exp(-np.arange(count) / 20)
    lines = [line(i, f_revised=5.09e6, displacement=float(d)) for i, d in enumerate(values, 1)]
    return History(lines, [])


def failing(history: History) -> list[str]:
    return [c.rule for c in checks(history, UNIT) if c.state == "attention"]


def test_a_healthy_run_passes_all_checks() -> None:
    found = checks(falling(), UNIT)
    assert len(found) == 7
    assert verdict(found, 100)[0] == "ok"


def test_a_short_run_is_not_judged() -> None:
    history = History(falling().lines[:19], [])
    assert verdict(checks(history, UNIT), 19)[0] == "early"


@pytest.mark.parametrize(
    ("late", "rule"),
    [
        ({"f_revised": 4.0e6}, "agree to"),
        ({"f_revised": 4.0e6}, "does not grow"),
        ({"u_revised": -1.0e6}, "lowers the energy"),
        ({"displacement": 0.4}, "Displacement falls"),
        ({"displacement": 0.01}, "never falls suddenly"),
        ({"drift": 0.1}, "Drift"),
        ({"drift": 0.0001}, "Drift"),
    ],
)
def test_each_deviation_fails_its_rule(late: dict[str, float], rule: str) -> None:
    lines = falling().lines
    history = History(lines[:70] + [{**m, **late} for m in lines[70:]], [])
    assert [name for name in failing(history) if rule in name]
    assert verdict(checks(history, UNIT), 100)[0] == "attention"


def test_a_divergence_is_told_however_short_the_run() -> None:
    events = [{"iteration": i, "event": "diverged", "what": "x"} for i in (8, 9)]
    state, text = verdict(checks(History([], events), UNIT), 0)
    assert state == "attention"
    assert "2 times, first at iteration 8, last at 9" in text


def test_grids_are_chosen_at_equal_ratios_with_both_ends() -> None:
    iterations = list(range(200, 40_200, 200))
    chosen = [iterations[i] for i in spread(iterations, 8)]
    assert chosen[0] == 200
    assert chosen[-1] == 40_000
    assert len(chosen) == 8
    ratios = np.diff(np.log(chosen))
    assert ratios.max() < 1.5 * ratios.min()
    assert spread([5, 6, 7], 8) == [0, 1, 2]


def test_a_grid_falls_into_its_three_panels(run: Callable[..., RunFolder]) -> None:
    folder = run([], grids=(20, 40))
    last = latest(folder, 28)
    assert last is not None
    assert last.iteration == 40
    assert list(last.panels) == ["data", "proposed", "revised"]
    assert [(p.width, p.height) for p in last.panels.values()] == [(186, 186)] * 3
    assert [s.iteration for s in over_time(folder, 28)] == [20, 40]
    assert all(list(s.panels) == ["proposed", "revised"] for s in over_time(folder, 28))


def test_thinning_keeps_means_and_extremes_and_skips_gaps() -> None:
    t = np.arange(1000.0)
    values = np.where(t % 10 == 0, np.nan, np.sin(t))
    curve = binned(t, values, 100)
    assert len(curve.t) == 100
    assert curve.low.min() == np.nanmin(values)
    assert curve.high.max() == np.nanmax(values)
    assert np.isclose(curve.mean.mean(), np.nanmean(values), atol=1e-3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.05"), (20000.0, "20,000"), (3e6, "3×10⁶"), (1e-5, "10⁻⁵"), (-4.5e6, "−4.5×10⁶")],
)
def test_numbers_read_as_a_person_writes_them(value: float, text: str) -> None:
    assert number(value) == text


def test_the_command_that_draws_clips_is_one_that_the_method_knows(tmp_path: Path) -> None:
    """Only a generator's clips have a length of one's own."""
    folder = RunFolder(tmp_path)
    assert "--seconds 10" in sample_command(folder, True, "coopnets")
    assert "--seconds" not in sample_command(folder, True, "descriptor")
    assert "--seconds" not in sample_command(folder, True, "coopnets", "FRAME_3")
