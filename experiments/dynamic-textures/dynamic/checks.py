"""What would end the command after hours of training, found before the first."""

from collections.abc import Sequence
from pathlib import Path

import torch
import tyro

from coopnets.config import Config
from coopnets.errors import CoopNetsError, DataError
from coopnets.evaluate.extras import extra
from coopnets.evaluate.motion import SEGMENT, energy
from coopnets.methods import recipe
from coopnets.models import new_descriptor, new_generator
from coopnets.prepare import open_observed
from coopnets.presets import preset
from coopnets.validate import validate
from dynamic.work import Plan


def check(videos: dict[str, Path], plan: Plan) -> None:
    """Pass settings and clips that can be trained on, drawn and measured.

    Args:
        videos: the clips by name.
        plan: of the experiment; ``say`` is told a line for each clip that cannot be used.

    Raises:
        CoopNetsError: some cannot, or a package that measures is missing.
    """
    extra("torch_fidelity.metric_kid")
    config = settings(plan.options)
    bad = []
    for name, video in videos.items():
        if why := _fault(video, config, "--strict" in plan.options):
            plan.say(why)
            bad.append(name)
    if bad:
        good = " ".join(name for name in videos if name not in bad)
        leave = f": leave them out by --clips {good}" if good else ""
        raise CoopNetsError(f"{len(bad)} of {len(videos)} clips cannot be used, as said{leave}")


def settings(options: Sequence[str]) -> Config:
    """Those of a training with these options, if the experiment can do with them.

    Raises:
        CoopNetsError: it cannot.
    """
    chosen = preset(options[options.index("--preset") + 1])
    config: Config = tyro.cli(
        Config, default=recipe(chosen, "coopnets"), args=list(options), return_unknown_args=True,
        use_underscores=False,
    )[0]  # fmt: skip
    if not config.frames:
        raise CoopNetsError("these settings learn pictures: take a preset of clips")
    if config.method != "coopnets":
        raise CoopNetsError(f"--method {config.method}: clips are drawn by both networks here")
    if config.frames < SEGMENT:
        raise CoopNetsError(f"--frames {config.frames}: measures take {SEGMENT} or more")
    validate(config)
    try:
        new_descriptor(config)
        new_generator(config)
    except (ValueError, RuntimeError) as error:
        raise CoopNetsError(f"these settings make no network: {error}") from error
    return config


def _fault(video: Path, config: Config, strict: bool) -> str:
    """Why a clip cannot be used; nothing if it can."""
    try:
        data = open_observed(config, str(video), "train", None, None, strict, lambda _: None)
    except DataError as error:
        return str(error)
    moving = any(energy(torch.from_numpy(clip)) for clip in data.clips)
    return "" if moving else f"{video.name} does not move: all its frames are the same"
