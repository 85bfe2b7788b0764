"""Clips written and read again; grids, sheets, refusals, and nothing half-written."""

import sys
import weakref
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from coopnets.clipfiles import animation, write_clips
from coopnets.data import ClipData, open_clips, to_unit
from coopnets.errors import CoopNetsError
from coopnets.pictures import contact_sheet

VIDEOS = [".mp4", ".mkv", ".webm", ".avi"]


def quiet(_: str) -> None:
    return None


def smooth(number: int = 1, channels: int = 3, frames: int = 12, side: int = 32) -> np.ndarray:
    """A soft spot that wanders over a slope, uint8 (N, C, T, H, W)."""
    axis = np.linspace(-1, 1, side)
    clip = np.empty((number, channels, frames, side, side))
    for n in range(number):
        for t in range(frames):
            x, y = np.cos(t / 3 + n), np.sin(t / 3 + n)
            spot = np.exp(-3 * ((axis[:, None] - 0.6 * y) ** 2 + (axis - 0.6 * x) ** 2))
            for c in range(channels):
                clip[n, c, t] = 60 + 25 * axis * (c - 1) + 150 * spot * (1 - 0.3 * c)
    return clip.round().clip(0, 255).astype(np.uint8)


def unit(pixels: np.ndarray) -> Tensor:
    return to_unit(torch.from_numpy(pixels))


def read(path: Path, frames: int = 12, side: int = 32, channels: int = 3) -> ClipData:
    return open_clips(path, frames=frames, size=side, channels=channels, windows=True, say=quiet)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = ((a.astype(float) - b) ** 2).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


# one clip


@pytest.mark.parametrize("suffix", [*VIDEOS, ".gif", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_moving_picture_is_read_again(tmp_path: Path, suffix: str, channels: int) -> None:
    if suffix in VIDEOS:
        pytest.importorskip("av")
    clip = smooth(channels=channels)
    out = tmp_path / "deep" / f"fire{suffix}"
    write_clips([unit(clip)], 1, out, 25, say=quiet)
    data = read(out, channels=channels)
    assert data.clips[0].shape == clip[0].shape
    assert data.fps == 25
    assert psnr(data.clips[0], clip[0]) > 36
    assert abs((data.clips[0].astype(float) - clip[0]).mean()) < 0.5  # none darker, none lighter
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("fps", [12, 23.976, 29.97, 30, 50])
@pytest.mark.parametrize("suffix", [*VIDEOS, ".gif", ".webp"])
def test_its_rate_is_kept(tmp_path: Path, suffix: str, fps: float) -> None:
    """A GIF counts hundredths of a second: right as a whole, and to one of them frame by frame."""
    if suffix in VIDEOS:
        pytest.importorskip("av")
    out = tmp_path / f"fire{suffix}"
    write_clips([unit(smooth(frames=60, side=16))], 1, out, fps, say=quiet)
    said: list[str] = []
    data = open_clips(out, frames=60, size=16, channels=3, say=said.append)
    assert data.fps == pytest.approx(fps, rel=0.01 if suffix == ".gif" else 0.001)
    assert not any("varies" in line for line in said)


@pytest.mark.parametrize(("suffix", "kept"), [(".gif", 40), (".webp", 60)])
def test_more_frames_than_viewers_show(tmp_path: Path, suffix: str, kept: float) -> None:
    clip, said = smooth(frames=60), []
    write_clips([unit(clip)], 1, tmp_path / f"a{suffix}", 120, say=said.append)
    step = round(120 / kept)
    data = read(tmp_path / f"a{suffix}", frames=60 // step)
    assert data.fps == pytest.approx(kept, rel=0.02)
    assert psnr(data.clips[0], clip[0][:, ::step]) > 36
    assert f"has {kept} of 120" in said[0]


@pytest.mark.parametrize("suffix", VIDEOS)
def test_odd_sizes_are_kept_or_told(tmp_path: Path, suffix: str) -> None:
    av = pytest.importorskip("av")
    clip, said = smooth(side=34)[..., :33, :31], []
    write_clips([unit(clip)], 1, tmp_path / f"a{suffix}", 25, say=said.append)
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    shape = frames[0].shape[:2]
    assert shape == ((34, 32) if said else (33, 31))
    assert (suffix in (".mp4", ".mkv")) == bool(said)
    found = np.stack(frames).transpose(3, 0, 1, 2)[..., :33, :31]
    assert psnr(found, clip[0]) > 30
    if said:
        assert "31x33" in said[0] and psnr(np.stack(frames)[:, 33], np.stack(frames)[:, 32]) > 30


def test_colours_are_marked(tmp_path: Path) -> None:
    """Else a player guesses by the size, and greens of a large grid come out wrong."""
    av = pytest.importorskip("av")
    write_clips([unit(smooth())], 1, tmp_path / "a.mp4", 25, say=quiet)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (6, 1)  # SMPTE 170M, limited


def test_frames_of_a_single_clip(tmp_path: Path) -> None:
    clip = smooth(frames=11)
    (tmp_path / "fire").mkdir()  # an empty folder is as good as none
    write_clips([unit(clip)], 1, tmp_path / "fire", 25)
    names = sorted(p.name for p in (tmp_path / "fire").iterdir())
    assert names == [f"{t:06d}.png" for t in range(11)]
    assert (read(tmp_path / "fire", frames=11).clips[0] == clip[0]).all()
    assert [p.name for p in tmp_path.iterdir()] == ["fire"]


# several clips


def test_clips_in_folders_of_their_own(tmp_path: Path) -> None:
    clips = smooth(5)
    batches = unit(clips).split(2)
    write_clips(batches[:2], 4, tmp_path / "out", 25)
    write_clips(batches[2:], 1, tmp_path / "out" / "000004", 25)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{n:06d}" for n in range(5)]
    found = read(tmp_path / "out").clips
    assert all((a == b).all() for a, b in zip(found, clips, strict=True))


def test_first_numbers_the_folders(tmp_path: Path) -> None:
    write_clips([unit(smooth(2))], 2, tmp_path / "out", 25, first=7)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000007", "000008"]


def test_array_reads_without_pickle(tmp_path: Path) -> None:
    clips = smooth(5)
    write_clips(iter(unit(clips).split(2)), 5, tmp_path / "clips.npz", 24)
    with np.load(tmp_path / "clips.npz", allow_pickle=False) as archive:
        assert (archive["clips"] == clips).all() and archive["clips"].dtype == np.uint8
        assert archive["fps"] == 24


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_clips_side_by_side(tmp_path: Path, suffix: str) -> None:
    if suffix == ".mp4":
        pytest.importorskip("av")
    clips = smooth(5)
    write_clips(iter(unit(clips).split(2)), 5, tmp_path / f"a{suffix}", 25, say=quiet)
    whole = open_clips(
        tmp_path / f"a{suffix}", frames=12, size=(70, 104), channels=3, say=quiet
    ).clips[0]
    for n in range(5):
        top, left = 2 + 34 * (n // 3), 2 + 34 * (n % 3)  # margins of 2, as in grids of pictures
        assert psnr(whole[:, :, top : top + 32, left : left + 32], clips[n]) > 32


# pictures of clips


def test_contact_sheet_has_a_row_for_each_clip() -> None:
    clips = smooth(2, frames=15)
    sheet = contact_sheet(unit(clips), columns=8).numpy()
    assert sheet.shape == (3, 2 * 34 + 2, 8 * 34 + 2) and sheet.dtype == np.uint8
    for row in range(2):
        for column in range(8):  # of 15 frames every second
            top, left = 2 + 34 * row, 2 + 34 * column
            cell = sheet[:, top : top + 32, left : left + 32]
            assert (cell == clips[row][:, 2 * column]).all()


def test_contact_sheet_of_few_frames() -> None:
    clips = smooth(2, frames=3, channels=1)
    sheet = contact_sheet(unit(clips), columns=8)
    assert sheet.shape[2] == 3 * 34 + 2
    ends = smooth(1, frames=30)
    two = contact_sheet(unit(ends), columns=2).numpy()
    assert (two[:, 2:34, 36:68] == ends[0][:, -1]).all()


def test_animation_for_a_page(tmp_path: Path) -> None:
    clips = smooth(3)
    content = animation(unit(clips), 25, columns=3)
    with Image.open(BytesIO(content)) as picture:
        assert picture.format == "WEBP" and picture.info["loop"] == 0
        assert picture.n_frames == 12 and picture.size == (104, 36)
    (tmp_path / "a.webp").write_bytes(content)
    whole = open_clips(tmp_path / "a.webp", frames=12, size=(36, 104), channels=3, say=quiet)
    assert whole.fps == 25
    assert psnr(whole.clips[0][:, :, 2:34, 36:68], clips[1]) > 32


# memory, interruptions, refusals


@pytest.mark.parametrize("name", ["clips.npz", "folder"])
def test_memory_is_constant(tmp_path: Path, name: str) -> None:
    """By the time a batch is asked for, the one before the last is gone."""
    alive: list[weakref.ref[Tensor]] = []

    def batches() -> Iterator[Tensor]:
        for _ in range(6):
            assert sum(ref() is not None for ref in alive) <= 1
            batch = torch.zeros(2, 1, 3, 4, 4)
            alive.append(weakref.ref(batch))
            yield batch
            del batch

    write_clips(batches(), 12, tmp_path / name, 25)
    assert len(alive) == 6


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp", "a.npz"])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    if name == "a.mp4":
        pytest.importorskip("av")

    def broken() -> Iterator[Tensor]:
        yield unit(smooth())
        raise KeyboardInterrupt

    (tmp_path / name).write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_clips(broken(), 2, tmp_path / name, 25)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


def test_an_interruption_keeps_whole_clips(tmp_path: Path) -> None:
    def broken() -> Iterator[Tensor]:
        yield unit(smooth())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clips(broken(), 3, tmp_path / "out", 25)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["000000"]
    assert (read(tmp_path / "out").clips[0] == smooth()[0]).all()


def never() -> Iterator[Tensor]:
    raise AssertionError("clips were made for nothing")
    yield


def test_refusals_come_before_any_clip_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "000001").mkdir()
    for name, number, fps, words in [
        ("a.mp3", 1, 25, r"a\.mp3: choose \.mp4"),
        ("a.png", 1, 25, r"a\.png: choose"),
        ("a.gif", 1, 0, "0 frames a second"),
        ("a.gif", 1, float("nan"), "nan frames a second"),
        ("full", 1, 25, "full is not empty"),
        ("full", 2, 25, "000001 is there already"),
    ]:
        with pytest.raises(CoopNetsError, match=words):
            write_clips(never(), number, tmp_path / name, fps)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CoopNetsError, match=r"coopnets\[video\]"):
        write_clips(never(), 1, tmp_path / "a.mp4", 25)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp", "a.npz", "folder"])
def test_place_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    if name == "a.mp4":
        pytest.importorskip("av")
    (tmp_path / "file").write_text("")
    with pytest.raises(CoopNetsError, match="cannot write"):
        write_clips([unit(smooth())], 1, tmp_path / "file" / name, 25)


def test_a_model_that_diverged(tmp_path: Path) -> None:
    with pytest.raises(CoopNetsError, match="NaN"):
        write_clips([torch.full((1, 3, 4, 8, 8), float("nan"))], 1, tmp_path / "a.gif", 25)
    assert not list(tmp_path.iterdir())


def test_too_many_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coopnets.clipfiles.GRID_BYTES", 5 * smooth().nbytes - 1)
    made: list[int] = []

    def batches() -> Iterator[Tensor]:
        for _ in range(5):
            made.append(1)
            yield unit(smooth())

    with pytest.raises(CoopNetsError, match="5 clips side by side"):
        write_clips(batches(), 5, tmp_path / "a.gif", 25)
    assert len(made) == 1 and not list(tmp_path.iterdir())
    write_clips(batches(), 5, tmp_path / "a.npz", 25)


def test_frames_too_large_for_a_moving_picture(tmp_path: Path) -> None:
    with pytest.raises(CoopNetsError, match="write fewer clips, or a folder"):
        write_clips([torch.zeros(1, 1, 2, 2, 17_000)], 1, tmp_path / "a.webp", 25)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file can grow beyond 20 kB."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.gif", "a.webp", "a.npz"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], small_disk: None, name: str
) -> None:
    if Path(name).suffix in VIDEOS:
        pytest.importorskip("av")
    noise = np.random.default_rng(0).integers(0, 256, (1, 3, 12, 64, 64), dtype=np.uint8)
    with pytest.raises(CoopNetsError, match=f"cannot write .*{name}: File too large"):
        write_clips([unit(noise)], 1, tmp_path / name, 25)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
