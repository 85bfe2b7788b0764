"""Whatever a user gets wrong costs one line on stderr and a non-zero exit code."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coopnets.cli import main
from small import FLAGS, train_command


def one_line(capsys: pytest.CaptureFixture[str], argv: list[str]) -> str:
    """Run a command that must fail as it should; return its message."""
    capsys.readouterr()
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("coopnets: ") and error.count("\n") == 1 and error.endswith("\n")
    return error


Errors = pytest.CaptureFixture[str]


class Written(io.RawIOBase):
    """An unbuffered stream that keeps what each write brought."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.writes.append(bytes(data))
        return len(self.writes[-1])


def test_a_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unbuffered, the lines of two processes would run into one another between two writes."""
    raw = Written()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))  # type: ignore[arg-type]
    assert main(["info", str(tmp_path / "none")]) == 1
    assert len(raw.writes) == 1 and raw.writes[0].endswith(b"\n")


def test_no_duration(array: Path, tmp_path: Path, capsys: Errors) -> None:
    argv = ["train", str(array), "--run", str(tmp_path / "run"), "--preset", "tf-pami-mnist"]
    assert "say how long to train with --preset tf-pami-mnist" in one_line(capsys, argv)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["soon", "", "5x", "1.2.3", "-3m", "1h 30m", "m"])
def test_bad_duration(array: Path, tmp_path: Path, capsys: Errors, text: str) -> None:
    argv = ["train", str(array), "--run", str(tmp_path / "run"), f"--max-time={text}", *FLAGS]
    assert "90s, 20m or 1h30m" in one_line(capsys, argv)


@pytest.mark.parametrize("flag", [["--preset", "imagenet"], ["--preset=imagenet"]])
def test_unknown_preset(array: Path, tmp_path: Path, capsys: Errors, flag: list[str]) -> None:
    argv = ["train", str(array), "--run", str(tmp_path / "run"), "--steps", "1", *flag]
    error = one_line(capsys, argv)
    assert "'imagenet'" in error and "digits" in error
    assert "'imagenet'" in one_line(capsys, ["presets", "imagenet"])


def test_missing_data(tmp_path: Path, capsys: Errors) -> None:
    missing = tmp_path / "absent"
    assert "absent" in one_line(capsys, train_command(missing, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_unusable_data(tmp_path: Path, capsys: Errors) -> None:
    np.save(tmp_path / "x.npy", np.zeros(5))
    assert "shape" in one_line(capsys, train_command(tmp_path / "x.npy", tmp_path / "run"))


def test_missing_split(array: Path, tmp_path: Path, capsys: Errors) -> None:
    assert "test" in one_line(capsys, train_command(array, tmp_path / "run", "--split", "test"))


@pytest.mark.parametrize(
    "argv", [["info", "{}"], ["sample", "{}", "--out", "x.png"], ["report", "{}"],
             ["interpolate", "{}", "--out", "x.png"]]
)  # fmt: skip
def test_absent_run(tmp_path: Path, capsys: Errors, argv: list[str]) -> None:
    absent = str(tmp_path / "absent")
    assert "absent" in one_line(capsys, [a.format(absent) for a in argv])


@pytest.mark.parametrize("command", ["info", "sample", "interpolate", "report"])
def test_folder_that_is_no_run(tmp_path: Path, capsys: Errors, command: str) -> None:
    more = [] if command in ("info", "report") else ["--out", str(tmp_path / "x.png")]
    (tmp_path / "holiday.png").write_bytes(b"")
    one_line(capsys, [command, str(tmp_path), *more])


def test_run_without_checkpoint(trained: Path, tmp_path: Path, capsys: Errors) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_bytes((trained / "config.json").read_bytes())
    argv = ["sample", str(tmp_path), "--out", str(tmp_path / "x.png")]
    assert "train it first" in one_line(capsys, argv)


def test_unknown_suffix(trained: Path, tmp_path: Path, capsys: Errors) -> None:
    argv = ["sample", str(trained), "--out", str(tmp_path / "x.doc")]
    assert "x.doc" in one_line(capsys, argv)
    argv = ["interpolate", str(trained), "--out", str(tmp_path / "x.doc")]
    assert "x.doc" in one_line(capsys, argv)


@pytest.mark.parametrize(
    "bad",
    [["-n", "0"], ["--batch-size", "0"], ["--langevin-steps", "-1"], ["--first", "-1"]],
    ids=lambda bad: bad[0],
)  # fmt: skip
def test_impossible_samples(trained: Path, tmp_path: Path, capsys: Errors, bad: list[str]) -> None:
    one_line(capsys, ["sample", str(trained), "--out", str(tmp_path / "x.png"), *bad])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [["--pairs", "0"], ["--points", "1"], ["--langevin-steps", "-1"]])
def test_impossible_interpolation(
    trained: Path, tmp_path: Path, capsys: Errors, bad: list[str]
) -> None:
    one_line(capsys, ["interpolate", str(trained), "--out", str(tmp_path / "x.png"), *bad])


def test_plane_of_many_latent_numbers(trained: Path, tmp_path: Path, capsys: Errors) -> None:
    argv = ["interpolate", str(trained), "--out", str(tmp_path / "x.png"), "--kind", "plane"]
    assert "two latent numbers" in one_line(capsys, argv)


@pytest.mark.parametrize(
    "bad",
    [
        ["--checkpoint-every", "0"], ["--batch-size", "0"], ["--chains", "0"],
        ["--size", "0"], ["--image-channels", "2"], ["--limit", "0"],
        ["--descriptor.kernels", "4"], ["--generator.kernels", "4"],
        ["--generator.kernels", "1", "1"], ["--descriptor.strides", "0", "0"],
        ["--generator.latent", "0"], ["--langevin.steps", "-1"], ["--memory", "-1"],
        ["--langevin.s", "0"], ["--sigma", "0"],
    ],
    ids=lambda bad: "-".join(bad).strip("-"),
)  # fmt: skip
def test_impossible_settings(array: Path, tmp_path: Path, capsys: Errors, bad: list[str]) -> None:
    one_line(capsys, train_command(array, tmp_path / "run", *bad, steps=2))


@pytest.mark.parametrize("command", ["train", "sample"])
def test_negative_seed(
    trained: Path, array: Path, tmp_path: Path, capsys: Errors, command: str
) -> None:
    """A seed like any other, or refused in one line."""
    argv = {
        "train": train_command(array, tmp_path / "run", "--seed", "-1", steps=1),
        "sample": ["sample", str(trained), "--out", str(tmp_path / "x.png"), "--seed", "-1"],
    }[command]
    code, error = main(argv), capsys.readouterr().err
    assert code == 0 or (error.startswith("coopnets: ") and error.count("\n") == 1)


def test_changed_settings(trained: Path, array: Path, capsys: Errors) -> None:
    error = one_line(capsys, train_command(array, trained, "--sigma", "0.5", steps=60))
    assert "sigma: 0.3 -> 0.5" in error and "--fresh" in error


def test_foreign_folder(array: Path, tmp_path: Path, capsys: Errors) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for more in ([], ["--fresh"]):
        assert "thesis.txt" in one_line(capsys, train_command(array, tmp_path, *more))
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_run_that_is_a_file(array: Path, tmp_path: Path, capsys: Errors) -> None:
    (tmp_path / "run").write_text("")
    one_line(capsys, train_command(array, tmp_path / "run"))


def test_unknown_tracker(array: Path, tmp_path: Path, capsys: Errors) -> None:
    argv = train_command(array, tmp_path / "run", "--tracker", "abacus", steps=1)
    assert "abacus" in one_line(capsys, argv)


@pytest.mark.parametrize("argv", [["train"], ["fly"], ["sample", "x"], ["train", "x", "--wings"]])
def test_bad_usage_has_a_code_of_its_own(argv: list[str], capsys: Errors) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.err + captured.out and "Traceback" not in captured.err


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: Errors) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tyro.extras.subcommand_cli_from_dict", interrupted)
    assert main(["presets"]) == 130
    assert capsys.readouterr().err == "coopnets: interrupted\n"


def test_damaged_settings(trained: Path, tmp_path: Path, capsys: Errors) -> None:
    content = json.loads((trained / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(content)[:50])
    assert "config.json" in one_line(capsys, ["info", str(tmp_path)])
