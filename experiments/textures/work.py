"""What is done for one texture: train, draw, synthesise by others, measure; each once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from coopnets.canvas import tile_unit
from coopnets.data import to_pixels
from coopnets.errors import DivergenceError
from coopnets.evaluate import Extractor
from coopnets.evaluate.textures import phase_noise
from coopnets.model import CoopNets
from coopnets.pictures import save_grid
from experiments.cells import Result, digest, load_picture, once, weights_of
from experiments.textures.measures import Measures
from experiments.textures.portilla import ARITHMETIC, CHUNK, SETTLED, distance_fell, synthesise
from experiments.textures.sources import Texture
from experiments.training import last_good, trained

OURS = ("descriptor", "generator")
METHODS = (*OURS, "ps", "noise", "original")
"""What stands in the place of a synthesis; the original itself is the floor."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done for every texture.

    Attributes:
        out: folder of the experiment; each texture has a folder of its name in it.
        minutes: of training.
        options: further ones of ``coopnets train``.
        ps_iterations: at most so many of Portilla and Simoncelli's synthesis; 0 leaves it out.
        windows: of each side of a distance.
        seed: of samples, noise and windows.
        extractor: the feature network.
        say: told how far it is.
    """

    out: Path
    minutes: float
    options: tuple[str, ...]
    ps_iterations: int
    windows: int
    seed: int
    extractor: Extractor
    say: Callable[[str], None] = print


def carry_out(texture: Texture, plan: Plan) -> Result:
    """All of one texture, from where it stands.

    Returns:
        ``training``, ``ps`` (what they took), ``measured`` by method, ``halves``, and ``failed``:
        why training ended early, or None. What it had learnt before is drawn all the same, and
        counts as lost. ``ps_failed`` is why there is nothing of theirs.

    Raises:
        CoopNetsError: a file cannot be read or written, or a package is missing.
    """
    folder, side = plan.out / texture.name, texture.pixels.shape[2]
    original = folder / "original.png"
    found: Result = {"name": texture.name, "shown": texture.shown, "failed": None,
                     "colour": len(texture.pixels) == 3}  # fmt: skip
    if not original.exists() or not torch.equal(load_picture(original), texture.pixels):
        save_grid(texture.pixels, original)
    plan.say(f"{texture.name}: training up to {plan.minutes:g} minutes")
    grey = () if found["colour"] else ("--image-channels", "1")
    try:
        model = trained(original, folder / "run", plan.minutes, [*grey, *plan.options])
    except DivergenceError as error:
        found["failed"] = str(error)
        plan.say(f"{texture.name}: {error}")
        model = last_good(folder / "run")
    if model is not None:
        found["training"] = _drawn(model, folder, side, plan)
    if plan.ps_iterations:
        try:
            found["ps"] = _by_portilla(texture, folder, plan)
        except DivergenceError as error:
            found["ps_failed"] = str(error)
            plan.say(f"{texture.name}: {error}")
    save_grid(phase_noise(texture.pixels, plan.seed), folder / "noise.png")
    found |= _measured(texture, folder, _made(found), plan)
    return found


def _made(found: Result) -> Sequence[str]:
    """The methods that have made a picture."""
    missing = {*(() if "training" in found else OURS), *(() if "ps" in found else ("ps",))}
    return [method for method in METHODS if method not in missing]


def _drawn(model: CoopNets, folder: Path, side: int, plan: Plan) -> Result:
    """Both networks at the original's size, a tile, and a picture of twice the side."""
    settings = {"weights": weights_of(model), "side": side, "seed": plan.seed}

    def draw() -> Result:
        began = perf_counter()
        pair = next(iter(model.stream(1, seed=plan.seed, size=(side, side))))
        seconds = perf_counter() - began
        for name, x in zip(("generator", "descriptor"), pair, strict=True):
            save_grid(to_pixels(x[0].cpu()), folder / f"{name}.png")
        unit = tile_unit(model.config, model.generator)
        tiled = -(-side // unit) * unit
        for name, drawn, tile in (("tile", tiled, True), ("large", 2 * side, False)):
            x = model.sample(1, seed=plan.seed, size=(drawn, drawn), tile=tile)
            save_grid(to_pixels(x[0].cpu()), folder / f"{name}.png")
        return {
            "iterations": model.about["iteration"], "seconds": model.about["seconds"],
            "seconds_to_draw": seconds, "metrics": model.about.get("metrics", {}),
            "step_scale": model.about.get("step_scale", 1.0),
        }  # fmt: skip

    return once(folder / "ours.json", settings, draw)


def _by_portilla(texture: Texture, folder: Path, plan: Plan) -> Result:
    settings = {
        "original": digest(texture.pixels), "iterations": plan.ps_iterations, "seed": plan.seed,
        "chunk": CHUNK, "settled": SETTLED, "plenoptic": _version("plenoptic"),
        "arithmetic": str(ARITHMETIC).removeprefix("torch."),
    }  # fmt: skip

    def work() -> Result:
        made = synthesise(
            texture.pixels, iterations=plan.ps_iterations, seed=plan.seed,
            say=lambda line: plan.say(f"{texture.name}: {line}"),
        )  # fmt: skip
        save_grid(made.pixels, folder / "ps.png")
        return {
            "iterations": made.iterations, "converged": made.converged, "seconds": made.seconds,
            "losses": list(made.losses), "fell": distance_fell(made.losses),
        }  # fmt: skip

    return once(folder / "ps.json", settings, work)


def _measured(texture: Texture, folder: Path, methods: Sequence[str], plan: Plan) -> Result:
    measures = Measures(texture.pixels, plan.extractor, plan.windows, plan.seed)
    common = {"original": digest(texture.pixels), **measures.settings()}

    def of(method: str) -> Result:
        made = load_picture(folder / f"{method}.png")
        settings = {**common, "made": digest(made)}
        return once(folder / f"measured-{method}.json", settings, lambda: measures.of(made))

    measured: dict[str, Any] = {}
    for method in methods:
        plan.say(f"{texture.name}: measuring {method}")
        measured[method] = of(method)
    halves = once(folder / "measured-halves.json", common, measures.of_halves)
    return {"measured": measured, "halves": halves}


def pictures(folder: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """Those pictures of a texture's folder that are there, uint8 (C, H, W) by name."""
    files = {name: folder / f"{name}.png" for name in names}
    return {name: load_picture(file) for name, file in files.items() if file.exists()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
