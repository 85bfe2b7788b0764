"""The grids of a run as pictures inside the page."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from coopnets.runfolder import RunFolder

PANELS = (("data", "proposed", "revised"), ("data", "samples"))
"""The panels of a grid, of methods with revision and without."""
GAP = 12
"""Pixels between the panels of a grid."""
PADDING = 2
SHOWN = 8
FINE = 48
"""Side of an image from which the grids over time show a quarter of each panel."""
LOSSLESS_LAST = 700_000
LOSSLESS_EARLIER = 100_000
"""Bytes of a panel up to which it stays PNG; both keep a page of eight grids below 6 MB."""


@dataclass(frozen=True)
class Picture:
    """An image as a data URI."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Snapshot:
    """The panels of one grid by name, or the whole of a grid that has other panels."""

    iteration: int
    panels: dict[str, Picture]


def latest(folder: RunFolder, size: int) -> Snapshot | None:
    """The last readable grid in full."""
    for iteration, file in reversed(_files(folder)):
        if panels := _read(file):
            shown = {k: _embed(_crisp(v, size, 3), LOSSLESS_LAST) for k, v in panels.items()}
            return Snapshot(iteration, shown)
    return None


def over_time(folder: RunFolder, size: int) -> Iterator[Snapshot]:
    """About eight grids from the first to the last, without the data, which never change."""
    files = _files(folder)
    for iteration, file in (files[i] for i in spread([i for i, _ in files], SHOWN)):
        panels = _read(file)
        panels.pop("data", None)
        if not panels:
            continue
        yield Snapshot(iteration, {k: _smaller(v, size) for k, v in panels.items()})


def moving(folder: RunFolder) -> Picture | None:
    """The last moving picture of a run of clips."""
    for file in sorted(folder.grids.glob("[0-9]*.webp"), reverse=True):
        try:
            with Image.open(file) as picture:
                width, height = picture.size
            content = file.read_bytes()
        except (OSError, ValueError, SyntaxError):  # a kill while it was written
            continue
        uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        return Picture(uri, 2 * width, 2 * height)
    return None


def spread(iterations: list[int], count: int) -> list[int]:
    """Indices of about ``count`` of them at equal ratios: much happens early, little late."""
    if len(iterations) <= count:
        return list(range(len(iterations)))
    first, last = max(iterations[0], 1), iterations[-1]
    ratio = (last / first) ** (1 / (count - 1))
    chosen = {0, len(iterations) - 1}
    for step in range(1, count - 1):
        aim = first * ratio**step
        chosen.add(min(range(len(iterations)), key=lambda i: abs(iterations[i] - aim)))
    return sorted(chosen)


def _files(folder: RunFolder) -> list[tuple[int, Path]]:
    named = [(int(p.stem), p) for p in folder.grids.glob("[0-9]*.png") if p.stem.isdigit()]
    return sorted(named)


def _read(file: Path) -> dict[str, Image.Image]:
    try:
        with Image.open(file) as picture:
            picture.load()
            whole = picture.copy()
    except (OSError, ValueError, SyntaxError):  # a kill while it was written
        return {}
    for names in PANELS:
        side, rest = divmod(whole.width - GAP * (len(names) - 1), len(names))
        starts = [i * (side + GAP) for i in range(len(names))]
        if not rest and all(_white(whole, x - GAP) for x in starts[1:]):
            parts = [whole.crop((x, 0, x + side, whole.height)) for x in starts]
            return dict(zip(names, parts, strict=True))
    return {"samples": whole}


def _white(whole: Image.Image, left: int) -> bool:
    """Whether a gap begins there: no grid has so wide a white strip within."""
    strip = whole.crop((left, 0, left + GAP, whole.height)).convert("L")
    return strip.getextrema()[0] == 255


def _smaller(panel: Image.Image, size: int) -> Picture:
    side = 4 * (size + PADDING) + PADDING
    if size >= FINE and panel.width == panel.height and panel.width > side:
        panel = panel.crop((0, 0, side, side))
    return _embed(_crisp(panel, size, 2), LOSSLESS_EARLIER)


def _crisp(panel: Image.Image, size: int, times: int) -> Image.Image:
    """Small images enlarged pixel by pixel: a browser would blur them, or make pixels uneven."""
    if size >= FINE:
        return panel
    return panel.resize((panel.width * times, panel.height * times), Image.Resampling.NEAREST)


def _embed(picture: Image.Image, lossless: int) -> Picture:
    """PNG where that stays below ``lossless`` bytes, else JPEG of high quality."""
    kind, content = "png", _encoded(picture, "PNG", optimize=True)
    if len(content) > lossless:
        kind = "jpeg"
        content = _encoded(picture.convert("RGB"), "JPEG", quality=90, subsampling=0)
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(uri, picture.width, picture.height)


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    stream = BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()
