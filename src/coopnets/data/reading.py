"""One clip, frame by frame, to small pixels and what is to be told of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from coopnets.data.frames import USUAL_RATE, CutError, Frame
from coopnets.data.reels import Reel
from coopnets.data.stream import PROGRESS_SECONDS
from coopnets.data.timing import AGREE, at_rate, is_even, mean_rate
from coopnets.errors import DataError


@dataclass(frozen=True)
class Wanted:
    """What is asked of every clip."""

    frames: int
    windows: bool
    fps: float | None
    shrink: Callable[[Image.Image], np.ndarray]
    too_large: str
    advice: Callable[[int], str]
    """What would help where a clip has so many frames, too few; nothing if nothing does."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip that was read, and what is to be told of it."""

    name: str
    pixels: np.ndarray
    extent: tuple[int, int]
    fps: float
    guessed: bool
    damage: str
    notes: list[str]


@dataclass
class _Passed:
    """What has been seen of the frames of a file."""

    times: list[float] = field(default_factory=list)
    size: tuple[int, int] | None = None
    damage: str = ""

    def watch(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Passes frames on, up to where the file breaks off."""
        try:
            for frame in frames:
                size = frame.picture.size
                if self.size is None:
                    self.size = size
                elif size != self.size:
                    raise ValueError(
                        "its frames differ in size: the first is {}x{}, frame {} {}x{}".format(
                            *self.size, len(self.times) + 1, *size
                        )
                    )
                self.times.append(frame.at)
                yield frame
        except CutError as cut:
            self.damage = str(cut)


def read(reel: Reel, wanted: Wanted, room: int, say: Callable[[str], None]) -> Clip:
    """Reads a clip as far as it is wanted, and refuses one that is too short or too large.

    ``room`` is the number of frames that memory is left for.
    """
    passed = _Passed()
    small: list[np.ndarray] = []
    last = time.monotonic()
    with reel.open() as film:
        frames, asked = passed.watch(film.frames), wanted.fps
        if asked is not None and film.tick is not None:
            frames = at_rate(frames, asked)
        for frame in frames:
            if len(small) == room:
                raise DataError(wanted.too_large)
            small.append(wanted.shrink(frame.picture))
            if not wanted.windows and len(small) == wanted.frames:
                break
            if time.monotonic() - last > PROGRESS_SECONDS:
                last = time.monotonic()
                say(f"reading {reel.name}: {len(small):,} frames so far")
    own = None if film.tick is None else mean_rate(passed.times, film.rate, film.tick)
    _refuse_short(len(small), passed, wanted)
    notes = [f"{passed.damage}; what comes before is used"] if passed.damage else []
    if own and film.tick is not None:
        notes += _about_rate(own, asked, is_even(passed.times, film.tick))
    if all(np.array_equal(frame, small[0]) for frame in small):
        notes.append("does not move: all its frames are the same")
    pixels = np.ascontiguousarray(np.stack(small, 1))
    rate = asked or own or USUAL_RATE
    width, height = passed.size or (0, 0)
    return Clip(reel.name, pixels, (height, width), rate, not (asked or own), passed.damage, notes)


def _about_rate(own: float, asked: float | None, even: bool) -> list[str]:
    """What is worth saying of the rate of a clip, and of the one that was asked for."""
    if asked is None:
        advice = f"--fps {own:.3g} would make it even"
        return [] if even else [f"its frame rate varies around {own:.3g} a second: {advice}"]
    if asked > own * (1 + AGREE):
        return [f"has {own:.4g} frames a second, so at {asked:.4g} some are repeated"]
    return []


def _refuse_short(found: int, passed: _Passed, wanted: Wanted) -> None:
    """Raises ValueError if a clip has fewer frames than wanted."""
    if found >= wanted.frames:
        return
    damage = f" ({passed.damage})" if passed.damage else ""
    if found == 0:
        raise ValueError(passed.damage or "it has no frames")
    if len(passed.times) == 1:
        raise ValueError(f"a single frame{damage}, which does not move: a clip has two or more")
    what = f"{found} frames"
    if found != len(passed.times):
        what += f" at {wanted.fps:g} a second ({len(passed.times)} as they come)"
    advice = wanted.advice(found)
    raise ValueError(f"{what}{damage}, {wanted.frames} wanted" + (f": {advice}" if advice else ""))
