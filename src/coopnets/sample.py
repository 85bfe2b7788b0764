"""Ancestral sampling by the generator, and revision by the descriptor; or one of the two alone.

Sample i is made from a random stream of its own, named by the seed and i: its latent vector (or
the noise that its chain starts at) first, then the noise of its chain. So it does not depend on
how many samples are drawn, nor in what batches, up to the rounding of the arithmetic.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from coopnets.chance import per_sample
from coopnets.config import LangevinConfig
from coopnets.langevin import Normal, revise
from coopnets.models import AnyDescriptor, AnyGenerator, evaluating, frozen
from coopnets.precision import autocast


class Stage(Protocol):
    """Where samples are drawn that are not such as in training: larger, longer, or endless."""

    @property
    def latent(self) -> tuple[int, ...]:
        """Shape of z."""
        ...

    def draw(self, g: Any, z: Tensor) -> Tensor:
        """The generator's proposals."""
        ...

    def seen_by(self, f: nn.Module) -> AbstractContextManager[None]:
        """How the descriptor sees them."""
        ...

    def cut(self, x: Tensor) -> Tensor:
        """What was asked for, of what was drawn."""
        ...


def each_its_own(streams: list[torch.Generator], device: torch.device) -> Normal:
    """Noise whose row i comes from stream i."""

    def draw(like: Tensor) -> Tensor:
        rows = [torch.randn(like.shape[1:], generator=stream) for stream in streams]
        return torch.stack(rows).to(device)

    return draw


@torch.no_grad()
def propose(
    g: AnyGenerator, z: Tensor, precision: str = "fp32", canvas: Stage | None = None
) -> Tensor:
    """g(z), (B, C, H, W) in [-1, 1], of latent vectors or maps; step G0 at test time."""
    with evaluating(g), autocast(precision, z.device):
        x: Tensor = g(z) if canvas is None else canvas.draw(g, z)
        return x


def usual_steps(langevin: LangevinConfig) -> int:
    """Steps of revision when sampling: those meant for it, or else those of training."""
    return langevin.steps if langevin.sample_steps is None else langevin.sample_steps


def usual_noise(langevin: LangevinConfig) -> float:
    """tau when sampling: what is meant for it, or else what training ends with."""
    if langevin.sample_tau is not None:
        return langevin.sample_tau
    return 0.0 if langevin.tau_until is not None else langevin.tau


def refine(
    f: AnyDescriptor,
    x: Tensor,
    langevin: LangevinConfig,
    *,
    noise: Normal | torch.Generator,
    steps: int | None = None,
    tau: float | None = None,
    step_scale: float = 1.0,
    fixed: Tensor | None = None,
    precision: str = "fp32",
    canvas: Stage | None = None,
) -> Tensor:
    """Langevin revision of proposals at test time; step D1, with the steps meant for sampling.

    Args:
        f: descriptor.
        x: proposals, (B, C, H, W).
        langevin: step size, reference, noise and number of steps.
        noise: one stream, or one for each row (:func:`each_its_own`).
        steps: overrides the configured number.
        tau: overrides the configured noise scale.
        step_scale: factor on the step size that the guard found necessary in training.
        fixed: boolean mask of pixels that stay as they are.
        precision: arithmetic inside f.
        canvas: if it is a tile, f sees a torus.
    """
    if steps is None:
        steps = usual_steps(langevin)
    if tau is None:
        tau = usual_noise(langevin)
    torus = nullcontext() if canvas is None else canvas.seen_by(f)
    with evaluating(f), frozen(f), torus:
        revised, _ = revise(
            f.collapsed(precision), x, steps=steps, delta=langevin.delta * step_scale,
            damping=langevin.damping, s=langevin.s, tau=tau, noise=noise, fixed=fixed,
            drift_clip=langevin.drift_clip, clamp=langevin.clamp, metric=f.metric,
            precision=precision, diagnose=False,
        )  # fmt: skip
    return revised


def latents(streams: list[torch.Generator], shape: Sequence[int], device: torch.device) -> Tensor:
    """z ~ N(0, I), (B, \\*shape), row i from stream i."""
    return torch.stack([torch.randn(tuple(shape), generator=s) for s in streams]).to(device)


def uniform_noise(
    streams: list[torch.Generator], image: Sequence[int], device: torch.device
) -> Tensor:
    """Where chains without generator start: (B, C, H, W) in [-1, 1], row i from stream i."""
    rows = [2 * torch.rand(tuple(image), generator=s) - 1 for s in streams]
    return torch.stack(rows).to(device)


def samples(
    f: AnyDescriptor | None,
    g: AnyGenerator | None,
    langevin: LangevinConfig,
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    steps: int | None = None,
    step_scale: float = 1.0,
    precision: str = "fp32",
    batch_size: int = 100,
    device: torch.device | str = "cpu",
    image: Sequence[int] = (),
    canvas: Stage | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples ``first`` to ``first + n - 1`` of a seed, batch by batch, in constant memory.

    Args:
        f: descriptor; without one, proposals are not revised.
        g: generator; without one, chains start at uniform noise.
        langevin: settings of the revision.
        n: how many.
        seed: names the samples together with their number.
        first: number of the first one.
        steps: overrides the configured number of steps.
        step_scale: factor on the step size that the guard found necessary in training.
        precision: arithmetic inside the networks.
        batch_size: how many at a time.
        device: where the networks are.
        image: (C, H, W), needed where there is no generator.
        canvas: another size than that of the training, or a tile; needs a latent map.

    Yields:
        Proposals and revisions, (B, C, H, W) each. With ``steps=0`` they are the same.
    """
    device = torch.device(device)
    for start in range(0, n, batch_size):
        count = min(batch_size, n - start)
        streams = per_sample(seed, first + start, count)
        if g is None:
            x_hat = uniform_noise(streams, image, device)
        else:
            shape = g.latent_shape if canvas is None else canvas.latent
            x_hat = propose(g, latents(streams, shape, device), precision, canvas)
        x_tilde = x_hat
        if f is not None:
            x_tilde = refine(
                f, x_hat, langevin, noise=each_its_own(streams, device), steps=steps,
                step_scale=step_scale, precision=precision, canvas=canvas,
            )  # fmt: skip
        if canvas is not None:
            x_hat, x_tilde = canvas.cut(x_hat), canvas.cut(x_tilde)
        yield x_hat, x_tilde
