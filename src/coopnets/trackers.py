"""Accelerate's experiment trackers (TensorBoard, Weights and Biases, ...) by name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from accelerate import Accelerator

from coopnets.config import Config, flatten
from coopnets.errors import CoopNetsError
from coopnets.runfolder import RunFolder


@contextmanager
def tracking(
    name: str | None, folder: RunFolder, config: Config
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield what logs a line of metrics to the named tracker; None logs nowhere.

    Raises:
        CoopNetsError: the tracker is unknown or not installed.
    """
    if name is None:
        yield lambda _: None
        return
    try:
        accelerator = Accelerator(log_with=name, project_dir=folder.path)
        if not accelerator.log_with:
            raise ValueError("not installed")
        settings = {
            k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flatten(config)
        }
        accelerator.init_trackers(folder.tracker.name, config=settings)
    except (ValueError, ImportError) as error:
        raise CoopNetsError(
            f"tracker {name!r} cannot be used ({error}): pip install 'coopnets[trackers]' brings "
            "tensorboard, others by their own packages"
        ) from error

    def track(line: dict[str, Any]) -> None:
        numbers = {k: v for k, v in line.items() if isinstance(v, int | float)}
        accelerator.log(numbers, step=line["iteration"])

    try:
        yield track
    finally:
        accelerator.end_training()
