"""The frames of one clip, one after the other: of a video, an animated picture, or a folder."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from PIL import Image

from coopnets.data.decode import reason, upright
from coopnets.data.source import one_line
from coopnets.errors import DataError

VIDEOS = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
)
ANIMATED = {"AVIF", "GIF", "PNG", "WEBP"}
"""Formats that hold animations; several pictures in a TIFF or JPEG are something else."""
USUAL_RATE = 25.0
"""Frames a second where a file does not say."""
UNTIMED_SECONDS = 0.1
"""How long browsers show a frame of an animation that gives no time."""
MISCOUNT = 2
"""Frames that may be missing from a sound file: the counts in headers are often a little off."""
LEAP, LEAP_GAPS = 10.0, 100
"""Seconds, and usual gaps, beyond which a step forward is a fault of joined files' clocks."""

ACCURATE = 4 | 0x2000 | 0x4000 | 0x40000 | 0x80000
"""How FFmpeg converts colours: bicubic, full chroma, exact rounding, the same on every processor.

Flags of its libswscale. Its default way makes pictures darker by a level and smears their colours.
"""

Load = Callable[[], BinaryIO]


class Frame(NamedTuple):
    """A frame and when it is shown, in seconds from the first."""

    at: float
    picture: Image.Image


class CutError(Exception):
    """A file breaks off, or is damaged from here on; the frames before are sound."""


@dataclass(frozen=True)
class Film:
    """A file being read.

    Attributes:
        frames: In order of time; raises CutError behind the last sound one.
        rate: Frames a second as the file says; None if it does not.
        tick: Seconds that the times are rounded to; None if they are merely numbers.
    """

    frames: Iterator[Frame]
    rate: float | None
    tick: float | None


def pyav() -> ModuleType:
    """PyAV.

    Raises:
        DataError: It is not installed; the message names the extra.
    """
    try:
        return import_module("av")
    except ImportError as error:
        raise DataError(
            'video files need the package av; pip install "coopnets[video]" '
            "(GIF, animated WebP and folders of frames do without)"
        ) from error


@contextmanager
def video(load: Load) -> Iterator[Film]:
    """Opens a video file; its frames come upright, with square pixels, in RGB.

    Args:
        load: Gives the file, open for reading and seekable.

    Raises:
        DataError: PyAV is missing.
        ValueError: It is no video, or has sound only.
        OSError: It cannot be read.
    """
    av = pyav()
    with load() as file:
        try:
            container = av.open(file)
        except av.error.FFmpegError as error:
            raise ValueError(f"not a video that FFmpeg can read ({_words(error)})") from error
        with container:
            if not container.streams.video:
                sound = bool(container.streams.audio)
                raise ValueError("sound only, no video in it" if sound else "no video in it")
            stream = container.streams.video[0]
            rate = stream.average_rate
            tick = float(stream.time_base) if stream.time_base else 0.0
            yield Film(_decoded(av, container, stream), float(rate) if rate else None, tick)


@contextmanager
def animation(load: Load) -> Iterator[Film]:
    """Opens an animated GIF, WebP, APNG or AVIF.

    Raises:
        ValueError: It is a still picture.
        Exception: Whatever Pillow raises for a broken one; `decode.reason` words it.
    """
    with load() as file, Image.open(file) as picture:
        if not is_animated(picture):
            raise ValueError(
                "a still picture, not a clip: give a video, an animated GIF or WebP, or a folder "
                "of frames"
            )
        tick = 0.01 if picture.format == "GIF" else 0.001
        yield Film(_shown(picture, file), None, tick)


@contextmanager
def stills(files: Sequence[tuple[str, Load]]) -> Iterator[Film]:
    """Takes pictures, with their names for messages, for the frames of one clip."""
    yield Film(_in_order(files), None, None)


def is_animated(picture: Image.Image) -> bool:
    """Whether a picture moves."""
    return picture.format in ANIMATED and getattr(picture, "is_animated", False)


def _decoded(av: ModuleType, container: Any, stream: Any) -> Iterator[Frame]:
    """One thread of FFmpeg's: with more, where a damaged file ends would depend on them."""
    stream.codec_context.thread_count = 1
    usual_gap = 1 / float(stream.average_rate or USUAL_RATE)
    stretch = stream.sample_aspect_ratio or 1
    count, skipped, start, last, leapt = 0, 0, 0.0, 0.0, 0.0
    for frame in _sound(av, container, stream):
        if frame.is_corrupt:
            if count:
                raise CutError(f"damaged after {count} frames")
            skipped += 1  # begins in the middle of a scene: what follows may be sound
            continue
        time = frame.time
        if count == 0:
            start, at = time or 0.0, 0.0
        else:
            at = -1.0 if time is None else time - start
            if (over := at - last - usual_gap) > max(LEAP, LEAP_GAPS * usual_gap):
                start, at, leapt = start + over, at - over, leapt + over
            at = at if at > last else last + usual_gap  # no time, or one that runs backwards
        yield Frame(at, _picture(frame, float(stretch)))
        count, last = count + 1, at
    # By the file's own clock: a rate in the header is no average where gaps differ.
    seen = (count - 1) / (last + leapt) if count > 1 else None
    found, promised = count + skipped, _promised(container, stream, seen)
    if count == 0:
        raise ValueError("none of its frames can be decoded")
    if promised > found + MISCOUNT:
        raise CutError(f"its header promises {promised} frames, {found} are there")


def _sound(av: ModuleType, container: Any, stream: Any) -> Iterator[Any]:
    """Frames up to the first packet that cannot be decoded, unless it is at the very start."""
    count = 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                if count:
                    raise
                continue
            for frame in frames:
                yield frame
                count += 1
    except av.error.FFmpegError as error:
        raise CutError(f"damaged after {count} frames ({_words(error)})") from error


def _promised(container: Any, stream: Any, rate: float | None) -> int:
    """Number of frames that the file says it has, some by their rate; 0 if it does not."""
    if stream.frames:
        if not (stream.duration and rate):
            return int(stream.frames)
        # Where it was trimmed, the count is also of those that are not shown.
        return min(int(stream.frames), round(float(stream.duration * stream.time_base) * rate))
    alone = len(container.streams) == 1  # else the duration may be that of the sound
    if alone and container.duration and rate:
        return int(container.duration / 1e6 * rate)
    return 0


def _picture(frame: Any, stretch: float) -> Image.Image:
    """The frame in RGB, its pixels made square, turned as a camera's mark says."""
    width = max(1, round(frame.width * stretch))
    image: Image.Image = frame.to_image(width=width, interpolation=ACCURATE)
    quarters = round(frame.rotation / 90) % 4
    if quarters == 0:
        return image
    turns = Image.Transpose
    return image.transpose((turns.ROTATE_90, turns.ROTATE_180, turns.ROTATE_270)[quarters - 1])


def _shown(picture: Image.Image, file: BinaryIO) -> Iterator[Frame]:
    """The pictures of an animation, each as it stands on the screen."""
    at, number = 0.0, 0
    # The first picture of an APNG may be for viewers without animation only.
    first = 1 if picture.info.get("default_image") else 0
    while True:
        try:
            picture.seek(first + number)
            picture.load()
        except EOFError:
            break
        except (OSError, ValueError, SyntaxError) as error:
            if number == 0:
                raise
            raise CutError(f"damaged after {number} frames ({reason(error)})") from error
        yield Frame(at, picture.copy())  # as Pillow draws the next one into the same picture
        at += picture.info.get("duration", 0) / 1000 or UNTIMED_SECONDS
        number += 1
    if picture.format == "GIF" and not _complete(file):
        raise CutError(f"breaks off after {number} frames")


def _complete(gif: BinaryIO) -> bool:
    """Whether a GIF has its last byte, a semicolon; zeros may follow it."""
    size = gif.seek(0, 2)
    gif.seek(max(0, size - 512))
    return gif.read().rstrip(b"\0").endswith(b";")


def _in_order(files: Sequence[tuple[str, Load]]) -> Iterator[Frame]:
    for number, (name, load) in enumerate(files):
        try:
            with load() as file:
                picture = upright(Image.open(BytesIO(file.read())))
                picture.load()
        except Exception as error:  # a broken file can make Pillow raise almost anything
            raise CutError(f"{name} cannot be read: {reason(error)}") from error
        yield Frame(float(number), picture)


def _words(error: Any) -> str:
    return str(getattr(error, "strerror", "") or one_line(error))
