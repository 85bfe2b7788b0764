"""``coopnets complete``."""

import itertools
import json as json_module
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import tyro

from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets

if TYPE_CHECKING:  # loaded when the command runs, not for --help
    from coopnets.complete.damaged import Damaged


def complete(
    run: tyro.conf.Positional[str],
    images: tyro.conf.Positional[str],
    /,
    mask: str,
    out: Path,
    method: Literal["generator", "descriptor", "both"] | None = None,
    samples: int | None = None,
    steps: int = 60,
    starts: int = 4,
    sigma: float | None = None,
    langevin_steps: int | None = None,
    blend: bool = True,
    truth: bool = True,
    invert_mask: bool = False,
    split: str | None = None,
    limit: int | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    batch_size: int = 100,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Fill in what is missing in pictures, or in clips.

    Writes a PNG for each completion, visible pixels unchanged; sheet.png, damaged | completed |
    truth; and results.json. The last line says the mean error and PSNR over hidden pixels, on
    the scale [0, 1], and SSIM.

    Args:
        run: a run folder, a saved model, or a hub id; of any method.
        images: pictures: a file, a folder or zip, a name, ...; resized as for training.
        mask: what is missing: random:30 (a square of that side anywhere), center:40, a picture
            (white is missing, or what is transparent), or a folder with one for each picture,
            of the same name. Pictures of masks are as large as the model's images or as the
            pictures themselves. Of clips: the same in every frame, a folder with a picture for
            each frame, or frames:20-40.
        out: folder to write to.
        method: generator (its latent vector is inferred from what is visible), descriptor
            (missing pixels are revised, visible ones held fixed), or both one after the other;
            by default what the run has.
        samples: draw so many different completions of each picture; by default the one that
            fits best.
        steps: Langevin steps of the latent vector.
        starts: latent vectors to start at.
        sigma: standard deviation of what the generator leaves unexplained; by default the run's.
        langevin_steps: steps of revision; by default as in sampling, and ten times as many
            without the generator.
        blend: let the generator's part meet the visible one without a seam.
        truth: compare with what the pictures show under the mask; --no-truth if they are
            really damaged.
        invert_mask: pictures of masks are white where visible.
        split: part of the data; by default test where there is one, else all.
        limit: only so many pictures.
        data_dir: where named data sets are downloaded to.
        seed: names the random squares and the completions.
        batch_size: pictures at a time; does not change the completions.
        device: cpu, cuda, ...; auto takes an accelerator if there is one.
        json: print the last line as JSON.
    """
    from coopnets.complete.damaged import open_damaged
    from coopnets.complete.latent import Search
    from coopnets.complete.masks import open_masks
    from coopnets.complete.output import Output
    from coopnets.data.pixels import to_unit
    from coopnets.evaluate.provenance import provenance

    _check(
        samples=samples, steps=steps, starts=starts, langevin_steps=langevin_steps, limit=limit,
        batch_size=batch_size,
    )  # fmt: skip
    if sigma is not None and not sigma > 0:
        raise CoopNetsError(f"--sigma is {sigma}: it must be above 0")
    model, began = CoopNets.from_pretrained(run, device), time.perf_counter()
    c = model.config
    completer = model.completer(
        method=method, search=Search(steps=steps, starts=starts, sigma=sigma),
        langevin_steps=langevin_steps, blend=blend, seed=seed,
    )  # fmt: skip
    about = {
        "run": run, "images_from": images, "mask": mask, "method": completer.by,
        "samples": samples, "steps": steps, "starts": starts, "sigma": sigma or c.sigma,
        "langevin_steps": langevin_steps, "blend": blend, "seed": seed,
        "iteration": model.about.get("iteration"), **provenance(model.device),
    }  # fmt: skip
    if c.frames:
        from coopnets.complete.clips import clip_masks, complete_clips

        done, means = complete_clips(
            completer, images, clip_masks(mask, c, seed=seed, invert=invert_mask), out, about,
            split=split, limit=limit, samples=samples, truth=truth, device=model.device, say=_say,
        )  # fmt: skip
        return _tell(out, completer.by, done, means, json)
    mask_of = open_masks(mask, c.size, c.crop, seed=seed, invert=invert_mask)
    pictures = open_damaged(
        images, size=c.size, channels=c.image_channels, crop=c.crop, split=split, limit=limit,
        data_dir=data_dir, say=_say,
    )  # fmt: skip
    output = Output(out, about)
    done, means, pace = 0, dict[str, Any](), _pace()
    numbers: list[int | None] = [None] if samples is None else list(range(samples))
    for batch in _batches(pictures, batch_size):
        masks = torch.stack([mask_of(done + i, picture) for i, picture in enumerate(batch)])
        x = to_unit(torch.stack([torch.from_numpy(p.pixels.copy()) for p in batch]))
        x, hidden = x.to(model.device), masks.to(model.device)
        made = torch.stack([completer(x, hidden, first=done, sample=k) for k in numbers], 1)
        for picture, one, completed in zip(batch, masks, made, strict=True):
            unknown = picture.holes is not None and bool(one[0].numpy()[picture.holes].any())
            output.add(picture, one, completed, truth and not unknown)
        done += len(batch)
        means = output.save(time.perf_counter() - began)
        pace(done)
    return _tell(out, completer.by, done, means, json)


def _check(**numbers: int | None) -> None:
    for name, value in numbers.items():
        least = 0 if name == "langevin_steps" else 1
        if value is not None and value < least:
            raise CoopNetsError(
                f"--{name.replace('_', '-')} is {value}: it must be at least {least}"
            )


def _batches(pictures: Iterator["Damaged"], size: int) -> Iterator[list["Damaged"]]:
    while batch := list(itertools.islice(pictures, size)):
        yield batch


def _pace() -> Callable[[int], None]:
    """Says now and then how far it is."""
    last = time.monotonic()

    def pace(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            _say(f"{done:,} completed")

    return pace


def _tell(out: Path, by: str, done: int, means: dict[str, Any], as_json: bool) -> int:
    told = {"out": str(out), "method": by, "completed": done, **means}
    print(json_module.dumps(told) if as_json else _last_line(means, done, out))
    return 0


def _last_line(means: dict[str, Any], done: int, out: Path) -> str:
    if not means:
        return f"completed {done} into {out}; there is no truth to compare with"
    error, psnr, ssim = (means[name]["mean"] for name in ("error", "psnr", "ssim"))
    return f"error {error:.4f}  PSNR {psnr:.3f} dB  SSIM {ssim:.4f}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
