"""The networks."""

from coopnets.models.critic import Critic
from coopnets.models.descriptor import Descriptor, energy
from coopnets.models.encoder import Encoder
from coopnets.models.generator import Generator
from coopnets.models.mode import evaluating, frozen, wrapped

__all__ = [
    "Critic",
    "Descriptor",
    "Encoder",
    "Generator",
    "energy",
    "evaluating",
    "frozen",
    "wrapped",
]
