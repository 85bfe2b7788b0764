"""Langevin inference of the latent vector from the visible pixels of an image.

With energy U(z) = |z|^2 / 2 + |visible (x - g(z))|^2 / (2 sigma^2), whose exp(-U) is the posterior
given what is visible, one step is

    v  <-  v - delta/2 dU/dz
    z  <-  z + delta/2 v
    v  <-  a v + tau sqrt(1 - a^2) e,      e ~ N(0, I)
    z  <-  z + delta/2 v
    v  <-  v - delta/2 dU/dz

(Leimkuhler, Matthews, *Rational Construction of Stochastic Numerical Methods for Molecular
Sampling*, 2013, their scheme BAOAB). Without momentum, a = 0, this is the Langevin dynamics of
the paper, z <- z - delta^2/2 dU/dz + tau delta e, with each step's noise the mean of two draws;
a of 0.8 needs a tenth of the steps. At tau = 1 it is exact for a linear g at any stable
delta; at tau = 0 it descends to the mode.

The posterior is much narrower in some directions than in others, and its scale differs from
model to model. So delta is not given but found: c / sqrt(largest curvature of U that a chain has
met), where c below 2 is stable.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm

from coopnets.errors import CoopNetsError
from coopnets.langevin import Normal
from coopnets.precision import autocast

Decode = Callable[[Tensor], Tensor]

PROBE = 0.01
"""Length of the first move along the gradient, from which the curvature is first known."""
NEAR = 1e-4
"""Shorter moves tell of rounding rather than of curvature."""
STEPS = 60
STARTS = 4
SIGMA = 1.0
"""Standard deviation of what g leaves unexplained, above the 0.3 of the training: neighbouring
pixels err alike, so that an image says less about z than as many independent pixels would, and a
z that fits what is visible too closely is wrong about the rest. On 48 faces with a hidden square
of 40 the error was 0.111, and 0.117 with 0.3 (experiments/completion)."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How z is looked for.

    Raises:
        CoopNetsError: one of the numbers is too small to look with.
    """

    steps: int = STEPS
    """Langevin steps of the chain that is kept."""
    starts: int = STARTS
    """Chains that begin, at those of ``proposals`` that fit best."""
    trial: int = 10
    """Steps after which only the chain with the least visible error goes on."""
    proposals: int = 256
    """Draws of z ~ N(0, I) to choose the starts from."""
    momentum: float = 0.8
    """a: what is left of the velocity after a step; 0 has no momentum."""
    pace: float = 1.2
    """c: step size in units of 1 / sqrt(curvature)."""
    sigma: float | None = SIGMA
    """Standard deviation of the residual; None takes the one of the training."""

    def __post_init__(self) -> None:
        for name in ("steps", "starts", "proposals"):
            if getattr(self, name) < 1:
                raise CoopNetsError(f"--{name} is {getattr(self, name)}: it must be at least 1")
        if self.sigma is not None and not 0 < self.sigma < math.inf:
            raise CoopNetsError(f"--sigma is {self.sigma}: it must be above 0")


class Chains(NamedTuple):
    """Where R chains are: all that the next step needs."""

    z: Tensor
    """(R, d)."""
    v: Tensor
    """(R, d)."""
    slope: Tensor
    """dU/dz, (R, d)."""
    error: Tensor
    """|visible (x - g(z))|^2, (R,)."""
    curvature: Tensor
    """Largest |change of slope| / |change of z| so far, (R,)."""

    def rows(self, chosen: Tensor) -> "Chains":
        """Some of the chains."""
        return Chains(*(part[chosen] for part in self))


class Posterior:
    """U(z) and its slope for R images, each with its own visible pixels.

    Args:
        g: maps (R, d) to images, each row alone.
        x: images, (R, C, ...); what is hidden does not count.
        visible: boolean, broadcasts to x.
        sigma: standard deviation of the residual.
    """

    def __init__(self, g: Decode, x: Tensor, visible: Tensor, sigma: float) -> None:
        self.g, self.sigma = g, sigma
        self.x, self.visible = torch.where(visible, x, 0.0), visible

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """dU/dz, (R, d), and the visible squared error, (R,)."""
        # fp32 always: curvatures are differences of slopes, in which bf16 leaves only noise.
        with autocast("fp32", z.device), torch.enable_grad():
            z = z.detach().requires_grad_()
            error = ((self.x - self.g(z)) * self.visible).square().flatten(1).sum(1)
            (slope,) = torch.autograd.grad(error.sum() / (2 * self.sigma**2), z)
        return slope + z.detach(), error.detach()

    def rows(self, chosen: Tensor) -> "Posterior":
        """That of some of the images."""
        visible = self.visible.expand(len(self.x), *self.visible.shape[1:])
        return Posterior(self.g, self.x[chosen], visible[chosen], self.sigma)


def begin(posterior: Posterior, z: Tensor) -> Chains:
    """Chains at rest at z, (R, d); two evaluations, for the first curvature."""
    slope, error = posterior(z)
    move = -PROBE * slope / vector_norm(slope, dim=1, keepdim=True).clamp_min(1e-12)
    there, _ = posterior(z + move)
    return Chains(z, torch.zeros_like(z), slope, error, _curvature(there - slope, move))


def step(
    posterior: Posterior, at: Chains, *, momentum: float, pace: float, tau: float, noise: Normal
) -> Chains:
    """One step of each chain; one evaluation."""
    delta = (pace * at.curvature.rsqrt())[:, None]
    v = at.v - delta / 2 * at.slope
    z = at.z + delta / 2 * v
    v = momentum * v
    if tau:
        v = v + tau * (1 - momentum**2) ** 0.5 * noise(v)
    z = z + delta / 2 * v
    slope, error = posterior(z)
    curvature = torch.maximum(at.curvature, _curvature(slope - at.slope, z - at.z))
    return Chains(z, v - delta / 2 * slope, slope, error, curvature)


def infer_visible(
    posterior: Posterior,
    z: Tensor,
    *,
    noise: Normal,
    search: Search,
    anneal: bool = True,
) -> tuple[Tensor, Tensor]:
    """Langevin inference from several starts, of which the one with the least error goes on.

    Args:
        posterior: of B images.
        z: starting vectors, (B, starts, d).
        noise: draws noise like its argument, (B * n, d), n chains of an image in a row.
        search: number of steps, momentum, pace.
        anneal: the noise falls to nothing over the first half of the steps, so that the chain
            ends at the mode; without it tau stays 1, and the chain ends at a draw from the
            posterior.

    Returns:
        z, (B, d), and the visible squared error, (B,).
    """
    images, starts, _ = z.shape
    each = torch.arange(images, device=z.device).repeat_interleave(starts)
    many = posterior.rows(each)
    chains = begin(many, z.flatten(0, 1))
    for k in range(search.steps):
        if k == search.trial:
            chains, many, starts = _best(chains, starts), posterior, 1
        tau = max(0.0, 1 - 2 * k / search.steps) if anneal else 1.0
        chains = step(
            many, chains, momentum=search.momentum, pace=search.pace, tau=tau, noise=noise
        )
    chains = _best(chains, starts)
    return chains.z, chains.error


def closest(images: Tensor, x: Tensor, visible: Tensor, number: int) -> Tensor:
    """The proposals that fit what is visible best, best first: (B, number) indices.

    Args:
        images: proposals, (M, C, ...).
        x: images, (B, C, ...).
        visible: boolean, broadcasts to x.
        number: how many.
    """
    seen: Tensor = visible.expand(x.shape).flatten(1).float()
    target, found = torch.where(visible, x, 0.0).flatten(1), images.flatten(1)
    error = seen @ found.square().T - 2 * target @ found.T  # less the constant |target|^2
    found_at: Tensor = error.topk(number, largest=False).indices
    return found_at


def _best(chains: Chains, starts: int) -> Chains:
    """The chain of each image with the least visible error."""
    if starts == 1:
        return chains
    error = chains.error.view(-1, starts)
    each = torch.arange(len(error), device=error.device)
    return chains.rows(starts * each + error.argmin(1))


def _curvature(slopes: Tensor, moves: Tensor) -> Tensor:
    """|change of slope| / |change of z|, at least the prior's 1; 1 where z hardly moved."""
    change, distance = vector_norm(slopes, dim=1), vector_norm(moves, dim=1)
    curvature: Tensor = change / distance.clamp_min(NEAR)
    return curvature.clamp_min(1.0).where(distance > NEAR, 1.0)
