"""What each process of :mod:`benchmarks.processes` does: some training iterations, watched."""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.loading import still
from benchmarks.networks import images
from coopnets.allocator import keep_memory
from coopnets.config import Config, from_dict
from coopnets.cooperate import Cooperation
from coopnets.launch import this_process
from coopnets.processes import Processes

MESSAGES = (4_096, 65_536, 1_048_576, 16_777_216)
"""Bytes of the messages that the connection is measured with."""


def work() -> None:
    """Read the task, compute, and let the first process print what it saw."""
    task = json.loads(sys.argv[1])
    keep_memory()
    torch.set_num_threads(task["threads"])
    processes = this_process()
    config: Config = still(from_dict(Config, task["config"]))
    made: dict[str, Any] = {
        "batches": [trained(config, n, task, processes) for n in task["batches"]]
    }
    if processes.world > 1:
        made["connection"] = connection(task["trials"])
    if processes.first:
        print(json.dumps(made))


def trained(
    config: Config, batch: int, task: dict[str, Any], processes: Processes
) -> dict[str, Any]:
    """Iterations of a global batch: their seconds, and what they sent."""
    config = replace(config, batch_size=batch, chains=batch)
    learner = Cooperation(config, processes)
    x = processes.mine(images(config, batch, processes.device))
    for t in range(task["warm_ups"]):
        learner.iterate(x, t)
    seconds = []
    with watched() as sent:
        for t in range(task["iterations"]):
            processes.wait()
            began = time.perf_counter()
            learner.iterate(x, t)
            seconds.append(time.perf_counter() - began)
    return {
        "seconds": seconds,
        "messages": len(sent) / len(seconds),
        "bytes": sum(size for size, _ in sent) / len(seconds),
        "communication": sum(t for _, t in sent) / len(seconds),
        "noise": noise(config, processes),
    }


@contextmanager
def watched() -> Iterator[list[tuple[int, float]]]:
    """Bytes and seconds of every all-reduce within the block; waiting for the others included."""
    sent: list[tuple[int, float]] = []
    reduce = dist.all_reduce

    def all_reduce(tensor: torch.Tensor, *more: Any, **options: Any) -> Any:
        began = time.perf_counter()
        made = reduce(tensor, *more, **options)
        sent.append((tensor.nbytes, time.perf_counter() - began))
        return made

    dist.all_reduce = all_reduce
    try:
        yield sent
    finally:
        dist.all_reduce = reduce


def noise(config: Config, processes: Processes) -> float:
    """Seconds of drawing one iteration's Langevin noise, which every process draws in whole."""
    shape = (config.chains, config.image_channels, config.size, config.size)
    draws = processes.draws(0)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        draws.normal(*shape)
        taken.append(time.perf_counter() - began)
    return config.langevin.steps * statistics.median(taken)


def connection(trials: int) -> list[tuple[int, float]]:
    """Bytes and median seconds of all-reduces of several sizes."""
    found = []
    for size in MESSAGES:
        message, taken = torch.zeros(size // 4), []
        for _ in range(trials):
            dist.barrier()
            began = time.perf_counter()
            dist.all_reduce(message)
            taken.append(time.perf_counter() - began)
        found.append((size, statistics.median(taken)))
    return found


if __name__ == "__main__":
    work()
