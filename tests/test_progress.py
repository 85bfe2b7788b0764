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


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"d_data": 0.9, "d_generated": 0.1, "critic_loss": 0.4, "generator_loss": 2.5},
         "D(data) 0.90  D(generated) 0.10  critic 0.4  generator 2.5"),
        ({"distance": 0.271, "critic_loss": -0.271, "generator_loss": 0.1},
         "distance 0.271  critic -0.271  generator 0.1"),
        ({"bound": -39.2, "kl": 85.0, "residual": 0.157}, "bound -39.2  KL 85  residual 0.157"),
        ({"reconstruction_error": 481.6, "residual": 0.33, "latent_rms": 1.1},
         "error 481.6  residual 0.330  latent 1.10"),
    ],
)  # fmt: skip
def test_each_method_shows_its_own_numbers(numbers: dict[str, float], text: str) -> None:
    line = {"iteration": 10, "seconds": 1.0, "images_per_second": 64.0, **numbers}
    told = describe(line, Budget(steps=20))
    assert told == f"iteration 10  64 images/s  0:00:01 left  {text}"
