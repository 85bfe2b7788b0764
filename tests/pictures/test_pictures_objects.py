"""The experiment with objects on tiny models, and the search for copies."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import CoopNets
from coopnets.data import ImageData, open_images, to_pixels
from coopnets.errors import CoopNetsError, DivergenceError
from experiments.objects import make
from experiments.objects.copies import nearest
from small import FLAGS, pixels

MORE = [*FLAGS, "--generator.latent", "2", "--steps", "4", "--flip"]
Out = pytest.CaptureFixture[str]


@pytest.fixture
def argv(array: Path, network: Callable[[int], str], tmp_path: Path) -> list[str]:
    return ["--data", str(array), "--out", str(tmp_path / "out"), "--minutes", "9", "--sizes",
            "64", "--counts", "12", "30", "--plane", "20", "--samples", "16", "--features",
            network(1), *MORE]  # fmt: skip


def test_every_training_has_its_pictures(argv: list[str], tmp_path: Path) -> None:
    assert make.main(argv) == 0
    out, rows = tmp_path / "out", json.loads((tmp_path / "out" / "table.json").read_text())["rows"]
    assert [(r["name"], r["images"], r["iterations"]) for r in rows] == [
        ("64-12", 12, 4), ("64-30", 30, 4), ("plane-20", 20, 4),
    ]  # fmt: skip
    common = {"samples-generator", "samples-descriptor", "linear", "linear-revised", "sphere",
              "sphere-revised", "nearest"}  # fmt: skip
    for row in rows:
        kinds = {"plane", "plane-revised"} if row["name"] == "plane-20" else set()
        assert {p.stem for p in (out / row["name"]).glob("*.png")} == common | kinds
        assert row["flip"] and set(row["scores"]) == {"generator", "descriptor"}
    model = CoopNets.from_pretrained(out / "plane-20" / "run")
    plane = np.array(Image.open(out / "plane-20" / "plane.png"))
    assert plane.shape[:2] == (8 * 10 + 2, 8 * 10 + 2)
    shown = to_pixels(model.interpolate(kind="plane", points=8)[0, 7, 7])  # the last one laid
    last = plane[72:80, 72:80] if plane.ndim == 2 else plane[72:80, 72:80, 0]
    assert np.abs(shown[0].numpy().astype(int) - last).max() <= 1
    text = (out / "table.md").read_text()
    assert str(tmp_path) not in text
    assert f"| {rows[0]['nearest']:.3f} | {rows[0]['nearest_among_images']:.3f} |" in text
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    assert make.main(argv) == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.png") if "grids" not in p.parts} == {
        p: t for p, t in before.items() if "grids" not in p.parts
    }


def test_a_training_that_ran_away_has_a_row(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = make.trained

    def unlucky(data: str, run: Path, *more: Any) -> CoopNets:
        if "64-30" in str(run):
            raise DivergenceError("it ran away")
        return usual(data, run, *more)

    monkeypatch.setattr(make, "trained", unlucky)
    assert make.main([*argv, "--plane", "0"]) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    assert "| 64-30 | face | 30 | – | – |" in text and "- 64-30: it ran away" in text
    assert "| 64-12 | digits | 12 | 4 |" in text  # which was asked for


def test_copies_are_found_even_mirrored(
    model: CoopNets, array: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples that are training images are at no distance from them."""
    learnt = open_images(array, size=8, channels=1, say=lambda _: None)
    turned = torch.from_numpy(learnt.images[:].copy()).flip(3)
    stolen = turned.float() / 127.5 - 1
    monkeypatch.setattr(CoopNets, "sample", lambda self, n, seed: stolen[:n])
    assert nearest(model, learnt, 0).samples_distance > 0.05
    monkeypatch.setattr(model, "config", replace(model.config, flip=True))
    found = nearest(model, learnt, 0)
    assert found.samples_distance < 1e-3 < 0.01 < found.images_distance
    assert torch.equal(found.images, found.samples)


def test_an_image_is_not_its_own_neighbour(model: CoopNets, tmp_path: Path) -> None:
    """Three images, two of them alike: by hand."""
    file = tmp_path / "x.npy"
    base = pixels(1)[0]
    np.save(file, np.stack([base, base, 255 - base]))
    learnt: ImageData = open_images(file, size=8, channels=1, say=lambda _: None)
    assert nearest(model, learnt, 0).images_distance == 0  # the median of 0, 0, far


def test_jobs() -> None:
    names = [(j.name, j.preset, j.count) for j in make.jobs([64, 128], [50, 200], 200)]
    assert names == [("64-50", "face", 50), ("64-200", "face", 200),
                     ("128-50", "object-128", 50), ("128-200", "object-128", 200),
                     ("plane-200", "face", 200)]  # fmt: skip
    (authors,) = make.jobs([], [], 200, "matlab-object")
    assert authors.preset == "matlab-object" and authors.options == ("--generator.latent", "2")
    with pytest.raises(CoopNetsError, match="choose among 64, 128"):
        make.jobs([32], [50], 0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--sizes", "32"], "--sizes 32"),
        (["--counts", "0"], "--counts"),
        (["--minutes", "-1"], "--minutes"),
        (["--data", "nowhere"], "the training of"),
    ],
)
def test_impossible_experiments(
    argv: list[str], capsys: Out, change: list[str], says: str
) -> None:
    assert make.main([*argv, *change]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("objects: ") and says in error[-1]


def test_interrupted(argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    def stopped(*_: Any) -> CoopNets:
        raise KeyboardInterrupt

    monkeypatch.setattr(make, "trained", stopped)
    assert make.main(argv) == 130
    assert "repeat the command" in capsys.readouterr().err
