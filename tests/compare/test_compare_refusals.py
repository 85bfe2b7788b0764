"""What a comparison refuses costs one line, no training, and nothing that is there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coopnets.cli import main
from coopnets.compare import comparison
from small import pixels

Out = pytest.CaptureFixture[str]


def refused(argv: list[str], clock: Any, capsys: Out) -> str:
    """Run a command that must fail before any training; return its message."""
    capsys.readouterr()
    before = clock.calls
    assert main(argv) == 1 and clock.calls == before
    error = capsys.readouterr().err
    assert error.startswith("coopnets: ") and error.count("\n") == 1
    return error


def test_other_settings_are_refused_and_shown(
    command: Any, carried_out: Any, clock: Any, tmp_path: Path, capsys: Out,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    carried_out(methods="coopnets,vae")
    kept = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    error = refused(command("--sigma", "0.5", "--langevin.steps", "3"), clock, capsys)
    assert "sigma: 0.3 -> 0.5" in error and "langevin.steps: 4 -> 3" in error
    assert "--fresh" in error and "--out" in error and "batch_size" not in error
    assert "seed: 0 -> 1" in refused(command("--seed", "1"), clock, capsys)
    np.savez(tmp_path / "y.npz", train=pixels(60, seed=5), test=pixels(30, seed=1))
    error = refused(command(data=tmp_path / "y.npz"), clock, capsys)
    assert "data: " in error and str(tmp_path / "y.npz") in error
    assert "max-time: 2 s -> 1 s" in refused(command("--max-time", "1s"), clock, capsys)
    assert {p: p.read_bytes() for p in kept} == kept
    usual = comparison.describe_machine
    monkeypatch.setattr(
        comparison, "describe_machine", lambda device: {**usual(device), "threads": 7}
    )
    assert "threads: 1 -> 7" in refused(command(), clock, capsys)
    assert {p: p.read_bytes() for p in kept} == kept


def test_settings_that_no_compared_method_uses_may_differ(
    command: Any, carried_out: Any, clock: Any, tmp_path: Path, capsys: Out
) -> None:
    """For instance those of a preset that has been tuned for another method since."""
    before = carried_out(methods="coopnets,vae")
    file = tmp_path / "out" / "compare.json"
    described = json.loads(file.read_text())
    described["config"]["chain"]["restart"] = 0.75
    file.write_text(json.dumps(described))
    error = refused(command(methods="coopnets,vae,descriptor"), clock, capsys)
    assert "chain.restart: 0.75 -> 0.05" in error
    assert carried_out(methods="coopnets,vae")["rows"] == before["rows"]


def test_folder_of_other_things_is_left_alone(
    command: Any, clock: Any, tmp_path: Path, capsys: Out
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    for more in ([], ["--fresh"]):
        assert "thesis.txt" in refused(command(*more), clock, capsys)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"config": {"warp": 9}}', ""])
def test_damaged_description(
    command: Any, clock: Any, tmp_path: Path, capsys: Out, content: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "compare.json").write_text(content)
    assert "compare.json" in refused(command(), clock, capsys)
    assert (tmp_path / "out" / "compare.json").read_text() == content


def test_second_process_is_refused(command: Any, clock: Any, tmp_path: Path, capsys: Out) -> None:
    from coopnets.compare import ComparisonFolder

    with ComparisonFolder(tmp_path / "out").locked():
        assert "in use" in refused(command(), clock, capsys)


def test_no_test_split_says_both_remedies(
    command: Any, clock: Any, array: Path, tmp_path: Path, capsys: Out
) -> None:
    error = refused(command(data=array), clock, capsys)
    assert "no split 'test'" in error and "--real" in error and "--split train" in error
    assert "no split 'val'" in refused(command("--split", "val", data=array), clock, capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--methods", "coopnets,gan"], "'gan'"),
        (["--methods", ","], "--methods"),
        (["--method", "vae"], "--methods"),
        (["--max-time", "soon"], "'soon'"),
        (["--max-time", "0"], "--max-time"),
        (["--moments", "0"], "--moments"),
        (["--samples", "9"], "--samples"),
        (["--curve-samples", "9"], "--curve-samples"),
        (["--checkpoint-every", "0"], "--checkpoint-every"),
        (["--features", "resnet"], "resnet"),
        (["--device", "abacus"], "abacus"),
        (["--batch-size", "0"], "--batch-size"),
        (["--critic-optimizer.lr", "1"], "--critic-optimizer.lr changes nothing"),
        (["--methods", "dcgan", "--langevin.delta", "0.1"], "changes nothing"),
        (["--langevin.drift-clip", "-1"], "--langevin.drift-clip"),
        (["--langevin.damping", "0"], "--langevin.damping"),
        (["--langevin.damping", "1.5"], "at most 1"),
        (["--parzen", "--split", "train"], "another split"),
        (["--classifier", "--split", "training"], "another split"),
        (["--classifier"], "labels"),
        (["--real", "no/such.npz"], "no/such.npz"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)
def test_impossible_comparisons(
    command: Any, clock: Any, tmp_path: Path, capsys: Out, more: list[str], word: str
) -> None:
    assert word in refused(command(*more), clock, capsys)
    assert not (tmp_path / "out").exists()


def test_too_few_real_images(command: Any, clock: Any, tmp_path: Path, capsys: Out) -> None:
    np.save(tmp_path / "few.npy", pixels(9))
    error = refused(command("--real", str(tmp_path / "few.npy")), clock, capsys)
    assert "9 images" in error and "10" in error


def test_settings_that_make_no_network(
    command: Any, clock: Any, tmp_path: Path, capsys: Out
) -> None:
    error = refused(command("--generator.kernels", "4"), clock, capsys)
    assert "network" in error or "--generator" in error
