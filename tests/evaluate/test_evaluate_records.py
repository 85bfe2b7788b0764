"""evaluation.json keeps every record, whole; the commit is that of our own checkout."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from coopnets.errors import RunError
from coopnets.evaluate import append_records, read_records
from coopnets.evaluate.provenance import git_commit, provenance


def test_round_trip_in_order(tmp_path: Path) -> None:
    assert read_records(tmp_path) == []
    append_records(tmp_path, [{"a": 1.5, "b": ["x", None]}, {"a": 2}])
    file = append_records(tmp_path, [{"a": 3}])
    assert file == tmp_path / "evaluation.json"
    assert read_records(tmp_path) == [{"a": 1.5, "b": ["x", None]}, {"a": 2}, {"a": 3}]
    assert [p.name for p in tmp_path.iterdir()] == ["evaluation.json"]


def test_none_is_lost_where_several_write(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append_records(tmp_path, [{"i": i}]), range(40)))
    assert sorted(r["i"] for r in read_records(tmp_path)) == list(range(40))


@pytest.mark.parametrize("content", ['[{"a": 1}', '{"a": 1}', "[1]", ""])
def test_damaged_file_is_an_error_and_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / "evaluation.json").write_text(content)
    for attempt in (lambda: read_records(tmp_path), lambda: append_records(tmp_path, [{}])):
        with pytest.raises(RunError, match=r"evaluation\.json") as error:
            attempt()
        assert "\n" not in str(error.value)
    assert (tmp_path / "evaluation.json").read_text() == content


def test_failed_write_leaves_the_old_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_records(tmp_path, [{"a": 1}])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("coopnets.evaluate.records.os.fsync", full)
        with pytest.raises(RunError, match="No space left"):
            append_records(tmp_path, [{"a": 2}])
    assert read_records(tmp_path) == [{"a": 1}]
    append_records(tmp_path, [{"a": 3}])
    assert read_records(tmp_path) == [{"a": 1}, {"a": 3}]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_commit_is_the_checkouts(tmp_path: Path) -> None:
    package = tmp_path / "src" / "package"
    package.mkdir(parents=True)
    (package / "a.py").write_text("1")
    (tmp_path / "notes.txt").write_text("1")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "-q", "-m", "m")
    assert git_commit(package) is None  # not tracked: another project's checkout
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "m")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(package) == commit
    (tmp_path / "notes.txt").write_text("2")  # no code of ours
    assert git_commit(package) == commit
    (package / "a.py").write_text("2")
    assert git_commit(package) == f"{commit}+changes"


def test_no_git_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(Path(__file__).parent) is None


def test_provenance_names_code_and_machine() -> None:
    from coopnets.version import __version__

    found = provenance(torch.device("cpu"))
    assert found["coopnets"] == __version__ and found["machine"]["torch"] == torch.__version__
