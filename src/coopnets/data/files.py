"""Image files: one, a folder of them, or a zip of them."""

import os
import threading
import zipfile
from collections.abc import Collection
from functools import partial
from pathlib import Path, PurePosixPath

from coopnets.data.source import Contents, Item, Source, one_line
from coopnets.data.splits import by_folder, only_train
from coopnets.errors import DataError

EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
MAX_FILE_BYTES = 2**30  # a zip entry can promise any size; no sane picture passes this


def is_image(name: str) -> bool:
    """Whether a relative path looks like a picture, and not like a system's hidden litter."""
    return has_suffix(name, EXTENSIONS)


def has_suffix(name: str, suffixes: Collection[str]) -> bool:
    """Whether a relative path ends so, and is not a system's hidden litter."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in suffixes


def file_identity(path: Path, kind: str) -> tuple[str, ...]:
    """Identifies one file by its place, size and time of change.

    Raises:
        DataError: If the file cannot be looked at.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    return (kind, str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns))


def walk(folder: Path) -> list[str]:
    """Relative paths of all files below a folder, sorted, with linked folders followed once.

    Raises:
        DataError: If a folder cannot be listed.
    """
    names: list[str] = []
    seen: set[str] = set()
    try:
        for root, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
            real = os.path.realpath(root)
            if real in seen:  # a link back up the tree would be walked for ever
                folders.clear()
                continue
            seen.add(real)
            folders.sort()
            names += [(Path(root) / file).relative_to(folder).as_posix() for file in files]
    except OSError as error:
        raise DataError(
            f"cannot list {error.filename}: {error.strerror}; check its permissions"
        ) from error
    return sorted(names)


def folder_source(folder: Path, names: list[str], split: str) -> Source:
    """The pictures of a folder.

    Args:
        folder: The folder.
        names: Relative paths of its pictures, sorted; not empty.
        split: The wanted split, told by top-level subfolders.

    Raises:
        DataError: If there is no such split.
    """
    chosen = by_folder(names, split, str(folder))
    stats = tuple(_size_and_time(folder / name) for name in chosen)

    def contents() -> Contents:
        items = (Item(name, (folder / name).read_bytes) for name in chosen)
        return Contents(items, len(chosen))

    listing = (part for name, stat in zip(chosen, stats, strict=True) for part in (name, stat))
    return Source(("folder", str(folder.resolve()), *listing), contents)


def single_source(path: Path, split: str) -> Source:
    """One image file as a set of one."""
    only_train(split, str(path))

    def contents() -> Contents:
        return Contents(iter([Item(path.name, path.read_bytes)]), 1)

    return Source(file_identity(path, "image"), contents)


def zip_source(path: Path, split: str) -> Source:
    """The pictures of a zip, read in place."""

    def contents() -> Contents:
        archive = open_zip(path)  # kept open by the items that read from it
        infos = {info.filename: info for info in archive.infolist() if is_image(info.filename)}
        if not infos:
            raise DataError(no_images(str(path), archive.namelist()))
        chosen = by_folder(sorted(infos), split, str(path))
        lock = threading.Lock()  # the entries share one file position

        def load(info: zipfile.ZipInfo) -> bytes:
            with lock:
                return zip_entry(archive, info)

        items = (Item(name, partial(load, infos[name])) for name in chosen)
        return Contents(items, len(chosen))

    return Source(file_identity(path, "zip"), contents)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Opens a zip.

    Raises:
        DataError: If it is none, or cannot be read.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path} is not a readable zip ({one_line(error)}); copy or download it again"
        ) from error


def zip_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The content of a file in a zip.

    Raises:
        ValueError: If it is too large to be a picture or a clip.
    """
    if info.file_size > MAX_FILE_BYTES:
        raise ValueError("larger than 1 GiB")
    return archive.read(info)


def no_images(where: str, names: list[str]) -> str:
    """Says that a folder or zip holds no pictures, and what else it holds that could be used."""
    zips = [name for name in names if name.lower().endswith(".zip")]
    hint = f"; it holds {zips[0]}: give that zip itself" if zips else "; give one that has some"
    return f"no images with extensions {' '.join(EXTENSIONS)} under {where}{hint}"


def _size_and_time(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:  # e.g. a dangling link: it is named and skipped when it is read
        return "unreadable"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _raise(error: OSError) -> None:
    raise error
