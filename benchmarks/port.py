"""A training iteration in the way of the published PyTorch port (FANG-Xiaolin/pytorch-CoopNets).

Its order and its means, written anew: fp32; ``backward()`` in every Langevin step, with weight
gradients; data and revised images through the descriptor in separate passes; plain layers and
plain Adam. It teaches the generator on the very pass that proposed, which spares it one. What
only slows the original down, noise that is drawn and not used and gradients that flow back into
the revision, is not repeated.
"""

import torch
from torch import Tensor
from torch.optim import Adam

from benchmarks.networks import PlainDescriptor, plain_generator
from benchmarks.rivals import naive
from coopnets.config import Config, OptimizerConfig
from coopnets.models import Descriptor, Generator
from coopnets.stopwatch import Stopwatch


class Port:
    """Networks, optimisers and the iteration.

    Args:
        config: settings; those that the port does not know must be off.
        f: descriptor whose weights it starts from.
        g: generator whose weights it starts from.
    """

    def __init__(self, config: Config, f: Descriptor, g: Generator) -> None:
        self.config = config
        self.f, self.g = PlainDescriptor(config, f), plain_generator(config, g)
        self.optimizers = (
            _adam(self.f, config.descriptor_optimizer),
            _adam(self.g, config.generator_optimizer),
        )
        self.revise = naive(self.f, config.langevin)

    def iterate(self, x: Tensor, generator: torch.Generator) -> dict[str, float]:
        """One iteration on observed images; returns how long each step took, in seconds."""
        c, watch = self.config, Stopwatch(x.device)
        z = torch.randn(c.chains, c.generator.latent, generator=generator, device=x.device)
        x_hat = self.g(z)
        watch.lap("g0")
        x_tilde = self.revise(x_hat.detach(), c.langevin.steps, generator)
        watch.lap("d1")
        f_x, f_tilde = self.f(x), self.f(x_tilde)
        self._step(0, f_tilde.mean() - f_x.mean())
        watch.lap("d2")
        error = (x_tilde - x_hat).square().sum() / (2 * c.sigma**2 * len(x_hat))
        self._step(1, error)
        float(error.detach())  # it is logged
        watch.lap("g2")
        return watch.seconds

    def _step(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[which].step()


def _adam(net: torch.nn.Module, settings: OptimizerConfig) -> Adam:
    return Adam(net.parameters(), settings.lr, (settings.beta1, settings.beta2))
