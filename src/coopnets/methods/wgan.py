"""W-GAN: a generator that lowers an estimate of the Wasserstein distance to the data.

Arjovsky, Chintala, Bottou, *Wasserstein Generative Adversarial Networks* (ICML 2017,
arXiv 1701.07875), Algorithm 1, with weight clipping. (Their code also takes 100 critic steps in
each of the first 25 iterations and in every 500th; the algorithm does not, nor does this.) The
gradient penalty that may take the place of clipping is that of Gulrajani et al., *Improved
Training of Wasserstein GANs* (NIPS 2017, arXiv 1704.00028), Algorithm 1.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.chance import Draws
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


class WGAN:
    """Critic f(x; w), kept Lipschitz, and generator g(z; theta).

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.
    """

    advice = "lower --critic-optimizer.lr and --generator-optimizer.lr"

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes, device = config, processes, processes.device
        torch.manual_seed(config.seed)
        critic = Critic(config.critic, config.size, config.image_channels)
        self.f, self.g = placed(critic, config, device), new_generator(config, device)
        self.networks: dict[str, nn.Module] = {"critic": self.f, "generator": self.g}
        self.averages = averages_of(config, generator=self.g)
        self.optimizers: dict[str, Optimizer] = {
            "critic": make_optimizer(self.f, config.critic_optimizer),
            "generator": make_optimizer(self.g, config.generator_optimizer),
        }
        processes.share(config.batch_size, "images")
        self.images = config.batch_size * config.wgan.critic_steps
        self.memory, self.extras = no_memory(device), dict[str, Tensor]()
        self.step_scale = self.rate_scale = 1.0
        self.halves_step = True

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """n_critic steps of the critic and one of the generator.

        Args:
            x: this process' observed images, (n_critic B, C, H, W) in [-1, 1]: a batch for each
                step of the critic.
            t: number of the iteration, from 0; it names the random numbers.
            attempt: how often iterations from here were rolled back; it renews them.

        Raises:
            Diverged: a loss is not finite.
        """
        f, g, watch = self.f, self.g, Stopwatch(self.processes.device)
        draws = self.processes.draws(self.config.seed, t, attempt)

        # w ascends mean f(x) - mean f(g(z)), and is clipped to [-c, c], n_critic times.
        for real in x.chunk(self.config.wgan.critic_steps):
            metrics = self.improve_critic(real, t, draws)
        watch.lap("critic")

        # theta ascends mean f(g(z)).
        with frozen(f), arithmetic(self):
            made = g(latents(self, draws))
            loss = -f(made).mean()
        metrics |= numbers(self, generator_loss=loss)
        examine_numbers(metrics)
        descend(self, "generator", loss, t)
        follow(self, t)
        watch.lap("generator")
        return Iteration({**metrics, **watch.seconds}, made.detach(), made.detach())

    def improve_critic(self, real: Tensor, t: int, draws: Draws) -> dict[str, float]:
        """One step of the critic on a batch of its own; what it found."""
        c, f = self.config.wgan, self.f
        with torch.no_grad(), arithmetic(self):
            fake = self.g(latents(self, draws))
        with arithmetic(self):
            f_real, f_fake = f(real).mean(), f(fake).mean()
        distance = f_real - f_fake
        loss, found = -distance, {"distance": distance}
        if c.gradient_penalty:
            found["penalty"] = gradient_penalty(f, real, fake, draws.uniform(self._batch, 1, 1, 1))
            loss = loss + c.gradient_penalty * found["penalty"]
        metrics = numbers(self, critic_loss=loss, **found)
        examine_numbers(metrics)
        descend(self, "critic", loss, t)
        if not c.gradient_penalty:
            clip_weights(f, c.clip)
        return metrics

    def show(self, count: int) -> tuple[Tensor, ...]:
        """Samples 0 to count - 1 of the run's seed."""
        return show_generated(self, count)

    @property
    def _batch(self) -> int:
        return self.config.batch_size


@torch.no_grad()
def clip_weights(net: nn.Module, c: float) -> None:
    """w <- clip(w, -c, c), for every trained parameter."""
    for parameter in net.parameters():
        parameter.clamp_(-c, c)


def gradient_penalty(
    f: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, epsilon: Tensor
) -> Tensor:
    """Mean (|df/dx| - 1)^2 at x = epsilon real + (1 - epsilon) fake; one epsilon an image.

    Args:
        f: critic, (B, C, H, W) to (B,), that treats each image alone.
        real: observed images.
        fake: as many generated ones.
        epsilon: (B, 1, 1, 1), uniform in [0, 1].
    """
    x = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    excess: Tensor = slope.flatten(1).norm(dim=1) - 1
    return excess.square().mean()
