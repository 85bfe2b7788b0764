"""What ``coopnets complete`` leaves behind: pictures, a sheet, results.json."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopnets.complete.damaged import Damaged, stem
from coopnets.complete.scores import interval, scores
from coopnets.data.pixels import to_pixels, to_unit
from coopnets.errors import CoopNetsError
from coopnets.evaluate.files import write_whole
from coopnets.pictures import grid, save_grid, to_image

SHEET = "sheet.png"
RESULTS = "results.json"
ROWS = 16
"""Images on the sheet."""
GREY = 0.0
"""What hidden pixels look like on the sheet, in [-1, 1]."""
MEASURES = ("error", "psnr", "ssim")


class Output:
    """A folder of completions, written as they come.

    Args:
        folder: where to; made if need be.
        about: what stands in results.json beside the results.

    Raises:
        CoopNetsError: the folder cannot be used, or holds completions already.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about
        self.images: list[dict[str, Any]] = []
        self._rows: list[Tensor] = []
        self._names: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CoopNetsError(f"cannot use {folder}: {error.strerror}") from error
        if (folder / RESULTS).exists():
            raise CoopNetsError(f"{folder / RESULTS} is there already: choose another --out")

    def add(self, picture: Damaged, mask: Tensor, completed: Tensor, truth: bool) -> None:
        """Write the completions of one picture and compare them with the truth.

        Args:
            picture: as the model saw it.
            mask: boolean (1, H, W).
            completed: (K, C, H, W) in [-1, 1].
            truth: whether what the picture shows under the mask was really there.

        Raises:
            CoopNetsError: a file is there already, or cannot be written.
        """
        pixels = torch.from_numpy(picture.pixels.copy())
        made = torch.where(mask, to_pixels(completed.cpu()), pixels)
        own = self._own(picture.name)
        endings = [""] if len(made) == 1 else [f"-{k + 1}" for k in range(len(made))]
        files = [f"{own}{ending}.png" for ending in endings]
        for name, image in zip(files, made, strict=True):
            self._write(name, image)
        entry: dict[str, Any] = {
            "name": picture.name, "files": files, "hidden": int(mask.sum()),
        }  # fmt: skip
        x = to_unit(pixels)
        if truth:
            found = scores(to_unit(made), x.expand(made.shape), mask[None])
            entry |= {name: getattr(found, name).tolist() for name in MEASURES}
        self.images.append(entry)
        if len(self._rows) < ROWS:
            shown = [torch.where(mask, GREY, x)[None], to_unit(made)]
            self._rows.append(torch.cat([*shown, x[None]] if truth else shown))

    def save(self, seconds: float) -> dict[str, Any]:
        """Write the results so far, and the sheet; return the means, empty without truth."""
        known = [entry for entry in self.images if "error" in entry]
        means: dict[str, Any] = {}
        for name in MEASURES if known else ():
            # An image's completions are not independent of each other: they count as one.
            per_image = torch.tensor([entry[name] for entry in known]).mean(1).numpy()
            mean, low, high = interval(per_image)
            means[name] = {"mean": mean, "95 %": [low, high] if len(known) > 1 else None}
        content = {
            **self.about, "completed": len(self.images), "compared": len(known),
            "mean": means, "seconds": round(seconds, 2), "images": self.images,
        }  # fmt: skip
        try:
            write_whole(self.folder / RESULTS, json.dumps(content, indent=1).encode())
        except OSError as error:
            raise CoopNetsError(f"cannot write {self.folder / RESULTS}: {error}") from error
        self._sheet()
        return means

    def _sheet(self) -> None:
        """damaged | completed ... | truth, a row for each image; no truth where none is known."""
        columns = max(len(row) for row in self._rows)
        white = self._rows[0].new_ones(1, *self._rows[0].shape[1:])
        full = [torch.cat([row, white.expand(columns - len(row), *white.shape[1:])])
                for row in self._rows]  # fmt: skip
        save_grid(grid(torch.cat(full), columns), self.folder / SHEET)

    def _write(self, name: str, image: Tensor) -> None:
        file = self.folder / name
        try:
            if file.exists():
                raise CoopNetsError(f"{file} is there already: choose another --out")
            to_image(image).save(file)
        except OSError as error:
            raise CoopNetsError(f"cannot write {file}: {error.strerror or error}") from error

    def _own(self, name: str) -> str:
        """A file name of its own for a picture: 2/cat.jpg becomes 2-cat, mnist[7] mnist-7."""
        plain = re.sub(r"[^\w.]+", "-", stem(name)).strip("-.") or "image"
        own, again = plain, 1
        while own in self._names | {Path(SHEET).stem}:
            again += 1
            own = f"{plain}-{again}"
        self._names.add(own)
        return own
