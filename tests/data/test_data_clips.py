"""Clips without a video library: animations, folders of frames, zips; examples; bad input."""

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clip_files import LEVELS, flat, levels_of, save_animation, save_frames
from coopnets.data import ClipData, clips, open_clips, to_pixels
from coopnets.errors import DataError, SplitError


@pytest.fixture
def opened(said: list[str]) -> Callable[..., ClipData]:
    return partial(open_clips, frames=8, size=8, channels=3, say=said.append)


Open = Callable[..., ClipData]


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return file


# what counts as an example


def test_the_first_frames_of_a_clip(tmp_path: Path, opened: Open) -> None:
    data = opened(save_animation(tmp_path / "a.gif"))
    assert len(data) == 1
    assert levels_of(data.clips[0]) == LEVELS[:8]
    batch = data.batch(torch.tensor([0, 0]))
    assert batch.shape == (2, 3, 8, 8, 8) and batch.dtype == torch.float32
    assert to_pixels(batch)[1, 0, :, 0, 0].tolist() == LEVELS[:8]


def test_every_start_frame_is_an_example(tmp_path: Path, opened: Open) -> None:
    save_animation(tmp_path / "a.gif", LEVELS[:10])
    save_animation(tmp_path / "b.gif", LEVELS[20:32])
    data = opened(tmp_path, windows=True)
    assert len(data) == 3 + 5
    starts = to_pixels(data.batch(np.arange(8)))[:, 0, 0, 0, 0].tolist()
    assert starts == LEVELS[:3] + LEVELS[20:25]
    assert to_pixels(data.batch(np.array([7])))[0, 0, :, 0, 0].tolist() == LEVELS[24:32]


def test_a_batch_has_memory_of_its_own(tmp_path: Path, opened: Open) -> None:
    data = opened(save_animation(tmp_path / "a.gif"))
    data.batch(torch.tensor([0])).fill_(1)
    assert levels_of(data.clips[0]) == LEVELS[:8]


def test_fingerprint_tells_pixels_and_examples_apart(tmp_path: Path, opened: Open) -> None:
    here = save_animation(tmp_path / "a.gif")
    (tmp_path / "elsewhere").mkdir()
    there = here.rename(tmp_path / "elsewhere" / "b.gif")
    first = opened(there).fingerprint
    again = opened(save_animation(tmp_path / "c.gif")).fingerprint
    assert first == again
    others = [
        opened(there, windows=True).fingerprint,
        opened(there, windows=True, frames=7).fingerprint,
        opened(save_animation(tmp_path / "d.gif", [9, *LEVELS[1:]])).fingerprint,
    ]
    assert len({first, *others}) == 4


# where clips come from


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.apng"])
def test_animations_by_pillow(tmp_path: Path, opened: Open, name: str) -> None:
    options = {"format": "PNG"} if name == "a.apng" else {}
    data = opened(save_animation(tmp_path / name, duration=50, **options), windows=True)
    assert levels_of(data.clips[0]) == LEVELS
    assert data.fps == 20


def test_animated_webp(tmp_path: Path, opened: Open) -> None:
    data = opened(save_animation(tmp_path / "a.webp", lossless=True, duration=50), windows=True)
    assert levels_of(data.clips[0]) == LEVELS
    assert data.fps == 20


def test_the_still_picture_of_an_apng_is_no_frame(tmp_path: Path, opened: Open) -> None:
    file = save_animation(tmp_path / "a.png", [255, *LEVELS], default_image=True)
    assert levels_of(opened(file, windows=True).clips[0]) == LEVELS


def test_transparency_lies_on_white(tmp_path: Path, opened: Open) -> None:
    pictures = [Image.new("RGBA", (9, 9), (0, 0, 0, 5 * k)) for k in range(8)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:])
    assert levels_of(opened(tmp_path / "a.png").clips[0]) == [255 - 5 * k for k in range(8)]


def test_a_folder_of_frames_in_natural_order(
    tmp_path: Path, opened: Open, said: list[str]
) -> None:
    data = opened(save_frames(tmp_path / "fire"), windows=True)
    assert len(data.clips) == 1
    assert levels_of(data.clips[0]) == LEVELS
    assert data.fps == 25 and "assumed" in said[-1]


def test_frames_of_a_folder_take_the_given_rate(
    tmp_path: Path, opened: Open, said: list[str]
) -> None:
    data = opened(save_frames(tmp_path / "fire"), windows=True, fps=12)
    assert levels_of(data.clips[0]) == LEVELS
    assert data.fps == 12 and "assumed" not in said[-1]


@pytest.mark.parametrize("in_zip", [False, True])
def test_folders_of_frames_are_a_clip_each(tmp_path: Path, opened: Open, in_zip: bool) -> None:
    for number, start in ((2, 0), (10, 9), (1, 20)):
        save_frames(tmp_path / "set" / f"clip{number}", LEVELS[start : start + 9])
    (tmp_path / "set" / ".DS_Store").write_text("")
    source = zipped(tmp_path / "set", tmp_path / "set.zip") if in_zip else tmp_path / "set"
    data = opened(source)
    firsts = [levels_of(clip)[0] for clip in data.clips]
    assert firsts == [LEVELS[20], LEVELS[0], LEVELS[9]]  # clip1, clip2, clip10


@pytest.mark.parametrize("in_zip", [False, True])
def test_animations_in_a_folder_are_a_clip_each(
    tmp_path: Path, opened: Open, said: list[str], in_zip: bool
) -> None:
    save_animation(tmp_path / "set" / "b2.gif", LEVELS[:8])
    save_animation(tmp_path / "set" / "b10.webp", LEVELS[8:16], lossless=True)
    Image.fromarray(flat(0)).save(tmp_path / "set" / "a-poster.png")
    source = zipped(tmp_path / "set", tmp_path / "set.zip") if in_zip else tmp_path / "set"
    data = opened(source)
    assert [levels_of(clip) for clip in data.clips] == [LEVELS[:8], LEVELS[8:16]]
    assert "left out 1 still pictures" in said[0] and "poster.png" in said[0]


def test_folders_named_train_and_test_are_splits(tmp_path: Path, opened: Open) -> None:
    save_animation(tmp_path / "train" / "a.gif", LEVELS[:8])
    save_frames(tmp_path / "test" / "b", LEVELS[8:16])
    assert [levels_of(clip) for clip in opened(tmp_path).clips] == [LEVELS[:8]]
    assert [levels_of(clip) for clip in opened(tmp_path, split="test").clips] == [LEVELS[8:16]]
    with pytest.raises(SplitError, match="no split 'val'"):
        opened(tmp_path, split="val")
    with pytest.raises(SplitError, match="a single file is all train"):
        opened(tmp_path / "train" / "a.gif", split="test")


def test_limit_takes_the_same_clips_each_time(tmp_path: Path, opened: Open) -> None:
    for k in range(9):
        save_animation(tmp_path / f"{k}.gif", [k, *LEVELS])
    sets = [
        {levels_of(clip)[0] for clip in opened(tmp_path, limit=limit).clips}
        for limit in (2, 4, 4, 99)
    ]
    assert [len(s) for s in sets] == [2, 4, 4, 9]
    assert sets[0] < sets[1] == sets[2] < sets[3]


# pixels


def test_largest_centred_box_is_resized(tmp_path: Path, opened: Open) -> None:
    frame = np.full((20, 40, 3), 200, np.uint8)
    frame[:, :8] = frame[:, 32:] = 0  # two pixels from the square, out of the filter's reach
    (tmp_path / "wide").mkdir()
    for k in range(8):
        Image.fromarray(frame).save(tmp_path / "wide" / f"{k}.png")
    assert levels_of(opened(tmp_path / "wide", size=20).clips[0]) == [200] * 8
    whole = opened(tmp_path / "wide", size=(10, 20)).clips[0]
    assert whole.shape == (3, 8, 10, 20)
    assert levels_of(whole[..., 6:14]) == [200] * 8 and levels_of(whole[..., :3]) == [0] * 8


def test_crop_and_grey(tmp_path: Path, opened: Open) -> None:
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[6:14, 6:14] = (255, 0, 0)
    (tmp_path / "red").mkdir()
    for k in range(8):
        Image.fromarray(frame).save(tmp_path / "red" / f"{k}.png")
    clip = opened(tmp_path / "red", crop=8, channels=1).clips[0]
    assert clip.shape == (1, 8, 8, 8)
    assert levels_of(clip) == [76] * 8  # 0.299 of red


# rates


def test_durations_of_a_gif_are_its_times(tmp_path: Path, opened: Open, said: list[str]) -> None:
    times = [30, 30, 40] * 10  # thirty frames a second in hundredths
    file = save_animation(tmp_path / "a.gif", LEVELS[:30], duration=times)
    data = opened(file, windows=True)
    assert data.fps == pytest.approx(30, rel=0.01)
    assert len(said) == 1  # nothing to say of its rate
    half = opened(file, windows=True, fps=15, frames=4)
    assert levels_of(half.clips[0]) == LEVELS[:30:2]
    assert half.fps == 15


def test_a_variable_rate_is_told_and_made_even(
    tmp_path: Path, opened: Open, said: list[str]
) -> None:
    file = save_animation(tmp_path / "a.gif", LEVELS[:8], duration=[100] * 4 + [300] * 4)
    assert levels_of(opened(file).clips[0]) == LEVELS[:8]
    assert "frame rate varies" in said[0] and "--fps" in said[0]
    said.clear()
    data = opened(file, windows=True, fps=10)
    nearest = [0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7]  # to 0.5 s: shown at 0.4, not 0.7
    assert levels_of(data.clips[0]) == [LEVELS[k] for k in nearest]
    assert not any("varies" in line for line in said)


def test_repeated_frames_are_told(tmp_path: Path, opened: Open, said: list[str]) -> None:
    data = opened(save_animation(tmp_path / "a.gif"), fps=50)
    assert levels_of(data.clips[0])[:4] == [LEVELS[0], LEVELS[0], LEVELS[1], LEVELS[1]]
    assert "25 frames a second, so at 50 some are repeated" in said[0]


def test_a_clip_that_does_not_move_is_told(tmp_path: Path, opened: Open, said: list[str]) -> None:
    opened(save_frames(tmp_path / "still", [7] * 9))
    assert "does not move" in said[0]


def test_an_animation_without_times(tmp_path: Path, opened: Open) -> None:
    assert opened(save_animation(tmp_path / "a.gif", duration=0)).fps == 10


# bad input


def still_gif(folder: Path) -> Path:
    return save_animation(folder / "a.gif", [50])


def still_png(folder: Path) -> Path:
    Image.fromarray(flat(1)).save(folder / "a.png")
    return folder / "a.png"


def short_gif(folder: Path) -> Path:
    return save_animation(folder / "a.gif", LEVELS[:5])


def one_frame(folder: Path) -> Path:
    return save_frames(folder / "one", LEVELS[:1])


def mixed_sizes(folder: Path) -> Path:
    save_frames(folder / "mixed", LEVELS[:9])
    Image.fromarray(flat(1, 16, 26)).save(folder / "mixed" / "frame5.png")
    return folder / "mixed"


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("no clips here")
    return folder / "empty"


def empty_zip(folder: Path) -> Path:
    return zipped(empty(folder), folder / "a.zip")


def no_zip(folder: Path) -> Path:
    (folder / "a.zip").write_bytes(b"PK and no more")
    return folder / "a.zip"


def text(folder: Path) -> Path:
    (folder / "clip.txt").write_text("fire")
    return folder / "clip.txt"


def missing(folder: Path) -> Path:
    return folder / "fire.gif"


def broken(folder: Path) -> Path:
    (folder / "a.gif").write_bytes(b"GIF89a and no more")
    return folder / "a.gif"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (still_gif, "a.gif cannot be used: a still picture, not a clip"),
        (still_png, "a.png cannot be used: a still picture, not a clip"),
        (short_gif, "5 frames, 8 wanted$"),
        (one_frame, "a single frame, which does not move"),
        (mixed_sizes, "differ in size: the first is 24x16, frame 5 26x16"),
        (empty, "no clips in .*empty"),
        (empty_zip, "no clips in .*a.zip"),
        (no_zip, "not a readable zip"),
        (text, "no kind of clip"),
        (missing, "no such path"),
        (broken, "a.gif cannot be used"),
    ],
)
def test_bad_sources(tmp_path: Path, opened: Open, make: object, words: str) -> None:
    source = make(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataError, match=words) as caught:
        opened(source)
    assert "\n" not in str(caught.value)


def test_too_short_after_resampling_says_both_counts(tmp_path: Path, opened: Open) -> None:
    file = save_animation(tmp_path / "a.gif", LEVELS[:12])
    with pytest.raises(DataError, match=r"6 frames at 12.5 a second \(12 as they come\), 8 wa"):
        opened(file, fps=12.5)


@pytest.mark.parametrize(
    "wrong", [{"frames": 1}, {"size": 0}, {"channels": 2}, {"fps": 0}, {"fps": float("nan")},
              {"fps": float("inf")}, {"crop": 0}, {"limit": 0}]
)  # fmt: skip
def test_bad_requests(tmp_path: Path, opened: Open, wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        opened(save_animation(tmp_path / "a.gif"), **wrong)


def test_unusable_clips_of_a_set_are_skipped_or_refused(
    tmp_path: Path, opened: Open, said: list[str]
) -> None:
    save_animation(tmp_path / "a.gif")
    save_animation(tmp_path / "b.gif", LEVELS[:3])
    (tmp_path / "c.gif").write_bytes(b"GIF89a and no more")
    data = opened(tmp_path)
    assert [name for name, _ in data.skipped] == ["b.gif", "c.gif"]
    assert "2 skipped, first: b.gif: 3 frames" in said[-1]
    with pytest.raises(DataError, match=r"cannot read b.gif: 3 frames"):
        opened(tmp_path, strict=True)
    (tmp_path / "a.gif").unlink()
    with pytest.raises(DataError, match="none of the 2 clips"):
        opened(tmp_path)


def cut_gif(folder: Path) -> Path:
    whole = save_animation(folder / "a.gif").read_bytes()
    (folder / "a.gif").write_bytes(whole[: len(whole) * 2 // 3])
    return folder / "a.gif"


def test_a_gif_that_ends_between_two_frames(tmp_path: Path, opened: Open, said: list[str]) -> None:
    file = save_animation(tmp_path / "a.gif")
    whole = file.read_bytes()
    file.write_bytes(whole + bytes(9))  # some programs leave zeros at the end
    opened(file, windows=True, strict=True)
    assert len(said) == 1
    file.write_bytes(whole[:-1])
    assert levels_of(opened(file, windows=True).clips[0]) == LEVELS
    assert "breaks off after 40 frames" in said[1]


def cut_png(folder: Path) -> Path:
    whole = save_animation(folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) * 2 // 3])
    return folder / "a.png"


def broken_frame(folder: Path) -> Path:
    save_frames(folder / "frames")
    (folder / "frames" / "frame20.png").write_bytes(b"nothing")
    return folder / "frames"


@pytest.mark.parametrize("make", [cut_gif, cut_png, broken_frame])
def test_what_comes_before_the_damage_is_used(
    tmp_path: Path, opened: Open, said: list[str], make: Callable[[Path], Path]
) -> None:
    source = make(tmp_path)
    data = opened(source, windows=True)
    found = levels_of(data.clips[0])
    assert 8 < len(found) < len(LEVELS)
    assert found == LEVELS[: len(found)]
    assert "what comes before is used" in said[0]
    with pytest.raises(DataError, match=r"damaged|breaks off|cannot be read"):
        opened(source, windows=True, strict=True)
    with pytest.raises(DataError, match=f"{len(found)} frames .*39 wanted"):
        opened(source, frames=39)


def test_more_than_memory_is_refused_while_it_is_read(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "LARGEST", 20 * 8 * 8 * 3)
    file = save_animation(tmp_path / "a.gif")
    assert opened(file, frames=20).clips[0].shape[1] == 20
    with pytest.raises(DataError, match=r"--no-windows"):
        opened(file, windows=True)
    save_animation(tmp_path / "b.gif")
    save_animation(tmp_path / "c.gif")
    with pytest.raises(DataError, match=r"fewer --frames"):
        opened(tmp_path)
