"""The completion experiment on tiny runs: its numbers, its resumption, its published figures."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import CoopNets, report
from coopnets.complete.classic import CLASSIC
from coopnets.complete.classic.libraries import LIBRARIES
from coopnets.complete.scores import interval, scores
from coopnets.data import open_images, to_pixels, to_unit
from coopnets.models import Generator
from coopnets.runfolder import RunFolder
from small import CONFIG, FLAGS, pixels, tiny

ROOT = Path(__file__).parents[2]
CLASSICS = ["mrf-l1", "mrf-l2", "inter-1", "inter-2", "inter-3", "inter-4", "inter-5"]


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    from experiments.completion import make

    return make


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
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path, "--descriptor")) == 0
    text = capsys.readouterr().out
    content = json.loads((tmp_path / "table.json").read_text())
    rows = {(r["measure"], r["side"], r["column"]): r for r in content["rows"]}
    columns = {"coopnets", "dcgan", *CLASSICS}
    assert {(m, s, c) for m in ("error", "psnr", "ssim") for s in (3, 5) for c in columns} <= (
        rows.keys()
    )
    from experiments.completion.cells import masks

    images = open_images(held_out, size=8, channels=1, say=lambda _: None)
    x = images.batch(np.arange(7))
    mask = masks(5, 8, 0, 0, 7)
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
    assert content["about"]["search"] == "2 starts, 4 steps, sigma 1.0"
    for private in (trained.parent, dcgan.parent, held_out.parent, tmp_path):
        assert str(private) not in json.dumps(content["about"]) + text.splitlines()[2]
    assert content["about"]["command"].startswith("`python experiments/completion/make.py --run ")


def test_sheets_show_what_is_asked_for(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any
) -> None:
    """Some columns, in the order asked for, cut out of the whole sheet."""
    pictures, named = [], []
    for shown in ((), ("--shown", "both", "inter-4")):
        assert experiment.main(argv(trained, dcgan, held_out, tmp_path, *shown)) == 0
        pictures.append(np.asarray(Image.open(tmp_path / "sheet-5.png")))
        text = (tmp_path / "sheet-5.txt").read_text().removeprefix("columns: ").strip()
        named.append(text.split(" | "))
    assert named[1] == ["damaged", "both", "inter-4", "truth"]
    whole, some = pictures
    for i, name in enumerate(named[1]):
        j = named[0].index(name)
        assert np.array_equal(some[2:10, 2 + 10 * i :][:, :8], whole[2:10, 2 + 10 * j :][:, :8])


def test_blocks_of_a_sheet_stand_side_by_side(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any
) -> None:
    """Seven rows as four and three, of which the last place is white."""
    sheets = []
    for blocks in ("1", "2"):
        more = ("--shown", "both", "inter-4", "--blocks", blocks)
        assert experiment.main(argv(trained, dcgan, held_out, tmp_path, *more)) == 0
        sheets.append(np.asarray(Image.open(tmp_path / "sheet-5.png").convert("L")))
    long, laid = sheets
    assert long.shape == (7 * 10 + 2, 4 * 10 + 2) and laid.shape == (42, 2 * 42 + 16)
    assert np.array_equal(laid[:, :42], long[:42])
    assert np.array_equal(laid[:32, 58:], long[40:]) and (laid[32:, 58:] == 255).all()
    assert (laid[:, 42:58] == 255).all()


def test_stopped_runs_go_on(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Stopped in the middle of a cell: the same table as without, and nothing done twice."""
    from experiments.completion import cells

    monkeypatch.setattr(cells, "BATCH", 2)
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path / "whole")) == 0
    counted, real = [0], cells.scores

    def counting(*args: Any) -> Any:
        counted[0] += 1
        if counted[0] == 30:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(cells, "scores", counting)
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path / "cut")) == 130
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path / "cut")) == 0
    per_cell = 4 * (len(CLASSICS) + 3 + 2)  # batches of a side times columns
    assert 2 * per_cell < counted[0] <= 2 * per_cell + 3
    again = counted[0]
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path / "cut")) == 0
    assert counted[0] == again
    tables = [json.loads((tmp_path / n / "table.json").read_text())["rows"]
              for n in ("whole", "cut")]  # fmt: skip
    assert tables[0] == tables[1]
    for sheet in ("sheet-3.png", "sheet-5.png"):
        assert (tmp_path / "whole" / sheet).read_bytes() == (tmp_path / "cut" / sheet).read_bytes()


def test_changed_settings_are_computed_anew(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any
) -> None:
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path)) == 0
    files = sorted((tmp_path / "cells").glob("*.json"))
    before = {f.name: f.stat().st_mtime_ns for f in files}
    assert experiment.main(argv(trained, dcgan, held_out, tmp_path, "--sigma", "0.5")) == 0
    anew = {f.name for f in files if f.stat().st_mtime_ns != before[f.name]}
    assert anew == {f"{side}-{job}.json" for side in (3, 5) for job in ("coopnets", "dcgan")}


@pytest.mark.parametrize(
    ("name", "content"),
    [("3-coopnets.npz", b"PK"), ("3-coopnets.npz", None), ("3-coopnets.json", b"[]"),
     ("3-coopnets.json", b"{")],
)  # fmt: skip
def test_damaged_cells_are_one_clear_line(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    capsys: pytest.CaptureFixture[str], name: str, content: bytes | None,
) -> None:  # fmt: skip
    words = [*argv(trained, dcgan, held_out, tmp_path), "--classics", "inter-4", "--sides", "3"]
    assert experiment.main(words) == 0
    file = tmp_path / "cells" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert experiment.main(words) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("completion: cannot read ") and "remove" in error
    file.with_suffix(".json").unlink()
    assert experiment.main(words) == 0


def test_a_file_that_cannot_be_written_is_one_clear_line(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "sheet-3.txt").mkdir()
    words = [*argv(trained, dcgan, held_out, tmp_path), "--classics", "inter-4", "--sides", "3"]
    assert experiment.main(words) == 1
    assert "cannot write" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_in_use_is_left_alone(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with RunFolder(tmp_path).locked():
        assert experiment.main(argv(trained, dcgan, held_out, tmp_path)) == 1
    assert "in use" in capsys.readouterr().err and not (tmp_path / "cells").exists()


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch, experiment: Any) -> list[list[str]]:
    """Trainings of four iterations; what was asked of them."""
    usual, asked = experiment.trained, list[list[str]]()

    def trained(data: str, run: Path, minutes: float, options: list[str]) -> CoopNets:
        asked.append([data, run.name, str(minutes), *options])
        found: CoopNets = usual(data, run, minutes, [*options, "--steps", "4"])
        return found

    monkeypatch.setattr(experiment, "trained", trained)
    monkeypatch.setattr(report, "write_report", lambda _: None)
    return asked


def test_one_command_trains_what_is_missing(
    array: Path, held_out: Path, tmp_path: Path, experiment: Any, briefly: list[list[str]],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A pair that is taught on observed images, and a DCGAN alike; stopped and gone on with."""
    words = ["--train", str(array), "--train-limit", "30", "--minutes", "9", "--images",
             str(held_out), "--split", "train", "--sides", "3", "--steps", "4", "--classics",
             "inter-4", "--out", str(tmp_path), "--threads", "1", *FLAGS]  # fmt: skip

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "compute", stopped)
        assert experiment.main(words) == 130
    assert "repeat the command" in capsys.readouterr().err
    assert experiment.main(words) == 0
    common = ["--preset", "digits", "--limit", "30"]
    more = [w for w in FLAGS if w not in ("--preset", "digits")]
    asked = [
        [str(array), "pair", "9.0", *common, "--observed.weight", "1", *more],
        [str(array), "dcgan", "9.0", *common, "--method", "dcgan", *more],
    ]
    assert briefly == 2 * asked
    pair, other = (CoopNets.from_pretrained(tmp_path / name) for name in ("pair", "dcgan"))
    assert pair.config.observed.weight == 1 and other.config.method == "dcgan"
    assert (pair.about["iteration"], other.about["iteration"]) == (4, 4)
    content = json.loads((tmp_path / "table.json").read_text())
    assert {r["column"] for r in content["rows"]} >= {"coopnets", "dcgan", "inter-4"}
    assert "--train x.npy" in content["about"]["command"]


def test_finished_runs_are_not_trained(
    trained: Path, array: Path, held_out: Path, tmp_path: Path, experiment: Any,
    briefly: list[list[str]],
) -> None:  # fmt: skip
    words = ["--train", str(array), "--run", str(trained), "--no-dcgan", "--images",
             str(held_out), "--split", "train", "--sides", "3", "--steps", "4", "--classics",
             "inter-4", "--out", str(tmp_path)]  # fmt: skip
    assert experiment.main(words) == 0
    assert not briefly
    content = json.loads((tmp_path / "table.json").read_text())
    assert content["about"]["DCGAN"] == "left out"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "--train DATA"),
        (["--run", "RUN"], "--images"),
        (["--train", "DATA", "--split", "train"], "trained on"),
        (["--train", "DATA", "--images", "nowhere"], "nowhere"),
        (["--train", "DATA", "--minutes", "0"], "--minutes"),
        (["--train", "DATA", "--threads", "0"], "--threads"),
        (["--train", "DATA", "--train-limit", "0"], "--train-limit"),
        (["--run", "RUN", "--images", "DATA", "--split", "train", "--flip"], "--flip"),
        (["--run", "RUN", "--train", "DATA", "--images", "OTHER"], "make different images"),
        (["--run", "DCGAN", "--train", "DATA", "--images", "OTHER"], "method dcgan"),
        (["--dcgan", "RUN", "--train", "DATA", "--images", "OTHER"], "method coopnets"),
        (["--train", "DATA", "--images", "OTHER", "--sides", "64"], "--sides must be 1 to 63"),
        (["--train", "DATA", "--images", "OTHER", "--no-dcgan", "--shown", "dcgan"], "dcgan"),
        (["--train", "FOLDER", "--images", "FOLDER/", "--split", "train"], "trained on"),
    ],
)
def test_nothing_is_trained_in_vain(
    trained: Path, dcgan: Path, array: Path, tmp_path: Path, experiment: Any,
    briefly: list[list[str]], capsys: pytest.CaptureFixture[str], more: list[str], says: str,
) -> None:  # fmt: skip
    Image.fromarray(pixels(1)[0]).save(tmp_path / "x.png")
    places = {"RUN": trained, "DCGAN": dcgan, "DATA": array, "OTHER": tmp_path,
              "FOLDER": tmp_path, "FOLDER/": f"{tmp_path}/"}  # fmt: skip
    words = [str(places.get(word, word)) for word in more]
    if "OTHER" in more:
        words += ["--split", "train"]
    assert experiment.main(["--out", str(tmp_path / "out"), *words]) == 1
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and error[0].startswith("completion: ") and says in error[0]
    assert not briefly and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("method", "package"), [("biharmonic", "scikit-image"), ("telea", "opencv-python-headless")]
)
def test_a_missing_library_is_told_before_the_work(
    array: Path, held_out: Path, tmp_path: Path, experiment: Any, briefly: list[list[str]],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str, package: str,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, LIBRARIES[method][0], None)
    words = ["--train", str(array), "--images", str(held_out), "--split", "train",
             "--out", str(tmp_path / "out")]  # fmt: skip
    assert experiment.main(words) == 1
    assert f"{method} needs the package {package}" in capsys.readouterr().err
    assert not briefly and not (tmp_path / "out").exists()


def test_published_fields_are_told_apart(experiment: Any) -> None:
    """Beside the published figures, and only there."""
    from experiments.completion.layout import MINIMUM, _published

    assert _published((30, 7))[-1] == MINIMUM and "evidently were not" in MINIMUM
    assert MINIMUM not in _published((7,))


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
    both = tabulate(
        {30: [cell("both", -0.05), cell("dcgan", -0.04), cell("inter-4", 0.0)]}, "both"
    )
    assert verdicts(both)[0]["second"] == "dcgan"
    assert verdicts(both, networks=False)[0]["second"] == "inter-4"
    assert verdicts(both, networks=False)[0]["margin"] == pytest.approx(0.05 / base.mean())
    near = tabulate({30: [cell("both", -0.0005), cell("inter-4", 0.0)]}, "both")
    assert not any(v["ahead"] for v in verdicts(near))
    behind = tabulate({30: [cell("both", 0.05), cell("inter-4", 0.0)]}, "both")
    assert all(v["margin"] < 0 and not v["ahead"] for v in verdicts(behind))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--sides", "8"], "1 to 7"),
        (["--sides", "0"], "--sides"),
        (["--starts", "0"], "--starts"),
        (["--steps", "0"], "--steps"),
        (["--sigma", "0"], "--sigma"),
        (["--langevin-steps", "-1"], "--langevin-steps"),
        (["--limit", "0"], "--limit"),
        (["--blocks", "0"], "--blocks"),
        (["--classics", "magic"], "magic"),
        (["--split", "test"], "test"),
        (["--shown", "magic"], "magic"),
        (["--max-time", "1m"], "--max-time: the experiment sets that itself"),
        (["--method", "vae"], "--method: the experiment sets that itself"),
        (["--dcgan", "RUN"], "coopnets"),
        (["--run", "DCGAN"], "dcgan"),
    ],
)
def test_impossible_tables(
    trained: Path, dcgan: Path, held_out: Path, tmp_path: Path, experiment: Any,
    capsys: pytest.CaptureFixture[str], change: list[str], says: str,
) -> None:  # fmt: skip
    swapped = [{"RUN": str(trained), "DCGAN": str(dcgan)}.get(word, word) for word in change]
    assert experiment.main([*argv(trained, dcgan, held_out, tmp_path), *swapped]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("completion: ") and says in error[-1]
    assert not (tmp_path / "cells").exists()
