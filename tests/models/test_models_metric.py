"""Chains in another metric keep the law of the energy, and move as the data do."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from coopnets.langevin import revise
from coopnets.models import looped, new_descriptor
from coopnets.models.clips import WIDTHS
from coopnets.models.metric import CEILING, FLOOR, USUAL, Metric, units
from coopnets.presets import preset

CLIP = (2, 3, 6, 5, 5)


def metric(loop: bool = False) -> Metric:
    made = Metric(5, 3)
    scale = torch.rand(5, 5, generator=torch.Generator().manual_seed(0)) + 0.5
    made.begin(torch.rand(3, 1, 5, 5), scale)
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
    a, m = Metric(3, 1), 0.4
    scale = torch.tensor([[0.5, 1.0, 1.5], [1.0, 1.2, 0.8], [0.7, 1.4, 0.6]])
    a.begin(torch.zeros(1, 1, 3, 3), scale)
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
    torch.testing.assert_close(Metric(None, 3).noise(torch.ones(CLIP))[:, :, 2, 2, 2],
                               torch.full((2, 3), 1.5))  # fmt: skip
    checkers = torch.tensor([1.0, -1.0]).repeat(8)
    finest = checkers[:, None, None] * checkers[:, None] * checkers
    kept = Metric(16, 1).noise(finest[None, None])[0, 0, 5, 5, 5]
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


def test_what_is_fixed_pushes_nothing() -> None:
    """f rises with visible pixels alone; hidden ones beside them have no reason to move."""
    x = torch.zeros(CLIP)
    fixed = torch.zeros(CLIP, dtype=torch.bool)
    fixed[..., :3] = True
    revised, _ = revise(
        lambda x: 5 * x[..., :3].flatten(1).sum(1), x, steps=2, delta=0.5, tau=0,
        metric=metric(), fixed=fixed,
    )  # fmt: skip
    assert torch.equal(revised, x)


def test_units_are_the_deviations_within_bounds() -> None:
    deviations = torch.tensor([[0.0, 0.01], [0.02, 9.0]])
    scale = units(deviations)
    torch.testing.assert_close(
        scale.square().mean(), deviations.square().mean() / USUAL**2, rtol=1e-5, atol=0
    )
    assert scale.max() / scale.min() <= CEILING / FLOOR * 1.001
    assert scale[0, 0] > 0
    alike = torch.full((4, 4), USUAL)
    torch.testing.assert_close(units(alike), torch.ones(4, 4))


@pytest.mark.parametrize("kind", ["DEEP", "ST"])
def test_contrast_and_brightness_make_no_difference(kind: str) -> None:
    """Clips a x + b under an f that began with such are to it as clips x: f is the same, and a
    chain moves a times as far."""
    config = replace(preset("dynamic-texture"), size=16, frames=16)
    widths = WIDTHS["descriptor"][kind]
    config = replace(config, descriptor=replace(config.descriptor, clips=kind, channels=widths))
    f = new_descriptor(config)
    assert f.metric is not None
    scale = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) + 0.5
    x = torch.rand(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(1)) - 0.5
    mean, factor, bright = x.mean(2, keepdim=True)[0], 0.25, 0.3
    found = []
    for y, m, s in (
        (x, mean, scale),
        (factor * x + bright, factor * mean + bright, factor * scale),
    ):
        f.metric.begin(m, s)
        revised, _ = revise(lambda x: 300 * f(x), y, steps=3, delta=1.0, tau=0, metric=f.metric)
        found.append((f(y).detach(), revised - y))
    (f_x, moved), (f_y, moved_y) = found
    torch.testing.assert_close(f_x, f_y, rtol=1e-3, atol=1e-4)
    size = float(moved.abs().mean())
    assert size > 0.003
    torch.testing.assert_close(factor * moved, moved_y, rtol=0, atol=0.02 * factor * size)
    with torch.no_grad():
        torch.testing.assert_close(f.collapsed()(y), f(y), rtol=1e-3, atol=1e-3)
