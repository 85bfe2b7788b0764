"""The methods that can be trained: cooperative learning, its two halves, and others to compare.

Each is one class that satisfies :class:`~coopnets.learner.Learner`, so that the training loop,
the run folder, resumption, roll-back and the commands are the same for all.
"""

from collections.abc import Callable

from coopnets.config import Config
from coopnets.cooperate import Cooperation
from coopnets.learner import Learner
from coopnets.methods.alternating import Alternating
from coopnets.methods.dcgan import DCGAN
from coopnets.methods.descriptor_alone import DescriptorAlone
from coopnets.methods.recipes import recipe
from coopnets.methods.vae import VAE
from coopnets.methods.wgan import WGAN
from coopnets.processes import Processes

METHODS: dict[str, Callable[[Config, Processes], Learner]] = {
    "coopnets": Cooperation,
    "dcgan": DCGAN,
    "wgan": WGAN,
    "vae": VAE,
    "descriptor": DescriptorAlone,
}
"""By name; the generator alone also needs to know how many images there are."""

__all__ = ["METHODS", "build", "recipe"]


def build(config: Config, processes: Processes, images: int) -> Learner:
    """The learner of a configuration.

    Args:
        config: settings, with ``precision`` and ``layout`` resolved.
        processes: this process' device and place among the others.
        images: number of training images.

    Raises:
        CoopNetsError: the method cannot be shared out over so many processes.
        ValueError: the settings do not fit together.
    """
    if config.method == "generator":
        return Alternating(config, processes, images)  # a latent vector for each image
    return METHODS[config.method](config, processes)
