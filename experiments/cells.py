"""What an experiment does once: results in files, with all that they depend on beside them.

A command that was stopped goes on at the first result that is not there; a result of other
settings is made anew.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from coopnets.complete.output import read_pixels
from coopnets.errors import CoopNetsError
from coopnets.evaluate.files import write_whole
from coopnets.model import CoopNets

Result = dict[str, Any]


def once(file: Path, settings: Result, work: Callable[[], Result]) -> Result:
    """The result of ``work``, from its file if it was made with these settings.

    Args:
        file: where it is kept, as JSON.
        settings: all that it depends on.
        work: makes it; writes its pictures first, so that a file means that they are there.

    Raises:
        CoopNetsError: the file cannot be read or written.
    """
    settings = json.loads(json.dumps(settings))
    try:
        content = json.loads(file.read_text())
        if content["settings"] == settings:
            return dict(content["result"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoopNetsError(f"cannot read {file} ({error}): remove it") from error
    file.unlink(missing_ok=True)  # it does not vouch for the pictures that are made now
    result = work()
    write(file, json.dumps({"settings": settings, "result": result}, indent=1))
    return result


def write(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        CoopNetsError: it cannot be written.
    """
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error


def caught_up(table: Path, rows: Sequence[Result]) -> bool:
    """Whether there are as many rows as in the table, ``{"rows": [...]}``, that is there.

    A command that is repeated leaves a table as it is until then.
    """
    try:
        return len(rows) >= len(json.loads(table.read_text())["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        return True


def load_picture(file: Path) -> Tensor:
    """A PNG of :func:`coopnets.pictures.save_grid`, uint8 (C, H, W).

    Raises:
        CoopNetsError: it cannot be read.
    """
    try:
        return read_pixels(file)
    except CoopNetsError as error:
        raise CoopNetsError(f"{error} and the .json files beside it") from error


def save_figure(figure: Figure, file: Path) -> None:
    """Write a figure, whole or not at all; its folder is made if need be.

    Raises:
        CoopNetsError: it cannot be written.
    """
    unfinished = file.with_name(f"unfinished-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(unfinished)
        unfinished.replace(file)
    except OSError as error:
        raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error


def digest(*tensors: Tensor) -> str:
    """What tells pictures, or weights, from others."""
    found = hashlib.blake2b(digest_size=10)
    for tensor in tensors:
        found.update(repr(tuple(tensor.shape)).encode())
        found.update(tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def weights_of(model: CoopNets) -> str:
    """What tells a trained model from others, its settings of sampling included."""
    state = [v for name in sorted(model.networks)
             for v in model.networks[name].state_dict().values()]  # fmt: skip
    return f"{digest(*state)} {model.about.get('step_scale', 1.0)} {model.precision}"
