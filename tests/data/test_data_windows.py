"""Windows: every place once an epoch, pixels untouched, and one clear line on bad pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets.data import open_windows, to_pixels
from coopnets.errors import DataError


def quiet(_: str) -> None:
    return None


def save(file: Path, height: int, width: int, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return pixels.transpose(2, 0, 1)


def test_every_place_is_a_window_and_pixels_are_untouched(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png", 7, 9)
    data = open_windows(tmp_path / "a.png", window=(4, 5), channels=3, say=quiet)
    assert len(data) == 4 * 5
    shown = to_pixels(data.batch(torch.arange(20))).numpy()
    for index in range(20):
        top, left = divmod(index, 5)
        assert np.array_equal(shown[index], pixels[:, top : top + 4, left : left + 5])


def test_pictures_of_different_sizes_in_turn(tmp_path: Path) -> None:
    first, second = save(tmp_path / "a.png", 6, 6), save(tmp_path / "b.png", 8, 7, seed=1)
    data = open_windows(tmp_path, window=6, channels=3, say=quiet)
    assert len(data) == 1 + 3 * 2
    shown = to_pixels(data.batch(torch.tensor([0, 1, 6]))).numpy()
    assert np.array_equal(shown[0], first)
    assert np.array_equal(shown[1], second[:, :6, :6])
    assert np.array_equal(shown[2], second[:, 2:, 1:])


def test_the_window_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 9, 9)
    prints = {
        open_windows(tmp_path, window=side, channels=3, say=quiet).fingerprint for side in (4, 5)
    }
    assert len(prints) == 2


def animation(file: Path) -> None:
    frames = [Image.fromarray(np.full((16, 16), v, np.uint8)) for v in (0, 99, 255)]
    frames[0].save(file, save_all=True, append_images=frames[1:])


def one_colour(file: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(file)


def small(file: Path) -> None:
    save(file, 7, 30)


def broken(file: Path) -> None:
    file.write_bytes(b"GIF89a and no more")


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (animation, "a.gif", "animation of 3 frames"),
        (one_colour, "a.png", "single colour"),
        (small, "a.png", "30x7 pixels, smaller than the window of 8x8"),
        (broken, "a.gif", "cannot be used"),
    ],
)
def test_a_picture_that_is_no_use(tmp_path: Path, make: object, name: str, words: str) -> None:
    make(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(DataError, match=words):
        open_windows(tmp_path / name, window=8, channels=3, say=quiet)


@pytest.mark.parametrize("limit", [0, -1])
def test_fewer_than_one_picture(tmp_path: Path, limit: int) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / name, 9, 9)
    with pytest.raises(DataError, match=f"limit is {limit}; it must be at least 1"):
        open_windows(tmp_path, window=8, channels=3, limit=limit, say=quiet)


def test_one_of_several_is_skipped_and_named_or_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 9, 9)
    small(tmp_path / "b.png")
    said: list[str] = []
    data = open_windows(tmp_path, window=8, channels=3, say=said.append)
    assert len(data.pictures) == 1 and data.skipped[0][0].endswith("b.png")
    assert "1 skipped" in said[-1]
    with pytest.raises(DataError, match=r"b\.png"):
        open_windows(tmp_path, window=8, channels=3, strict=True, say=quiet)
