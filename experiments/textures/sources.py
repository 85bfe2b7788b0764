"""The textures: pictures of files, and those that come with scikit-image."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from coopnets.data.decode import reason, whole
from coopnets.data.files import EXTENSIONS
from coopnets.errors import CoopNetsError
from experiments.textures.measures import SIDES

SKIMAGE = ("brick", "grass", "gravel")
PREFIX = "skimage_"
MULTIPLE = 32
"""Sides are multiples of this: of a tile's unit, and of what Portilla and Simoncelli's pyramid of
four scales halves."""


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture to learn from.

    Attributes:
        name: of its folder.
        pixels: uint8 (C, side, side), C = 1 for grey.
        shown: whether its licence lets the original be published.
    """

    name: str
    pixels: Tensor
    shown: bool


def find(
    places: Sequence[Path], skimage: bool, side: int, may_show: Sequence[str]
) -> list[Texture]:
    """All textures, by name.

    Args:
        places: pictures, and folders of pictures.
        skimage: also take brick, grass and gravel of scikit-image.
        side: the middle square of this side is taken of every picture, by all methods alike.
        may_show: patterns of names whose originals may be published, ``ps_*`` for instance;
            those of scikit-image are in the public domain.

    Raises:
        CoopNetsError: there are none, or one cannot be used.
    """
    least = 2 * max(SIDES)
    if side % MULTIPLE or side < least:
        raise CoopNetsError(
            f"--side {side}: take a multiple of {MULTIPLE}, at least {least}, so that halves of "
            f"the original hold windows of {max(SIDES)}"
        )
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise CoopNetsError(f"--textures {place} does not exist")
        if place.is_dir():
            files += [f for f in sorted(place.iterdir()) if f.suffix.lower() in EXTENSIONS]
        else:
            files.append(place)
    found = [
        Texture(file.stem, middle(read(file), side, file.name),
                any(fnmatch.fnmatch(file.stem, pattern) for pattern in may_show))
        for file in files
    ]  # fmt: skip
    if skimage:
        found += [Texture(PREFIX + name, middle(of_skimage(name), side, name), True)
                  for name in SKIMAGE]  # fmt: skip
    if not found:
        raise CoopNetsError("no textures: give --textures a folder of pictures, or --skimage")
    names = [t.name for t in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CoopNetsError(f"two textures are called {twice[0]}: rename one")
    return sorted(found, key=lambda t: t.name)


def read(file: Path) -> Tensor:
    """A picture as uint8 (C, H, W), grey with one channel.

    Raises:
        CoopNetsError: it is broken, or an animation.
    """
    try:
        colour = torch.from_numpy(whole(file.read_bytes(), 3))
    except Exception as error:  # whatever Pillow raises for a broken picture
        raise CoopNetsError(f"{file} cannot be used: {reason(error)}") from error
    return colour[:1] if bool((colour == colour[:1]).all()) else colour


def of_skimage(name: str) -> Tensor:
    """A grey texture of scikit-image, uint8 (1, 512, 512).

    Raises:
        CoopNetsError: it is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise CoopNetsError(
            'brick, grass and gravel need scikit-image; pip install "coopnets[textures]"'
        ) from error
    return torch.from_numpy(getattr(data, name)())[None]


def middle(pixels: Tensor, side: int, name: str) -> Tensor:
    """The middle square, (C, side, side).

    Raises:
        CoopNetsError: the picture is smaller, or its middle of a single colour.
    """
    height, width = pixels.shape[1:]
    if min(height, width) < side:
        raise CoopNetsError(f"{name} has {width}x{height} pixels, fewer than --side {side}")
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[:, top : top + side, left : left + side].contiguous()
    if bool((square == square[:, :1, :1]).all()):
        raise CoopNetsError(f"{name} is of a single colour: there is nothing to learn from it")
    return square
