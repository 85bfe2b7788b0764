import os
import platform
import subprocess
import sys

import pytest

from coopnets.allocator import keep_memory

FAULTS = """
import resource, torch
from coopnets.allocator import keep_memory
{call}
torch.set_num_threads(1)
for _ in range(3):
    torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")
def test_large_tensors_reuse_their_memory() -> None:
    """64 MB five times over: 16,000 pages each time by default, none once memory is kept."""

    def faults(call: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS.format(call=call)],
            capture_output=True, text=True, check=True, env={**os.environ},
        )  # fmt: skip
        return int(done.stdout)

    assert faults("assert keep_memory()") < 100
    assert faults("") > 1000  # else the default has changed, and this module can go


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_memory() is False
