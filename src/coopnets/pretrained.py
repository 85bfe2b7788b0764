"""Trained weights and their settings, from a run folder, a saved model or the hub."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from coopnets import checkpoint
from coopnets.config import SAMPLED_BY, Config, from_dict
from coopnets.errors import RunError
from coopnets.runfolder import RunFolder

WEIGHTS = {"descriptor": "descriptor.safetensors", "generator": "generator.safetensors"}


def read(source: str | Path) -> tuple[Config, dict[str, Any], dict[str, Any]]:
    """Settings, the state of each network by name, and what else is known.

    Args:
        source: a run folder, a folder of ``save_pretrained``, or a hub id (owner/name).

    Raises:
        RunError: there is no model, or it is damaged.
    """
    folder = Path(source)
    if not folder.exists():
        folder = _download(str(source))
    if (folder / "checkpoints").is_dir():
        return _from_run(RunFolder(folder))
    return _from_export(folder)


def _from_run(folder: RunFolder) -> tuple[Config, dict[str, Any], dict[str, Any]]:
    config, described = folder.config(), folder.describe()
    found = checkpoint.whole(folder.checkpoints)
    if not found:
        raise RunError(f"{folder.path} holds no whole checkpoint: train it first")
    tensors = found[0].tensors()
    kind = "average" if config.ema and found[0].iteration else "network"
    weights = {
        name: {
            k.removeprefix(f"{kind}.{name}."): v
            for k, v in tensors.items()
            if k.startswith(f"{kind}.{name}.")
        }
        for name in SAMPLED_BY[config.method]
    }
    metrics = [m for m in folder.metrics() if "event" not in m]
    state = found[0].state
    about = {
        "data": described["data"], "iteration": found[0].iteration,
        "seconds": state.get("seconds", 0.0), "step_scale": state.get("step_scale", 1.0),
        "metrics": metrics[-1] if metrics else {},
    }  # fmt: skip
    return config, weights, about


def _from_export(folder: Path) -> tuple[Config, dict[str, Any], dict[str, Any]]:
    try:
        content = json.loads((folder / "config.json").read_text())
        config: Config = from_dict(Config, content["config"])
        names = SAMPLED_BY[config.method]
        weights = {name: load_file(folder / WEIGHTS[name]) for name in names}
        about: dict[str, Any] = content["about"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise RunError(f"{folder} holds no run and no saved model ({error})") from error
    return config, weights, about


def _download(repo_id: str) -> Path:
    try:
        return Path(snapshot_download(repo_id, allow_patterns=["*.json", "*.safetensors"]))
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise RunError(
            f"{repo_id!r} is neither a folder here nor a model that can be had from the hub: "
            "give a run folder, a saved model, or owner/name"
        ) from error
