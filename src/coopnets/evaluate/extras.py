"""Packages that only evaluation needs."""

from importlib import import_module
from types import ModuleType

from coopnets.errors import CoopNetsError


def extra(module: str) -> ModuleType:
    """Imports a module of the extra ``evaluate``.

    Raises:
        CoopNetsError: it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise CoopNetsError(
            f'evaluation needs the package {package}; pip install "coopnets[evaluate]"'
        ) from error
