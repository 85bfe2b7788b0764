"""The two networks."""

from coopnets.models.descriptor import Descriptor, energy
from coopnets.models.generator import Generator
from coopnets.models.mode import evaluating, frozen

__all__ = ["Descriptor", "Generator", "energy", "evaluating", "frozen"]
