"""What a person watching sees."""

import io

import pytest
from rich.console import Console

from coopnets.progress import describe, done, reporter
from coopnets.train import Budget

LINE = {
    "iteration": 1234, "seconds": 90.0, "images_per_second": 42.4, "langevin_share": 0.531,
    "f_data": 1.5e6, "f_revised": 1.25e6, "displacement": 0.0421,
}  # fmt: skip


def test_plain_lines_hold_rate_time_left_share_and_energies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with reporter(Budget(max_time=360), Console(file=io.StringIO())) as show:
        show.line(LINE)
        show.line({**LINE, "iteration": 1235})  # within half a minute: not shown
        show.say("diverged [at] 7")
    assert capsys.readouterr().out.splitlines() == [
        "iteration 1,234  42 images/s  0:04:30 left  Langevin 53%  f data 1.5e+06  "
        "f revised 1.25e+06  displacement 0.042",
        "diverged [at] 7",
    ]


def test_live_display_fits_eighty_columns() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, color_system=None)
    with reporter(Budget(steps=2468), console) as show:
        show.line(LINE)
        show.say("diverged [at] 7")
    shown = written.getvalue()
    assert "displacement 0.042" in shown and "0:01:30 left" in shown and "[at] 7" in shown


def test_what_is_spent_is_the_nearer_end() -> None:
    assert done(LINE, Budget()) == 0.0
    assert done(LINE, Budget(max_time=180)) == 0.5
    assert done(LINE, Budget(max_time=180, steps=1234 * 4)) == 0.5
    assert done(LINE, Budget(max_time=60)) == 1.0
    assert "time left unknown" in describe(LINE, Budget())
