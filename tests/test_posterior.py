"""Inference of z against the closed-form posterior of a linear generator."""

import math

import pytest
import torch
from torch import Tensor

from coopnets.models import Generator
from coopnets.posterior import infer
from small import CONFIG

A = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, -1.1]])
B = torch.tensor([0.1, -0.4, 0.3])


def linear(z: Tensor) -> Tensor:
    """g(z) = A z + b as an image (1, 1, 3)."""
    return (z @ A.T + B)[:, None, None]


@pytest.mark.parametrize(("sigma", "tau", "delta"), [(0.7, 1.0, 0.5), (1.5, 0.5, 0.8)])
def test_linear_generator_has_its_gaussian_posterior(
    sigma: float, tau: float, delta: float
) -> None:
    """Mean P^-1 A^T (x - b) / sigma^2 with P = I + A^T A / sigma^2, and the exact covariance.

    The chain z' = z - delta^2/2 P (z - mean) + tau delta e has the stationary covariance
    tau^2 delta^2 (I - (I - delta^2/2 P)^2)^-1, which tends to P^-1 as delta falls.
    """
    number, x = 60_000, torch.tensor([0.9, 0.2, -0.5])
    precision = torch.eye(2) + A.T @ A / sigma**2
    mean = torch.linalg.solve(precision, A.T @ (x - B) / sigma**2)
    keep = torch.eye(2) - delta**2 / 2 * precision
    covariance = tau**2 * delta**2 * torch.linalg.inv(torch.eye(2) - keep @ keep)
    z = infer(
        linear, x.expand(number, 1, 1, 3), torch.zeros(number, 2), steps=100, delta=delta,
        sigma=sigma, tau=tau, noise=torch.Generator().manual_seed(0),
    )  # fmt: skip
    scale = covariance.diagonal().max().item()
    torch.testing.assert_close(z.mean(0), mean, rtol=0, atol=5 * math.sqrt(scale / number))
    torch.testing.assert_close(
        z.T.cov(), covariance, rtol=0, atol=6 * scale * math.sqrt(2 / number)
    )


def test_one_step_by_hand() -> None:
    z, x = torch.tensor([[0.3, -0.2]]), torch.tensor([0.5, 0.1, -0.7])
    slope = -(x - B - A @ z[0]) @ A / 0.4**2
    expected = z - 0.2**2 / 2 * (z + slope) + 0.5 * 0.2
    found = infer(
        linear, x.view(1, 1, 1, 3), z, steps=1, delta=0.2, sigma=0.4, tau=0.5,
        noise=torch.ones_like,
    )  # fmt: skip
    torch.testing.assert_close(found, expected)


def test_each_chain_is_alone() -> None:
    """Row i within a batch is row i by itself: the likelihood is never averaged over the batch."""
    torch.manual_seed(0)
    g = Generator(CONFIG.generator, 8, 1).eval()
    x, z = torch.rand(5, 1, 8, 8) * 2 - 1, torch.randn(5, 6)
    noise = [torch.randn(5, 6) for _ in range(3)]

    def run(rows: slice) -> Tensor:
        steps = iter(noise)
        return infer(g, x[rows], z[rows], steps=3, delta=0.3, noise=lambda _: next(steps)[rows])

    together = run(slice(0, 5))
    for i in range(5):
        torch.testing.assert_close(run(slice(i, i + 1)), together[i : i + 1], rtol=0, atol=1e-6)


def test_invisible_pixels_do_not_count() -> None:
    visible = torch.tensor([[[True, False, True]]])
    x = torch.rand(4, 1, 1, 3)
    other = torch.where(visible, x, 100.0)
    z = torch.randn(4, 2)

    def run(images: Tensor, mask: Tensor | None) -> Tensor:
        noise = torch.Generator().manual_seed(0)
        return infer(linear, images, z, steps=4, delta=0.2, noise=noise, visible=mask)

    assert torch.equal(run(x, visible), run(other, visible))
    assert not torch.allclose(run(x, visible), run(x, None))
    assert torch.equal(run(x, torch.ones_like(visible)), run(x, None))


def test_unseen_image_leaves_the_prior() -> None:
    """Nothing visible: the chain forgets its start and samples N(0, I)."""
    number, delta = 40_000, 0.5
    z = infer(
        linear, torch.zeros(number, 1, 1, 3), torch.full((number, 2), 3.0), steps=60, delta=delta,
        noise=torch.Generator().manual_seed(0), visible=torch.zeros(1, dtype=torch.bool),
    )  # fmt: skip
    exact = delta**2 / (1 - (1 - delta**2 / 2) ** 2)
    assert float(z.mean()) == pytest.approx(3 * (1 - delta**2 / 2) ** 60, abs=0.02)
    assert float(z.var()) == pytest.approx(exact, rel=0.03)


def test_only_z_moves() -> None:
    g = Generator(CONFIG.generator, 8, 1).eval()
    z = torch.randn(3, 6)
    before = z.clone()
    found = infer(g, torch.zeros(3, 1, 8, 8), z, steps=2)
    assert torch.equal(z, before) and not found.requires_grad
    assert all(p.grad is None for p in g.parameters())
    assert torch.equal(infer(g, torch.zeros(3, 1, 8, 8), z, steps=0), z)
