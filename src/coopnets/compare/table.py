"""The tables of a comparison: as cells, and as Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coopnets.evaluate.cells import class_cells, digit_cells, score_cells
from coopnets.report.page import duration

FLOOR = "training images"
"""Row of the training images themselves, scored as if they were samples."""
NO = "–"
Outcome = dict[str, Any]
Cells = Callable[[dict[str, Any]], dict[str, str]]


@dataclass(frozen=True)
class Table:
    """Cells of text; the first of each row is its name."""

    title: str
    headings: list[str]
    rows: list[list[str]]


def tables(outcome: Outcome) -> list[Table]:
    """The scores, then what was measured for digits alone, if it was.

    A row without scores says why in the place of the first.
    """
    scores = _table("", outcome, _scores, ["scores"])
    for cells, row in zip(scores.rows, outcome["rows"], strict=False):  # the floor is not trained
        cells[1:1] = [f"{row['iteration']:,}", duration(row["training_seconds"])]
    if outcome["floor"]:
        scores.rows[-1][1:1] = ["", ""]
    scores.headings[1:1] = ["iterations", "training"]
    digits = _table("Parzen windows and the classifier's view", outcome, digit_cells)
    classes = _table("Classes that the classifier finds, % of the samples", outcome, class_cells)
    return [scores, *(table for table in (digits, classes) if len(table.headings) > 1)]


def markdown(outcome: Outcome) -> str:
    """table.md."""
    parts = []
    for table in tables(outcome):
        parts += [f"{table.title}:"] * bool(table.title) + [markdown_table(table)]
    parts.append("\n".join(f"- {name}: {text}" for name, text in facts_of(outcome).items()))
    parts.append("\n".join(f"- {note}" for note in notes_of(outcome)))
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """A table in Markdown, names to the left and numbers to the right."""
    rule = ["---"] + ["---:"] * (len(table.headings) - 1)
    return "\n".join(_line(cells) for cells in (table.headings, rule, *table.rows))


def facts_of(outcome: Outcome) -> dict[str, str]:
    """What the figures depend on, as a reader wants to be told."""
    about, data, real = outcome["comparison"], outcome["data"], outcome["real"]
    features, machine = outcome["features"], outcome["machine"]
    threads = machine["threads"]
    # Of the code that scored, which need not be the code that wrote this table.
    commits = dict.fromkeys(r["record"]["commit"] for r in outcome["rows"] if r["record"])
    commit = ", ".join(c or "unknown" for c in commits) or outcome["commit"] or "unknown"
    steps = {r["row"]: (r["record"] or {}).get("langevin_steps") for r in outcome["rows"]}
    revised = ", ".join(f"{row} {count}" for row, count in steps.items() if count)
    return {
        "trained on": f"{data['source']}, split {data['split']}, {data['images']:,} images, "
        f"preset {about['preset']}, {duration(about['max_time'])} each",
        "compared with": f"{real['source']}, split {real['split']}, {real['images']:,} images",
        "samples": f"{about['samples']:,} a row, {about['curve_samples']:,} at each moment of the "
        f"curves, seed {about['seed']}",
        **({"Langevin steps of a sample": revised} if revised else {}),
        "features": f"{features['extractor']}, {features['resize']}, weights "
        f"{features['weights'][:12]}",
        "machine": f"{machine.get('accelerator', machine['processor'])}, {threads} thread"
        f"{'s' * (threads != 1)}, torch {machine['torch']}",
        "code": f"coopnets {outcome['coopnets']}, commit {commit}",
        "made": outcome["time"],
        "command": f"`{outcome['command']}`",
    }


def notes_of(outcome: Outcome) -> list[str]:
    """Why rows have no scores, the floor in words, and the warnings."""
    told = [f"{r['row']}: {r['state']} {r['note']}" for r in outcome["rows"] if r["note"]]
    if floor := outcome["floor"]:
        told.append(
            f"{FLOOR}: {floor['n_generated']:,} of them in the place of samples, which is what "
            "nothing but the data would have"
        )
    records = [row["record"] for row in outcome["rows"] if row["record"]]
    if right := [r["classifier"]["accuracy"] for r in records if "classifier" in r]:
        told.append(f"the classifier is right on {100 * right[0]:.2f} % of the real images")
    told += outcome["warnings"]
    return told


def _table(title: str, outcome: Outcome, cells_of: Cells, usual: Sequence[str] = ()) -> Table:
    """Rows by one kind of cells; ``usual`` are the headings where there are none."""
    found = {row["row"]: cells_of(row["record"]) for row in outcome["rows"] if row["record"]}
    floor = {FLOOR: cells_of(outcome["floor"])} if outcome["floor"] else {}
    headings = list(next(iter((found | floor).values()), {})) or list(usual)
    rows = []
    for row in outcome["rows"]:
        missing = dict.fromkeys(headings, NO) | dict.fromkeys(headings[:1], row["state"])
        cells = found.get(row["row"], missing)
        rows.append([row["row"], *(cells.get(name, NO) for name in headings)])
    rows += [[name, *(cells.get(h, NO) for h in headings)] for name, cells in floor.items()]
    return Table(title, ["", *headings], rows)


def _scores(record: dict[str, Any]) -> dict[str, str]:
    """Without the number of steps, which stands below the table."""
    cells = score_cells({"langevin_steps": 0, **record})
    del cells["steps"]
    return cells


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
