"""Video files through PyAV: the very frames, their times, how they are turned, and bad files."""

import sys
import weakref
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_files import LEVELS, flat, levels_of, save_frames, save_sound, save_video
from coopnets.data import ClipData, frames, open_clips
from coopnets.errors import DataError

av = pytest.importorskip("av")

Open = Callable[..., ClipData]


@pytest.fixture
def opened(said: list[str]) -> Open:
    return partial(open_clips, frames=8, size=8, channels=3, say=said.append)


# the frames of a file


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_frames_are_exact(tmp_path: Path, opened: Open, said: list[str], name: str) -> None:
    data = opened(save_video(tmp_path / name), windows=True)
    assert levels_of(data.clips[0]) == LEVELS
    assert data.fps == 25
    assert len(data) == len(LEVELS) - 7
    assert said == [
        f"opened {name}: 33 windows of 8 frames among 40, 8x8x3, at 25 frames a second"
    ]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mpg", "mpeg2video"),
     ("a.ts", "mpeg2video"), ("a.wmv", "wmv2"), ("a.flv", "flv"), ("a.ogv", "libtheora")],
)  # fmt: skip
def test_containers_in_use(tmp_path: Path, opened: Open, name: str, codec: str) -> None:
    """All frames, in order, at their rate, whatever time the file begins at."""
    try:
        av.codec.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"no encoder {codec}")
    file = save_video(
        tmp_path / name, [flat(level, 32, 48) for level in LEVELS], codec=codec, pixels="yuv420p"
    )
    data = opened(file, windows=True)
    means = data.clips[0].mean((0, 2, 3))
    assert len(means) == len(LEVELS)
    assert np.abs(means - LEVELS).max() < 4  # neighbours are 6 levels apart
    assert data.fps == pytest.approx(25, rel=0.02)
    half = opened(file, fps=12.5)
    assert np.abs(half.clips[0].mean((0, 2, 3)) - LEVELS[:16:2]).max() < 4


def test_colours_keep_their_brightness(tmp_path: Path, opened: Open) -> None:
    """FFmpeg's default conversion would make every one darker by a level or more."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    clip = [np.broadcast_to(c, (16, 16, 3)) for c in colours]
    file = save_video(tmp_path / "a.mkv", clip, pixels="yuv420p")
    found = opened(file, frames=16).clips[0][:, :, 4, 4].T.astype(int)
    assert abs((found - colours).mean()) < 0.4
    assert np.abs(found - colours).max() <= 3


def test_the_given_rate_takes_the_nearest_frames(tmp_path: Path, opened: Open) -> None:
    file = save_video(tmp_path / "a.avi")
    tenth = opened(file, windows=True, fps=10, frames=4)
    assert levels_of(tenth.clips[0])[:5] == [LEVELS[k] for k in (0, 2, 5, 7, 10)]
    assert len(tenth.clips[0][0]) == 16 and tenth.fps == 10


def test_a_variable_rate(tmp_path: Path, opened: Open, said: list[str]) -> None:
    times = [0, 40, 80, 120, 400, 440, 480, 520, 560, 800]
    file = save_video(tmp_path / "a.mkv", LEVELS[:10], times=times)
    assert levels_of(opened(file).clips[0]) == LEVELS[:8]
    assert "frame rate varies" in said[0]
    said.clear()
    steady_later = [17 * k for k in range(20)] + [323 + 100 * k for k in range(1, 21)]
    opened(save_video(tmp_path / "b.mkv", LEVELS, fps=60, times=steady_later), strict=True)
    assert not any("promises" in line for line in said)
    said.clear()
    data = opened(file, windows=True, fps=12.5)
    moments = [80 * k for k in range(len(data.clips[0][0]))]
    nearest = [min(range(10), key=lambda k: (abs(times[k] - t), k)) for t in moments]
    assert moments[-1] == 880 and levels_of(data.clips[0]) == [LEVELS[k] for k in nearest]
    assert not any("varies" in line for line in said)


def test_a_clock_that_leaps_ahead(tmp_path: Path, opened: Open, said: list[str]) -> None:
    """As where files were joined: the frames behind go on at the usual gap."""
    times = [40 * k + (120_000 if k >= 20 else 0) for k in range(40)]
    file = save_video(tmp_path / "a.mkv", times=times)
    assert opened(file, strict=True).fps == pytest.approx(25)
    assert not any("promises" in line or "varies" in line for line in said)
    even = opened(file, windows=True, fps=12.5)
    assert levels_of(even.clips[0]) == LEVELS[::2]


def test_a_trimmed_file_is_whole(tmp_path: Path, opened: Open, said: list[str]) -> None:
    """Frames that the file says not to show are neither shown nor missed."""
    shots = [flat(level, 32, 48) for level in LEVELS]
    whole = save_video(tmp_path / "a.mp4", shots, codec="mpeg4", pixels="yuv420p")
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "b.mp4"), "w", options={"avoid_negative_ts": "disabled"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is None:
                continue
            shift = int(10 / 25 / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            target.mux(packet)
    data = opened(tmp_path / "b.mp4", windows=True, strict=True)
    assert data.clips[0].shape[1] == len(LEVELS) - 10
    assert not any("promises" in line for line in said)


def test_videos_in_a_folder_are_a_clip_each(tmp_path: Path, opened: Open, said: list[str]) -> None:
    save_video(tmp_path / "b" / "fire2.mkv", LEVELS[:9], fps=12)
    save_video(tmp_path / "b" / "fire10.avi", LEVELS[9:18])
    Image.fromarray(flat(0)).save(tmp_path / "b" / "cover.jpg")
    save_frames(tmp_path / "c", LEVELS[18:27])
    data = opened(tmp_path)
    firsts = [levels_of(clip)[0] for clip in data.clips]
    assert firsts == [LEVELS[0], LEVELS[9], LEVELS[18]]
    assert data.fps == 12 and "at 12 to 25 frames a second" in said[-1]
    assert "cover.jpg" in said[0]


def test_file_names_that_mean_something_to_ffmpeg(tmp_path: Path, opened: Open) -> None:
    save_video(tmp_path / "a.avi").rename(tmp_path / "concat:a%03d.avi")
    assert levels_of(opened(tmp_path / "concat:a%03d.avi").clips[0]) == LEVELS[:8]


# how a frame is laid out


def corner(height: int, width: int) -> np.ndarray:
    """Dark, with its upper left quarter white."""
    frame = flat(0, height, width).copy()
    frame[: height // 2, : width // 2] = 255
    return frame


@pytest.mark.skipif(
    not hasattr(av.video.stream.VideoStream, "set_display_rotation"),
    reason="this PyAV cannot mark",
)
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_are_turned_as_the_camera_says(tmp_path: Path, opened: Open, degrees: int) -> None:
    frame = corner(32, 32)
    file = save_video(
        tmp_path / "a.mp4", [frame] * 8, codec="libx264", pixels="yuv420p", rotation=degrees
    )
    shown = opened(file).clips[0][0, 0]
    expected = np.rot90(frame[..., 0], degrees // 90)[2::4, 2::4]
    quarters = np.ix_([1, 6], [1, 6])  # a pixel in each
    assert np.abs(shown.astype(int) - expected)[quarters].max() < 40


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path, opened: Open) -> None:
    """32 x 32 pixels, twice as wide as high: of 32 columns a square shows the middle 16."""
    frame = flat(0, 32, 32).copy()
    frame[:, 8:24] = 200
    file = save_video(
        tmp_path / "a.mp4", [frame] * 8, codec="libx264", pixels="yuv420p", stretch=Fraction(2)
    )
    assert np.abs(opened(file, size=32).clips[0][..., 4:28].astype(int) - 200).max() < 8


def test_odd_sizes(tmp_path: Path, opened: Open) -> None:
    file = save_video(tmp_path / "a.mkv", [flat(level, 17, 23) for level in LEVELS])
    assert levels_of(opened(file).clips[0]) == LEVELS[:8]


# memory


def test_few_frames_at_full_size_are_alive(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[Image.Image]] = []
    most = 0
    make = frames._picture

    def watched(frame: object, stretch: float) -> Image.Image:
        nonlocal most
        picture = make(frame, stretch)
        alive.append(weakref.ref(picture))
        most = max(most, sum(ref() is not None for ref in alive))
        return picture

    monkeypatch.setattr(frames, "_picture", watched)
    opened(save_video(tmp_path / "a.avi"), windows=True, fps=20)
    assert len(alive) == len(LEVELS) and most <= 3


def test_no_more_is_read_than_wanted(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = frames._picture
    monkeypatch.setattr(frames, "_picture", lambda f, s: (made.append(1), make(f, s))[1])
    opened(save_video(tmp_path / "a.avi"))
    assert len(made) == 8


# bad files


def sound_only(folder: Path) -> Path:
    return save_sound(folder / "a.mkv")


def no_video(folder: Path) -> Path:
    (folder / "a.mp4").write_text("fire " * 1000)
    return folder / "a.mp4"


def nothing(folder: Path) -> Path:
    (folder / "a.avi").write_bytes(b"")
    return folder / "a.avi"


def one_frame(folder: Path) -> Path:
    return save_video(folder / "a.avi", LEVELS[:1])


def short(folder: Path) -> Path:
    return save_video(folder / "a.avi", LEVELS[:5])


def without_its_index(folder: Path) -> Path:
    """An .mp4 has the table of its frames at the end."""
    file = save_video(folder / "a.mp4", codec="libx264", pixels="yuv420p")
    file.write_bytes(file.read_bytes()[:1500])
    return file


def truncated_at_once(folder: Path) -> Path:
    file = save_video(folder / "a.mkv")
    file.write_bytes(file.read_bytes()[:700])
    return file


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (sound_only, "a.mkv cannot be used: sound only"),
        (no_video, "not a video that FFmpeg can read"),
        (nothing, "not a video that FFmpeg can read"),
        (one_frame, "a single frame, which does not move"),
        (short, "5 frames, 8 wanted$"),
        (without_its_index, "not a video that FFmpeg can read"),
        (truncated_at_once, "a.mkv cannot be used"),
    ],
)
def test_bad_files(
    tmp_path: Path,
    opened: Open,
    capfd: pytest.CaptureFixture[str],
    make: Callable[[Path], Path],
    words: str,
) -> None:
    source = make(tmp_path)
    capfd.readouterr()
    with pytest.raises(DataError, match=words) as caught:
        opened(source)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # FFmpeg itself says nothing


def cut(folder: Path, name: str, **how: str) -> Path:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(40)]
    file = save_video(folder / name, noise, **how)  # type: ignore[arg-type]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 6 // 10])
    return file


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.avi", "ffv1", "bgr0"), ("a.mkv", "ffv1", "bgr0"), ("a.avi", "mpeg4", "yuv420p"),
     ("a.mkv", "libx264", "yuv420p")],
)  # fmt: skip
def test_a_truncated_file_gives_what_it_has(
    tmp_path: Path, opened: Open, said: list[str], name: str, codec: str, pixels: str
) -> None:
    whole = cut(tmp_path / "whole", name, codec=codec, pixels=pixels)
    data = opened(whole, windows=True)
    count = data.clips[0].shape[1]
    assert 8 < count < 30
    assert "what comes before is used" in said[0]
    with pytest.raises(DataError, match=r"promises|damaged"):
        opened(whole, windows=True, strict=True)
    with pytest.raises(DataError, match=rf"{count} frames \(.*\), 35 wanted"):
        opened(whole, frames=35)


def test_a_whole_file_is_not_called_truncated(
    tmp_path: Path, opened: Open, said: list[str]
) -> None:
    for name in ("a.avi", "a.mkv"):
        opened(save_video(tmp_path / name), windows=True, strict=True)
    assert len(said) == 2


def test_bytes_overwritten_in_the_middle(tmp_path: Path, opened: Open, said: list[str]) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(40)]
    file = save_video(tmp_path / "a.mov", noise, codec="png", pixels="rgb24")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    file.write_bytes(content)
    clip = opened(file, windows=True, size=32).clips[0]
    count = clip.shape[1]
    assert 10 < count < 30 and f"damaged after {count} frames" in said[0]
    assert (clip == np.stack(noise[:count]).transpose(3, 0, 1, 2)).all()


def test_without_the_package(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save_video(tmp_path / "a.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"coopnets\[video\]"):
        opened(file)
    with pytest.raises(DataError, match=r"coopnets\[video\]"):
        opened(tmp_path)
