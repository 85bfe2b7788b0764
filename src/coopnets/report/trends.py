"""The part of the page that shows the log as curves, each beside how to read it."""

from collections.abc import Sequence

import numpy as np

from coopnets.report.curves import BINS, draw
from coopnets.report.explain import CURVES, GAP, NOT_CURVES, REST, Curve, other
from coopnets.report.health import gaps
from coopnets.report.history import Column, History
from coopnets.report.text import escape, number, prose

SMALLEST_SHARE = 0.002


def curve_sections(history: History, unit: float, curves: Sequence[Curve] = CURVES) -> list[str]:
    """One section for each curve whose numbers the log has, then the numbers unknown here.

    Args:
        history: the log.
        unit: dim(x) / s^2, the size that f must balance.
        curves: those of the method.
    """
    columns = {key: history.column(key) for key in history.keys()}  # noqa: SIM118
    if not columns:
        return ["<h2>Curves</h2><p class='note'>None yet: the log is empty.</p>"]
    t = columns["iteration"]
    if history.has("f_data", "f_revised"):
        columns[GAP] = gaps(history, unit)
    sections = [
        _section(curve, t, found, history, unit)
        for curve in curves
        if (found := (_shares if curve.scale == "shares" else _chosen)(curve, columns))
    ]
    for key in _unknown(columns, curves):
        sections.append(_section(other(key), t, {key: columns[key]}, history, unit))
    note = "Over iterations."
    if len(t) > BINS:
        note += " Lines are means over stretches of the log, bands the range within each."
    if history.divergences():
        note += " Dashed vertical lines are roll-backs."
    return [f'<h2>Curves</h2><p class="note">{note}</p>', *sections]


def _chosen(curve: Curve, columns: dict[str, Column]) -> dict[str, Column]:
    """The columns of a curve that the log has; older versions logged less."""
    return {key: columns[key] for key in curve.lines if key in columns}


def _unknown(columns: dict[str, Column], curves: Sequence[Curve]) -> list[str]:
    known = NOT_CURVES | {GAP} | {key for curve in curves for key in curve.lines}
    return [key for key in columns if key not in known]


def _shares(curve: Curve, columns: dict[str, Column]) -> dict[str, Column]:
    """Seconds of each step, and what they leave of the whole iteration."""
    if "seconds_all" not in columns:
        return {}
    whole = columns["seconds_all"]
    found = {k: np.nan_to_num(columns[k]) for k in curve.lines if k in columns}
    if not found:
        return {}
    found[REST] = np.clip(whole - np.sum(list(found.values()), 0), 0, None)
    least = SMALLEST_SHARE * np.nansum(whole)
    return {k: v for k, v in found.items() if np.nansum(v) >= least}


def _section(
    curve: Curve, t: Column, found: dict[str, Column], history: History, unit: float
) -> str:
    events = [float(event["iteration"]) for event in history.divergences()]
    picture = draw(t, list(found.values()), curve.scale, events=events, mark=curve.mark)
    legend = "".join(
        f'<span><i style="background:var(--c{i + 1})"></i>{escape(curve.lines[key])}</span>'
        for i, key in enumerate(found)
    )
    text = f"<p>{prose(curve.what)}</p>"
    text += f"<p><b>Healthy.</b> {prose(curve.healthy)}</p>" if curve.healthy else ""
    text += f"<p><b>Otherwise.</b> {prose(curve.otherwise)}</p>" if curve.otherwise else ""
    return (
        f'<section class="curve" data-keys="{escape(" ".join(found))}"><div>'
        f'<h3>{escape(curve.title)}</h3><div class="legend">{legend}</div>{picture}</div>'
        f'<div class="text">{text.replace("{unit}", number(float(f"{unit:.3g}")))}</div></section>'
    )
