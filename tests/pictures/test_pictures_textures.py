"""The texture experiment on tiny models: its figures, its resumption, what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import report
from coopnets.errors import CoopNetsError, DivergenceError
from coopnets.evaluate import open_extractor
from coopnets.evaluate.textures import largest_correlation, phase_noise, texture_distance
from coopnets.model import CoopNets
from coopnets.pictures import save_grid
from experiments.cells import load_picture, once
from experiments.textures import make, work
from experiments.textures.figures import COLUMNS, _absence, _caption, _shown
from experiments.textures.layout import markdown, wins
from experiments.textures.portilla import Synthesis
from experiments.textures.sources import find, middle

TINY = [
    "--size", "16", "--generator.latent", "3", "--generator.channels", "8", "8",
    "--generator.kernels", "4", "4", "4", "--descriptor.channels", "8", "8",
    "--descriptor.kernels", "4", "3", "--descriptor.strides", "2", "2", "--langevin.steps", "3",
    "--batch-size", "4", "--chains", "4", "--precision", "fp32", "--steps", "6",
]  # fmt: skip
"""A texture model that learns for a second."""
WINDOWS = 40
Err = pytest.CaptureFixture[str]


@pytest.fixture
def argv(textures: Path, network: Callable[[int], str], tmp_path: Path) -> list[str]:
    return ["--textures", str(textures), "--out", str(tmp_path / "out"), "--minutes", "9",
            "--windows", str(WINDOWS), "--features", network(3), "--ps-iterations", "0",
            "--may-show", "free_*", *TINY]  # fmt: skip


@pytest.fixture
def portilla(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A stand-in that has the original's colours in another order; counts its calls."""
    calls: list[int] = []

    def shuffled(original: torch.Tensor, *, iterations: int, seed: int, say: Any) -> Synthesis:
        calls.append(iterations)
        order = torch.randperm(original[0].numel(), generator=torch.Generator().manual_seed(seed))
        made = original.flatten(1)[:, order].view_as(original)
        return Synthesis(made, (8.0, 2.0), iterations, True, 1.5)

    monkeypatch.setattr(work, "synthesise", shuffled)
    return calls


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures, and the runs' own reports, take longer than everything else."""
    for name in ("draw_texture", "draw_all"):
        monkeypatch.setattr(make, name, lambda *_: None)
    monkeypatch.setattr(report, "write_report", lambda _: None)


def table(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "out" / "table.json").read_text())
    return found


def test_figures_are_of_what_they_say(
    argv: list[str], portilla: list[int], tmp_path: Path, textures: Path
) -> None:
    assert make.main([*argv, "--ps-iterations", "7", "--publish", str(tmp_path / "shown")]) == 0
    rows = {row["name"]: row for row in table(tmp_path)["rows"]}
    assert list(rows) == ["colour", "free_grey"] and portilla == [7, 7]
    folder = tmp_path / "out" / "free_grey"
    original = load_picture(folder / "original.png")
    whole = np.array(Image.open(textures / "free_grey.png"))
    assert torch.equal(original[0], torch.from_numpy(whole[7:263, 7:263]))
    model = CoopNets.from_pretrained(folder / "run")
    assert model.config.image_channels == 1 and model.about["iteration"] == 6
    pair = next(iter(model.stream(1, size=(256, 256))))
    for name, x in zip(("generator", "descriptor"), pair, strict=True):
        drawn = load_picture(folder / f"{name}.png")
        assert (drawn / 127.5 - 1 - x[0].clamp(-1, 1)).abs().max() < 0.01
    assert load_picture(folder / "large.png").shape == (1, 512, 512)
    sheet = load_picture(tmp_path / "shown" / "synthesised.png")
    middle = load_picture(folder / "descriptor.png")[:, 48:208, 48:208]
    assert torch.equal(sheet[:, 4:164, 168:328], middle.expand(3, -1, -1))
    extractor = open_extractor(argv[argv.index("--features") + 1])
    made = load_picture(folder / "descriptor.png")
    measured = rows["free_grey"]["measured"]
    for side in (64, 128):
        by_hand = texture_distance([made], [original], extractor, side, count=WINDOWS)
        assert measured["descriptor"]["distance"][str(side)] == pytest.approx(by_hand, rel=1e-4)
    found = largest_correlation(made, original, count=32)
    assert measured["descriptor"]["correlation"] == pytest.approx(found)
    assert torch.equal(load_picture(folder / "noise.png"), phase_noise(original))
    for row in rows.values():
        floor, noise = (row["measured"][name]["distance"]["64"] for name in ("original", "ps"))
        assert 0 <= floor < noise
        assert row["measured"]["original"]["correlation"] > 0.999
        assert row["halves"]["correlation"] < 0.99
    text = (tmp_path / "out" / "table.md").read_text()
    assert f"| {measured['descriptor']['distance']['64']:.1f} |" in text
    assert "| 4 times | yes |" in text and "seed 0" in text and str(tmp_path) not in text
    assert (tmp_path / "out" / "colour" / "figure.png").exists()
    assert {p.name for p in (tmp_path / "shown").iterdir()} == {
        "colour.png", "free_grey.png", "synthesised.png", "textures.png",
    }  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_what_may_not_be_shown_is_left_out(argv: list[str], tmp_path: Path) -> None:
    assert make.main(argv) == 0
    for row in table(tmp_path)["rows"]:
        folder = tmp_path / "out" / row["name"]
        assert set(_shown(row, folder, True)) == set(COLUMNS) - {"ps"}
        hidden = set() if row["name"] == "free_grey" else {"original"}
        assert set(_shown(row, folder, False)) == set(COLUMNS) - {"ps"} - hidden


@pytest.mark.usefixtures("undrawn")
def test_stopped_commands_go_on(
    argv: list[str], portilla: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Err,
) -> None:  # fmt: skip
    argv = [*argv, "--ps-iterations", "7"]
    usual, measured = work.Measures.of, list[int]()

    def stopped(self: Any, made: torch.Tensor) -> Any:
        measured.append(1)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return usual(self, made)

    monkeypatch.setattr(work.Measures, "of", stopped)
    assert make.main(argv) == 130
    assert "repeat the command" in capsys.readouterr().err
    assert make.main(argv) == 0
    assert len(measured) == 2 * 5 + 1 and portilla == [7, 7]
    rows = table(tmp_path)["rows"]
    assert make.main(argv) == 0  # nothing is left to do
    assert len(measured) == 2 * 5 + 1 and portilla == [7, 7] and table(tmp_path)["rows"] == rows
    assert make.main([*argv, "--ps-iterations", "8"]) == 0  # the same pictures come out again
    assert len(measured) == 2 * 5 + 1 and portilla == [7, 7, 8, 8]
    again = argv.index("--windows") + 1
    assert make.main([*argv[:again], "50", *argv[again + 1 :]]) == 0
    assert len(measured) == 2 * (2 * 5) + 1 and portilla == [7, 7, 8, 8, 7, 7]


@pytest.mark.usefixtures("undrawn")
def test_a_failed_training_is_shown_as_one(
    argv: list[str], portilla: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = work.trained

    def unlucky(data: Path, *more: Any) -> CoopNets:
        if "colour" in str(data):
            raise DivergenceError("it ran away")
        return usual(data, *more)

    monkeypatch.setattr(work, "trained", unlucky)
    assert make.main([*argv, "--ps-iterations", "7"]) == 0
    text, found = (tmp_path / "out" / "table.md").read_text(), table(tmp_path)
    assert "colour: it ran away" in text and found["rows"][0]["failed"] == "it ran away"
    assert found["nearer"]["of"] == 2 and found["nearer"]["64"] <= 1
    assert "| colour | – | – |" in text
    assert _absence(found["rows"][0], "descriptor") == "failed"


@pytest.mark.usefixtures("undrawn")
def test_what_had_been_learnt_before_is_drawn_and_lost(
    argv: list[str], portilla: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = work.trained

    def late(data: Path, *more: Any) -> CoopNets:
        usual(data, *more)
        raise DivergenceError("it ran away")

    monkeypatch.setattr(work, "trained", late)
    assert make.main([*argv, "--ps-iterations", "7"]) == 0
    found = table(tmp_path)
    assert all("descriptor" in row["measured"] for row in found["rows"])
    assert found["nearer"] == {"64": 0, "128": 0, "all": 0, "of": 2}
    assert "(gave up)" in _caption(found["rows"][0], "descriptor")


@pytest.mark.usefixtures("undrawn")
def test_other_errors_end_the_command_and_leave_the_table(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Err
) -> None:
    assert make.main(argv) == 0
    before = (tmp_path / "out" / "table.md").read_text()
    assert make.main([*argv, "--sigma", "0.5"]) == 1  # its run has other settings
    assert "the training of" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setattr(work, "phase_noise", _interrupted_at_the_second())
    assert make.main(argv) == 130  # one of two textures is caught up with
    assert (tmp_path / "out" / "table.md").read_text() == before


def _interrupted_at_the_second() -> Callable[..., torch.Tensor]:
    calls: list[int] = []

    def noise(pixels: torch.Tensor, seed: int) -> torch.Tensor:
        calls.append(seed)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return phase_noise(pixels, seed)

    return noise


@pytest.mark.usefixtures("undrawn")
def test_a_tile_has_sides_that_can_be_tiled(argv: list[str], tmp_path: Path) -> None:
    at = argv.index("--descriptor.strides")
    assert make.main([*argv[:at], "--descriptor.strides", "3", "1", *argv[at + 3 :]]) == 0
    tile = load_picture(tmp_path / "out" / "free_grey" / "tile.png")
    assert tile.shape == (1, 264, 264)  # a multiple of 8 and of 3, not 256


def test_a_synthesis_of_theirs_that_fails_costs_no_other(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlucky(original: torch.Tensor, **_: Any) -> Synthesis:
        raise DivergenceError("the loss is nan")

    monkeypatch.setattr(work, "synthesise", unlucky)
    assert make.main([*argv, "--ps-iterations", "7"]) == 0
    assert "free_grey: the loss is nan" in (tmp_path / "out" / "table.md").read_text()
    assert table(tmp_path)["nearer"]["of"] == 0


def row(ours: tuple[float, float] | None, ps: tuple[float, float] | None) -> dict[str, Any]:
    def entry(pair: tuple[float, float]) -> dict[str, Any]:
        distance = dict(zip(("64", "128"), pair, strict=True))
        return {"distance": distance, "correlation": 0.5}

    measured = {"original": entry((1, 1)), "noise": entry((9, 9))}
    measured |= {} if ours is None else {"descriptor": entry(ours), "generator": entry((0, 0))}
    measured |= {} if ps is None else {"ps": entry(ps)}
    found = {"name": "x", "shown": True, "failed": None if ours else "why", "measured": measured,
             "halves": entry((2, 2))}  # fmt: skip
    taken = {"iterations": 9, "converged": False, "seconds": 60.0, "fell": 3.0}
    return found | ({} if ps is None else {"ps": taken})


def test_who_is_nearer() -> None:
    """Lower is nearer; a failure of ours is lost; without the other there is nothing to win."""
    rows = [row((3, 3), (4, 4)), row((3, 5), (4, 4)), row((4, 4), (4, 4)), row(None, (4, 4)),
            row((1, 1), None)]  # fmt: skip
    assert wins(rows) == {"64": 2, "128": 1, "all": 1, "of": 4}
    text = markdown(rows, {"seed": 0})
    assert "**2 at 64 px, 1 at 128 px**, 1 at both" in text and "of 4 textures" in text
    assert text.count("| yes |") == 3


def test_textures_are_found_by_name(textures: Path, tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    found = find([textures], True, 256, ["free_*"])
    shown = {"colour": False, "free_grey": True, "skimage_brick": True, "skimage_grass": True,
             "skimage_gravel": True}  # fmt: skip
    assert {t.name: t.shown for t in found} == shown
    assert [len(t.pixels) for t in found] == [3, 1, 1, 1, 1]
    assert all(t.pixels.shape[1:] == (256, 256) for t in found)
    numbers = torch.arange(8 * 6, dtype=torch.uint8).view(1, 8, 6)
    assert torch.equal(middle(numbers, 4, "x"), numbers[:, 2:6, 1:5])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--textures", "nowhere"], "nowhere does not exist"),
        (["--side", "288"], "256x256 pixels, fewer than --side 288"),
        (["--side", "250"], "multiple of 32"),
        (["--side", "128"], "at least 256"),
        (["--minutes", "0"], "--minutes"),
        (["--threads", "0"], "--threads"),
        (["--features", "magic"], "magic"),
    ],
)
def test_impossible_experiments(
    argv: list[str], tmp_path: Path, capsys: Err, change: list[str], says: str
) -> None:
    assert make.main([*argv, *change]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("textures: ") and says in error[-1]


def test_a_picture_that_is_named_is_not_passed_over(
    argv: list[str], tmp_path: Path, textures: Path, capsys: Err
) -> None:
    """And of a picture that has colours only near its border, the middle counts."""
    frames = [Image.new("L", (300, 300), level) for level in (9, 99)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    assert make.main([*argv, "--textures", str(textures), str(tmp_path / "moves.gif")]) == 1
    assert "moves.gif cannot be used: an animation of 2 frames" in capsys.readouterr().err
    bordered = np.zeros((300, 300), np.uint8)
    bordered[:9] = 200
    Image.fromarray(bordered).save(tmp_path / "bordered.png")
    assert make.main([*argv, "--textures", str(tmp_path / "bordered.png")]) == 1
    assert "bordered.png is of a single colour" in capsys.readouterr().err


def test_broken_pictures_and_names_given_twice(
    argv: list[str], tmp_path: Path, textures: Path, capsys: Err
) -> None:
    shutil.copy(textures / "colour.png", tmp_path / "colour.png")
    assert make.main([*argv, "--textures", str(textures), str(tmp_path / "colour.png")]) == 1
    assert "two textures are called colour" in capsys.readouterr().err
    Image.new("RGB", (300, 300), (9, 9, 9)).save(tmp_path / "flat.png")
    assert make.main([*argv, "--textures", str(tmp_path / "flat.png")]) == 1
    assert "flat.png is of a single colour" in capsys.readouterr().err
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert make.main([*argv, "--textures", str(tmp_path / "bad.png")]) == 1
    assert "bad.png cannot be used: not an image" in capsys.readouterr().err
    assert make.main([*argv, "--textures", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out" / "colour").exists()


def test_results_are_kept_with_what_they_depend_on(tmp_path: Path) -> None:
    made: list[int] = []

    def work() -> dict[str, Any]:
        made.append(1)
        return {"n": len(made)}

    file = tmp_path / "deep" / "x.json"
    assert [once(file, {"a": (1, 2)}, work)["n"] for _ in range(3)] == [1, 1, 1]
    assert once(file, {"a": (1, 3)}, work)["n"] == 2
    file.write_text("{")
    with pytest.raises(CoopNetsError, match="remove it"):
        once(file, {}, work)


def test_pictures_survive_their_files(tmp_path: Path) -> None:
    for channels in (1, 3):
        pixels = torch.randint(256, (channels, 5, 7), dtype=torch.uint8)
        save_grid(pixels, tmp_path / "x.png")
        assert torch.equal(load_picture(tmp_path / "x.png"), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    (tmp_path / "x.png").write_bytes(b"")
    with pytest.raises(CoopNetsError, match="cannot read"):
        load_picture(tmp_path / "x.png")
