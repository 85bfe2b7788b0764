"""Sheets: the first images as they were completed, side by side."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from coopnets.data import ImageData, to_pixels, to_unit
from coopnets.pictures import grid, save_grid
from experiments.cells import write
from experiments.completion.cells import SHOWN, masks, pictures
from experiments.completion.jobs import Job

GAP = 16
"""White pixels between blocks."""


def save_sheet(
    file: Path, images: ImageData, side: int, seed: int, folder: Path, work: Sequence[Job],
    shown: Sequence[str], blocks: int,
) -> None:  # fmt: skip
    """Sixteen images: damaged | every column, or those to be shown, in order | truth.

    Args:
        file: a PNG; a text file of its name says what the columns are.
        images: what was completed.
        side: of the hidden square.
        seed: of its places.
        folder: where cells are.
        work: what made them.
        shown: columns, in order; none takes all.
        blocks: the rows stand in so many, one beside the other.
    """
    count = min(SHOWN, len(images))
    x = images.batch(torch.arange(count))
    mask = masks(side, x.shape[-1], seed, 0, count)
    made = {k: v for job in work for k, v in pictures(folder, side, job).items()}
    order = shown or tuple(made)
    rows = torch.stack(
        [to_pixels(x.masked_fill(mask, 0.0)), *(made[name] for name in order), to_pixels(x)], 1
    )
    save_grid(laid(rows, blocks), file)
    write(file.with_suffix(".txt"), f"columns: {' | '.join(['damaged', *order, 'truth'])}\n")


def laid(rows: Tensor, blocks: int) -> Tensor:
    """Rows of images, uint8 (N, columns, C, H, W), in blocks side by side, uint8 (C, H', W')."""
    parts = [grid(to_unit(part.flatten(0, 1)), part.shape[1])
             for part in torch.split(rows, -(-len(rows) // blocks))]  # fmt: skip
    height = parts[0].shape[1]
    whole = [pad(part, (0, GAP, 0, height - part.shape[1]), value=255) for part in parts]
    return torch.cat(whole, 2)[:, :, :-GAP]
