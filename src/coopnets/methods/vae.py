"""The variational autoencoder: a generator taught by an encoder that guesses z.

Kingma, Welling, *Auto-Encoding Variational Bayes* (ICLR 2014, arXiv 1312.6114): Algorithm 1 with
the estimator of equation 7, in which the divergence is in closed form (appendix B), one draw of z
an image. The decoder is Gaussian, x ~ N(g(z), sigma^2 I), as that of cooperative learning.
"""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.config import Config
from coopnets.guard import examine_numbers
from coopnets.learner import Iteration
from coopnets.methods.generating import (
    arithmetic,
    averages_of,
    descend,
    follow,
    new_generator,
    no_memory,
    numbers,
    placed,
    show_generated,
)
from coopnets.models import Encoder
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.stopwatch import Stopwatch


class VAE:
    """Encoder q(z|x) = N(mu(x), diag sigma(x)^2) and generator g(z), with one optimiser.

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.
    """

    advice = "lower --generator-optimizer.lr"

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes, device = config, processes, processes.device
        torch.manual_seed(config.seed)
        encoder = Encoder(config.generator, config.size, config.image_channels)
        self.q, self.g = placed(encoder, config, device), new_generator(config, device)
        self.networks: dict[str, nn.Module] = {"encoder": self.q, "generator": self.g}
        self.averages = averages_of(config, generator=self.g)
        both = nn.ModuleList([self.q, self.g])
        self.optimizers: dict[str, Optimizer] = {
            "generator": make_optimizer(both, config.generator_optimizer)
        }
        processes.share(config.batch_size, "images")
        self.images = config.batch_size
        self.memory, self.extras = no_memory(device), dict[str, Tensor]()
        self.step_scale = 1.0

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """One step of both networks up the bound.

        Args:
            x: this process' observed images, (B, C, H, W) in [-1, 1].
            t: number of the iteration, from 0; it names the random numbers.
            attempt: how often iterations from here were rolled back; it renews them.

        Raises:
            Diverged: the bound is not finite; no weight has moved.
        """
        c, watch = self.config, Stopwatch(self.processes.device)
        draws = self.processes.draws(c.seed, t, attempt)

        # z = mu(x) + sigma(x) e, e ~ N(0, I): a draw from q(z|x) that gradients pass through.
        with arithmetic(self):
            mu, log_variance = self.q(x)
            z = mu + (log_variance / 2).exp() * draws.like(mu)
            mean = self.g(z)
        watch.lap("forward")

        # Both networks ascend E log p(x|z) - KL(q(z|x) | p(z)).
        likelihood = log_likelihood(x, mean, c.sigma).mean()
        kl = divergence(mu, log_variance).mean()
        metrics = numbers(
            self, bound=likelihood - kl, kl=kl, residual=(x - mean).square().mean().sqrt()
        )
        examine_numbers(metrics)
        descend(self, "generator", c.vae.kl_weight * kl - likelihood, t)
        follow(self, t)
        watch.lap("step")
        return Iteration({**metrics, **watch.seconds}, mean.detach(), mean.detach())

    def show(self, count: int) -> tuple[Tensor, ...]:
        """Samples 0 to count - 1 of the run's seed."""
        return show_generated(self, count)


def divergence(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mu, diag exp(log_variance)) | N(0, I)), (B,), in nats (appendix B)."""
    return (mu.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


def log_likelihood(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """log N(x; mean, sigma^2 I), (B,), in nats, of images (B, ...)."""
    pixels = x[0].numel()
    error = (x - mean).square().flatten(1).sum(1) / (2 * sigma**2)
    return -error - pixels * math.log(sigma * math.sqrt(2 * math.pi))
