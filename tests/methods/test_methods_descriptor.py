"""The descriptor alone: chains, the buffer of persistent ones, and what is learnt."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from methods_small import PERSISTENT, small
from torch import Tensor, nn

from coopnets.config import ChainConfig, Config
from coopnets.errors import CoopNetsError
from coopnets.guard import CHAIN_LIMIT, Diverged, examine_chains
from coopnets.methods import build
from coopnets.methods.descriptor_alone import DescriptorAlone
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.validate import validate
from small import CLIPS


class Quadratic(nn.Module):
    """f(x) = a sum x - b/2 |x|^2: exp f is a normal law of mean a / b and variance 1 / b."""

    metric = None

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.0)), nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        return self.a * x.sum(1) - self.b / 2 * x.square().sum(1)

    def collapsed(self, precision: str = "fp32") -> Callable[[Tensor], Tensor]:
        return self.forward


MEAN, SPREAD, DELTA = 0.4, 0.5, 0.3


@pytest.mark.parametrize("start", ["noise", "persistent"])
def test_energy_of_a_known_law_is_learnt(start: str) -> None:
    """Long chains from noise, or short persistent ones, of a normal law for every pixel."""
    steps = 18 if start == "noise" else 5
    config = small(
        "descriptor", size=4, batch_size=500, chains=500, ema=0.0, data_noise=0.0,
        langevin={"steps": steps, "delta": DELTA, "tau": 1.0},
        chain={"start": start, "buffer": 500, "restart": 0.0},
        descriptor_optimizer={"lr": 0.15, "beta1": 0.5, "decay": 0.5, "decay_every": 20},
    )  # fmt: skip
    learner = DescriptorAlone(config, Processes())
    f = Quadratic()
    learner.f, learner.networks["descriptor"], learner.chains.f = f, f, f  # type: ignore[assignment]
    learner.optimizers["descriptor"] = make_optimizer(f, config.descriptor_optimizer)
    chance = torch.Generator().manual_seed(0)
    for t in range(100):
        x = MEAN + SPREAD * torch.randn(500, 1, 4, 4, generator=chance)
        learner.iterate(x, t)
    # Steps of that length widen the law to 1 / (b (1 - delta^2 b / 4)), which must be SPREAD^2.
    b = (1 - math.sqrt(1 - DELTA**2 / SPREAD**2)) * 2 / DELTA**2
    assert float(f.b.detach()) == pytest.approx(b, rel=0.04)
    assert float((f.a / f.b).detach()) == pytest.approx(MEAN, abs=0.02)


def test_from_noise_each_chain_begins_anew() -> None:
    learner = DescriptorAlone(small("descriptor", chains=2000), Processes())
    starts = [learner.start(Processes().draws(0, t))[0] for t in (0, 1)]
    assert not torch.equal(*starts)
    x = starts[0]
    assert x.shape == (2000, 1, 8, 8) and float(x.abs().max()) <= 1
    assert float(x.square().mean()) == pytest.approx(1 / 3, rel=0.01)
    assert learner.extras == {}


def persistent(**chain: Any) -> DescriptorAlone:
    config = small("descriptor", chains=300, chain={"start": "persistent", **chain})
    return DescriptorAlone(config, Processes())


@pytest.mark.parametrize("restart", [0.0, 0.3, 1.0])
def test_share_of_chains_that_begin_again(restart: float) -> None:
    learner = persistent(buffer=1000, restart=restart)
    learner.extras["buffer"].fill_(5.0)
    count = 0
    for t in range(10):
        x, places = learner.start(Processes().draws(0, t))
        assert places is not None and len(places.unique()) == 300  # no chain twice at once
        anew = (x != 5.0).flatten(1).any(1)
        assert float(x[anew].abs().sum()) == 0 if not anew.any() else float(x[anew].max()) <= 1
        count += int(anew.sum())
    assert abs(count / 3000 - restart) <= 4 * math.sqrt(restart * (1 - restart) / 3000)


def test_a_chain_of_clips_begins_again_as_a_whole() -> None:
    config = replace(CLIPS, method="descriptor", chains=3, memory=0, teaching=0,
                     chain=ChainConfig(start="persistent", buffer=64, restart=0.5))  # fmt: skip
    learner = DescriptorAlone(config, Processes())
    learner.extras["buffer"].fill_(5.0)
    shares = [
        (learner.start(Processes().draws(0, t))[0] != 5.0).flatten(1).float().mean(1)
        for t in range(10)
    ]
    assert set(torch.cat(shares).tolist()) == {0.0, 1.0}


def test_buffer_changes_only_where_chains_ran() -> None:
    learner = persistent(buffer=1000, restart=0.05)
    before = learner.extras["buffer"].clone()
    _, places = learner.start(Processes().draws(0, 7, 0))
    noise = learner.config.data_noise
    made = learner.iterate(torch.rand(8, 1, 8, 8) * 2 - 1, 7)
    after = learner.extras["buffer"]
    changed = (after != before).flatten(1).any(1)
    assert int(changed.sum()) == 300
    assert noise and places is not None  # data noise is drawn first: other places than these
    rows = changed.nonzero()[:, 0]
    ends = made.x_tilde.to(torch.float16)
    assert torch.equal(after[rows].sum((1, 2, 3)).sort()[0], ends.sum((1, 2, 3)).sort()[0])


def test_chains_go_on_where_they_stopped() -> None:
    """With every chain in use and none begun again, the next start is the last stop."""
    learner = persistent(buffer=300, restart=0.0)
    ends = learner.iterate(torch.rand(8, 1, 8, 8) * 2 - 1, 0).x_tilde.to(torch.float16).float()
    starts, _ = learner.start(Processes().draws(0, 1))
    assert torch.equal(starts.flatten(1).sum(1).sort()[0], ends.flatten(1).sum(1).sort()[0])


def test_persistent_chains_are_not_shared_by_processes() -> None:
    with pytest.raises(CoopNetsError, match=r"one, or with --chain\.start noise"):
        build(small("descriptor", **PERSISTENT), Processes(world=2), 40)


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        ({"restart": 1.5}, "at most 1"),
        ({"buffer": 5}, r"at least --chains"),
        ({"restart": -1.0}, "0"),
    ],
)
def test_buffers_that_make_no_sense_are_refused(chain: dict[str, Any], said: str) -> None:
    config: Config = small("descriptor", chain={"start": "persistent", **chain})
    with pytest.raises(CoopNetsError, match=said):
        validate(config)


def test_chains_that_leave_are_a_divergence() -> None:
    examine_chains({"chain_rms": 0.99 * CHAIN_LIMIT, "f_data": -1e9})
    with pytest.raises(Diverged, match="chains have pixels"):
        examine_chains({"chain_rms": 1.01 * CHAIN_LIMIT})
    with pytest.raises(Diverged, match="nan"):
        examine_chains({"chain_rms": math.nan})


def test_chains_that_leave_move_no_weight() -> None:
    learner = DescriptorAlone(
        small("descriptor", langevin={"delta": 1e3, "tau": 1.0}), Processes()
    )
    before = [p.detach().clone() for p in learner.f.parameters()]
    with pytest.raises(Diverged):
        learner.iterate(torch.rand(8, 1, 8, 8), 0)
    assert all(torch.equal(p, q) for p, q in zip(learner.f.parameters(), before, strict=True))
