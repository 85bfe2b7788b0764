"""The best throughput of this machine: what no chain of convolutions can be faster than.

Measured, not looked up: the fastest of large matrix products and large convolutions with many
channels in one arithmetic, in the same process and with the same threads as everything else.
"""

import itertools
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from benchmarks.timing import Rounds, interleave

MATRICES = (1024, 2048)
"""Sides of square matrices."""
CONVOLUTIONS = ((32, 256, 256, 8, 3, 1), (16, 128, 256, 16, 3, 1), (16, 64, 128, 32, 4, 2))
"""Images, channels in and out, side, kernel, stride."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def best_rate(
    precision: str, device: torch.device, rounds: Rounds, small: bool = False
) -> tuple[float, str]:
    """Floating-point operations a second, and what reached them; ``small`` takes what is quick."""
    dtype = DTYPES[precision]
    cases: dict[str, Callable[[], object]] = {}
    flops: dict[str, int] = {}
    for side in (256,) if small else MATRICES:
        a, b = torch.randn(2, side, side, device=device).to(dtype)
        name = f"matrix product of {side}"
        cases[name], flops[name] = partial(torch.matmul, a, b), 2 * side**3
    formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    for shape, (layout, memory) in itertools.product(CONVOLUTIONS[small * 2 :], formats.items()):
        count, first, last, side, kernel, stride = shape
        x = torch.randn(count, first, side, side, device=device).to(dtype, memory_format=memory)
        w = torch.randn(last, first, kernel, kernel, device=device)
        w = w.to(dtype, memory_format=memory)
        name = f"convolution {first} to {last}, {side}x{side}, {layout}"
        cases[name] = partial(F.conv2d, x, w, None, stride, 1)
        positions = F.conv2d(x, w, None, stride, 1)[0, 0].numel()
        flops[name] = 2 * count * positions * w.numel()
    with torch.no_grad():
        times = interleave(cases, rounds, device)
    rates = {name: flops[name] / t.minimum for name, t in times.items()}
    best = max(rates, key=lambda name: rates[name])
    return rates[best], best
