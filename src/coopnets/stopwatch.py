"""Where the time of an iteration goes."""

import time

import torch


class Stopwatch:
    """Splits a stretch of work into named laps, in seconds.

    On an accelerator laps measure the launch alone, unless the host waits for the device there:
    measuring must not slow the training down.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, {}  # type: tuple[torch.device, dict[str, float]]
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        """End the current lap under ``name``."""
        now = time.perf_counter()
        self.seconds[f"seconds_{name}"] = now - self.last
        self.last = now
