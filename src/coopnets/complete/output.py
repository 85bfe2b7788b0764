"""What ``coopnets complete`` leaves behind: pictures, a sheet, results.json."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from coopnets.complete.damaged import Damaged, stem
from coopnets.complete.scores import interval, scores
from coopnets.data.pixels import to_pixels, to_unit
from coopnets.errors import CoopNetsError
from coopnets.evaluate.files import write_whole
from coopnets.pictures import grid, to_image

SHEET = "sheet.png"
RESULTS = "results.json"
ROWS = 16
"""Images on the sheet."""
SIDE = 256
"""Pixels of a side on the sheet, about, of larger images."""
GREY = 0.0
"""What hidden pixels look like on the sheet, in [-1, 1]."""
LONGEST = 200
"""Bytes of a file name, less ending and number; file systems take 255."""
MEASURES = ("error", "psnr", "ssim")
MADE_BY = ("coopnets", "commit", "machine")
"""What is said of a command and does not decide whether another one is the same."""


class Output:
    """A folder of completions, written as they come.

    ``results.json`` names every picture before it is written, and says whether the command has
    ended: one that has not is gone on with, by the same command and by no other.

    Args:
        folder: where to; made if need be.
        about: what stands in results.json beside the results.

    Attributes:
        kept: how many pictures were completed before, to be passed to :meth:`keep`.

    Raises:
        CoopNetsError: the folder cannot be used, or holds other completions.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about
        self.images: list[dict[str, Any]] = []
        self._rows: list[Tensor] = []
        self._names: set[str] = set()
        self._waiting: dict[str, Tensor] = {}
        self._drawn = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CoopNetsError(f"cannot use {folder}: {error.strerror}") from error
        before = begun(folder, about, (SHEET,))
        self._earlier = 0.0 if before is None else float(before["seconds"])
        listed = [] if before is None else before["images"]
        self._ours = made_before(before, listed)
        whole = [all((folder / name).exists() for name in entry["files"]) for entry in listed]
        self.kept = whole.index(False) if False in whole else len(whole)
        self._listed = listed[: self.kept]

    def keep(self, picture: Damaged, mask: Tensor) -> None:
        """Take up what was completed before; picture and mask as in :meth:`add`.

        Raises:
            CoopNetsError: it was another picture, or another mask.
        """
        entry, pixels = self._listed[len(self.images)], torch.from_numpy(picture.pixels.copy())
        made = [read_pixels(self.folder / name) for name in entry["files"]]
        visible = ~mask.expand(pixels.shape)
        if entry["name"] != picture.name or entry["hidden"] != int(mask.sum()) or any(
            y.shape != pixels.shape or not torch.equal(y[visible], pixels[visible]) for y in made
        ):  # fmt: skip
            raise CoopNetsError(
                f"{self.folder} holds unfinished completions of other pictures, or with other "
                "masks: remove it, or choose another --out"
            )
        self._own(picture.name)
        self._enter(entry, mask, pixels, torch.stack(made))

    def add(self, picture: Damaged, mask: Tensor, completed: Tensor, truth: bool) -> None:
        """Take the completions of one picture and compare them with the truth.

        Args:
            picture: as the model saw it.
            mask: boolean (1, H, W).
            completed: (K, C, H, W) in [-1, 1].
            truth: whether what the picture shows under the mask was really there.

        Raises:
            CoopNetsError: a file is there already.
        """
        pixels = torch.from_numpy(picture.pixels.copy())
        made = torch.where(mask, to_pixels(completed.cpu()), pixels)
        own = self._own(picture.name)
        endings = [""] if len(made) == 1 else [f"-{k + 1}" for k in range(len(made))]
        files = [f"{own}{ending}.png" for ending in endings]
        for name, image in zip(files, made, strict=True):
            if (self.folder / name).exists() and name not in self._ours:
                raise CoopNetsError(f"{self.folder / name} is there already: choose another --out")
            self._waiting[name] = image
            self._ours.add(name)
        entry: dict[str, Any] = {
            "name": picture.name, "files": files, "hidden": int(mask.sum()),
        }  # fmt: skip
        if truth:
            found = scores(to_unit(made), to_unit(pixels).expand(made.shape), mask[None])
            entry |= {name: getattr(found, name).tolist() for name in MEASURES}
        self._enter(entry, mask, pixels, made)

    def save(self, seconds: float, finished: bool = False) -> dict[str, Any]:
        """Write the results so far, pictures and sheet; return the means, empty without truth.

        Args:
            seconds: taken by this command.
            finished: nothing will follow.

        Raises:
            CoopNetsError: a file cannot be written.
        """
        known = [entry for entry in self.images if "error" in entry]
        means: dict[str, Any] = {}
        for name in MEASURES if known else ():
            # An image's completions are not independent of each other: they count as one.
            per_image = torch.tensor([entry[name] for entry in known]).mean(1).numpy()
            mean, low, high = interval(per_image)
            means[name] = {"mean": mean, "95 %": [low, high] if len(known) > 1 else None}
        content = {
            **self.about, "finished": finished, "completed": len(self.images),
            "compared": len(known), "mean": means, "seconds": round(self._earlier + seconds, 2),
            "images": self.images,
        }  # fmt: skip
        if not finished:
            content["files"] = sorted(self._ours)
        self._write(RESULTS, json.dumps(content, indent=1).encode())
        for name, image in self._waiting.items():
            self._write(name, as_png(image))
        self._waiting = {}
        if not self._drawn:
            self._write(SHEET, as_png(self._sheet()))
            self._drawn = True
        return means

    def _enter(self, entry: dict[str, Any], mask: Tensor, pixels: Tensor, made: Tensor) -> None:
        self.images.append(entry)
        if len(self._rows) < ROWS:
            x = to_unit(pixels)[None]
            shown = [torch.where(mask, GREY, x), to_unit(made)]
            self._rows.append(_small(torch.cat([*shown, x] if "error" in entry else shown)))
            self._drawn = False

    def _sheet(self) -> Tensor:
        """damaged | completed ... | truth, a row for each image; no truth where none is known."""
        columns = max(len(row) for row in self._rows)
        height, width = (max(row.shape[axis] for row in self._rows) for axis in (2, 3))
        full = [
            pad(row, (0, width - row.shape[3], 0, height - row.shape[2], 0, 0,
                      0, columns - len(row)), value=1.0)
            for row in self._rows
        ]  # fmt: skip
        return grid(torch.cat(full), columns)

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_whole(self.folder / name, content)
        except OSError as error:
            raise CoopNetsError(
                f"cannot write {self.folder / name}: {error.strerror or error}"
            ) from error

    def _own(self, name: str) -> str:
        """A file name of its own for a picture: 2/cat.jpg becomes 2-cat, mnist[7] mnist-7."""
        plain = re.sub(r"[^\w.]+", "-", stem(name)).strip("-.") or "image"
        plain = plain.encode()[-LONGEST:].decode(errors="ignore")
        own, again = plain, 1
        while own in self._names | {Path(SHEET).stem}:
            again += 1
            own = f"{plain}-{again}"
        self._names.add(own)
        return own


def begun(folder: Path, about: dict[str, Any], others: tuple[str, ...]) -> dict[str, Any] | None:
    """What stands in the results.json of a command that has not ended; None if there is none.

    Args:
        folder: of completions.
        about: of the command that is to go on.
        others: files that it writes beside results.json; without that they are somebody's.

    Raises:
        CoopNetsError: the command has ended, or was another one; a file cannot be read, or is
            there already.
    """
    file = folder / RESULTS
    try:
        before = json.loads(file.read_text())
        finished = before.get("finished", True)
    except FileNotFoundError:
        if taken := [name for name in others if (folder / name).exists()]:
            raise CoopNetsError(
                f"{folder / taken[0]} is there already: choose another --out"
            ) from None
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise CoopNetsError(f"cannot read {file} ({error}): choose another --out") from error
    if finished:
        raise CoopNetsError(f"{file} is there already: choose another --out")
    now = json.loads(json.dumps(about))
    if changed := [k for k in now if k not in MADE_BY and before.get(k) != now[k]]:
        raise CoopNetsError(
            f"{folder} holds unfinished completions with another {changed[0]} "
            f"({before.get(changed[0])}): repeat their command, or choose another --out"
        )
    found: dict[str, Any] = before
    return found


def made_before(before: dict[str, Any] | None, listed: list[dict[str, Any]]) -> set[str]:
    """Names of all that an unfinished command has written, also what it is to make again.

    Args:
        before: its results.json, if there is one.
        listed: the entries in it.
    """
    named = {name for entry in listed for name in entry["files"]}
    return named | set(before.get("files", []) if before else [])


def _small(images: Tensor) -> Tensor:
    """Images (N, C, H, W) as they go on the sheet."""
    height, width = images.shape[2:]
    times = max(1, max(height, width) // SIDE)
    if times == 1:
        return images
    return adaptive_avg_pool2d(images, (max(1, height // times), max(1, width // times)))


def read_pixels(file: Path) -> Tensor:
    """A picture that was written here, uint8 (C, H, W).

    Raises:
        CoopNetsError: it cannot be read.
    """
    try:
        with Image.open(file) as image:
            rows = np.array(image)
    except OSError as error:
        raise CoopNetsError(f"cannot read {file} ({error}): remove it") from error
    return torch.from_numpy(np.atleast_3d(rows)).permute(2, 0, 1)


def as_png(pixels: Tensor) -> bytes:
    """The file of a uint8 picture (C, H, W)."""
    stream = io.BytesIO()
    to_image(pixels).save(stream, "PNG")
    return stream.getvalue()
