"""DCGAN: a generator against a discriminator, both convolutional.

The game is that of Goodfellow et al., *Generative Adversarial Nets* (NIPS 2014, Algorithm 1,
with the generator's objective of its section 3 that does not saturate); networks and settings
are those of Radford, Metz, Chintala, *Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks* (ICLR 2016, arXiv 1511.06434).
"""

import torch
import torch.nn.functional as F
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
    latents,
    new_generator,
    no_memory,
    numbers,
    placed,
    show_generated,
)
from coopnets.models import Critic, frozen
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.stopwatch import Stopwatch


class DCGAN:
    """Discriminator D(x), whose logit is d(x), and generator g(z).

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.
    """

    advice = "lower --critic-optimizer.lr and --generator-optimizer.lr"

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes, device = config, processes, processes.device
        torch.manual_seed(config.seed)
        critic = Critic(config.critic, config.size, config.image_channels)
        self.d, self.g = placed(critic, config, device), new_generator(config, device)
        self.networks: dict[str, nn.Module] = {"critic": self.d, "generator": self.g}
        self.averages = averages_of(config, generator=self.g)
        self.optimizers: dict[str, Optimizer] = {
            "critic": make_optimizer(self.d, config.critic_optimizer),
            "generator": make_optimizer(self.g, config.generator_optimizer),
        }
        processes.share(config.batch_size, "images")
        self.images = config.batch_size
        self.memory, self.extras = no_memory(device), dict[str, Tensor]()
        self.step_scale = self.rate_scale = 1.0
        self.halves_step = True

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """One step of each network.

        Args:
            x: this process' observed images, (B, C, H, W) in [-1, 1].
            t: number of the iteration, from 0; it names the random numbers.
            attempt: how often iterations from here were rolled back; it renews them.

        Raises:
            Diverged: a loss is not finite.
        """
        d, g, watch = self.d, self.g, Stopwatch(self.processes.device)
        draws = self.processes.draws(self.config.seed, t, attempt)

        # One batch of g(z) serves both steps, as in Chintala's own code of the paper.
        with arithmetic(self):
            made = g(latents(self, draws))

        # D ascends mean log D(x) + mean log(1 - D(g(z))). Each batch has statistics of its own.
        with arithmetic(self):
            real_logit, fake_logit = d(x), d(made.detach())
        loss = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
        metrics = numbers(
            self,
            critic_loss=loss,
            d_data=real_logit.sigmoid().mean(),
            d_generated=fake_logit.sigmoid().mean(),
        )
        examine_numbers(metrics)
        descend(self, "critic", loss, t)
        watch.lap("critic")

        # g ascends mean log D(g(z)) under the D that has just learnt.
        with frozen(d), arithmetic(self):
            loss = F.softplus(-d(made)).mean()
        metrics |= numbers(self, generator_loss=loss)
        examine_numbers(metrics)
        descend(self, "generator", loss, t)
        follow(self, t)
        watch.lap("generator")
        return Iteration({**metrics, **watch.seconds}, made.detach(), made.detach())

    def show(self, count: int) -> tuple[Tensor, ...]:
        """Samples 0 to count - 1 of the run's seed."""
        return show_generated(self, count)
