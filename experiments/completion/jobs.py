"""What is computed for each size of square: jobs, each of which gives one or more columns."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from coopnets.complete.classic import CLASSIC
from coopnets.complete.infill import Completer, blended, paste
from coopnets.complete.latent import Search
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets

Complete = Callable[[Tensor, Tensor, int], dict[str, Tensor]]
"""From images, masks and the number of the first one to completions by column."""
PAIR = ("both", "generator", "generator, plain")
DESCRIPTOR = ("descriptor",)
DCGAN = ("dcgan", "dcgan, plain")
"""Columns of each job."""


@dataclass(frozen=True, eq=False)
class Job:
    """A method at work.

    Attributes:
        name: of its files.
        columns: what it gives.
        settings: all that its results depend on, beside images and masks.
        complete: the work.
    """

    name: str
    columns: tuple[str, ...]
    settings: dict[str, Any]
    complete: Complete


def classic(name: str) -> Job:
    """A method without a model."""
    return Job(name, (name,), {}, lambda x, mask, first: {name: CLASSIC[name](x, mask)})


def pair(model: CoopNets, search: Search, langevin_steps: int | None, seed: int) -> Job:
    """CoopNets: the generator as it is, blended, and revised by the descriptor.

    One inference of z serves all three.
    """
    completer = _completer(model, "both", search, langevin_steps, seed)

    def complete(x: Tensor, mask: Tensor, first: int) -> dict[str, Tensor]:
        y = completer.decoded(x, mask, first, None)
        smooth = blended(x, mask, y)
        return {
            "generator, plain": paste(x, mask, y),
            "generator": paste(x, mask, smooth),
            "both": paste(x, mask, completer.revised(x, mask, smooth, first, None)),
        }

    settings = {**_about(model, search, seed), "langevin_steps": langevin_steps}
    return Job("coopnets", PAIR, settings, complete)


def descriptor(model: CoopNets, langevin_steps: int | None, seed: int) -> Job:
    """The descriptor of the pair alone, from the surface of springs."""
    completer = _completer(model, "descriptor", Search(), langevin_steps, seed)
    settings = {**_about(model, None, seed), "langevin_steps": langevin_steps}
    return Job(
        "descriptor", DESCRIPTOR, settings,
        lambda x, mask, first: {"descriptor": completer(x, mask, first=first)},
    )  # fmt: skip


def dcgan(model: CoopNets, search: Search, seed: int) -> Job:
    """DCGAN's generator, searched in the same way: as it is, and blended."""
    completer = _completer(model, "generator", search, None, seed)

    def complete(x: Tensor, mask: Tensor, first: int) -> dict[str, Tensor]:
        y = completer.decoded(x, mask, first, None)
        smooth = blended(x, mask, y)
        return {"dcgan, plain": paste(x, mask, y), "dcgan": paste(x, mask, smooth)}

    return Job("dcgan", DCGAN, _about(model, search, seed), complete)


def check_runs(run: CoopNets, other: CoopNets | None) -> None:
    """Pass a pair, and a DCGAN whose images are like the pair's.

    Raises:
        CoopNetsError: they are something else.
    """
    if run.config.method != "coopnets":
        raise CoopNetsError(f"--run is a run of method {run.config.method}: give a pair's")
    if other is None:
        return
    check_dcgan(other)
    images = [(m.config.size, m.config.image_channels, m.config.crop) for m in (run, other)]
    if images[0] != images[1]:
        raise CoopNetsError(
            f"--run and --dcgan make different images (size, channels, crop): {images[0]} and "
            f"{images[1]}"
        )


def check_dcgan(other: CoopNets) -> None:
    """Pass a DCGAN.

    Raises:
        CoopNetsError: it is something else.
    """
    if other.config.method != "dcgan":
        raise CoopNetsError(f"--dcgan is a run of method {other.config.method}")


def _completer(
    model: CoopNets, by: Any, search: Search, langevin_steps: int | None, seed: int
) -> Completer:
    return model.completer(method=by, search=search, langevin_steps=langevin_steps, seed=seed)


def _about(model: CoopNets, search: Search | None, seed: int) -> dict[str, Any]:
    digest = hashlib.blake2b(digest_size=10)
    for name in sorted(model.networks):
        for value in model.networks[name].state_dict().values():
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return {
        "weights": digest.hexdigest(), "iteration": model.about.get("iteration"),
        "minutes": round(model.about.get("seconds", 0.0) / 60, 1), "seed": seed,
        "precision": model.precision, "search": None if search is None else asdict(search),
    }  # fmt: skip
