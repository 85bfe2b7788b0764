"""What the engine is measured against, and the proof that all compute the same step.

Every chain takes x to x - delta^2/2 (x / s^2 - df/dx) + tau delta e, e ~ N(0, I), L times.
"""

from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from coopnets.config import LangevinConfig
from coopnets.errors import CoopNetsError
from coopnets.langevin import revise
from coopnets.models import AnyDescriptor, energy, evaluating, frozen

Chain = Callable[[Tensor, int, torch.Generator], Tensor]
"""Takes images, the number of steps and the source of the noise to revised images."""

TOLERANCE = {"fp32": 1e-3, "bf16": 0.2}
"""Largest distance between two ends of one step, relative to the length of the step (root mean
squares). bf16 has 8 bits, and its gradient is off by several per cent."""
CLIPS = {**TOLERANCE, "fp32": 5e-3}
"""Of clips: the gradient of PyTorch's three-dimensional convolution through oneDNN is 0.25 %
off its own in double precision; ours, and theirs without oneDNN, is off by 0.016 %."""


def ours(f: AnyDescriptor, c: LangevinConfig, precision: str = "fp32") -> Chain:
    """The engine, as samples are drawn; bounds on the drift, which the others lack, left out."""

    def chain(x: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        with evaluating(f), frozen(f):
            revised, _ = revise(
                f.collapsed(precision), x, steps=steps, delta=c.delta, s=c.s, tau=c.tau,
                noise=generator, precision=precision, diagnose=False,
            )  # fmt: skip
        return revised

    return chain


def naive(f: nn.Module, c: LangevinConfig) -> Chain:
    """``backward()`` in every step, which also sums up weight gradients that nobody asked for.

    The way of the published PyTorch code (FANG-Xiaolin/pytorch-CoopNets) and of many others.
    """

    def chain(x: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        f.zero_grad()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            f(x).sum().backward()
            assert x.grad is not None
            pull = x / c.s**2 if c.s else 0.0
            moved = x.detach() - 0.5 * c.delta**2 * (pull - x.grad)
            if c.tau:
                noise = torch.randn(x.shape, generator=generator, device=x.device)
                moved += c.tau * c.delta * noise
            x = moved.detach()
        return x

    return chain


def torchebm(f: nn.Module, c: LangevinConfig) -> Chain:
    """TorchEBM's sampler: step size delta^2 / 2, noise scale tau, U = |x|^2 / (2 s^2) - f.

    Raises:
        CoopNetsError: it is not installed.
    """
    module = _torchebm()
    device = next(f.parameters()).device

    class Energy(module.core.BaseModel):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(device=device)
            self.f = f

        def forward(self, x: Tensor) -> Tensor:
            return energy(self.f(x), x, c.s)

    sampler: Any = module.samplers.LangevinDynamics(
        Energy(), step_size=c.delta**2 / 2, noise_scale=c.tau, device=device
    )

    def chain(x: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        # Our layers would compute weight gradients for whoever does not say that none is needed.
        with frozen(f) if isinstance(f, AnyDescriptor) else nullcontext():
            revised: Tensor = sampler.sample(x=x, n_steps=steps, generator=generator)
        return revised

    return chain


def has_torchebm() -> bool:
    """Whether TorchEBM can be measured here."""
    try:
        _torchebm()
    except CoopNetsError:
        return False
    return True


def assert_same_step(
    chains: dict[str, Chain],
    reference: str,
    x: Tensor,
    precision: dict[str, str],
    tolerance: dict[str, float] = TOLERANCE,
) -> None:
    """Compare one step of each chain, with the same noise, to that of ``reference``.

    Args:
        chains: all that will be timed.
        reference: the one to compare with.
        x: images to start from.
        precision: arithmetic of each chain, fp32 if not named.
        tolerance: by arithmetic.

    Raises:
        CoopNetsError: a step ends elsewhere; nothing must be timed.
    """
    ends = {}
    for name, chain in chains.items():
        generator = torch.Generator(x.device).manual_seed(0)
        ends[name] = chain(x.clone(), 1, generator).detach()
    length = (ends[reference] - x).square().mean().sqrt()
    for name, end in ends.items():
        off = float((end - ends[reference]).square().mean().sqrt() / length)
        allowed = tolerance[precision.get(name, "fp32")]
        if not off <= allowed:  # also where it is no number
            raise CoopNetsError(
                f"a step of {name} ends {off:.2g} of its length away from that of {reference}, "
                f"more than {allowed:g}: they do not compute the same, so nothing was timed"
            )


def _torchebm() -> Any:
    before = torch.get_float32_matmul_precision()
    try:
        for part in ("core", "samplers"):
            import_module(f"torchebm.{part}")
    except ImportError as error:
        raise CoopNetsError('TorchEBM is not installed: pip install "coopnets[bench]"') from error
    finally:
        torch.set_float32_matmul_precision(before)  # its import lowers it for everybody
    return import_module("torchebm")
