"""The tables: distances, who is nearer, the copy check, and what it took."""

from collections.abc import Sequence
from typing import Any

from experiments.cells import Result
from experiments.command import table_row
from experiments.textures.measures import SIDES

TITLES = {
    "descriptor": "CoopNets", "generator": "its generator alone", "ps": "Portilla-Simoncelli",
    "noise": "phase noise", "halves": "other half", "original": "itself",
}  # fmt: skip
NO = "–"
FAILED = (
    "What a training had learnt before is drawn and measured all the same, and counts as lost."
)


def distance(found: Result, method: str, side: int) -> float | None:
    """The distance of a method's picture from the original, if there is one."""
    entry = found["halves"] if method == "halves" else found["measured"].get(method)
    return None if entry is None else float(entry["distance"][str(side)])


def wins(rows: Sequence[Result]) -> dict[str, int]:
    """How often ours is nearer to the original than Portilla and Simoncelli's, by side.

    Of textures where both are there or where ours failed, which counts as lost.
    """
    compared = [row for row in rows if "ps" in row]
    won = {str(side): sum(_wins(row, side) for row in compared) for side in SIDES}
    both = sum(all(_wins(row, side) for side in SIDES) for row in compared)
    return {**won, "all": both, "of": len(compared)}


def markdown(rows: Sequence[Result], about: dict[str, Any]) -> str:
    """table.md."""
    counted = wins(rows)
    lines = ["# Textures", "", *(f"- {key}: {value}" for key, value in about.items()), ""]
    if counted["of"]:
        told = ", ".join(f"{counted[str(side)]} at {side} px" for side in SIDES)
        lines += [
            f"Nearer to the original than Portilla and Simoncelli's model, of {counted['of']} "
            f"textures: **{told}**, {counted['all']} at both.", "",
        ]  # fmt: skip
    for side in SIDES:
        lines += [f"## Distance of windows of {side} px", "", *_distances(rows, side), ""]
    lines += ["## Copy check", "", *_correlations(rows), ""]
    lines += ["## What it took", "", *_taken(rows), ""]
    failed = [f"- {row['name']}: {why}" for row in rows
              for why in (row["failed"], row.get("ps_failed")) if why]  # fmt: skip
    if failed:
        lines += ["## Failed", "", FAILED, "", *failed, ""]
    return "\n".join(lines)


def _wins(row: Result, side: int) -> bool:
    if row["failed"]:
        return False
    ours, theirs = (distance(row, method, side) for method in ("descriptor", "ps"))
    return ours is not None and theirs is not None and ours < theirs


def _distances(rows: Sequence[Result], side: int) -> list[str]:
    lines = _heading(["texture", *TITLES.values(), "nearer than Portilla-Simoncelli"])
    for row in rows:
        found = {method: distance(row, method, side) for method in TITLES}
        verdict = NO if found["ps"] is None else "yes" if _wins(row, side) else "no"
        cells = [NO if v is None else f"{v:.1f}" for v in found.values()]
        lines.append(table_row([row["name"], *cells, verdict]))
    return lines


def _correlations(rows: Sequence[Result]) -> list[str]:
    columns = ("descriptor", "ps", "halves")
    lines = _heading(["texture", *(TITLES[c] for c in columns)])
    for row in rows:
        entries = {**row["measured"], "halves": row["halves"]}
        cells = [f"{entries[c]['correlation']:.3f}" if c in entries else NO for c in columns]
        lines.append(table_row([row["name"], *cells]))
    return lines


def _taken(rows: Sequence[Result]) -> list[str]:
    lines = _heading([
        "texture", "training", "iterations", "drawing",
        "Portilla-Simoncelli", "its iterations", "its statistics came nearer by", "converged",
    ])  # fmt: skip
    for row in rows:
        ours, ps = row.get("training"), row.get("ps")
        cells = [NO] * 3 if ours is None else [
            f"{ours['seconds'] / 60:.1f} min", f"{ours['iterations']:,}",
            f"{ours['seconds_to_draw']:.1f} s",
        ]  # fmt: skip
        cells += [NO] * 4 if ps is None else [
            f"{ps['seconds'] / 60:.1f} min", f"{ps['iterations']:,}", f"{ps['fell']:.0f} times",
            "yes" if ps["converged"] else "no",
        ]  # fmt: skip
        lines.append(table_row([row["name"], *cells]))
    return lines


def _heading(names: Sequence[str]) -> list[str]:
    return [table_row(names), "| --- |" + " ---: |" * (len(names) - 1)]
