"""Results in Markdown: ``python -m benchmarks.table FILE ...``."""

import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from benchmarks.result import in_markdown, load
from coopnets.errors import CoopNetsError


def table(files: tyro.conf.Positional[tuple[Path, ...]], /) -> int:
    """Print the tables of benchmarks in Markdown.

    Args:
        files: JSON that the benchmarks wrote.
    """
    try:
        print("\n".join(in_markdown(load(file)) for file in files), end="")
    except CoopNetsError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return tyro.cli(table, prog="python -m benchmarks.table", args=argv)


if __name__ == "__main__":
    sys.exit(main())
