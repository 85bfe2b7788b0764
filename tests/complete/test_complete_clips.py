"""Clips with parts missing: masks of either size, which frames and which part of the data."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from clip_files import LEVELS, save_animation
from coopnets.cli import main
from coopnets.complete.damaged import shrunk
from coopnets.complete.infill import Completer
from coopnets.config import Config
from coopnets.model import CoopNets
from coopnets.models import new_descriptor, new_generator
from small import CLIPS, CONFIG

Err = pytest.CaptureFixture[str]


def saved(config: Config, folder: Path) -> Path:
    """A model that has learnt nothing."""
    torch.manual_seed(0)
    config = replace(config, layout="channels_last")
    made = {"descriptor": new_descriptor(config), "generator": new_generator(config)}
    CoopNets(config, {k: v.state_dict() for k, v in made.items()}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of clips of 32 frames of 8x8."""
    return saved(CLIPS, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty flat frames of 24x16."""
    return save_animation(tmp_path_factory.mktemp("clip") / "a.gif")


def command(model: Path, source: Path, out: Path, *more: str) -> list[str]:
    return ["complete", str(model), str(source), "--out", str(out), "--steps", "2",
            "--starts", "1", *more]  # fmt: skip


def frames(folder: Path) -> np.ndarray:
    """(T, 8, 8), grey."""
    return np.stack([np.array(Image.open(f))[..., 0] for f in sorted(folder.iterdir())])


def drawn(file: Path, width: int, height: int) -> np.ndarray:
    """A mask that hides what is right of the middle."""
    hidden = np.zeros((height, width), bool)
    hidden[:, width // 2 :] = True
    Image.fromarray((255 * hidden).astype(np.uint8)).save(file)
    return hidden


def test_a_mask_as_large_as_the_clip_goes_its_way(model: Path, clip: Path, tmp_path: Path) -> None:
    hidden = shrunk(drawn(tmp_path / "mask.png", 24, 16), 8, None)
    assert 0 < hidden.sum() < hidden.size
    mask = ["--mask", str(tmp_path / "mask.png")]
    assert main(command(model, clip, tmp_path / "out", *mask)) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["clips"][0]["hidden"] == 32 * hidden.sum()
    made = frames(tmp_path / "out" / "000000")
    truth = np.array(LEVELS[:32])[:, None, None]
    assert (made == truth)[:, ~hidden].all() and (made != truth)[:, hidden].any()


def test_a_mask_for_each_frame_of_either_size(model: Path, clip: Path, tmp_path: Path) -> None:
    for name, width, height in (("large", 24, 16), ("small", 8, 8)):
        folder = tmp_path / name
        folder.mkdir()
        for i in range(32):
            hidden = drawn(folder / f"{i}.png", width, height)
            if i % 2:  # nothing of every other frame
                Image.fromarray(np.zeros_like(hidden, np.uint8)).save(folder / f"{i}.png")
        out = tmp_path / f"{name}-out"
        assert main(command(model, clip, out, "--mask", str(folder))) == 0
        made = frames(out / "000000")
        assert (made[1::2] == np.array(LEVELS[1:32:2])[:, None, None]).all()
        assert (made[::2] != np.array(LEVELS[:32:2])[:, None, None]).any()


def test_other_frames_than_the_first(model: Path, clip: Path, tmp_path: Path, capsys: Err) -> None:
    more = ["--mask", "frames:35-38", "--start", "8"]
    assert main(command(model, clip, tmp_path / "out", *more)) == 0
    assert "completing frames 8 to 39" in capsys.readouterr().err
    made = frames(tmp_path / "out" / "000000")
    same = (made == np.array(LEVELS[8:])[:, None, None]).all((1, 2))
    assert np.flatnonzero(~same).tolist() == [27, 28, 29, 30]
    assert json.loads((tmp_path / "out" / "results.json").read_text())["start"] == 8


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--mask", "frames:30-33"], "frames 0 to 31 of the clip are completed; --start 16 takes"),
        (["--mask", "frames:2", "--start", "8"], "frames 8 to 39 .* --start 0 takes 0 to 31"),
        (["--mask", "frames:30-33", "--start", "16"], "40 frames, 48 wanted: --start 8 would fit"),
        (["--mask", "frames:0-31"], "some must be visible"),
        (["--mask", "frames:9-5"], "the first frame comes before the last"),
        (["--mask", "frames:x"], "for instance frames:20-40"),
        (["--mask", "center:4", "--start", "-1"], "--start is -1"),
        (["--mask", "MASK"], "mask.png is 10x10 pixels: make it 8x8 .* or 24x16"),
        (["--mask", "center:4", "--split", "test"], "a single file is all train"),
    ],
)
def test_what_cannot_be_completed(
    model: Path, clip: Path, tmp_path: Path, capsys: Err, more: list[str], says: str
) -> None:
    drawn(tmp_path / "mask.png", 10, 10)
    more = [str(tmp_path / "mask.png") if word == "MASK" else word for word in more]
    assert main(command(model, clip, tmp_path / "out", *more)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search(says, error), error


def test_the_test_split_is_completed_where_there_is_one(model: Path, tmp_path: Path) -> None:
    save_animation(tmp_path / "set" / "train" / "a.gif", LEVELS[:32])
    save_animation(tmp_path / "set" / "test" / "b.gif", LEVELS[:32][::-1])
    for more, first in (([], LEVELS[31]), (["--split", "train"], LEVELS[0])):
        out = tmp_path / f"out-{first}"
        mask = ["--mask", "frames:5"]
        assert main(command(model, tmp_path / "set", out, *mask, *more)) == 0
        assert (frames(out / "000000")[0] == first).all()


def test_pictures_have_no_start(tmp_path: Path, capsys: Err) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    model = saved(CONFIG, tmp_path / "model")
    more = ["--mask", "center:4", "--start", "3"]
    assert main(command(model, tmp_path / "a.png", tmp_path / "out", *more)) == 1
    assert "--start is of clips" in capsys.readouterr().err


def test_a_command_that_is_interrupted_again_earlier_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it made before is its own still, even if that comes later than where it is now."""
    for i in range(3):
        save_animation(tmp_path / "set" / f"{i}.gif", LEVELS[i : i + 32])
    usual, left, out = Completer.__call__, [2], tmp_path / "out"

    def stopped(self: Completer, x: Tensor, mask: Tensor, **more: Any) -> Tensor:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return usual(self, x, mask, **more)

    monkeypatch.setattr(Completer, "__call__", stopped)
    words = command(model, tmp_path / "set", out, "--mask", "frames:5")
    assert main(words) == 130
    shutil.rmtree(out / "000000")
    left[0] = 1  # the first again, but not the second, which is there
    assert main(words) == 130
    left[0] = 9
    assert main(words) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["completed"] == 3 and "files" not in results


def test_interrupted_commands_go_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Err
) -> None:
    """Of three clips the first is not completed again, and the end is that of one go."""
    for i in range(3):
        save_animation(tmp_path / "set" / f"{i}.gif", LEVELS[i : i + 32])
    called, usual, out = list[int](), Completer.__call__, tmp_path / "out"

    def stopped(self: Completer, x: Tensor, mask: Tensor, **more: Any) -> Tensor:
        called.append(more["first"])
        if len(called) == 2:
            raise KeyboardInterrupt
        return usual(self, x, mask, **more)

    monkeypatch.setattr(Completer, "__call__", stopped)
    words = command(model, tmp_path / "set", out, "--mask", "frames:5")
    assert main(words) == 130
    assert main([*words, "--seed", "1"]) == 1
    assert "unfinished completions with another seed" in capsys.readouterr().err

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("coopnets.clipfiles.write_frames", killed)
        assert main(words) == 130  # the second is named and not written
    (out / "000002").mkdir()
    (out / "000002" / "notes.txt").write_text("mine")
    assert main(words) == 1
    assert "000002 is there already" in capsys.readouterr().err
    (out / "000002" / "notes.txt").unlink()
    (out / "000002").rmdir()
    assert main(words) == 0
    assert called == [0, 1, 1, 1, 2]
    assert main(command(model, tmp_path / "set", tmp_path / "whole", "--mask", "frames:5")) == 0
    made = [{f.relative_to(o): f.read_bytes() for f in o.rglob("*") if f.suffix != ".json"
             and f.is_file()} for o in (out, tmp_path / "whole")]  # fmt: skip
    assert made[0] == made[1] and len(made[0]) == 3 * 32 + 2
    results = [json.loads((o / "results.json").read_text()) for o in (out, tmp_path / "whole")]
    assert results[0] == results[1] and results[0]["finished"]
    assert main(words) == 1
    assert "is there already: choose another --out" in capsys.readouterr().err
