"""Two processes of one thread against one of two, and a model of many devices.

The global batch is the same. The first rows are measured, in rounds that alternate. The rows of 8
and 64 devices are a model, not a measurement: what one process of one thread takes for its share
of the batch, measured; the noise of everybody's chains, which every process draws, measured; and
ring all-reduces of the measured number and size over a connection whose latency and bandwidth
were measured between the two processes, or were given.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.command import Options, command
from benchmarks.result import Column, Result, Row
from coopnets.config import Config, to_dict
from coopnets.errors import CoopNetsError
from coopnets.layout import resolve_layout
from coopnets.precision import resolve
from coopnets.presets import preset
from coopnets.processes import Processes

DEVICES = (8, 64)
Seen = dict[str, Any]
"""What a worker printed."""
COLUMNS = [
    Column("what", "arrangement"),
    Column("how", "how"),
    Column("batch", "images = chains", "d"),
    Column("whole", "iteration, ms", ".0f", "whole_median"),
    Column("rate", "images/s", ".0f"),
    Column("communication", "communication, ms", ".1f"),
    Column("noise", "noise, ms", ".1f"),
    Column("speedup", "x one device", ".2f"),
    Column("efficiency", "efficiency", ".0%"),
]


@dataclass(kw_only=True)
class ProcessesOptions(Options):
    """Time two processes against one, and model many devices."""

    preset: str = "cifar"
    """Settings."""
    batch_size: int = 128
    """Observed images, and chains, of an iteration over all processes; a multiple of 64."""
    iterations: int = 4
    """Iterations of a process in each round."""
    repeats: int = 3
    """Rounds."""
    latency: float | None = None
    """Microseconds between two devices in the model; by default as measured here."""
    bandwidth: float | None = None
    """Gbit/s between two devices in the model; by default as measured here."""


@dataclass(frozen=True)
class Connection:
    """Time of a message between two neighbours: latency + bytes / bandwidth."""

    latency: float
    """Seconds."""
    bandwidth: float
    """Bytes a second."""

    def all_reduce(self, messages: float, size: float, devices: int) -> float:
        """Seconds of ring all-reduces of ``size`` bytes in all: 2 (N - 1) rounds of 1/N each."""
        rounds = 2 * (devices - 1)
        return rounds * (messages * self.latency + size / devices / self.bandwidth)


def connected(timed: Sequence[tuple[int, float]]) -> Connection:
    """From times of all-reduces between two processes: the smallest message, and the largest.

    Two processes need two rounds of half the bytes each. Of several times of a size the median
    counts.
    """
    sizes = sorted({size for size, _ in timed})
    least, most = (
        statistics.median(t for size, t in timed if size == s) for s in (sizes[0], sizes[-1])
    )
    size = sizes[-1]
    return Connection(least / 2, size / max(most - least, 1e-9))


def run(options: ProcessesOptions) -> Result:
    """Measure the arrangements, then model."""
    config, processes = preset("demo" if options.quick else options.preset), Processes()
    config = replace(config, precision=resolve(config.precision, processes.device))
    config = replace(config, layout=resolve_layout(config, processes))
    batch, rounds = options.batch_size, options.repeats
    if options.quick:
        config = replace(config, langevin=replace(config.langevin, steps=2), teaching=0)
        batch, rounds = 64, 1
    one, two = "1 process, 2 threads", "2 processes, 1 thread each"
    shapes, links = {one: (1, 2), two: (2, 1)}, []
    seen: dict[str, list[Seen]] = {name: [] for name in shapes}
    for _ in range(rounds):
        for name, (world, threads) in shapes.items():
            found = launched(config, (batch,), world, threads, options)
            seen[name] += found["batches"]
            links += found.get("connection", [])
    sizes = [batch // n for n in (1, *DEVICES)]
    shares = launched(config, sizes, 1, 1, options)["batches"]
    alone, noise = statistics.median(shares[0]["seconds"]), shares[0]["noise"]
    rows = [_row(name, batch, runs, alone) for name, runs in seen.items()]
    rows.append(_row("1 process, 1 thread: a device", batch, shares[:1], alone))

    link = connected(links)
    if options.latency is not None:
        link = replace(link, latency=options.latency * 1e-6)
    if options.bandwidth is not None:
        link = replace(link, bandwidth=options.bandwidth * 1e9 / 8)
    messages, size = seen[two][-1]["messages"], seen[two][-1]["bytes"]
    for n, share in zip(DEVICES, shares[1:], strict=True):  # the same batch, shared out
        own, more = statistics.median(share["seconds"]), noise * (1 - 1 / n)
        sent = link.all_reduce(messages, size, n)
        rows.append(modelled(n, batch, own, more, sent, batch / alone))
    for n in DEVICES:  # as much for each device as for one
        sent = link.all_reduce(messages, size, n)
        rows.append(modelled(n, batch * n, alone, noise * (n - 1), sent, batch / alone))
    expected = alone / 2 + noise / 2 + link.all_reduce(messages, size, 2)
    measured = statistics.median(s for r in seen[two] for s in r["seconds"])
    notes = [
        f"An iteration sends {messages:.0f} messages of {size / 1e6:.1f} MB in all. The "
        f"connection of the model: {link.latency * 1e6:.0f} us, {link.bandwidth * 8e-9:.1f} "
        "Gbit/s (between the two processes here unless given).",
        f"Of two processes the model says {expected * 1e3:.0f} ms; measured are "
        f"{measured * 1e3:.0f} ms. Rows of {' and '.join(map(str, DEVICES))} devices are a model "
        "and no measurement; a device is one thread of this processor.",
        "Iterations: minimum, and median in brackets; the rest are of the median.",
    ]
    return Result(title="Several processes", columns=COLUMNS, rows=rows, notes=notes)


def modelled(
    devices: int, batch: int, compute: float, noise: float, communication: float, rate: float
) -> Row:
    """A row of the model.

    Args:
        devices: N.
        batch: images of an iteration over all devices.
        compute: seconds of a device for its share.
        noise: seconds of drawing the other devices' noise.
        communication: seconds of all-reduces.
        rate: images a second of one device alone.
    """
    whole = compute + noise + communication
    speedup = batch / whole / rate
    return {
        "what": f"{devices} devices, {batch // devices} images each", "how": "model",
        "batch": batch, "whole": whole * 1e3, "whole_median": whole * 1e3, "rate": batch / whole,
        "communication": communication * 1e3, "noise": noise * 1e3, "speedup": speedup,
        "efficiency": speedup / devices,
    }  # fmt: skip


def launched(
    config: Config, batches: Sequence[int], world: int, threads: int, options: ProcessesOptions
) -> Seen:
    """Start the processes, let them train on each batch, and return what the first one saw.

    Raises:
        CoopNetsError: one failed.
    """
    task = json.dumps({
        "config": to_dict(config), "threads": threads, "batches": batches,
        "iterations": 1 if options.quick else options.iterations,
        "warm_ups": 1 if options.quick else 2, "trials": 2 if options.quick else 20,
    })  # fmt: skip
    common = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": str(threads)}
    if world > 1:
        common |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world),
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", task],
            env=common | ({"RANK": str(r), "LOCAL_RANK": str(r)} if world > 1 else {}),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for r in range(world)
    ]  # fmt: skip
    try:
        ended = [process.communicate() for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, ended, strict=True):
        if process.returncode:
            last = (errors.strip().splitlines() or ["no word"])[-1]
            raise CoopNetsError(f"a process of {world} failed: {last}")
    seen: Seen = json.loads(ended[0][0].splitlines()[-1])
    return seen


def _row(name: str, batch: int, runs: Sequence[Seen], alone: float) -> Row:
    seconds = [s for r in runs for s in r["seconds"]]
    median = statistics.median(seconds)
    return {
        "what": name, "how": "measured", "batch": batch, "whole": min(seconds) * 1e3,
        "whole_median": median * 1e3, "rate": batch / median, "speedup": alone / median,
        "communication": statistics.median(r["communication"] for r in runs) * 1e3,
        "noise": statistics.median(r["noise"] for r in runs) * 1e3, "seconds": seconds,
    }  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return command("processes", ProcessesOptions, run, argv)


if __name__ == "__main__":
    sys.exit(main())
