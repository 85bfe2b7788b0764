"""The tables: measures by clip and system, who is nearer, longer clips, loops, what it took."""

from collections.abc import Sequence
from math import inf, log
from statistics import mean, stdev
from typing import Any

from experiments.cells import Result
from experiments.command import table_row

TITLES = {
    "revised": "CoopNets", "generator": "its generator alone", "piece": "another piece",
}  # fmt: skip
COLUMNS = {
    "frames FD": ("frames FD", 1, 1), "frames KD": ("frames KD x 1,000", 1000, 1),
    "differences FD": ("differences FD", 1, 1),
    "differences KD": ("differences KD x 1,000", 1000, 1),
    "spectrum": ("spectrum (dB)", 1, 1), "energy": ("energy", 1, 2), "copy": ("copy", 1, 2),
}  # fmt: skip
"""Of each measure its heading, a factor and decimals."""
JUDGED = ("frames FD", "differences FD", "spectrum", "energy")
"""The first is of frames, the others of motion."""
LINEAR = "lds-"
NO = "–"


def fault(measure: str, value: float) -> float:
    """How far a value is from perfect: itself, or of the energy the factor from 1, as log."""
    if measure != "energy":
        return value
    return abs(log(value)) if value > 0 else inf


def faults(row: Result, system: str, measure: str) -> list[float]:
    """Of every sample of a system."""
    return [fault(measure, entry[measure]) for entry in row["measured"][system]]


def titled(system: str) -> str:
    """What a system is called."""
    if system.startswith(LINEAR):
        return f"linear system, {system.removeprefix(LINEAR)} states"
    return TITLES.get(system, system)


def rivals(rows: Sequence[Result]) -> list[str]:
    """The linear systems that ours is compared with."""
    return list(dict.fromkeys(name for row in rows for name in row.get("linear", {})))


def verdicts(row: Result, rival: str) -> dict[str, dict[str, bool]]:
    """By measure, whether ours is ``better`` than a linear system in the mean over samples, and
    ``clear``, which is that even its worst sample is better than the other's best.

    A training that failed is better in nothing.
    """
    if row["failed"]:
        return {measure: {"better": False, "clear": False} for measure in JUDGED}
    found = {}
    for measure in JUDGED:
        ours, theirs = (faults(row, system, measure) for system in ("revised", rival))
        found[measure] = {"better": mean(ours) < mean(theirs), "clear": max(ours) < min(theirs)}
    return found


def wins(rows: Sequence[Result], rival: str) -> dict[str, Any]:
    """Clips on which ours is better: by measure, in frames and all of motion, and of how many."""
    judged = [verdicts(row, rival) for row in rows]
    return {
        "better": {m: sum(v[m]["better"] for v in judged) for m in JUDGED},
        "clear": {m: sum(v[m]["clear"] for v in judged) for m in JUDGED},
        "all": sum(all(v[m]["better"] for m in JUDGED) for v in judged),
        "of": len(rows),
    }  # fmt: skip


def markdown(rows: Sequence[Result], about: dict[str, Any]) -> str:
    """table.md."""
    done = [row for row in rows if not row["failed"]]
    lines = ["# Dynamic textures", "", *(f"- {k}: {v}" for k, v in about.items()), ""]
    lines += ["## Against linear systems", "", *_won(rows), ""]
    lines += ["## Measures", "", *_measures(done), ""]
    lines += ["## The end of clips four times as long", "", *_long(done), ""]
    lines += ["## Loops", "", *_loops(done), ""]
    lines += ["## Reconstruction", "", *_reconstructed(done), ""]
    lines += ["## What it took", "", *_taken(done), ""]
    failed = [f"- {row['name']}: {row['failed']}" for row in rows if row["failed"]]
    return "\n".join([*lines, *(["## Failed", "", *failed, ""] if failed else [])])


def _won(rows: Sequence[Result]) -> list[str]:
    lines = [
        f"On how many of {len(rows)} clips CoopNets is better in the mean over samples (clearly: "
        "its worst sample better than the other's best):", "",
        *_heading(1, ["than the", *JUDGED, "all four"]),
    ]  # fmt: skip
    for rival in rivals(rows):
        found = wins(rows, rival)
        cells = [f"{found['better'][m]} ({found['clear'][m]} clearly)" for m in JUDGED]
        lines.append(table_row([titled(rival), *cells, f"**{found['all']}**"]))
    lines += ["", *_heading(2, ["clip", "than the", *JUDGED])]
    for row in rows:
        for rival in rivals(rows):
            cells = [
                "clearly" if v["clear"] else "yes" if v["better"] else "no"
                for v in verdicts(row, rival).values()
            ]
            lines.append(table_row([row["name"], titled(rival), *cells]))
    return lines


def _measures(rows: Sequence[Result]) -> list[str]:
    lines = _heading(2, ["clip", "system", *(title for title, _, _ in COLUMNS.values())])
    for row in rows:
        for system, entries in row["measured"].items():
            cells = [spread([e[name] for e in entries], *COLUMNS[name][1:]) for name in COLUMNS]
            lines.append(table_row([row["name"], titled(system), *cells]))
    return lines


def spread(values: Sequence[float], factor: float, digits: int) -> str:
    """Mean ± standard deviation; nothing where there is nothing."""
    if not values:
        return NO
    told = f"{factor * mean(values):.{digits}f}"
    return f"{told} ± {factor * stdev(values):.{digits}f}" if len(values) > 1 else told


def _long(rows: Sequence[Result]) -> list[str]:
    names = [name for name in COLUMNS if not name.endswith("KD")]
    lines = _heading(2, ["clip", "system", *(COLUMNS[name][0] for name in names)])
    for row in rows:
        for system, entry in row["long"].items():
            cells = [spread([entry[name]], *COLUMNS[name][1:]) for name in names]
            lines.append(table_row([row["name"], titled(system), *cells]))
    return lines


def _loops(rows: Sequence[Result]) -> list[str]:
    lines = _heading(2, ["clip", "system", "frames", "seam of the loop", "seam of a clip cut"])
    for row in rows:
        for system, entry in row["loop"].items():
            seams = [NO if entry[k] is None else f"{entry[k]:.2f}" for k in ("seam", "cut")]
            lines.append(table_row([row["name"], titled(system), str(entry["frames"]), *seams]))
    return lines


def _reconstructed(rows: Sequence[Result]) -> list[str]:
    lines = _heading(2, ["clip", "system", "numbers", "PSNR (dB)", "SSIM"])
    for row in rows:
        for system, entry in row["reconstructed"].items():
            cells = [f"{entry['numbers']:,}", f"{entry['psnr']:.2f}", f"{entry['ssim']:.3f}"]
            lines.append(table_row([row["name"], titled(system), *cells]))
    return lines


def _taken(rows: Sequence[Result]) -> list[str]:
    lines = _heading(1, [
        "clip", "frames learnt", "training", "iterations", "step size x", "a clip drawn",
        "reconstruction",
    ])  # fmt: skip
    for row in rows:
        ours = row["training"]
        lines.append(table_row([
            row["name"], f"{row['clip']['learnt']}", f"{ours['seconds'] / 60:.1f} min",
            f"{ours['iterations']:,}", f"{ours['step_scale']:g}",
            f"{ours['seconds_to_draw']:.1f} s",
            f"{row['reconstructed']['generator']['seconds']:.0f} s",
        ]))  # fmt: skip
    lines += ["", *_heading(3, [
        "clip", "system", "estimate", "states used", "least squares' radius", "learnt in",
    ])]  # fmt: skip
    for row in rows:
        for system, taken in row["linear"].items():
            radius, seconds = taken["least_squares_radius"], taken["seconds"]
            lines.append(table_row([
                row["name"], titled(system), taken["estimate"], f"{taken['states']}",
                f"{radius:.4f}", f"{seconds:.1f} s",
            ]))  # fmt: skip
    return lines


def _heading(words: int, names: Sequence[str]) -> list[str]:
    """Columns of words first, then of numbers."""
    return [table_row(names), "|" + " --- |" * words + " ---: |" * (len(names) - words)]
