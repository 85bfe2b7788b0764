"""Pictures of their own sizes, completed by models that have learnt from windows of such."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import CoopNets
from coopnets.cli import main
from coopnets.complete import infill
from coopnets.complete.infill import Completer
from coopnets.complete.latent import Search
from coopnets.complete.masks import open_masks, random_square
from coopnets.complete.output import Output
from coopnets.config import Config
from coopnets.data import to_unit
from coopnets.errors import CoopNetsError
from coopnets.models import new_descriptor, new_generator
from small import tiny

Said = pytest.CaptureFixture[str]
SEARCH = Search(steps=4, starts=2, trial=2)
CONFIG = tiny(
    preset="texture",
    size=16,
    image_channels=3,
    windows=True,
    descriptor={"strides": (2, 2), "kernels": (4, 3), "top": "map"},
    generator={"latent": 3, "start": "map", "border": "cut", "kernels": (4, 4, 4),
               "init_std": 0.3},
)  # fmt: skip


def untrained(config: Config) -> CoopNets:
    torch.manual_seed(0)
    nets = {"descriptor": new_descriptor(config), "generator": new_generator(config)}
    return CoopNets(config, {name: net.state_dict() for name, net in nets.items()})


@pytest.fixture(scope="module")
def pair() -> CoopNets:
    return untrained(CONFIG)


@pytest.fixture(scope="module")
def saved(pair: CoopNets, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pair.save_pretrained(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes: 40x28 pixels, 16x16 as learnt, and 9x50."""
    path = tmp_path_factory.mktemp("stripes")
    for name, (width, height) in (("a", (40, 28)), ("b", (16, 16)), ("c", (9, 50))):
        stripes = (127.5 * (1 + np.sin(np.arange(width) * 0.9))).astype(np.uint8)
        rows = np.broadcast_to(stripes[None, :, None], (height, width, 3))
        Image.fromarray(rows.copy()).save(path / f"{name}.png")
    return path


def run(saved: Path, images: Path, out: Path, *more: object) -> int:
    argv = ["complete", saved, images, "--out", out, "--steps", 4, "--starts", 2, *more]
    return main([str(a) for a in argv])


def read(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB"))


def test_pictures_keep_their_size(saved: Path, folder: Path, tmp_path: Path) -> None:
    """Not resized: what is visible of the original comes back, bit for bit."""
    assert run(saved, folder, tmp_path / "out", "--mask", "random:5", "--seed", 3) == 0
    for i, name in enumerate("abc"):
        x, y = read(folder / f"{name}.png"), read(tmp_path / "out" / f"{name}.png")
        hidden = random_square(5, x.shape[:2], 3, i)[0].numpy()
        assert hidden.shape == x.shape[:2] and hidden.sum() == 25
        assert np.array_equal(x[~hidden], y[~hidden]) and not np.array_equal(x[hidden], y[hidden])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["compared"] == 3 and results["mean"]["error"]["mean"] > 0
    sheet = read(tmp_path / "out" / "sheet.png")
    assert sheet.shape[:2] == (3 * 52 + 2, 3 * 42 + 2)
    assert np.array_equal(sheet[2:30, 86:126], read(folder / "a.png"))


def test_masks_are_as_large_as_the_pictures(
    saved: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    hidden = np.zeros((28, 40), np.uint8)
    hidden[20:, 3:20] = 255
    Image.fromarray(hidden).save(tmp_path / "m.png")
    argv = (tmp_path / "out", "--mask", tmp_path / "m.png")
    assert run(saved, folder / "a.png", *argv) == 0
    x, y = read(folder / "a.png"), read(tmp_path / "out" / "a.png")
    assert np.array_equal((x != y).any(2) & (hidden == 0), np.zeros((28, 40), bool))
    assert run(saved, folder / "c.png", tmp_path / "other", *argv[1:]) == 1
    error = capsys.readouterr().err
    assert "is 40x28 pixels: make it 9x50 as c.png" in error and "16x16" not in error


def test_erased_parts_of_a_picture_of_any_size(saved: Path, tmp_path: Path, capsys: Said) -> None:
    colours = np.full((20, 31, 4), 90, np.uint8)
    colours[..., 3] = 255
    colours[4:9, 20:25, 3] = 0
    Image.fromarray(colours).save(tmp_path / "e.png")
    assert run(saved, tmp_path / "e.png", tmp_path / "out", "--mask", tmp_path / "e.png") == 0
    assert "no truth" in capsys.readouterr().out.splitlines()[-1]
    made = read(tmp_path / "out" / "e.png")
    assert made.shape == (20, 31, 3) and (made == 90).all(2).sum() >= 20 * 31 - 25


def test_squares_that_do_not_fit(saved: Path, folder: Path, tmp_path: Path, capsys: Said) -> None:
    assert run(saved, folder / "c.png", tmp_path / "out", "--mask", "center:9") == 1
    assert "9x50 image" in capsys.readouterr().err
    with pytest.raises(CoopNetsError, match="give the square's side"):
        open_masks("random", None, None, seed=0, invert=False)


def test_a_larger_map_explains_what_is_visible(pair: CoopNets) -> None:
    """A picture that the generator can make is found again, hidden part included."""
    x = pair.sample(1, seed=5, size=(21, 40), langevin_steps=0)
    hidden = torch.zeros(1, 1, 21, 40, dtype=torch.bool)
    hidden[..., 8:13, 20:25] = True
    errors = []
    for steps in (1, 200):
        y = pair.complete(
            x.masked_fill(hidden, float("nan")), hidden, method="generator", blend=False,
            search=Search(steps=steps, sigma=0.003),
        )  # fmt: skip
        assert y.shape == x.shape
        assert torch.equal(y.masked_fill(hidden, 0), x.masked_fill(hidden, 0))
        errors.append(float((y - x).abs().sum() / (3 * hidden.sum())))
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("method", ["generator", "descriptor", "both"])
def test_methods_and_samples_at_any_size(pair: CoopNets, method: str) -> None:
    x = torch.rand(2, 3, 18, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = random_square(6, (18, 30), 0, 0)
    y = pair.complete(x, mask, method=method, search=SEARCH, samples=2)  # type: ignore[arg-type]
    assert y.shape == (2, 2, 3, 18, 30)
    assert bool((y[:, 0] != y[:, 1]).any()) and bool(torch.isfinite(y).all())
    alone = pair.complete(x[1:], mask, method=method, search=SEARCH, samples=2, first=1)  # type: ignore[arg-type]
    torch.testing.assert_close(alone, y[1:], rtol=0, atol=1e-5)


def test_models_of_one_size_say_so(folder: Path, tmp_path: Path, capsys: Said) -> None:
    """Those that have learnt from windows, but know a single size; and descriptors alone."""
    known = untrained(tiny(windows=True))
    saved = known.save_pretrained(tmp_path / "known")
    assert run(saved, folder, tmp_path / "out", "--mask", "center:3") == 1
    error = capsys.readouterr().err
    assert "completes pictures of 8x8 alone, and one is 28x40: cut that size out" in error
    f = new_descriptor(CONFIG)
    alone = Completer(CONFIG, None, f, by="descriptor")
    with pytest.raises(CoopNetsError, match="16x16 alone"):
        alone(torch.zeros(1, 3, 20, 20), random_square(3, 20, 0, 0)[None])
    with pytest.raises(CoopNetsError, match="the model takes"):
        known.complete(torch.zeros(1, 1, 9, 9), random_square(3, 9, 0, 0))


def test_pictures_that_memory_does_not_hold(
    pair: CoopNets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infill, "free_bytes", lambda device: 10_000)
    with pytest.raises(CoopNetsError, match=r"20x30 needs about .* GB, and 0\.0 GB are free"):
        pair.complete(torch.zeros(1, 3, 20, 30), random_square(3, (20, 30), 0, 0), search=SEARCH)


def test_large_pictures_are_small_on_the_sheet(tmp_path: Path) -> None:
    from coopnets.complete.damaged import Damaged

    output = Output(tmp_path, {})
    for name, (height, width) in (("a.png", (1100, 600)), ("b.png", (2, 3000))):
        noise = np.random.default_rng(0).integers(0, 256, (1, height, width), np.uint8)
        mask = torch.zeros(1, height, width, dtype=torch.bool)
        mask[..., :40] = True
        picture = Damaged(name, noise, (height, width), None)
        output.add(picture, mask, to_unit(torch.from_numpy(noise))[None], truth=True)
    output.save(0.0, finished=True)
    assert read(tmp_path / "a.png").shape[:2] == (1100, 600)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * (272 + 2) + 2, 2 * (275 + 2) + 2)
