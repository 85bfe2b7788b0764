"""Which files belong to which split, told from their names alone."""

import re
from collections.abc import Sequence

from coopnets.errors import SplitError

ALIASES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}


def canonical(split: str) -> str:
    """Folds the usual spellings into train, test and val; other names stay as they are."""
    return ALIASES.get(split.lower(), split)


def by_folder(names: Sequence[str], split: str, where: str) -> list[str]:
    """Picks the images of a split by the top-level folder that holds them.

    With a folder `train`, train is that folder alone; without one, it is all that lies outside
    the held-out folders, so it never includes them. Folders that merely wrap everything, as
    archives often have, are looked through.

    Args:
        names: Relative paths with forward slashes.
        split: The wanted split.
        where: What is being read, for messages.

    Returns:
        The chosen names, in the given order.

    Raises:
        SplitError: If there is no such split.
    """
    depth = _wrapping_depth(names)

    def label(name: str) -> str | None:
        return ALIASES.get(name.split("/")[depth].lower())

    hint = "subfolders named train, test or val"
    return _pick(names, [label(name) for name in names], split, where, hint)


def by_file_name(names: Sequence[str], split: str, where: str) -> list[str]:
    """Picks the files of a split by the words in their paths, as in `data/train-00000.parquet`.

    Args, returns and raises as for `by_folder`.
    """

    def label(name: str) -> str | None:
        words = re.split(r"[^a-z]+", name.lower())
        return next((ALIASES[word] for word in words if word in ALIASES), None)

    hint = "files with train, test or validation in their names"
    return _pick(names, [label(name) for name in names], split, where, hint)


def only_train(split: str, where: str) -> None:
    """Refuses any split but train, for sources that have no parts.

    Raises:
        SplitError: If the split is another.
    """
    if canonical(split) != "train":
        raise SplitError(
            f"{where} has no split '{split}': a single file is all train; give the file that "
            f"holds the {split} images, or a folder with subfolders train and {split}"
        )


def _pick(
    names: Sequence[str], labels: Sequence[str | None], split: str, where: str, hint: str
) -> list[str]:
    wanted = canonical(split)
    present = set(labels)
    picked = [name for name, label in zip(names, labels, strict=True) if label == wanted]
    if not picked and wanted == "train":
        picked = [name for name, label in zip(names, labels, strict=True) if label is None]
    if not picked:
        found = ", ".join(sorted(label for label in present if label)) or "none, so all is train"
        raise SplitError(f"{where} has no split '{split}': looked for {hint}, found {found}")
    return picked


def _wrapping_depth(names: Sequence[str]) -> int:
    """Number of leading folders that hold everything and are not themselves a split."""
    depth = 0
    while True:
        heads = {parts[depth] if len(parts) > depth + 1 else None for parts in map(_parts, names)}
        head = heads.pop() if len(heads) == 1 else None
        if head is None or head.lower() in ALIASES:
            return depth
        depth += 1


def _parts(name: str) -> list[str]:
    return name.split("/")
