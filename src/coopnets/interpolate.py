"""Paths between latent vectors."""

import math
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["linear", "sphere"]


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
