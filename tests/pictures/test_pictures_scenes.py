"""The experiment with scenes on tiny models: its table is that of the comparisons."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.scenes import make
from experiments.scenes.curves import curve
from experiments.training import trained
from small import FLAGS, pixels

Out = pytest.CaptureFixture[str]


@pytest.fixture
def argv(tmp_path: Path, network: Callable[[int], str]) -> list[str]:
    for i, scene in enumerate(("hills", "coast")):
        np.save(tmp_path / f"{scene}-train.npy", pixels(40, seed=i))
        np.save(tmp_path / f"{scene}-test.npy", pixels(24, seed=10 + i))
    return ["--train", str(tmp_path / "{}-train.npy"), "--test", str(tmp_path / "{}-test.npy"),
            "--out", str(tmp_path / "out"), "--scenes", "hills", "coast", "--counts", "16", "all",
            "--minutes", "0.002", "--moments", "1", "--samples", "20", *FLAGS,
            "--features", network(1)]  # fmt: skip


def test_table_is_that_of_the_comparisons(argv: list[str], tmp_path: Path, capsys: Out) -> None:
    assert make.main(argv) == 0
    out = tmp_path / "out"
    content = json.loads((out / "table.json").read_text())
    found = {(r["scene"], r["count"]): r for r in content["rows"]}
    assert list(found) == [(s, c) for s in ("hills", "coast") for c in ("16", "all")]
    text, nearer = (out / "table.md").read_text(), 0
    for (scene, count), row in found.items():
        folder = out / f"{scene}-{count}"
        outcome = json.loads((folder / "table.json").read_text())
        assert row["images"] == outcome["data"]["images"] == (16 if count == "16" else 40)
        assert row["real"] == 24 and outcome["real"]["source"].endswith(f"{scene}-test.npy")
        scores = {r["row"]: r["record"]["scores"] for r in outcome["rows"]}
        assert {m: row["rows"][m]["scores"] for m in make.METHODS} == scores
        name = outcome["features"]["names"]["frechet"]
        values = [scores[m][name] for m in make.METHODS]
        cells = [f"**{v:.4g}**" if v == min(values) else f"{v:.4g}" for v in values]
        assert f"| {scene} | {row['images']} | 24 | " + " | ".join(cells) + " |" in text
        nearer += values[0] < values[2]
        assert (folder / "pictures" / "samples-descriptor.png").exists()
        assert (folder / "pictures" / "sphere-revised.png").exists()
    assert content["nearer"]["CoopNets descriptor"] == nearer and content["nearer"]["of"] == 4
    assert str(tmp_path) not in text
    assert curve([found["hills", "16"]], "DCGAN") == [
        (16, values_of(found["hills", "16"], "DCGAN"))
    ]
    assert (out / "table.svg").read_text().count("coast") >= 1
    seconds = found["coast", "all"]["rows"]["DCGAN"]["training_seconds"]
    assert f"and {seconds / 60:.1f} |" in text
    capsys.readouterr()
    tables = {p: p.stat().st_mtime_ns for p in out.rglob("evaluation.json")}
    assert make.main(argv) == 0  # nothing is trained or scored again
    assert {p: p.stat().st_mtime_ns for p in out.rglob("evaluation.json")} == tables
    assert "scoring" not in capsys.readouterr().out


def values_of(row: dict[str, Any], method: str) -> float:
    return float(row["rows"][method]["scores"][row["names"]["frechet"]])


def rows_of(*triples: tuple[float | None, float, float | None]) -> list[dict[str, Any]]:
    return [
        {"names": {"frechet": "FD"}, "rows": {
            m: {"scores": None if v is None else {"FD": v}, "state": "diverged"}
            for m, v in zip(make.METHODS, values, strict=True)}}
        for values in triples
    ]  # fmt: skip


def test_a_row_without_a_score_of_ours_is_lost_and_one_without_theirs_does_not_count() -> None:
    found = make.nearer(rows_of((1, 5, 3), (3, 2, 3), (4, 4, 3), (None, 1, 2), (1, 1, None)))
    assert found == {"CoopNets descriptor": 1, "CoopNets generator": 2, "of": 4}


def test_all_images_are_learnt_from_once(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where so many were asked for that these were all."""
    asked = []

    def row(scene: str, count: str, *_: object) -> dict[str, Any]:
        asked.append((scene, count))
        images = 40 if count == "all" else min(int(count), 40)
        return {"scene": scene, "count": count, "images": images, **rows_of((1, 2, 3))[0]}

    monkeypatch.setattr(make, "_row", row)
    monkeypatch.setattr(make, "_write", lambda *_: None)
    monkeypatch.setattr(make, "show", lambda _: None)
    counts = argv.index("--counts") + 1
    assert make.main([*argv[:counts], "16", "40", "all", *argv[counts + 2 :]]) == 0
    assert asked == [(s, c) for s in ("hills", "coast") for c in ("16", "40", "all")]
    asked.clear()
    assert make.main([*argv[:counts], "16", "50", "all", *argv[counts + 2 :]]) == 0
    assert asked == [(s, c) for s in ("hills", "coast") for c in ("16", "50")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--test", "photos.npy"], "--test needs {}"),
        (["--counts", "few"], "--counts few"),
        (["--minutes", "0"], "--minutes"),
        (["--methods", "dcgan"], "--methods: the experiment sets that itself"),
        (["--scenes", "moon"], "the comparison in"),
    ],
)
def test_impossible_experiments(
    argv: list[str], capsys: Out, change: list[str], says: str
) -> None:
    assert make.main([*argv, *change]) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("scenes: ") and says in error[-1]


def test_an_interrupted_training_interrupts_the_experiment(
    array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its command ends well, as all is saved; the experiment must not go on with half of it."""
    from coopnets import train

    class Asked:
        asked = True

        def __enter__(self) -> "Asked":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(train, "_Interruption", Asked)
        with pytest.raises(KeyboardInterrupt):
            trained(array, tmp_path / "run", 9.0, [*FLAGS, "--steps", "5"])
    model = trained(array, tmp_path / "run", 9.0, [*FLAGS, "--steps", "5"])
    assert model.about["iteration"] == 5
