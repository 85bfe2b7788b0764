"""What draws clips: the pair of networks, and the linear system; each once, into files."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coopnets.complete.latent import Search
from coopnets.data import to_pixels, to_unit
from coopnets.data.clips import ClipData
from coopnets.errors import CoopNetsError
from coopnets.lds import learn, spectral_radius
from coopnets.model import CoopNets
from coopnets.sample import usual_steps
from dynamic.layout import LINEAR
from experiments.cells import Result, digest, once, weights_of

PAIR, RECORD = ("generator", "revised"), "drawn-pair"
AGAIN = "reconstructed-"
LONGER = 4
"""How many times as long as what was learnt the long clips are."""
Drawn = dict[str, Tensor]
"""``clips`` uint8 (S, C, T, H, W), ``long`` (C, 4 T, H, W), and ``loop`` (C, L, H, W) if any."""


def by_pair(
    model: CoopNets, folder: Path, samples: int, seed: int, say: Callable[[str], None]
) -> Result:
    """Clips of the generator and of the descriptor's revision, into an .npz each.

    Args:
        model: the pair.
        folder: where to.
        samples: clips of the length that was learnt.
        seed: names the samples.
        say: told what the networks cannot draw.

    Returns:
        What a table says of the training, and of drawing.
    """
    frames, about = model.config.frames, model.about

    def stream(number: int, **how: Any) -> tuple[Tensor, Tensor]:
        x_hat, x_tilde = next(iter(model.stream(1, seed=seed, first=number, **how)))
        return to_pixels(x_hat[0].cpu()), to_pixels(x_tilde[0].cpu())

    def work() -> Result:
        began = perf_counter()
        pairs = [stream(i) for i in range(samples)]
        seconds = (perf_counter() - began) / samples
        drawn: list[Drawn] = [{"clips": torch.stack(clips)} for clips in zip(*pairs, strict=True)]
        asked: dict[str, dict[str, Any]] = {
            "long": {"frames": LONGER * frames},
            "loop": {"frames": model.loop_length(frames), "loop": True},
        }
        for number, (kind, how) in enumerate(asked.items(), samples):
            try:
                made = stream(number, **how)
            except CoopNetsError as error:
                say(f"{folder.name}: no {kind} clip: {error}")
                continue
            for clips, clip in zip(drawn, made, strict=True):
                clips[kind] = clip
        for name, clips in zip(PAIR, drawn, strict=True):
            save_clips(folder / f"{name}.npz", clips)
        return {
            "iterations": about["iteration"], "seconds": about["seconds"],
            "seconds_to_draw": seconds, "metrics": about.get("metrics", {}),
            "step_scale": about.get("step_scale", 1.0), "drawn": sorted(drawn[1]),
            "steps": usual_steps(model.config.langevin),
        }  # fmt: skip

    settings = {"weights": weights_of(model), "samples": samples, "seed": seed, "longer": LONGER}
    return once(folder / f"{RECORD}.json", settings, work)


def reconstructed_by_pair(
    model: CoopNets, original: Tensor, search: Search, seed: int, folder: Path
) -> Result:
    """The generator's clip whose latent sequence is inferred from all of an original.

    Langevin dynamics of z from several starts, the one with the least error; the descriptor has
    no part in it.

    Args:
        model: the pair.
        original: uint8 (C, T, H, W).
        search: number of starts and steps.
        seed: of the starts and the chain's noise.
        folder: where the clip is kept.
    """

    def work() -> Result:
        began = perf_counter()
        x = to_unit(original)[None].to(model.device)
        nothing = torch.zeros(1, 1, *x.shape[2:], dtype=torch.bool, device=model.device)
        completer = model.completer(method="generator", search=search, seed=seed)
        made = completer.decoded(x, nothing, 0, None)
        save_clips(folder / "reconstructed-generator.npz", {"clip": to_pixels(made[0].cpu())})
        return {"numbers": prod(model.generator.latent_shape), "seconds": perf_counter() - began}

    settings = {"weights": weights_of(model), "original": digest(original), "seed": seed,
                "steps": search.steps, "starts": search.starts, "trial": search.trial,
                "proposals": search.proposals}  # fmt: skip
    return once(folder / "reconstructed-generator.json", settings, work)


def by_linear_system(data: ClipData, folder: Path, states: int, samples: int, seed: int) -> Result:
    """Clips of the linear system learnt from the same frames, and the first of them again.

    Args:
        data: what the networks learnt from.
        folder: where both are kept, ``lds-30.npz`` and ``reconstructed-lds-30.npz`` of 30 states.
        states: n.
        samples: clips of the length that the networks learnt.
        seed: of the first sample; the others' follow.
    """
    clips, name = [torch.from_numpy(clip) for clip in data.clips], linear(states)

    def work() -> Result:
        began = perf_counter()
        system = learn([to_unit(clip) for clip in clips], states)
        seconds = perf_counter() - began

        def draw(number: int, frames: int) -> Tensor:
            return to_pixels(system.sample(frames, seed + number))

        made = torch.stack([draw(i, data.frames) for i in range(samples)])
        long = draw(samples, LONGER * data.frames)
        save_clips(folder / f"{name}.npz", {"clips": made, "long": long})
        first = to_unit(clips[0][:, : data.frames])
        again = to_pixels(system.show(system.states(first)))
        save_clips(folder / f"{AGAIN}{name}.npz", {"clip": again})
        return {
            "states": len(system.a), "estimate": system.estimate, "seconds": seconds,
            "least_squares_radius": system.radius, "radius": spectral_radius(system.a),
            "numbers": len(system.a) * data.frames,
        }  # fmt: skip

    settings = {"original": digest(*clips), "states": states, "samples": samples, "seed": seed,
                "frames": data.frames, "longer": LONGER}  # fmt: skip
    return once(folder / f"{name}.json", settings, work)


def linear(states: int) -> str:
    """The name of a linear system."""
    return f"{LINEAR}{states}"


def save_clips(file: Path, clips: Drawn) -> None:
    """Write clips whole or not at all.

    Raises:
        CoopNetsError: it cannot be written.
    """
    unfinished = file.with_name(f"unfinished-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(unfinished, **{k: v.numpy() for k, v in clips.items()})
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error


def load_clips(file: Path) -> Drawn:
    """What :func:`save_clips` wrote.

    Raises:
        CoopNetsError: it is missing or damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: torch.from_numpy(archive[name]) for name in archive.files}
    except Exception as error:  # a broken archive can make numpy raise almost anything
        record = _record(file)
        beside = f" and {record.name} beside it" if record.exists() else ""
        raise CoopNetsError(
            f"cannot read {file} ({error}): remove it{beside}, and repeat the command"
        ) from error


def _record(file: Path) -> Path:
    """The result that says that a file of clips is there; without it they are made again."""
    name = RECORD if file.stem in PAIR else file.stem
    return file.with_name(f"{name.removeprefix(AGAIN) if LINEAR in name else name}.json")
