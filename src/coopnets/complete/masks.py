"""Which pixels are missing: squares, drawn masks, and the checks that both must pass.

A mask is boolean and true where a pixel is hidden. It broadcasts to the images, so that one mask
can serve all of them, all channels, or all frames of a video.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from coopnets.chance import stream
from coopnets.complete.damaged import OPAQUE, Damaged, shrunk, stem
from coopnets.data.decode import reason, transparency, upright
from coopnets.data.files import is_image, walk
from coopnets.errors import CoopNetsError

MaskOf = Callable[[int, Damaged], Tensor]
"""From a picture and its number to its mask, boolean (1, H, W)."""


Size = int | tuple[int, int]
"""Side of square images, or (height, width)."""


def square(side: int, size: Size, top: int, left: int) -> Tensor:
    """A mask (1, H, W) that hides one square."""
    mask = torch.zeros(1, *_both(size), dtype=torch.bool)
    mask[:, top : top + side, left : left + side] = True
    return mask


def center_square(side: int, size: Size) -> Tensor:
    """A mask (1, H, W) that hides the square in the middle."""
    _check_side(side, size)
    top, left = ((length - side) // 2 for length in _both(size))
    return square(side, size, top, left)


def random_square(side: int, size: Size, seed: int, number: int) -> Tensor:
    """A mask (1, H, W) that hides a square anywhere, each place being as likely.

    The place depends on the seed, the side and the image's number and size alone.
    """
    _check_side(side, size)
    chance = stream(seed, side, number)
    top, left = (
        int(torch.randint(length - side + 1, (1,), generator=chance)) for length in _both(size)
    )
    return square(side, size, top, left)


def squares(spec: str, size: Size, seed: int) -> Callable[[int], Tensor] | None:
    """From the number of an image to its mask (1, H, W); None if no square is asked for.

    Args:
        spec: ``random:SIDE``, ``center:SIDE``, or something else.
        size: of the images.
        seed: places random squares.

    Raises:
        CoopNetsError: the side is missing, or leaves nothing visible.
    """
    kind, _, side = spec.partition(":")
    if not _is_square(spec):
        return None
    middle = center_square(int(side), size)
    if kind == "center":
        return lambda number: middle
    return lambda number: random_square(int(side), size, seed, number)


def is_drawn_here(spec: str) -> bool:
    """Whether a mask comes from no file: a square, or frames of a clip."""
    return _is_square(spec) or spec.startswith("frames:")


def _is_square(spec: str) -> bool:
    """Whether a square is asked for.

    Raises:
        CoopNetsError: one is, and its side is missing.
    """
    kind, _, side = spec.partition(":")
    if kind in ("random", "center") and not side.isdecimal():
        raise CoopNetsError(f"--mask {spec}: give the square's side, for instance {kind}:30")
    return kind in ("random", "center")


def check_images(
    x: Tensor, image: tuple[int, ...], mask: Tensor, *, any_size: bool = False
) -> None:
    """Pass images (B, \\*image) in [-1, 1] as a model takes them.

    Args:
        x: the images.
        image: their shape.
        mask: true where hidden.
        any_size: height and width may be others.

    Raises:
        CoopNetsError: they are of another shape, or visible values are beyond [-1, 1].
    """
    if any_size and x.dim() == len(image) + 1:
        image = (image[0], *x.shape[2:])
    if x.shape[1:] != image or not len(x):
        raise CoopNetsError(
            f"images of shape {tuple(x.shape)}: the model takes (any number, "
            f"{', '.join(map(str, image))})"
        )
    if not x.dtype.is_floating_point:
        raise CoopNetsError(
            f"images are {x.dtype}: bring pixels to [-1, 1] by coopnets.data.to_unit"
        )
    seen = x.masked_fill(check_mask(x, mask), 0)
    if not bool((seen.abs() <= 1).all()):  # NaN fails it too
        raise CoopNetsError("visible pixels are not within [-1, 1]")


def check_mask(x: Tensor, mask: Tensor) -> Tensor:
    """A mask expanded over the rows of x, (B, ...), ready to be used.

    Args:
        x: images, (B, C, ...).
        mask: boolean, or whole numbers with 0 for visible; broadcasts to x.

    Raises:
        CoopNetsError: it does not broadcast, or some image is all visible or all hidden.
    """
    if mask.dtype.is_floating_point:
        raise CoopNetsError(f"a mask is boolean, true where hidden; this one is {mask.dtype}")
    hidden = mask.to(x.device) != 0
    try:
        full = hidden.expand(x.shape)
    except RuntimeError as error:
        raise CoopNetsError(
            f"a mask of shape {tuple(mask.shape)} does not fit images of shape {tuple(x.shape)}"
        ) from error
    counts = full.flatten(1).sum(1)
    if bool((counts == 0).any()):
        raise CoopNetsError(f"the mask of image {int((counts == 0).nonzero()[0])} hides nothing")
    if bool((counts == x[0].numel()).any()):
        row = int((counts == x[0].numel()).nonzero()[0])
        raise CoopNetsError(f"the mask of image {row} hides everything: a part must be visible")
    while hidden.dim() < x.dim():
        hidden = hidden[None]
    return hidden.expand(len(x), *hidden.shape[1:])


def open_masks(
    spec: str, size: int | None, crop: int | None, *, seed: int, invert: bool
) -> MaskOf:
    """The masks that a user asks for.

    Args:
        spec: ``random:SIDE``, ``center:SIDE``, a file, or a folder with a file for each picture.
        size: side of the images that the model takes; None where it takes each picture as it is.
        crop: how the pictures were cropped, for masks as large as the pictures.
        seed: places random squares.
        invert: masks in files are white where visible.

    Raises:
        CoopNetsError: no such mask; or, from the function returned, one that does not fit its
            picture, hides nothing of it or everything.
    """
    if _is_square(spec):
        fixed = None if size is None else squares(spec, size, seed)

        def place(number: int, picture: Damaged) -> Tensor:
            found = fixed or squares(spec, picture.extent, seed)
            assert found is not None
            return found(number)

        return place
    try:
        path = Path(spec).expanduser()
        folder, file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, an unknown ~user
        raise CoopNetsError(f"--mask {spec}: {error}") from error
    if folder:
        files = _Folder(path)
        return lambda number, picture: _fitting(files.of(picture), picture, crop, invert)
    if file:
        drawn = read_mask(path)
        return lambda number, picture: _fitting(drawn, picture, crop, invert)
    raise CoopNetsError(
        f"--mask {spec}: neither a file nor a folder; or give random:SIDE or center:SIDE"
    )


@dataclass(frozen=True, eq=False)
class DrawnMask:
    """A mask from a file, as large as it was drawn.

    Attributes:
        name: of the file.
        hidden: boolean (H, W).
    """

    name: str
    hidden: np.ndarray


def read_mask(file: Path) -> DrawnMask:
    """Read a mask: white is hidden, or, if the file has transparent parts, these are.

    White is brighter than half of the brightest pixel, so that masks of 0 and 1 and 16-bit
    masks do as well. What a file with transparent parts shows elsewhere is of no concern.

    Raises:
        CoopNetsError: the file cannot be read.
    """
    try:
        image = upright(file.read_bytes())
        alpha = transparency(image)
        if alpha is not None and alpha.min() < OPAQUE:
            return DrawnMask(file.name, alpha < OPAQUE)
        deep = image.mode.startswith("I") or image.mode == "F"
        bright = np.asarray(image if deep else image.convert("RGB").convert("L"))
    except MemoryError:
        raise
    except Exception as error:  # a broken picture can make Pillow raise almost anything
        raise CoopNetsError(f"cannot read the mask {file}: {reason(error)}") from error
    return DrawnMask(file.name, bright > bright.max() / 2)


def _fitting(drawn: DrawnMask, picture: Damaged, crop: int | None, invert: bool) -> Tensor:
    """The mask at the size of the pixels, by way of the picture's own crop and resize."""
    hidden, wanted = ~drawn.hidden if invert else drawn.hidden, picture.pixels.shape[1:]
    if hidden.shape == picture.extent and (hidden.shape != wanted or crop is not None):
        hidden = shrunk(hidden, wanted[0], crop)
    if hidden.shape != wanted:
        (height, width), (rows, columns) = hidden.shape, picture.extent
        resized = f"{wanted[1]}x{wanted[0]} as the model's images, or "
        raise CoopNetsError(
            f"the mask {drawn.name} is {width}x{height} pixels: make it "
            f"{'' if wanted == picture.extent else resized}{columns}x{rows} as {picture.name}"
        )
    if not hidden.any():
        raise CoopNetsError(f"the mask {drawn.name} hides nothing of {picture.name}")
    if hidden.all():
        raise CoopNetsError(
            f"the mask {drawn.name} hides all of {picture.name}: a part must be visible"
        )
    return torch.from_numpy(hidden.copy())[None]


class _Folder:
    """Masks by the names of their pictures, whatever the extensions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, list[str]] = {}
        for name in filter(is_image, walk(folder)):
            self.files.setdefault(stem(name), []).append(name)
        if not self.files:
            raise CoopNetsError(f"--mask {folder}: there are no pictures in this folder")

    def of(self, picture: Damaged) -> DrawnMask:
        wanted = stem(picture.name)
        found = self.files.get(wanted) or self.files.get(PurePosixPath(wanted).name, [])
        if picture.name in found:
            found = [picture.name]
        if not found:
            raise CoopNetsError(
                f"--mask {self.folder}: no mask for {picture.name}; masks have their pictures' "
                f"names, for instance {PurePosixPath(wanted).name}.png"
            )
        if len(found) > 1:
            raise CoopNetsError(
                f"--mask {self.folder}: {' and '.join(found)} are both masks for {picture.name}: "
                "leave one"
            )
        return read_mask(self.folder / found[0])


def _both(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _check_side(side: int, size: Size) -> None:
    height, width = _both(size)
    if not 1 <= side < min(height, width):
        raise CoopNetsError(
            f"a square of side {side} does not leave a part of a {width}x{height} image visible "
            f"and a part hidden: its side must be 1 to {min(height, width) - 1}"
        )
