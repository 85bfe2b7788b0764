"""Pictures with parts missing: ``coopnets complete`` for models of pictures."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from coopnets.complete.damaged import Damaged, open_damaged
from coopnets.complete.infill import Completer
from coopnets.complete.masks import MaskOf, open_masks
from coopnets.complete.output import Output
from coopnets.config import Config
from coopnets.data.pixels import to_unit
from coopnets.errors import CoopNetsError


def own_size(config: Config) -> bool:
    """Whether the model has learnt from pictures that were not resized."""
    return config.windows and not config.frames


def complete_pictures(
    completer: Completer,
    source: str,
    mask: str,
    out: Path,
    about: dict[str, Any],
    *,
    invert: bool,
    split: str | None,
    limit: int | None,
    data_dir: Path | None,
    samples: int | None,
    truth: bool,
    seed: int,
    batch_size: int,
    device: torch.device,
    say: Callable[[str], None],
) -> tuple[int, dict[str, Any]]:
    """Complete pictures, from where the folder stands.

    A model of windows sees pictures at their own size, one at a time.

    Returns:
        How many, and the mean scores, empty without truth.

    Raises:
        CoopNetsError: the folder holds other completions, or cannot be written; a picture is of
            a size that the model does not know; a mask hides nothing or everything.
    """
    c, began = completer.config, time.perf_counter()
    size = None if own_size(c) else c.size
    mask_of = open_masks(mask, size, c.crop, seed=seed, invert=invert)
    if _same(source, mask):
        mask_of = _of_itself(mask_of)
    pictures = open_damaged(
        source, size=size, channels=c.image_channels, crop=c.crop, split=split, limit=limit,
        data_dir=data_dir, say=say,
    )  # fmt: skip
    output = Output(out, about)
    for i, picture in enumerate(itertools.islice(pictures, output.kept)):
        output.keep(picture, mask_of(i, picture))
    if (done := len(output.images)) < output.kept:
        raise CoopNetsError(
            f"{out} holds unfinished completions of other pictures, which are there no more: "
            "remove it, or choose another --out"
        )
    if done:
        say(f"{done:,} were completed before")
    pace = _pace(say)
    numbers: list[int | None] = [None] if samples is None else list(range(samples))
    for batch in _batches(pictures, 1 if size is None else batch_size):
        masks = torch.stack([mask_of(done + i, picture) for i, picture in enumerate(batch)])
        x = to_unit(torch.stack([torch.from_numpy(p.pixels.copy()) for p in batch]))
        x, hidden = x.to(device), masks.to(device)
        made = torch.stack([completer(x, hidden, first=done, sample=k) for k in numbers], 1)
        for picture, one, completed in zip(batch, masks, made, strict=True):
            unknown = picture.holes is not None and bool(one[0].numpy()[picture.holes].any())
            output.add(picture, one, completed, truth and not unknown)
        done += len(batch)
        output.save(time.perf_counter() - began)
        pace(done)
    return done, output.save(time.perf_counter() - began, finished=True)


def _same(source: str, mask: str) -> bool:
    """Whether both are one file or folder, whose pictures are their own masks."""
    try:
        return Path(source).expanduser().samefile(Path(mask).expanduser())
    except (OSError, RuntimeError):
        return False


def _of_itself(mask_of: MaskOf) -> MaskOf:
    """The masks of pictures that are their own; without a hole, what is bright would be one."""

    def own(number: int, picture: Damaged) -> torch.Tensor:
        if picture.holes is None:
            raise CoopNetsError(
                f"{picture.name} is its own mask and has no transparent part: there is nothing to "
                "complete in it"
            )
        return mask_of(number, picture)

    return own


def _batches(pictures: Iterator[Damaged], size: int) -> Iterator[list[Damaged]]:
    while batch := list(itertools.islice(pictures, size)):
        yield batch


def _pace(say: Callable[[str], None]) -> Callable[[int], None]:
    """Says now and then how far it is."""
    last = time.monotonic()

    def pace(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            say(f"{done:,} completed")

    return pace
