"""Trainings of experiments: what counts as having run away, and what a record says."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from coopnets import checkpoint
from coopnets.cli import main
from coopnets.cooperate import Cooperation
from coopnets.errors import CoopNetsError, DivergenceError
from coopnets.runfolder import RunFolder
from experiments import training
from experiments.cells import caught_up, once
from experiments.training import last_good, spoken, trained
from small import FLAGS


def test_records_leave_out_where_things_lie() -> None:
    words = ["--train", "/home/me/scenes/{}/train", "--test=/home/me/test/", "--out", "a/b",
             "--may-show", "ps_*", "--minutes", "20"]  # fmt: skip
    assert spoken("experiments/x/make.py", words) == (
        "python experiments/x/make.py --train '{}/train' --test=test --out b --may-show 'ps_*' "
        "--minutes 20"
    )


def test_only_this_call_s_last_words_tell_of_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["diverged at iteration 7 (x): gave up after 9 tries"]
    log = tmp_path / "log.txt"

    def command(argv: Sequence[str]) -> int:
        with log.open("a") as stream:
            stream.writelines(f"{word}\n" for word in words)
        return 1

    monkeypatch.setattr(training, "coopnets", command)
    with pytest.raises(DivergenceError, match="gave up after 9 tries"):
        trained("data", tmp_path, 1.0, [])
    words.clear()  # refused before anything was said: other settings, for instance
    with pytest.raises(CoopNetsError, match="the training of") as refused:
        trained("data", tmp_path, 1.0, [])
    assert not isinstance(refused.value, DivergenceError)
    assert last_good(tmp_path) is None


def test_a_training_that_gave_up_has_not_succeeded_because_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "coopnets", lambda argv: 0)
    monkeypatch.setattr(training.CoopNets, "from_pretrained", lambda *_: "model")
    file = tmp_path / "metrics.jsonl"
    event = {"iteration": 7, "event": "gave up", "what": "not finite"}
    file.write_text(json.dumps(event) + "\n")
    with pytest.raises(DivergenceError, match="gave up at iteration 7: not finite"):
        trained("data", tmp_path, 1.0, [])
    with file.open("a") as stream:  # it was taken up again, and went on
        stream.write(json.dumps({"iteration": 9}) + "\n")
    assert trained("data", tmp_path, 1.0, []) == "model"


def test_a_start_is_nothing_learnt(
    array: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first checkpoint is written before the first iteration."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    argv = ["train", str(array), "--run", str(tmp_path / "run"), "--steps", "2", *FLAGS]
    with monkeypatch.context() as patch:
        patch.setattr(Cooperation, "iterate", stop)
        main(argv)
    assert checkpoint.whole(RunFolder(tmp_path / "run").checkpoints)
    assert last_good(tmp_path / "run") is None
    assert main(argv) == 0
    assert last_good(tmp_path / "run") is not None


@pytest.mark.parametrize("name", ["objects", "scenes", "textures"])
def test_options_that_the_experiment_sets_are_refused(
    name: str, tmp_path: Path, textures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = import_module(f"experiments.{name}.make")
    asked = {"objects": ["--data", "x"], "scenes": ["--train", "{}", "--test", "{}"],
             "textures": ["--textures", str(textures)]}[name]  # fmt: skip
    for option in (["--max-time", "5m"], ["--limit=10"]):
        assert make.main([*asked, "--out", str(tmp_path / "out"), *option]) == 1
        assert f"{option[0]}: the experiment sets that itself" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_result_does_not_vouch_for_pictures_of_other_settings(tmp_path: Path) -> None:
    """They may have been half replaced when the command was stopped."""
    file, made = tmp_path / "x.json", []

    def work() -> dict[str, int]:
        made.append(1)
        return {"n": len(made)}

    def stopped() -> dict[str, int]:
        raise KeyboardInterrupt

    assert once(file, {"seed": 0}, work) == once(file, {"seed": 0}, work) == {"n": 1}
    with pytest.raises(KeyboardInterrupt):
        once(file, {"seed": 1}, stopped)
    assert once(file, {"seed": 0}, work) == {"n": 2}


def test_a_repeated_command_leaves_the_table_until_it_has_as_much(tmp_path: Path) -> None:
    table, row = tmp_path / "table.json", {"name": "x"}
    assert caught_up(table, [])
    table.write_text(json.dumps({"rows": [row, row]}))
    assert not caught_up(table, [row]) and caught_up(table, [row, row])
    table.write_text("half")
    assert caught_up(table, [row])


@pytest.mark.parametrize("name", ["objects", "scenes", "textures"])
def test_an_out_that_is_a_file(
    name: str, tmp_path: Path, textures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = import_module(f"experiments.{name}.make")
    (tmp_path / "file").write_text("mine")
    asked = {"objects": ["--data", "x"], "scenes": ["--train", "{}", "--test", "{}"],
             "textures": ["--textures", str(textures)]}[name]  # fmt: skip
    assert make.main([*asked, "--out", str(tmp_path / "file"), "--minutes", "1"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"{name}: ") and str(tmp_path / "file") in error
    assert (tmp_path / "file").read_text() == "mine"
