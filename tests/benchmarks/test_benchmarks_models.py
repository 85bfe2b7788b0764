"""The model of many devices, and what is taken for the host's overhead."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.loading import still, thinned
from benchmarks.processes import Connection, connected, modelled
from coopnets.config import Config
from coopnets.cooperate import Cooperation
from coopnets.presets import preset
from coopnets.processes import Processes


def test_ring_all_reduce_by_hand() -> None:
    """4 devices: 6 rounds; of 2 messages with 8 MB in all each round carries 2 MB."""
    link = Connection(latency=1e-3, bandwidth=1e9)
    assert link.all_reduce(2, 8e6, 4) == pytest.approx(6 * (2 * 1e-3 + 2e6 / 1e9))
    assert link.all_reduce(2, 8e6, 1) == 0


def test_a_connection_is_found_from_its_times() -> None:
    """Of two processes: the model's own times give the model back; a slow moment does not hurt."""
    link = Connection(latency=2e-4, bandwidth=5e8)
    sizes = (4, 65_536, 16_777_216)
    timed = [(size, link.all_reduce(1, size, 2)) for size in sizes for _ in range(3)]
    found = connected([*timed, (4, 1.0)])
    assert found.latency == pytest.approx(link.latency, rel=1e-3)
    assert found.bandwidth == pytest.approx(link.bandwidth, rel=1e-3)


def test_devices_that_never_speak_are_fully_used() -> None:
    row = modelled(8, 800, compute=2.0, noise=0.0, communication=0.0, rate=50.0)
    assert row["speedup"] == pytest.approx(8) and row["efficiency"] == pytest.approx(1)
    row = modelled(8, 800, compute=2.0, noise=0.5, communication=1.5, rate=50.0)
    assert row["whole"] == pytest.approx(4000) and row["efficiency"] == pytest.approx(0.5)


class Counting(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[func._schema.name] += 1
        return func(*args, **(kwargs or {}))


def counted(config: Config) -> Counter[str]:
    learner = Cooperation(replace(config, layout="contiguous", precision="fp32"), Processes())
    x = torch.rand(config.batch_size, config.image_channels, config.size, config.size)
    learner.iterate(x, 0)
    with Counting() as counting:
        learner.iterate(x, 1)
    return counting.seen


@pytest.mark.parametrize("name", ["demo", "cifar"])
def test_the_thinned_iteration_launches_no_fewer_operations(name: str) -> None:
    config = replace(preset(name), batch_size=4, chains=4)
    whole, thin = counted(still(config)), counted(thinned(config))
    assert sum(thin.values()) >= sum(whole.values())
    for kind in ("aten::normal_", "aten::_fused_adam_", "aten::leaky_relu_", "aten::randn"):
        assert thin[kind] == whole[kind], kind
