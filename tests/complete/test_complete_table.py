"""The completion experiment on tiny runs: its numbers, its resumption, its published figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import CoopNets
from coopnets.complete.classic import CLASSIC
from coopnets.complete.scores import interval, scores
from coopnets.data import open_images, to_pixels, to_unit
from coopnets.models import Generator
from small import CONFIG, pixels, tiny

ROOT = Path(__file__).parents[2]
CLASSICS = ["mrf-l1", "mrf-l2", "inter-1", "inter-2", "inter-3", "inter-4", "inter-5"]


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    from experiments.completion import table

    return table


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("held-out") / "x.npy"
    np.save(file, pixels(7, seed=11))
    return file


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = tiny(method="dcgan", memory=0, teaching=0)
    weights = {"generator": Generator(CONFIG.generator, 8, 1).state_dict()}
    return CoopNets(config, weights).save_pretrained(tmp_path_factory.mktemp("other"))


def argv(run: Path, dcgan: Path, images: Path, out: Path, *more: str) -> list[str]:
    return ["--run", str(run), "--dcgan", str(dcgan), "--images", str(images), "--split", "train",
            "--out", str(out), "--sides", "3", "5", "--steps", "4", "--starts", "2",
            "--classics", *CLASSICS, *more]  # fmt: skip


def test_the_table_is_of_what_it_says(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path, "--descriptor")) == 0
    text = capsys.readouterr().out
    content = json.loads((tmp_path / "table.json").read_text())
    rows = {(r["measure"], r["side"], r["column"]): r for r in content["rows"]}
    columns = {"coopnets", "dcgan", *CLASSICS}
    assert {(m, s, c) for m in ("error", "psnr", "ssim") for s in (3, 5) for c in columns} <= (
        rows.keys()
    )
    images = open_images(held_out, size=8, channels=1, say=lambda _: None)
    x = images.batch(np.arange(7))
    mask = experiment.masks(5, 8, 0, 0, 7)
    made = to_unit(to_pixels(CLASSIC["inter-2"](x, mask).clamp(-1, 1)))
    found = interval(scores(made, x, mask).error)
    assert rows["error", 5, "inter-2"]["mean"] == pytest.approx(found.mean)
    assert rows["error", 5, "inter-2"]["95 %"] == pytest.approx([found.low, found.high])
    assert f"{found.mean:.3f}" in text and "M5" in text
    assert rows["psnr", 3, "coopnets"]["mean"] == rows["psnr", 3, "both"]["mean"]
    assert rows["error", 3, "generator"]["mean"] != rows["error", 3, "generator, plain"]["mean"]
    told = content["about"][
        "CoopNets"
    ]  # the settings of the preset that were changed, and no others
    assert told.startswith("both; preset digits --size 8 ")
    assert "--langevin.steps 4 " in told and "--sigma" not in told and "--critic" not in told
    assert (tmp_path / "sheet-3.png").exists()
    assert "truth" in (tmp_path / "sheet-3.txt").read_text()
    assert set(content["seconds_an_image"]) == {*CLASSICS, "descriptor", "coopnets", "dcgan"}


def test_sheets_show_what_is_asked_for(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any
) -> None:
    """Some columns, in the order asked for, cut out of the whole sheet."""
    pictures, named = [], []
    for shown in ((), ("--shown", "both", "inter-4")):
        assert experiment.command(argv(trained, dcgan, held_out, tmp_path, *shown)) == 0
        pictures.append(np.asarray(Image.open(tmp_path / "sheet-5.png")))
        text = (tmp_path / "sheet-5.txt").read_text().removeprefix("columns: ").strip()
        named.append(text.split(" | "))
    assert named[1] == ["damaged", "both", "inter-4", "truth"]
    whole, some = pictures
    for i, name in enumerate(named[1]):
        j = named[0].index(name)
        assert np.array_equal(some[2:10, 2 + 10 * i :][:, :8], whole[2:10, 2 + 10 * j :][:, :8])


def test_stopped_runs_go_on(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Stopped in the middle of a cell: the same table as without, and nothing done twice."""
    from experiments.completion import cells

    monkeypatch.setattr(cells, "BATCH", 2)
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path / "whole")) == 0
    counted, real = [0], cells.scores

    def counting(*args: Any) -> Any:
        counted[0] += 1
        if counted[0] == 30:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(cells, "scores", counting)
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path / "cut")) == 130
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path / "cut")) == 0
    per_cell = 4 * (len(CLASSICS) + 3 + 2)  # batches of a side times columns
    assert 2 * per_cell < counted[0] <= 2 * per_cell + 3
    again = counted[0]
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path / "cut")) == 0
    assert counted[0] == again
    tables = [json.loads((tmp_path / n / "table.json").read_text())["rows"]
              for n in ("whole", "cut")]  # fmt: skip
    assert tables[0] == tables[1]
    for sheet in ("sheet-3.png", "sheet-5.png"):
        assert (tmp_path / "whole" / sheet).read_bytes() == (tmp_path / "cut" / sheet).read_bytes()


def test_changed_settings_are_computed_anew(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any
) -> None:
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path)) == 0
    files = sorted((tmp_path / "cells").glob("*.json"))
    before = {f.name: f.stat().st_mtime_ns for f in files}
    assert experiment.command(argv(trained, dcgan, held_out, tmp_path, "--sigma", "0.5")) == 0
    anew = {f.name for f in files if f.stat().st_mtime_ns != before[f.name]}
    assert anew == {f"{side}-{job}.json" for side in (3, 5) for job in ("coopnets", "dcgan")}


def test_published_figures(experiment: Any) -> None:
    """54 of them; each cell's PSNR fits its error as the definitions say."""
    from experiments.completion.published import METHODS, PUBLISHED, SIDES

    assert len(PUBLISHED) == 54
    for side in SIDES:
        for method in METHODS:
            error, psnr = (PUBLISHED[m, side, method] for m in ("error", "psnr"))
            assert 1.15 < 10 ** (-psnr / 20) / error < 1.33, (side, method)
        others = [PUBLISHED["error", side, m] for m in METHODS[1:]]
        assert PUBLISHED["error", side, "coopnets"] < min(others)


def test_verdicts(experiment: Any) -> None:
    """Ahead only if outside the second's interval; margins as in the paper's table."""
    from experiments.completion.cells import Cell
    from experiments.completion.layout import Table, tabulate, verdicts

    rng = np.random.default_rng(0)
    base = rng.normal(0.2, 0.01, 50)

    def cell(column: str, shift: float) -> Cell:
        error = base + shift
        return Cell({column: {"error": list(error), "psnr": list(-20 * np.log10(error)),
                              "ssim": list(1 - error)}}, 1.0, {})  # fmt: skip

    far: Table = tabulate({30: [cell("both", -0.05), cell("inter-4", 0.0), cell("mrf-l1", 0.1)]},
                          "both")  # fmt: skip
    found = {v["measure"]: v for v in verdicts(far)}
    assert found["error"]["second"] == "inter-4" and found["error"]["ahead"]
    assert found["error"]["margin"] == pytest.approx(0.05 / base.mean())
    assert found["error"]["published margin"] == pytest.approx((0.120 - 0.115) / 0.120)
    assert found["psnr"]["ahead"] and found["psnr"]["margin"] > 0
    assert found["psnr"]["published margin"] == pytest.approx(16.893 - 16.665)
    near = tabulate({30: [cell("both", -0.0005), cell("inter-4", 0.0)]}, "both")
    assert not any(v["ahead"] for v in verdicts(near))
    behind = tabulate({30: [cell("both", 0.05), cell("inter-4", 0.0)]}, "both")
    assert all(v["margin"] < 0 and not v["ahead"] for v in verdicts(behind))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--sides", "8"], "1 to 7"),
        (["--classics", "magic"], "magic"),
        (["--split", "test"], "test"),
        (["--shown", "magic"], "magic"),
        (["--dcgan", "RUN"], "coopnets"),
        (["--run", "DCGAN"], "dcgan"),
    ],
)
def test_impossible_tables(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    capsys: pytest.CaptureFixture[str], change: list[str], says: str,
) -> None:  # fmt: skip
    swapped = [{"RUN": str(trained), "DCGAN": str(dcgan)}.get(word, word) for word in change]
    assert experiment.command([*argv(trained, dcgan, held_out, tmp_path), *swapped]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("completion: ") and says in error[-1]
