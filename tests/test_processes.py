"""Two processes learn what one would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from coopnets.cli import main
from coopnets.errors import CoopNetsError
from coopnets.processes import Processes
from small import train_command
from two import ALONE, STEPS, assert_same, free_port, in_two, last_tensors


@pytest.mark.parametrize(
    "more",
    [
        ["--memory", "0", "--teaching", "0", "--ema", "0"],
        [],
        ["--generator.norm-scale", "--data-noise", "0.1", "--posterior.steps", "2",
         "--energy-l2", "0.1", "--descriptor-optimizer.clip", "1", "--flip",
         "--observed.weight", "0.5", "--lead", "0", "--slope-on", "line"],
    ],
    ids=["plain", "memory", "everything"],
)  # fmt: skip
def test_two_processes_equal_one(array: Path, tmp_path: Path, more: list[str]) -> None:
    """The same global batch, the same chains, batch norm over all of them."""
    one, two, log = tmp_path / "one", tmp_path / "two", tmp_path / "log"
    assert main(train_command(array, one, *ALONE, *more, steps=STEPS)) == 0
    in_two(train_command(array, two, *ALONE, *more, steps=STEPS), log)
    assert_same(last_tensors(one), last_tensors(two))


def test_two_processes_resume(array: Path, tmp_path: Path) -> None:
    """Begun by two, finished by two: the same as without the break."""
    one, two, log = tmp_path / "one", tmp_path / "two", tmp_path / "log"
    assert main(train_command(array, one, *ALONE, steps=STEPS)) == 0
    in_two(train_command(array, two, *ALONE, steps=2), log)
    in_two(train_command(array, two, *ALONE, steps=STEPS), log)
    assert_same(last_tensors(one), last_tensors(two))


def test_two_processes_roll_back_together(array: Path, tmp_path: Path) -> None:
    """A step size far too large: both go back to the same place, and both give up."""
    run, log = tmp_path / "run", tmp_path / "log"
    argv = train_command(array, run, *ALONE, "--langevin.delta", "30", steps=STEPS)
    with pytest.raises(AssertionError, match=r"\[1, 1\]"):
        in_two(argv, log)
    assert "diverged 6 times" in log.read_text()


def test_accelerate_launch(array: Path, tmp_path: Path) -> None:
    """The documented command, from the outside: two CPU processes equal one.

    Without ``--multi_gpu``, which is Accelerate's name for starting processes through torchrun,
    ``accelerate launch`` starts a single one on CPUs.
    """
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(train_command(array, one, *ALONE, steps=STEPS)) == 0
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
         "--main_process_port", str(free_port()), "-m", "coopnets",
         *train_command(array, two, *ALONE, steps=STEPS)],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count(f"{STEPS} iterations") == 1  # one of them talks
    assert_same(last_tensors(one), last_tensors(two))


def test_uneven_shares_are_refused() -> None:
    assert Processes(world=2).share(6, "chains") == 3
    with pytest.raises(CoopNetsError, match="7 chains cannot be shared equally by 2"):
        Processes(world=2).share(7, "chains")


def test_alone_everything_is_its_own() -> None:
    alone, rows = Processes(), torch.arange(6)
    assert alone.first and torch.equal(alone.mine(rows), rows)
    assert torch.equal(alone.gather(rows), rows) and torch.equal(alone.mean(rows), rows)
    assert alone.any(True) and not alone.any(False)
    parts = [Processes(rank=r, world=3).mine(rows) for r in range(3)]
    assert torch.equal(torch.cat(parts), rows)


LEAVES = """
import os
import torch.distributed as dist
from coopnets.cooperate import Cooperation
from coopnets.launch import leave, this_process
from coopnets.presets import preset
from dataclasses import replace

learner = Cooperation(replace(preset("digits"), precision="fp32"), this_process())
assert dist.get_world_size() == 1
dist.barrier()
leave()
tasks = os.listdir("/proc/self/task")
print([open(f"/proc/self/task/{task}/comm").read().strip() for task in tasks])
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are seen on Linux alone")
def test_a_group_that_is_left_leaves_no_threads() -> None:
    """They would outlive the interpreter, which now and then aborts then."""
    environment = {
        **os.environ, "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LEAVES], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "gloo" not in done.stdout and "python" in done.stdout
