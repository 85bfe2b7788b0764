"""The variational bound, against a model whose likelihood is known."""

import math

import pytest
import torch
from methods_small import Factors, factors, small
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from coopnets.methods.vae import VAE
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.variational import divergence, log_likelihood

SIGMA, LATENT, SIDE = 0.5, 3, 4
COPIES = 40_000


class Guess(nn.Module):
    """q(z|x), the same for every x."""

    def __init__(self, mu: Tensor, log_variance: Tensor) -> None:
        super().__init__()
        self.mu, self.log_variance = nn.Parameter(mu), nn.Parameter(log_variance)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mu.expand(len(x), -1), self.log_variance.expand(len(x), -1)


def test_divergence_is_that_of_the_normal_laws() -> None:
    mu, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    q = Normal(mu, (log_variance / 2).exp())
    expected = kl_divergence(q, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mu, log_variance), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(divergence(torch.zeros(2, 3), torch.zeros(2, 3)), torch.zeros(2))


def test_log_likelihood_is_that_of_the_normal_law() -> None:
    x, mean = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3)
    expected = Normal(mean, 0.7).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(log_likelihood(x, mean, 0.7), expected, rtol=1e-5, atol=1e-4)


@pytest.fixture
def model() -> tuple[Tensor, Tensor]:
    """W with orthogonal columns, so that the posterior is diagonal, and an image."""
    q, _ = torch.linalg.qr(factors(SIDE**2, LATENT))
    return q * torch.tensor([0.3, 0.8, 1.5]), 0.7 * factors(SIDE**2, 1, seed=1)[:, 0] * SIDE


def bound(w: Tensor, image: Tensor, guess: Guess) -> float:
    """What the method finds for COPIES of an image, with a factor model for generator."""
    config = small("vae", size=SIDE, batch_size=COPIES, sigma=SIGMA, ema=0.0)
    learner = VAE(config, Processes())
    learner.q, learner.g = guess, Factors(w)  # type: ignore[assignment]
    both = nn.ModuleList([learner.q, learner.g])
    learner.optimizers["generator"] = make_optimizer(both, config.generator_optimizer)
    x = image.view(1, 1, SIDE, SIDE).expand(COPIES, -1, -1, -1)
    return learner.iterate(x, 0).metrics["bound"]


def test_bound_is_the_log_likelihood_less_the_error_of_the_guess(
    model: tuple[Tensor, Tensor],
) -> None:
    w, image = model
    cov = w @ w.t() + SIGMA**2 * torch.eye(SIDE**2)
    exact = float(MultivariateNormal(torch.zeros(SIDE**2), cov).log_prob(image))
    variance = 1 / (1 + w.square().sum(0) / SIGMA**2)
    mean = variance * (w.t() @ image) / SIGMA**2
    posterior = Normal(mean, variance.sqrt())
    for shift, factor in ((0.0, 1.0), (0.4, 1.0), (0.0, 2.0), (-0.3, 0.5)):
        q = Normal(mean + shift, (variance * factor).sqrt())
        error = float(kl_divergence(q, posterior).sum())
        found = bound(w, image, Guess(q.mean, q.variance.log()))
        # E log p(x|z) is drawn, COPIES times; its spread is below two nats here.
        assert found == pytest.approx(exact - error, abs=4 * 2 / math.sqrt(COPIES))
        assert found < exact + 0.04


def test_weight_of_the_divergence_changes_what_is_descended_but_not_what_is_told() -> None:
    """The bound is told with weight 1; learning with a heavier weight ends at a smaller KL."""
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = {}
    for weight in (1.0, 50.0):
        learner = VAE(small("vae", vae={"kl_weight": weight}), Processes())
        first = learner.iterate(x, 0).metrics
        for t in range(1, 60):
            last = learner.iterate(x, t).metrics
        found[weight] = (first["bound"], last["kl"])
    assert found[1.0][0] == found[50.0][0]
    assert found[50.0][1] < 0.5 * found[1.0][1]


def test_both_networks_learn_by_one_optimiser() -> None:
    learner = VAE(small("vae"), Processes())
    before = {k: [p.detach().clone() for p in v.parameters()] for k, v in learner.networks.items()}
    learner.iterate(torch.rand(8, 1, 8, 8), 0)
    for name, net in learner.networks.items():
        assert any(
            not torch.equal(p, q) for p, q in zip(net.parameters(), before[name], strict=True)
        )
    assert set(learner.averages) == {"generator"}  # samples need no encoder
