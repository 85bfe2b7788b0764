"""What a GIF does to colours and times: nothing flickers, nothing drifts."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from coopnets import footage
from coopnets.footage import durations, thinned, write_gif, write_webp


def shown(clip: np.ndarray) -> np.ndarray:
    """A clip (T, H, W, C) as a viewer of its GIF sees it."""
    stream = BytesIO()
    write_gif(clip, stream, 25)
    with Image.open(stream) as picture:
        frames = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(picture)]
    return np.stack(frames)


def test_grey_is_exact() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 1), dtype=np.uint8)
    assert (shown(clip) == clip).all()


def test_few_colours_are_exact() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(100, 116, (256, 3), dtype=np.uint8)  # close to each other
    clip = colours[rng.integers(0, 256, (5, 16, 16))]
    assert (shown(clip) == clip).all()


def moving(frames: int = 4) -> np.ndarray:
    """Upper left: a slope in colour that stands still, (T, 32, 32, 3). The rest: noise."""
    clip = np.random.default_rng(0).integers(0, 256, (frames, 64, 64, 3), dtype=np.uint8)
    ramp = np.linspace(40, 200, 32).round()
    clip[:, :32, :32, 0], clip[:, :32, :32, 1], clip[:, :32, :32, 2] = ramp, ramp[:, None], 90
    return clip


def test_what_stands_still_does_not_flicker() -> None:
    still = shown(moving())[:, :32, :32]
    assert (still == still[:1]).all()


def test_error_diffusion_would_flicker() -> None:
    """The reason for a fixed pattern: the same frames in Pillow's usual way."""
    clip = moving()
    palette = Image.fromarray(clip.reshape(-1, 64, 3)).quantize(256)
    frames = [np.asarray(Image.fromarray(f).quantize(palette=palette).convert("RGB"))[:32, :32]
              for f in clip[:, :, ::-1].copy()]  # fmt: skip
    assert any((frame != frames[0]).any() for frame in frames)


def test_the_pattern_keeps_colours_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slope of many colours, which the palette alone cuts into steps, on average over 8 x 8."""
    y, x = np.mgrid[:64, :64]
    clip = np.stack([np.stack([40 + x + t, 60 + y, 120 + (x + y) / 2], -1) for t in range(4)])
    clip = clip.round().astype(np.uint8)

    def error() -> float:
        difference = shown(clip).astype(float) - clip
        return float(np.abs(difference.reshape(4, 8, 8, 8, 8, 3).mean((2, 4))).mean())

    with_pattern = error()
    monkeypatch.setattr(footage, "STRENGTH", 0.0)
    assert with_pattern < 0.8 * error()


@pytest.mark.parametrize(("fps", "unit"), [(25, 10), (30, 10), (23.976, 10), (50, 10), (60, 1)])
def test_durations_do_not_drift(fps: float, unit: int) -> None:
    lengths = durations(1000, fps, unit)
    ends = np.cumsum(lengths)
    assert np.abs(ends - 1000 * np.arange(1, 1001) / fps).max() <= unit / 2 + 1e-6
    assert all(length % unit == 0 for length in lengths)


def test_times_in_the_file() -> None:
    stream = BytesIO()
    write_gif(moving(6), stream, 30)
    with Image.open(stream) as picture:
        found = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert found == [30, 40, 30, 30, 40, 30]


@pytest.mark.parametrize("write", [write_gif, write_webp])
def test_moving_pictures_repeat_for_ever(write: object) -> None:
    stream = BytesIO()
    write(moving(3), stream, 25)  # type: ignore[operator]
    with Image.open(stream) as picture:
        assert picture.info["loop"] == 0


def test_every_nth_frame() -> None:
    frames = [np.full((1, 1, 1), k, np.uint8) for k in range(10)]
    for fps, most, step in ((50, 50, 1), (51, 50, 2), (100, 50, 2), (120, 50, 3)):
        kept, rate = thinned(frames, fps, most)
        assert [int(frame[0, 0, 0]) for frame in kept] == list(range(0, 10, step))
        assert rate == fps / step


@pytest.mark.parametrize("fps", [119.88, 239.76, 23.976, 66.37])
def test_odd_rates_are_written(tmp_path: Path, fps: float) -> None:
    """Also by MPEG-4, which counts no more than 65535 ticks a second."""
    av = pytest.importorskip("av")
    file = tmp_path / "a.avi"
    footage.write_video(moving()[:4], file, ".avi", fps, print)
    with av.open(str(file)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(fps, rel=1e-4)
