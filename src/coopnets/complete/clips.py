"""Clips with parts missing: ``coopnets complete`` for models of clips."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopnets.complete.infill import Completer
from coopnets.complete.masks import check_mask, read_mask, squares
from coopnets.complete.output import GREY, MEASURES, RESULTS, ROWS, SHEET
from coopnets.complete.scores import scores
from coopnets.config import Config
from coopnets.data import open_clips
from coopnets.data.files import is_image, walk
from coopnets.data.pixels import to_pixels, to_unit
from coopnets.data.reels import natural
from coopnets.errors import CoopNetsError
from coopnets.evaluate.files import write_whole
from coopnets.pictures import contact_sheet, save_grid

PLAYING = "playing.webp"


def clip_masks(spec: str, config: Config, *, seed: int, invert: bool) -> Callable[[int], Tensor]:
    """From the number of a clip to what is missing of it, boolean (1, T, H, W).

    Args:
        spec: ``random:SIDE`` or ``center:SIDE`` (a square, the same in all frames),
            ``frames:FIRST-LAST`` (those frames, from 0 on), a picture (the same in all frames), or
            a folder with a picture for each frame. Pictures are as large as the model's frames.
        config: of the model.
        seed: places random squares.
        invert: pictures are white where visible.

    Raises:
        CoopNetsError: no such mask.
    """
    count, size = config.frames, config.size
    place = squares(spec, size, seed)
    if place is not None:
        return lambda number: _still(place(number), count)
    kind, _, rest = spec.partition(":")
    if kind == "frames":
        lost = _frames(spec, rest, count)[None, :, None, None].expand(1, count, size, size)
        return lambda number: lost
    path = Path(spec).expanduser()
    if path.is_dir():
        names = sorted((n for n in walk(path) if is_image(n)), key=natural)
        if len(names) != count:
            raise CoopNetsError(
                f"--mask {spec} has {len(names)} pictures, and a clip has {count} frames: give "
                "one for each, or a single picture"
            )
        drawn = torch.cat([_drawn(path / name, size, invert) for name in names])[None]
        return lambda number: drawn
    if path.is_file():
        one = _still(_drawn(path, size, invert), count)
        return lambda number: one
    raise CoopNetsError(
        f"--mask {spec}: neither a file nor a folder; or give random:SIDE, center:SIDE or "
        "frames:FIRST-LAST"
    )


def complete_clips(
    completer: Completer,
    source: str,
    mask_of: Callable[[int], Tensor],
    out: Path,
    about: dict[str, Any],
    *,
    split: str | None,
    limit: int | None,
    samples: int | None,
    truth: bool,
    device: torch.device,
    say: Callable[[str], None],
) -> tuple[int, dict[str, Any]]:
    """Complete the first frames of each clip.

    Writes a folder of frames for each completion, ``sheet.png`` and ``playing.webp`` (damaged |
    completed | truth), and ``results.json``.

    Returns:
        How many, and the mean scores, empty without truth.

    Raises:
        CoopNetsError: the folder holds completions already, or cannot be written; a mask hides
            nothing or everything.
    """
    from coopnets.clipfiles import animation, write_frames

    c = completer.config
    clips = open_clips(
        source, frames=c.frames, size=c.size, channels=c.image_channels, fps=c.fps, crop=c.crop,
        split=split or "train", limit=limit, say=say,
    )  # fmt: skip
    if (out / RESULTS).exists():
        raise CoopNetsError(f"{out / RESULTS} is there already: choose another --out")
    numbers: list[int | None] = [None] if samples is None else list(range(samples))
    entries: list[dict[str, Any]] = []
    rows: list[Tensor] = []
    for i in range(len(clips)):
        x = clips.batch(torch.tensor([i]))
        hidden = check_mask(x, mask_of(i)[None])
        made = [completer(x.to(device), hidden.to(device), first=i, sample=k) for k in numbers]
        kept = [torch.where(hidden, to_pixels(y.cpu()), to_pixels(x)) for y in made]
        entry: dict[str, Any] = {"clip": i, "hidden": int(hidden.sum()), "files": []}
        for k, y in enumerate(kept):
            name = f"{i:06d}" if samples is None else f"{i:06d}-{k + 1}"
            with _writing(out / name):
                write_frames(y[0], out / name)
            entry["files"].append(name)
            if truth:
                found = scores(to_unit(y), x, hidden)
                for measure in MEASURES:
                    entry.setdefault(measure, []).append(float(getattr(found, measure)[0]))
        entries.append(entry)
        if len(rows) < ROWS:
            shown = [torch.where(hidden, GREY, x), *(to_unit(y) for y in kept)]
            rows.append(torch.cat([*shown, x] if truth else shown))
        means = {m: sum(sum(e[m]) / len(e[m]) for e in entries) / len(entries)
                 for m in MEASURES if truth}  # fmt: skip
        content = {**about, "completed": len(entries), "mean": means, "clips": entries}
        with _writing(out / RESULTS):
            write_whole(out / RESULTS, json.dumps(content, indent=1).encode())
        save_grid(contact_sheet(torch.cat(rows)), out / SHEET)
    moving = animation(torch.cat(rows), clips.fps, columns=len(rows[0]))
    with _writing(out / PLAYING):
        write_whole(out / PLAYING, moving)
    return len(entries), {m: {"mean": v, "95 %": None} for m, v in means.items()}


def _still(mask: Tensor, count: int) -> Tensor:
    """(1, H, W) for every frame, (1, T, H, W)."""
    return mask[:, None].expand(1, count, *mask.shape[1:])


def _frames(spec: str, rest: str, count: int) -> Tensor:
    first, dash, last = rest.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise CoopNetsError(f"--mask {spec}: give the missing frames, for instance frames:20-40")
    begin, end = int(first), int(last) if dash else int(first)
    if not begin <= end < count:
        raise CoopNetsError(f"--mask {spec}: the clip has frames 0 to {count - 1}")
    lost = torch.zeros(count, dtype=torch.bool)
    lost[begin : end + 1] = True
    return lost


def _drawn(file: Path, size: int, invert: bool) -> Tensor:
    hidden = torch.from_numpy(read_mask(file).hidden.copy())
    if hidden.shape != (size, size):
        raise CoopNetsError(
            f"{file}: a mask of {hidden.shape[1]}x{hidden.shape[0]} for frames of {size}x{size}"
        )
    return (~hidden if invert else hidden)[None]


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    """Say in one line that a file cannot be written, if it cannot."""
    try:
        yield
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error
