"""Pictures of samples, the same numbers of the same seed for every row."""

from pathlib import Path

from coopnets.compare.folder import ComparisonFolder
from coopnets.compare.plan import ROWS, Plan
from coopnets.data import ImageData, batch_indices
from coopnets.evaluate.evaluate import STREAMED
from coopnets.model import CoopNets
from coopnets.pictures import grid, save_grid

COUNT = 64
COLUMNS = 8
REAL = "real.png"


def grid_file(folder: ComparisonFolder, row: str, iteration: int) -> Path:
    """Where the samples of a row at an iteration are."""
    return folder.grids / row.lower().replace(" ", "-") / f"{iteration:08d}.png"


def draw_samples(model: CoopNets, folder: ComparisonFolder, plan: Plan) -> None:
    """Samples 0 to 63 of a model, a picture for each of its rows.

    Raises:
        CoopNetsError: a picture cannot be written.
        DataError: samples that are not finite.
    """
    (pair,) = model.stream(COUNT, seed=plan.config.seed, batch_size=COUNT)
    for source, x in zip(STREAMED, pair, strict=True):
        if name := ROWS.get((model.config.method, source)):
            save_grid(grid(x.cpu(), COLUMNS), grid_file(folder, name, model.about["iteration"]))


def draw_real(real: ImageData, folder: ComparisonFolder, plan: Plan) -> None:
    """As many of the real images, drawn at random by the seed.

    Raises:
        CoopNetsError: the picture cannot be written.
    """
    if not (file := folder.grids / REAL).exists():
        count = min(COUNT, len(real))
        x = real.batch(batch_indices(len(real), count, 0, plan.config.seed))
        save_grid(grid(x, COLUMNS), file)
