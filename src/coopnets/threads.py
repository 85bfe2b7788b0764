"""As many threads as cores that this process may use.

PyTorch takes one for each core that it may run on. A container's share of the processor's time,
``docker run --cpus 2`` for instance, it does not look at: on a machine of 64 cores its 64 threads
would stand in each other's way.
"""

import os
from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup")


def quota(folder: Path = CGROUP) -> float | None:
    """Cores' worth of time that the container is allowed; None if there is no bound.

    Args:
        folder: where the kernel describes control groups, of either version.
    """
    try:
        if (file := folder / "cpu.max").exists():
            allowed, period = file.read_text().split()
        else:
            old = folder / "cpu"
            allowed = (old / "cpu.cfs_quota_us").read_text().strip()
            period = (old / "cpu.cfs_period_us").read_text().strip()
        return float(allowed) / float(period) if float(allowed) > 0 else None
    except (OSError, ValueError):  # no control groups, or "max"
        return None


def keep_to_quota(folder: Path = CGROUP) -> None:
    """Lower the number of threads to the container's quota, unless OMP_NUM_THREADS is set."""
    allowed = quota(folder)
    if allowed is not None and not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(min(torch.get_num_threads(), max(int(allowed), 1)))
