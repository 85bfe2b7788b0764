"""Every method in the training loop: resumption, roll-back, divergence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from methods_small import VARIANTS, changed
from torch import Tensor

from coopnets import checkpoint
from coopnets.config import Config
from coopnets.data import ImageData
from coopnets.errors import DivergenceError
from coopnets.guard import Diverged
from coopnets.learner import Iteration, Learner, state_tensors
from coopnets.methods import build
from coopnets.processes import Processes
from coopnets.runfolder import RunFolder
from coopnets.train import Budget, train

Runs = Callable[..., Learner]
Script = Callable[[Learner, int, int], None]
EXTRAS = {"persistent": "extra.buffer", "generator": "extra.latents"}
EVERY = pytest.mark.parametrize("name", VARIANTS)


@pytest.fixture
def runs(images: ImageData, tmp_path: Path) -> Runs:
    """Trains a method in a folder of tmp_path, a checkpoint every 3 iterations."""

    def run(
        name: str, steps: int, where: str = "run", *,
        script: Script = lambda *_: None, config: Config | None = None,
    ) -> Learner:  # fmt: skip
        config = config or VARIANTS[name]
        learner = build(config, Processes(), len(images))
        iterate = learner.iterate

        def scripted(x: Tensor, t: int, attempt: int = 0) -> Iteration:
            script(learner, t, attempt)
            return iterate(x, t, attempt)

        learner.iterate = scripted  # type: ignore[method-assign]
        folder = RunFolder(tmp_path / where)
        folder.path.mkdir(exist_ok=True)
        folder.start(config, {"source": "x", "fingerprint": "x"}, {}, False)
        budget = Budget(steps=steps, checkpoint_every=3, log_every=2)
        train(learner, images, folder, budget, say=lambda _: None)
        return learner

    return run


def stored(path: Path) -> tuple[int, dict[str, Tensor]]:
    found = checkpoint.whole(path / "checkpoints")[0]
    return found.iteration, found.tensors()


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert not [k for k in a if not torch.equal(a[k], b[k])]


@EVERY
def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    name: str, runs: Runs, tmp_path: Path
) -> None:
    runs(name, 8, "whole")
    runs(name, 4, "broken")
    runs(name, 7, "broken")
    runs(name, 8, "broken")
    (t, whole), (_, broken) = stored(tmp_path / "whole"), stored(tmp_path / "broken")
    assert t == 8 and (name not in EXTRAS or EXTRAS[name] in whole)
    assert_equal(whole, broken)
    pictures = [(tmp_path / where / "grids" / "00000008.png") for where in ("whole", "broken")]
    assert pictures[0].read_bytes() == pictures[1].read_bytes()


@EVERY
def test_all_that_learns_is_in_the_checkpoint(name: str, runs: Runs, tmp_path: Path) -> None:
    """Whatever an iteration changes is stored: the state after a step differs in these alone."""
    learner = runs(name, 3)
    _, before = stored(tmp_path / "run")
    assert_equal(before, {k: v.cpu() for k, v in state_tensors(learner).items()})
    learner.iterate(torch.rand(learner.images, 1, 8, 8) * 2 - 1, 3)
    changed_now = {k for k, v in state_tensors(learner).items() if not torch.equal(v, before[k])}
    for net in learner.networks:
        assert any(k.startswith(f"network.{net}.") for k in changed_now)
    for optimizer in learner.optimizers:
        assert any(k.startswith(f"optimizer.{optimizer}.") for k in changed_now)
    assert name not in EXTRAS or EXTRAS[name] in changed_now


@EVERY
def test_roll_back_returns_to_the_checkpoint_with_half_the_rate(
    name: str, runs: Runs, tmp_path: Path
) -> None:
    visited: list[tuple[int, int, float]] = []
    same: list[bool] = []

    def script(learner: Learner, t: int, attempt: int) -> None:
        visited.append((t, attempt, learner.step_scale))
        if (t, attempt) == (3, 1):
            now = state_tensors(learner)
            same.extend(torch.equal(now[k], v) for k, v in stored(tmp_path / "run")[1].items())
        if (t, attempt) == (5, 0):
            raise Diverged("as the test wishes")

    learner = runs(name, 7, script=script)
    assert visited[5:7] == [(5, 0, 1.0), (3, 1, 0.5)]
    assert same and all(same)
    assert (learner.step_scale, learner.rate_scale) == (0.5, 0.5)
    rates = {
        k: group["lr"] / group["relative"]
        for k, v in learner.optimizers.items()
        for group in v.param_groups
    }
    for k, rate in rates.items():
        assert rate == pytest.approx(getattr(learner.config, f"{k}_optimizer").lr / 2)


def rash(name: str) -> Config:
    """Rates that no network survives."""
    lr: dict[str, Any] = {"lr": 1e30}
    return changed(
        VARIANTS[name], generator_optimizer=lr, critic_optimizer=lr, descriptor_optimizer=lr
    )


@EVERY
def test_rates_far_too_large_end_with_advice_and_a_sound_checkpoint(
    name: str, runs: Runs, tmp_path: Path
) -> None:
    with pytest.raises(DivergenceError) as error:
        runs(name, 40, config=rash(name))
    text = str(error.value)
    assert "-optimizer.lr" in text and "\n" not in text
    events = [m for m in RunFolder(tmp_path / "run").metrics() if "event" in m]
    assert [m["event"] for m in events] == 5 * ["diverged"] + ["gave up"]
    for found in checkpoint.whole(tmp_path / "run" / "checkpoints"):
        assert all(bool(torch.isfinite(v).all()) for v in found.tensors().values())


@EVERY
def test_pictures_are_those_of_the_average(name: str, runs: Runs) -> None:
    """As for cooperative learning: no method is shown by its last weights alone."""
    learner = runs(name, 4)
    shown = learner.show(4)
    assert len(shown) == 1
    with torch.no_grad():
        for net in learner.networks.values():
            for p in net.parameters():
                p.add_(1.0)
    assert torch.equal(learner.show(4)[0], shown[0])
    plain = build(replace(learner.config, ema=0.0), Processes(), 40)
    assert plain.averages == {}


@EVERY
@pytest.mark.parametrize(
    ("other", "rel"), [({"precision": "bf16"}, 0.1), ({"layout": "channels_last"}, 1e-3)]
)
def test_arithmetic_and_layout_hardly_matter(name: str, other: dict[str, Any], rel: float) -> None:
    """An iteration tells much the same, and the losses outside the networks stay in fp32."""
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    told = []
    for changes in ({"layout": "contiguous"}, other):
        learner = build(replace(VARIANTS[name], **changes), Processes(), 40)
        made = learner.iterate(x[: learner.images], 0)
        assert made.x_tilde.dtype == torch.float32
        told.append({k: v for k, v in made.metrics.items() if not k.startswith("seconds")})
    for k, v in told[0].items():
        assert told[1][k] == pytest.approx(v, rel=rel, abs=rel / 10), k
