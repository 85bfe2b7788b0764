"""Nothing is timed unless all compute the same step."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from benchmarks import chain, iteration, rivals
from benchmarks.networks import PlainDescriptor, descriptor, images, last_weight
from benchmarks.port import Port
from coopnets.config import LangevinConfig
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError
from coopnets.presets import preset
from coopnets.processes import Processes

CPU = torch.device("cpu")
CONFIG = replace(preset("demo"), langevin=LangevinConfig(steps=10, delta=0.002))
"""With a reference, whose pull tells a wrong gradient from a wrong step."""


@pytest.fixture(scope="module")
def chains() -> dict[str, rivals.Chain]:
    f = descriptor(CONFIG, CPU)
    made = {
        "naive": rivals.naive(PlainDescriptor(CONFIG, f), CONFIG.langevin),
        "ours": rivals.ours(f, CONFIG.langevin),
        "ours bf16": rivals.ours(f, CONFIG.langevin, "bf16"),
    }
    if rivals.has_torchebm():
        made["torchebm"] = rivals.torchebm(f, CONFIG.langevin)
    return made


def wrong(change: Callable[[Tensor, Tensor], Tensor], right: rivals.Chain) -> rivals.Chain:
    """A chain whose end is changed, given where it began."""
    return lambda x, steps, generator: change(x, right(x, steps, generator))


def test_all_compute_the_same_step(chains: dict[str, rivals.Chain]) -> None:
    x = images(CONFIG, 3, CPU)
    rivals.assert_same_step(chains, "naive", x, {"ours bf16": "bf16"})


@pytest.mark.skipif(not rivals.has_torchebm(), reason="TorchEBM is not installed")
def test_torchebm_takes_the_same_chain_and_leaves_no_setting_behind(
    chains: dict[str, rivals.Chain],
) -> None:
    x = images(CONFIG, 3, CPU)
    ends = [chains[k](x, 4, torch.Generator().manual_seed(5)) for k in ("ours", "torchebm")]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-5)
    assert torch.get_float32_matmul_precision() == "highest"


def gradient_alone(steps: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Off by so many times the pull of the reference."""
    c = CONFIG.langevin
    assert c.s is not None
    return lambda x, end: end + steps * c.delta**2 / 2 * x / c.s**2


@pytest.mark.parametrize(
    "change",
    [
        lambda x, end: 2 * x - end,
        lambda x, end: x + 1.01 * (end - x),
        lambda x, end: x.clone(),
        lambda x, end: end * float("nan"),
        lambda x, end: end + 0.01 * CONFIG.langevin.delta * torch.randn_like(x),
        gradient_alone(0.01),
    ],
    ids=["sign", "step size", "nothing", "not a number", "noise", "gradient"],
)
def test_a_wrong_step_is_caught(
    chains: dict[str, rivals.Chain], change: Callable[[Tensor, Tensor], Tensor]
) -> None:
    both = {"naive": chains["naive"], "theirs": wrong(change, chains["naive"])}
    with pytest.raises(CoopNetsError, match=r"step of theirs .* nothing was timed"):
        rivals.assert_same_step(both, "naive", images(CONFIG, 3, CPU), {})


def test_a_wrong_gradient_in_bf16_is_caught(chains: dict[str, rivals.Chain]) -> None:
    """bf16 is allowed its rounding, and no more."""
    both = {"naive": chains["naive"], "x": wrong(gradient_alone(0.5), chains["ours bf16"])}
    with pytest.raises(CoopNetsError, match="step of x"):
        rivals.assert_same_step(both, "naive", images(CONFIG, 3, CPU), {"x": "bf16"})


def test_a_wrong_competitor_stops_the_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    naive = rivals.naive

    def without_noise(f: torch.nn.Module, c: object) -> rivals.Chain:
        return naive(f, replace(CONFIG.langevin, tau=0.0))

    monkeypatch.setattr(rivals, "naive", without_noise)
    monkeypatch.setattr(chain, "interleave", lambda *_: pytest.fail("was timed"))
    file = f"{tmp_path}/x.json"
    assert chain.main(["--quick", "--out", file]) == 1
    assert "nothing was timed" in capsys.readouterr().err


def test_the_naive_loop_does_sum_up_weight_gradients() -> None:
    """Else it would not be the loop that it stands for."""
    plain = PlainDescriptor(CONFIG, descriptor(CONFIG, CPU))
    x, generator = images(CONFIG, 2, CPU), torch.Generator()
    rivals.naive(plain, CONFIG.langevin)(x, 1, generator)
    once = last_weight(plain).grad
    assert once is not None
    size = float(once.abs().sum())
    rivals.naive(plain, CONFIG.langevin)(x, 3, generator)
    assert float(last_weight(plain).grad.abs().sum()) > 2 * size > 0


@pytest.fixture
def learners() -> tuple[Cooperation, Port]:
    config = iteration.settings(iteration.IterationOptions(preset="cifar", quick=True))
    learner = Cooperation(replace(config, layout="channels_last", precision="fp32"), Processes())
    learner.f.load_state_dict(descriptor(config, CPU).state_dict())
    return learner, Port(config, learner.f, learner.g)


def test_the_ports_iteration_learns_as_ours(learners: tuple[Cooperation, Port]) -> None:
    """Same data and latents, no noise: the same gradients, so that Adam takes the same steps."""
    learner, port = learners
    x = images(learner.config, learner.config.batch_size, CPU)
    iteration.assert_same({"ours fp32": learner}, port, x)
    before = [p.detach().clone() for p in port.f.parameters()]
    learner.iterate(x, 0)
    port.iterate(x, learner.processes.draws(learner.config.seed, 0, 0).generator)
    moved = 0.0
    for mine, theirs, start in zip(
        learner.f.parameters(), port.f.parameters(), before, strict=True
    ):
        moved = max(moved, float((theirs - start).detach().abs().max()))
        # Adam's first step is the sign of the gradient times the rate: nearly all signs agree.
        same = ((mine - start).sign() == (theirs - start).sign()).float().mean()
        assert float(same) > 0.9 or start.ndim == 1
    assert moved > 0


def test_another_chain_of_clips_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    config = iteration.settings(iteration.IterationOptions(preset="dynamic-texture", quick=True))
    config = replace(config, layout="channels_last", precision="fp32")
    learner, x = Cooperation(config, Processes()), images(config, 2, CPU)
    learner.f.load_state_dict(descriptor(config, CPU).state_dict())
    iteration.assert_same_chain({"ours fp32": learner}, x)
    ours = rivals.ours
    monkeypatch.setattr(
        rivals, "ours", lambda *given: wrong(lambda x, end: x + 1.1 * (end - x), ours(*given))
    )
    with pytest.raises(CoopNetsError, match="so nothing was timed"):
        iteration.assert_same_chain({"ours fp32": learner}, x)


def test_another_gradient_of_the_port_is_caught(learners: tuple[Cooperation, Port]) -> None:
    learner, port = learners
    with torch.no_grad():
        last_weight(port.f).mul_(1.01)
    x = images(learner.config, 4, CPU)
    with pytest.raises(CoopNetsError, match="so nothing was timed"):
        iteration.assert_same({"ours fp32": learner}, port, x)
