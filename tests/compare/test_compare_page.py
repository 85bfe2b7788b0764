"""The page stands alone, shows every row, and says what its figures depend on."""

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coopnets import CoopNets
from coopnets.cli import main
from coopnets.compare.curves import draw_curves
from coopnets.compare.grids import COLUMNS
from coopnets.compare.page import page
from coopnets.compare.table import facts_of, markdown, tables
from coopnets.compare.together import draw_together
from coopnets.data import to_pixels
from small import FLAGS


@pytest.fixture(scope="module")
def out(pair: Path, small_network: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison, not to be written to."""
    folder = tmp_path_factory.mktemp("page") / "out"
    argv = [
        "compare", str(pair), "--out", str(folder), "--max-time", "0.2s", "--moments", "2",
        "--methods", "coopnets,wgan,descriptor", "--samples", "24", "--curve-samples", "16",
        "--features", small_network, *FLAGS,
    ]  # fmt: skip
    assert main(argv) == 0
    return folder


@pytest.fixture
def outcome(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "table.json").read_text())
    return found


def test_page_and_pictures(outcome: dict[str, Any], out: Path, tmp_path: Path) -> None:
    text = (out / "compare.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)""", text) and "http" not in text
    for row in outcome["rows"]:
        assert f"<b>{row['row']}</b>" in text
        assert f"{row['record']['scores']['FD (small)']:.4g}" in text
    assert len(re.findall(r"<figure>", text)) == 5  # the real images, and each row
    assert outcome["command"].replace("'", "&#x27;") in text
    assert "Quality against training time" in text and "posterior" not in _settings(text, "wgan")
    assert "wgan.clip" in _settings(text, "wgan") and "wgan" not in _settings(text, "coopnets")
    for warning in outcome["warnings"]:
        assert warning.split("(")[0] in text
    (embedded,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    assert base64.b64decode(embedded).decode() == (out / "curves.svg").read_text()
    # Moved elsewhere it is the same; without its pictures it still comes out.
    moved = shutil.copytree(out, tmp_path / "elsewhere")
    curves = (out / "curves.svg").read_text()
    assert page(outcome, moved, curves) == page(outcome, out, curves).replace(
        str(out / "coopnets"), str(moved / "coopnets")
    )
    shutil.rmtree(moved / "grids")
    assert "<figure>" not in page(outcome, moved, curves)


def test_pictures_together(outcome: dict[str, Any], out: Path, tmp_path: Path) -> None:
    """Each row's latest picture is in it, pixel by pixel, and no other."""
    sheet = np.asarray(Image.open(out / "samples.png"))
    files = [out / "grids" / "real.png", *(out / row["grid"] for row in outcome["rows"])]
    for i, file in enumerate(files):
        picture = np.asarray(Image.open(file).convert("RGB"))
        high, wide, _ = picture.shape
        left, top = i % 4 * (wide + 12), i // 4 * (high + 32) + 20
        assert np.array_equal(sheet[top : top + high, left : left + wide], picture)
    assert len(files) == 5 and sheet.shape[0] == 2 * (high + 32) - 12
    draw_together({"rows": []}, tmp_path, tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def _settings(text: str, method: str) -> str:
    found = re.search(rf"<summary>{method}</summary>(.*?)</details>", text, re.DOTALL)
    assert found
    return found.group(1)


def test_grids_are_the_first_samples(outcome: dict[str, Any], out: Path) -> None:
    for row in outcome["rows"]:
        model = CoopNets.from_pretrained(out / row["method"])
        x = model.generate(64) if row["row"] == "CoopNets generator" else model.sample(64)
        with Image.open(out / row["grid"]) as opened:
            grid = np.array(opened)
        side = 8 + 2
        for i in (0, 9, 63):
            y, z = 2 + side * (i // COLUMNS), 2 + side * (i % COLUMNS)
            cell = grid[y : y + 8, z : z + 8].reshape(8, 8, -1)[..., 0]
            expected = to_pixels(x[i]).numpy()[0]
            assert np.abs(cell.astype(int) - expected).max() <= 1


def test_curves_have_a_line_for_each_row_and_stand_alone(outcome: dict[str, Any]) -> None:
    text = draw_curves(outcome)
    assert text.lstrip().startswith("<?xml") and 'xlink:href="http' not in text
    for curve in outcome["curves"]:
        assert text.count(f">{curve['row']}</text>") == 1
    assert "FD (small)" in text and "KID (small)" in text and "seconds of training" in text
    longer = json.loads(json.dumps(outcome))
    longer["comparison"]["max_time"] = 2700.0
    assert "minutes of training" in draw_curves(longer)
    for curve in longer["curves"]:
        curve["points"] = []
    assert "W-GAN" not in draw_curves(longer)


def test_tables_of_what_is_unfinished(outcome: dict[str, Any]) -> None:
    """Nothing is scored yet: rows still say where they stand."""
    bare = {**outcome, "floor": None, "warnings": [], "rows": [
        {**row, "record": None, "state": "unfinished", "note": ""} for row in outcome["rows"]
    ]}  # fmt: skip
    (table,) = tables(bare)
    assert table.headings == ["", "iterations", "training", "scores"]
    assert [row[-1] for row in table.rows] == ["unfinished"] * 4
    one = {**bare, "rows": [outcome["rows"][0], *bare["rows"][1:]]}
    (table,) = tables(one)
    assert all(len(row) == len(table.headings) for row in table.rows)
    assert "unfinished" in markdown(one)


def test_commits_are_those_that_scored(outcome: dict[str, Any]) -> None:
    pairs = zip(outcome["rows"], ["abc", "abc", None, "def"], strict=True)
    rows = [{**row, "record": {**row["record"], "commit": commit}} for row, commit in pairs]
    facts = facts_of({**outcome, "rows": rows, "commit": "later"})
    assert facts["code"].endswith("commit abc, unknown, def")
    bare = [{**row, "record": None} for row in outcome["rows"]]
    assert facts_of({**outcome, "rows": bare, "commit": "later"})["code"].endswith("commit later")


def test_langevin_steps_stand_below_the_table(outcome: dict[str, Any]) -> None:
    told = facts_of(outcome)["Langevin steps of a sample"]
    steps = {r["row"]: r["record"]["langevin_steps"] for r in outcome["rows"]}
    assert steps["CoopNets descriptor"] and steps["descriptor alone"] and not steps["W-GAN"]
    assert told == ", ".join(f"{row} {count}" for row, count in steps.items() if count)


def test_the_best_distance_is_marked_and_no_other(outcome: dict[str, Any], out: Path) -> None:
    text = (out / "compare.html").read_text()
    found = re.findall(r"<td class=best>([^<]*)</td>", text)
    scores = [row["record"]["scores"] for row in outcome["rows"]]
    distance = f"{min(s['FD (small)'] for s in scores):.4g}"
    kernel = f"{min(s['KID (small)'] for s in scores):.4g} ±"
    assert len(found) == 2  # in the order of the rows: another may be best by each
    assert distance in found and any(cell.startswith(kernel) for cell in found)
