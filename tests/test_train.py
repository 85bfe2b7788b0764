"""The training loop: roll-back, recovery, budgets, and what a run leaves behind."""

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from coopnets import checkpoint
from coopnets.cooperate import Cooperation, Iteration
from coopnets.data import ImageData, batch_indices, mirrored
from coopnets.errors import DivergenceError, RunError
from coopnets.guard import Diverged
from coopnets.learner import restore, state_numbers, state_tensors
from coopnets.processes import Processes
from coopnets.runfolder import RunFolder
from coopnets.train import HEALTHY, TRIES, Budget, Progress, train
from small import CONFIG

Runs = Callable[..., Progress]


class Killed(BaseException):
    """Stands in for a kill: nothing catches it, nothing is saved."""


class Scripted(Cooperation):
    """The real learner, with misfortunes at chosen moments.

    Args:
        script: called as (t, attempt) before each iteration; may raise.
    """

    def __init__(self, script: Callable[[int, int], None] = lambda *_: None) -> None:
        super().__init__(CONFIG, Processes())
        self.script = script
        self.visited: list[tuple[int, int, float]] = []

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        self.visited.append((t, attempt, self.step_scale))
        self.script(t, attempt)
        return super().iterate(x, t, attempt)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.start(CONFIG, {"source": "x", "fingerprint": "abc"}, {}, False)
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def runs(folder: RunFolder, images: ImageData, said: list[str]) -> Runs:
    """Train a learner in the folder, with a checkpoint every 3 iterations."""

    def run(learner: Cooperation, **budget: Any) -> Progress:
        given = {"steps": 12, "checkpoint_every": 3, "log_every": 2, **budget}
        return train(learner, images, folder, Budget(**given), say=said.append)

    return run


def diverge_at(when: int, attempts: int) -> Callable[[int, int], None]:
    def script(t: int, attempt: int) -> None:
        if t == when and attempt < attempts:
            raise Diverged("f(data) is nan")

    return script


def iterations(folder: RunFolder) -> list[int]:
    return [c.iteration for c in checkpoint.whole(folder.checkpoints)]


def test_divergence_goes_back_and_halves_the_step(
    runs: Runs, folder: RunFolder, said: list[str]
) -> None:
    learner = Scripted(diverge_at(7, 1))
    progress = runs(learner)
    at = learner.visited.index((7, 0, 1.0))
    assert learner.visited[at + 1] == (6, 1, 0.5)  # the same iterations, with new noise
    assert learner.visited[-1] == (11, 1, 0.5)
    assert (progress.iteration, learner.step_scale, learner.rate_scale) == (12, 0.5, 0.5)
    event = [m for m in folder.metrics() if "event" in m]
    assert [(m["iteration"], m["event"]) for m in event] == [(7, "diverged")]
    assert any("back to 6" in line and "nan" in line for line in said)


def test_without_a_reference_only_the_rate_is_halved(runs: Runs, folder: RunFolder) -> None:
    learner = Scripted(diverge_at(7, 1))
    learner.halves_step = False
    runs(learner)
    assert (learner.step_scale, learner.rate_scale) == (1.0, 0.5)
    state = checkpoint.whole(folder.checkpoints)[0].state
    assert (state["step_scale"], state["rate_scale"]) == (1.0, 0.5)


def test_each_further_try_goes_further_back(runs: Runs) -> None:
    learner = Scripted(diverge_at(7, 3))
    assert runs(learner).iteration == 12
    after = [
        learner.visited[i + 1] for i, v in enumerate(learner.visited) if v[0] == 7 and v[1] < 3
    ]
    assert after == [(6, 1, 0.5), (3, 2, 0.25), (0, 3, 0.125)]


def test_state_after_a_roll_back_is_the_checkpoints(runs: Runs, folder: RunFolder) -> None:
    compared = []

    def script(t: int, attempt: int) -> None:
        if (t, attempt) == (6, 1):
            stored, now = checkpoint.whole(folder.checkpoints)[0].tensors(), state_tensors(learner)
            assert stored.keys() == now.keys()
            compared.extend(torch.equal(stored[k], now[k]) for k in stored)
        diverge_at(7, 1)(t, attempt)

    learner = Scripted(script)
    runs(learner, steps=9)
    assert compared and all(compared)


def test_gives_up_with_advice(runs: Runs, folder: RunFolder) -> None:
    learner = Scripted(diverge_at(7, 10**6))
    with pytest.raises(DivergenceError) as error:
        runs(learner)
    text = str(error.value)
    assert "--langevin.delta" in text and "--energy-l2" in text and "\n" not in text
    events = [m["event"] for m in folder.metrics() if "event" in m]
    assert events == TRIES * ["diverged"] + ["gave up"]
    assert learner.step_scale == 0.5**TRIES
    assert iterations(folder)  # there is still something to sample from


def test_long_health_forgets_old_tries(monkeypatch: pytest.MonkeyPatch, runs: Runs) -> None:
    monkeypatch.setattr("coopnets.train.HEALTHY", 2)
    assert HEALTHY > 2

    def script(t: int, attempt: int) -> None:
        if t == 4 + 4 * attempt and t < 40:
            raise Diverged("now and then")

    progress = runs(Scripted(script), steps=42)
    assert progress.attempt == 9 > TRIES and progress.iteration == 42


def test_kill_right_after_a_roll_back_keeps_what_it_decided(runs: Runs) -> None:
    def script(t: int, attempt: int) -> None:
        diverge_at(7, 1)(t, attempt)
        if attempt:
            raise Killed

    with pytest.raises(Killed):
        runs(Scripted(script))
    after = Scripted()
    progress = runs(after)
    assert after.visited[0] == (6, 1, 0.5)
    assert (progress.tries, progress.attempt) == (1, 1)


def test_kill_later_keeps_what_was_decided(runs: Runs) -> None:
    def script(t: int, attempt: int) -> None:
        diverge_at(7, 1)(t, attempt)
        if attempt and t == 10:
            raise Killed

    with pytest.raises(Killed):
        runs(Scripted(script))
    after = Scripted()
    runs(after)
    assert after.visited[0] == (9, 1, 0.5)


def test_kill_within_a_roll_back_is_finished_by_the_next_run_and_only_once(
    monkeypatch: pytest.MonkeyPatch, runs: Runs, folder: RunFolder
) -> None:
    """Second try, back to 3: killed after the decision is written, before 6 is deleted."""
    forget = checkpoint.forget_after

    def killed(where: Path, iteration: int) -> None:
        if iteration == 3:
            raise Killed
        forget(where, iteration)

    monkeypatch.setattr(checkpoint, "forget_after", killed)
    with pytest.raises(Killed):
        runs(Scripted(diverge_at(7, 2)))
    assert iterations(folder)[0] == 6
    monkeypatch.undo()
    after = Scripted()
    runs(after, steps=9)
    assert after.visited[0] == (3, 2, 0.25)
    again = Scripted()
    runs(again)
    assert again.visited[0] == (9, 2, 0.25)  # what was made since is not discarded


def test_state_survives_a_checkpoint_bit_for_bit(runs: Runs, folder: RunFolder) -> None:
    learner = Scripted()
    runs(learner)
    learner.step_scale, learner.rate_scale = 0.25, 0.125
    other = Scripted()
    found = checkpoint.whole(folder.checkpoints)[0]
    restore(other, found.tensors(), {**found.state, "step_scale": 0.25, "rate_scale": 0.125})
    before, after = state_tensors(learner), state_tensors(other)
    assert before.keys() == after.keys()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert state_numbers(learner) == state_numbers(other)
    kinds = {k.split(".")[0] for k in before}
    assert kinds == {"network", "average", "optimizer", "memory"}


def test_resumed_run_visits_every_iteration_once(
    runs: Runs, folder: RunFolder, said: list[str]
) -> None:
    def script(t: int, _: int) -> None:
        if t == 8:
            raise Killed

    with pytest.raises(Killed):
        runs(Scripted(script))
    after = Scripted()
    runs(after)
    assert [t for t, *_ in after.visited] == [6, 7, 8, 9, 10, 11]
    assert any("going on from iteration 6" in line for line in said)
    logged = [m["iteration"] for m in folder.metrics()]
    assert logged == sorted(set(logged)) and logged[-1] == 12
    assert iterations(folder) == [12, 9, 6]


def test_batches_follow_the_order_of_the_data(runs: Runs, images: ImageData) -> None:
    """Iteration t sees batch t, and one epoch sees every image once."""
    learner, seen = Scripted(), []
    learner.iterate = lambda x, t, attempt=0: (
        seen.append(x) or Cooperation.iterate(learner, x, t, attempt)
    )
    runs(learner, steps=5)
    for t, x in enumerate(seen):
        assert torch.equal(x, images.batch(batch_indices(40, 8, t, CONFIG.seed)))
    rows = torch.cat(seen).flatten(1)
    everything = images.batch(torch.arange(40)).flatten(1)
    assert torch.equal(rows.unique(dim=0), everything.unique(dim=0))


def test_mirrors_come_back_after_a_resumption(runs: Runs, images: ImageData) -> None:
    """Images are mirrored, each as the order says, and a resumed run sees the same ones."""
    seen: dict[int, Tensor] = {}

    class Watching(Scripted):
        def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
            seen[t] = x.clone()
            return super().iterate(x, t, attempt)

    for steps in (5, 12):
        learner = Watching()
        learner.config = replace(CONFIG, flip=True)
        runs(learner, steps=steps)
    assert sorted(seen) == list(range(12))
    for t, x in seen.items():
        plain = images.batch(batch_indices(len(images), CONFIG.batch_size, t, CONFIG.seed))
        turned = mirrored(CONFIG.batch_size, t, CONFIG.seed)
        assert torch.equal(x[turned], plain[turned].flip(3))
        assert torch.equal(x[~turned], plain[~turned])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_is_told_to_the_caller(runs: Runs, number: int) -> None:
    def ask(t: int, _: int) -> None:
        if t == 4:
            os.kill(os.getpid(), number)

    stopped = runs(Scripted(ask))
    assert stopped.interrupted and stopped.iteration == 5
    finished = runs(Scripted())
    assert not finished.interrupted and finished.iteration == 12


def test_damaged_checkpoint_is_told_and_the_one_before_taken(
    runs: Runs, folder: RunFolder, said: list[str]
) -> None:
    runs(Scripted())
    file = folder.checkpoints / "00000012" / checkpoint.TENSORS
    file.write_bytes(file.read_bytes()[:100])
    after = Scripted()
    runs(after, steps=13)
    assert after.visited[0][0] == 9
    assert any("1 damaged" in line for line in said)


def test_only_damaged_checkpoints_do_not_silently_start_over(
    runs: Runs, folder: RunFolder
) -> None:
    runs(Scripted())
    for path in folder.checkpoints.iterdir():
        (path / checkpoint.STATE).unlink()
    with pytest.raises(RunError, match="--fresh"):
        runs(Scripted())


def test_finished_run_is_left_as_it_is(runs: Runs, folder: RunFolder) -> None:
    runs(Scripted())
    file = folder.checkpoints / "00000012" / checkpoint.TENSORS
    before, again = file.read_bytes(), Scripted()
    assert runs(again).iteration == 12
    assert again.visited == [] and file.read_bytes() == before


def test_more_steps_go_on(runs: Runs) -> None:
    runs(Scripted(), steps=4)
    after = Scripted()
    runs(after, steps=6)
    assert [t for t, *_ in after.visited] == [4, 5]


def test_time_budget_counts_all_resumptions(runs: Runs) -> None:
    first = runs(Scripted(), steps=None, max_time=0.2)
    assert first.iteration >= 1 and first.seconds >= 0.2
    again = Scripted()
    runs(again, steps=None, max_time=0.2)
    assert again.visited == []


def test_full_disk_ends_with_an_error_and_keeps_the_last_checkpoint(
    runs: Runs, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = checkpoint.save_file

    def save_file(tensors: dict[str, Tensor], file: Path) -> None:
        if "00000009" in str(file):
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, file)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", save_file)
        with pytest.raises(RunError, match="No space left"):
            runs(Scripted())
    assert iterations(folder)[0] == 6
    after = Scripted()
    assert runs(after).iteration == 12
    assert after.visited[0][0] == 6


def test_older_state_has_one_scale_for_step_and_rate(runs: Runs, folder: RunFolder) -> None:
    runs(Scripted())
    found, other = checkpoint.whole(folder.checkpoints)[0], Scripted()
    older = {k: v for k, v in found.state.items() if k != "rate_scale"}
    restore(other, found.tensors(), {**older, "step_scale": 0.25})
    assert (other.step_scale, other.rate_scale) == (0.25, 0.25)


@pytest.mark.parametrize("name", ["network", "average"])
def test_unfinite_state_is_never_saved(runs: Runs, folder: RunFolder, name: str) -> None:
    """Weights gone bad after the guard looked: the pictures show it, and the state goes back."""

    def script(t: int, attempt: int) -> None:
        if (t, attempt) == (8, 0):
            nets = learner.averages if name == "average" else learner.networks
            with torch.no_grad():
                for p in nets["generator"].parameters():
                    p.fill_(torch.nan)

    learner = Scripted(script)
    runs(learner)
    for found in checkpoint.whole(folder.checkpoints):
        for k, v in found.tensors().items():
            assert torch.isfinite(v).all(), (found.iteration, k)
    assert learner.step_scale == 0.5


def test_divergence_at_the_very_end_still_finishes(runs: Runs) -> None:
    """The last pictures are not finite: training goes back and then on to its end."""

    def script(t: int, attempt: int) -> None:
        if (t, attempt) == (10, 0):
            with torch.no_grad():
                for p in learner.averages["generator"].parameters():
                    p.fill_(torch.nan)

    learner = Scripted(script)
    assert runs(learner, steps=11).iteration == 11


def test_lines_of_the_log(runs: Runs, folder: RunFolder, images: ImageData) -> None:
    seen: list[dict[str, Any]] = []
    train(Scripted(), images, folder, Budget(steps=6, log_every=3), say=str, watch=seen.append)
    assert seen == folder.metrics() and [m["iteration"] for m in seen] == [3, 6]
    for line in seen:
        assert json.loads(json.dumps(line)) == line
        assert line["images_per_second"] == pytest.approx(8 / line["seconds_all"], rel=1e-4)
        assert 0 < line["langevin_share"] < 1
        assert line["seconds_d1"] < line["seconds_all"]


def test_pictures_show_the_same_latent_vectors(runs: Runs, folder: RunFolder) -> None:
    runs(Scripted())
    assert sorted(p.stem for p in folder.grids.iterdir()) == [
        "00000003", "00000006", "00000009", "00000012",
    ]  # fmt: skip
