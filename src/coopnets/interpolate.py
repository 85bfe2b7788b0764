"""Paths between latent vectors, and a map of a latent plane."""

import math
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["linear", "sphere", "plane"]


def linear(left: Tensor, right: Tensor, points: int) -> Tensor:
    """Points t z_right + (1 - t) z_left, t uniform in [0, 1] with both ends.

    Args:
        left: (P, d).
        right: (P, d).
        points: at least 2.

    Returns:
        (P, points, d), the paths of the authors' interpolation figures.
    """
    t = torch.linspace(0, 1, points, device=left.device)[None, :, None]
    return (1 - t) * left[:, None] + t * right[:, None]


def sphere(corners: Tensor, points: int) -> Tensor:
    """The four-corner spherical grid of the authors' code.

    Weights cos a cos b, cos a sin b, sin a cos b, sin a sin b, whose squares sum to one, so
    that a weighted sum of four standard normal vectors is standard normal again.

    Args:
        corners: (4, d).
        points: side of the grid, at least 2; a and b run over [0, pi/2].

    Returns:
        (points, points, d), the corners at its corners.
    """
    angle = torch.linspace(0, math.pi / 2, points, device=corners.device)
    ends = torch.stack([angle.cos(), angle.sin()])
    weights = torch.einsum("pa,qb->pqab", ends, ends).reshape(4, points, points)
    return torch.einsum("kab,kd->abd", weights, corners)


def plane(points: int, device: torch.device | str = "cpu") -> Tensor:
    """A map of the latent plane: two latent numbers over quantiles of their prior N(0, 1).

    The cells of the map are equally likely, so that it shows what samples are like, and in what
    proportion.

    Args:
        points: cells along each axis, at least 1.
        device: where the result is.

    Returns:
        (points, points, 2): the first number grows from left to right, the second from the bottom
        row to the top one.
    """
    shares = (torch.arange(points, device=device, dtype=torch.float64) + 0.5) / points
    quantiles = torch.special.ndtri(shares).float()
    up, right = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return torch.stack([right, up], -1)
