"""Every command runs, prints its table and writes what can be read again."""

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import chain, command, rivals
from benchmarks.result import Result, load

NAMES = ["chain", "iteration", "sampling", "loading", "processes", "layers"]


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' process keeps its allocator."""
    monkeypatch.setattr(command, "keep_memory", lambda: False)


def measured(name: str, tmp_path: Path, *more: str) -> Result:
    file = tmp_path / f"{name}.json"
    main = importlib.import_module(f"benchmarks.{name}").main
    assert main(["--quick", "--out", str(file), *more]) == 0
    return load(file)


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("name", NAMES)
def test_quick(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(name, tmp_path)
    out = capsys.readouterr().out
    assert result.title in out and out.rstrip().endswith(result.notes[-1])
    assert result.rows and all(math.isfinite(n) for row in result.rows for n in numbers(row))
    assert result.about["machine"]["torch"] == torch.__version__
    assert result.about["command"].startswith(f"python -m benchmarks.{name} --quick")
    assert (
        json.loads((tmp_path / f"{name}.json").read_text())["about"]["settings"]["quick"] is True
    )
    checks: Any = globals().get(f"check_{name}", lambda _: None)
    checks(result)


def check_chain(result: Result) -> None:
    for row in result.rows:
        assert row["over_naive"] == pytest.approx(row["naive"] / row["ours"])
        assert row["of_limit"] == pytest.approx(row["limit"] / row["ours"])
        assert row["ours_median"] >= row["ours"] > 0
        assert ("torchebm" in row) == rivals.has_torchebm()


def check_iteration(result: Result) -> None:
    ours, ports = result.rows[0], result.rows[-1]
    assert ours["over_port"] == pytest.approx(ports["whole"] / ours["whole"])
    assert result.notes[-1].startswith(f"{ours['over_port']:.2f} times")
    for row in result.rows:  # the steps make up the whole
        parts = sum(row[key] for key in ("g0", "d1", "d2", "g2"))
        assert parts == pytest.approx(row["whole_median"], rel=0.25)


def test_the_chains_part_of_an_iteration_on_clips(tmp_path: Path) -> None:
    result = measured("iteration", tmp_path, "--preset", "dynamic-texture")
    for row in result.rows:
        assert row["way"] == "ours" and "over_port" not in row
        assert row["share"] == pytest.approx(row["d1"] / row["whole_median"])
        assert 0 < row["share"] < 1
    assert f"take {result.rows[0]['share']:.0%} of an iteration" in result.notes[-1]
    assert {"share", "rate"} <= {c.key for c in result.columns}


def check_sampling(result: Result) -> None:
    for row in result.rows:
        assert row["rate"] == pytest.approx(row["number"] / row["seconds"])
        assert 50 < row["peak"] < 100_000


def check_loading(result: Result) -> None:
    few, many = result.rows
    assert many["number"] == 2 * few["number"]
    assert abs(many["memory"] - few["memory"]) < 30
    for row in result.rows:
        parts = row["fetching"] + row["overhead"]
        assert row["share"] == pytest.approx(parts / row["iteration"])


def check_processes(result: Result) -> None:
    assert [row["how"] for row in result.rows] == ["measured"] * 3 + ["model"] * 4
    assert result.rows[0]["communication"] == 0 < result.rows[1]["communication"]
    assert "model and no measurement" in " ".join(result.notes)


def test_aims_of_a_chain() -> None:
    """fp32 and bf16 rows of a machine that has bf16, by hand."""
    common = {"flops": 4e9, "naive": 9.0, "torchebm": 6.0, "torchebm_layers": 5.0}

    def aims(network: str, batch: int, precision: str, default: str) -> dict[str, float]:
        row = {**common, "network": network, "batch": batch, "precision": precision, "ours": 3.0}
        chain.finish(row, default, 2e12)
        assert row["limit"] == pytest.approx(2.0) and row["of_limit"] == pytest.approx(2 / 3)
        assert row["over_torchebm"] == 2 and row["over_naive"] == 3
        least: dict[str, float] = row["least"]
        return least

    limit = {"of_limit": 0.7}
    assert aims("demo", 1, "fp32", "bf16") == {"over_torchebm": 1.4}
    assert aims("scene, face", 1, "fp32", "bf16") == {"over_torchebm": 1.0}
    assert aims("digits, x", 100, "fp32", "bf16") == {"over_torchebm": 1.0, **limit}
    assert aims("digits", 1, "bf16", "bf16") == {}
    assert aims("scene", 16, "bf16", "bf16") == {"over_torchebm": 1.8, "over_naive": 2.5}
    both = {"over_torchebm": 1.8, "over_naive": 2.5, **limit}
    assert aims("scene", 100, "fp32", "fp32") == both


def test_without_torchebm_it_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "has_torchebm", lambda: False)
    for row in measured("chain", tmp_path).rows:
        assert row["over_torchebm"] is None and "over_torchebm" not in row["least"]


def test_what_is_wrong_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert chain.main(["--presets", "nothing"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("benchmarks: there is no preset 'nothing'") and error.count("\n") == 1


def test_a_result_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    main = importlib.import_module("benchmarks.layers").main
    assert main(["--quick", "--out", str(tmp_path / "file" / "x.json")]) == 1
    assert "cannot write" in capsys.readouterr().err
