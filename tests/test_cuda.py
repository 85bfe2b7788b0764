"""The same laws on a GPU, where one is at hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from coopnets.config import Config
from coopnets.langevin import revise
from coopnets.learner import Learner, state_tensors
from coopnets.methods import build, recipe
from coopnets.model import CoopNets
from coopnets.processes import Processes
from small import snapshot, tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    """Sums in one order, and no TF32, whose inputs have ten bits."""
    with torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False):
        yield


def learner(config: Config, device: str = "cuda") -> Any:
    return build(config, Processes(device), 40)


def after(one: Learner, first: int, last: int) -> dict[str, torch.Tensor]:
    x = X.to(one.processes.device)
    for t in range(first, last):
        one.iterate(x, t)
    return snapshot(state_tensors(one))


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["coopnets", "descriptor"])
def test_a_captured_run_is_the_run(method: str, precision: str) -> None:
    """Also when the step is halved and when the noise ends, each of which is recorded anew."""
    plain, captured = (
        learner(recipe(tiny(capture=c, precision=precision, langevin={"tau_until": 4}), method))
        for c in (False, True)
    )
    assert captured.chains.record and not plain.chains.record
    assert_equal(after(captured, 0, 3), after(plain, 0, 3))
    plain.step_scale = captured.step_scale = 0.5
    assert_equal(after(captured, 3, 6), after(plain, 3, 6))


def test_a_replay_draws_the_iteration_s_noise() -> None:
    """Not the recording's: two iterations of one learner differ, as do two seeds."""
    one = learner(tiny(capture=True))
    first, _ = one.revise(X[:6].cuda(), 0, one.processes.draws(0))
    again, _ = one.revise(X[:6].cuda(), 0, one.processes.draws(0))
    other, _ = one.revise(X[:6].cuda(), 0, one.processes.draws(1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_chain_on_the_gpu_is_the_chain_on_the_cpu() -> None:
    """The same weights and the same noise; fp32 sums in another order."""
    f = learner(tiny(), "cpu").f.eval()
    noise = torch.randn(5, *X.shape, generator=torch.Generator().manual_seed(1))

    def chain(device: str) -> torch.Tensor:
        drawn = iter(noise.to(device))
        x, _ = revise(
            f.to(device), X.to(device), noise=lambda _: next(drawn), steps=5, delta=0.02,
            s=0.5, tau=1.0, precision="fp32",
        )  # fmt: skip
        return x.cpu()

    expected = chain("cpu")
    assert not torch.allclose(expected, X, atol=1e-3)
    torch.testing.assert_close(chain("cuda"), expected, rtol=1e-4, atol=1e-5)


def test_a_sample_does_not_depend_on_the_device(trained: Path) -> None:
    on_cpu, on_gpu = (
        CoopNets.from_pretrained(trained, device=d).sample(4) for d in ("cpu", "cuda")
    )
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-3)
