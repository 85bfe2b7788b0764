"""Frames at another rate: the nearest in time, and rates told from times that are rounded."""

import pytest
from PIL import Image

from coopnets.data.frames import Frame
from coopnets.data.timing import at_rate, is_even, mean_rate

BLANK = Image.new("L", (1, 1))


def taken(times: list[float], fps: float) -> list[float]:
    return [frame.at for frame in at_rate((Frame(t, BLANK) for t in times), fps)]


def nearest(times: list[float], moment: float) -> float:
    return min(times, key=lambda t: (round(abs(t - moment), 6), t))


@pytest.mark.parametrize("fps", [3, 7.5, 10, 12.5, 24, 25, 29.97, 50, 60])
@pytest.mark.parametrize(
    "times",
    [
        [k / 25 for k in range(30)],
        [k / 30 + 0.004 * (k % 2) for k in range(20)],
        [0.0, 0.04, 0.08, 0.4, 0.44, 0.45, 0.9, 1.7],
    ],
)
def test_the_nearest_frame_to_every_moment(times: list[float], fps: float) -> None:
    chosen = taken(times, fps)
    assert chosen == [nearest(times, k / fps) for k in range(len(chosen))]
    end = times[-1] + (times[-1] - times[-2]) / 2
    assert (len(chosen) - 1) / fps <= end + 1e-5 < len(chosen) / fps + 2e-5


def test_its_own_rate_changes_nothing() -> None:
    times = [k / 30 for k in range(50)]
    assert taken(times, 30) == times


def test_of_two_equally_near_the_earlier() -> None:
    assert taken([0.0, 1.0, 2.0, 3.0], 2 / 3) == [0.0, 1.0, 3.0]


def test_a_single_frame_and_none() -> None:
    assert taken([0.0], 25) == [0.0]
    assert taken([], 25) == []


def test_frames_are_asked_for_as_they_are_wanted() -> None:
    asked: list[int] = []

    def source() -> object:
        for k in range(100):
            asked.append(k)
            yield Frame(k / 25, BLANK)

    picked = at_rate(source(), 25)  # type: ignore[arg-type]
    next(picked)
    assert len(asked) <= 2


@pytest.mark.parametrize(
    ("fps", "tick"), [(25, 0.001), (29.97, 0.001), (240, 0.001), (30, 0.01), (24, 0.01)]
)
def test_rounded_times_are_even(fps: float, tick: float) -> None:
    times = [round(k / fps / tick) * tick for k in range(60)]
    assert is_even(times, tick)
    assert mean_rate(times, None, tick) == pytest.approx(fps, rel=0.01)
    assert mean_rate(times, fps, tick) == fps


def test_a_dropped_frame_is_not_even() -> None:
    times = [k / 25 for k in range(40) if k != 20]
    assert not is_even(times, 0.001)


def test_a_rate_that_the_times_belie_is_not_believed() -> None:
    times = [k / 12 for k in range(40)]
    assert mean_rate(times, 25.0, 0.001) == pytest.approx(12, rel=1e-3)
    assert mean_rate([0.0], 25.0, 0.001) is None
