"""compare.html: the table, the samples side by side and the curves on one page of its own."""

import base64
import shlex
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from coopnets.compare.grids import REAL
from coopnets.compare.table import FLOOR, Table, facts_of, notes_of, tables
from coopnets.concern import concerns
from coopnets.config import Config, flatten, from_dict
from coopnets.report.page import duration
from coopnets.report.settings import shown
from coopnets.report.style import CSS
from coopnets.report.text import escape

FINE = 48
"""Side of an image below which pictures are enlarged pixel by pixel."""
LOSSLESS = 500_000
"""Bytes of a picture up to which it stays PNG."""
OWN_CSS = """
.wide { width:min(calc(100vw - 2.5rem),1640px); margin-left:50%; transform:translateX(-50%); }
.scroll { overflow-x:auto; margin:1.2rem 0; }
table { border-collapse:collapse; font-variant-numeric:tabular-nums; font-size:.92rem; }
th,td { padding:.42rem .9rem; text-align:right; white-space:nowrap;
  border-bottom:1px solid var(--grid); }
th { font-weight:600; color:var(--muted); font-size:.85rem; vertical-align:bottom;
  white-space:normal; }
th:first-child,td:first-child { text-align:left; padding-left:0; }
tr.ours td:first-child { font-weight:650; } tr.floor td { color:var(--muted); }
td.best { font-weight:700; }
.samples { display:grid; grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));
  gap:1.6rem 1.4rem; }
.about { display:grid; grid-template-columns:max-content 1fr; gap:.3rem 1.4rem;
  font-size:.92rem; margin:1.2rem 0; }
.about dt { color:var(--muted); } .about dd { margin:0; overflow-wrap:anywhere; }
.warnings { font-size:.9rem; color:var(--muted); padding-left:1.1rem; }
.drawn img { border-radius:0; min-width:38rem; }
@media (max-width:720px) { .wide { width:auto; margin-left:0; transform:none; }
  .about { grid-template-columns:1fr; gap:0; } .about dd { margin-bottom:.5rem; } }
"""
LOWER = ("FID", "FD", "KID")
Outcome = dict[str, Any]


def page(outcome: Outcome, folder: Path, curves: str) -> str:
    """One HTML document without any outside resource.

    Args:
        outcome: as in table.json.
        folder: that the paths in it are relative to.
        curves: the picture of the curves, an SVG document.
    """
    about = outcome["comparison"]
    title = f"Comparison · {about['preset']} · {Path(outcome['data']['source']).name}"
    rows = ", ".join(row["row"] for row in outcome["rows"])
    lead = f"{rows}: {duration(about['max_time'])} of training each on the same machine"
    parts = [
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>',
        "".join(_table(outcome, table) for table in tables(outcome)),
        _notes(outcome),
        _facts(outcome),
        _curves(outcome, curves),
        _samples(outcome, folder),
        _commands(outcome, folder),
        _settings(outcome),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}{OWN_CSS}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def _table(outcome: Outcome, table: Table) -> str:
    ours = {row["row"] for row in outcome["rows"] if row["method"] == "coopnets"}
    best = {i: _best(outcome, heading) for i, heading in enumerate(table.headings)}
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    body = ""
    for cells in table.rows:
        kind = "floor" if cells[0] == FLOOR else "ours" if cells[0] in ours else "other"
        listed = "".join(
            f"<td{' class=best' * (best[i] == cells[0])}>{escape(cell)}</td>"
            for i, cell in enumerate(cells)
        )
        body += f'<tr class="{kind}">{listed}</tr>'
    title = f"<h3>{escape(table.title)}</h3>" if table.title else ""
    return (
        f'{title}<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )


def _best(outcome: Outcome, score: str) -> str | None:
    """The row with the lowest distance; of other columns none is marked."""
    values = {
        row["row"]: row["record"]["scores"][score]
        for row in outcome["rows"]
        if row["record"] and score in row["record"]["scores"] and score.split(" ")[0] in LOWER
    }
    return min(values, key=lambda name: values[name]) if len(values) > 1 else None


def _notes(outcome: Outcome) -> str:
    told = "".join(f"<li>{escape(note)}</li>" for note in notes_of(outcome))
    return f'<ul class="warnings">{told}</ul>' if told else ""


def _facts(outcome: Outcome) -> str:
    facts = {k: v.strip("`") for k, v in facts_of(outcome).items() if k != "command"}
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return f'<dl class="about">{listed}</dl>'


def _curves(outcome: Outcome, curves: str) -> str:
    if not any(curve["points"] for curve in outcome["curves"]):
        return ""
    encoded = base64.b64encode(curves.encode()).decode()
    return (
        '<section class="drawn"><h2>Quality against training time</h2>'
        f'<div class="scroll"><img src="data:image/svg+xml;base64,{encoded}" '
        'alt="distances over training time"></div>'
        '<p class="note">Each run\'s own clock: scoring, saving and drawing do not count. The '
        "distances of fewer samples lie above those of the table.</p></section>"
    )


def _samples(outcome: Outcome, folder: Path) -> str:
    size = next(iter(outcome["settings"].values()))["size"]
    figures = [_figure(folder / "grids" / REAL, "Real images", "drawn at random", size)]
    for row in outcome["rows"]:
        if row["grid"]:
            when = f"{row['iteration']:,} iterations, {duration(row['training_seconds'])}"
            figures.append(_figure(folder / row["grid"], row["row"], when, size))
    if not any(figures):
        return ""
    return (
        '<section><h2>Samples</h2><p class="note">Numbers 0 to 63 of the seed, none picked.</p>'
        f'<div class="samples wide">{"".join(figures)}</div></section>'
    )


def _figure(file: Path, name: str, text: str, size: int) -> str:
    try:
        with Image.open(file) as opened:
            picture = opened.copy()
    except OSError:
        return ""
    if size < FINE:
        times = -(-2 * FINE // size)
        picture = picture.resize(
            (picture.width * times, picture.height * times), Image.Resampling.NEAREST
        )
    return (
        f'<figure><img src="{_uri(picture)}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(name)}"><figcaption><b>{escape(name)}</b> {escape(text)}</figcaption>'
        "</figure>"
    )


def _uri(picture: Image.Image) -> str:
    """PNG where that is small, else JPEG of high quality."""
    stream, kind = BytesIO(), "png"
    picture.save(stream, "PNG", optimize=True)
    if stream.tell() > LOSSLESS:
        stream, kind = BytesIO(), "jpeg"
        picture.convert("RGB").save(stream, "JPEG", quality=90, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def _commands(outcome: Outcome, folder: Path) -> str:
    first = folder / outcome["rows"][-1]["method"]
    sample = shlex.join(["coopnets", "sample", str(first), "-n", "64", "--out", "grid.png"])
    return (
        "<h2>Commands</h2><p>This comparison; repeated, it goes on where it stands:</p>"
        f"<pre>{escape(outcome['command'])}</pre>"
        "<p>Each method is a run of its own, to sample from, to evaluate or to train on:</p>"
        f"<pre>{escape(sample)}</pre>"
    )


def _settings(outcome: Outcome) -> str:
    """The settings that each method uses, one list a method."""
    listed = ""
    for method, stored in outcome["settings"].items():
        rows = "".join(
            f"<div><code>{escape(name)}</code><span>{escape(shown(value))}</span></div>"
            for name, value in flatten(from_dict(Config, stored))
            if concerns(name, method)
        )
        listed += (
            f"<details><summary>{escape(method)}</summary>"
            f'<div class="settings">{rows}</div></details>'
        )
    return (
        '<h2>Settings</h2><p class="note">One preset for all: its size, batch, arithmetic, moving '
        "average and generator, and each method's own published recipe on it.</p>" + listed
    )
