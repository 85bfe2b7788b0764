"""Frames as one moving picture: a video by PyAV, an animated GIF or WebP by Pillow."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from coopnets.data.frames import pyav
from coopnets.errors import CoopNetsError

Pixels = np.ndarray
"""A frame: uint8 (H, W, C), C = 1 or 3."""

CONTAINERS = {
    ".mp4": ("mp4", ("libx264", "mpeg4")),
    ".mkv": ("matroska", ("libx264", "mpeg4")),
    ".webm": ("webm", ("libvpx-vp9", "libvpx")),
    ".avi": ("avi", ("mpeg4",)),
}
"""Of each suffix the format, and encoders in the order of preference."""
ENCODING = {
    "libx264": {"crf": "14"},
    "mpeg4": {"qmin": "2", "qmax": "2"},
    "libvpx-vp9": {"crf": "15", "b": "0", "cpu-used": "4"},
    "libvpx": {"crf": "5", "b": "8M"},
}
"""Little loss: moving water and fire are noise to a codec, and smear first."""
TICKS = 65_535
"""Largest numerator of a rate that MPEG-4 can write down."""
COLOURS = {"colorspace": "smpte170m", "color_range": "tv"}
"""What _yuv makes, written into the file: players guess otherwise, by the size."""
EVEN = {"libx264"}
"""Encoders that take frames of even height and width only."""
GIF_FPS, WEBP_FPS = 50.0, 90.0
"""Viewers slow down whatever is faster than these, to a tenth of a second a frame."""
LARGEST_SIDE = 16_383
"""Of a WebP; other formats go little further."""
PALETTE_PIXELS = 2**15
"""Pixels that the colours of a GIF are chosen by."""
STRENGTH = 2.0
"""Range of a GIF's pattern over the mean error of its palette. On clips of fire, a flag and lights
colours come out right on average from here on, and more only adds grain."""
LOOKUP_SHIFT = 1.5
"""Pillow takes the colour nearest to the lower corner of a cell of 4 levels a side."""


def write_video(
    frames: Iterable[Pixels], file: Path, suffix: str, fps: float, say: Callable[[str], None]
) -> None:
    """Encode frames as they come, in YUV 4:2:0, which every player shows.

    Args:
        frames: of one size; at least one.
        file: where to, whatever its name.
        suffix: one of ``CONTAINERS``.
        fps: frames a second.
        say: told if a row or a column had to be added.

    Raises:
        DataError: PyAV is missing.
        CoopNetsError: this build of FFmpeg lacks the encoders, or one failed.
        OSError: the disk is full.
    """
    av = pyav()
    container_format, encoders = CONTAINERS[suffix]
    encoder = next((name for name in encoders if _exists(av, name)), None)
    if encoder is None:
        raise CoopNetsError(
            f"FFmpeg here has no encoder for {suffix} ({' or '.join(encoders)}): choose another "
            f"of {' '.join(CONTAINERS)}, or .gif or .webp"
        )
    frames = iter(frames)
    begun = next(frames)
    _check_side(begun)
    height, width = begun.shape[:2]
    rows, columns = (height % 2, width % 2) if encoder in EVEN else (0, 0)
    if rows or columns:
        say(
            f"H.264 takes even sizes: frames of {width}x{height} get a copy of their last "
            f"{'row and column' if rows and columns else 'row' if rows else 'column'}"
        )
    try:
        # As an absolute path, which FFmpeg never takes for an address.
        with av.open(str(file.resolve()), "w", format=container_format) as container:
            rate = Fraction(fps).limit_denominator(min(1001, max(1, int(TICKS / fps))))
            stream = container.add_stream(encoder, rate=rate, options=ENCODING[encoder] | COLOURS)
            stream.height, stream.width = height + rows, width + columns
            stream.pix_fmt = "yuv420p"
            for frame in chain([begun], frames):
                container.mux(stream.encode(_yuv(av, frame, (rows, columns))))
            container.mux(stream.encode())
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        raise CoopNetsError(f"FFmpeg's {encoder} failed: {error}") from error


def write_gif(frames: Iterable[Pixels], file: BinaryIO, fps: float) -> None:
    """Write an animated GIF that repeats for ever.

    All frames share the colours, chosen from the whole clip, and a fixed pattern stands for the
    colours between them: a pixel that does not change stays the same, where error diffusion would
    let it flicker. Grey frames and those of at most 256 colours are exact.

    A GIF counts hundredths of a second: each frame ends at the hundredth nearest to its time, so
    that the clip as a whole keeps its speed. A frame that equals the one before is not stored:
    that one is shown longer, as in a WebP.

    Args:
        frames: of one size.
        file: where to.
        fps: frames a second, at most ``GIF_FPS``.
    """
    clip = np.stack(list(frames))
    _check_side(clip[0])
    options: dict[str, Any] = {"loop": 0}
    if clip.shape[3] == 1:
        pictures = [Image.fromarray(frame[..., 0]) for frame in clip]
    else:
        pictures = _in_few_colours(clip)
        options |= {"palette": bytes(pictures[0].getpalette() or b""), "optimize": True}
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:],
        duration=durations(len(pictures), fps, 10), **options,
    )  # fmt: skip


def write_webp(frames: Iterable[Pixels], file: BinaryIO, fps: float) -> None:
    """Write an animated WebP that repeats for ever, with little loss.

    Args:
        frames: of one size.
        file: where to.
        fps: frames a second, at most ``WEBP_FPS``.
    """
    pictures = [Image.fromarray(frame[..., 0] if frame.shape[2] == 1 else frame)
                for frame in frames]  # fmt: skip
    _check_side(np.asarray(pictures[0])[..., None])
    pictures[0].save(
        file, "WEBP", save_all=True, append_images=pictures[1:], quality=90, method=4,
        duration=durations(len(pictures), fps, 1), loop=0,
    )  # fmt: skip


def durations(count: int, fps: float, unit: int) -> list[int]:
    """How long each frame is shown, in milliseconds that are multiples of ``unit``.

    Frame k ends at the multiple nearest to (k + 1) / fps, so errors do not add up.
    """
    ends = [0, *(round((k + 1) * 1000 / (fps * unit)) for k in range(count))]
    return [(end - start) * unit for start, end in pairwise(ends)]


def thinned(frames: Iterable[Pixels], fps: float, most: float) -> tuple[Iterator[Pixels], float]:
    """Every second frame, third ..., so that no more than ``most`` a second are left."""
    step = int(-(-fps // most))
    return (frame for i, frame in enumerate(frames) if i % step == 0), fps / step


def _exists(av: ModuleType, encoder: str) -> bool:
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:  # PyAV's UnknownCodecError is one
        return False
    return True


def _yuv(av: ModuleType, frame: Pixels, padding: tuple[int, int]) -> Any:
    rows, columns = padding
    full = np.pad(frame, ((0, rows), (0, columns), (0, 0)), "edge")
    rgb = np.ascontiguousarray(np.broadcast_to(full, (*full.shape[:2], 3)))
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv420p", dst_colorspace="ITU601"
    )


def _in_few_colours(clip: np.ndarray) -> list[Image.Image]:
    """The frames of a clip (T, H, W, 3) in one palette."""
    height, width = clip.shape[1:3]
    found = Image.fromarray(clip.reshape(-1, width, 3)).getcolors(256)
    if found is not None:
        return _exactly(clip, np.array([colour for _, colour in found], np.uint8))
    pixels = clip.reshape(-1, 3)
    chosen = np.linspace(0, len(pixels) - 1, min(len(pixels), PALETTE_PIXELS)).astype(int)
    sample = np.ascontiguousarray(pixels[chosen])[None]
    palette = Image.fromarray(sample).quantize(256, kmeans=1)
    plain = np.asarray(_nearest(sample, palette, np.zeros((1, 1, 1))).convert("RGB"))
    error = np.abs(plain.astype(float) - sample).mean()
    pattern = STRENGTH * error * _pattern(height, width)
    return [_nearest(frame, palette, pattern) for frame in clip]


def _nearest(pixels: Pixels, palette: Image.Image, pattern: np.ndarray) -> Image.Image:
    """The nearest colours of a palette to pixels that a pattern is added to."""
    shifted = np.clip(np.rint(pixels + pattern + LOOKUP_SHIFT), 0, 255).astype(np.uint8)
    return Image.fromarray(shifted).quantize(palette=palette, dither=Image.Dither.NONE)


def _exactly(clip: np.ndarray, colours: np.ndarray) -> list[Image.Image]:
    """The frames of a clip that has no colours but these (K, 3), K at most 256."""
    weights = np.array([2**16, 2**8, 1])
    colours = colours[np.argsort(colours @ weights)]
    indices = np.searchsorted(colours @ weights, clip @ weights).astype(np.uint8)
    pictures = [Image.fromarray(frame) for frame in indices]
    for picture in pictures:
        picture.putpalette(colours.tobytes())
    return pictures


def _pattern(height: int, width: int) -> np.ndarray:
    """Thresholds of Bayer's 8 x 8 matrix, (H, W, 1), in (-1/2, 1/2)."""
    matrix = np.zeros((1, 1))
    for _ in range(3):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    tiles = np.tile((matrix + 0.5) / 64 - 0.5, (-(-height // 8), -(-width // 8)))
    return tiles[:height, :width, None]


def _check_side(frame: Pixels) -> None:
    height, width = frame.shape[:2]
    if max(height, width) > LARGEST_SIDE:
        raise CoopNetsError(
            f"frames of {width}x{height} are more than a moving picture can have "
            f"({LARGEST_SIDE} a side): write fewer clips, or a folder"
        )
