"""The folder of a comparison.

compare.json    what is compared, where, and the command
NAME/           the run folder of each method
evaluation.json scores of training images in the place of samples
grids/          samples of each row at each moment, and real images
table.md        the table
table.json      the same, with the curves, all settings and all that the scores depend on
curves.svg      quality against training time
samples.png     the latest samples of every row, and real images
compare.html    all of it on one page
"""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coopnets.compare.plan import Plan
from coopnets.concern import concerns
from coopnets.config import SAMPLED_BY, Config, differences, from_dict, to_dict
from coopnets.data import ImageData
from coopnets.errors import RunError
from coopnets.report.page import duration
from coopnets.runfolder import EVALUATION, UNFINISHED, RunFolder, other_data, rewrite
from coopnets.version import __version__

EQUAL_MACHINE = ("processor", "threads", "accelerator")
"""What must not change between two commands, or equal time would not be equal."""


class ComparisonFolder:
    """Paths and the small file of one comparison."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about_file = path / "compare.json"
        self.evaluation = path / EVALUATION
        self.grids = path / "grids"
        self.markdown = path / "table.md"
        self.table = path / "table.json"
        self.curves = path / "curves.svg"
        self.samples = path / "samples.png"
        self.page = path / "compare.html"

    def run(self, method: str) -> RunFolder:
        """The run folder of a method."""
        return RunFolder(self.path / method)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the comparison for this process alone.

        Raises:
            RunError: another process is at it, or the folder cannot be made.
        """
        with RunFolder(self.path).locked():
            yield

    def start(self, plan: Plan, data: ImageData, machine: dict[str, Any], fresh: bool) -> None:
        """Make the folder, or take it up again if it holds this comparison.

        More methods, a longer time and other scores may be asked of it; trained networks are
        kept. Other settings, data or machines are refused.

        Args:
            plan: what is compared.
            data: the training images.
            machine: description of the machine.
            fresh: start over: runs and tables that are there are deleted.

        Raises:
            RunError: it holds another comparison, or files that are none.
        """
        if not self.about_file.exists():
            self._refuse_strangers()
        elif fresh:
            self._clear(plan.methods)
        else:
            self._refuse_differences(plan, data, machine)
        self.grids.mkdir(exist_ok=True)
        content = {
            "coopnets": __version__,
            "command": shlex.join(["coopnets", *sys.argv[1:]]),
            "machine": machine,
            "data": {"source": data.source, "fingerprint": data.fingerprint},
            "max_time": plan.max_time,
            "config": to_dict(plan.config),
        }
        self.write(self.about_file, json.dumps(content, indent=1))

    def write(self, file: Path, text: str) -> None:
        """Write a file whole or not at all.

        Raises:
            RunError: it cannot be written.
        """
        rewrite(file, [text.removesuffix("\n")])

    def about(self) -> dict[str, Any]:
        """What compare.json holds.

        Raises:
            RunError: it is damaged, or of another version.
        """
        try:
            content: dict[str, Any] = json.loads(self.about_file.read_text())
            content["config"] = from_dict(Config, content["config"])
            float(content["max_time"]), content["data"]["fingerprint"], content["machine"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{self.about_file} cannot be read ({error}): start over with --fresh, or choose "
                "another --out"
            ) from error
        return content

    def _refuse_strangers(self) -> None:
        ours = {".lock", self.grids.name, self.about_file.name + UNFINISHED}
        if strangers := sorted(p.name for p in self.path.iterdir() if p.name not in ours):
            raise RunError(
                f"{self.path} holds {strangers[0]!r} and no comparison: give --out an empty or "
                "new folder"
            )

    def _refuse_differences(self, plan: Plan, data: ImageData, machine: dict[str, Any]) -> None:
        stored = self.about()
        changes = [
            change for change in differences(stored["config"], plan.config)
            if any(concerns(change.partition(":")[0], method) for method in plan.methods)
        ]  # fmt: skip
        if stored["data"]["fingerprint"] != data.fingerprint:
            changes.append(other_data(stored["data"].get("source", "unknown"), data.source))
        if plan.max_time < stored["max_time"]:
            changes.append(
                f"max-time: {duration(stored['max_time'])} -> {duration(plan.max_time)}"
            )
        for key in EQUAL_MACHINE:
            if (old := stored["machine"].get(key)) != (new := machine.get(key)):
                changes.append(f"{key}: {old} -> {new}")
        if changes:
            raise RunError(
                f"{self.path} holds a comparison of other settings ({'; '.join(changes)}): repeat "
                "its own command to go on, choose another --out, or start over with --fresh"
            )

    def _clear(self, methods: Sequence[str]) -> None:
        """Delete the tables, and the runs of other methods; those of ``methods`` start afresh."""
        for method in set(SAMPLED_BY) - set(methods):
            if (run := self.run(method)).config_file.exists():
                run.clear()
        shutil.rmtree(self.grids, ignore_errors=True)
        made = (self.markdown, self.table, self.curves, self.samples, self.page)
        for file in (self.evaluation, *made):
            file.unlink(missing_ok=True)
