"""``coopnets sample`` and ``coopnets interpolate``."""

import json as json_module
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import tyro
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.interpolate import Kind
from coopnets.model import CoopNets
from coopnets.pictures import grid, save_grid
from coopnets.samplefiles import write_samples

Number = Annotated[int | None, tyro.conf.arg(aliases=["-n"])]


def sample(
    run: tyro.conf.Positional[str],
    /,
    out: Path,
    number: Number = None,
    size: str | None = None,
    tile: bool = False,
    seconds: float | None = None,
    frames: int | None = None,
    loop: bool = False,
    source: Literal["descriptor", "generator"] | None = None,
    langevin_steps: int | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int = 100,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Draw samples from a trained pair, or from what another method trained.

    Sample i depends on the seed and on i alone (and on --size, a clip's also on its length and
    --loop). Any number streams in constant memory into a folder or a .npz file. Textures come in
    any size: --size 512x768; clips in any length: --seconds 10.

    Args:
        run: a run folder, a saved model, or a hub id.
        out: grid.png (one picture), samples.npz (uint8, N x C x H x W, under "images"), or a
            folder (one PNG each). Of clips: .mp4, .gif, .webp and the like (side by side, if
            several), .npz (N x C x T x H x W), or a folder of frames.
        number: how many; by default 64, or one where --size or --tile is given, and of clips.
        size: height x width, or one side of a square; of a texture model.
        tile: pictures whose opposite edges meet, to be laid side by side; of a texture model.
        seconds: length of the clips, at the rate of those that were learnt.
        frames: the same in frames.
        loop: clips whose last frame is followed by their first; the length is brought to the
            nearest that the networks can.
        source: the descriptor's revised samples, or the generator's proposals alone; by default
            the descriptor's if the run has one.
        langevin_steps: steps of revision; by default what the run says.
        seed: names the samples together with their number.
        first: number of the first sample.
        batch_size: how many at a time; does not change the samples.
        device: cpu, cuda, ...; auto takes an accelerator if there is one.
        json: print one line of JSON.
    """
    if (
        (number is not None and number < 1)
        or batch_size < 1
        or (langevin_steps or 0) < 0
        or first < 0
    ):
        raise CoopNetsError(
            "-n and --batch-size must be at least 1, --langevin-steps and --first at least 0"
        )
    model = CoopNets.from_pretrained(run, device)
    clips = bool(model.config.frames)
    if number is None:
        number = 64 if size is None and not tile and not clips else 1
    if seconds is not None or loop or frames is not None:
        frames = length(model, seconds, frames, loop)
    began = time.perf_counter()
    chosen = source or model.sources[-1]
    if chosen not in model.sources:
        raise CoopNetsError(
            f"the method {model.config.method} has no {chosen}: leave out --source"
        )
    if source == "generator" and langevin_steps:
        raise CoopNetsError("--langevin-steps is of the descriptor: leave out --source generator")
    steps = 0 if source == "generator" else langevin_steps
    parts = model.stream(
        number, seed=seed, first=first, langevin_steps=steps, batch_size=batch_size,
        size=None if size is None else sides(size), tile=tile, frames=frames, loop=loop,
    )  # fmt: skip
    images: Iterator[Tensor] = (x[chosen == "descriptor"] for x in parts)
    if clips:
        from coopnets.clipfiles import write_clips

        write_clips(images, number, out, model.fps, first)
    else:
        write_samples(images, number, out, first)
    told = {"out": str(out), "number": number, "source": chosen, "seed": seed,
            **({"frames": frames or model.config.frames, "fps": model.fps} if clips else {}),
            "seconds": round(time.perf_counter() - began, 2)}  # fmt: skip
    _tell(told, json)
    return 0


def length(model: CoopNets, seconds: float | None, frames: int | None, loop: bool) -> int:
    """Frames of the clips that are asked for.

    Raises:
        CoopNetsError: the model draws pictures, or both ways of saying it are used.
    """
    if not model.config.frames:
        raise CoopNetsError(
            "this model draws pictures: --seconds, --frames and --loop are of clips"
        )
    if seconds is not None and frames is not None:
        raise CoopNetsError("--seconds and --frames say the same: leave one out")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise CoopNetsError(f"--seconds is {seconds}: it must be above 0")
    if frames is not None and frames < 1:
        raise CoopNetsError(f"--frames is {frames}: it must be at least 1")
    wanted = max(1, round(seconds * model.fps)) if seconds is not None else frames
    wanted = wanted or model.config.frames
    return model.loop_length(wanted) if loop else wanted


def sides(text: str) -> tuple[int, int]:
    """``512x768`` (height x width) or ``512``.

    Raises:
        CoopNetsError: it is neither.
    """
    found = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text.strip())
    if not found or not int(found[1]) or not int(found[2] or 1):
        raise CoopNetsError(f"--size {text!r} is no size: write 512x768, height first, or 512")
    return int(found[1]), int(found[2] or found[1])


def interpolate(
    run: tyro.conf.Positional[str],
    /,
    out: Path,
    kind: Kind = "linear",
    pairs: int = 8,
    points: int = 12,
    langevin_steps: int = 0,
    seed: int = 0,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Draw what lies between samples: one row for each pair of latent vectors.

    Args:
        run: a run folder, a saved model, or a hub id.
        out: the picture to write.
        kind: straight lines between pairs, grids between four corners on the sphere, or a map of
            the latent plane, of a model with two latent numbers.
        pairs: number of lines, or of grids; there is one plane.
        points: images on a line, or on the side of a grid.
        langevin_steps: steps of revision by the descriptor; 0 shows the generator alone.
        seed: names the latent vectors.
        device: cpu, cuda, ...; auto takes an accelerator if there is one.
        json: print one line of JSON.
    """
    if pairs < 1 or points < 2 or langevin_steps < 0:
        raise CoopNetsError(
            "--pairs must be at least 1, --points at least 2, --langevin-steps at least 0"
        )
    model = CoopNets.from_pretrained(run, device)
    if model.config.frames:
        from coopnets.clipfiles import check_target

        check_target(out, model.fps)
    images = model.interpolate(
        kind=kind, pairs=pairs, points=points, seed=seed, langevin_steps=langevin_steps
    )
    if model.config.frames:
        from coopnets.clipfiles import write_clips

        clips = images.flatten(0, -5)
        write_clips([clips], len(clips), out, model.fps, columns=points)
    else:
        save_grid(grid(images.flatten(0, -4), points), out)
    _tell({"out": str(out), "kind": kind, "pairs": len(images), "points": points}, json)
    return 0


def _tell(told: dict[str, object], as_json: bool) -> None:
    print(json_module.dumps(told) if as_json else "  ".join(f"{k} {v}" for k, v in told.items()))
