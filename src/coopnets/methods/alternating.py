"""The generator alone: alternating back-propagation.

Han, Lu, Zhu, Wu, *Alternating Back-Propagation for Generator Network* (AAAI 2017,
arXiv 1606.08571), Algorithm 1. Each training image has a latent vector, which Langevin dynamics
infers from where it last stood; there is no other network.
"""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.chance import Draws
from coopnets.config import Config
from coopnets.data import batch_indices
from coopnets.errors import CoopNetsError
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
    show_generated,
)
from coopnets.models import evaluating, frozen
from coopnets.optimize import make_optimizer
from coopnets.posterior import infer
from coopnets.processes import Processes
from coopnets.stopwatch import Stopwatch


class Alternating:
    """g(z; W) and the latent vectors of all training images.

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.
        images: number of training images.

    Raises:
        CoopNetsError: the latent vectors are to be shared by several processes.
    """

    advice = "lower --posterior.delta or --generator-optimizer.lr"

    def __init__(self, config: Config, processes: Processes, images: int) -> None:
        if processes.world > 1:
            raise CoopNetsError(
                "the latent vectors of the training images are kept by one process: train the "
                "method generator with one"
            )
        self.config, self.processes = config, processes
        torch.manual_seed(config.seed)
        self.g = new_generator(config, processes.device)
        self.networks: dict[str, nn.Module] = {"generator": self.g}
        self.averages = averages_of(config, generator=self.g)
        self.optimizers: dict[str, Optimizer] = {
            "generator": make_optimizer(self.g, config.generator_optimizer)
        }
        self.images, self.memory = config.batch_size, no_memory(processes.device)
        draws = Draws((config.seed, -1), torch.device("cpu"), 0, 1)
        self.extras = {"latents": draws.normal(images, *self.g.latent_shape)}  # on the CPU
        self.step_scale = self.rate_scale = 1.0
        self.halves_step = True

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """Inference of the latent vectors of a batch, then one step of the generator.

        Args:
            x: batch t of the training images, (B, C, H, W) in [-1, 1].
            t: number of the iteration, from 0; it names the random numbers and the images.
            attempt: how often iterations from here were rolled back; it renews the numbers.

        Raises:
            Diverged: a latent vector or the error is not finite; no weight has moved.
        """
        c, watch = self.config, Stopwatch(self.processes.device)
        draws = self.processes.draws(c.seed, t, attempt)
        latents = self.extras["latents"]
        rows = batch_indices(len(latents), c.batch_size, t, c.seed)

        # Inferential back-propagation: l steps of Langevin dynamics on each z_i, given x_i.
        z = self.infer(x, latents[rows].to(x.device), draws)
        watch.lap("infer")

        # Learning back-propagation: W descends mean |x - g(z)|^2 / (2 sigma^2).
        with arithmetic(self):
            residual = x - self.g(z)
        error = residual.square().flatten(1).sum(1).mean() / (2 * c.sigma**2)
        metrics = numbers(
            self,
            reconstruction_error=error,
            residual=residual.square().mean().sqrt(),
            latent_rms=z.square().mean().sqrt(),
        )
        examine_numbers(metrics)
        descend(self, "generator", error, t)
        # An image that is twice in a batch keeps the later of its two vectors, on any device.
        last = list({int(row): i for i, row in enumerate(rows)}.values())
        latents[rows[last]] = z.cpu()[last]
        follow(self, t)
        watch.lap("learn")
        made = (x - residual).detach()
        return Iteration({**metrics, **watch.seconds}, made, made)

    def infer(self, x: Tensor, z: Tensor, draws: Draws) -> Tensor:
        """l steps on z; batch norm in evaluation mode, so that each image is alone."""
        c = self.config.posterior
        with evaluating(self.g), frozen(self.g):
            return infer(
                self.g, x, z, steps=c.steps, delta=c.delta * self.step_scale,
                sigma=self.config.sigma, tau=c.tau, noise=draws.like,
                precision=self.config.precision,
            )  # fmt: skip

    def show(self, count: int) -> tuple[Tensor, ...]:
        """Samples 0 to count - 1 of the run's seed: z from the prior."""
        return show_generated(self, count)
