"""The variational autoencoder: a generator taught by an encoder that guesses z.

Kingma, Welling, *Auto-Encoding Variational Bayes* (ICLR 2014, arXiv 1312.6114), Algorithm 1; the
bound is that of :mod:`coopnets.variational`.
"""

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
from coopnets.models import new_encoder
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.stopwatch import Stopwatch
from coopnets.variational import guessed, log_likelihood


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
        self.g = new_generator(config, device)
        self.q = placed(new_encoder(config, self.g), config, device)
        self.networks: dict[str, nn.Module] = {"encoder": self.q, "generator": self.g}
        self.averages = averages_of(config, generator=self.g)
        both = nn.ModuleList([self.q, self.g])
        self.optimizers: dict[str, Optimizer] = {
            "generator": make_optimizer(both, config.generator_optimizer)
        }
        processes.share(config.batch_size, "images")
        self.images = config.batch_size
        self.memory, self.extras = no_memory(device), dict[str, Tensor]()
        self.step_scale = self.rate_scale = 1.0
        self.halves_step = True

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

        # The encoder guesses z, the generator makes x again.
        with arithmetic(self):
            z, kl = guessed(self.q, x, draws.like)
            mean = self.g(z)
        watch.lap("forward")

        # Both networks ascend E log p(x|z) - KL(q(z|x) | p(z)).
        likelihood = log_likelihood(x, mean, c.sigma).mean()
        kl = kl.mean()
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
