"""Inference of z from visible pixels against the closed-form posterior of a linear generator."""

import math

import pytest
import torch
from torch import Tensor

from coopnets.complete.latent import Posterior, Search, begin, closest, infer_visible, step
from coopnets.langevin import normal

SIGMA = 0.4
A = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, -1.1], [0.6, 0.1]])
B = torch.tensor([0.1, -0.4, 0.3, 0.0])
VISIBLE = torch.tensor([True, False, True, False]).view(1, 1, 1, 4)
X = torch.tensor([0.9, 0.2, -0.5, 0.7])


def linear(z: Tensor) -> Tensor:
    """g(z) = A z + b as an image (1, 1, 4)."""
    return (z @ A.T + B)[:, None, None]


def exact() -> tuple[Tensor, Tensor]:
    """Mean and covariance of z given the visible pixels of X."""
    seen = VISIBLE.flatten()
    a, rest = A[seen], (X - B)[seen]
    precision = torch.eye(2) + a.T @ a / SIGMA**2
    return torch.linalg.solve(precision, a.T @ rest / SIGMA**2), torch.linalg.inv(precision)


def posterior(count: int) -> Posterior:
    x = X.masked_fill(~VISIBLE.flatten(), float("nan")).expand(count, 1, 1, 4)
    return Posterior(linear, x, VISIBLE, SIGMA)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("starts", [1, 3])
def test_annealed_chain_ends_at_the_posterior_mean(momentum: float, starts: int) -> None:
    search = Search(steps=400, momentum=momentum, trial=5)
    z, error = infer_visible(
        posterior(4), 3 * torch.randn(4, starts, 2, generator=torch.Generator().manual_seed(0)),
        noise=normal(torch.Generator().manual_seed(1)), search=search,
    )  # fmt: skip
    mean, _ = exact()
    torch.testing.assert_close(z, mean.expand(4, 2), rtol=0, atol=1e-4)
    left = ((X - A @ mean - B) * VISIBLE.flatten()).square().sum()
    torch.testing.assert_close(error, left.expand(4), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("momentum", "pace"), [(0.0, 1.2), (0.8, 1.2), (0.6, 0.6)])
def test_noisy_chains_have_the_posterior_law(momentum: float, pace: float) -> None:
    """At any stable step size: the scheme is exact for a linear generator."""
    number = 40_000
    search = Search(steps=80, starts=1, momentum=momentum, pace=pace)
    z, _ = infer_visible(
        posterior(number), torch.zeros(number, 1, 2), search=search, anneal=False,
        noise=normal(torch.Generator().manual_seed(0)),
    )  # fmt: skip
    mean, covariance = exact()
    scale = covariance.diagonal().max().item()
    torch.testing.assert_close(z.mean(0), mean, rtol=0, atol=5 * math.sqrt(scale / number))
    torch.testing.assert_close(
        z.T.cov(), covariance, rtol=0, atol=8 * scale * math.sqrt(2 / number)
    )


def test_without_momentum_a_step_is_the_papers() -> None:
    """z <- z - delta^2/2 dU/dz + delta (e + e') / 2, e and e' the noise of two steps."""
    first, second = torch.tensor([[0.3, -0.8]]), torch.tensor([[-1.1, 0.4]])
    one = posterior(1)
    chains = begin(one, torch.tensor([[0.5, 0.2]]))._replace(curvature=torch.tensor([25.0]))
    settings = {"momentum": 0.0, "pace": 0.5, "tau": 1.0}
    chains = step(one, chains, noise=lambda _: first, **settings)
    half = chains.z + 0.1 / 2 * (first - 0.1 / 2 * chains.slope - 0.1 / 2 * chains.slope)
    slope = chains.z + (((A @ chains.z[0] + B - X) * VISIBLE.flatten()) @ A) / SIGMA**2
    torch.testing.assert_close(chains.slope, slope)
    again = step(one, chains, noise=lambda _: second, **settings)
    torch.testing.assert_close(again.z, half + 0.1 / 2 * second)
    paper = chains.z - 0.1**2 / 2 * slope + 0.1 * (first + second) / 2
    torch.testing.assert_close(again.z, paper)


def test_curvature_is_that_of_the_steepest_direction() -> None:
    """So a scale of a thousand in z does no harm: the chain neither runs away nor stands still."""
    steep = 1000.0
    x = torch.tensor([[[[30.0, 0.2]]]])
    one = Posterior(lambda z: (z * torch.tensor([steep, 1.0]))[:, None, None], x,
                    torch.ones(1, 1, 1, 2, dtype=torch.bool), 1.0)  # fmt: skip
    chains = begin(one, torch.tensor([[1.0, -1.0]]))
    assert float(chains.curvature) == pytest.approx(steep**2, rel=0.01)
    z, _ = infer_visible(
        one, torch.ones(1, 1, 2), noise=torch.zeros_like, search=Search(steps=100, starts=1)
    )
    assert float(z[0, 0]) == pytest.approx(0.03, abs=1e-3)


def test_the_best_start_goes_on() -> None:
    """Two valleys at z = 1 and z = -2: x is in the second, and the trial finds it."""

    def valleys(z: Tensor) -> Tensor:
        return torch.stack([z[:, 0].square(), z[:, 0]], 1)[:, None, None]

    x = torch.tensor([4.0, -2.0]).expand(5, 1, 1, 2)
    full = Posterior(valleys, x, torch.ones(1, 1, 1, 2, dtype=torch.bool), 0.3)
    start = torch.tensor([[1.5], [-1.5], [2.5]]).expand(5, 3, 1)
    z, error = infer_visible(
        full, start, noise=torch.zeros_like, search=Search(steps=60, starts=3, trial=6)
    )
    assert bool((z + 2).abs().max() < 0.05) and bool((error < 0.1).all())
    alone, worse = infer_visible(
        full, start[:, :1], noise=torch.zeros_like, search=Search(steps=60, starts=1)
    )
    assert bool((alone > 0).all()) and bool((worse > error).all())


def test_each_image_has_its_own_mask_and_result() -> None:
    """Rows of a batch do not touch each other."""
    torch.manual_seed(0)
    x, visible = torch.randn(3, 1, 1, 4), torch.rand(3, 1, 1, 4) > 0.4
    start = torch.randn(3, 2, 2)

    def run(rows: slice) -> Tensor:
        part = Posterior(linear, x[rows], visible[rows], SIGMA)
        return infer_visible(part, start[rows], noise=torch.ones_like, search=Search(steps=12))[0]

    together = run(slice(0, 3))
    for i in range(3):
        torch.testing.assert_close(run(slice(i, i + 1)), together[i : i + 1])


def test_closest_are_the_nearest_by_what_is_visible() -> None:
    torch.manual_seed(0)
    images, x = torch.rand(20, 1, 3, 3), torch.rand(4, 1, 3, 3)
    visible = torch.rand(4, 1, 3, 3) > 0.5
    found = closest(images, x.masked_fill(~visible, float("nan")), visible, 5)
    for i in range(4):
        error = ((images - x[i]) * visible[i]).square().sum((1, 2, 3))
        assert found[i].tolist() == error.argsort()[:5].tolist()
