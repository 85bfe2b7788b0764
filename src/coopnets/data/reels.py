"""From what the user wrote to the clips it means: files that move, and folders of frames."""

import itertools
import re
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from PIL import Image

from coopnets.data.files import EXTENSIONS, has_suffix, open_zip, walk, zip_entry
from coopnets.data.frames import (
    VIDEOS,
    Film,
    Load,
    animation,
    is_animated,
    stills,
    video,
)
from coopnets.data.splits import by_folder, only_train
from coopnets.data.stream import printable
from coopnets.errors import DataError

PICTURES = (*EXTENSIONS, ".apng")
MOVING = (".apng", ".avif", ".gif", ".webp")
"""Pictures that may be clips by themselves wherever they stand; a PNG only where it is first."""


@dataclass(frozen=True)
class Reel:
    """A clip still to be read: its name for messages, and how to open it."""

    name: str
    open: Callable[[], AbstractContextManager[Film]]


def find_reels(source: str | Path, split: str, say: Callable[[str], None]) -> list[Reel]:
    """Finds the clips of a path.

    A video or an animation is a clip. The pictures of a folder, in natural order (frame2 before
    frame10), are one clip, unless the folder holds videos or animations: then each of those is,
    and its still pictures are left out. Folders inside folders, and zips, likewise.

    Args:
        source: A video file, an animated picture, a folder or a zip.
        split: The wanted split, told by top-level subfolders.
        say: Told what was left out.

    Raises:
        DataError: If there is no such path or split, or no clip in it.
    """
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            names = walk(path)
            return _reels(names, partial(_file_loader, path), path, split, say)
        if path.is_file():
            return _of_file(path, split, say)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    raise DataError(f"no such path: {source}; give a video file, or a folder of clips or frames")


def _of_file(path: Path, split: str, say: Callable[[str], None]) -> list[Reel]:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        archive = open_zip(path)  # kept open by the reels that read from it
        infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}

        def loader(name: str) -> Load:
            return partial(_unzipped, archive, infos[name])

        return _reels(sorted(infos), loader, path, split, say)
    if suffix not in (*VIDEOS, *PICTURES):
        raise DataError(
            f"{path} is no kind of clip known here; give a video ({' '.join(VIDEOS)}), an "
            "animated GIF, WebP or APNG, or a folder or zip of clips or frames"
        )
    only_train(split, str(path))
    return [Reel(printable(path.name), partial(_opener(path.name), _file_loader(path)))]


def _reels(
    names: list[str],
    loader: Callable[[str], Load],
    where: Path,
    split: str,
    say: Callable[[str], None],
) -> list[Reel]:
    names = [name for name in names if has_suffix(name, (*VIDEOS, *PICTURES))]
    if not names:
        raise DataError(
            f"no clips in {where}: neither videos ({' '.join(VIDEOS)}) nor pictures, animated or "
            "as frames; give one that has some"
        )
    chosen = sorted(by_folder(names, split, str(where)), key=natural)
    reels: list[Reel] = []
    left_out: list[str] = []
    for parent, group in itertools.groupby(chosen, key=lambda name: PurePosixPath(name).parent):
        members = list(group)
        moving = _moving(members, loader)
        for name in moving:
            reels.append(Reel(printable(name), partial(_opener(name), loader(name))))
        if moving:
            left_out += sorted(set(members) - set(moving), key=natural)
            continue
        shown = where.name if parent == PurePosixPath() else str(parent)
        files = [(printable(PurePosixPath(name).name), loader(name)) for name in members]
        reels.append(Reel(printable(shown), partial(stills, files)))
    if left_out:
        say(
            f"left out {len(left_out):,} still pictures beside clips in {where}, the first "
            f"{printable(left_out[0])}"
        )
    return reels


def _moving(names: list[str], loader: Callable[[str], Load]) -> list[str]:
    """Those that are clips by themselves; none where the pictures are frames."""
    videos = [name for name in names if has_suffix(name, VIDEOS)]
    maybe = [name for name in names if has_suffix(name, MOVING)]
    if not videos and not any(
        _animated(name, loader) for name in dict.fromkeys([*maybe, names[0]])
    ):
        return []
    return [name for name in names if name in set(videos) or _animated(name, loader)]


def _animated(name: str, loader: Callable[[str], Load]) -> bool:
    """Whether a picture moves; a broken GIF is taken to, so that it is named as a bad clip."""
    try:
        with loader(name)() as file, Image.open(file) as picture:
            return is_animated(picture)
    except Exception:  # a broken file can make Pillow raise almost anything
        return name.lower().endswith(".gif")


def _opener(name: str) -> Callable[[Load], AbstractContextManager[Film]]:
    return video if has_suffix(name, VIDEOS) else animation


def _file_loader(path: Path, name: str = "") -> Load:
    def load() -> BinaryIO:
        return (path / name).open("rb")

    return load


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BytesIO:
    return BytesIO(zip_entry(archive, info))


def natural(name: str) -> tuple[list[str | int], str, list[str | int], str]:
    """Sorts folder by folder, and numbers by their value: a2 before a10."""
    path = PurePosixPath(name)
    parent = str(path.parent)
    return _pieces(parent), parent, _pieces(path.name), name


def _pieces(text: str) -> list[str | int]:
    """Text and numbers in turn, so that any two such lists can be compared."""
    parts = re.split(r"(\d+)", text.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
