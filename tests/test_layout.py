"""Which memory layout networks take, and that it changes nothing but speed."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from coopnets import layout
from coopnets.cli import main
from coopnets.config import OptimizerConfig
from coopnets.cooperate import Cooperation
from coopnets.learner import restore, state_numbers, state_tensors
from coopnets.models import Descriptor
from coopnets.optimize import make_optimizer, step, trained
from coopnets.presets import preset
from coopnets.processes import Processes
from coopnets.runfolder import RunFolder
from small import tiny, train_command

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Records every measurement, which finds contiguous the slower by far; no cache yet."""
    monkeypatch.setenv("COOPNETS_CACHE", str(tmp_path / "cache"))
    tried: list[str] = []

    def seconds(config: object, kind: str, device: torch.device) -> float:
        tried.append(kind)
        return {"contiguous": 2.0, "channels_last": 1.0}[kind]

    monkeypatch.setattr(layout, "_seconds", seconds)
    return tried


def test_the_faster_one_is_taken_and_remembered(measured: list[str]) -> None:
    config = replace(tiny(), precision="fp32", layout="auto")
    assert layout.resolve_layout(config, Processes()) == "channels_last"
    assert measured.count("contiguous") == measured.count("channels_last") == layout.TRIALS
    assert layout.resolve_layout(config, Processes()) == "channels_last"
    assert len(measured) == 2 * layout.TRIALS  # the same machine and settings: not again
    layout.resolve_layout(replace(config, size=12), Processes())
    assert len(measured) == 4 * layout.TRIALS


def test_a_named_one_is_taken_unmeasured(measured: list[str]) -> None:
    config = replace(tiny(), layout="contiguous")
    assert layout.resolve_layout(config, Processes()) == "contiguous" and not measured


def test_of_two_that_measure_at_once_the_first_decides(
    measured: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = replace(tiny(), layout="auto")
    layout.resolve_layout(config, Processes())
    (file,) = (tmp_path / "cache").glob("layout-*")
    file.unlink()

    def beaten_to_it(config: object, device: torch.device) -> str:
        file.write_text("contiguous")
        return "channels_last"

    monkeypatch.setattr(layout, "measure", beaten_to_it)
    assert layout.resolve_layout(config, Processes()) == "contiguous"


def test_real_measurement_of_a_real_network() -> None:
    assert layout.measure(replace(preset("digits"), precision="fp32"), CPU) in layout.FORMATS


def test_a_run_keeps_its_layout(array: Path, tmp_path: Path, measured: list[str]) -> None:
    """The machine's habits may change between two halves of a run; the run must not."""
    run = tmp_path / "run"
    assert main(train_command(array, run, steps=2)) == 0
    assert RunFolder(run).config().layout == "channels_last"
    for file in (tmp_path / "cache").glob("layout-*"):
        file.write_text("contiguous")
    assert main(train_command(array, run, steps=4)) == 0


def test_optimiser_steps_do_not_depend_on_the_layout() -> None:
    """Fused Adam walks through memory: parameter, gradient and moments must lie alike."""
    torch.manual_seed(0)
    plain = Descriptor(preset("digits").descriptor, 28, 1)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    settings = OptimizerConfig(lr=1e-3)
    x = torch.rand(4, 1, 28, 28)
    for net in (plain, last):
        optimizer = make_optimizer(net, settings)
        for t in range(2):
            gradients = torch.autograd.grad(net(x).mean(), trained(optimizer))
            step(optimizer, gradients, settings, t, Processes())
    for a, b in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4)


def test_state_restored_into_another_layout_goes_on_the_same() -> None:
    """What a checkpoint holds is contiguous; the moments take their parameters' layout."""
    x = torch.rand(8, 1, 8, 8) * 2 - 1
    learner = Cooperation(tiny(layout="channels_last"), Processes())
    learner.iterate(x, 0)
    stored = {k: v.detach().clone().contiguous() for k, v in state_tensors(learner).items()}
    other = Cooperation(tiny(layout="channels_last"), Processes())
    restore(other, stored, state_numbers(learner))
    for optimizer in other.optimizers.values():
        for p, slots in optimizer.state.items():
            assert slots["exp_avg"].stride() == p.stride()
    for one in (learner, other):
        one.iterate(x, 1)
    after, again = state_tensors(learner), state_tensors(other)
    assert all(torch.equal(after[k], again[k]) for k in after)
