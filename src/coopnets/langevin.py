"""Langevin revision of images under the descriptor (step D1).

One step, with energy U(x) = |x|^2 / (2 s^2) - f(x; theta):

    x  <-  x - delta^2/2 (x / s^2 - df/dx) + tau delta e,      e ~ N(0, I)

(TPAMI 2018, Langevin revision dynamics of the descriptor net). tau = 1 is Langevin dynamics,
whose law tends to exp(-U) as delta tends to 0; tau = 0 is gradient descent on U.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

import torch
from torch import Tensor
from torch.linalg import vector_norm

from coopnets.precision import autocast

Normal = Callable[[Tensor], Tensor]
"""Draws standard normal numbers in the shape, type and device of its argument."""


class Metric(Protocol):
    """A constant matrix A: drift A A^T d/dx and noise A e have the same stationary law."""

    def drift(self, gradient: Tensor) -> Tensor:
        """A A^T times a gradient."""
        ...

    def noise(self, e: Tensor) -> Tensor:
        """A e."""
        ...


@dataclass(frozen=True)
class Trace:
    """What happened at each of the L steps, averaged over chains; every field is (L,)."""

    energy: Tensor
    """U before the step."""
    drift: Tensor
    """Root mean square of the drift relative to that of x."""
    noise: Tensor
    """Root mean square of the noise relative to that of x."""
    displacement: Tensor
    """Root mean square distance of a pixel from where its chain began, after the step."""


def normal(generator: torch.Generator | None) -> Normal:
    """Standard normal noise from a PyTorch generator (None: the global one)."""

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)

    return draw


def step_sizes(steps: int, delta: float, damping: float | None) -> list[float]:
    """The sizes of L steps: equal, or differing so that the chain bears a more curved f.

    A step delta^2/2 along the gradient overshoots, and swings ever wider, where the curvature of U
    exceeds 2 / (delta^2/2). Steps of

        delta_j^2  proportional to  1 / (1 + nu - (1 - nu) cos((2j - 1) pi / (2L))),   j = 1 .. L,

    that together go as far (the sum of delta_j^2 is L delta^2) bear more: large ones come first,
    and the small ones that follow damp what those have let swing. Six of them bear 1.7 times the
    curvature with nu = 0.1, 3.4 times with 0.02, and 6 times as nu tends to 0. The sizes are those
    of Alexiades, Amiez, Gremaud, *Super-time-stepping acceleration of explicit schemes for
    parabolic problems* (Communications in Numerical Methods in Engineering 12, 1996).

    Args:
        steps: L.
        delta: root mean square of the sizes.
        damping: nu, over 0 and at most 1, where all steps are equal; None is 1.
    """
    nu = 1.0 if damping is None else damping
    turns = [cos((2 * j - 1) * pi / (2 * steps)) for j in range(1, steps + 1)]
    parts = [1 / (1 + nu - (1 - nu) * turn) for turn in turns]
    return [delta * (steps * part / sum(parts)) ** 0.5 for part in parts]


def revise(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    steps: int,
    delta: float,
    s: float | None = None,
    tau: float = 1.0,
    noise: Normal | torch.Generator | None = None,
    fixed: Tensor | None = None,
    damping: float | None = None,
    drift_clip: float | None = None,
    clamp: float | None = None,
    metric: Metric | None = None,
    precision: str = "fp32",
    diagnose: bool = True,
) -> tuple[Tensor, Trace]:
    """Run ``steps`` of Langevin dynamics from ``x`` under f.

    Args:
        f: maps (B, ...) to (B,); only its gradient with respect to x is computed.
        x: starting images, (B, ...), about [-1, 1]; left as it is.
        steps: L, at least 0.
        delta: step size.
        s: standard deviation of the Gaussian reference; None for no reference.
        tau: noise scale.
        noise: a ``torch.Generator``, or a function that draws noise like its argument.
        damping: of steps that differ in size (:func:`step_sizes`); None for equal ones.
        fixed: boolean mask that broadcasts to x; where true, x comes back bit for bit.
        drift_clip: if given, each pixel's drift in one step is kept in [-drift_clip, drift_clip].
        clamp: if given, x is kept in [-clamp, clamp] after each step (fixed pixels excepted).
        metric: in which the chain moves; None is A = I.
        precision: arithmetic inside f, ``fp32`` or ``bf16``; x, noise and update stay fp32.
        diagnose: keep the trace; without it, its fields are empty.

    Returns:
        The revised images, detached, and the trace of the run.
    """
    draw = noise if callable(noise) else normal(noise)
    root = x.numel() ** 0.5
    start, x = x.detach(), x.detach().clone()
    trace: list[Tensor] = []
    with autocast(precision, x.device), torch.enable_grad():
        for step in step_sizes(steps, delta, damping):
            half = 0.5 * step**2
            x.requires_grad_()
            f_x = f(x)
            (drift,) = torch.autograd.grad(f_x, x, torch.ones_like(f_x))
            x = x.detach()
            with torch.no_grad():
                size = vector_norm(x).clamp_min(1e-12) if diagnose else None
                drift = half * drift  # not in place: autograd may hand out an expanded tensor
                if s is not None:
                    drift.sub_(x, alpha=half / s**2)
                if metric is not None:
                    if fixed is not None:  # what does not move must not push its neighbours either
                        drift = drift.masked_fill(fixed, 0.0)
                    drift = metric.drift(drift)
                if drift_clip is not None:
                    drift.clamp_(-drift_clip, drift_clip)
                x.add_(drift)
                spread = root
                if tau:
                    e = draw(x)
                    if metric is not None:
                        e = metric.noise(e)
                        spread = vector_norm(e)
                    x.add_(e, alpha=tau * step)
                if clamp is not None:
                    x.clamp_(-clamp, clamp)
                if fixed is not None:
                    x = torch.where(fixed, start, x)
                if size is not None:
                    u = (size.square() / (2 * s**2 * len(x)) if s else 0.0) - f_x.mean()
                    noise_size, moved = tau * step * spread / size, vector_norm(x - start) / root
                    trace.append(torch.stack([u, vector_norm(drift) / size, noise_size, moved]))
    rows = torch.stack(trace, 1) if trace else x.new_zeros(4, 0)
    return x.detach(), Trace(*rows)
