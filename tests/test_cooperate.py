"""One cooperative iteration against the algorithm written out by hand."""

import copy

import pytest
import torch
from torch import Tensor

from coopnets import cooperate
from coopnets.capture import noise_scale
from coopnets.chance import Draws
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError
from coopnets.guard import Diverged
from coopnets.processes import Processes
from small import CONFIG, snapshot, tiny

SIMPLE = {"memory": 0, "teaching": 0, "ema": 0.0}


def observed(t: int = 0, count: int = 8) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(t)) * 2 - 1


def started(**changes: object) -> Cooperation:
    """Networks large enough in weight for every step to matter."""
    big = {
        "descriptor": {"init_std": 0.1, **changes.pop("descriptor", {})},
        "generator": {"init_std": 0.1, **changes.pop("generator", {})},
    }
    return Cooperation(tiny(**big, **changes), Processes())


def weights(c: Cooperation) -> dict[str, Tensor]:
    return snapshot(
        {f"{n}.{k}": v for n, net in c.networks.items() for k, v in net.state_dict().items()}
    )


def undetermined(name: str, norm: str) -> bool:
    """Whether a weight has no gradient but rounding, which Adam blows up.

    f may have any constant added, and batch norm takes away any bias before it.
    """
    before_norm = ("layers.0.bias", "layers.3.bias")
    return name == "top.bias" or (
        norm == "batch" and (name in before_norm or name.endswith("running_mean"))
    )


@pytest.mark.parametrize(("step_scale", "norm"), [(1.0, "batch"), (0.25, "none")])
def test_iterations_are_the_algorithm_by_hand(step_scale: float, norm: str) -> None:
    """G0, D1, D2, G2 with plain autograd and torch's Adam: three iterations, 8 images, 6 chains.

    x~ comes from the descriptor before its step, the generator's target from the same x~, and
    its residual from the same z.
    """
    langevin = {"delta": 0.01, "s": 0.1, "tau": 0.7}
    learner = started(**SIMPLE, langevin=langevin, generator={"norm": norm})
    learner.step_scale = learner.rate_scale = step_scale
    f, g, c = copy.deepcopy(learner.f), copy.deepcopy(learner.g), learner.config
    delta, s, tau = c.langevin.delta * step_scale, c.langevin.s, c.langevin.tau
    adams = [
        torch.optim.Adam([p for p in net.parameters() if p.requires_grad], rate, (0.5, 0.999))
        for net, rate in (
            (f, c.descriptor_optimizer.lr * step_scale),
            (g, c.generator_optimizer.lr),
        )
    ]
    for t in range(3):
        draws = Draws((c.seed, t, 0), torch.device("cpu"), 0, 1)
        z = draws.normal(6, 6)
        decoded = g(z)
        x_hat = decoded.detach()
        x_tilde = x_hat.clone()
        for _ in range(c.langevin.steps):
            point = x_tilde.clone().requires_grad_()
            (slope,) = torch.autograd.grad(f(point).sum(), point)
            e = draws.like(x_tilde)
            x_tilde = x_tilde - delta**2 / 2 * (x_tilde / s**2 - slope) + tau * delta * e
        adams[0].zero_grad()
        (f(x_tilde).sum() / 6 - f(observed(t)).sum() / 8).backward()
        adams[0].step()
        adams[1].zero_grad()
        ((x_tilde - decoded).square().sum() / 6 / (2 * c.sigma**2)).backward()
        adams[1].step()

        made = learner.iterate(observed(t), t)
        torch.testing.assert_close(made.x_hat, x_hat, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(made.x_tilde, x_tilde, rtol=1e-4, atol=1e-5)
    for net, by_hand in ((learner.f, f), (learner.g, g)):
        for k, v in net.state_dict().items():
            if not undetermined(k, norm):
                torch.testing.assert_close(v, by_hand.state_dict()[k], rtol=1e-3, atol=1e-4)


def test_descriptor_gradient_is_the_difference_of_means() -> None:
    """mean over x~ minus mean over x, each by its own count."""
    learner = started()
    x, x_tilde = observed(0, 8), observed(1, 3)
    loss, f_data, f_revised = learner.descriptor_loss(x, x_tilde)
    parameters = list(learner.f.parameters())
    found = torch.autograd.grad(loss, parameters)
    by_row = sum(learner.f(v[None]).sum() / 3 for v in x_tilde) - sum(
        learner.f(v[None]).sum() / 8 for v in x
    )
    for a, b in zip(found, torch.autograd.grad(by_row, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(f_data, learner.f(x).mean().detach())
    torch.testing.assert_close(f_revised, learner.f(x_tilde).mean().detach())


def test_descriptor_step_raises_f_of_data_over_revisions() -> None:
    learner = started(langevin={"delta": 0.05, "s": 0.3})
    x, x_tilde = observed(0), observed(1, 6) * 0.3

    def gap() -> float:
        return (learner.f(x).mean() - learner.f(x_tilde).mean()).item()

    before = gap()
    learner.step(learner.descriptor_loss(x, x_tilde)[0], 0, "descriptor")
    assert gap() > before


def test_generator_loss_is_summed_over_pixels_and_averaged_over_chains() -> None:
    learner = started(sigma=0.5, generator={"norm": "none"})
    z, x_tilde = torch.randn(6, 6), observed(1, 6)
    per_chain = [
        ((v - learner.g(z[i : i + 1])[0]) ** 2).sum() / (2 * 0.5**2) for i, v in enumerate(x_tilde)
    ]
    loss = learner.generator_loss(learner.decode(z)[0], x_tilde)
    torch.testing.assert_close(loss, torch.stack(per_chain).mean())
    doubled = learner.generator_loss(
        learner.decode(torch.cat([z, z]))[0], torch.cat([x_tilde, x_tilde])
    )
    torch.testing.assert_close(doubled, loss)


@pytest.mark.parametrize("s", [0.2, None])
def test_energy_penalty_is_in_stated_units(s: float | None) -> None:
    """In units u = dim(x)/s^2 the loss is mean f~ - mean f + w (mean f^2 + mean f~^2)."""
    unit = 64 / s**2 if s else 64
    x, x_tilde = observed(0), observed(1, 6)
    with_penalty, without = started(energy_l2=0.3, langevin={"s": s}), started()
    f_x, f_tilde = without.f(x) / unit, without.f(x_tilde) / unit
    expected = f_tilde.mean() - f_x.mean()
    torch.testing.assert_close(without.descriptor_loss(x, x_tilde)[0] / unit, expected)
    expected = expected + 0.3 * (f_x.square().mean() + f_tilde.square().mean())
    torch.testing.assert_close(with_penalty.descriptor_loss(x, x_tilde)[0] / unit, expected)


def test_order_revise_infer_descriptor_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """x~ is made once, and serves both networks; the descriptor steps first."""
    learner, done, seen = started(**SIMPLE), [], {}

    def noted(name: str) -> None:
        method = getattr(learner, name)

        def call(*arguments: object) -> object:
            done.append((name, arguments[2]) if name == "step" else name)
            seen[name] = arguments
            return method(*arguments)

        monkeypatch.setattr(learner, name, call)

    for name in ("revise", "descriptor_loss", "generator_loss", "step"):
        noted(name)
    made = learner.iterate(observed(), 0)
    assert done == [
        "revise", "descriptor_loss", ("step", "descriptor"), "generator_loss",
        ("step", "generator"),
    ]  # fmt: skip
    assert seen["descriptor_loss"][1] is seen["generator_loss"][1] is made.x_tilde
    assert not made.x_tilde.requires_grad


def test_each_network_moves_only_in_its_own_step() -> None:
    learner = started(**SIMPLE)
    x_tilde, z = observed(1, 6), torch.randn(6, 6)
    before = weights(learner)
    learner.step(learner.descriptor_loss(observed(), x_tilde)[0], 0, "descriptor")
    middle = weights(learner)
    learner.step(learner.generator_loss(learner.decode(z)[0], x_tilde), 0, "generator")
    after = weights(learner)
    moved = [{k for k in a if not torch.equal(a[k], b[k])} for a, b in
             ((before, middle), (middle, after))]  # fmt: skip
    free = {"descriptor.top.bias"}  # the constant of f has no gradient
    assert moved[0] | free == {k for k in before if k.startswith("descriptor")}
    assert moved[1] and all(k.startswith("generator") for k in moved[1])


def test_step_scale_multiplies_the_step_size() -> None:
    scaled, plain = started(langevin={"delta": 0.04}), started(langevin={"delta": 0.01})
    scaled.step_scale = 0.25
    found = scaled.iterate(observed(), 0).x_tilde
    torch.testing.assert_close(found, plain.iterate(observed(), 0).x_tilde, rtol=0, atol=1e-6)


def test_a_roll_back_halves_the_step_only_where_a_reference_gives_f_its_scale() -> None:
    assert started(langevin={"s": 0.1}).halves_step
    assert not started(langevin={"s": None}).halves_step


def test_no_inference_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def infer(*_: object, **__: object) -> Tensor:
        raise AssertionError("step G1 is off")

    assert CONFIG.posterior.steps == 0
    monkeypatch.setattr(cooperate, "infer", infer)
    started(**SIMPLE).iterate(observed(), 0)


def test_inferred_z_teaches_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step G1 starts from the proposals' own z, given x~, and G2 regresses on what it gives."""
    learner = started(**SIMPLE, posterior={"steps": 2, "delta": 0.3}, sigma=0.7)
    given: dict[str, object] = {}

    def infer(g: object, x: Tensor, z: Tensor, **settings: object) -> Tensor:
        given.update(g=g, x=x, z=z, training=learner.g.training, **settings)
        return z + 1

    def decode(z: Tensor, guess: None) -> tuple[Tensor, None]:
        given.update(taught=z, decoded=Cooperation.decode(learner, z)[0])
        return given["decoded"], guess

    def loss(decoded: Tensor, x_tilde: Tensor) -> Tensor:
        assert decoded is given["decoded"]
        given["target"] = x_tilde
        return Cooperation.generator_loss(learner, decoded, x_tilde)

    monkeypatch.setattr(cooperate, "infer", infer)
    monkeypatch.setattr(learner, "decode", decode)
    monkeypatch.setattr(learner, "generator_loss", loss)
    made = learner.iterate(observed(), 0)
    assert given["x"] is made.x_tilde and given["target"] is made.x_tilde
    assert torch.equal(given["z"], Draws((0, 0, 0), torch.device("cpu"), 0, 1).normal(6, 6))
    assert torch.equal(given["taught"], given["z"] + 1)
    assert (given["steps"], given["delta"], given["sigma"]) == (2, 0.3, 0.7)
    assert given["training"] is False and learner.g.training


def test_inference_improves_the_fit() -> None:
    """With real inference the inferred z explain x~ better than those that proposed it."""
    learner = started(posterior={"steps": 30, "delta": 0.05, "tau": 0.0}, sigma=0.3)
    draws = Draws((1,), torch.device("cpu"), 0, 1)
    z, x = torch.randn(6, 6), observed(1, 6)
    learner.g.eval()
    before = (x - learner.g(z)).square().sum()
    found = learner.infer(x, z, draws)
    learner.g.eval()
    assert (x - learner.g(found)).square().sum() < before


def test_noise_schedules() -> None:
    assert noise_scale(0.8, None, "step", 10**6) == 0.8
    assert [noise_scale(0.8, 10, "step", t) for t in (0, 9, 10, 11)] == [0.8, 0.8, 0.0, 0.0]
    linear = [noise_scale(0.8, 10, "linear", t) for t in (0, 5, 9, 10, 50)]
    assert linear == pytest.approx([0.8, 0.4, 0.08, 0.0, 0.0])
    assert noise_scale(1.0, 0, "linear", 0) == 0


def test_revision_follows_the_noise_schedule() -> None:
    learner = started(langevin={"tau_until": 4, "tau_decay": "linear", "delta": 0.1, "s": None})
    x = torch.zeros(6, 1, 8, 8)
    draws = learner.processes.draws
    noise = [float(learner.revise(x + 0.5, t, draws(t))[1].noise[0]) for t in (0, 2, 4)]
    assert noise == pytest.approx([0.2, 0.1, 0.0])


def test_learning_rate_decays_stepwise() -> None:
    learner = started(**SIMPLE, descriptor_optimizer={"lr": 0.01, "decay": 0.5, "decay_every": 3})
    rates = {}
    for t in (0, 2, 3, 5, 6):
        learner.iterate(observed(t), t)
        rates[t] = [o.param_groups[0]["lr"] for o in learner.optimizers.values()]
    assert [rates[t][0] for t in rates] == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.0025])
    assert {rates[t][1] for t in rates} == {CONFIG.generator_optimizer.lr}


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradient_clip(clip: float | None) -> None:
    learner = started(descriptor_optimizer={"clip": clip})
    loss = learner.descriptor_loss(observed(), observed(1, 6))[0]
    parameters = list(learner.f.parameters())
    free = torch.cat([v.flatten() for v in torch.autograd.grad(loss, parameters,
                                                               retain_graph=True)])  # fmt: skip
    learner.step(loss, 0, "descriptor")
    used = torch.cat([p.grad.flatten() for p in parameters])
    expected = free if clip is None else free * clip / free.norm()
    torch.testing.assert_close(used, expected, rtol=1e-3, atol=1e-8)


def test_teaching_repeats_the_generator_step_on_remembered_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learner, steps = started(teaching=3), []
    monkeypatch.setattr(learner, "step", lambda loss, t, name: steps.append(name))
    learner.iterate(observed(), 0)
    assert steps == ["descriptor"] + 4 * ["generator"]


def test_observed_images_get_noise_of_stated_size(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = started(data_noise=0.2), []

    def loss(x: Tensor, x_tilde: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen.append(x)
        return Cooperation.descriptor_loss(learner, x, x_tilde)

    monkeypatch.setattr(learner, "descriptor_loss", loss)
    learner.iterate(observed(), 0)
    noise = seen[0] - observed()
    assert float(noise.std()) == pytest.approx(0.2, rel=0.1)


def test_random_numbers_are_named_by_iteration_and_attempt() -> None:
    def proposals(t: int, attempt: int = 0) -> Tensor:
        return started().iterate(observed(), t, attempt).x_hat

    assert torch.equal(proposals(3), proposals(3))
    assert not torch.equal(proposals(3), proposals(4))
    assert not torch.equal(proposals(3), proposals(3, 1))


def test_seed_decides_everything() -> None:
    def after(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(torch.seed() % 1000)
        learner = started(seed=seed)
        for t in range(2):
            learner.iterate(observed(t), t)
        return weights(learner)

    first, second, other = after(1), after(1), after(2)
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert not all(torch.equal(v, other[k]) for k, v in first.items())


def test_runaway_iteration_moves_no_weight() -> None:
    learner = started(langevin={"delta": 3.0, "s": None})
    before = snapshot(dict(learner.f.named_parameters()) | dict(learner.g.named_parameters()))
    with pytest.raises(Diverged):
        learner.iterate(observed(), 0)
    after = dict(learner.f.named_parameters()) | dict(learner.g.named_parameters())
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert not learner.memory.written


def test_metrics_say_what_happened() -> None:
    learner = started(**SIMPLE)
    f = copy.deepcopy(learner.f)
    made = learner.iterate(observed(), 0)
    assert made.metrics["f_data"] == pytest.approx(f(observed()).mean().item(), rel=1e-4)
    assert made.metrics["f_revised"] == pytest.approx(f(made.x_tilde).mean().item(), rel=1e-4)
    moved = (made.x_tilde - made.x_hat).square().mean().sqrt().item()
    assert made.metrics["displacement"] == pytest.approx(moved, rel=1e-4)


def test_spectral_norm_stands_still_within_a_chain() -> None:
    learner = started(descriptor={"spectral_norm": True})
    before = snapshot(dict(learner.f.named_buffers()))
    learner.revise(torch.zeros(6, 1, 8, 8), 0, learner.processes.draws(0))
    assert before and all(torch.equal(v, before[k]) for k, v in learner.f.named_buffers())
    assert learner.f.training


def test_counts_must_divide_among_processes() -> None:
    with pytest.raises(CoopNetsError, match="chains"):
        Cooperation(tiny(chains=7), Processes(rank=0, world=2))
    with pytest.raises(CoopNetsError, match="images"):
        Cooperation(tiny(batch_size=7), Processes(rank=0, world=2))
