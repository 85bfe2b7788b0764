"""The page of a report, put together from its parts."""

from typing import Any

from coopnets.report.guide import Guide, guide
from coopnets.report.health import Check, checks, verdict
from coopnets.report.history import History
from coopnets.report.images import FINE, Picture, Snapshot, latest, moving, over_time
from coopnets.report.settings import (
    Setting,
    continue_command,
    energy_unit,
    method_of,
    sample_command,
    settings,
    shown,
)
from coopnets.report.style import CSS
from coopnets.report.text import escape, prose
from coopnets.report.trends import curve_sections
from coopnets.runfolder import RunFolder

SIGNS = {"ok": "✓", "attention": "!", "early": "·"}
CAPTIONS = {
    "data": "observed images",
    "proposed": "x̂ = g(z), drawn by the generator alone",
    "revised": "x̃, the same after Langevin revision by the descriptor",
}
LOG_LINES = 60


def page(folder: RunFolder) -> str:
    """The report of a run as one HTML document without any outside resource.

    Raises:
        RunError: there is no run in the folder.
    """
    described = folder.describe()
    config, data = described.get("config", {}), described.get("data", {})
    history, size = History.read(folder), int(config.get("size") or FINE)
    clips = bool(config.get("frames"))
    last, unit, method = latest(folder, size), energy_unit(config), method_of(config)
    names = [config.get("preset", "run"), *([method] if method != "coopnets" else [])]
    title = " · ".join([*names, data.get("source", "unknown data")])
    reading = guide(method)
    parts = [
        _head(title, config, data, history, last),
        _health(folder, history, unit, reading),
        _pictures(folder, last, size, reading, clips),
        *curve_sections(history, unit, reading.curves),
        _commands(folder, described, clips, method),
        _settings(config),
        _log(folder),
        _footer(described, data),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


def _head(
    title: str,
    config: dict[str, Any],
    data: dict[str, Any],
    history: History,
    last: Snapshot | None,
) -> str:
    size = config.get("size", "?")
    colour = "grey" if config.get("image_channels") == 1 else "colour"
    about = [f"{data.get('images', 0):,} {'examples' if config.get('frames') else 'images'}"]
    about += [f"{data['skipped']:,} unreadable ones left out"] if data.get("skipped") else []
    about += [f"split {data['split']}"] if data.get("split") else []
    frames = f"{config['frames']} frames of " if config.get("frames") else ""
    about.append(f"{frames}{size}×{size} {colour}")
    # Pictures are drawn at the very end of training, the log is a few iterations behind.
    iterations = max(int(history.last("iteration")), last.iteration if last else 0)
    facts = {"Iterations": f"{iterations:,}"}
    if history.has("seconds"):
        facts["Training time"] = duration(history.last("seconds"))
    if history.has("images_per_second"):
        facts["Images a second"] = f"{history.middle('images_per_second'):,.3g}"
    if history.has("langevin_share"):
        facts["Time in Langevin"] = f"{history.middle('langevin_share'):.0%}"
    facts["Roll-backs"] = str(len(history.divergences())) if history.divergences() else "none"
    listed = "".join(f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items())
    return (
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(", ".join(about))}</p>'
        f'<dl class="facts">{listed}</dl></header>'
    )


def _health(folder: RunFolder, history: History, unit: float, reading: Guide) -> str:
    found = checks(history, unit, reading.rules, reading.remedy)
    state, line = verdict(found, len(history.lines))
    listed = "".join(_check(check) for check in found)
    return (
        f'<section><p class="verdict {state}">{escape(line)}</p>'
        f'<ul class="checks">{listed}</ul>{_events(folder, history)}</section>'
    )


def _check(check: Check) -> str:
    advice = f'<p class="do">{prose(check.advice)}</p>' if check.state == "attention" else ""
    return (
        f'<li class="{check.state}"><span class="sign">{SIGNS[check.state]}</span>'
        f'<div>{escape(check.rule)} <span class="found">— {escape(check.found)}</span>'
        f"{advice}</div></li>"
    )


def _events(folder: RunFolder, history: History) -> str:
    """Events, each with what the log says was done about it."""
    if not history.events:
        return ""
    said = _log_lines(folder)
    items = []
    for event in history.events:
        kind, when = str(event.get("event")), event["iteration"]
        told = next((s for s in said if s.startswith(f"{kind} at iteration {when} ")), "")
        if told:
            said.remove(told)
        done = told.partition("): ")[2]
        what = f"{kind}: {event.get('what', '')}" + (f" → {done}" if done else "")
        items.append(f"<li><b>Iteration {when:,}</b> {escape(what)}</li>")
    return f'<h2>Events</h2><ul class="events">{"".join(items)}</ul>'


def _pictures(
    folder: RunFolder, last: Snapshot | None, size: int, reading: Guide, clips: bool
) -> str:
    if last is None:
        return '<h2>Pictures</h2><p class="note">None yet: the first come with a checkpoint.</p>'
    fine, count = " fine" if size >= FINE else "", f"of-{len(last.panels)}"
    captions = {**CAPTIONS, "samples": reading.samples}
    count += " clips" if clips else ""
    panels = "".join(
        f"<figure>{_image(picture, f'{name}, iteration {last.iteration}')}"
        f"<figcaption><b>{name.capitalize()}</b> {escape(captions[name])}</figcaption></figure>"
        for name, picture in last.panels.items()
    )
    earlier = "".join(_snapshot(snapshot) for snapshot in over_time(folder, size))
    return (
        f"<section><h2>Pictures at iteration {last.iteration:,}</h2>"
        f'<div class="last {count}{fine}">{panels}</div>{_playing(folder, last)}<h2>Over time</h2>'
        f'<p class="note">{escape(reading.pictures)} All grids are in the folder grids.</p>'
        f'<div class="time {count}">{earlier}</div></section>'
    )


def _playing(folder: RunFolder, last: Snapshot) -> str:
    """The last clips as they move, if there are any."""
    playing = moving(folder)
    if playing is None:
        return ""
    *others, end = last.panels
    what = f"{', '.join(others)} and {end}" if others else end
    note = f"Playing: {what} beside each other, a row for each clip."
    return f"<figure>{_image(playing, 'clips')}<figcaption>{note}</figcaption></figure>"


def _snapshot(snapshot: Snapshot) -> str:
    images = "".join(
        _image(picture, f"{name}, iteration {snapshot.iteration}")
        for name, picture in snapshot.panels.items()
    )
    names = " | ".join(snapshot.panels)
    return (
        f'<figure><div class="pair">{images}</div><figcaption><b>Iteration '
        f"{snapshot.iteration:,}</b> {names}</figcaption></figure>"
    )


def _image(picture: Picture, alt: str) -> str:
    return (
        f'<img src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(alt)}">'
    )


def _commands(folder: RunFolder, described: dict[str, Any], clips: bool, method: str) -> str:
    descriptor = described.get("config", {}).get("descriptor", {}).get("clips", "")
    drawing = escape(sample_command(folder, clips, method, descriptor))
    return (
        f"<h2>Go on from here</h2><p>Draw samples:</p><pre>{drawing}</pre>"
        "<p>Train longer: raise <code>--max-time</code> or <code>--steps</code> in</p>"
        f"<pre>{escape(continue_command(described, folder))}</pre>"
    )


def _settings(config: dict[str, Any]) -> str:
    rows = settings(config)
    changed = sum(row.changed for row in rows)
    listed = "".join(_setting(row) for row in rows)
    note = f"{changed} of {len(rows)} differ from the preset and are marked."
    if not changed:
        note = "All are those of the preset."
    return f'<h2>Settings</h2><p class="note">{note}</p><div class="settings">{listed}</div>'


def _setting(row: Setting) -> str:
    kind = "changed" if row.changed else "same"
    before = f"<small>preset: {escape(shown(row.preset))}</small>" if row.changed else ""
    return (
        f'<div class="{kind}"><code>{escape(row.name)}</code>'
        f"<span>{escape(shown(row.value))}{before}</span></div>"
    )


def _log(folder: RunFolder) -> str:
    if not (lines := _log_lines(folder)[-LOG_LINES:]):
        return ""
    text = escape("\n".join(lines))
    return f'<details><summary>Messages</summary><pre class="log">{text}</pre></details>'


def _log_lines(folder: RunFolder) -> list[str]:
    try:
        return folder.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # a run without any message has none
        return []


def _footer(described: dict[str, Any], data: dict[str, Any]) -> str:
    machine = described.get("machine")
    told = [f"coopnets {described.get('coopnets', '?')}"]
    told += [f"{k} {v}" for k, v in machine.items()] if isinstance(machine, dict) else []
    told += [f"data {data['fingerprint']}"] if data.get("fingerprint") else []
    return f"<footer>{escape(' · '.join(told))}</footer>"


def duration(seconds: float) -> str:
    """50 s, 4 min 26 s, 1 h 30 min."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
