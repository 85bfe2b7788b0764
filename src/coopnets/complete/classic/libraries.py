"""Two fillers that a user would pick today from libraries that are well kept.

scikit-image's biharmonic filling (after Damelin and Hoang, *On Surface Completion and Image
Inpainting by Biharmonic Functions*, 2018) and OpenCV's fast marching (Telea, *An Image Inpainting
Technique Based on the Fast Marching Method*, 2004).
"""

from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from coopnets.data.pixels import to_pixels, to_unit
from coopnets.errors import CoopNetsError

LIBRARIES = {
    "biharmonic": ("skimage.restoration", "scikit-image"),
    "telea": ("cv2", "opencv-python-headless"),
}
"""Module and package of each method."""
TELEA_RADIUS = 3
"""Pixels around a point that it is filled from; what OpenCV's own examples take."""


def biharmonic(x: Tensor, mask: Tensor) -> Tensor:
    """scikit-image's ``inpaint_biharmonic`` of images (B, C, H, W), C of any number.

    Args:
        x: images in [-1, 1].
        mask: boolean, broadcasts to x and is the same for all channels, true where hidden.

    Raises:
        CoopNetsError: scikit-image is not installed, or the mask differs by channel.
    """
    inpaint = library("biharmonic").inpaint_biharmonic
    filled = x.detach().cpu().clone()
    for i, (image, hidden) in enumerate(_pairs(x, mask)):
        planes = image.double().numpy().transpose(1, 2, 0)
        found = inpaint(planes, hidden, channel_axis=-1)
        filled[i] = torch.from_numpy(found.transpose(2, 0, 1)).to(x.dtype)
    return torch.where(mask.cpu(), filled, x.detach().cpu()).to(x.device)


def telea(x: Tensor, mask: Tensor) -> Tensor:
    """OpenCV's ``inpaint`` by fast marching, on 8-bit pixels, 1 or 3 channels.

    Args and raises as :func:`biharmonic`; the package is opencv-python-headless.
    """
    cv2 = library("telea")
    filled = x.detach().cpu().clone()
    for i, (image, hidden) in enumerate(_pairs(x, mask)):
        pixels = np.ascontiguousarray(to_pixels(image).numpy().transpose(1, 2, 0))
        found = cv2.inpaint(pixels, hidden.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
        found = found.reshape(pixels.shape).transpose(2, 0, 1)
        filled[i] = to_unit(torch.from_numpy(np.ascontiguousarray(found))).to(x.dtype)
    return torch.where(mask.cpu(), filled, x.detach().cpu()).to(x.device)


def _pairs(x: Tensor, mask: Tensor) -> list[tuple[Tensor, np.ndarray]]:
    """Each image, hidden pixels blanked, with its hole (H, W)."""
    blank, full = torch.where(mask, 0.0, x.detach()).cpu(), mask.expand(x.shape).cpu()
    if bool((full != full[:, :1]).any()):
        raise CoopNetsError("biharmonic and telea take masks that are the same for all channels")
    return list(zip(blank, full[:, 0].numpy(), strict=True))


def library(method: str) -> ModuleType:
    """What a method of this module is taken from.

    Raises:
        CoopNetsError: it is not installed.
    """
    module, package = LIBRARIES[method]
    try:
        return import_module(module)
    except ImportError as error:
        raise CoopNetsError(
            f'{method} needs the package {package}; pip install "coopnets[completion]"'
        ) from error
