"""Is a run healthy? Stated rules over the log, each with what to do if it fails.

The rules here are those of cooperative learning; :mod:`coopnets.report.health_methods` has those
of the other methods.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from coopnets.report.history import Column, History, median
from coopnets.report.text import number

ENOUGH = 20
"""Lines of the log below which nothing but divergence is judged."""
GAP_LIMIT = 0.05
"""Healthy distance of f(data) and f(revised) late in training, in units of dim(x) / s^2."""
DRIFT_RANGE = (0.003, 0.03)
DROP = 0.5
"""Fall of the displacement between neighbouring stretches of the log that is called sudden."""
STRETCH = 5

State = Literal["ok", "attention", "early"]


@dataclass(frozen=True)
class Check:
    """One rule and what came of it."""

    rule: str
    state: State
    found: str
    advice: str


@dataclass(frozen=True)
class Rule:
    """What is expected of some numbers of the log, and what to do if it is not so."""

    text: str
    keys: tuple[str, ...]
    judge: Callable[[History, float], tuple[bool, str]]
    advice: str


def recent(values: Column) -> Column:
    """The last tenth of a column, five lines at least."""
    return values[-max(STRETCH, len(values) // 10) :]


def gaps(history: History, unit: float) -> Column:
    """|f(data) - f(revised)| of every line, in units of dim(x) / s^2."""
    return np.abs(history.column("f_data") - history.column("f_revised")) / unit


def _gap_small(history: History, unit: float) -> tuple[bool, str]:
    gap = median(recent(gaps(history, unit)))
    return gap <= GAP_LIMIT, f"f(data) and f(revised) {gap:.2g} units apart"


def _gap_steady(history: History, unit: float) -> tuple[bool, str]:
    quarters = np.array_split(gaps(history, unit), 4)
    before, now = median(quarters[1]), median(quarters[3])
    grown = now > GAP_LIMIT and now > 2 * before
    return not grown, f"gap {'grew' if grown else 'went'} from {before:.2g} to {now:.2g} units"


def _energy_falls(history: History, _: float) -> tuple[bool, str]:
    fall = median(recent(history.column("u_proposed") - history.column("u_revised")))
    change = number(float(f"{abs(fall):.2g}"))
    return fall > 0, f"revision {'lowers' if fall > 0 else 'raises'} the energy by {change}"


def _displacement_falls(history: History, _: float) -> tuple[bool, str]:
    values = history.column("displacement")
    first, now = median(values[: max(STRETCH, len(values) // 10)]), median(recent(values))
    fine = now < first or now < 0.1
    return fine, f"displacement {'went' if fine else 'rose'} from {first:.2g} to {now:.2g}"


def _displacement_smooth(history: History, _: float) -> tuple[bool, str]:
    values, lines = history.column("displacement"), history.lines
    starts = range(len(values) // 4, len(values) - 2 * STRETCH + 1, STRETCH)
    for i in starts:
        before, after = values[i : i + STRETCH], values[i + STRETCH : i + 2 * STRETCH]
        if median(after) < DROP * median(before):
            when = lines[i + STRETCH]["iteration"]
            return False, f"displacement fell by half or more near iteration {when:,}"
    return True, "no sudden fall"


def _drift_settled(history: History, _: float) -> tuple[bool, str]:
    drift = median(recent(history.column("drift")))
    return DRIFT_RANGE[0] <= drift <= DRIFT_RANGE[1], f"drift {drift:.2g} of x"


RULES = (
    Rule(
        f"f(data) and f(revised) agree to {GAP_LIMIT:g} units of dim(x)/s²",
        ("f_data", "f_revised"),
        _gap_small,
        "Early on this passes by itself. If it lasts, one network outruns the other: lower "
        "`--descriptor-optimizer.lr`, or let the generator learn more with `--teaching` or a "
        "higher `--generator-optimizer.lr`.",
    ),
    Rule(
        "The gap between them does not grow",
        ("f_data", "f_revised"),
        _gap_steady,
        "The descriptor is too strong: lower `--descriptor-optimizer.lr`.",
    ),
    Rule(
        "Revision lowers the energy",
        ("u_proposed", "u_revised"),
        _energy_falls,
        "The Langevin steps overshoot: lower `--langevin.delta`.",
    ),
    Rule(
        "Displacement falls, or is below 0.1",
        ("displacement",),
        _displacement_falls,
        "The generator does not catch up: raise `--teaching` (with `--memory`) or "
        "`--generator-optimizer.lr`, or lower `--descriptor-optimizer.lr`.",
    ),
    Rule(
        "Displacement never falls suddenly after the first quarter",
        ("displacement",),
        _displacement_smooth,
        "The revision lost its strength, and pictures usually get worse from there: compare the "
        "grids before and after, and lower `--descriptor-optimizer.lr`.",
    ),
    Rule(
        f"Drift is about 1/100 of x ({DRIFT_RANGE[0]:g} to {DRIFT_RANGE[1]:g})",
        ("drift",),
        _drift_settled,
        "Above, a blow-up is near: lower `--langevin.delta` or `--descriptor-optimizer.lr`. "
        "Below, the descriptor hardly revises: raise `--langevin.delta` or "
        "`--descriptor-optimizer.lr`.",
    ),
)

REMEDY = (
    "lower `--descriptor-optimizer.lr` or `--langevin.delta`, or try `--energy-l2`, "
    "`--data-noise` or `--descriptor.spectral-norm`"
)


def checks(
    history: History, unit: float, rules: Sequence[Rule] = RULES, remedy: str = REMEDY
) -> list[Check]:
    """Apply every rule whose numbers the log has.

    Args:
        history: the log.
        unit: dim(x) / s^2, the size that f must balance.
        rules: those of the method.
        remedy: what to change before a longer run if this one diverged.
    """
    return [_divergence(history, remedy)] + [
        _apply(rule, history, unit) for rule in rules if history.has(*rule.keys)
    ]


def verdict(found: list[Check], lines: int) -> tuple[State, str]:
    """The checks in one line."""
    failed = [check for check in found if check.state == "attention"]
    if failed:
        names = "; ".join(check.found for check in failed)
        return "attention", f"Needs attention: {names}."
    if lines < ENOUGH:
        return "early", f"Too early to judge: {lines} of at least {ENOUGH} log lines so far."
    return "ok", f"Healthy: all {len(found)} checks pass."


def _apply(rule: Rule, history: History, unit: float) -> Check:
    good, found = rule.judge(history, unit)
    state: State = "ok" if good else "attention"
    if len(history.lines) < ENOUGH:
        state = "early"
    return Check(rule.text, state, found, rule.advice)


def _divergence(history: History, remedy: str) -> Check:
    when = [f"{event['iteration']:,}" for event in history.divergences()]
    found = "no divergence"
    if len(when) == 1:
        found = f"diverged once, at iteration {when[0]}"
    elif when:
        found = f"diverged {len(when)} times, first at iteration {when[0]}, last at {when[-1]}"
    return Check(
        "Training never ran away",
        "attention" if when else "ok",
        found,
        f"Each time training returned to a checkpoint and went on with half the learning rate. "
        f"Before a longer run {remedy}.",
    )
