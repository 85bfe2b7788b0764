"""Teaching on observed examples: step G2 by hand, and what the generator has of it."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from coopnets import CoopNets, checkpoint
from coopnets.chance import Draws
from coopnets.cli import main
from coopnets.cooperate import Cooperation
from coopnets.processes import Processes
from coopnets.variational import divergence
from small import tiny, train_command

WEIGHT, KL = 0.5, 3.0


def learner(weight: float = WEIGHT, **changes: object) -> Cooperation:
    """Networks large enough in weight for every step to matter, and nothing remembered."""
    return Cooperation(
        tiny(
            descriptor={"init_std": 0.1}, generator={"init_std": 0.1, "norm": "none"},
            observed={"weight": weight, "kl_weight": KL}, memory=0, teaching=0, ema=0.0, **changes,
        ),
        Processes(),
    )  # fmt: skip


def pictures(count: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_both_networks_follow_the_bound_and_the_revisions() -> None:
    """Three iterations against plain autograd and torch's Adam, encoder and generator."""
    ours = learner()
    g, q, c = copy.deepcopy(ours.g), copy.deepcopy(ours.q), ours.config
    adams = [torch.optim.Adam(g.parameters(), c.generator_optimizer.lr, (0.5, 0.999)),
             torch.optim.Adam(q.parameters(), c.encoder_optimizer.lr, (0.9, 0.999))]  # fmt: skip
    for t in range(3):
        x = pictures(seed=t)
        made = ours.iterate(x, t)
        draws = Draws((c.seed, t, 0), torch.device("cpu"), 0, 1)
        z = draws.normal(c.chains, 6)
        for _ in range(c.langevin.steps):
            draws.like(made.x_tilde)
        mu, log_variance = q(x)
        again = g(mu + (log_variance / 2).exp() * draws.like(mu))

        def misses(x: Tensor, y: Tensor) -> Tensor:
            return (x - y).square().sum((1, 2, 3)).mean() / (2 * 0.3**2)

        bound = misses(x, again) + KL * divergence(mu, log_variance).mean()
        for adam in adams:
            adam.zero_grad()
        (misses(made.x_tilde, g(z)) + WEIGHT * bound).backward()
        for adam in adams:
            adam.step()
        residual = float((x - again).square().mean()) ** 0.5
        assert made.metrics["observed_residual"] == pytest.approx(residual, rel=1e-4)
        for theirs, mine in ((g, ours.g), (q, ours.q)):
            for a, b in zip(theirs.parameters(), mine.parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_without_weight_there_is_no_encoder() -> None:
    plain = learner(weight=0.0)
    assert set(plain.networks) == set(plain.optimizers) == {"descriptor", "generator"}
    assert "observed_residual" not in plain.iterate(pictures(), 0).metrics


def test_the_descriptor_does_not_feel_it() -> None:
    """Its first step is the same, as proposals and revisions are those of the same weights."""
    states = []
    for weight in (0.0, WEIGHT):
        ours = learner(weight)
        ours.iterate(pictures(), 0)
        states.append(ours.f.state_dict())
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())


def test_the_generator_comes_to_make_what_it_has_seen() -> None:
    """Pictures with one number in them: from the encoder's guesses the generator makes them."""
    grey = torch.linspace(-0.8, 0.8, 8).view(8, 1, 1, 1).expand(8, 1, 8, 8)
    ours = learner(generator_optimizer={"lr": 0.01}, encoder_optimizer={"lr": 0.01})
    first = ours.iterate(grey, 0).metrics["observed_residual"]
    for t in range(1, 150):
        last = ours.iterate(grey, t).metrics["observed_residual"]
    assert first > 0.4 and last < 0.25
    with torch.no_grad():
        made = ours.g(ours.q(grey)[0]).mean((1, 2, 3))
    assert float(torch.corrcoef(torch.stack([made, grey[:, 0, 0, 0]]))[0, 1]) > 0.97


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(array: Path, tmp_path: Path) -> None:
    more = ["--observed.weight", "0.5", "--encoder-optimizer.clip", "1"]
    for steps, where in ((6, "whole"), (3, "broken"), (6, "broken")):
        assert main(train_command(array, tmp_path / where, *more, steps=steps)) == 0
    whole, broken = (
        checkpoint.whole(tmp_path / where / "checkpoints")[0].tensors()
        for where in ("whole", "broken")
    )
    assert whole.keys() == broken.keys()
    assert any(k.startswith("network.encoder.") for k in whole)
    assert any(k.startswith("optimizer.encoder.") for k in whole)
    assert not [k for k in whole if not torch.equal(whole[k], broken[k])]


def test_trained_networks_sample_without_the_encoder(array: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(train_command(array, run, "--observed.weight", "0.5", steps=2)) == 0
    model = CoopNets.from_pretrained(run)
    assert set(model.networks) == {"descriptor", "generator"}
    assert model.sample(3).shape == (3, 1, 8, 8)
