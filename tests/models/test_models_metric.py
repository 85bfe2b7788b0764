"""Chains in another metric keep the law of the energy, and move as the data do."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from coopnets.langevin import revise
from coopnets.models import looped, new_descriptor
from coopnets.models.metric import CEILING, FLOOR, Metric, relative
from coopnets.presets import preset

CLIP = (2, 3, 6, 5, 5)


def metric(loop: bool = False) -> Metric:
    made = Metric(5)
    made.begin(torch.rand(5, 5, generator=torch.Generator().manual_seed(0)) + 0.5)
    made.loop = loop
    return made


@pytest.mark.parametrize("loop", [False, True])
def test_the_drift_is_the_noise_matrix_twice(loop: bool) -> None:
    """A A^T g, where A^T comes from automatic differentiation of A e."""
    a = metric(loop)
    e, g = torch.randn(CLIP, requires_grad=True), torch.randn(CLIP)
    (transposed,) = torch.autograd.grad((a.noise(e) * g).sum(), e)
    torch.testing.assert_close(a.drift(g), a.noise(transposed), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(a.drift(g), g, atol=0.1)


def test_the_law_of_a_gaussian_energy_is_the_same() -> None:
    """U = |x - m|^2 / 2 in a metric that is far from the identity: chains stay at N(m, I).

    A step eps multiplies the deviation along an eigenvector of A A^T by 1 - eps^2 lambda / 2, and
    the stationary variance is 1 / (1 - eps^2 lambda / 4): within 3 % of 1 for lambda up to 12.
    """
    a, m = Metric(3), 0.4
    a.begin(torch.tensor([[0.5, 1.0, 1.5], [1.0, 1.2, 0.8], [0.7, 1.4, 0.6]]))
    x = m + torch.randn(20_000, 1, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    x, _ = revise(
        lambda x: -(x - m).square().flatten(1).sum(1) / 2, x, steps=200, delta=0.3, metric=a,
        noise=torch.Generator().manual_seed(0),
    )  # fmt: skip
    covariance = torch.cov(x.flatten(1).T)
    assert (x.mean(0) - m).abs().max() < 0.05
    assert (covariance - torch.eye(27)).abs().max() < 0.09


def test_the_trace_tells_the_noise_that_was_added() -> None:
    """Under an f without slope nothing else moves x."""
    x = torch.rand(50, 3, 6, 5, 5) + 0.5
    moved, trace = revise(
        lambda x: 0 * x.flatten(1).sum(1), x, steps=1, delta=0.1, metric=metric(),
        noise=torch.Generator().manual_seed(0),
    )  # fmt: skip
    added = (moved - x).square().mean().sqrt() / x.square().mean().sqrt()
    torch.testing.assert_close(trace.noise[0], added, rtol=1e-4, atol=0)


def test_noise_is_as_strong_as_the_data_move_there_and_smooth() -> None:
    a = metric()
    noise = a.noise(torch.randn(4000, 1, 6, 5, 5, generator=torch.Generator().manual_seed(1)))
    inner = noise[:, 0, 2:4, 1:4, 1:4]
    spread = inner.std((0, 1))
    ratio = spread / a.scale[1:4, 1:4]
    assert (ratio / ratio.mean() - 1).abs().max() < 0.05
    neighbours = (inner[..., :-1, :] * inner[..., 1:, :]).mean() / inner.square().mean()
    assert neighbours > 0.1
    torch.testing.assert_close(Metric(None).noise(torch.ones(CLIP))[:, :, 2, 2, 2],
                               torch.full((2, 3), 1.5))  # fmt: skip
    checkers = torch.tensor([1.0, -1.0]).repeat(8)
    finest = checkers[:, None, None] * checkers[:, None] * checkers
    kept = Metric(16).noise(finest[None, None])[0, 0, 5, 5, 5]
    torch.testing.assert_close(kept, 0.5 * finest[5, 5, 5])


def test_a_loop_has_no_ends() -> None:
    f = new_descriptor(replace(preset("dynamic-texture"), size=16, frames=16))
    assert f.metric is not None
    x = torch.randn(1, 3, 16, 16, 16)

    def turned(x: Tensor) -> Tensor:
        assert f.metric is not None
        return f.metric.drift(x.roll(3, 2)).roll(-3, 2)

    assert not torch.allclose(turned(x), f.metric.drift(x), atol=1e-3)
    with looped(f):
        torch.testing.assert_close(turned(x), f.metric.drift(x))


def test_relative_deviations_are_bounded() -> None:
    deviations = torch.tensor([[0.0, 0.01], [0.02, 9.0]])
    scale = relative(deviations)
    torch.testing.assert_close(scale.square().mean(), torch.tensor(1.0))
    assert scale.max() / scale.min() <= CEILING / FLOOR * 1.001
    assert scale[0, 0] > 0
