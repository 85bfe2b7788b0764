"""What the command of an experiment does around its work."""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coopnets.errors import CoopNetsError
from coopnets.evaluate.provenance import provenance
from experiments.training import spoken

Make = Callable[[argparse.Namespace, Sequence[str], str], int]
"""From options, those that are not known, and the command for the record, to the exit code."""


def run(
    script: str, parser: argparse.ArgumentParser, make: Make, argv: Sequence[str] | None
) -> int:
    """Parse the options and do the work; return the exit code.

    Args:
        script: where the command lies, from the root of the repository.
        parser: of its options.
        make: the work.
        argv: its words; None takes those of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    given, more = parser.parse_known_args(words)
    name = Path(script).parent.name
    try:
        return make(given, more, spoken(script, words))
    except CoopNetsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted; repeat the command to go on", file=sys.stderr)
        return 130


def new_parser(about: str | None) -> argparse.ArgumentParser:
    """A parser of a command, ``about`` its module's own words."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "--threads", type=int, help="to compute with; by default as many as the machine allows"
    )
    return parser


def circumstances(device: Any) -> dict[str, Any]:
    """Machine, versions and date, the last lines of what a table says of itself."""
    made = provenance(device)
    machine = made.pop("machine")
    return {
        "machine": ", ".join(f"{key} {value}" for key, value in machine.items()),
        **made,
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def refuse(more: Sequence[str], own: Sequence[str]) -> None:
    """Refuse options of `coopnets` that the experiment gives itself.

    Raises:
        CoopNetsError: one of ``own`` is among ``more``.
    """
    if taken := [word for word in more if word.partition("=")[0] in own]:
        raise CoopNetsError(f"{taken[0]}: the experiment sets that itself")


def show(table: Path) -> None:
    """Print a finished table, and where it is."""
    print(table.read_text())
    print(table)


def say(line: str) -> None:
    """Tell how far it is."""
    print(line, file=sys.stderr, flush=True)


def table_row(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cells) + " |"
