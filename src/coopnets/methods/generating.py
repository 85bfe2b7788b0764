"""What the methods share whose samples are those of a generator alone."""

from contextlib import AbstractContextManager
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from coopnets.averaging import averaged_copy, update_average
from coopnets.chance import Draws
from coopnets.config import Config
from coopnets.layout import arrange
from coopnets.learner import Learner
from coopnets.memory import Memory
from coopnets.models import AnyGenerator
from coopnets.models import new_generator as untrained
from coopnets.optimize import step, trained
from coopnets.precision import autocast
from coopnets.sample import samples

Net = TypeVar("Net", bound=nn.Module)


def placed(net: Net, config: Config, device: torch.device) -> Net:
    """A network on its device, laid out as configured."""
    net.to(device)
    arrange(net, config.layout)
    return net


def new_generator(config: Config, device: torch.device) -> AnyGenerator:
    """g as the settings describe it, the same for every method."""
    return placed(untrained(config), config, device)


def averages_of(config: Config, **networks: nn.Module) -> dict[str, nn.Module]:
    """A moving average for each network that samples are drawn from, if any is configured."""
    return {name: averaged_copy(net) for name, net in networks.items() if config.ema}


def follow(learner: Learner, t: int) -> None:
    """Let the averages follow their networks."""
    for name, average in learner.averages.items():
        update_average(average, learner.networks[name], learner.config.ema, t)


def no_memory(device: torch.device) -> Memory:
    """Of a method that teaches no pairs again."""
    return Memory(0, 0, (), (), device)


def latents(learner: Learner, draws: Draws) -> Tensor:
    """z ~ N(0, I), one for each image of a batch."""
    shape = cast(AnyGenerator, learner.networks["generator"]).latent_shape
    return draws.normal(learner.config.batch_size, *shape)


def descend(learner: Learner, name: str, loss: Tensor, t: int) -> None:
    """One synchronised step of the optimiser of that name."""
    settings = getattr(learner.config, f"{name}_optimizer")
    optimizer = learner.optimizers[name]
    gradients = torch.autograd.grad(loss, trained(optimizer))
    step(optimizer, gradients, settings, t, learner.processes, scale=learner.rate_scale)


def arithmetic(learner: Learner) -> AbstractContextManager[None]:
    """The configured arithmetic inside a network."""
    return autocast(learner.config.precision, learner.processes.device)


def numbers(learner: Learner, **values: Tensor) -> dict[str, float]:
    """Metrics averaged over processes, fetched from the device at once."""
    means = learner.processes.mean(torch.stack([v.detach().float() for v in values.values()]))
    return dict(zip(values, means.tolist(), strict=True))


def show_generated(learner: Learner, count: int) -> tuple[Tensor]:
    """Samples 0 to count - 1 of the run's seed, as when sampling."""
    config = learner.config
    g = cast(AnyGenerator, (learner.averages or learner.networks)["generator"])
    made = samples(
        None, g, config.langevin, count, seed=config.seed,
        precision=config.precision, batch_size=count, device=learner.processes.device,
    )  # fmt: skip
    return (next(iter(made))[0],)
