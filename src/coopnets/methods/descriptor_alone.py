"""The descriptor alone: an energy-based model whose chains start at noise, without a generator.

Short runs from noise are those of Nijkamp, Hill, Zhu, Wu, *Learning Non-Convergent
Non-Persistent Short-Run MCMC Toward Energy-Based Model* (NeurIPS 2019, arXiv 1904.09770,
Algorithm 1). Persistent chains go on where earlier ones stopped (Tieleman, ICML 2008), and a part
of them begins anew each time (Du, Mordatch, *Implicit Generation and Modeling with Energy-Based
Models*, NeurIPS 2019, arXiv 1903.08689, Algorithm 1).
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.capture import Chains, settings_at
from coopnets.chance import Draws
from coopnets.config import Config, image_shape
from coopnets.errors import CoopNetsError
from coopnets.guard import examine_chains
from coopnets.langevin import Trace
from coopnets.learner import Iteration
from coopnets.methods.generating import (
    arithmetic,
    averages_of,
    descend,
    follow,
    no_memory,
    numbers,
    placed,
)
from coopnets.models import AnyDescriptor, new_descriptor
from coopnets.optimize import make_optimizer
from coopnets.processes import Processes
from coopnets.sample import samples
from coopnets.stopwatch import Stopwatch


class DescriptorAlone:
    """f(x; theta), learnt from chains that no generator starts.

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.

    Raises:
        CoopNetsError: persistent chains are to be shared by several processes.
    """

    advice = (
        "lower --langevin.delta or --descriptor-optimizer.lr, or try --descriptor-optimizer.clip"
    )

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes, device = config, processes, processes.device
        torch.manual_seed(config.seed)
        descriptor = new_descriptor(config)
        self.f = placed(descriptor, config, device)
        self.chains = Chains(self.f, processes, config.capture)
        self.networks: dict[str, nn.Module] = {"descriptor": self.f}
        self.averages = averages_of(config, descriptor=self.f)
        self.optimizers: dict[str, Optimizer] = {
            "descriptor": make_optimizer(self.f, config.descriptor_optimizer)
        }
        processes.share(config.chains, "chains")
        processes.share(config.batch_size, "images")
        self.images, self.image = config.batch_size, image_shape(config)
        self.memory, self.extras = no_memory(device), dict[str, Tensor]()
        if config.chain.start == "persistent":
            self.extras["buffer"] = self._buffer()
        self.step_scale = self.rate_scale = 1.0
        self.halves_step = True

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """One step of the descriptor.

        Args:
            x: this process' observed images, (B, C, H, W) in [-1, 1].
            t: number of the iteration, from 0; it names the random numbers.
            attempt: how often iterations from here were rolled back; it renews them.

        Raises:
            Diverged: the chains ran away; no weight has moved.
        """
        c, watch = self.config, Stopwatch(self.processes.device)
        draws = self.processes.draws(c.seed, t, attempt)
        if c.data_noise:
            x = x + c.data_noise * self.chains.noise(x, draws)

        # L steps of Langevin dynamics under the current theta, from noise or the last stop.
        start, places = self.start(draws)
        x_tilde, trace = self.run(start, t, draws)
        watch.lap("d1")

        # theta follows the gradient of mean f(x) - mean f(x~).
        with arithmetic(self):
            f_x, f_tilde = self.f(torch.cat([x, x_tilde])).split([len(x), len(x_tilde)])
        made = {"f_data": f_x.mean(), "f_revised": f_tilde.mean(),
                "chain_rms": x_tilde.square().mean().sqrt(),
                "displacement": (x_tilde - start).square().mean().sqrt()}  # fmt: skip
        if len(trace.drift):
            made |= {"drift": trace.drift.mean(), "noise": trace.noise.mean()}
        metrics = numbers(self, **made)
        examine_chains(metrics)
        descend(self, "descriptor", f_tilde.mean() - f_x.mean(), t)
        if places is not None:
            self.extras["buffer"][places] = x_tilde.to(torch.float16)
        follow(self, t)
        watch.lap("d2")
        return Iteration({**metrics, **watch.seconds}, start, x_tilde)

    def start(self, draws: Draws) -> tuple[Tensor, Tensor | None]:
        """Where the chains begin, (chains, C, H, W), and their places in the buffer, if any."""
        c = self.config
        noise = 2 * draws.uniform(c.chains, *self.image) - 1
        if c.chain.start == "noise":
            return noise, None
        places = draws.uniform(c.chain.buffer).argsort()[: c.chains]
        anew = draws.uniform(c.chains, *[1] * len(self.image)) < c.chain.restart
        return torch.where(anew, noise, self.extras["buffer"][places].float()), places

    def run(self, x: Tensor, t: int, draws: Draws) -> tuple[Tensor, Trace]:
        """L steps of Langevin dynamics, noise scale annealed as configured."""
        return self.chains(x, draws, **settings_at(self.config, t, self.step_scale))

    def show(self, count: int) -> tuple[Tensor, ...]:
        """Chains 0 to count - 1 of the run's seed, from noise, as when sampling."""
        c, nets = self.config, self.averages or self.networks
        made = samples(
            cast(AnyDescriptor, nets["descriptor"]), None, c.langevin, count, seed=c.seed,
            step_scale=self.step_scale, precision=c.precision, batch_size=count,
            device=self.processes.device, image=self.image,
        )  # fmt: skip
        return (next(iter(made))[1],)

    def _buffer(self) -> Tensor:
        """Persistent chains before their first step, in half precision as the memory's images."""
        chain, processes = self.config.chain, self.processes
        if processes.world > 1:
            raise CoopNetsError(
                "persistent chains are kept by one process: train with one, or with "
                "--chain.start noise"
            )
        noise = processes.draws(self.config.seed, -1).uniform(chain.buffer, *self.image)
        return (2 * noise - 1).to(torch.float16)
