import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from coopnets.errors import CoopNetsError
from coopnets.samplefiles import GRID_LIMIT, write_samples

LEVELS = torch.linspace(-1, 1, 7).view(7, 1, 1, 1).expand(7, 1, 4, 4).contiguous()


def in_batches() -> Iterator[Tensor]:
    yield from LEVELS.split(3)


def expected() -> list[int]:
    """-1 is 0, 1 is 255, linear in between."""
    return [round((v + 1) * 127.5) for v in torch.linspace(-1, 1, 7).tolist()]


def test_npz_reads_without_pickle(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "samples.npz"
    write_samples(in_batches(), 7, out)
    with np.load(out, allow_pickle=False) as archive:
        images = archive["images"]
    assert images.shape == (7, 1, 4, 4) and images.dtype == np.uint8
    assert images[:, 0, 0, 0].astype(int) == pytest.approx(expected(), abs=1)
    assert [p.name for p in out.parent.iterdir()] == ["samples.npz"]


def test_folder_holds_one_picture_each(tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    write_samples(in_batches(), 7, out)
    files = sorted(out.iterdir())
    assert [p.name for p in files] == [f"{i:06d}.png" for i in range(7)]
    levels = [int(np.asarray(Image.open(p))[0, 0]) for p in files]
    assert levels == pytest.approx(expected(), abs=1)


def test_colour_keeps_its_channels(tmp_path: Path) -> None:
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    write_samples([red], 2, tmp_path / "pictures")
    assert Image.open(tmp_path / "pictures" / "000001.png").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".PNG"])
def test_picture_is_one_grid(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"grid{suffix}"
    write_samples(in_batches(), 7, out)
    width, height = Image.open(out).size
    assert width == height == 3 * 6 + 2  # 3 x 3 cells of 4 pixels and margins of 2


@pytest.mark.parametrize("name", ["samples.npz", "pictures"])
def test_memory_is_constant(tmp_path: Path, name: str) -> None:
    """By the time a batch is asked for, the one before the last is gone."""
    alive: list[weakref.ref[Tensor]] = []

    def batches() -> Iterator[Tensor]:
        for _ in range(6):
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 1
            batch = torch.zeros(2, 1, 4, 4)
            alive.append(weakref.ref(batch))
            yield batch
            del batch

    write_samples(batches(), 12, tmp_path / name)
    assert len(alive) == 6


def test_interrupted_archive_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Tensor]:
        yield LEVELS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(broken(), 14, tmp_path / "samples.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["grid.png", "pictures"])
def test_a_picture_that_cannot_be_finished_leaves_what_was_there(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, half way."""
    (tmp_path / "grid.png").write_text("an earlier one")

    def full(image: Image.Image, file: Path) -> None:
        if file.name.endswith(("grid.png", "000004.png")):
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        usual(image, file)

    usual = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(CoopNetsError, match="No space left"):
        write_samples(in_batches(), 7, tmp_path / name)
    assert (tmp_path / "grid.png").read_text() == "an earlier one"
    left = {p.name for p in tmp_path.rglob("*.png")} - {"grid.png"}
    assert left == (set() if name == "grid.png" else {f"{i:06d}.png" for i in range(4)})


def test_unknown_suffix(tmp_path: Path) -> None:
    with pytest.raises(CoopNetsError, match=r"samples\.txt"):
        write_samples(in_batches(), 7, tmp_path / "samples.txt")


def test_too_many_for_a_picture(tmp_path: Path) -> None:
    with pytest.raises(CoopNetsError, match=r"\.npz or a folder"):
        write_samples(in_batches(), GRID_LIMIT + 1, tmp_path / "grid.png")


@pytest.mark.parametrize("name", ["grid.png", "samples.npz", "pictures"])
def test_place_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CoopNetsError, match="cannot write"):
        write_samples(in_batches(), 7, tmp_path / "file" / name)
