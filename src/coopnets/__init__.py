"""Cooperative learning of descriptor and generator networks by MCMC teaching."""

from coopnets.config import Config
from coopnets.errors import CoopNetsError
from coopnets.langevin import revise
from coopnets.model import CoopNets
from coopnets.posterior import infer
from coopnets.presets import preset
from coopnets.version import __version__

__all__ = ["Config", "CoopNets", "CoopNetsError", "__version__", "infer", "preset", "revise"]
