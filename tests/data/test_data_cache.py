import os
import resource
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from coopnets.data import ImageData, cache, open_images
from coopnets.data.cache import Row
from coopnets.errors import DataError

Open = Callable[..., ImageData]
SHAPE = (1, 2, 2)


def rows(*levels: int) -> Iterator[Row]:
    for level in levels:
        yield str(level), np.full(SHAPE, level, np.uint8)


def the_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("decoded again")

    return lambda: monkeypatch.setattr("coopnets.data.images.decode", fail)


def test_images_are_mapped_uint8_and_read_only(opened: Open, folder: Path) -> None:
    images = opened(folder, size=(6, 10), channels=3).images
    assert isinstance(images, np.memmap)
    assert images.shape == (9, 3, 6, 10) and images.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_batch_is_the_fixed_map_of_the_chosen_images(opened: Open, folder: Path) -> None:
    data = opened(folder)
    indices = torch.tensor([5, 0, 5])
    batch = data.batch(indices)
    assert batch.dtype == torch.float32
    expected = data.images[[5, 0, 5]].astype(np.float64) / 127.5 - 1
    assert np.allclose(batch.numpy(), expected, atol=1e-6)
    assert torch.equal(data.batch(indices.numpy()), batch)
    batch.zero_()  # memory of its own: the next batch is unharmed
    assert np.allclose(data.batch(indices).numpy(), expected, atol=1e-6)


def test_hit_does_not_decode_and_reports_the_same(
    opened: Open, folder: Path, no_decoding: Callable[[], None]
) -> None:
    (folder / "bad.png").write_bytes(b"junk")
    first = opened(folder)
    no_decoding()
    again = opened(folder)
    assert (again.images == first.images).all()
    assert again.skipped == first.skipped != ()
    assert again.fingerprint == first.fingerprint


def test_another_request_or_a_changed_source_is_another_cache(opened: Open, folder: Path) -> None:
    first = opened(folder)
    assert opened(folder, size=4).images.shape[2:] == (4, 4)
    assert opened(folder, channels=1).images.shape[1] == 1
    assert not np.array_equal(opened(folder, crop=5).images, first.images)
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    assert len(opened(folder)) == 10
    stat = (folder / "0.png").stat()
    (folder / "0.png").write_bytes((folder / "2.png").read_bytes()[: stat.st_size])
    os.utime(folder / "0.png", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    assert len(opened(folder)) == 9  # now truncated: the time alone told


def test_fingerprint_tells_pixels_not_places(opened: Open, folder: Path) -> None:
    first = opened(folder)
    moved = folder.rename(folder.with_name("moved"))
    assert opened(moved).fingerprint == first.fingerprint
    assert opened(moved, size=9).fingerprint != first.fingerprint
    assert opened(moved, limit=8).fingerprint != first.fingerprint


def test_one_line_is_said(opened: Open, folder: Path, said: list[str], cache_dir: Path) -> None:
    (folder / "bad.png").write_bytes(b"junk")
    opened(folder)
    (line,) = said
    assert line.startswith("decoded 9 images (1 unreadable, first: bad.png: not an image")
    assert f"into {cache_dir}" in line and "8x8x3" in line


def test_cache_folder_comes_from_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COOPNETS_CACHE", str(tmp_path / "there"))
    open_images(folder, size=8, channels=3, say=lambda line: None)
    assert the_file(tmp_path / "there").suffix == ".pixels"


def test_limits_are_nested_and_spread_over_the_set(opened: Open, tmp_path: Path) -> None:
    levels = np.arange(100, dtype=np.uint8)  # as if sorted by class
    np.save(tmp_path / "a.npy", levels[:, None, None].repeat(8, 1).repeat(8, 2))
    few, more = (
        set(opened(tmp_path / "a.npy", channels=1, limit=k).images[:, 0, 0, 0].tolist())
        for k in (10, 40)
    )
    assert (len(few), len(more)) == (10, 40)
    assert few < more
    assert min(few) < 40 and max(few) > 60
    assert len(opened(tmp_path / "a.npy", channels=1, limit=1000)) == 100


def test_order_does_not_depend_on_the_threads(
    opened: Open, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    many = opened(folder)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert (opened(folder, cache_dir=tmp_path / "other").images == many.images).all()


# Half-written, damaged and contested files


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:5],
        lambda raw: raw[: 9 * 8 * 8 * 3],
        lambda raw: raw[:-1],
        lambda raw: raw[:-1] + b"?",  # the mark of a finished file is missing
        lambda raw: raw[100:],  # the description is whole, the pixels are not
    ],
)
def test_damaged_cache_is_rebuilt(
    opened: Open,
    folder: Path,
    cache_dir: Path,
    said: list[str],
    damage: Callable[[bytes], bytes],
) -> None:
    expected = np.array(opened(folder).images)
    path = the_file(cache_dir)
    path.write_bytes(damage(path.read_bytes()))
    assert (opened(folder).images == expected).all()
    assert len(said) == 2 and said[1].startswith("decoded")


def test_leftover_of_a_killed_builder_is_not_used_and_swept_when_old(
    opened: Open, folder: Path, cache_dir: Path
) -> None:
    opened(folder)
    path = the_file(cache_dir)
    partial = path.rename(cache_dir / f"{path.stem}.abc{cache.PARTIAL}")
    assert len(opened(folder)) == 9
    assert partial.exists()  # young: its builder may be alive
    os.utime(partial, (0, 0))
    opened(folder, size=4)
    assert not partial.exists()


def test_a_file_of_another_shape_is_not_used(tmp_path: Path) -> None:
    cache.write(tmp_path / "a", SHAPE, rows(1, 2))
    assert cache.load(tmp_path / "a", (1, 2, 2)) is not None
    assert cache.load(tmp_path / "a", (2, 2, 1)) is None


def test_two_builders_at_once_do_not_harm_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def slow() -> Iterator[Row]:
        yield from rows(1)
        assert cache.load(path, SHAPE) is None  # nothing is visible before it is whole
        quick = cache.write(path, SHAPE, rows(1, 2, 3))
        assert quick.images[:, 0, 0, 0].tolist() == [1, 2, 3]
        yield from rows(2, 3)
        mapped.append(quick)

    mapped: list[cache.Cached] = []
    late = cache.write(path, SHAPE, slow())
    assert late.images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert mapped[0].images[:, 0, 0, 0].tolist() == [1, 2, 3]  # still open, still whole
    assert late.digest == mapped[0].digest
    assert the_file(tmp_path) == path


def test_ctrl_c_leaves_nothing_behind(
    opened: Open, folder: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **options: object) -> None:
        assert len(list(cache_dir.glob("*" + cache.PARTIAL))) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr("coopnets.data.images.decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened(folder)
    assert list(cache_dir.iterdir()) == []


def test_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = ((str(i), np.zeros((1, 64, 64), np.uint8)) for i in range(100))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel refuses more
    try:
        with pytest.raises(
            DataError, match=r"cannot use the image cache in .* too large"
        ) as caught:
            cache.write(tmp_path / "cache" / "a", (1, 64, 64), big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value) and "COOPNETS_CACHE" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_unusable_cache_folder_is_one_line(opened: Open, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot use the image cache"):
        opened(folder, cache_dir=tmp_path / "file")


def test_building_holds_no_more_than_a_few_images(opened: Open, tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (1500, 64, 64, 3))
    array[:] = 7
    tracemalloc.start()
    data = opened(tmp_path / "a.npy", size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.images.nbytes > 18e6
    assert peak < 6e6
