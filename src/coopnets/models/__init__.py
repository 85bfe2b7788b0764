"""The two networks."""

from coopnets.models.descriptor import Descriptor, energy
from coopnets.models.generator import Generator

__all__ = ["Descriptor", "Generator", "energy"]
