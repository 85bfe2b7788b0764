"""What is told of clips: a length that can be trained on, and the size of their own frames."""

from pathlib import Path

import pytest

from clip_files import LEVELS, save_animation, save_frames
from coopnets.data import open_clips
from coopnets.errors import DataError
from coopnets.prepare import open_observed
from coopnets.presets import preset


@pytest.mark.parametrize(
    ("there", "name", "says"),
    [
        (39, "dynamic-texture", "39 frames, 64 wanted: --frames 32 would fit"),
        (39, "tf-dynamic-texture", "--frames 36 would fit"),
        (27, "tf-dynamic-texture", "27 frames, 64 wanted$"),  # 28 are the least
    ],
)
def test_the_length_that_is_proposed_can_be_trained_on(
    tmp_path: Path, there: int, name: str, says: str
) -> None:
    file = save_animation(tmp_path / "a.gif", LEVELS[:there])
    with pytest.raises(DataError, match=says):
        open_observed(preset(name), str(file), "train", None, None, False, print)


def test_clips_know_the_size_of_their_frames(tmp_path: Path) -> None:
    save_animation(tmp_path / "a.gif")
    save_frames(tmp_path / "b", LEVELS[:9])
    for name, crop in (("a.gif", None), ("b", 6)):
        clips = open_clips(tmp_path / name, frames=8, size=4, channels=3, crop=crop)
        assert clips.extents == ((16, 24),)
