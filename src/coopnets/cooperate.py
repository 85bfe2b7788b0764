"""Cooperative learning by MCMC teaching: one iteration, steps G0, D1, G1, D2, G2.

TPAMI 2018 (arXiv 1609.09408), the CoopNets algorithm. theta are the weights of the descriptor
f, alpha those of the generator g; x^ (``x_hat``) are the generator's proposals and x~
(``x_tilde``) the descriptor's revisions of them.
"""

from contextlib import AbstractContextManager
from math import prod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from coopnets.averaging import averaged_copy, update_average
from coopnets.capture import Chains, settings_at
from coopnets.chance import Draws
from coopnets.config import Config, OptimizerConfig, image_shape
from coopnets.guard import examine, examine_climb, examine_numbers, gap_limit, gap_unit
from coopnets.langevin import Trace
from coopnets.layout import arrange
from coopnets.learner import Iteration
from coopnets.memory import Memory
from coopnets.models import (
    AnyDescriptor,
    AnyGenerator,
    energy,
    evaluating,
    frozen,
    new_descriptor,
    new_encoder,
    new_generator,
)
from coopnets.optimize import make_optimizer, output_positions, step, trained
from coopnets.posterior import infer
from coopnets.precision import autocast
from coopnets.processes import Processes
from coopnets.sample import samples
from coopnets.stopwatch import Stopwatch
from coopnets.variational import guessed


class Guess(NamedTuple):
    """Latent numbers of observed examples.

    Attributes:
        z: a draw from q(z|x).
        kl: the divergence of q(z|x) from N(0, I), of each.
    """

    z: Tensor
    kl: Tensor


class Cooperation:
    """The two networks, their optimisers, and the iteration that lets them teach each other.

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.
    """

    advice = (
        "lower --langevin.delta or --descriptor-optimizer.lr (where there is an encoder, "
        "--encoder-optimizer.lr), or try --lead 0.003 (with few examples --lead 0.0003 "
        "--slope-on line --slope-weight 2; where the preset has that, --slope-weight 4), "
        "--energy-l2, --data-noise or --descriptor.spectral-norm"
    )

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes = config, processes
        device = processes.device
        torch.manual_seed(config.seed)
        self.f, self.g = new_descriptor(config).to(device), new_generator(config).to(device)
        for net in (self.f, self.g):
            arrange(net, config.layout)
        self.networks: dict[str, nn.Module] = {"descriptor": self.f, "generator": self.g}
        if config.observed.weight:
            self.q = new_encoder(config, self.g).to(device)
            arrange(self.q, config.layout)
            self.networks["encoder"] = self.q
        self.chains = Chains(self.f, processes, config.capture)
        sampled = ("descriptor", "generator") if config.ema else ()
        self.averages = {name: averaged_copy(self.networks[name]) for name in sampled}
        self.optimizers: dict[str, Optimizer] = {
            name: make_optimizer(net, self.settings(name)) for name, net in self.networks.items()
        }
        image = image_shape(config)
        examples = {
            "descriptor": torch.zeros(1, *image, device=device),
            "generator": torch.zeros(1, *self.g.latent_shape, device=device),
        }
        self.positions = {
            name: output_positions(self.networks[name], example)
            for name, example in examples.items()
            if self.settings(name).per_position
        }
        chains = processes.share(config.chains, "chains")
        processes.share(config.batch_size, "images")
        self.memory = Memory(config.memory, chains, self.g.latent_shape, image, device)
        self.extras: dict[str, Tensor] = {}
        self.images = config.batch_size
        self.dim = prod(image)
        self.energy_unit = self.dim / (config.langevin.s or 1.0) ** 2
        self.step_scale = self.rate_scale = 1.0
        """Factors on the Langevin step, and on the rates of descriptor and encoder."""
        self.halves_step = config.langevin.s is not None
        """Without a reference f has the scale that the step gives it: half the step, and f would
        only become four times as steep."""

    def iterate(self, x: Tensor, t: int, attempt: int = 0) -> Iteration:
        """One cooperative iteration on observed images.

        Args:
            x: this process' observed images, (B, C, H, W) in [-1, 1], or clips (B, C, T, H, W).
            t: number of the iteration, from 0; it names the random numbers.
            attempt: how often iterations from here were rolled back; it renews them.

        Raises:
            Diverged: the revision ran away; no weight has moved.
        """
        c, g, watch = self.config, self.g, Stopwatch(self.processes.device)
        draws = self.processes.draws(c.seed, t, attempt)
        seen = x + c.data_noise * self.chains.noise(x, draws) if c.data_noise else x

        # G0: the generator proposes x^ = g(z; alpha), z ~ N(0, I). Step G2 takes the gradient of
        # this very pass, as alpha does not change before.
        z = draws.normal(c.chains, *g.latent_shape)
        guess = self.guess(x, draws) if c.observed.weight else None
        decoded, made = self.decode(z, guess)
        x_hat = decoded.detach()
        watch.lap("g0")

        # D1: L steps of Langevin dynamics under the current theta revise x^ into x~.
        x_tilde, trace = self.revise(x_hat, t, draws)
        watch.lap("d1")

        # G1 (optional): l steps of Langevin dynamics on z under the posterior given x~.
        if c.posterior.steps:
            z = self.infer(x_tilde, z, draws)
            decoded, made = self.decode(z, guess)
        watch.lap("g1")

        # D2: theta follows the gradient of mean f(x) - mean f(x~), and where f leads by more than
        # it may, that of its slope downwards.
        loss, f_data, f_revised = self.descriptor_loss(seen, x_tilde)
        metrics = self.measure(seen, x_hat, x_tilde, f_data, f_revised, trace)
        examine(metrics, t, gap_limit(c.langevin, self.dim, t))
        examine_climb(metrics, c.langevin, t)
        if c.lead is not None:
            lead = metrics["f_data"] - metrics["f_revised"]
            metrics["ahead"] = float(lead > c.lead * gap_unit(c.langevin, self.dim))
            if metrics["ahead"]:
                loss = loss + c.slope_weight * self.slope(seen, x_tilde, draws)
        self.step(loss, t, "descriptor")
        watch.lap("d2")

        # G2: alpha follows the gradient of -|x~ - g(z; alpha)|^2 / (2 sigma^2), and again on
        # remembered pairs, since teaching is cheap beside revision.
        error = self.generator_loss(decoded, x_tilde)
        if guess is not None and made is not None:
            metrics |= self.teach(error, x, made, guess.kl, t)
        else:
            self.step(error, t, "generator")
        if c.memory:
            self.memory.add(z, x_tilde)
            for _ in range(c.teaching):
                z, remembered = self.memory.recall(draws)
                decoded, _ = self.decode(z, guess)
                self.step(self.generator_loss(decoded, remembered), t, "generator")
        for name, average in self.averages.items():
            update_average(average, self.networks[name], c.ema, t)
        watch.lap("g2")

        metrics["generator_error"] = float(self.processes.mean(error.detach()))
        return Iteration({**metrics, **watch.seconds}, x_hat, x_tilde)

    def revise(self, x: Tensor, t: int, draws: Draws) -> tuple[Tensor, Trace]:
        """Step D1 on the bare descriptor, noise scale annealed as configured."""
        return self.chains(x, draws, **settings_at(self.config, t, self.step_scale))

    def infer(self, x: Tensor, z: Tensor, draws: Draws) -> Tensor:
        """Step G1 from the known z; batch norm in evaluation mode, so that each chain is alone."""
        c = self.config.posterior
        with evaluating(self.g), frozen(self.g):
            return infer(
                self.g, x, z, steps=c.steps, delta=c.delta, sigma=self.config.sigma, tau=c.tau,
                noise=draws.like, precision=self.config.precision,
            )  # fmt: skip

    def descriptor_loss(self, x: Tensor, x_tilde: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mean f(x~) - mean f(x) (+ energy penalty), mean f(x), mean f(x~); one pass over both."""
        with self.autocast():
            f_x, f_tilde = self.f(torch.cat([x, x_tilde])).split([len(x), len(x_tilde)])
        loss = f_tilde.mean() - f_x.mean()
        if self.config.energy_l2:
            squares = f_x.square().mean() + f_tilde.square().mean()
            loss = loss + self.config.energy_l2 * squares / self.energy_unit
        return loss, f_x.detach().mean(), f_tilde.detach().mean()

    def slope(self, x: Tensor, x_tilde: Tensor, draws: Draws) -> Tensor:
        """(delta^2/2) |A^T df/dx|^2, what a step of the drift gains: mean over ``slope_on``.

        A is the metric of clips, and I for pictures.

        Where revisions cannot reach the data, nothing that the chain does holds the gap that f
        ascends, and f would steepen without end (docs/stability.md). At data and revisions it is
        R1 and R2 of Mescheder, Geiger, Nowozin (ICML 2018, arXiv 1801.04406), who lower it always;
        on the line between them, that of Thanh-Tung, Tran, Venkatesh (ICLR 2019, arXiv
        1902.03984), which holds f back where examples are few.
        """
        ends = self.config.slope_on == "ends"
        points = torch.cat([x, x_tilde]) if ends else between(x, x_tilde, draws)
        points.requires_grad_()
        with self.autocast():
            f_points = self.f(points).sum()
        (slope,) = torch.autograd.grad(f_points, points, create_graph=True)
        if self.f.metric is not None:
            slope = self.f.metric.slope(slope)
        return self.config.langevin.delta**2 / 2 * slope.square().flatten(1).sum(1).mean()

    def guess(self, x: Tensor, draws: Draws) -> Guess:
        """z ~ q(z|x) of observed examples."""
        with self.autocast():
            return Guess(*guessed(self.q, x, draws.like))

    def decode(self, z: Tensor, guess: Guess | None = None) -> tuple[Tensor, Tensor | None]:
        """g(z; alpha), and g of what q guessed if it did, in the configured arithmetic.

        Both are one batch: guesses spread further than z ~ N(0, I), and were each normalised by
        statistics of its own, the running ones, which samples are drawn with, would be of neither.
        """
        count = len(z)
        with self.autocast():
            x: Tensor = self.g(z if guess is None else torch.cat([z, guess.z]))
        return x[:count], None if guess is None else x[count:]

    def generator_loss(self, decoded: Tensor, x_tilde: Tensor) -> Tensor:
        """|x~ - g(z)|^2 / (2 sigma^2), sum over pixels, mean over chains; x~ is constant."""
        error: Tensor = (x_tilde - decoded).square().flatten(1).sum(1).mean()
        return error / (2 * self.config.sigma**2)

    def teach(
        self, error: Tensor, x: Tensor, made: Tensor, kl: Tensor, t: int
    ) -> dict[str, float]:
        """Step G2 on observed examples too.

        Generator and encoder q descend error + w (|x - g(z)|^2 / (2 sigma^2) + k KL), where
        z ~ q(z|x) and KL is the divergence of q(z|x) from N(0, I). Cui, Han, *Learning
        Energy-based Model via Dual-MCMC Teaching* (NeurIPS 2023, arXiv 2312.02469), without the
        Langevin steps on z that there follow q.

        Args:
            error: of step G2.
            x: observed examples.
            made: g(z) of z ~ q(z|x), of the pass that proposed.
            kl: the divergence of q(z|x), of each.
            t: number of the iteration.

        Returns:
            The root mean square of what g misses of x, and the divergence in nats.

        Raises:
            Diverged: the bound is not finite; neither network has moved.
        """
        weight, kl_weight = self.config.observed.weight, self.config.observed.kl_weight
        misses = torch.stack([(x - made.detach()).square().mean(), kl.detach().mean()])
        squared, divergence = self.processes.mean(misses).tolist()
        told = {"observed_residual": squared**0.5, "observed_kl": divergence}
        examine_numbers(told)
        bound = self.generator_loss(made, x) + kl_weight * kl.mean()
        self.step(error + weight * bound, t, "generator", "encoder")
        return told

    def measure(
        self, x: Tensor, x_hat: Tensor, x_tilde: Tensor, f_data: Tensor, f_revised: Tensor,
        trace: Trace,
    ) -> dict[str, float]:  # fmt: skip
        """Energies of data, proposals and revisions; how far, and how, the revision moved."""
        s, made = self.config.langevin.s, {}
        made["f_data"], made["f_revised"] = f_data, f_revised
        made["u_data"] = energy(f_data, x, s).mean()
        made["u_revised"] = energy(f_revised, x_tilde, s).mean()
        made["squared"] = (x_tilde - x_hat).square().mean()
        if len(trace.energy):
            made["u_proposed"] = trace.energy[0]
            made["drift"], made["noise"] = trace.drift.mean(), trace.noise.mean()
        numbers = self.processes.mean(torch.stack(list(made.values()))).tolist()
        metrics: dict[str, float] = dict(zip(made, numbers, strict=True))
        metrics["displacement"] = metrics.pop("squared") ** 0.5
        return metrics

    def step(self, loss: Tensor, t: int, *names: str) -> None:
        """One synchronised step of the optimisers of these networks, by one backward pass."""
        parameters = [trained(self.optimizers[name]) for name in names]
        gradients = iter(torch.autograd.grad(loss, [p for each in parameters for p in each]))
        for name, each in zip(names, parameters, strict=True):
            step(
                self.optimizers[name], [next(gradients) for _ in each], self.settings(name), t,
                self.processes, scale=1.0 if name == "generator" else self.rate_scale,
                positions=self.positions.get(name),
            )  # fmt: skip

    def show(self, count: int) -> tuple[Tensor, Tensor]:
        """Samples 0 to count - 1 of the run's seed, proposed and revised, as when sampling."""
        c = self.config
        nets = self.averages or self.networks
        made = samples(
            cast(AnyDescriptor, nets["descriptor"]), cast(AnyGenerator, nets["generator"]),
            c.langevin, count, seed=c.seed, step_scale=self.step_scale, precision=c.precision,
            batch_size=count, device=self.processes.device,
        )  # fmt: skip
        return next(iter(made))

    def settings(self, name: str) -> OptimizerConfig:
        """Of the optimiser of that network."""
        settings: OptimizerConfig = getattr(self.config, f"{name}_optimizer")
        return settings

    def autocast(self) -> AbstractContextManager[None]:
        """The configured arithmetic inside a network."""
        return autocast(self.config.precision, self.processes.device)


def between(x: Tensor, x_tilde: Tensor, draws: Draws) -> Tensor:
    """A random point of the line from each revision to one of the data, as many as revisions.

    Several processes pair up what one would have.
    """
    count = len(x_tilde)
    partners = x[torch.arange(count, device=x.device) * len(x) // count]
    part = draws.uniform(count * draws.world, *[1] * (x.ndim - 1))
    return x_tilde + part * (partners - x_tilde)
