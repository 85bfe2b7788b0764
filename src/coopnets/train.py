"""The training loop: data in, run folder out.

Written for any :class:`~coopnets.learner.Learner`. The loop owns time, checkpoints, roll-back
and the log; what is learnt, and how, is the learner's.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from coopnets import checkpoint
from coopnets.data import ClipData, Observed, batch_indices, mirrored
from coopnets.errors import DivergenceError, RunError
from coopnets.guard import Diverged
from coopnets.learner import Learner, restore, state_numbers, state_tensors
from coopnets.pictures import save_grid, side_by_side
from coopnets.runfolder import RunFolder

TRIES = 5
"""Roll-backs without ``HEALTHY`` good iterations in between, after which training gives up."""
HEALTHY = 500
PICTURES, CLIPS = 64, 4
"""Samples in the pictures of a run."""
Say = Callable[[str], None]
Watch = Callable[[dict[str, Any]], None]


@dataclass(kw_only=True)
class Budget:
    """When training ends, and how often it is saved. Not part of what a run computes."""

    steps: int | None = None
    """Iterations in all; None sets no limit."""
    max_time: float | None = None
    """Seconds of training in all, over all resumptions; None sets no limit."""
    checkpoint_every: int = 200
    """Iterations between checkpoints; a divergence rolls back to one of the last three."""
    log_every: int = 10
    """Iterations between lines of the log."""


@dataclass
class Progress:
    """Where a run stands; what is not of this process alone goes into the checkpoint."""

    iteration: int = 0
    seconds: float = 0.0
    tries: int = 0
    attempt: int = 0
    diverged_at: int = 0
    window: list[dict[str, float]] = field(default_factory=list)
    interrupted: bool = False
    """Whether Ctrl-C or SIGTERM ended this training."""

    def numbers(self) -> dict[str, Any]:
        """The part that a checkpoint holds."""
        return {
            "iteration": self.iteration, "seconds": self.seconds, "tries": self.tries,
            "attempt": self.attempt, "diverged_at": self.diverged_at,
        }  # fmt: skip


def train(
    learner: Learner,
    data: Observed,
    folder: RunFolder,
    budget: Budget,
    *,
    say: Say = print,
    watch: Watch = lambda _: None,
) -> Progress:
    """Train until the budget is spent or Ctrl-C, from the last whole checkpoint if there is one.

    Args:
        learner: networks and method.
        data: observed images, larger than none.
        folder: a started run folder.
        budget: when to stop and to save.
        say: receives one line for every event.
        watch: receives each line of the log as a dictionary.

    Raises:
        DivergenceError: roll-backs with smaller and smaller steps did not help.
        RunError: a file cannot be written.
    """
    say = _logged(say, folder) if learner.processes.first else (lambda _: None)
    progress = _resume(learner, folder, say)
    with _Interruption() as interruption:
        finished = learner.processes.any(_spent(progress, budget))
        while not finished:
            began = time.perf_counter()
            try:
                _iterate(learner, data, progress, began)
                finished = learner.processes.any(_spent(progress, budget) or interruption.asked)
                if finished and progress.window:
                    _log(learner, folder, progress, watch)
                if finished or progress.iteration % budget.checkpoint_every == 0:
                    _save(learner, data, folder, progress)
            except Diverged as event:
                progress = _roll_back(learner, folder, progress, str(event), say)
                finished = learner.processes.any(interruption.asked)
                continue
            if len(progress.window) >= budget.log_every:
                _log(learner, folder, progress, watch)
    progress.interrupted = interruption.asked
    if interruption.asked:
        say(f"interrupted at iteration {progress.iteration}: all is saved, repeat the command")
    return progress


def _iterate(learner: Learner, data: Observed, progress: Progress, began: float) -> None:
    t = progress.iteration
    x = _observed(learner, data, t).to(learner.processes.device)
    metrics = learner.iterate(x, t, progress.attempt).metrics
    elapsed = time.perf_counter() - began
    progress.iteration += 1
    progress.seconds += elapsed
    progress.window.append({**metrics, "seconds_all": elapsed})
    if progress.tries and progress.iteration > progress.diverged_at + HEALTHY:
        progress.tries = 0


def _observed(learner: Learner, data: Observed, t: int) -> Tensor:
    """This process' images of iteration t: its part of each of the batches."""
    c, mine = learner.config, learner.processes.mine
    batches = learner.images // c.batch_size
    numbers = range(t * batches, (t + 1) * batches)
    x = data.batch(
        torch.cat([mine(batch_indices(len(data), c.batch_size, i, c.seed)) for i in numbers])
    )
    if not c.flip:
        return x
    turned = torch.cat([mine(mirrored(c.batch_size, i, c.seed)) for i in numbers])
    return torch.where(turned.view(-1, *(1,) * (x.ndim - 1)), x.flip(-1), x)


def _spent(progress: Progress, budget: Budget) -> bool:
    return (budget.steps is not None and progress.iteration >= budget.steps) or (
        budget.max_time is not None and progress.seconds >= budget.max_time
    )


def _log(learner: Learner, folder: RunFolder, progress: Progress, watch: Watch) -> None:
    window, progress.window = progress.window, []
    line = {k: sum(m[k] for m in window) / len(window) for k in window[-1]}
    line["images_per_second"] = learner.images / line["seconds_all"]
    if "seconds_d1" in line:
        line["langevin_share"] = line["seconds_d1"] / line["seconds_all"]
    line = {"iteration": progress.iteration, "seconds": progress.seconds, **line}
    line = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in line.items()}
    if learner.processes.first:
        folder.append_metrics(line)
        watch(line)


def _save(learner: Learner, data: Observed, folder: RunFolder, progress: Progress) -> None:
    """Grid first: a state that cannot be drawn is not worth a checkpoint."""
    # Every process draws and gathers, so that all agree on whether the state is good.
    if progress.iteration:
        draw_grid(learner, data, folder, progress.iteration)
    tensors = state_tensors(learner)
    if not learner.processes.first:
        return
    state = {**progress.numbers(), **state_numbers(learner)}
    checkpoint.write(folder.checkpoints, progress.iteration, tensors, state)
    checkpoint.prune(folder.checkpoints, keep=3)


def draw_grid(learner: Learner, data: Observed, folder: RunFolder, iteration: int) -> None:
    """Write data | proposed | revised, or data | samples.

    Raises:
        Diverged: there is a value that is not finite.
    """
    count = CLIPS if learner.config.frames else PICTURES
    parts = [x.cpu() for x in learner.show(count)]
    if not all(bool(torch.isfinite(x).all()) for x in parts):
        raise Diverged("the samples are not finite")
    if not learner.processes.first:
        return
    shown = data.batch(batch_indices(len(data), count, 0, learner.config.seed))
    save_grid(side_by_side(shown, *parts), folder.grids / f"{iteration:08d}.png")
    if isinstance(data, ClipData):
        save_moving([shown, *parts], data.fps, folder, iteration)


def save_moving(parts: list[Tensor], fps: float, folder: RunFolder, iteration: int) -> None:
    """Write the clips of a grid as they move, a row for each; the last alone is kept.

    Raises:
        RunError: the file cannot be written.
    """
    from coopnets.clipfiles import animation

    clips = torch.stack(parts, 1).flatten(0, 1)
    old = list(folder.grids.glob("[0-9]*.webp"))
    content = animation(clips, fps, columns=len(parts))
    file = folder.grids / f"{iteration:08d}.webp"
    try:
        file.write_bytes(content)
        for other in old:
            if other != file:
                other.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {file}: {error.strerror or error}") from error


def _resume(learner: Learner, folder: RunFolder, say: Say) -> Progress:
    if learner.processes.first and "discard_after" in (recovery := folder.recovery()):
        # A roll-back was killed before it deleted what it left behind. Once only: what is
        # written from here on is good.
        checkpoint.forget_after(folder.checkpoints, recovery.pop("discard_after"))
        folder.replace(folder.recovery_file, recovery)
    learner.processes.wait()
    found = checkpoint.whole(folder.checkpoints)
    learner.processes.wait()  # all have looked before the first writes
    damaged = len([p for p in folder.checkpoints.glob("[0-9]*") if p.name.isdigit()]) - len(found)
    if damaged:
        say(f"left out {damaged} damaged checkpoint{'s' * (damaged > 1)}")
    if not found:
        if damaged:
            raise RunError(f"no whole checkpoint in {folder.checkpoints}: start over with --fresh")
        tensors = state_tensors(learner)  # gathers, so every process takes part
        if learner.processes.first:
            state = {**Progress().numbers(), **state_numbers(learner)}
            checkpoint.write(folder.checkpoints, 0, tensors, state)
        return Progress()
    progress = _load(learner, found[0], folder)
    if learner.processes.first:
        folder.forget_after(progress.iteration)
    say(f"going on from iteration {progress.iteration}")
    return progress


def _load(learner: Learner, chosen: checkpoint.Checkpoint, folder: RunFolder) -> Progress:
    numbers = dict(chosen.state)
    recovery = folder.recovery()
    if recovery.get("from") == chosen.iteration:  # a roll-back to here, not yet checkpointed anew
        numbers.update(recovery["numbers"])
    restore(learner, chosen.tensors(), numbers)
    return Progress(**{k: numbers[k] for k in Progress().numbers()})


def _roll_back(
    learner: Learner, folder: RunFolder, progress: Progress, what: str, say: Say
) -> Progress:
    """Return to a good checkpoint with half the rates; each further try goes further back."""
    tries = progress.tries + 1
    if tries > TRIES:
        say(f"diverged at iteration {progress.iteration} ({what}): gave up after {TRIES} tries")
        if learner.processes.first:
            event = {"iteration": progress.iteration, "event": "gave up", "what": what}
            folder.append_metrics(event)
        raise DivergenceError(
            f"training diverged {tries} times near iteration {progress.iteration} ({what}) even "
            f"with {learner.rate_scale:g} of the learning rate: {learner.advice}; the last good "
            "checkpoints are kept"
        )
    found = checkpoint.whole(folder.checkpoints)
    learner.processes.wait()  # all have looked before the first deletes
    if not found:
        raise RunError(
            f"diverged ({what}), and no whole checkpoint is left in {folder.checkpoints}"
        )
    chosen = found[min(tries, len(found)) - 1]
    numbers = {
        "tries": tries,
        "attempt": progress.attempt + 1,
        "diverged_at": progress.iteration,
        "seconds": progress.seconds,
        "step_scale": learner.step_scale / 2 if learner.halves_step else learner.step_scale,
        "rate_scale": learner.rate_scale / 2,
    }
    if learner.processes.first:
        recovery = {"from": chosen.iteration, "numbers": numbers}
        discard = {"discard_after": chosen.iteration}
        folder.replace(folder.recovery_file, {**recovery, **discard})
        checkpoint.forget_after(folder.checkpoints, chosen.iteration)
        folder.replace(folder.recovery_file, recovery)
        folder.forget_after(chosen.iteration)
        folder.append_metrics({"iteration": progress.iteration, "event": "diverged", "what": what})
    learner.processes.wait()
    say(
        f"diverged at iteration {progress.iteration} ({what}): back to {chosen.iteration}, "
        f"rate x {numbers['rate_scale']:g}, step size x {numbers['step_scale']:g}, "
        f"try {tries} of {TRIES}"
    )
    return _load(learner, chosen, folder)


def _logged(say: Say, folder: RunFolder) -> Say:
    def both(line: str) -> None:
        folder.append_log(line)
        say(line)

    return both


class _Interruption:
    """Ctrl-C and SIGTERM end the loop after the current iteration, a second one at once."""

    def __init__(self) -> None:
        self.asked = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "_Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self.before[number] = signal.signal(number, self._ask)
            except ValueError:  # not the main thread: the caller's own handling stands
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
