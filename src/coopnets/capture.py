"""Revision in training: each chain run as it comes, or all of it as one captured CUDA graph.

At 28 to 64 pixels a Langevin step is some tens of small kernels, each over before the next one
has been launched, so a GPU waits for the host. A CUDA graph is launched as a whole: the chain is
recorded once, from a fixed place in memory to a fixed place, and replayed in every iteration.

A replay reads the weights where they lie, and every optimiser of this project changes them in
place. Its noise comes from a generator that the graph knows; before a replay it is brought to
where the iteration's own stream stands, and the stream is moved on afterwards, so that a captured
run draws the numbers that an uncaptured one does.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from coopnets.chance import Draws
from coopnets.config import Config
from coopnets.errors import RunError
from coopnets.langevin import Normal, Trace, revise
from coopnets.models import AnyDescriptor, evaluating, frozen
from coopnets.processes import Processes

WARM_UPS = 3
"""Runs before the recording: libraries choose their kernels and allocate in them."""

Record = Callable[[Callable[[], None], torch.Generator], Callable[[], None]]
"""Turns work that draws from a generator into what repeats it."""


class Chains:
    """Step D1 in training: :func:`coopnets.langevin.revise` on one descriptor, again and again.

    Args:
        f: the bare descriptor.
        processes: this process' device and place among the others.
        capture: record the chain once and replay it; without a CUDA device nothing is recorded.
        record: what records; None is CUDA's graphs where ``capture`` and the device allow it.
    """

    def __init__(
        self, f: AnyDescriptor, processes: Processes, capture: bool, record: Record | None = None
    ) -> None:
        self.f, self.processes = f, processes
        self.record = cuda_graph if capture and processes.device.type == "cuda" else record
        self.recorded: tuple[Any, ...] | None = None
        self.replay: Callable[[], None] = lambda: None

    def __call__(self, x: Tensor, draws: Draws, **settings: Any) -> tuple[Tensor, Trace]:
        """Revised images and trace.

        Args:
            x: proposals, (B, C, H, W).
            draws: the iteration's random numbers.
            settings: what else :func:`revise` takes, ``precision`` among it.

        Raises:
            RunError: the chain cannot be recorded.
        """
        if self.record is None or not settings["steps"]:
            return self._run(x, draws, settings)
        # Numbers and addresses are part of a recording: of others, another one is made.
        places = [p.data_ptr() for p in self.f.parameters()]
        wanted = (x.shape, x.stride(), sorted(settings.items()), places)
        if wanted != self.recorded:
            self._record(self.record, x, settings)
            self.recorded = wanted
        self.x.copy_(x)
        self.draws.generator.set_state(draws.generator.get_state())
        self.replay()
        draws.generator.set_state(self.draws.generator.get_state())
        return self.x.clone(), Trace(*self.trace.clone())

    def noise(self, x: Tensor, draws: Draws) -> Tensor:
        """A e like x, of the chains' own grain: f would tell data from revisions by another."""
        e = draws.like(x)
        return e if self.f.metric is None else self.f.metric.noise(e)

    def _record(self, record: Record, x: Tensor, settings: dict[str, Any]) -> None:
        self.recorded, self.replay = None, lambda: None  # the former recording's memory is free
        self.x, self.draws = x.clone(), self.processes.draws(0)
        self.trace = x.new_empty(4, settings["steps"])

        def work() -> None:
            revised, trace = self._run(self.x, self.draws, settings)
            self.x.copy_(revised)
            self.trace.copy_(torch.stack(list(vars(trace).values())))

        self.replay = record(work, self.draws.generator)

    def _run(self, x: Tensor, draws: Draws, settings: dict[str, Any]) -> tuple[Tensor, Trace]:
        """Spectral normalisation must not move within a chain, and no weight needs a gradient."""
        noise: Normal = draws.like
        with evaluating(self.f), frozen(self.f):
            f = self.f.collapsed(settings["precision"])
            return revise(f, x, noise=noise, metric=self.f.metric, **settings)


def settings_at(config: Config, t: int, step_scale: float) -> dict[str, Any]:
    """What :func:`revise` takes at iteration t, the step scaled as the guard found necessary."""
    c = config.langevin
    return {
        "steps": c.steps, "delta": c.delta * step_scale, "damping": c.damping, "s": c.s,
        "tau": noise_scale(c.tau, c.tau_until, c.tau_decay, t), "drift_clip": c.drift_clip,
        "clamp": c.clamp, "precision": config.precision,
    }  # fmt: skip


def noise_scale(tau: float, until: int | None, decay: str, t: int) -> float:
    """tau at iteration t: constant, or ended at ``until`` at once or linearly."""
    if until is None:
        return tau
    if t >= until:
        return 0.0
    return tau * (1 - t / until) if decay == "linear" else tau


def cuda_graph(work: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """Record work as a CUDA graph.

    Args:
        work: reads and writes tensors that stay where they are.
        generator: the source of its random numbers, on the CUDA device.

    Returns:
        The replay.

    Raises:
        RunError: something in it cannot be recorded.
    """
    try:
        with torch.cuda.device(generator.device):
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(generator)
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    work()
            torch.cuda.current_stream().wait_stream(aside)
            # Other threads, such as those that watch over collectives, may use CUDA meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        raise RunError(
            f"the chain cannot be captured on this device ({first}): leave out --capture"
        ) from error
    replay: Callable[[], None] = graph.replay
    return replay
