"""The networks of a configuration: of images, or of clips."""

from coopnets.config import Config
from coopnets.models.clips import ClipDescriptor, ClipGenerator
from coopnets.models.descriptor import Descriptor
from coopnets.models.encoder import ClipEncoder, Encoder
from coopnets.models.generator import Generator

AnyDescriptor = Descriptor | ClipDescriptor
AnyGenerator = Generator | ClipGenerator
AnyEncoder = Encoder | ClipEncoder


def new_descriptor(config: Config) -> AnyDescriptor:
    """f with new weights.

    Raises:
        ValueError: the settings do not fit together.
    """
    c = config
    if c.frames:
        metric = c.langevin.metric == "data"
        return ClipDescriptor(c.descriptor, c.frames, c.size, c.image_channels, metric=metric)
    return Descriptor(c.descriptor, c.size, c.image_channels)


def new_generator(config: Config) -> AnyGenerator:
    """g with new weights.

    Raises:
        ValueError: the settings do not fit together.
    """
    c = config
    if c.frames:
        return ClipGenerator(c.generator, c.frames, c.size, c.image_channels)
    return Generator(c.generator, c.size, c.image_channels)


def new_encoder(config: Config, g: AnyGenerator) -> AnyEncoder:
    """q(z|x) with new weights, the mirror image of g."""
    c = config
    if isinstance(g, ClipGenerator):
        return ClipEncoder(c.generator, g, c.frames, c.size, c.image_channels)
    return Encoder(c.generator, g, c.size, c.image_channels)
