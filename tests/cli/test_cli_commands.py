"""The commands do what they say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import CoopNets, checkpoint
from coopnets.cli import main
from coopnets.cli.train import seconds
from coopnets.cli.train import train_command as command_for
from coopnets.data import to_pixels
from coopnets.presets import MINUTES, PRESETS
from coopnets.runfolder import RunFolder
from small import FLAGS, train_command

Out = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), ("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1h30m", 5400), ("1h30m5s", 5405)],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


def test_train_leaves_a_run(trained: Path) -> None:
    folder = RunFolder(trained)
    config = folder.config()
    assert (config.size, config.generator.latent, config.langevin.steps) == (8, 6, 4)
    assert config.precision == "fp32" and config.preset == "digits"
    assert [c.iteration for c in checkpoint.whole(folder.checkpoints)] == [60, 55, 50]
    assert len(list(folder.grids.iterdir())) == 12
    assert [m["iteration"] for m in folder.metrics()] == [10, 20, 30, 40, 50, 60]
    assert folder.describe()["data"]["images"] == 40


def test_what_a_run_shows_is_finite(trained: Path) -> None:
    for line in RunFolder(trained).metrics():
        assert all(np.isfinite(v) for v in line.values())


def test_repeating_a_finished_command_does_nothing(array: Path, tmp_path: Path) -> None:
    argv = train_command(array, tmp_path / "run", steps=5)
    assert main(argv) == 0
    file = tmp_path / "run" / "checkpoints" / "00000005" / checkpoint.TENSORS
    before = file.read_bytes()
    assert main(argv) == 0 and file.read_bytes() == before


def test_fresh_starts_over(array: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(train_command(array, run, steps=10)) == 0
    assert main(train_command(array, run, "--sigma", "0.5", "--fresh", steps=5)) == 0
    folder = RunFolder(run)
    assert folder.config().sigma == 0.5
    assert [c.iteration for c in checkpoint.whole(folder.checkpoints)] == [5, 0]
    assert [p.name for p in folder.grids.iterdir()] == ["00000005.png"]


def test_max_time_ends_training(array: Path, tmp_path: Path) -> None:
    argv = ["train", str(array), "--run", str(tmp_path / "run"), "--max-time", "0.2s", *FLAGS]
    assert main(argv) == 0
    found = checkpoint.whole(tmp_path / "run" / "checkpoints")[0]
    assert found.iteration >= 1 and 0.2 <= found.state["seconds"] < 5


def test_a_preset_knows_how_long(
    array: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert {name for name in PRESETS if not name.startswith(("tf", "pt", "matlab"))} == set(
        MINUTES
    )
    monkeypatch.setitem(MINUTES, "digits", 0.004)
    assert main(["train", str(array), "--run", str(tmp_path / "run"), *FLAGS]) == 0
    found = checkpoint.whole(tmp_path / "run" / "checkpoints")[0]
    assert found.iteration >= 1 and 0.24 <= found.state["seconds"] < 5
    assert "training 0.004 minutes, as --preset digits usually is" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["train", "photos", "--run", "r"], "scene"),
        (["train", "cifar10", "--run", "r"], "cifar"),
        (["train", "--run", "r", "mnist"], "digits"),
        (["train", "mnist", "--preset", "tf-pami-mnist"], "tf-pami-mnist"),
        (["train", "x", "--preset=face"], "face"),
    ],
)
def test_preset_is_named_or_follows_from_the_data(arguments: list[str], name: str) -> None:
    default = command_for(arguments).__defaults__
    assert default is not None and default[-1] == PRESETS[name]


def test_samples_of_the_command_are_those_of_the_library(
    trained: Path, tmp_path: Path, capsys: Out
) -> None:
    out = tmp_path / "s.npz"
    argv = ["sample", str(trained), "--out", str(out), "-n", "7", "--seed", "3", "--first", "2",
            "--batch-size", "3", "--json"]  # fmt: skip
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["number"], told["source"], told["out"]) == (7, "descriptor", str(out))
    with np.load(out, allow_pickle=False) as archive:
        found = archive["images"].astype(int)
    expected = to_pixels(CoopNets.from_pretrained(trained).sample(7, seed=3, first=2)).numpy()
    assert np.abs(found - expected).max() <= 1


def test_sources_differ(trained: Path, tmp_path: Path) -> None:
    found = {}
    for source, steps in (("descriptor", ["--langevin-steps", "50"]), ("generator", [])):
        out = tmp_path / f"{source}.npz"
        argv = ["sample", str(trained), "--out", str(out), "-n", "4", "--source", source]
        assert main([*argv, *steps]) == 0
        found[source] = np.load(out)["images"]
    assert (found["descriptor"] != found["generator"]).any()
    generated = to_pixels(CoopNets.from_pretrained(trained).generate(4)).numpy()
    assert np.abs(found["generator"].astype(int) - generated).max() <= 1


@pytest.mark.parametrize(("name", "kind"), [("grid.png", "file"), ("pictures", "folder")])
def test_sample_outputs(trained: Path, tmp_path: Path, name: str, kind: str) -> None:
    out = tmp_path / name
    assert main(["sample", str(trained), "--out", str(out), "-n", "5"]) == 0
    assert len(list(out.iterdir())) == 5 if kind == "folder" else Image.open(out).size == (32, 22)


@pytest.mark.parametrize(("kind", "rows"), [("linear", 2), ("sphere", 6)])
def test_interpolate_draws_its_rows(trained: Path, tmp_path: Path, kind: str, rows: int) -> None:
    out = tmp_path / "path.png"
    argv = ["interpolate", str(trained), "--out", str(out), "--kind", kind, "--pairs", "2",
            "--points", "3", "--langevin-steps", "1"]  # fmt: skip
    assert main(argv) == 0
    assert Image.open(out).size == (3 * 10 + 2, rows * 10 + 2)


def test_interpolate_draws_one_plane(
    array: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "map.png"
    assert main(train_command(array, run, "--generator.latent", "2", steps=2)) == 0
    capsys.readouterr()
    assert main(["interpolate", str(run), "--out", str(out), "--kind", "plane", "--points", "4",
                 "--json"]) == 0  # fmt: skip
    assert json.loads(capsys.readouterr().out)["pairs"] == 1
    assert Image.open(out).size == (4 * 10 + 2, 4 * 10 + 2)


def test_info_says_where_a_run_stands(trained: Path, capsys: Out) -> None:
    capsys.readouterr()
    assert main(["info", str(trained)]) == 0
    text = capsys.readouterr().out
    assert "60 iterations" in text and "40 images" in text
    assert "(preset: 10)" in text  # langevin.steps
    assert main(["info", str(trained), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["iteration"] == 60 and told["config"]["langevin"]["steps"] == 4
    assert told["checkpoints"] == [60, 55, 50] and told["metrics"]["iteration"] == 60


def test_presets_are_listed_and_shown(capsys: Out) -> None:
    assert main(["presets"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in PRESETS)
    assert main(["presets", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(PRESETS)
    assert main(["presets", "tf-pami-scene"]) == 0
    assert "langevin.delta" in capsys.readouterr().out


def test_trained_model_moved(trained: Path, array: Path) -> None:
    """Sixty iterations change the generator visibly."""
    model = CoopNets.from_pretrained(trained)
    assert float(model.generate(4).abs().mean()) > 0.01
    assert torch.isfinite(model.sample(4)).all()
