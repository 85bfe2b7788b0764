"""Progress that a person can watch: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from coopnets.train import Budget

PLAIN_EVERY = 30.0
"""Seconds between plain lines."""


class Reporter(Protocol):
    """Shows the log as it is made."""

    def line(self, metrics: dict[str, Any]) -> None:
        """Show a line of metrics."""

    def say(self, text: str) -> None:
        """Show an event."""


@contextmanager
def reporter(budget: Budget, console: Console | None = None) -> Iterator[Reporter]:
    """A live display on a terminal, else a plain line every half minute."""
    console = console or Console()
    if not console.is_terminal:
        yield _Plain(budget)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Live(budget, bar)


def describe(metrics: dict[str, Any], budget: Budget) -> str:
    """One line: iteration, rate, time left, share in Langevin, energies, displacement."""
    return (
        f"iteration {metrics['iteration']:,}  {metrics['images_per_second']:.0f} images/s  "
        f"{_left(metrics, budget)}  Langevin {metrics['langevin_share']:.0%}  "
        f"f data {metrics['f_data']:.3g}  f revised {metrics['f_revised']:.3g}  "
        f"displacement {metrics['displacement']:.3f}"
    )


def done(metrics: dict[str, Any], budget: Budget) -> float:
    """Part of the budget that is spent, 0 to 1."""
    parts = [0.0]
    if budget.steps:
        parts.append(metrics["iteration"] / budget.steps)
    if budget.max_time:
        parts.append(metrics["seconds"] / budget.max_time)
    return min(max(parts), 1.0)


def _left(metrics: dict[str, Any], budget: Budget) -> str:
    spent = done(metrics, budget)
    if not spent:
        return "time left unknown"
    seconds = round(metrics["seconds"] * (1 - spent) / spent)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"


class _Plain:
    def __init__(self, budget: Budget) -> None:
        self.budget, self.last = budget, 0.0

    def line(self, metrics: dict[str, Any]) -> None:
        if time.monotonic() - self.last >= PLAIN_EVERY:
            self.last = time.monotonic()
            print(describe(metrics, self.budget), flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)


class _Live:
    def __init__(self, budget: Budget, bar: Progress) -> None:
        self.budget, self.bar = budget, bar
        self.task = bar.add_task("training", total=1.0, text="starting")

    def line(self, metrics: dict[str, Any]) -> None:
        text = describe(metrics, self.budget)
        self.bar.update(self.task, completed=done(metrics, self.budget), text=text)

    def say(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)
