"""Grids of images as files. One fixed map from [-1, 1] to pixels, never a stretch per image."""

from contextlib import suppress
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from coopnets.data.pixels import to_pixels
from coopnets.errors import CoopNetsError


def grid(x: Tensor, columns: int, padding: int = 2, blank: int = 255) -> Tensor:
    """Lay images (N, C, H, W) row by row into one uint8 picture (C', H', W').

    They are in [-1, 1], or uint8. A single image comes without a frame.
    """
    pixels = x if x.dtype == torch.uint8 else to_pixels(x)
    if len(x) == 1:
        return pixels[0]
    from torchvision.utils import make_grid  # takes seconds to import: not for --help

    picture: Tensor = make_grid(pixels, columns, padding, pad_value=blank)
    return picture


def contact_sheet(x: Tensor, columns: int = 8) -> Tensor:
    """Clips (N, C, T, H, W) in [-1, 1] as one uint8 picture (C, H', W').

    A row for each clip: at most ``columns`` frames, evenly spaced from the first to the last.
    """
    count = min(columns, x.shape[2])
    chosen = torch.linspace(0, x.shape[2] - 1, count).round().long()
    frames = x[:, :, chosen.to(x.device)].transpose(1, 2).flatten(0, 1)
    return grid(frames, count)


def side_by_side(*parts: Tensor) -> Tensor:
    """Grids of the same number of images: data | proposed | revised, or data | samples.

    Those of images are square, those of clips contact sheets.
    """
    columns = round(len(parts[0]) ** 0.5)
    first, *others = [contact_sheet(p) if p.ndim == 5 else grid(p, columns) for p in parts]
    gap = torch.full((first.shape[0], first.shape[1], 12), 255, dtype=torch.uint8)
    return torch.cat([first, *(panel for other in others for panel in (gap, other))], 2)


def to_image(pixels: Tensor) -> Image.Image:
    """A uint8 picture (C, H, W), C = 1 or 3, for Pillow."""
    rows = pixels.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows)


def save_grid(picture: Tensor, file: Path) -> None:
    """Write a uint8 picture (C, H, W) as PNG (or what the suffix says), whole or not at all.

    Raises:
        CoopNetsError: the file cannot be written; one that was there is left as it was.
    """
    fresh = file.with_name(f"unfinished-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        to_image(picture).save(fresh)
        fresh.replace(file)
    except (OSError, ValueError) as error:
        raise CoopNetsError(f"cannot write {file}: {error}") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
