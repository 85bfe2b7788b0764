"""When frames are shown: their rate, whether it is even, and the choice of frames at another."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from coopnets.data.frames import Frame

UNEVEN = 0.2
"""Part of the usual gap between two frames by which one may differ in a file of even rate."""
AGREE = 0.02
"""Part by which the rate that a file gives may differ from its times, which are rounded."""
EXACT = 1e-6
"""Seconds; closer than this two times are the same."""


def at_rate(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The frame nearest to each of the times 0, 1/fps, 2/fps ..., the earlier of two equally near.

    Frames are left out or repeated, never blended, so every one is a frame of the file. The last
    stands for as long after its time as half its distance from the one before.

    Args:
        frames: In order of time.
        fps: Frames a second.
    """
    number, half = 0, 0.0
    before: Frame | None = None
    for frame in frames:
        if before is not None:
            half = (frame.at - before.at) / 2
            while number / fps <= before.at + half + EXACT:
                yield before
                number += 1
        before = frame
    while before is not None and number / fps <= before.at + half + EXACT:
        yield before
        number += 1


def mean_rate(times: Sequence[float], said: float | None, tick: float) -> float | None:
    """Frames a second over the given times.

    Args:
        times: Seconds, ascending.
        said: What the file says. It is taken where the times agree, as they are rounded.
        tick: Seconds that the times are rounded to.

    Returns:
        The rate, or None of fewer than two frames.
    """
    if len(times) < 2:
        return None
    rate = round((len(times) - 1) / (times[-1] - times[0]), 3)  # times are not exact
    if said is not None and is_even(times, tick) and abs(said / rate - 1) < AGREE:
        return said
    return rate


def is_even(times: Sequence[float], tick: float) -> bool:
    """Whether frames follow each other at one rate, as far as the rounding of times shows."""
    if len(times) < 3:
        return True
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    return bool(np.abs(gaps - usual).max() <= max(UNEVEN * usual, 1.5 * tick))
