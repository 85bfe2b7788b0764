"""Progress that a person can watch: a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from coopnets.train import Budget

PLAIN_EVERY = 30.0
"""Seconds between plain lines."""


SHOWN = {
    "langevin_share": "Langevin {:.0%}",
    "f_data": "f data {:.3g}",
    "f_revised": "f revised {:.3g}",
    "displacement": "displacement {:.3f}",
    "distance": "distance {:.3g}",
    "d_data": "D(data) {:.2f}",
    "d_generated": "D(generated) {:.2f}",
    "critic_loss": "critic {:.3g}",
    "generator_loss": "generator {:.3g}",
    "bound": "bound {:.4g}",
    "kl": "KL {:.3g}",
    "reconstruction_error": "error {:.4g}",
    "residual": "residual {:.3f}",
    "latent_rms": "latent {:.2f}",
}
"""Numbers of the log that a line shows where a method has them."""


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
    with Live("starting", console=console, refresh_per_second=2) as live:
        yield _Live(budget, live)


def describe(metrics: dict[str, Any], budget: Budget) -> str:
    """One line: iteration, rate, time left, share in Langevin, and the method's own numbers."""
    told = [
        f"iteration {metrics['iteration']:,}",
        f"{metrics['images_per_second']:.0f} images/s",
        _left(metrics, budget),
    ]
    told += [form.format(metrics[key]) for key, form in SHOWN.items() if key in metrics]
    return "  ".join(told)


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
    """A bar over two short lines, so that eighty columns are enough."""

    def __init__(self, budget: Budget, live: Live) -> None:
        self.budget, self.live = budget, live

    def line(self, metrics: dict[str, Any]) -> None:
        parts = describe(metrics, self.budget).split("  ")
        lines = ["  ".join(parts[:4]), "  ".join(parts[4:])]
        bar = ProgressBar(total=1.0, completed=done(metrics, self.budget), width=60)
        rows = Table.grid()
        rows.add_row(bar)
        for text in lines:
            rows.add_row(text)
        self.live.update(rows)

    def say(self, text: str) -> None:
        self.live.console.print(text, markup=False, highlight=False)
