import json
from dataclasses import asdict
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import table
from benchmarks.result import Column, Result, aim_holds, cell, in_markdown, load, on_terminal
from coopnets.errors import CoopNetsError

COLUMNS = [
    Column("who", "who"),
    Column("time", "ms", ".1f", "median"),
    Column("ratio", "x", ".2f"),
]


@pytest.fixture
def result() -> Result:
    rows = [
        {"who": "ours", "time": 1.25, "median": 1.5, "ratio": 1.987, "least": {"ratio": 1.8}},
        {"who": "theirs", "time": 2.5, "median": 3.0, "ratio": None, "hidden": 7},
    ]
    about = {
        "command": "python -m benchmarks.x --threads 2", "coopnets": "1.2", "load": [0.1, 1.9],
        "machine": {"processor": "Abacus", "cores": 2, "threads": 2}, "seconds": 61.2,
    }  # fmt: skip
    return Result(
        title="A race", columns=COLUMNS, rows=rows, notes=["First.", "Last."], about=about
    )


def test_json_gives_back_all_of_it(result: Result, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "x.json"
    result.save(file)
    assert asdict(load(file)) == asdict(result)
    assert json.loads(file.read_text())["rows"][1]["hidden"] == 7


def test_cells() -> None:
    ratio = COLUMNS[2]
    assert cell({"time": 1.25, "median": 1.5}, COLUMNS[1]) == "1.2 (1.5)"
    assert cell({"ratio": None}, ratio) == cell({}, ratio) == "-"
    assert cell({"ratio": 2.0, "least": {"ratio": 1.8}}, ratio) == "2.00 ✓"
    assert cell({"ratio": 1.79, "least": {"ratio": 1.8}}, ratio) == "1.79 ✗"
    assert cell({"ratio": 1.79, "least": {"time": 1.8}}, ratio) == "1.79"


def test_an_aim_is_reached_when_the_value_is_and_not_what_it_rounds_to() -> None:
    assert aim_holds({"a": 1.799, "least": {"a": 1.8}}, "a") is False
    assert aim_holds({"a": 1.8, "least": {"a": 1.8}}, "a") is True
    assert aim_holds({"a": 0.031, "most": {"a": 0.03}}, "a") is False
    assert aim_holds({"a": 0.03, "most": {"a": 0.03}}, "a") is True
    assert aim_holds({"a": 0.03}, "a") is None


def test_markdown(result: Result) -> None:
    text = in_markdown(result)
    assert "```sh\npython -m benchmarks.x --threads 2\n```" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows == [
        "| who | ms | x |", "| --- | ---: | ---: |", "| ours | 1.2 (1.5) | 1.99 ✓ |",
        "| theirs | 2.5 (3.0) | - |",
    ]  # fmt: skip
    assert "Abacus; cores 2; threads 2; coopnets 1.2; load 0.1 before and 1.9 after" in text
    assert text.endswith("First.\n\nLast.\n")


def test_the_last_note_is_the_last_line(result: Result) -> None:
    out = StringIO()
    on_terminal(result, Console(width=100, file=out))
    assert out.getvalue().rstrip().splitlines()[-1] == "Last."


def test_tables_of_several_files(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / name) for name in ("a.json", "b.json")]
    for file in files:
        result.save(Path(file))
    assert table.main(files) == 0
    assert capsys.readouterr().out == f"{in_markdown(result)}\n{in_markdown(result)}"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"title": 1, "columns": [{"no": 1}]}'])
def test_other_files_are_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    assert table.main([str(file)]) == 1
    assert "is not the result of a benchmark" in capsys.readouterr().err
    with pytest.raises(CoopNetsError, match="cannot read"):
        load(tmp_path / "missing.json")
