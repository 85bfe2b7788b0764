"""Clips as files, written as they come: a moving picture, an array, or folders of frames."""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch
from torch import Tensor

from coopnets.data.frames import pyav
from coopnets.data.pixels import to_pixels, to_unit
from coopnets.errors import CoopNetsError
from coopnets.footage import (
    CONTAINERS,
    GIF_FPS,
    WEBP_FPS,
    Pixels,
    thinned,
    write_gif,
    write_video,
    write_webp,
)
from coopnets.pictures import grid, to_image
from coopnets.samplefiles import write_array

MOVING = (*CONTAINERS, ".gif", ".webp")
FASTEST = {".gif": GIF_FPS, ".webp": WEBP_FPS}
GRID_BYTES = 2**30
"""Of pixels, in clips side by side: they have to be there together."""


def write_clips(
    batches: Iterable[Tensor],
    number: int,
    out: Path,
    fps: float,
    first: int = 0,
    columns: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Write batches (B, C, T, H, W) in [-1, 1] to ``out``, by its suffix.

    A moving picture (.mp4, .mkv, .webm, .avi, .gif, .webp) shows several clips side by side;
    GIF and WebP repeat for ever. An .npz holds uint8 (N, C, T, H, W) under ``clips``, and
    ``fps``. A folder holds the frames of a single clip, 000000.png and so on, or of several a
    folder each. Whatever ends it early, no half of a file or of a clip is left.

    Args:
        batches: the clips, together ``number`` of them; not asked for before all that can be
            refused has been.
        number: how many.
        out: where to.
        fps: frames a second. GIF and WebP get every second frame, or third, beyond what viewers
            show at its speed.
        first: number of the first clip, which names its folder.
        columns: clips beside each other in a moving picture; by default as many as below.
        say: told in a line where the file is not quite what was asked.

    Raises:
        CoopNetsError: the suffix is none of these, the folder is in use, PyAV is missing, there
            are too many clips for a grid, or it cannot be written.
    """
    check_target(out, fps)
    suffix = out.suffix.lower()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npz":
            write_array(batches, number, out, "clips", fps=np.float64(fps))
        elif suffix:
            _write_moving(_side_by_side(batches, number, columns), out, fps, say)
        else:
            _write_folders(batches, number, out, first)
    except OSError as error:
        raise CoopNetsError(f"cannot write {out}: {error.strerror or error}") from error


def check_target(out: Path, fps: float) -> None:
    """Pass a file or folder that clips can be written to, before they are made.

    Raises:
        CoopNetsError: it cannot; as :func:`write_clips`.
    """
    suffix = out.suffix.lower()
    if suffix not in ("", ".npz", *MOVING):
        raise CoopNetsError(
            f"cannot write {out.name}: choose {', '.join(MOVING)}, .npz or a folder"
        )
    if not 0.1 <= fps <= 1000:
        raise CoopNetsError(f"{fps:g} frames a second make no clip: choose 0.1 to 1000")
    if suffix in CONTAINERS:
        pyav()
    if out.exists() and out.is_dir() == bool(suffix):
        there, wanted = ("folder", "file") if suffix else ("file", "folder")
        raise CoopNetsError(f"{out} is a {there} already, and a {wanted} is to be written there")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise CoopNetsError(f"cannot write {out}: {error.strerror or error}") from error


def animation(x: Tensor, fps: float, columns: int) -> bytes:
    """Clips (N, C, T, H, W) in [-1, 1] side by side as an animated WebP that repeats for ever."""
    frames, rate = thinned(_frames(to_pixels(x.cpu()), columns), fps, WEBP_FPS)
    stream = BytesIO()
    write_webp(frames, stream, rate)
    return stream.getvalue()


def _write_moving(
    frames: Iterator[Pixels], out: Path, fps: float, say: Callable[[str], None]
) -> None:
    suffix = out.suffix.lower()
    most = FASTEST.get(suffix, fps)
    if fps > most:
        frames, kept = thinned(frames, fps, most)
        say(
            f"viewers show at most {most:g} frames a second of a {suffix}: {out.name} has "
            f"{kept:g} of {fps:g}"
        )
        fps = kept
    fresh = out.with_name(out.name + ".unfinished")
    try:
        if suffix in CONTAINERS:
            write_video(frames, fresh, suffix, fps, say)
        else:
            write = write_gif if suffix == ".gif" else write_webp
            with fresh.open("wb") as file:
                write(frames, file, fps)
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)


def _side_by_side(batches: Iterable[Tensor], number: int, columns: int | None) -> Iterator[Pixels]:
    """The frames of all clips together."""
    clips: list[Tensor] = []
    for batch in batches:
        clips.append(to_pixels(batch.cpu()))
        if (size := clips[0][0].numel() * number) > GRID_BYTES and number > 1:
            raise CoopNetsError(
                f"{number} clips side by side take {size / 1e9:.1f} GB: choose a folder or .npz, "
                "or fewer"
            )
    yield from _frames(torch.cat(clips), columns or math.ceil(number**0.5))


def _frames(clips: Tensor, columns: int) -> Iterator[Pixels]:
    """Of uint8 clips (N, C, T, H, W), moment by moment, a grid (H', W', C) of all of them."""
    for moment in clips.unbind(2):
        yield grid(to_unit(moment), columns).permute(1, 2, 0).contiguous().numpy()


def _write_folders(batches: Iterable[Tensor], number: int, out: Path, first: int) -> None:
    folders = [out / f"{first + i:06d}" for i in range(number)] if number > 1 else [out]
    if number > 1:
        if taken := next((f for f in folders if f.exists()), None):
            raise CoopNetsError(
                f"{taken} is there already: choose another folder, or another --first"
            )
    elif out.is_dir() and any(out.iterdir()):
        raise CoopNetsError(f"{out} is not empty: choose another folder")
    clips = (clip for batch in batches for clip in to_pixels(batch.cpu()))
    for folder, clip in zip(folders, clips, strict=True):
        write_frames(clip, folder)


def write_frames(clip: Tensor, folder: Path) -> None:
    """A folder of the frames of a clip, uint8 (C, T, H, W), which appears when it is whole.

    Raises:
        OSError: it cannot be written, or is there and not empty.
    """
    fresh = folder.resolve().with_name(folder.resolve().name + ".unfinished")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        for i, frame in enumerate(clip.unbind(1)):
            to_image(frame).save(fresh / f"{i:06d}.png")
        if folder.is_dir():
            folder.rmdir()  # empty, as was seen
        fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
