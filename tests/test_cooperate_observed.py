"""Teaching on observed examples: step G2 by hand, and what the generator has of it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from coopnets import CoopNets, checkpoint
from coopnets.chance import Draws
from coopnets.cli import main
from coopnets.config import ObservedConfig, image_shape
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError
from coopnets.guard import Diverged
from coopnets.presets import PRESETS
from coopnets.processes import Processes
from coopnets.validate import validate
from coopnets.variational import divergence
from small import snapshot, tiny, train_command

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
        residual = float((x - again).detach().square().mean()) ** 0.5
        assert made.metrics["observed_residual"] == pytest.approx(residual, rel=1e-4)
        kl = float(divergence(mu, log_variance).detach().mean())
        assert made.metrics["observed_kl"] == pytest.approx(kl, rel=1e-4)
        for theirs, mine in ((g, ours.g), (q, ours.q)):
            for a, b in zip(theirs.parameters(), mine.parameters(), strict=True):
                torch.testing.assert_close(
                    b.grad, a.grad, rtol=1e-3, atol=1e-3 * float(a.grad.abs().max())
                )
                torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-5)


def test_no_kind_of_latent_numbers_is_normalised_by_itself() -> None:
    """Running statistics, which samples are drawn with, are of what training normalises by."""
    ours, seen = Cooperation(tiny(observed={"weight": 1.0}), Processes()), list[Tensor]()
    ours.g.register_forward_hook(lambda net, z, _: seen.append(z[0]) if net.training else None)
    q, x = copy.deepcopy(ours.q), pictures()
    for t in range(2):
        ours.iterate(x, t)
    c = ours.config
    assert len(seen) == 2 * (1 + c.teaching)
    assert {len(z) for z in seen} == {c.chains + c.batch_size}
    draws = Draws((c.seed, 0, 0), torch.device("cpu"), 0, 1)
    assert torch.equal(seen[0][: c.chains], draws.normal(c.chains, 6))
    mu, log_variance = q(x)
    guessed = mu + (log_variance / 2).exp() * draws.like(mu)
    torch.testing.assert_close(seen[0][c.chains :], guessed)
    assert torch.equal(seen[1][c.chains :], seen[0][c.chains :])


def test_what_is_returned_is_of_this_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the remembered pairs that the generator is taught again."""
    ours, made = Cooperation(tiny(observed={"weight": 1.0}), Processes()), []
    revise = ours.revise

    def noted(*arguments: object) -> object:
        made.append(revise(*arguments)[0])
        return made[-1], revise(*arguments)[1]

    monkeypatch.setattr(ours, "revise", noted)
    for t in range(3):
        assert ours.iterate(pictures(), t).x_tilde is made[-1]


def test_the_generator_sees_the_pictures_without_noise() -> None:
    """Noise on the data is for the descriptor."""
    misses = [
        learner(data_noise=noise).iterate(pictures(), 0).metrics["observed_residual"]
        for noise in (0.0, 10.0)
    ]
    assert misses[1] == pytest.approx(misses[0], rel=0.1)


def test_an_encoder_that_ran_away_stops_the_step() -> None:
    ours = learner()
    with torch.no_grad():
        ours.q.top.bias.fill_(float("inf"))
    before = snapshot(ours.g.state_dict())
    with pytest.raises(Diverged, match="observed"):
        ours.iterate(pictures(), 0)
    assert all(torch.equal(v, before[k]) for k, v in ours.g.state_dict().items())


def test_a_roll_back_slows_the_encoder() -> None:
    ours = learner()
    ours.rate_scale = 0.25
    ours.iterate(pictures(), 0)
    rates = {k: v.param_groups[0]["lr"] for k, v in ours.optimizers.items()}
    assert rates["encoder"] == pytest.approx(ours.config.encoder_optimizer.lr / 4)
    assert rates["generator"] == pytest.approx(ours.config.generator_optimizer.lr)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoder_optimizer": {"lr": 0.1}}, "add --observed.weight"),
        ({"observed": {"kl_weight": 2.0}}, "add --observed.weight"),
        ({"observed": {"weight": float("inf")}}, "finite"),
        ({"observed": {"weight": -1.0}}, "at least 0"),
        ({"observed": {"weight": 1.0}, "encoder_optimizer": {"per_position": True}}, "position"),
        ({"observed": {"weight": 1.0}, "batch_size": 1}, "--batch-size"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, object], told: str) -> None:
    with pytest.raises(CoopNetsError, match=told):
        validate(tiny(**changes))


SHORT = {"frames": 32, "size": 32, "batch_size": 2, "chains": 2, "teaching": 0, "memory": 0}


@pytest.mark.parametrize(
    ("preset", "changes", "generator"),
    [
        ("texture", {"batch_size": 2, "chains": 2}, {"channels": (8, 8, 8, 8)}),
        ("dynamic-texture", SHORT, {"clips": "FC_S_128", "channels": (8, 8, 8)}),
        ("tf-dynamic-texture", SHORT, {"channels": (8, 8, 8)}),
        ("dynamic-texture", {**SHORT, "size": 16}, {"clips": "ST", "channels": (4, 4, 4, 4)}),
    ],
    ids=["map", "sequence", "sequence with zeros", "ST"],
)
def test_maps_and_clips_are_taught_too(
    preset: str, changes: dict[str, Any], generator: dict[str, Any]
) -> None:
    """Every layer of the encoder moves, in either layout alike."""
    c = PRESETS[preset]
    told = []
    for layout in ("contiguous", "channels_last"):
        config = replace(
            c, **changes, layout=layout, precision="fp32", observed=ObservedConfig(weight=1.0),
            generator=replace(c.generator, **generator), langevin=replace(c.langevin, steps=1),
        )  # fmt: skip
        ours = Cooperation(config, Processes())
        before = snapshot(dict(ours.q.named_parameters()))
        x = torch.rand(2, *image_shape(config), generator=torch.Generator().manual_seed(0))
        told.append(ours.iterate(x, 0).metrics["observed_residual"])
        still = [k for k, p in ours.q.named_parameters() if torch.equal(p, before[k])]
        assert all(p.requires_grad is False for k, p in ours.q.named_parameters() if k in still)
    assert told[1] == pytest.approx(told[0], rel=1e-4)


def test_without_weight_there_is_no_encoder() -> None:
    plain = learner(weight=0.0)
    assert set(plain.networks) == set(plain.optimizers) == {"descriptor", "generator"}
    assert "observed_residual" not in plain.iterate(pictures(), 0).metrics


def test_the_descriptor_does_not_feel_it() -> None:
    """Its step is that of data and revisions, as without an encoder."""
    ours, without = learner(), learner(0.0)
    made = ours.iterate(pictures(), 0)
    without.step(without.descriptor_loss(pictures(), made.x_tilde)[0], 0, "descriptor")
    state = without.f.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in ours.f.state_dict().items())


def test_the_generator_comes_to_make_what_it_has_seen() -> None:
    """Pictures with one number in them: from the encoder's guesses the generator makes them."""
    grey = torch.linspace(-0.8, 0.8, 8).view(8, 1, 1, 1).expand(8, 1, 8, 8)
    ours = learner(generator_optimizer={"lr": 0.01}, encoder_optimizer={"lr": 0.01})
    first = ours.iterate(grey, 0).metrics["observed_residual"]
    for t in range(1, 100):
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
