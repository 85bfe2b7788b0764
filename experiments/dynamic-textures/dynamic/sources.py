"""The clips that are asked for."""

from collections.abc import Sequence
from pathlib import Path

from coopnets.data.frames import VIDEOS
from coopnets.errors import CoopNetsError

SUFFIXES = (*VIDEOS, ".gif", ".webp", ".apng")


def find(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Clips of a folder by name, which is that of their file without its suffix.

    Args:
        folder: where they are.
        names: those that are wanted, in this order; none wants all.

    Raises:
        CoopNetsError: there is no such folder or clip, or two of one name.
    """
    if not folder.is_dir():
        raise CoopNetsError(f"--videos {folder} is no folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            if path.stem in found:
                raise CoopNetsError(f"two clips are called {path.stem}: {path} and another")
            found[path.stem] = path
    if not found:
        raise CoopNetsError(f"no clips in {folder} ({' '.join(SUFFIXES)})")
    if unknown := [name for name in names if name not in found]:
        raise CoopNetsError(f"--clips {unknown[0]}: choose among {', '.join(found)}")
    return {name: found[name] for name in names} if names else found
