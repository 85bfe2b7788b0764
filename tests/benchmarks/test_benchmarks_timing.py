from collections.abc import Callable

import pytest
import torch

from benchmarks.timing import Rounds, Times, interleave

CPU = torch.device("cpu")


class World:
    """Work that takes stated times, and the clock that sees it."""

    def __init__(self, **durations: list[float]) -> None:
        self.now, self.done = 0.0, []  # type: tuple[float, list[str]]
        self.left = {name: list(times) for name, times in durations.items()}

    def cases(self) -> dict[str, Callable[[], None]]:
        return {name: (lambda name=name: self.work(name)) for name in self.left}

    def work(self, name: str) -> None:
        self.done.append(name)
        self.now += self.left[name].pop(0)

    def clock(self) -> float:
        return self.now


def test_warm_ups_do_not_count_and_statistics_are_right() -> None:
    world = World(a=[90, 90, 3, 1, 8, 2], b=[50, 50, 5, 5, 7, 5])
    times = interleave(world.cases(), Rounds(least=4, most=4), CPU, world.clock)
    assert times["a"] == Times((3, 1, 8, 2)) and times["b"].seconds == (5, 5, 7, 5)
    assert times["a"].minimum == 1 and times["a"].median == 2.5
    assert times["b"].minimum == 5 and times["b"].median == 5


def test_every_round_runs_each_once_and_begins_with_another() -> None:
    world = World(**{name: [1.0] * 4 for name in "abc"})
    interleave(world.cases(), Rounds(least=3, most=3, warm_ups=1), CPU, world.clock)
    assert "".join(world.done) == "abc" + "abc" + "bca" + "cab"


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (Rounds(least=2, most=50, seconds=10, warm_ups=0), 5),  # until the time is spent
        (Rounds(least=8, most=50, seconds=10, warm_ups=0), 8),  # but no fewer than the least
        (Rounds(least=1, most=3, seconds=10, warm_ups=0), 3),  # and no more than the most
    ],
)
def test_how_long(rounds: Rounds, expected: int) -> None:
    world = World(a=[2.0] * 50)
    times = interleave(world.cases(), rounds, CPU, world.clock)
    assert len(times["a"].seconds) == expected
