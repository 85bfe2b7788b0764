"""Which code and which machine made a figure."""

import subprocess
from pathlib import Path
from typing import Any

import torch

from coopnets.machine import describe_machine
from coopnets.version import __version__

GIT_SECONDS = 10.0


def provenance(device: torch.device) -> dict[str, Any]:
    """Version of the package, git commit if it runs from a checkout, and the machine."""
    return {
        "coopnets": __version__,
        "commit": git_commit(Path(__file__).parents[1]),
        "machine": describe_machine(device),
    }


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that a folder of source files belongs to.

    Returns:
        The full hash, with ``+changes`` after it if tracked files of the folder differ from
        that commit; None outside a checkout. A package installed below some other project's
        checkout is not tracked there, so that project's commit is not taken for ours.
    """
    if _git(folder, "ls-files", "--error-unmatch", ".") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None if it fails or is not there."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
