"""The run folder: everything a run leaves behind, readable by a person.

config.json     the resolved settings, the data, the versions
metrics.jsonl   one line every few iterations, and one for each event
log.txt         what was said on the terminal
grids/          data | proposed | revised over time, or data | samples
checkpoints/    the whole state, newest three
report.html     pictures and curves
evaluation.json scores of its samples, if they were evaluated
"""

import fcntl
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coopnets.concern import concerns
from coopnets.config import Config, differences, from_dict, to_dict
from coopnets.errors import RunError
from coopnets.version import __version__

UNFINISHED = ".unfinished"
EVALUATION = "evaluation.json"


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.metrics_file = path / "metrics.jsonl"
        self.log_file = path / "log.txt"
        self.recovery_file = path / "recovery.json"
        self.grids = path / "grids"
        self.checkpoints = path / "checkpoints"
        self.tracker = path / "tracker"
        self.report = path / "report.html"
        self.evaluation = path / EVALUATION

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process alone.

        Raises:
            RunError: another process trains in it, or the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunError(f"cannot use {self.path} as a run folder: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"{self.path} is in use by another training process") from error
            try:
                yield
            finally:
                if not self.config_file.exists():  # refused: leave the folder as it was
                    (self.path / ".lock").unlink(missing_ok=True)

    def start(
        self, config: Config, data: dict[str, Any], machine: dict[str, Any], fresh: bool
    ) -> None:
        """Make the folder, or take it up again if it holds a run of the same settings.

        Settings that the method has no use for may differ.

        Args:
            config: resolved settings.
            data: description of the data; ``fingerprint`` decides whether it is the same.
            machine: description of the machine, for the record.
            fresh: delete what is there first.

        Raises:
            RunError: it holds a run of other settings or data, or files that are no run.
        """
        if self.config_file.exists():
            if not fresh:
                self._compare(config, data)
                self._make_folders()  # a kill during --fresh may have taken them
                return
            self.clear()
        else:
            self._refuse_strangers()
        self._make_folders()
        content = {
            "coopnets": __version__,
            "command": shlex.join(["coopnets", *sys.argv[1:]]),
            "machine": machine,
            "data": data,
            "config": to_dict(config),
        }
        self.replace(self.config_file, content)

    def clear(self) -> None:
        """Delete the run; what else the user keeps in the folder stays."""
        for folder in (self.grids, self.checkpoints, self.tracker):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.metrics_file, self.log_file, self.recovery_file, self.report,
                     self.evaluation):  # fmt: skip
            file.unlink(missing_ok=True)
        self.config_file.unlink()

    def describe(self) -> dict[str, Any]:
        """What config.json holds.

        Raises:
            RunError: there is no run here, or the file is damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.config_file.read_text())
        except FileNotFoundError as error:
            raise RunError(f"{self.path} holds no run: there is no config.json in it") from error
        except (OSError, ValueError) as error:
            raise RunError(f"{self.config_file} cannot be read: {error}") from error
        if not isinstance(content, dict) or not {"coopnets", "config", "data"} <= content.keys():
            raise RunError(f"{self.config_file} is not the settings of a run")
        return content

    def config(self) -> Config:
        """The resolved settings.

        Raises:
            RunError: as :meth:`describe`, or the settings are of another version.
        """
        try:
            config: Config = from_dict(Config, self.describe()["config"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.config_file} does not fit this version: {error}") from error
        return config

    def metrics(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl."""
        return list(_lines(self.metrics_file))

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        _append(self.metrics_file, json.dumps(line))

    def append_log(self, line: str) -> None:
        """Add a line to log.txt."""
        _append(self.log_file, line)

    def forget_after(self, iteration: int) -> None:
        """Drop the lines of iterations that are about to be done again; events stay."""
        kept = [m for m in self.metrics() if m["iteration"] <= iteration or "event" in m]
        rewrite(self.metrics_file, (json.dumps(m) for m in kept))
        for grid in (*self.grids.glob("[0-9]*.png"), *self.grids.glob("[0-9]*.webp")):
            if int(grid.stem) > iteration:
                grid.unlink()

    def recovery(self) -> dict[str, Any]:
        """What the last roll-back wrote, or nothing."""
        try:
            recovery: dict[str, Any] = json.loads(self.recovery_file.read_text())
        except (OSError, ValueError):  # none, or damaged: the checkpoint's own numbers stand
            return {}
        return recovery

    def replace(self, file: Path, content: dict[str, Any]) -> None:
        """Write a JSON file whole or not at all."""
        rewrite(file, [json.dumps(content, indent=1)])

    def _make_folders(self) -> None:
        self.grids.mkdir(exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)

    def _refuse_strangers(self) -> None:
        ours = {  # what a kill may leave before config.json is there
            ".lock", self.grids.name, self.checkpoints.name, self.config_file.name + UNFINISHED,
        }  # fmt: skip
        if strangers := sorted(p.name for p in self.path.iterdir() if p.name not in ours):
            raise RunError(
                f"{self.path} holds {strangers[0]!r} and no run: give --run an empty or new folder"
            )

    def _compare(self, config: Config, data: dict[str, Any]) -> None:
        stored = self.describe()
        changes = [
            change for change in differences(self.config(), config)
            if concerns(change.partition(":")[0], config.method)
        ]  # fmt: skip
        known = stored.get("data", {})
        if known.get("fingerprint") != data["fingerprint"]:
            changes.append(other_data(known.get("source", "unknown"), data["source"]))
        if changes:
            raise RunError(
                f"{self.path} holds a run of other settings ({'; '.join(changes)}): repeat its "
                "own command to go on, choose another --run, or start over with --fresh"
            )


def other_data(before: str, now: str) -> str:
    """What differs between data of two fingerprints, for a message."""
    return (
        f"data: {now} has other content than then" if before == now else f"data: {before} -> {now}"
    )


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # the last line of a killed run
            continue


def _append(file: Path, line: str) -> None:
    try:
        with file.open("a") as stream:
            stream.write(line + "\n")
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror}; nothing made is lost") from error


def rewrite(file: Path, lines: Iterable[str]) -> None:
    """Write a text file whole or not at all, by the one process that owns it.

    Raises:
        RunError: it cannot be written.
    """
    fresh = file.with_name(file.name + UNFINISHED)
    try:
        with fresh.open("w", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RunError(f"cannot write {file}: {error.strerror}; nothing made is lost") from error
