"""The comparison: methods trained in turns, a moment at a time, and scored at each.

At every moment each method is trained up to it and scored before the next moment begins, so that
a busy hour of the machine falls on all alike. Scoring does not count as training. All that is
done is kept in the folder, and a repeated command finds it there.
"""

from collections.abc import Callable

from coopnets.compare.folder import ComparisonFolder
from coopnets.compare.grids import draw_real, draw_samples, grid_file
from coopnets.compare.outcome import publish
from coopnets.compare.plan import ROWS, Plan
from coopnets.compare.scoring import Scoring
from coopnets.compare.training import Standing, standing, train_to
from coopnets.config import Config
from coopnets.data import ImageData
from coopnets.data.splits import canonical
from coopnets.errors import CoopNetsError, RunError
from coopnets.evaluate import Yardstick, read_records
from coopnets.evaluate.evaluate import Record
from coopnets.machine import describe_machine
from coopnets.model import CoopNets
from coopnets.prepare import described, new_learner, resolved
from coopnets.processes import Processes


def is_training(real: ImageData, images: ImageData) -> bool:
    """Whether the images to compare with are those of the training, or all of their split."""
    whole = real.source == images.source and canonical(real.split) == canonical(images.split)
    return whole or real.fingerprint == images.fingerprint


class Comparison:
    """One comparison in progress.

    Args:
        plan: what is compared.
        images: training images.
        yardstick: the real images, and the networks that see them.
        folder: where it is kept.
        processes: this process, alone, and its device.
        limit: what ``images`` were limited to, for the record.
        say: told how far it is.
    """

    def __init__(
        self,
        plan: Plan,
        images: ImageData,
        yardstick: Yardstick,
        folder: ComparisonFolder,
        processes: Processes,
        *,
        limit: int | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.plan, self.images, self.folder, self.processes = plan, images, folder, processes
        self.yardstick, self.limit, self.say = yardstick, limit, say
        self.scoring = Scoring(plan=plan, yardstick=yardstick, device=processes.device, say=say)
        self.configs: dict[str, Config] = {}
        self.failures: dict[str, str] = {}
        """Why the samples of a method could not be scored."""
        self.floor: Record | None = None

    def carry_out(self, fresh: bool = False) -> dict[str, object]:
        """Do what is not done yet; return the content of table.json.

        Args:
            fresh: start over.

        Raises:
            RunError: the folder holds something else, or a file cannot be written.
            CoopNetsError: the scores cannot be computed for any samples.
            KeyboardInterrupt: Ctrl-C; everything done is kept.
        """
        plan = self.plan
        with self.folder.locked():
            machine = describe_machine(self.processes.device)
            self.folder.start(plan, self.images, machine, fresh)
            for method in plan.methods:
                self._start(method, fresh)
            self._measure_the_data()
            for moment in plan.times():
                news = [self._advance(method, moment) for method in plan.methods]
                if any(news):  # a table to look at while the rest goes on
                    self._publish()
            for method in plan.methods:
                self._finish(method)
            return self._publish()

    def _start(self, method: str, fresh: bool) -> None:
        run = self.folder.run(method)
        with run.locked():
            config = resolved(
                self.plan.settings_of(method), self.processes, None if fresh else run
            )
            new_learner(config, self.processes, self.images)  # or say now why it cannot be built
            about = described(self.images, self.limit)
            run.start(config, about, describe_machine(self.processes.device), fresh)
        self.configs[method] = config

    def _measure_the_data(self) -> None:
        """The real images, and how training images would score in the place of samples."""
        real = self.yardstick.real
        draw_real(real, self.folder, self.plan)
        if is_training(real, self.images):
            self.yardstick.reference(self.say)
        else:
            self.floor = self.scoring.of_the_data(self.images, self.folder.path)

    def _advance(self, method: str, moment: float) -> bool:
        """Train a method to a moment and score it there; whether anything was left to do."""
        run = self.folder.run(method)
        before = len(read_records(run.path))
        where = train_to(moment, self.configs[method], self.plan, self.images, run, self.processes,
                         self.say)  # fmt: skip
        if where.gave_up:
            return False
        self._guarded(method, lambda: self.scoring.at_moment(run, moment))
        self._guarded(method, lambda: self._draw(method, where))
        return len(read_records(run.path)) > before

    def _finish(self, method: str) -> None:
        run = self.folder.run(method)
        if not standing(run).gave_up:
            self._guarded(method, lambda: self.scoring.at_the_end(run))

    def _draw(self, method: str, where: Standing) -> None:
        """The samples of a run that stands where it was scored, unless they are drawn."""
        scored = {r["iteration"] for r in self.scoring.points(self.folder.run(method))}
        if where.iteration not in scored:
            return
        names = [name for (of, _), name in ROWS.items() if of == method]
        if not all(grid_file(self.folder, name, where.iteration).exists() for name in names):
            model = CoopNets.from_pretrained(self.folder.run(method).path, self.processes.device)
            draw_samples(model, self.folder, self.plan)

    def _guarded(self, method: str, work: Callable[[], None]) -> None:
        """One method whose samples cannot be scored does not end the comparison of the others."""
        try:
            work()
        except RunError:  # the disk is full, say: a matter of all of them
            raise
        except CoopNetsError as error:
            self.failures[method] = str(error)
            self.say(f"{method}: {error}")

    def _publish(self) -> dict[str, object]:
        return publish(
            self.folder, self.plan, self.scoring, self.images, self.floor, self.failures
        )
