"""Cooperative learning of descriptor and generator networks by MCMC teaching."""

__version__ = "0.1.0"

from coopnets.config import Config
from coopnets.errors import CoopNetsError
from coopnets.langevin import revise
from coopnets.model import CoopNets
from coopnets.posterior import infer
from coopnets.presets import preset

__all__ = ["Config", "CoopNets", "CoopNetsError", "infer", "preset", "revise"]
