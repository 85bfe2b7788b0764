"""Data loading at the rate that training needs, the host's overhead, and memory over data size.

What an iteration spends on anything but arithmetic is bounded from above by two times: that of
fetching its images, and that of the same iteration with one image, one chain and one channel in
every layer, which launches the same operations and computes next to nothing.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.command import Options, command
from benchmarks.networks import images
from benchmarks.result import Column, Result, Row
from benchmarks.timing import interleave
from coopnets.config import Config
from coopnets.cooperate import Cooperation
from coopnets.data import ImageData, batch_indices, open_images
from coopnets.errors import CoopNetsError
from coopnets.layout import resolve_layout
from coopnets.precision import resolve
from coopnets.presets import preset
from coopnets.processes import Processes

COLUMNS = [
    Column("network", "preset"),
    Column("number", "images", ",d"),
    Column("loading", "loading, images/s", ",.0f"),
    Column("needed", "training needs", ",.0f"),
    Column("iteration", "iteration, ms", ".1f"),
    Column("fetching", "fetching, ms", ".2f"),
    Column("overhead", "host overhead, ms", ".2f"),
    Column("share", "both of the iteration", ".1%"),
    Column("memory", "own memory, MB", ".0f"),
    Column("mapped", "mapped file, MB", ".0f"),
]


@dataclass(kw_only=True)
class LoadingOptions(Options):
    """Time data loading and the host's overhead, and watch memory as the data grow."""

    presets: tuple[str, ...] = ("cifar",)
    """Presets to train with."""
    numbers: tuple[int, ...] = (5_000, 50_000)
    """Sizes of the data; synthetic pictures."""
    batches: int = 200
    """Batches read for the rate and the memory."""
    seconds: float = 10.0
    """Least time of all iterations together."""


def run(options: LoadingOptions) -> Result:
    """Measure each preset over each size of the data."""
    names = ("demo",) if options.quick else options.presets
    numbers = (20, 40) if options.quick else options.numbers
    rows = [r for name in names for r in measured(preset(name), numbers, options)]
    growth = max(r["memory"] for r in rows) - min(r["memory"] for r in rows)
    notes = [
        "Own memory is what the process alone holds after reading (RssAnon); mapped pages of the "
        "pixel file are the system's, which takes them back when it needs them. Host overhead is "
        "the iteration with one image, one chain and one channel a layer: an upper bound.",
        f"Own memory differs by {growth:.1f} MB between the smallest and the largest data.",
    ]
    return Result(title="Data loading and overhead", columns=COLUMNS, rows=rows, notes=notes)


def measured(config: Config, numbers: Sequence[int], options: LoadingOptions) -> list[Row]:
    """One row for each size of the data."""
    processes = Processes(options.device)
    if options.quick:
        config = replace(config, batch_size=4, chains=4)
    config = replace(config, precision=resolve(config.precision, processes.device))
    config = replace(config, layout=resolve_layout(config, processes))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in numbers:
            file = Path(scratch) / f"{number}.npy"
            write_pictures(file, number, config)
            read = read_apart(file, config, options.batches, Path(scratch) / "cache")
            data = opened(file, config, Path(scratch) / "cache")
            seconds = _iterations(config, data, processes, options)
            whole = seconds["fetching"] + seconds["iteration"]
            rows.append({
                "network": config.preset, "number": number, "loading": read["rate"],
                "needed": config.batch_size / whole, "iteration": whole * 1e3,
                "fetching": seconds["fetching"] * 1e3, "overhead": seconds["overhead"] * 1e3,
                "share": (seconds["fetching"] + seconds["overhead"]) / whole,
                "memory": read["memory"] / 1e6, "mapped": read["mapped"] / 1e6,
                "most": {"share": 0.03},
            })  # fmt: skip
    return rows


def _iterations(
    config: Config, data: ImageData, processes: Processes, options: LoadingOptions
) -> dict[str, float]:
    """Medians, in seconds, of fetching a batch, of an iteration, and of one without arithmetic."""
    learner, small = Cooperation(still(config), processes), Cooperation(thinned(config), processes)
    x, one = (
        images(config, config.batch_size, processes.device),
        images(config, 1, processes.device),
    )
    count = iter(range(10**9))

    def fetch() -> None:
        rows = batch_indices(len(data), config.batch_size, next(count), config.seed)
        data.batch(rows).to(processes.device)

    cases = {
        "fetching": fetch,
        "iteration": lambda: learner.iterate(x, 0),
        "overhead": lambda: small.iterate(one, 0),
    }
    times = interleave(cases, options.rounds(), processes.device)
    return {name: t.median for name, t in times.items()}


def still(config: Config) -> Config:
    """The same, learning next to nothing, so that it can go on for ever."""
    return replace(
        config,
        descriptor_optimizer=replace(config.descriptor_optimizer, lr=1e-9),
        generator_optimizer=replace(config.generator_optimizer, lr=1e-9),
    )


def thinned(config: Config) -> Config:
    """The same operations on one image and one chain, with one channel in every layer."""
    return still(
        replace(
            config,
            batch_size=1, chains=1, layout="contiguous",
            descriptor=replace(
                config.descriptor, channels=(1,) * len(config.descriptor.channels)
            ),
            generator=replace(config.generator, channels=(1,) * len(config.generator.channels)),
        )
    )  # fmt: skip


def write_pictures(file: Path, number: int, config: Config) -> None:
    """Random uint8 pictures of the preset's size, a stretch at a time."""
    shape = (number, config.size, config.size, config.image_channels)
    array = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
    rng = np.random.default_rng(0)
    for start in range(0, number, 1000):
        part = array[start : start + 1000]
        part[:] = rng.integers(0, 256, part.shape, np.uint8)
    array.flush()


def opened(file: Path, config: Config, cache: Path) -> ImageData:
    """The pictures as training opens them."""
    return open_images(
        file, size=config.size, channels=config.image_channels, cache_dir=cache,
        say=lambda _: None,
    )  # fmt: skip


def read_apart(file: Path, config: Config, batches: int, cache: Path) -> dict[str, float]:
    """Decode and read in a fresh process: its rate, and its memory afterwards.

    Raises:
        CoopNetsError: it failed.
    """
    words = [file, cache, config.size, config.image_channels, config.batch_size, batches]
    code = "from benchmarks.loading import reader; reader()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CoopNetsError(f"reading apart failed: {done.stderr.strip().splitlines()[-1]}")
    read: dict[str, float] = json.loads(done.stdout)
    return read


def reader() -> None:
    """What that process does."""
    file, cache, *numbers = sys.argv[1:]
    size, channels, batch, batches = map(int, numbers)
    data = open_images(
        file, size=size, channels=channels, cache_dir=Path(cache), say=lambda _: None
    )
    began = time.perf_counter()
    for t in range(batches):
        data.batch(batch_indices(len(data), batch, t, 0))
    rate = batches * batch / (time.perf_counter() - began)
    print(json.dumps({"rate": rate, **_memory()}))


def _memory() -> dict[str, float]:
    """Bytes that this process alone holds, and those of files that it has mapped."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError as error:
        raise CoopNetsError("memory is read from /proc, which this system lacks") from error
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if "kB" in line}
    return {"memory": found["RssAnon"], "mapped": found["RssFile"]}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command("loading", LoadingOptions, run, argv)


if __name__ == "__main__":
    sys.exit(main())
