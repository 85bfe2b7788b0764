"""Clips made on the spot: frame k is of one grey level, by which it can be told apart."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

LEVELS = list(range(10, 250, 6))
"""Forty frames."""


def flat(level: int, height: int = 16, width: int = 24) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def save_video(
    file: Path,
    frames: Sequence[np.ndarray | int] = LEVELS,
    *,
    fps: float = 25,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    times: Sequence[int] | None = None,
    rotation: int = 0,
    stretch: Fraction | None = None,
    format: str | None = None,
) -> Path:
    """Encode frames, uint8 (H, W, 3) or a grey level; without loss as it stands.

    Args:
        file: where to.
        frames: the frames.
        fps: frames a second.
        codec: name of the encoder.
        pixels: what it stores.
        times: milliseconds of the frames, if they do not follow each other evenly.
        rotation: degrees to the left that a player is told to turn the frames by.
        stretch: width of a pixel over its height.
        format: of the file, where its name does not tell.
    """
    import av

    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w", format=format) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        arrays = [flat(f) if isinstance(f, int) else f for f in frames]
        stream.height, stream.width = arrays[0].shape[:2]
        stream.pix_fmt = pixels
        if stretch:
            stream.codec_context.sample_aspect_ratio = stretch
        if rotation:
            stream.set_display_rotation(rotation)
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for k, array in enumerate(arrays):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
            if times:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def save_sound(file: Path) -> Path:
    """A second of silence."""
    import av

    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def save_animation(
    file: Path, levels: Sequence[int] = LEVELS, duration: int | list[int] = 40, **options: object
) -> Path:
    """A GIF, WebP or APNG; grey levels are exact in the first and the last."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.fromarray(flat(level)[..., 0]) for level in levels]
    pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=duration, **options)
    return file


def save_frames(folder: Path, levels: Sequence[int] = LEVELS, name: str = "frame{}.png") -> Path:
    """A folder of pictures, numbered from 1 without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, level in enumerate(levels, 1):
        Image.fromarray(flat(level)).save(folder / name.format(k))
    return folder


def levels_of(clip: np.ndarray) -> list[int]:
    """The grey level of each frame of a clip (C, T, H, W), which are flat."""
    assert (clip == clip[:1, :, :1, :1]).all()
    return [int(level) for level in clip[0, :, 0, 0]]
