"""Langevin inference of the latent vector given an image (step G1).

The posterior of z under x = g(z) + eps, eps ~ N(0, sigma^2 I), is sampled by

    z  <-  z - delta^2/2 (z + d/dz |x - g(z)|^2 / (2 sigma^2)) + tau delta e

(TPAMI 2018, Langevin inference dynamics of the generator net). Every chain has its own
likelihood gradient, summed over its own pixels and never averaged over the batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from coopnets.langevin import Normal, normal
from coopnets.precision import autocast


def infer(
    g: Callable[[Tensor], Tensor],
    x: Tensor,
    z: Tensor,
    *,
    steps: int,
    delta: float = 0.1,
    sigma: float = 0.3,
    tau: float = 1.0,
    noise: Normal | torch.Generator | None = None,
    visible: Tensor | None = None,
    precision: str = "fp32",
) -> Tensor:
    """Run ``steps`` of Langevin dynamics on z given x, warm-started at ``z``.

    Args:
        g: maps (B, d) to images; it must treat each row alone, so a network with batch
            normalisation belongs in evaluation mode.
        x: images, (B, C, H, W) in [-1, 1].
        z: starting latent vectors, (B, d); left as they are.
        steps: number of steps, at least 0.
        delta: step size.
        sigma: standard deviation of the residual.
        tau: noise scale.
        noise: a ``torch.Generator``, or a function that draws noise like its argument.
        visible: boolean mask that broadcasts to x; only where true does x count.
        precision: arithmetic inside g, ``fp32`` or ``bf16``.

    Returns:
        The inferred latent vectors, (B, d), detached.
    """
    draw = noise if callable(noise) else normal(noise)
    z = z.detach().clone()
    with autocast(precision, z.device), torch.enable_grad():
        for _ in range(steps):
            z.requires_grad_()
            residual = x - g(z)
            if visible is not None:
                residual = residual * visible
            error = residual.square().sum() / (2 * sigma**2)
            (gradient,) = torch.autograd.grad(error, z)
            z = z.detach()
            z = z - 0.5 * delta**2 * (z + gradient) + tau * delta * draw(z)
    return z.detach()
