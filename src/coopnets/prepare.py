"""From settings to images and to a learner, and what a run folder says of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from coopnets.begin import begin
from coopnets.config import Config
from coopnets.data import Observed, open_images, open_windows
from coopnets.errors import CoopNetsError, RunError
from coopnets.layout import resolve_layout
from coopnets.learner import Learner
from coopnets.methods import build
from coopnets.models.clips import longest
from coopnets.precision import resolve
from coopnets.processes import Processes
from coopnets.runfolder import RunFolder


def resolved(config: Config, processes: Processes, folder: RunFolder | None) -> Config:
    """Settings with precision and layout decided; a run taken up again keeps its layout."""
    config = replace(config, precision=resolve(config.precision, processes.device))
    if config.layout == "auto" and folder is not None and folder.config_file.exists():
        config = replace(config, layout=folder.config().layout)
    with _blaming_the_settings():
        return replace(config, layout=resolve_layout(config, processes))


def open_observed(
    config: Config,
    data: str,
    split: str,
    limit: int | None,
    data_dir: Path | None,
    strict: bool,
    say: Callable[[str], None],
) -> Observed:
    """What is trained on: clips, windows of pictures, or whole ones, as the settings say."""
    if config.frames:
        from coopnets.data import open_clips

        return open_clips(
            data, frames=config.frames, size=config.size, channels=config.image_channels,
            fps=config.fps, windows=config.windows, crop=config.crop, split=split, limit=limit,
            strict=strict, say=say,
            advice=lambda n: f"--frames {fit} would fit" if (fit := longest(config, n)) else "",
        )  # fmt: skip
    if config.windows or config.generator.start == "map":
        windows = open_windows(
            data, window=config.size, channels=config.image_channels, split=split, limit=limit,
            data_dir=data_dir, strict=strict, say=say if config.windows else lambda _: None,
        )  # fmt: skip
        if config.windows:
            return windows
        # A texture as a whole: pictures that hold no window of it are refused all the same.
    return open_images(
        data, size=config.size, channels=config.image_channels, crop=config.crop, split=split,
        limit=limit, data_dir=data_dir, strict=strict, say=say,
    )  # fmt: skip


def whole_pictures(config: Config) -> None:
    """Pass settings of networks that are to be compared with whole pictures.

    Raises:
        CoopNetsError: they observe windows, so scores against resized pictures mean nothing.
    """
    if config.frames:
        raise CoopNetsError(
            "this model learns clips, and these scores compare pictures: coopnets.evaluate.motion "
            "measures clips"
        )
    if config.windows:
        raise CoopNetsError(
            "this model learns windows of pictures, and scores compare whole ones, resized: "
            "coopnets.evaluate.textures measures textures"
        )


def new_learner(config: Config, processes: Processes, images: Observed) -> Learner:
    """The networks and method of resolved settings.

    Raises:
        CoopNetsError: the settings make no network, or cannot be shared by so many processes.
    """
    with _blaming_the_settings():
        learner = build(config, processes, len(images))
    begin(learner, images)
    return learner


def described(images: Observed, limit: int | None) -> dict[str, Any]:
    """What a run folder says of its training images."""
    rate = {"fps": fps} if (fps := getattr(images, "fps", None)) else {}
    return {
        "source": images.source, "split": images.split, "images": len(images),
        "limit": limit, "skipped": len(images.skipped), "fingerprint": images.fingerprint, **rate,
    }  # fmt: skip


@contextmanager
def _blaming_the_settings() -> Iterator[None]:
    """Say in one line that the settings make no network, if they do not."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if "allocate" in str(error):  # not a matter of the settings alone: main() has the words
            raise MemoryError from error
        raise RunError(f"these settings make no network: {error}") from error
