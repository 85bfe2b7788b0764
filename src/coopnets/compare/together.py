"""samples.png: the latest samples of every row, and real images, in one picture to show."""

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from coopnets.compare.grids import REAL
from coopnets.errors import RunError

COLUMNS = 4
GAP = 12
FONT = 14
"""Pixels, between pictures and of the names above them."""
Outcome = dict[str, Any]


def draw_together(outcome: Outcome, folder: Path, file: Path) -> None:
    """Write the pictures of a comparison side by side, four in a row; none if there are none.

    Args:
        outcome: as in table.json.
        folder: that the paths in it are relative to.
        file: to be written, as a whole or not at all.

    Raises:
        RunError: it cannot be written, or one of them not be read.
    """
    named = [("real", folder / "grids" / REAL)]
    named += [(row["row"], folder / row["grid"]) for row in outcome["rows"] if row["grid"]]
    fresh = file.with_name(f"unfinished-{file.name}")
    try:
        pictures = [(name, _read(path)) for name, path in named if path.exists()]
        if not pictures:
            return
        _sheet(pictures).save(fresh)
        fresh.replace(file)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error}") from error


def _read(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        return opened.convert("RGB")


def _sheet(pictures: list[tuple[str, Image.Image]]) -> Image.Image:
    wide = max(picture.width for _, picture in pictures) + GAP
    high = max(picture.height for _, picture in pictures) + GAP + FONT + GAP // 2
    columns = min(COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * wide - GAP, rows * high - GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for i, (name, picture) in enumerate(pictures):
        left, top = i % columns * wide, i // columns * high
        pen.text((left + 2, top), name, fill="black", font=font)
        sheet.paste(picture, (left, top + FONT + GAP // 2))
    return sheet
