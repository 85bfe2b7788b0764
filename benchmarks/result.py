"""A measured table: as JSON, on the terminal, in Markdown."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coopnets.errors import CoopNetsError

Row = dict[str, Any]
"""Values by the key of their column; what no column shows is for the record. Under ``least``
stand the aims of this row: for some keys the smallest value, under ``most`` the largest."""


@dataclass(frozen=True)
class Column:
    """What a column shows."""

    key: str
    heading: str
    form: str = ""
    """How a number is written, such as ``.2f``."""
    beside: str | None = None
    """Key of a second number, written in brackets."""


@dataclass(kw_only=True)
class Result:
    """One benchmark's outcome."""

    title: str
    columns: list[Column]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    """Lines below the table; the last one is the last line printed."""
    about: dict[str, Any] = field(default_factory=dict)
    """Command, settings, version, machine, load, duration."""

    def save(self, path: Path) -> None:
        """Write as JSON.

        Raises:
            CoopNetsError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        except OSError as error:
            raise CoopNetsError(f"cannot write {path}: {error.strerror or error}") from error


def load(path: Path) -> Result:
    """Read what :meth:`Result.save` wrote.

    Raises:
        CoopNetsError: it cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_text())
        return Result(**{**content, "columns": [Column(**c) for c in content["columns"]]})
    except OSError as error:
        raise CoopNetsError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CoopNetsError(f"{path} is not the result of a benchmark: {error}") from error


def cell(row: Row, column: Column) -> str:
    """One value as text, marked where the row has an aim for it."""
    value = row.get(column.key)
    if value is None:
        return "-"
    text = _written(value, column.form)
    if column.beside is not None:
        text += f" ({_written(row[column.beside], column.form)})"
    holds = aim_holds(row, column.key)
    return text if holds is None else f"{text} {'✓' if holds else '✗'}"


def _written(value: Any, form: str) -> str:
    return format(value, form) if isinstance(value, int | float) else str(value)


def aim_holds(row: Row, key: str) -> bool | None:
    """Whether the row's aim for a value is reached; None if there is no aim."""
    least, most = row.get("least", {}).get(key), row.get("most", {}).get(key)
    if least is None and most is None:
        return None
    return (least is None or row[key] >= least) and (most is None or row[key] <= most)


def on_terminal(result: Result, console: Console) -> None:
    """Print the table and the notes."""
    table = Table(title=result.title, title_justify="left")
    for column in result.columns:
        table.add_column(column.heading, justify="right" if column.form else "left")
    for row in result.rows:
        table.add_row(*(cell(row, column) for column in result.columns))
    console.print(table)
    for note in [about_line(result), *result.notes]:
        console.print(note, soft_wrap=True, highlight=False, markup=False)


def in_markdown(result: Result) -> str:
    """The table, what it was measured on and the notes."""
    heads = [column.heading for column in result.columns]
    rules = ["---:" if column.form else "---" for column in result.columns]
    lines = [heads, rules, *([cell(row, c) for c in result.columns] for row in result.rows)]
    parts = [f"### {result.title}", f"```sh\n{result.about['command']}\n```", _rows(lines),
             about_line(result), *result.notes]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _rows(lines: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def about_line(result: Result) -> str:
    """Where, with what and under which load it was measured."""
    a = result.about
    machine = {k: v for k, v in a["machine"].items() if k not in ("system", "python")}
    where = "; ".join(f"{v}" if k in ("processor", "accelerator") else f"{k} {v}"
                      for k, v in machine.items())  # fmt: skip
    return (
        f"{where}; coopnets {a['coopnets']}; load {a['load'][0]:.1f} before and "
        f"{a['load'][1]:.1f} after; {a['seconds']:.0f} s in all."
    )
