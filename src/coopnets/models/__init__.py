"""The networks."""

from coopnets.models.build import (
    AnyDescriptor,
    AnyEncoder,
    AnyGenerator,
    new_descriptor,
    new_encoder,
    new_generator,
)
from coopnets.models.clips import ClipDescriptor, ClipGenerator
from coopnets.models.critic import Critic
from coopnets.models.descriptor import Descriptor, energy
from coopnets.models.encoder import ClipEncoder, Encoder
from coopnets.models.generator import Generator
from coopnets.models.mode import evaluating, frozen, looped, wrapped

__all__ = [
    "AnyDescriptor",
    "AnyEncoder",
    "AnyGenerator",
    "ClipDescriptor",
    "ClipEncoder",
    "ClipGenerator",
    "Critic",
    "Descriptor",
    "Encoder",
    "Generator",
    "energy",
    "evaluating",
    "frozen",
    "looped",
    "new_descriptor",
    "new_encoder",
    "new_generator",
    "wrapped",
]
