"""Clips with parts missing: ``coopnets complete`` for models of clips."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopnets.complete.damaged import shrunk
from coopnets.complete.infill import Completer
from coopnets.complete.masks import DrawnMask, check_mask, read_mask, squares
from coopnets.complete.output import (
    GREY,
    MEASURES,
    RESULTS,
    ROWS,
    SHEET,
    begun,
    made_before,
    read_pixels,
)
from coopnets.complete.scores import scores
from coopnets.config import Config
from coopnets.data import ClipData, open_clips
from coopnets.data.files import is_image, walk
from coopnets.data.pixels import to_pixels, to_unit
from coopnets.data.reels import natural
from coopnets.errors import CoopNetsError, SplitError
from coopnets.evaluate.files import write_whole
from coopnets.pictures import contact_sheet, save_grid

PLAYING = "playing.webp"
COLUMNS = 6
"""Completions of a clip that sheet and moving picture show."""
Extent = tuple[int, int]
MaskOf = Callable[[int, Extent], Tensor]
"""From the number of a clip, and (height, width) of its own frames, to what is missing of those
that are completed, boolean (1, T, H, W)."""


def clip_masks(spec: str, config: Config, *, start: int, seed: int, invert: bool) -> MaskOf:
    """The masks that a user asks for.

    Args:
        spec: ``random:SIDE`` or ``center:SIDE`` (a square, the same in all frames),
            ``frames:FIRST-LAST`` (those frames of the clip, which begins with 0), a picture (the
            same in all frames), or a folder with a picture for each frame that is completed.
            Pictures are as large as the model's frames, or as the clip's own.
        config: of the model.
        start: first frame of the clips that is completed.
        seed: places random squares.
        invert: pictures are white where visible.

    Raises:
        CoopNetsError: no such mask; or, from the function returned, one that does not fit its
            clip.
    """
    count, size = config.frames, config.size
    place = squares(spec, size, seed)
    if place is not None:
        return lambda number, _: _still(place(number), count)
    kind, _, rest = spec.partition(":")
    if kind == "frames":
        lost = _frames(spec, rest, start, count)[None, :, None, None].expand(1, count, size, size)
        return lambda *_: lost
    path = Path(spec).expanduser()
    if path.is_dir():
        names = sorted((n for n in walk(path) if is_image(n)), key=natural)
        if len(names) != count:
            raise CoopNetsError(
                f"--mask {spec} has {len(names)} pictures, and {count} frames of a clip are "
                "completed: give one for each, or a single picture"
            )
        drawn = [_drawn(path / name, invert) for name in names]
        return lambda _, extent: torch.cat([_fitting(m, extent, config) for m in drawn])[None]
    if path.is_file():
        one = _drawn(path, invert)
        return lambda _, extent: _still(_fitting(one, extent, config), count)
    raise CoopNetsError(
        f"--mask {spec}: neither a file nor a folder; or give random:SIDE, center:SIDE or "
        "frames:FIRST-LAST"
    )


def complete_clips(
    completer: Completer,
    source: str,
    mask_of: MaskOf,
    out: Path,
    about: dict[str, Any],
    *,
    start: int,
    split: str | None,
    limit: int | None,
    samples: int | None,
    truth: bool,
    device: torch.device,
    say: Callable[[str], None],
) -> tuple[int, dict[str, Any]]:
    """Complete as many frames of each clip as the model knows, from the frame ``start`` on.

    Writes a folder of frames for each completion, ``sheet.png`` and ``playing.webp`` (damaged |
    completed | truth), and ``results.json``. What a command that was stopped has completed is
    taken up again.

    Returns:
        How many, and the mean scores, empty without truth.

    Raises:
        CoopNetsError: the folder holds other completions, or cannot be written; a mask hides
            nothing or everything.
    """
    from coopnets.clipfiles import animation, write_frames

    clips = _opened(source, completer.config, start, split, limit, say)
    about = {**about, "start": start}
    before = begun(out, about, (SHEET, PLAYING))
    listed = before["clips"] if before else []
    ours = made_before(before, listed)
    done = [*takewhile(lambda e: all((out / name).exists() for name in e["files"]), listed)]
    if done:
        say(f"{len(done):,} were completed before")
    numbers: list[int | None] = [None] if samples is None else list(range(samples))
    entries: list[dict[str, Any]] = []
    rows: list[Tensor] = []
    for i in range(len(clips)):
        x = clips.batch(torch.tensor([i]))[:, :, start:]
        hidden = check_mask(x, mask_of(i, clips.extents[i])[None])
        names = [f"{i:06d}" if k is None else f"{i:06d}-{k + 1}" for k in numbers]
        if i < len(done):
            entry, kept = done[i], _kept(out, done[i], to_pixels(x), hidden)
        else:
            for name in names:
                if (out / name).exists() and name not in ours:
                    raise CoopNetsError(f"{out / name} is there already: choose another --out")
            made = [completer(x.to(device), hidden.to(device), first=i, sample=k) for k in numbers]
            kept = [torch.where(hidden, to_pixels(y.cpu()), to_pixels(x)) for y in made]
            entry = {"clip": i, "hidden": int(hidden.sum()), "files": names}
            for y in kept if truth else []:
                found = scores(to_unit(y), x, hidden)
                for measure in MEASURES:
                    entry.setdefault(measure, []).append(float(getattr(found, measure)[0]))
        entries.append(entry)
        if len(rows) < ROWS:
            shown = [torch.where(hidden, GREY, x), *(to_unit(y) for y in kept[:COLUMNS])]
            rows.append(torch.cat([*shown, x] if truth else shown))
        if i < len(done):
            continue
        ours |= {*names}
        _note(out, about, entries, truth, ours)  # what is named there is ours
        for name, y in zip(names, kept, strict=True):
            with _writing(out / name):
                if (out / name).exists():
                    shutil.rmtree(out / name)
                write_frames(y[0], out / name)
        save_grid(contact_sheet(torch.cat(rows)), out / SHEET)
    save_grid(contact_sheet(torch.cat(rows)), out / SHEET)
    moving = animation(torch.cat(rows), clips.fps, columns=len(rows[0]))
    with _writing(out / PLAYING):
        write_whole(out / PLAYING, moving)
    means = _note(out, about, entries, truth, None)
    return len(entries), {m: {"mean": v, "95 %": None} for m, v in means.items()}


def _note(
    out: Path, about: dict[str, Any], entries: list[dict[str, Any]], truth: bool,
    ours: set[str] | None,
) -> dict[str, float]:  # fmt: skip
    """Write results.json; return the means, empty without truth.

    ``ours`` names what is or will be written; None ends the command.
    """
    means = {m: sum(sum(e[m]) / len(e[m]) for e in entries) / len(entries)
             for m in MEASURES if truth}  # fmt: skip
    content = {**about, "finished": ours is None, "completed": len(entries), "mean": means,
               "clips": entries}  # fmt: skip
    if ours is not None:
        content["files"] = sorted(ours)
    with _writing(out / RESULTS):
        write_whole(out / RESULTS, json.dumps(content, indent=1).encode())
    return means


def _kept(out: Path, entry: dict[str, Any], x: Tensor, hidden: Tensor) -> list[Tensor]:
    """What was completed of a clip before, uint8 (1, C, T, H, W) as the clip x itself."""
    made = [
        torch.stack([read_pixels(file) for file in sorted((out / name).iterdir())], 1)[None]
        for name in entry["files"]
    ]
    same = entry["hidden"] == int(hidden.sum()) and all(y.shape == x.shape for y in made)
    if not same or not all(bool((hidden | (y == x)).all()) for y in made):
        raise CoopNetsError(
            f"{out} holds unfinished completions of other clips, or with other masks: remove it, "
            "or choose another --out"
        )
    return made


def _opened(
    source: str, c: Config, start: int, split: str | None, limit: int | None,
    say: Callable[[str], None],
) -> ClipData:  # fmt: skip
    """The clips up to the last frame that is completed; by default the test split, if any."""

    def advice(there: int) -> str:
        return f"--start {there - c.frames} would fit" if there >= c.frames else ""

    def opened(split: str) -> ClipData:
        return open_clips(
            source, frames=start + c.frames, size=c.size, channels=c.image_channels, fps=c.fps,
            crop=c.crop, split=split, limit=limit, advice=advice, say=say,
        )  # fmt: skip

    try:
        clips = opened(split or "test")
    except SplitError:
        if split is not None:
            raise
        clips = opened("train")
    last = start + c.frames - 1
    say(f"completing frames {start} to {last}, as many as the model has learnt, from --start on")
    return clips


def _still(mask: Tensor, count: int) -> Tensor:
    """(1, H, W) for every frame, (1, T, H, W)."""
    return mask[:, None].expand(1, count, *mask.shape[1:])


def _frames(spec: str, rest: str, start: int, count: int) -> Tensor:
    """Which of ``count`` frames from ``start`` on are missing, (count,)."""
    first, dash, last = rest.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise CoopNetsError(f"--mask {spec}: give the missing frames, for instance frames:20-40")
    begin, end = int(first), int(last) if dash else int(first)
    if end < begin:
        raise CoopNetsError(f"--mask {spec}: the first frame comes before the last")
    if (missing := end + 1 - begin) >= count:
        raise CoopNetsError(
            f"--mask {spec}: of the {count} frames that are completed at a time {missing} cannot "
            "be missing, some must be visible"
        )
    if not start <= begin <= end < start + count:
        around = max(0, (begin + end + 1 - count) // 2)
        raise CoopNetsError(
            f"--mask {spec}: frames {start} to {start + count - 1} of the clip are completed; "
            f"--start {around} takes {around} to {around + count - 1}"
        )
    lost = torch.zeros(count, dtype=torch.bool)
    lost[begin - start : end + 1 - start] = True
    return lost


def _drawn(file: Path, invert: bool) -> DrawnMask:
    drawn = read_mask(file)
    return replace(drawn, hidden=~drawn.hidden) if invert else drawn


def _fitting(drawn: DrawnMask, extent: Extent, c: Config) -> Tensor:
    """The mask at the size of the model, (1, H, W), by way of the clip's own crop and resize."""
    hidden, wanted = drawn.hidden, (c.size, c.size)
    if hidden.shape == extent and (hidden.shape != wanted or c.crop is not None):
        hidden = shrunk(hidden, c.size, c.crop)
    if hidden.shape != wanted:
        (height, width), (rows, columns) = hidden.shape, extent
        raise CoopNetsError(
            f"the mask {drawn.name} is {width}x{height} pixels: make it {c.size}x{c.size} as the "
            f"model's frames, or {columns}x{rows} as the clip's"
        )
    return torch.from_numpy(hidden.copy())[None]


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say in one line that a file cannot be written, if it cannot."""
    try:
        yield
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error
