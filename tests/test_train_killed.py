"""Real kills of real processes: what is repeated ends bit for bit as if never stopped."""

import math
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from coopnets import checkpoint
from coopnets.cli import main
from coopnets.runfolder import RunFolder
from small import start_command, train_command, until

STEPS = 60
KILLS = 4


def newest(run: Path) -> int:
    """Iteration of the newest whole checkpoint; -1 for none."""
    found = checkpoint.whole(run / "checkpoints")
    return found[0].iteration if found else -1


def tensor_bytes(run: Path) -> bytes:
    assert newest(run) == STEPS
    return (run / "checkpoints" / f"{STEPS:08d}" / checkpoint.TENSORS).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(array: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main(train_command(array, run, steps=STEPS)) == 0
    return run


def test_killed_again_and_again(array: Path, undisturbed: Path, tmp_path: Path) -> None:
    run, log, chance = tmp_path / "run", tmp_path / "log", random.Random(0)
    argv = train_command(array, run, steps=STEPS)
    for _ in range(KILLS):
        begun = newest(run)
        child = start_command(argv, log)
        until(lambda child=child, begun=begun: newest(run) > begun or not child.is_alive())
        time.sleep(chance.uniform(0, 0.05))
        child.kill()
        child.join()
        assert child.exitcode in (-signal.SIGKILL, 0), log.read_text()
    assert main(argv) == 0
    assert "going on from iteration" in log.read_text() + (run / "log.txt").read_text()

    assert tensor_bytes(run) == tensor_bytes(undisturbed)
    last, other = (checkpoint.whole(r / "checkpoints")[0].state for r in (run, undisturbed))
    assert {**last, "seconds": 0} == {**other, "seconds": 0}
    for grid in (undisturbed / "grids").iterdir():
        assert (run / "grids" / grid.name).read_bytes() == grid.read_bytes()
    logged = [m["iteration"] for m in RunFolder(run).metrics()]
    assert logged == sorted(set(logged))
    leftovers = [p.name for p in run.rglob("*unfinished*")]
    assert not leftovers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_saves_and_can_be_resumed(
    array: Path, undisturbed: Path, tmp_path: Path, number: int
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    # Far more steps than it will live to make; steps are no setting of the run.
    child = start_command(train_command(array, run, steps=10**6), log)
    until(lambda: newest(run) >= 5 or not child.is_alive())
    os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode == 0, log.read_text()
    assert "interrupted at iteration" in log.read_text()
    assert f"interrupted at iteration {newest(run)}" in log.read_text()
    assert (run / "report.html").exists() or newest(run) >= 5
    if newest(run) < STEPS:
        assert main(train_command(array, run, steps=STEPS)) == 0
        assert tensor_bytes(run) == tensor_bytes(undisturbed)


def test_two_trainings_in_one_run_are_refused(
    array: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    child = start_command(train_command(array, run, steps=10**6), log)
    until(lambda: newest(run) >= 0 or not child.is_alive())
    try:
        assert main(train_command(array, run)) == 1
        error = capsys.readouterr().err
        assert error.startswith("coopnets: ") and "in use" in error and error.count("\n") == 1
        assert child.is_alive()
    finally:
        child.kill()
        child.join()
    assert main(train_command(array, run, steps=newest(run))) == 0  # a killed one frees the run


@pytest.mark.parametrize("times", [10, 100])
def test_step_size_far_too_large(
    array: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], times: int
) -> None:
    """It ends, or it stops with the advice; either way nothing that is kept is poisoned.

    At a hundred times the reference alone throws x out of range, so there must be an event.
    """
    run = tmp_path / "run"
    rash = ["--langevin.delta", str(0.002 * times), "--langevin.drift-clip", "None"]
    code = main(train_command(array, run, *rash, steps=60))
    captured = capsys.readouterr()
    if code:
        assert code == 1 and captured.err.startswith("coopnets: training diverged")
        assert captured.err.count("\n") == 1
    found = checkpoint.whole(run / "checkpoints")
    assert found
    for kept in found:
        for name, value in kept.tensors().items():
            assert torch.isfinite(value).all(), name
    lines = RunFolder(run).metrics()
    assert any("event" in m for m in lines) or times == 10
    assert all(math.isfinite(v) for m in lines if "event" not in m for v in m.values())
    assert main(["sample", str(run), "--out", str(tmp_path / "grid.png"), "-n", "4"]) == 0
