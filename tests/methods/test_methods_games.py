"""DCGAN and W-GAN: the laws of their games."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from methods_small import PENALTY, Factors, Linear, changed, factors, small
from torch import Tensor, nn

from coopnets.data import ImageData, batch_indices
from coopnets.errors import CoopNetsError
from coopnets.learner import Iteration
from coopnets.methods.dcgan import DCGAN
from coopnets.methods.wgan import WGAN, clip_weights, gradient_penalty
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.runfolder import RunFolder
from coopnets.train import Budget, train
from coopnets.validate import validate

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(5)) * 2 - 1


def play(learner: DCGAN | WGAN, critic: nn.Module, g: nn.Module | None = None) -> None:
    """Let other networks play the game."""
    name = "d" if isinstance(learner, DCGAN) else "f"
    setattr(learner, name, critic)
    learner.optimizers["critic"] = make_optimizer(critic, learner.config.critic_optimizer)
    learner.networks["critic"] = critic
    if g is not None:
        learner.g = g  # type: ignore[assignment]
        learner.optimizers["generator"] = make_optimizer(g, learner.config.generator_optimizer)
        learner.networks["generator"], learner.averages = g, {}


def largest(net: nn.Module) -> float:
    """Largest magnitude of a weight."""
    return max(float(p.detach().abs().max()) for p in net.parameters())


def moved(optimizer: torch.optim.Optimizer) -> set[int]:
    """How many steps its parameters have made."""
    return {int(state["step"]) for state in optimizer.state.values()}


# --- DCGAN ---------------------------------------------------------------------------------------


def test_where_d_is_a_half_the_loss_is_two_log_two() -> None:
    learner = DCGAN(small("dcgan"), Processes())
    undecided = Linear(64)
    nn.init.zeros_(undecided.weight)
    play(learner, undecided)
    metrics = learner.iterate(X, 0).metrics
    assert metrics["critic_loss"] == pytest.approx(2 * math.log(2), rel=1e-6)
    assert (metrics["d_data"], metrics["d_generated"]) == (0.5, 0.5)


def test_losses_are_the_cross_entropies_and_g_meets_the_d_that_has_learnt() -> None:
    config = changed(small("dcgan"), critic_optimizer={"lr": 0.1})
    learner, d, g = DCGAN(config, Processes()), Linear(64, 3.0), Factors(factors(64, 6))
    play(learner, d, g)
    before = d.weight.detach().clone()
    with torch.no_grad():
        made = g(Processes().draws(config.seed, 4, 0).normal(8, 6))
    metrics = learner.iterate(X, 4).metrics

    logits = torch.cat([X, made]).flatten(1) @ before
    right = torch.cat([torch.ones(8), torch.zeros(8)])
    each = F.binary_cross_entropy_with_logits(logits, right, reduction="none")
    assert metrics["critic_loss"] == pytest.approx(float(each[:8].mean() + each[8:].mean()))
    assert metrics["d_data"] == pytest.approx(float(logits[:8].sigmoid().mean()))
    assert metrics["d_generated"] == pytest.approx(float(logits[8:].sigmoid().mean()))
    with torch.no_grad():
        after = F.binary_cross_entropy_with_logits(d(made), torch.ones(8))
    assert not torch.equal(before, d.weight)
    assert metrics["generator_loss"] == pytest.approx(float(after), rel=1e-5)


@pytest.mark.parametrize("kind", [DCGAN, WGAN])
def test_batches_of_data_and_of_generated_images_do_not_touch(kind: type) -> None:
    """Batch normalisation sees them one after the other: other images, the same D(data)."""
    found = []
    for scale in (1.0, 5.0):
        learner = kind(small("dcgan" if kind is DCGAN else "wgan"), Processes())
        seen: list[Tensor] = []
        critic = learner.networks["critic"]
        critic.register_forward_hook(lambda _net, _x, out, seen=seen: seen.append(out.detach()))
        with torch.no_grad():
            for p in learner.g.parameters():
                p.mul_(scale)
        learner.iterate(X, 0)
        found.append(seen[:2])
    assert torch.equal(found[0][0], found[1][0])
    assert not torch.allclose(found[0][1], found[1][1])


# --- W-GAN ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [0.01, 0.003])
def test_weights_of_the_critic_stay_within_c(c: float) -> None:
    learner = WGAN(small("wgan", wgan={"clip": c, "critic_steps": 1}), Processes())
    assert largest(learner.f) > 1.1 * c
    for t in range(3):
        learner.iterate(X, t)
        assert largest(learner.f) == pytest.approx(c)
    # The scale of a normalisation among them; the generator's weights are free.
    assert largest(learner.g) > 1.1 * c


def test_clipping_leaves_what_is_within() -> None:
    net = nn.Linear(3, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[-2.0, 0.1, 3.0]]))
    clip_weights(net, 0.5)
    assert torch.allclose(net.weight.detach(), torch.tensor([[-0.5, 0.1, 0.5]]))


def test_distance_of_a_linear_critic_is_that_of_the_means() -> None:
    config = small("wgan", wgan={"critic_steps": 1, "clip": 10.0})
    learner, f, g = WGAN(config, Processes()), Linear(64), Factors(factors(64, 6))
    w = f.weight.detach().clone()
    play(learner, f, g)
    with torch.no_grad():
        made = g(Processes().draws(config.seed, 0, 0).normal(8, 6))
    metrics = learner.iterate(X, 0).metrics
    apart = (X.mean(0) - made.mean(0)).flatten() @ w
    assert metrics["distance"] == pytest.approx(float(apart), rel=1e-5)
    assert metrics["critic_loss"] == -metrics["distance"]


def test_critic_steps_before_each_of_the_generator() -> None:
    learner = WGAN(small("wgan", wgan={"critic_steps": 3}), Processes())
    assert learner.images == 24
    learner.iterate(X.repeat(3, 1, 1, 1), 0)
    assert moved(learner.optimizers["critic"]) == {3}
    assert moved(learner.optimizers["generator"]) == {1}


def test_each_critic_step_has_a_batch_of_its_own(
    images: ImageData, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together an epoch, every image once: no step sees what another one saw."""
    config = small("wgan", wgan={"critic_steps": 5})
    learner, seen = WGAN(config, Processes()), list[Tensor]()
    improve = learner.improve_critic
    monkeypatch.setattr(
        learner, "improve_critic", lambda real, t, d: seen.append(real) or improve(real, t, d)
    )
    folder = RunFolder(tmp_path)
    folder.start(config, {"source": "x", "fingerprint": "x"}, {}, False)
    train(learner, images, folder, Budget(steps=2), say=lambda _: None)
    assert [len(x) for x in seen] == 10 * [8]
    for i, x in enumerate(seen):
        assert torch.equal(x, images.batch(batch_indices(40, 8, i, config.seed)))
    for epoch in (seen[:5], seen[5:]):
        rows = torch.cat(epoch).flatten(1)
        everything = images.batch(torch.arange(40)).flatten(1)
        assert torch.equal(rows.unique(dim=0), everything.unique(dim=0))


@pytest.mark.parametrize("slope", [1.0, 0.25, 3.0])
def test_penalty_of_a_linear_critic_is_the_distance_of_its_slope_from_one(slope: float) -> None:
    epsilon = torch.rand(8, 1, 1, 1)
    found = gradient_penalty(Linear(64, slope), X, torch.zeros_like(X), epsilon)
    assert found.item() == pytest.approx((slope - 1) ** 2, abs=1e-6)


def test_penalty_is_taken_between_data_and_generated_images() -> None:
    """Of f = |x|^2 / 2 the slope is |x|: it tells where it was taken."""
    half_square = lambda x: x.square().flatten(1).sum(1) / 2  # noqa: E731
    fake, ones = 3 * X.flip(0), torch.ones(8, 1, 1, 1)
    for epsilon, x in ((1.0, X), (0.0, fake), (0.3, 0.3 * X + 0.7 * fake)):
        sizes = x.flatten(1).norm(dim=1)
        found = gradient_penalty(half_square, X, fake, epsilon * ones)
        assert found.item() == pytest.approx(float((sizes - 1).square().mean()), rel=1e-5)


def test_penalty_takes_the_place_of_clipping() -> None:
    learner = WGAN(small("wgan", **PENALTY), Processes())
    metrics = learner.iterate(X.repeat(5, 1, 1, 1), 0).metrics
    assert metrics["critic_loss"] == pytest.approx(-metrics["distance"] + 10 * metrics["penalty"])
    assert largest(learner.f) > 0.02


def test_penalty_with_batch_norm_is_refused() -> None:
    validate(small("wgan", **PENALTY))
    with pytest.raises(CoopNetsError, match=r"--critic\.norm none"):
        validate(small("wgan", wgan={"gradient_penalty": 10.0}))


def test_pictures_come_from_running_statistics_one_by_one() -> None:
    """Sample i is the same whatever is drawn with it, whichever method's generator it is."""
    for kind, name in ((DCGAN, "dcgan"), (WGAN, "wgan")):
        learner = kind(small(name, wgan={"critic_steps": 1}), Processes())
        made: Iteration = learner.iterate(X, 0)
        assert made.x_tilde.shape == X.shape
        few, many = learner.show(3)[0], learner.show(9)[0]
        torch.testing.assert_close(few, many[:3], rtol=0, atol=1e-6)
