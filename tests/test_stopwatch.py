import time

import pytest
import torch

from coopnets.stopwatch import Stopwatch


def test_laps_cover_the_time() -> None:
    began, watch = time.perf_counter(), Stopwatch(torch.device("cpu"))
    time.sleep(0.02)
    watch.lap("a")
    time.sleep(0.01)
    watch.lap("b")
    total = time.perf_counter() - began
    assert watch.seconds["seconds_a"] >= 0.02 and watch.seconds["seconds_b"] >= 0.01
    assert sum(watch.seconds.values()) == pytest.approx(total, abs=0.01)
