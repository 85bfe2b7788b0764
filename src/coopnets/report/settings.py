"""The settings of a run beside those of its preset, and the commands that go on from it."""

import shlex
from dataclasses import dataclass
from typing import Any

from coopnets.concern import concerns
from coopnets.config import SAMPLED_BY, to_dict
from coopnets.methods import recipe
from coopnets.presets import PRESETS
from coopnets.runfolder import RunFolder


@dataclass(frozen=True)
class Setting:
    """One resolved setting; ``preset`` is the preset's value where that is another."""

    name: str
    value: Any
    preset: Any
    changed: bool


def settings(config: dict[str, Any]) -> list[Setting]:
    """Every setting of a stored configuration that its method uses.

    Works on the stored dictionary, so that a report of an older version's run still comes out.
    """
    chosen, method = PRESETS.get(str(config.get("preset"))), method_of(config)
    base = dict(_flat(to_dict(recipe(chosen, method)))) if chosen else {}
    rows = []
    for name, value in _flat(config):
        if not concerns(name, method):
            continue
        before = base.get(name, value)
        # "auto" is resolved when a run starts; that is no change of the user's.
        changed = _plain(before) != _plain(value) and before != "auto"
        rows.append(Setting(name, value, before, changed))
    return rows


def method_of(config: dict[str, Any]) -> str:
    """The method that a stored configuration names; older ones knew one alone."""
    named = str(config.get("method", "coopnets"))
    return named if named in SAMPLED_BY else "coopnets"


def energy_unit(config: dict[str, Any]) -> float:
    """dim(x) / s^2, or dim(x) without a reference; 1 where the settings do not say.

    It is 1 for the descriptor alone too: with no generator's proposals to stay near, f need not
    balance a reference.
    """
    if method_of(config) == "descriptor":
        return 1.0
    pixels = int(config.get("image_channels") or 1) * int(config.get("size") or 1) ** 2
    pixels *= int(config.get("frames") or 1)
    s = (config.get("langevin") or {}).get("s") or 1.0
    return float(pixels / s**2)


def continue_command(described: dict[str, Any], folder: RunFolder) -> str:
    """The command that takes the run up again.

    It is the stored one less ``--fresh``, which would delete what there is.
    """
    if stored := described.get("command"):
        return shlex.join(word for word in shlex.split(stored) if word != "--fresh")
    config, data = described.get("config", {}), described.get("data", {})
    words = ["coopnets", "train", str(data.get("source", "DATA")), "--run", str(folder.path)]
    words += ["--preset", str(config.get("preset", "scene"))]
    words += ["--method", method] if (method := method_of(config)) != "coopnets" else []
    if (split := data.get("split", "train")) not in ("train", None):
        words += ["--split", str(split)]
    for row in settings(config):
        if row.changed:
            words += option(row)
    return shlex.join([*words, "--max-time", "30m"])


def sample_command(
    folder: RunFolder, clips: bool = False, method: str = "coopnets", descriptor: str = ""
) -> str:
    """The command that draws samples: a grid of pictures, or a clip.

    A pair's clip is of any length, but where its ``descriptor`` looks at whole clips.
    """
    if clips:
        any_length = method == "coopnets" and not descriptor.startswith("FRAME")
        length = ["--seconds", "10"] if any_length else []
        return shlex.join(["coopnets", "sample", str(folder.path), *length, "--out", "clip.mp4"])
    return shlex.join(["coopnets", "sample", str(folder.path), "-n", "64", "--out", "grid.png"])


def shown(value: Any) -> str:
    """A value as a person writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def option(row: Setting) -> list[str]:
    """A setting as words of the command line."""
    name = row.name.replace("_", "-")
    if isinstance(row.value, bool):
        path, _, last = name.rpartition(".")
        flag = last if row.value else f"no-{last}"
        return [f"--{path}.{flag}" if path else f"--{flag}"]
    values = row.value if isinstance(row.value, list | tuple) else [row.value]
    return [f"--{name}", *(str(v) for v in values)]


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
