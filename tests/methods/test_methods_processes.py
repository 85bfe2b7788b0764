"""Two processes learn what one would, by every method that can be shared out."""

from pathlib import Path

import pytest

from coopnets.cli import main
from small import train_command
from two import ALONE, STEPS, assert_same, in_two, last_tensors

CRITIC = [
    "--critic.channels",
    "8",
    "8",
    "--critic.kernels",
    "4",
    "4",
    "--critic.strides",
    "2",
    "2",
]
MORE = {
    "dcgan": CRITIC,
    "wgan": [*CRITIC, "--wgan.critic-steps", "2"],
    "wgan-gp": [*CRITIC, "--wgan.critic-steps", "2", "--wgan.gradient-penalty", "10",
                "--critic.norm", "none"],
    "vae": [],
    "descriptor": [],
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_two_processes_equal_one(array: Path, tmp_path: Path, name: str) -> None:
    more = ["--method", name.removesuffix("-gp"), *MORE[name], *ALONE]
    one, two, log = tmp_path / "one", tmp_path / "two", tmp_path / "log"
    assert main(train_command(array, one, *more, steps=STEPS)) == 0
    in_two(train_command(array, two, *more, steps=STEPS), log)
    assert_same(last_tensors(one), last_tensors(two))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--method", "generator"], "train the method generator with one"),
        (["--method", "descriptor", "--chain.start", "persistent"], "--chain.start noise"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    array: Path, tmp_path: Path, more: list[str], said: str
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    with pytest.raises(AssertionError, match=r"exit codes \[1, 1\]"):
        in_two(train_command(array, run, *more, *ALONE, steps=STEPS), log)
    lines = [line for line in log.read_text().splitlines() if not line.startswith("decoded ")]
    assert len(lines) == 2 and all(
        line.startswith("coopnets: ") and line.endswith(said) for line in lines
    )
    assert not (run / "config.json").exists()
