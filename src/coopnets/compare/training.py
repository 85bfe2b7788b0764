"""One method's training, up to a time on its own clock."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from coopnets import checkpoint
from coopnets.compare.plan import Plan
from coopnets.config import Config
from coopnets.data import ImageData
from coopnets.errors import DivergenceError, RunError
from coopnets.prepare import new_learner
from coopnets.processes import Processes
from coopnets.progress import reporter
from coopnets.report.page import duration
from coopnets.runfolder import RunFolder
from coopnets.train import Budget, train


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes:
        iteration: of the last whole checkpoint; 0 for none.
        seconds: of training up to there.
        gave_up: why training ended for good, and where; empty if it did not.
    """

    iteration: int = 0
    seconds: float = 0.0
    gave_up: str = ""


def standing(run: RunFolder) -> Standing:
    """Where a run stands, as its folder says."""
    found = checkpoint.whole(run.checkpoints)
    ends = [line for line in run.metrics() if line.get("event") == "gave up"]
    gave_up = f"at iteration {ends[-1]['iteration']:,}: {ends[-1]['what']}" if ends else ""
    if not found:
        return Standing(gave_up=gave_up)
    return Standing(found[0].iteration, float(found[0].state["seconds"]), gave_up)


def train_to(
    seconds: float, config: Config, plan: Plan, images: ImageData, run: RunFolder,
    processes: Processes, say: Callable[[str], None] = print,
) -> Standing:  # fmt: skip
    """Train until the run's clock shows so many seconds; nothing if it does already.

    A method that diverges for good is left where it stands.

    Args:
        seconds: of training in all, over all resumptions.
        config: the method's resolved settings.
        plan: how often to save.
        images: training images.
        run: the started run folder.
        processes: this process and its device.
        say: told what begins.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; the run is saved.
        RunError: a file cannot be written.
    """
    before = standing(run)
    if before.gave_up or (before.iteration and before.seconds >= seconds):
        return before
    say(f"{config.method}: training up to {duration(seconds)}")
    budget = Budget(max_time=seconds, checkpoint_every=plan.checkpoint_every)
    interrupted = False
    with run.locked():
        learner = new_learner(config, processes, images)
        with reporter(budget) as show:
            try:
                progress = train(learner, images, run, budget, say=show.say, watch=show.line)
                interrupted = progress.interrupted
            except DivergenceError as error:
                show.say(f"{config.method}: {error}")
        after = standing(run)
        if interrupted or after.gave_up or seconds >= plan.max_time:
            _report(run)
    if interrupted:
        raise KeyboardInterrupt
    return after


def _report(run: RunFolder) -> None:
    from coopnets.report import write_report  # draws with matplotlib: not for --help

    with suppress(RunError):  # the comparison does not depend on it
        write_report(run)
