"""What every benchmark's command does around the measuring."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import tyro
from rich.console import Console

from benchmarks.result import Result, on_terminal
from benchmarks.timing import Rounds
from coopnets.allocator import keep_memory
from coopnets.errors import CoopNetsError
from coopnets.machine import describe_machine
from coopnets.threads import keep_to_quota
from coopnets.version import __version__

WIDTH = 150
"""Columns of a table where the output is no terminal."""


@dataclass(kw_only=True)
class Options:
    """Options of every benchmark."""

    out: Path | None = None
    """The JSON to write; by default build/benchmarks/NAME.json."""
    device: str = "cpu"
    """Where to compute: cpu or cuda."""
    threads: int | None = None
    """Threads of PyTorch; by default as many as it takes by itself."""
    repeats: int = 5
    """Least number of rounds."""
    seconds: float = 5.0
    """Least time of all rounds of a row together."""
    quick: bool = False
    """The smallest sizes, for a look at the command itself; figures mean nothing."""

    def rounds(self) -> Rounds:
        """How long to measure."""
        if self.quick:
            return Rounds(least=1, most=1, warm_ups=1)
        return Rounds(least=self.repeats, seconds=self.seconds)


Chosen = TypeVar("Chosen", bound=Options)


def command(
    name: str,
    kind: type[Chosen],
    measure: Callable[[Chosen], Result],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse options, measure, print and write; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    prog = f"python -m benchmarks.{name}"
    options = tyro.cli(kind, prog=prog, args=words, use_underscores=False)
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=WIDTH)
    try:
        result = _measured(options, measure, f"{prog} {shlex.join(words)}".strip())
        result.save(options.out or Path("build/benchmarks") / f"{name}.json")
    except CoopNetsError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted, nothing written", file=sys.stderr)
        return 130
    on_terminal(result, console)
    return 0


def _measured(options: Chosen, measure: Callable[[Chosen], Result], line: str) -> Result:
    kept = keep_memory()  # as the command line of coopnets does; both help the competitors too
    keep_to_quota()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    began, load = time.perf_counter(), _load()
    result = measure(options)
    result.about = {
        "command": line,
        "settings": {k: _plain(v) for k, v in asdict(options).items()},
        "coopnets": __version__,
        "machine": describe_machine(torch.device(options.device)),
        "memory kept": kept,
        "load": [load, _load()],
        "seconds": time.perf_counter() - began,
        **result.about,
    }
    return result


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _load() -> float:
    """Processes that wanted a core over the last minute: a quiet machine is near 0 before."""
    return os.getloadavg()[0]
