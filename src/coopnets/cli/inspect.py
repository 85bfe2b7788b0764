"""``coopnets info``, ``coopnets report`` and ``coopnets presets``."""

import json as json_module
from pathlib import Path

import tyro

from coopnets import checkpoint
from coopnets.concern import concerns
from coopnets.config import Method, flatten, to_dict
from coopnets.methods import recipe
from coopnets.presets import ABOUT, MINUTES, PRESETS, preset
from coopnets.runfolder import RunFolder


def info(run: tyro.conf.Positional[Path], /, json: bool = False) -> int:
    """Say where a run stands: data, settings, iterations, last metrics, events.

    Args:
        run: a run folder.
        json: print JSON.
    """
    folder = RunFolder(run)
    described, config = folder.describe(), folder.config()
    found = checkpoint.whole(folder.checkpoints)
    lines = folder.metrics()
    metrics = [m for m in lines if "event" not in m]
    told = {
        "run": str(run),
        "coopnets": described["coopnets"],
        "data": described["data"],
        "config": to_dict(config),
        "iteration": found[0].iteration if found else 0,
        "seconds": found[0].state["seconds"] if found else 0.0,
        "checkpoints": [c.iteration for c in found],
        "metrics": metrics[-1] if metrics else {},
        "events": [m for m in lines if "event" in m],
    }
    if json:
        print(json_module.dumps(told))
        return 0
    data = described["data"]
    print(f"run        {run}, preset {config.preset}, method {config.method}")
    print(f"data       {data['source']}, split {data['split']}, {data['images']:,} images")
    print(f"trained    {told['iteration']:,} iterations, {told['seconds'] / 60:.1f} minutes")
    for key, value in told["metrics"].items():
        print(f"  {key:20} {value:g}")
    for event in told["events"]:
        print(f"event      {event['event']} at {event['iteration']}: {event['what']}")
    changed = {}
    if config.preset in PRESETS:
        changed = dict(flatten(recipe(PRESETS[config.preset], config.method)))
    for key, value in flatten(config):
        if not concerns(key, config.method):
            continue
        mark = "" if changed.get(key, value) == value else f"   (preset: {changed[key]})"
        print(f"  {key:32} {value}{mark}")
    return 0


def report(run: tyro.conf.Positional[Path], /) -> int:
    """Write report.html anew: pictures, curves, and what healthy ones look like.

    Args:
        run: a run folder.
    """
    from coopnets.report import write_report  # draws with matplotlib: not for --help

    folder = RunFolder(run)
    folder.describe()
    write_report(folder)
    print(folder.report)
    return 0


def presets(
    name: tyro.conf.Positional[str | None] = None,
    /,
    method: Method = "coopnets",
    json: bool = False,
) -> int:
    """List the presets, or show every setting of one.

    Args:
        name: a preset.
        method: show the preset as that method uses it.
        json: print JSON.
    """
    if json:
        chosen = PRESETS if name is None else {name: preset(name)}
        print(json_module.dumps({k: to_dict(recipe(v, method)) for k, v in chosen.items()}))
    elif name is None:
        for key, about in ABOUT.items():
            usual = f"; {MINUTES[key]:g} minutes by default" if key in MINUTES else ""
            print(f"{key:20} {about}{usual}")
    else:
        for key, value in flatten(recipe(preset(name), method)):
            if concerns(key, method):
                print(f"{key:32} {value}")
    return 0
