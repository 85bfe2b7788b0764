"""Clips of one number of frames, at a small size, in memory: how dynamic textures are observed.

A file is read frame by frame and only what is wanted of it is kept, so a long video at full size
never stands in memory.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from coopnets.data.decode import decode, reason
from coopnets.data.pixels import to_unit
from coopnets.data.reading import Clip, Wanted, read
from coopnets.data.reels import Reel, find_reels
from coopnets.data.stream import at_least_one, refusal, spread
from coopnets.data.windows import LARGEST
from coopnets.errors import DataError

TOLD = 3
"""Clips whose peculiarities are told one by one."""


@dataclass(frozen=True, eq=False)
class ClipData:
    """Clips of one number of frames and one size.

    Attributes:
        source: What was asked for.
        split: Which part of it.
        clips: uint8 (C, T, H, W) each, T of their own, at least ``frames``.
        extents: (height, width) of each clip's frames before crop and resize.
        frames: Frames of an example.
        windows: Whether every start frame in a clip counts as an example; if not, its first
            ``frames`` frames are the only one, as in the authors' experiments.
        fps: Frames a second, of the first clip.
        skipped: (name, reason) of clips that cannot be used.
        fingerprint: Hash of the pixels and of ``frames``.
    """

    source: str
    split: str
    clips: tuple[np.ndarray, ...]
    extents: tuple[tuple[int, int], ...]
    frames: int
    windows: bool
    fps: float
    skipped: tuple[tuple[str, str], ...]
    fingerprint: str

    def __len__(self) -> int:
        return int(self._starts().sum())

    def batch(self, indices: Tensor | np.ndarray) -> Tensor:
        """Cuts some examples out.

        Args:
            indices: int64 of shape (B,), values in 0..N-1, repeats allowed.

        Returns:
            float32 of shape (B, C, frames, H, W) in [-1, 1], on the CPU, with memory of its own.
        """
        ends = np.cumsum(self._starts())
        cut = []
        for index in np.asarray(indices).tolist():
            number = int(np.searchsorted(ends, index, side="right"))
            start = index - (int(ends[number - 1]) if number else 0)
            cut.append(self.clips[number][:, start : start + self.frames])
        return to_unit(torch.from_numpy(np.stack(cut)))

    def _starts(self) -> np.ndarray:
        if not self.windows:
            return np.ones(len(self.clips), np.int64)
        return np.array([clip.shape[1] - self.frames + 1 for clip in self.clips])


def open_clips(
    source: str | Path,
    *,
    frames: int,
    size: int | tuple[int, int],
    channels: int,
    fps: float | None = None,
    windows: bool = False,
    crop: int | None = None,
    split: str = "train",
    limit: int | None = None,
    strict: bool = False,
    advice: Callable[[int], str] = lambda _: "",
    say: Callable[[str], None] = print,
) -> ClipData:
    """Opens clips at a small size, into memory.

    Args:
        source: A video file, an animated GIF, WebP or APNG, a folder of frames (one clip), or a
            folder or zip of such files or folders (a clip each).
        frames: Frames of an example.
        size: Side, or (height, width), of the result: the largest centred box of these
            proportions is resized with antialiasing.
        channels: 1 for grey, 3 for RGB.
        fps: Frames a second. Those nearest in time to 0, 1/fps, 2/fps ... are taken, which also
            makes a variable rate even. By default the frames as they come. Pictures in a folder
            give no times: they are taken as they come, and ``fps`` says how fast.
        windows: Let every start frame in a clip count as an example, not the first alone.
        crop: Side of a centred square cut out before the resize.
        split: Part of the data, told by subfolders.
        limit: Use only this many clips, spread over the set.
        strict: Refuse unusable and damaged clips instead of using what there is.
        advice: From the number of a clip's frames, fewer than ``frames``, to what would help;
            empty if nothing does.
        say: Told in one line what was opened and skipped, and a line about a clip of variable
            rate, or cut off, or that repeats frames.

    Raises:
        DataError: If there is no such source or split, it holds no clip, or none that can be
            used: broken, not moving, shorter than ``frames``; if the pixels would not fit
            memory; if PyAV is needed and missing; or, when strict, if a clip is damaged.
    """
    height, width = size if isinstance(size, tuple) else (size, size)
    _check(frames, min(height, width), channels, fps, crop, limit)
    reels = find_reels(source, split, say)
    if limit is not None:
        taken = spread(len(reels), limit)
        reels = [reel for i, reel in enumerate(reels) if i in taken]
    wanted = Wanted(
        frames, windows, fps, partial(decode, size=(height, width), channels=channels, crop=crop),
        _too_large(source, width, height, windows), advice,
    )  # fmt: skip
    room = LARGEST // (channels * height * width)
    clips, skipped = _usable(reels, wanted, room, strict, say)
    if not clips:
        raise DataError(_none_usable(str(source), skipped))
    _tell(clips, say)
    pixels = tuple(clip.pixels for clip in clips)
    data = ClipData(
        str(source), split, pixels, tuple(clip.extent for clip in clips), frames, windows,
        clips[0].fps, tuple(skipped), _digest(pixels, frames),
    )  # fmt: skip
    say(_summary(data, clips))
    return data


def _usable(
    reels: list[Reel], wanted: Wanted, room: int, strict: bool, say: Callable[[str], None]
) -> tuple[list[Clip], list[tuple[str, str]]]:
    """Reads clips one by one; those that cannot be used come as (name, reason)."""
    clips: list[Clip] = []
    skipped: list[tuple[str, str]] = []
    for reel in reels:
        try:
            clip = read(reel, wanted, room, say)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a broken file can make Pillow raise almost anything
            why = reason(error)
            if strict:
                raise refusal(reel.name, why) from error
            skipped.append((reel.name, why))
            continue
        if strict and clip.damage:
            raise refusal(reel.name, clip.damage)
        clips.append(clip)
        room -= clip.pixels.shape[1]
    return clips, skipped


def _check(
    frames: int, side: int, channels: int, fps: float | None, crop: int | None, limit: int | None
) -> None:
    if channels not in (1, 3):
        raise DataError(f"channels is {channels}; it must be 1 (grey) or 3 (RGB)")
    if frames < 2:
        raise DataError(f"frames is {frames}; a clip has two or more")
    if fps is not None and not 0 < fps < float("inf"):
        raise DataError(f"fps is {fps}; it must be a number of frames a second above 0")
    at_least_one(size=side, crop=crop, limit=limit)


def _too_large(source: str | Path, width: int, height: int, windows: bool) -> str:
    fewer = "--no-windows" if windows else "fewer --frames"
    return (
        f"{source} has more than {LARGEST / 1e9:.0f} GB of pixels at {width}x{height}: choose "
        f"{fewer}, a lower --size or --fps, or fewer clips with --limit"
    )


def _none_usable(source: str, skipped: list[tuple[str, str]]) -> str:
    name, why = skipped[0]
    if len(skipped) == 1:
        return f"{name} cannot be used: {why}"
    return f"none of the {len(skipped)} clips in {source} can be used; {name}: {why}"


def _digest(clips: tuple[np.ndarray, ...], frames: int) -> str:
    digest = hashlib.blake2b(repr(frames).encode(), digest_size=16)
    for clip in clips:
        digest.update(repr(clip.shape).encode())
        digest.update(clip.tobytes())
    return digest.hexdigest()


def _tell(clips: list[Clip], say: Callable[[str], None]) -> None:
    """A line for each of the first peculiar clips, and one for the rest."""
    peculiar = [clip for clip in clips if clip.notes]
    for clip in peculiar[:TOLD]:
        say(f"{clip.name}: {'; '.join(clip.notes)}")
    if len(peculiar) > TOLD:
        say(f"{len(peculiar) - TOLD} more clips are damaged, of variable rate or repeat frames")


def _summary(data: ClipData, clips: list[Clip]) -> str:
    what = clips[0].name if len(clips) == 1 else f"{len(clips):,} clips"
    bad = data.skipped
    note = f" ({len(bad):,} skipped, first: {bad[0][0]}: {bad[0][1]})" if bad else ""
    channels, _, height, width = data.clips[0].shape
    rates = sorted({round(clip.fps, 2) for clip in clips})
    rate = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
    guess = any(clip.guessed for clip in clips)
    rate += " frames a second" + (" (assumed: pictures do not tell)" if guess else "")
    if data.windows:
        total = sum(clip.shape[1] for clip in data.clips)
        used = f"{len(data):,} windows of {data.frames} frames among {total:,}"
    else:
        used = f"the first {data.frames} frames" + (" of each" if len(clips) > 1 else "")
    return f"opened {what}{note}: {used}, {height}x{width}x{channels}, at {rate}"
