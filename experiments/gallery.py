"""Pictures of a trained pair: samples of both networks, and what lies between them."""

from pathlib import Path

from coopnets.model import CoopNets
from coopnets.pictures import grid, save_grid
from coopnets.sample import usual_steps
from experiments.cells import Result, once, weights_of

SHOWN = 64
PAIRS, POINTS = 8, 8
"""The authors draw eight lines of eight points, and one grid of eight by eight."""
REVISED = "-revised"


def draw(model: CoopNets, folder: Path, kinds: tuple[str, ...], seed: int) -> Result:
    """Samples, and interpolations with and without the descriptor's revision; once.

    Args:
        model: a pair.
        folder: where the pictures go, under ``samples-generator.png``, ``linear.png``,
            ``linear-revised.png``, ...
        kinds: of interpolation.
        seed: names samples and paths.

    Returns:
        What a table says of the run: iterations, seconds and displacement.
    """

    def work() -> Result:
        x_hat, x_tilde = next(iter(model.stream(SHOWN, seed=seed, batch_size=SHOWN)))
        for name, x in (("generator", x_hat), ("descriptor", x_tilde)):
            save_grid(grid(x.cpu(), 8), folder / f"samples-{name}.png")
        for kind in kinds:
            for steps, ending in ((0, ""), (usual_steps(model.config.langevin), REVISED)):
                images = model.interpolate(
                    kind=kind, pairs=PAIRS if kind == "linear" else 1, points=POINTS,
                    seed=seed, langevin_steps=steps,
                )  # fmt: skip
                laid = images.flatten(0, -4).cpu()
                save_grid(grid(laid, POINTS), folder / f"{kind}{ending}.png")
        about = model.about
        return {
            "iterations": about["iteration"], "seconds": about["seconds"],
            "displacement": about.get("metrics", {}).get("displacement"),
        }  # fmt: skip

    settings = {"weights": weights_of(model), "kinds": list(kinds), "seed": seed,
                "pairs": PAIRS, "points": POINTS}  # fmt: skip
    return once(folder / "pictures.json", settings, work)
