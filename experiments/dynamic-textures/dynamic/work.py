"""What is done for one clip: train, draw, reconstruct, learn the linear system, measure; once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopnets.complete.latent import Search
from coopnets.errors import CoopNetsError, DivergenceError
from coopnets.evaluate import Extractor
from coopnets.evaluate.motion import (
    SEGMENT,
    Original,
    energy,
    look_at,
    measure,
    power_spectrum,
    reconstruction,
    seam,
)
from coopnets.prepare import open_observed
from dynamic.systems import (
    by_linear_system,
    by_pair,
    linear,
    load_clips,
    reconstructed_by_pair,
    save_clips,
)
from experiments.cells import Result, digest, once
from experiments.training import trained

OURS = ("revised", "generator")
PIECES = 2
ORIGINAL = "original.npz"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done for every clip.

    Attributes:
        out: folder of the experiment; each clip has a folder of its name in it.
        minutes: of training.
        options: further ones of ``coopnets train``.
        states: of each linear system.
        samples: clips of each system.
        search: how the latent sequence of the original is looked for.
        windows: of each side of a distance.
        seed: of samples, chains and windows.
        extractor: the feature network.
        say: told how far it is.
    """

    out: Path
    minutes: float
    options: tuple[str, ...]
    states: tuple[int, ...]
    samples: int
    search: Search
    windows: int
    seed: int
    extractor: Extractor
    say: Callable[[str], None] = print


def carry_out(name: str, video: Path, plan: Plan) -> Result:
    """All of one clip, from where it stands.

    Returns:
        ``failed``, the last words of a training that diverged (and nothing else then), or None;
        ``clip``, what was learnt from; ``training`` and ``linear`` (by system), what they took;
        ``reconstructed``, ``measured``, ``long`` and ``loop`` by system.

    Raises:
        CoopNetsError: the clip or the settings make no training, a file cannot be read or written,
            or a package is missing.
    """
    folder = plan.out / name
    plan.say(f"{name}: training up to {plan.minutes:g} minutes")
    try:
        model = trained(video, folder / "run", plan.minutes, plan.options)
    except DivergenceError as error:  # all else is nothing that a table should count
        plan.say(f"{name}: {error}")
        return {"name": name, "failed": str(error)}
    data = open_observed(model.config, str(video), "train", None, None, False, plan.say)
    clips = [torch.from_numpy(clip) for clip in data.clips]
    found: Result = {"name": name, "failed": None, "clip": {
        "learnt": sum(clip.shape[1] for clip in clips), "frames": model.config.frames,
        "size": model.config.size, "fps": data.fps, "fingerprint": data.fingerprint,
    }}  # fmt: skip
    first = clips[0][:, : model.config.frames]
    save_clips(folder / ORIGINAL, {"clip": first})
    plan.say(f"{name}: drawing")
    found["training"] = by_pair(model, folder, plan.samples, plan.seed, plan.say)
    found["linear"] = {
        linear(n): by_linear_system(data, folder, n, plan.samples, plan.seed) for n in plan.states
    }
    plan.say(f"{name}: reconstructing, {plan.search.steps} steps")
    latent = reconstructed_by_pair(model, first, plan.search, plan.seed, folder)
    found["reconstructed"] = {
        system: {"numbers": taken["numbers"], "seconds": taken["seconds"],
                 **_likeness(folder / f"reconstructed-{system}.npz", first)}
        for system, taken in {"generator": latent, **found["linear"]}.items()
    }  # fmt: skip
    systems = (*OURS, *found["linear"])
    return found | _measured(clips, systems, model.config.frames, folder, plan)


def first_frames(folder: Path) -> Tensor:
    """The first frames of the original of a clip's folder, uint8 (C, T, H, W)."""
    return load_clips(folder / ORIGINAL)["clip"]


def pieces(clips: Sequence[Tensor], frames: int) -> list[tuple[Tensor, list[Tensor]]]:
    """Pieces of the original, each with all else of it: how near nature comes to itself.

    The first and the last frames of the first clip, as many as the made clips have or half of
    all; what is left over too short to be measured is left out, and a piece with all else of it
    standing still.
    """
    clip, *others = clips
    count = clip.shape[1]
    length = min(frames, count // 2)
    if length < SEGMENT:
        return []
    found = []
    for start in sorted({0, count - length})[:PIECES]:
        around = [clip[:, :start], clip[:, start + length :], *others]
        rest = [part for part in around if part.shape[1] >= SEGMENT]
        if any(energy(part) for part in rest):
            found.append((clip[:, start : start + length], rest))
    return found


def _likeness(file: Path, original: Tensor) -> Result:
    psnr, ssim = reconstruction(load_clips(file)["clip"], original)
    return {"psnr": psnr, "ssim": ssim}


def _measured(
    clips: Sequence[Tensor], systems: Sequence[str], frames: int, folder: Path, plan: Plan
) -> Result:
    """Measures by system, a list of one for each sample; those of the long clips; the loop's."""
    network = plan.extractor
    common = {
        "original": digest(*clips), "windows": plan.windows, "seed": plan.seed,
        "features": network.name, "weights": network.identity, "resize": network.resize,
    }  # fmt: skip

    def look(at: Sequence[Tensor]) -> Original:
        return look_at(at, network, count=plan.windows, seed=plan.seed)

    original = cache(lambda: look(clips))

    def of(name: str, clip: Tensor, number: int, against: Callable[[], Original]) -> Result:
        def work() -> Result:
            plan.say(f"{folder.name}: measuring {name}")
            curve = power_spectrum(clip)[1]
            return {**measure(clip, against(), number), "curve": curve.tolist()}

        settings = {**common, "made": digest(clip), "number": number}
        return once(folder / "measured" / f"{name}.json", settings, work)

    measured: dict[str, list[Result]] = {}
    long: dict[str, Result] = {}
    loop: dict[str, Result] = {}
    for system in systems:
        drawn = load_clips(folder / f"{system}.npz")
        measured[system] = [
            of(f"{system}-{i}", clip, i, original) for i, clip in enumerate(drawn["clips"])
        ]
        number = len(drawn["clips"])
        if "long" in drawn:  # what is left of it at its end
            long[system] = of(f"{system}-long", drawn["long"][:, -frames:], number, original)
        if "loop" in drawn:
            loop[system] = {"frames": drawn["loop"].shape[1], "seam": _seam(drawn["loop"]),
                            "cut": _seam(drawn["clips"][0])}  # fmt: skip
    measured["piece"] = [
        of(f"piece-{i}", piece, i, partial(look, rest))
        for i, (piece, rest) in enumerate(pieces(clips, frames))
    ]
    measured["itself"] = [of("itself", clips[0], 0, original)]
    return {"measured": measured, "long": long, "loop": loop}


def _seam(clip: Tensor) -> Any:
    """None of a clip that stands still."""
    try:
        return seam(clip)
    except CoopNetsError:
        return None
