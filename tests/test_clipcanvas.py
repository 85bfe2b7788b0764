"""Clips from training to files: any length, loops, completion, refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro
from PIL import Image

from coopnets import clipcanvas, clipfiles, sample
from coopnets.cli import main
from coopnets.clipcanvas import plan_clip
from coopnets.config import Config
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets
from coopnets.models import ClipDescriptor, ClipGenerator, new_descriptor, new_generator
from coopnets.presets import preset
from coopnets.stage import stage
from small import CLIP_FLAGS
from two import STEPS, assert_same, in_two, last_tensors

FLAGS = [
    "--preset", "dynamic-texture", "--size", "8", *CLIP_FLAGS,
    "--langevin.steps", "3", "--batch-size", "3", "--chains", "2", "--checkpoint-every", "4",
]  # fmt: skip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bar that moves, 40 frames."""
    file = tmp_path_factory.mktemp("video") / "bar.gif"
    frames = []
    for t in range(40):
        pixels = np.full((12, 12, 3), 40, np.uint8)
        pixels[:, t % 12] = (200, 180, 50 + 4 * t)
        frames.append(Image.fromarray(pixels))
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=40, loop=0)
    return file


@pytest.fixture(scope="module")
def run(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "bar"
    assert main(["train", str(video), "--run", str(folder), "--steps", "8", *FLAGS]) == 0
    return folder


@pytest.fixture(scope="module")
def pair(run: Path) -> CoopNets:
    return CoopNets.from_pretrained(run)


def test_a_run_of_clips_has_pictures_a_playing_clip_and_a_report(run: Path) -> None:
    assert sorted(p.name for p in (run / "grids").iterdir()) == [
        "00000004.png", "00000008.png", "00000008.webp",
    ]  # fmt: skip
    with Image.open(run / "grids" / "00000008.webp") as playing:
        assert playing.n_frames == 32
    page = (run / "report.html").read_text()
    assert "data:image/webp;base64," in page and "32 frames of 8×8" in page
    assert page.count("<b>Proposed</b>") == 1


def test_a_stopped_run_of_clips_goes_on_bit_for_bit(
    video: Path, run: Path, tmp_path: Path
) -> None:
    for steps in ("5", "8"):
        command = ["train", str(video), "--run", str(tmp_path / "r"), "--steps", steps, *FLAGS]
        assert main(command) == 0
    stopped, whole = CoopNets.from_pretrained(tmp_path / "r"), CoopNets.from_pretrained(run)
    for name, net in whole.networks.items():
        for key, value in net.state_dict().items():
            assert torch.equal(value, stopped.networks[name].state_dict()[key])


def test_two_processes_equal_one(video: Path, tmp_path: Path) -> None:
    """Batch statistics are those of all clips."""

    def command(run: str) -> list[str]:
        more = ["--batch-size", "4", "--descriptor.init-std", "0.1", "--checkpoint-every", "2"]
        where = ["--run", str(tmp_path / run), "--steps", str(STEPS)]
        return ["train", str(video), *where, *FLAGS, *more]

    in_two(command("two"), tmp_path / "log")
    assert main(command("one")) == 0
    one, two = (last_tensors(tmp_path / run) for run in ("one", "two"))
    # A bias before batch norm has no gradient but rounding, which Adam blows up.
    before = [f"{net}.layers.{i}" for net in ("generator", "encoder") for i in (0, 3, 6)]
    idle = ("running_mean", *(f"{layer}{kind}.bias" for layer in before for kind in ("", ".conv")))
    kept = {k for k in one if not k.endswith(idle)}
    assert_same({k: one[k] for k in kept}, {k: two[k] for k in kept})


@pytest.mark.parametrize("frames", [1, 17, 32, 90])
def test_any_length(pair: CoopNets, frames: int) -> None:
    x = pair.sample(2, frames=frames)
    assert x.shape == (2, 3, frames, 8, 8) and bool(torch.isfinite(x).all())


def test_batches_do_not_matter(pair: CoopNets) -> None:
    whole = pair.sample(3, frames=50)
    torch.testing.assert_close(whole, pair.sample(3, frames=50, batch_size=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 3])
def test_a_loop_comes_around(pair: CoopNets, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Latent numbers that begin later in the circle give the same loop begun later."""
    langevin = replace(pair.config.langevin, tau=0.0)  # noise belongs to a frame by its number
    monkeypatch.setattr(pair, "config", replace(pair.config, langevin=langevin))
    plain = pair.sample(1, frames=32, loop=True, langevin_steps=steps)
    drawn = sample.latents
    monkeypatch.setattr(sample, "latents", lambda *given: drawn(*given).roll(-2, 2))
    later = pair.sample(1, frames=32, loop=True, langevin_steps=steps)
    torch.testing.assert_close(plain.roll(-8, 2), later, rtol=0, atol=1e-4)


def test_clips_are_written_as_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bar.gif"
    command = ["sample", str(run), "--seconds", "2", "--loop", "--out", str(out), "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["frames"] == 48 and told["fps"] == 25  # 50, brought to a multiple of 8
    with Image.open(out) as clip:
        assert clip.n_frames == 48
    assert main(["sample", str(run), "-n", "2", "--out", str(tmp_path / "s.npz")]) == 0
    assert np.load(tmp_path / "s.npz")["clips"].shape == (2, 3, 32, 8, 8)
    paths = ["interpolate", str(run), "--pairs", "1", "--points", "3"]
    assert main([*paths, "--out", str(tmp_path / "i.gif")]) == 0
    with Image.open(tmp_path / "i.gif") as clip:
        assert clip.n_frames == 32 and clip.width > 2 * clip.height


@pytest.mark.parametrize("mask", ["center:4", "frames:8-15"])
def test_missing_parts_of_clips_are_filled_in(
    run: Path, video: Path, tmp_path: Path, mask: str
) -> None:
    out = tmp_path / "out"
    command = ["complete", str(run), str(video), "--mask", mask, "--out", str(out), "--steps", "5"]
    assert main([*command, "--samples", "2"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert 0 < results["mean"]["error"] < 1
    made = [np.stack([np.array(Image.open(f)) for f in sorted((out / f"000000-{k}").iterdir())])
            for k in (1, 2)]  # fmt: skip
    from coopnets.data import open_clips, to_pixels

    clip = open_clips(video, frames=32, size=8, channels=3, say=lambda _: None)
    truth = to_pixels(clip.batch(torch.tensor([0])))[0].permute(1, 2, 3, 0).numpy()
    hidden = np.zeros((32, 8, 8), bool)
    if mask == "center:4":
        hidden[:, 2:6, 2:6] = True
    else:
        hidden[8:16] = True
    assert results["clips"][0]["hidden"] == hidden.sum()
    for y in made:
        assert (y[~hidden] == truth[~hidden]).all()
    assert (made[0] != made[1]).any()
    assert (out / "sheet.png").exists() and (out / "playing.webp").exists()


def test_the_descriptor_alone_fills_lost_frames_from_their_neighbours(pair: CoopNets) -> None:
    x = torch.rand(1, 3, 32, 8, 8) * 2 - 1
    mask = torch.zeros(1, 1, 32, 8, 8, dtype=torch.bool)
    mask[:, :, 10:13] = True
    y = pair.complete(x, mask, method="descriptor", langevin_steps=0)
    assert torch.equal(y[:, :, :10], x[:, :, :10])
    torch.testing.assert_close(y[:, :, 11], (x[:, :, 9] + x[:, :, 13]) / 2)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--loop", "--frames", "0"], "--frames is 0"),
        (["--seconds", "-1"], "--seconds is -1"),
        (["--seconds", "1", "--frames", "9"], "leave one out"),
        (["--size", "16"], "both networks of type ST"),
        (["--tile"], "cannot be tiled"),
        (["--out", "x.txt"], "cannot write x.txt"),
        (["--source", "generator", "--langevin-steps", "3"], "--langevin-steps is of the"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Path, tmp_path: Path, more: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if "--out" in more else ["--out", str(tmp_path / "x.gif")]
    assert main(["sample", str(run), *out, *more]) != 0
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "before", "asked"),
    [
        (name, before, asked)
        for name in ("dynamic-texture", "tf-dynamic-texture")
        for before, asked in (
            ({}, {"size": (32, 48)}),
            ({"size": 24, "frames": 40}, {"size": (32, 48)}),
            ({"descriptor": "FRAME_2"}, {"frames": 90}),
        )
        if (name, before.get("size")) != ("dynamic-texture", 24)  # no multiple of 16
    ],
)
def test_what_is_advised_can_be_drawn(
    name: str, before: dict[str, object], asked: dict[str, object]
) -> None:
    c = replace(preset(name), size=16, frames=32)
    if "descriptor" in before:
        c = replace(c, descriptor=replace(c.descriptor, clips="FRAME_2", channels=(6,)))
    else:
        c = replace(c, **before)  # type: ignore[arg-type]
    with pytest.raises(CoopNetsError, match="train with") as refused:
        plan_clip(c, *networks(c), **asked)  # type: ignore[arg-type]
    advised = re.search(r"train with (--[^)]*)", str(refused.value))
    assert advised is not None
    words = advised[1].split()
    again: Config = tyro.cli(Config, default=c, args=words, use_underscores=False)
    canvas = plan_clip(again, *networks(again), **asked)  # type: ignore[arg-type]
    wanted = (canvas.height, canvas.width) if "size" in asked else canvas.frames
    assert wanted == next(iter(asked.values()))


def networks(config: Config) -> tuple[ClipGenerator, ClipDescriptor]:
    g, f = new_generator(config), new_descriptor(config)
    assert isinstance(g, ClipGenerator) and isinstance(f, ClipDescriptor)
    return g, f


def test_pictures_have_no_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "mnist", "--run", str(tmp_path / "r"), "--steps", "1"]
    assert main([*command, "--fps", "5"]) != 0
    assert "--fps is of clips" in capsys.readouterr().err
    assert main([*command, "--frames", "32", "--method", "dcgan"]) != 0
    assert "knows images alone" in capsys.readouterr().err


def test_a_clip_beyond_memory_is_refused(pair: CoopNets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipcanvas, "free_bytes", lambda device: 3_000_000)
    with pytest.raises(CoopNetsError, match="frames would fit, or draw a --loop") as refused:
        pair.sample(1, frames=4000)
    advised = re.search(r"(\d+) frames would fit", str(refused.value))
    assert advised is not None and int(advised[1]) > 60
    assert pair.sample(1, frames=int(advised[1])).shape[2] == int(advised[1])
    with pytest.raises(CoopNetsError, match=r"frames would fit$") as refused:
        pair.sample(1, frames=4000, loop=True)
    advised = re.search(r"(\d+) frames would fit", str(refused.value))
    assert advised is not None
    assert pair.sample(1, frames=int(advised[1]), loop=True).shape[2] == int(advised[1])


def test_impossible_files_are_refused_before_anything_is_drawn(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CoopNets, "interpolate", lambda *given, **more: pytest.fail("drawn"))
    monkeypatch.setattr(clipfiles, "to_pixels", lambda x: pytest.fail("drawn"))
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.gif").mkdir()
    assert main(["interpolate", str(run), "--out", str(tmp_path / "a.png")]) == 1
    assert "cannot write a.png" in capsys.readouterr().err
    for name, says in (("file", "is a file already"), ("folder.gif", "is a folder already"),
                       ("file/a.gif", "cannot write")):  # fmt: skip
        assert main(["sample", str(run), "--out", str(tmp_path / name)]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["per-position"], ["layer-rates", "1", "2"]])
def test_rates_of_networks_of_pictures_are_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: list[str]
) -> None:
    argv = ["train", str(video), "--run", str(tmp_path / "r"), "--steps", "1", *FLAGS]
    assert main([*argv, f"--descriptor-optimizer.{flag[0]}", *flag[1:]]) == 1
    assert "know networks of pictures alone" in capsys.readouterr().err


def test_a_buffer_of_clips_beyond_memory_is_refused(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", str(video), "--run", str(tmp_path / "r"), "--preset", "dynamic-texture",
            "--method", "descriptor", "--frames", "32", "--chain.start", "persistent"]  # fmt: skip
    assert main([*argv, "--memory", "0", "--teaching", "0"]) == 1
    assert "choose at most 2730" in capsys.readouterr().err


def test_a_saved_model_of_clips_comes_back(pair: CoopNets, tmp_path: Path) -> None:
    pair.save_pretrained(tmp_path)
    again = CoopNets.from_pretrained(tmp_path)
    assert torch.equal(again.sample(1), pair.sample(1))
    assert again.fps == 25
    assert "clips = model.sample(4)  # (4, 3, 32, 8, 8)" in (tmp_path / "README.md").read_text()


def test_proposals_alone_need_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A length that only the generator bears is drawn without revision, and refused with it."""
    config = preset("dynamic-texture")
    g, f = new_generator(config), new_descriptor(config)
    room = clipcanvas.clip_bytes(config, plan_clip(config, g, f, 640, None, False)) // 2
    monkeypatch.setattr(clipcanvas, "free_bytes", lambda _: room)
    asked: dict[str, Any] = {
        "size": None, "tile": False, "frames": 640, "loop": False, "batch_size": 1,
        "device": torch.device("cpu"),
    }  # fmt: skip
    assert stage(config, g, None, **asked)[1] == 1
    with pytest.raises(CoopNetsError, match="frames would fit"):
        stage(config, g, f, **asked)
