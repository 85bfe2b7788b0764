import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from coopnets.data import ImageData
from coopnets.errors import DataError

Open = Callable[..., ImageData]
Flat = Callable[[Path, int], None]


def levels(data: ImageData) -> list[int]:
    """The grey levels of a set of plain pictures."""
    return [int(image.flat[0]) for image in data.images]


def refused(opened: Open, *args: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def zipped(folder: Path, target: Path) -> Path:
    return Path(shutil.make_archive(str(target.with_suffix("")), "zip", folder))


def write_parquet(path: Path, cells: list[object], column: str = "image") -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": cell, "path": None} for cell in cells]
    labels = pa.array(range(len(cells)))
    parquet.write_table(pa.table({"label": labels, column: pa.array(rows, kind)}), path)
    return path


# Folders, zips, single files


def test_folder_is_read_in_path_order(opened: Open, flat: Flat, tmp_path: Path) -> None:
    for name, level in (("b/1.png", 30), ("a.png", 10), ("c.JPG", 40), ("b/0.png", 20)):
        flat(tmp_path / "set" / name, level)
    assert levels(opened(tmp_path / "set")) == [10, 20, 30, 40]


def test_zip_equals_folder_pixel_for_pixel(opened: Open, folder: Path, tmp_path: Path) -> None:
    one, other = opened(folder), opened(zipped(folder, tmp_path / "set.zip"))
    assert len(one) == 9
    assert (one.images == other.images).all()
    assert one.fingerprint == other.fingerprint


def test_litter_is_ignored_silently(
    opened: Open, folder: Path, tmp_path: Path, said: list[str]
) -> None:
    (folder / "notes.txt").write_text("no picture")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._0.png").write_bytes(b"x")
    (folder / "._1.png").write_bytes(b"x")
    for source in (folder, zipped(folder, tmp_path / "set.zip")):
        data = opened(source)
        assert len(data) == 9 and data.skipped == ()
    assert not any("unreadable" in line for line in said)


def test_single_image_is_a_set_of_one(opened: Open, flat: Flat, tmp_path: Path) -> None:
    flat(tmp_path / "one.png", 77)
    assert levels(opened(str(tmp_path / "one.png"))) == [77]


def test_linked_folders_are_followed_but_not_for_ever(
    opened: Open, flat: Flat, tmp_path: Path
) -> None:
    flat(tmp_path / "elsewhere" / "a.png", 5)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")
    assert levels(opened(tmp_path / "set")) == [5]


def test_corrupt_files_are_named_and_skipped_or_refused(
    opened: Open, folder: Path, tmp_path: Path, said: list[str]
) -> None:
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "deep" / "bad.jpg").write_bytes(b"junk")
    for source in (folder, zipped(folder, tmp_path / "set.zip")):
        for strict in (False, False, True):  # built, then from the cache, which must still refuse
            if strict:
                assert "1.png: " in refused(opened, source, strict=True)
                continue
            data = opened(source)
            assert len(data) == 8
            assert [name for name, _ in data.skipped] == ["1.png", "deep/bad.jpg"]
            assert "truncated" in data.skipped[0][1]
            assert "2 unreadable, first: 1.png" in said[-1]
    fresh = tmp_path / "fresh"
    assert "1.png: " in refused(opened, folder, strict=True, cache_dir=fresh)
    assert list(fresh.iterdir()) == []


def test_damaged_zip_entry_is_skipped_and_named(
    opened: Open, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("1.png", "2.png"):
            archive.write(folder / name, name)
    raw = bytearray(path.read_bytes())
    raw[100] ^= 0xFF  # inside the first picture: its checksum no longer fits
    path.write_bytes(raw)
    data = opened(path)
    assert len(data) == 1 and data.skipped[0][0] == "1.png" and "CRC" in data.skipped[0][1]


def test_all_corrupt_is_an_error(opened: Open, tmp_path: Path, cache_dir: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"junk")
    message = refused(opened, tmp_path / "set")
    assert "none of the 1 images could be read" in message and "a.png" in message
    assert list(cache_dir.iterdir()) == []


# Splits


@pytest.mark.parametrize("wrapper", ["", "data/", "data/again/"])
@pytest.mark.parametrize("pack", [False, True])
def test_train_never_includes_test(
    opened: Open, flat: Flat, tmp_path: Path, wrapper: str, pack: bool
) -> None:
    root = tmp_path / "set"
    for name, level in (("Train/x/a.png", 1), ("test/a.png", 2), ("valid/a.png", 3)):
        flat(root / wrapper / name, level)
    source = zipped(root, tmp_path / "set.zip") if pack else root
    assert levels(opened(source)) == [1]
    assert levels(opened(source, split="test")) == [2]
    assert levels(opened(source, split="validation")) == [3]
    assert opened(source, split="test").split == "test"


def test_without_a_train_folder_train_is_what_is_not_held_out(
    opened: Open, flat: Flat, tmp_path: Path
) -> None:
    for name, level in (("cats/a.png", 1), ("b.png", 2), ("test/c.png", 3)):
        flat(tmp_path / "set" / name, level)
    assert sorted(levels(opened(tmp_path / "set"))) == [1, 2]
    flat(tmp_path / "held" / "test" / "c.png", 3)
    assert "no split 'train'" in refused(opened, tmp_path / "held")


def test_only_top_level_folders_are_splits(opened: Open, flat: Flat, tmp_path: Path) -> None:
    flat(tmp_path / "set" / "cats" / "test" / "a.png", 1)
    flat(tmp_path / "set" / "dogs" / "a.png", 2)
    flat(tmp_path / "set" / "test.png", 3)
    assert levels(opened(tmp_path / "set")) == [1, 2, 3]


def test_missing_split_says_what_was_looked_for(
    opened: Open, folder: Path, tmp_path: Path
) -> None:
    for source in (folder, zipped(folder, tmp_path / "set.zip")):
        message = refused(opened, source, split="test")
        assert "no split 'test'" in message and "subfolders named train, test or val" in message
    assert "single file" in refused(opened, folder / "1.png", split="test")


# Parquet


def test_parquet_equals_folder(opened: Open, folder: Path, tmp_path: Path) -> None:
    paths = sorted(folder.rglob("*.png"), key=lambda path: path.relative_to(folder).as_posix())
    table = write_parquet(tmp_path / "set.parquet", [path.read_bytes() for path in paths])
    assert (opened(table).images == opened(folder).images).all()
    named_img = write_parquet(tmp_path / "img.parquet", [paths[0].read_bytes()], "img")
    assert len(opened(named_img)) == 1


def test_parquet_row_without_a_picture_is_skipped(
    opened: Open, folder: Path, tmp_path: Path
) -> None:
    good = (folder / "1.png").read_bytes()
    data = opened(write_parquet(tmp_path / "set.parquet", [good, None, b"junk", good]))
    assert len(data) == 2
    assert [name for name, _ in data.skipped] == ["set.parquet row 1", "set.parquet row 2"]


def test_parquet_folder_honours_the_split(opened: Open, flat: Flat, tmp_path: Path) -> None:
    names = ("data/train-00000-of-00002", "data/train-00001-of-00002", "data/test-0", "validation")
    for level, name in enumerate(names, 1):
        flat(tmp_path / "x.png", level)
        write_parquet(tmp_path / "set" / f"{name}.parquet", [(tmp_path / "x.png").read_bytes()])
    assert levels(opened(tmp_path / "set")) == [1, 2]
    assert levels(opened(tmp_path / "set", split="test")) == [3]
    assert levels(opened(tmp_path / "set", split="val")) == [4]
    assert "no split 'extra'" in refused(opened, tmp_path / "set", split="extra")


def test_parquet_errors(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "set.parquet", [b"x"], column="photo")
    message = refused(opened, path)
    assert "no image column" in message and "label, photo" in message
    (tmp_path / "bad.parquet").write_bytes(b"junk" * 10)
    assert "not a readable Parquet file" in refused(opened, tmp_path / "bad.parquet")
    assert "no rows" in refused(opened, write_parquet(tmp_path / "empty.parquet", []))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert 'pip install "coopnets[datasets]"' in refused(opened, path)


# Arrays


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_array_layouts(opened: Open, stack: np.ndarray, tmp_path: Path) -> None:
    first = stack.transpose(0, 3, 1, 2)
    for name, array in (("last", stack), ("first", first)):
        assert (opened(saved(tmp_path / f"{name}.npy", array)).images == first).all()
    grey = opened(saved(tmp_path / "grey.npy", stack[..., 0]), channels=1)
    assert (grey.images[:, 0] == stack[..., 0]).all()


def test_float_arrays_keep_every_pixel(opened: Open, stack: np.ndarray, tmp_path: Path) -> None:
    expected = stack.transpose(0, 3, 1, 2)
    for name, array in (
        ("unit", stack / 255.0),
        ("half", (stack / 255.0).astype(np.float32)),
        ("both", (stack / 127.5 - 1).astype(np.float32)),
    ):
        assert (opened(saved(tmp_path / f"{name}.npy", array)).images == expected).all()


def test_float_range_is_told_from_the_whole_array(opened: Open, tmp_path: Path) -> None:
    array = np.zeros((3, 8, 8), dtype=np.float32)  # 0 is mid-grey when another picture is -1
    array[2] = -1
    assert levels(opened(saved(tmp_path / "a.npy", array), channels=1)) == [128, 128, 0]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 8, 8), 200.0), "floats in [200, 200]"),
        (np.full((2, 8, 8), np.nan), "floats in [nan, nan]"),
        (np.zeros((2, 8, 8), dtype=np.int64), "dtype int64"),
        (np.zeros((2, 8), dtype=np.uint8), "shape (2, 8)"),
        (np.zeros((2, 8, 8, 5), dtype=np.uint8), "shape (2, 8, 8, 5)"),
        (np.zeros((0, 8, 8), dtype=np.uint8), "shape (0, 8, 8)"),
    ],
)
def test_unusable_arrays_are_refused(
    opened: Open, tmp_path: Path, array: np.ndarray, expected: str
) -> None:
    assert expected in refused(opened, saved(tmp_path / "a.npy", array))


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_pickles_are_never_opened(opened: Open, tmp_path: Path, name: str) -> None:
    array = np.array([Bomb()], dtype=object)
    if name == "a.npz":
        np.savez(tmp_path / name, images=array)
    else:
        np.save(tmp_path / name, array, allow_pickle=True)
    assert "cannot read" in refused(opened, tmp_path / name)


def test_npz_members_name_the_split(opened: Open, stack: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", x_train=stack[:3], x_test=stack[3:], y_train=np.arange(3))
    assert len(opened(tmp_path / "both.npz")) == 3
    assert len(opened(tmp_path / "both.npz", split="test")) == 1
    np.savez_compressed(tmp_path / "lone.npz", whatever=stack)
    assert len(opened(tmp_path / "lone.npz")) == 4
    message = refused(opened, tmp_path / "lone.npz", split="test")
    assert "looked for test, x_test" in message and "found whatever" in message


# What cannot be found


def test_unknown_names_suggest_the_nearest(opened: Open) -> None:
    message = refused(opened, "fashon-mnist")
    assert "no such path or data set: fashon-mnist" in message
    assert "did you mean fashion-mnist?" in message and "celeba" in message


def test_missing_and_empty_sources(opened: Open, tmp_path: Path) -> None:
    assert f"no such path: {tmp_path}" in refused(opened, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    message = refused(opened, tmp_path / "empty")
    assert "no images with extensions" in message and str(tmp_path / "empty") in message
    (tmp_path / "empty" / "train.zip").write_bytes(b"x")
    assert "give that zip" in refused(opened, tmp_path / "empty")
    assert "not a readable zip" in refused(opened, tmp_path / "empty" / "train.zip")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    assert "no images with extensions" in refused(opened, tmp_path / "none.zip")
    (tmp_path / "film.avi").write_bytes(b"x")
    assert "no kind of data known" in refused(opened, tmp_path / "film.avi")


def test_truncated_zip_is_refused(opened: Open, folder: Path, tmp_path: Path) -> None:
    path = zipped(folder, tmp_path / "set.zip")
    path.write_bytes(path.read_bytes()[:-100])
    assert "not a readable zip" in refused(opened, path)


@pytest.mark.parametrize(
    "options", [{"channels": 2}, {"size": 0}, {"size": (8, 0)}, {"limit": 0}, {"crop": 0}]
)
def test_nonsense_requests_are_refused(
    opened: Open, folder: Path, options: dict[str, object]
) -> None:
    assert "must be" in refused(opened, folder, **options)


def test_huge_picture_is_skipped_as_a_bomb(
    opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (100, 100)).save(folder / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert dict(opened(folder).skipped) == {"huge.png": "too many pixels (decompression bomb)"}
