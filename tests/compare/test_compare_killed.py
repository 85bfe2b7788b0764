"""A real kill of a real comparison: repeated, it goes on, and what was scored stands."""

import json
import signal
from pathlib import Path
from typing import Any

from coopnets.cli import main
from coopnets.evaluate import read_records
from small import start_command, until


def test_killed_and_repeated(command: Any, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    argv = command("--max-time", "0.5s", methods="vae,coopnets")

    def records() -> list[Any]:
        return [r for method in ("vae", "coopnets") for r in _read(out / method)]

    scored: list[Any] = []
    for _ in range(3):
        child, known = start_command(argv, log), len(scored)
        until(lambda c=child, n=known: len(records()) > n or not c.is_alive(), 120)
        child.kill()
        child.join()
        assert child.exitcode in (-signal.SIGKILL, 0), log.read_text()
        found = records()
        assert all(record in found for record in scored)
        scored = found
    assert main(argv) == 0
    assert all(record in records() for record in scored)
    outcome = json.loads((out / "table.json").read_text())
    assert [row["state"] for row in outcome["rows"]] == ["scored"] * 3
    assert all(row["training_seconds"] >= 0.5 for row in outcome["rows"])
    assert [[p["moment"] for p in c["points"]] for c in outcome["curves"]] == [[0.25, 0.5]] * 3
    # One evaluation of each source at each moment and at the end, none twice.
    assert len(records()) == 9
    assert not list(out.rglob("*unfinished*"))


def _read(run: Path) -> list[Any]:
    return read_records(run) if run.is_dir() else []
