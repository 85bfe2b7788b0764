"""Captured chains compute what uncaptured ones do; a stand-in records where there is no GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from coopnets import capture
from coopnets.capture import Chains
from coopnets.cli import main
from coopnets.config import Config
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError, RunError
from coopnets.learner import Learner, state_tensors
from coopnets.methods import build, recipe
from coopnets.processes import Processes
from coopnets.validate import validate
from small import snapshot, tiny, train_command

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Tape:
    """Records by keeping the work, which reads and writes fixed places, and doing it again.

    Like a graph it warms up first, which must leave no trace.
    """

    def __init__(self) -> None:
        self.recordings = self.replays = 0

    def __call__(self, work: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
        self.recordings += 1
        work()

        def replay() -> None:
            self.replays += 1
            work()

        return replay


def taped(config: Config, tape: Tape) -> Any:
    learner: Any = build(config, Processes(), 40)
    learner.chains = Chains(learner.f, learner.processes, capture=True, record=tape)
    return learner


def after(learner: Learner, iterations: int) -> dict[str, torch.Tensor]:
    for t in range(iterations):
        learner.iterate(X, t)
    return snapshot(state_tensors(learner))


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("method", ["coopnets", "descriptor"])
def test_a_recorded_run_is_the_run(method: str) -> None:
    """Weights move between replays, and memory is recalled by numbers drawn after the chain."""
    config, tape = recipe(tiny(capture=True), method), Tape()
    expected = after(build(config, Processes(), 40), 4)
    assert_equal(after(taped(config, tape), 4), expected)
    assert (tape.recordings, tape.replays) == (1, 4)


def test_without_a_gpu_nothing_is_recorded() -> None:
    asked, plain = (Cooperation(tiny(capture=c), Processes()) for c in (True, False))
    assert asked.chains.record is None
    assert_equal(after(asked, 2), after(plain, 2))


def test_what_a_recording_holds_fast_is_recorded_anew() -> None:
    """A halved step, the end of the noise, other places of the weights; not other values."""
    config = tiny(langevin={"tau_until": 2})
    tape = Tape()
    learner, plain = taped(config, tape), Cooperation(config, Processes())

    def both(t: int) -> int:
        for one in (learner, plain):
            one.iterate(X, t)
        assert_equal(state_tensors(learner), state_tensors(plain))
        return tape.recordings

    assert [both(0), both(1), both(2), both(3)] == [1, 1, 2, 2]
    learner.step_scale = plain.step_scale = 0.5
    assert [both(4), both(5)] == [3, 3]
    weight = learner.f.top.weight
    weight.data = weight.data.clone()
    assert both(6) == 4


def test_what_was_returned_stays_as_it_was() -> None:
    learner = taped(tiny(), Tape())
    first, trace = learner.revise(X[:6], 0, learner.processes.draws(1))
    kept, energy = first.clone(), trace.energy.clone()
    learner.revise(X[:6], 1, learner.processes.draws(2))
    assert torch.equal(first, kept) and torch.equal(trace.energy, energy)
    assert torch.equal(X[:6], X[:6].clamp(-1, 1))  # the start is not written to


def test_no_steps_need_no_recording() -> None:
    tape = Tape()
    learner = taped(tiny(langevin={"steps": 0}), tape)
    x, _ = learner.revise(X[:6], 0, learner.processes.draws(1))
    assert torch.equal(x, X[:6]) and not tape.recordings


def test_noise_that_fades_cannot_be_recorded() -> None:
    fading = {"tau_until": 10, "tau_decay": "linear"}
    with pytest.raises(CoopNetsError, match="tau-decay step"):
        validate(tiny(capture=True, langevin=fading))
    validate(tiny(langevin=fading))
    validate(tiny(capture=True, langevin={"tau_until": 10}))


def test_the_command_says_once_that_there_is_no_gpu(
    array: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train_command(array, tmp_path / "run", "--capture", steps=3)) == 0
    assert capsys.readouterr().out.count("--capture needs a CUDA device") == 1
    assert main(train_command(array, tmp_path / "plain", steps=3)) == 0
    assert "--capture" not in capsys.readouterr().out


class Cuda:
    """Stands in for the parts of ``torch.cuda`` that record, and notes what is called."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.failure = failure

    def device(self, of: object) -> Any:
        return nullcontext()

    def current_stream(self) -> Any:
        return self

    Stream = current_stream

    def wait_stream(self, other: object) -> None: ...

    @contextmanager
    def stream(self, which: object) -> Iterator[None]:
        self.calls.append("aside")
        yield

    def CUDAGraph(self) -> Any:
        return self

    def register_generator_state(self, generator: torch.Generator) -> None:
        self.calls.append("generator")

    @contextmanager
    def graph(self, graph: object, capture_error_mode: str) -> Iterator[None]:
        self.calls.append("record")
        yield
        if self.failure:
            raise self.failure

    def replay(self) -> None:
        self.calls.append("replay")


def test_order_of_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator is known before anything runs, and kernels are chosen before the recording."""
    cuda = Cuda()
    monkeypatch.setattr(capture.torch, "cuda", cuda)
    replay = capture.cuda_graph(lambda: cuda.calls.append("work"), torch.Generator())
    works = ["work"] * capture.WARM_UPS
    assert cuda.calls == ["generator", "aside", *works, "record", "work"]
    replay()
    assert cuda.calls[-1] == "replay"


def test_what_cannot_be_recorded_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("operation not permitted when stream is capturing\nCompile with ...")
    monkeypatch.setattr(capture.torch, "cuda", Cuda(error))
    with pytest.raises(RunError, match=r"capturing\): leave out --capture$"):
        capture.cuda_graph(lambda: None, torch.Generator())
    monkeypatch.setattr(capture.torch, "cuda", Cuda(torch.OutOfMemoryError("no memory")))
    with pytest.raises(torch.OutOfMemoryError):  # the command line has its own words for it
        capture.cuda_graph(lambda: None, torch.Generator())
