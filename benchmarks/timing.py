"""Timing that is fair to all competitors: interleaved in one process, after a warm-up.

A processor's clock rises and falls and other work comes and goes, so cases that run one after
the other are measured under different conditions. Here every round runs each case once, each
round beginning with another one, and the fastest and the median round are reported.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Times:
    """Durations of one case, in seconds, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The fastest: what the work itself takes, with the least of everything else."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The usual one."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """How long to measure: until both the least number and the time are reached."""

    least: int = 5
    most: int = 50
    seconds: float = 5.0
    warm_ups: int = 2


def interleave(
    cases: Mapping[str, Callable[[], object]],
    rounds: Rounds,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Time each case once a round.

    Args:
        cases: name and work; what the work returns is dropped.
        rounds: how many.
        device: waited for before the clock is read.
        clock: seconds from anywhere.
    """
    for work in cases.values():
        for _ in range(rounds.warm_ups):
            work()
    order = list(cases)
    taken: dict[str, list[float]] = {name: [] for name in order}
    began, done = clock(), 0
    while done < rounds.least or (done < rounds.most and clock() - began < rounds.seconds):
        for name in order:
            _wait(device)
            start = clock()
            cases[name]()
            _wait(device)
            taken[name].append(clock() - start)
        order.append(order.pop(0))
        done += 1
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}


def best(work: Callable[[], object], rounds: Rounds, device: torch.device) -> float:
    """The fastest of several runs, in seconds."""
    return interleave({"": work}, rounds, device)[""].minimum


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
