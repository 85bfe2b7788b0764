"""f packed: the same function and the same slope."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from coopnets.models import Descriptor, frozen
from coopnets.models import packed as module
from coopnets.precision import autocast
from coopnets.presets import preset


@pytest.mark.parametrize(
    "name",
    ["digits", "cifar", "scene", "pt-cifar", "matlab-object", "texture", "matlab-texture"],
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("count", [1, 7])
def test_packed_is_the_same_function(
    name: str, count: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uneven padding at 28x28, slopes of 0, 0.01 and 0.2, kernels that leave a rest.

    bf16 is held against fp32, of whose slope it may be off by a tenth or two.
    """
    c = preset(name)
    if "texture" in name:
        c = replace(c, size=32)
    torch.manual_seed(0)
    narrow = replace(
        c.descriptor, channels=(9, 8, 7, 6, 5)[: len(c.descriptor.channels)], init_std=0.2
    )
    f = Descriptor(narrow, c.size, c.image_channels).to(memory_format=torch.channels_last).eval()
    x = torch.rand(count, c.image_channels, c.size, c.size) * 2 - 1

    def both(precision: str) -> tuple[torch.Tensor, torch.Tensor]:
        v = x.clone().requires_grad_()
        with frozen(f), autocast(precision, x.device):
            total = f.collapsed(precision)(v)
            return total.detach(), torch.autograd.grad(total.sum(), v)[0]

    calls: list[int] = []
    build = module.packed
    monkeypatch.setattr(
        "coopnets.models.descriptor.packed", lambda *given: (calls.append(1), build(*given))[1]
    )
    if precision == "bf16" and not module._available(torch.bfloat16):
        pytest.skip("this processor has no bf16")
    quick = both(precision)
    assert calls, "packing did not happen"
    monkeypatch.setattr("coopnets.models.descriptor.packs", lambda *_: False)
    plain = both("fp32")
    assert len(calls) == 1
    for a, b in zip(quick, plain, strict=True):
        assert b.abs().max() > 0 and a.dtype == b.dtype == torch.float32
        if precision == "fp32":
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        else:
            assert (a - b).norm() < 0.2 * b.norm()


def test_energies_of_bf16_maps_are_summed_in_fp32() -> None:
    """Of thousands of numbers of one sign bf16 would keep three digits."""
    h = torch.full((2, 64, 8, 8), 1 + 2**-7).bfloat16()
    h = h.contiguous(memory_format=torch.channels_last)
    weight = torch.full((1, 64, 8, 8), 1.001).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        total = module.dotted(h, weight)
    expected, close = torch.full((2,), 4096 * (1 + 2**-7) * 1.001), {"rtol": 1e-4, "atol": 0.0}
    torch.testing.assert_close(total, expected, **close)
    torch.testing.assert_close(module.dotted(h.contiguous(), weight), expected, **close)
    torch.testing.assert_close(module.dotted(h, weight[..., :1, :1]), expected, **close)


def test_the_next_chain_has_the_new_weights() -> None:
    c = preset("digits")
    f = Descriptor(replace(c.descriptor, channels=(4, 4, 4, 4), init_std=0.2), 28, 1).eval()
    x = torch.rand(1, 1, 28, 28)
    with frozen(f), torch.no_grad():
        before = f.collapsed()(x)
        for p in f.parameters():
            p.add_(0.1)
        after = f.collapsed()(x)
        assert not torch.allclose(after, before)
        torch.testing.assert_close(after, f(x), rtol=1e-4, atol=1e-4)


def test_nothing_is_packed_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    c = preset("digits")
    f = Descriptor(replace(c.descriptor, channels=(4, 4, 4, 4), activation="silu"), 28, 1)
    x = torch.zeros(1, 1, 28, 28)
    fp32 = torch.float32
    assert not module.packs(x, list(f.features), fp32)
    f = Descriptor(replace(c.descriptor, channels=(4, 4, 4, 4)), 28, 1)
    assert module.packs(x, list(f.features), fp32)
    assert not module.packs(x.double(), list(f.features), fp32)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not module.packs(x, list(f.features), fp32)
    monkeypatch.setattr(module, "_available", lambda _: False)
    assert not module.packs(x, list(f.features), fp32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_check_of_the_operators(dtype: torch.dtype) -> None:
    """A chain in bf16 may be the first to ask; its answer stays, and nobody's draws change."""
    module._available.cache_clear()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        asked = module._available(dtype)
    drawn = torch.rand(1)
    module._available.cache_clear()
    assert asked == module._available(dtype)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(1))


def test_bf16_on_a_processor_without_it() -> None:
    """Nothing is packed there, and the chain runs: the library is told to take it for AVX2."""
    code = """
import torch
from coopnets.langevin import revise
from coopnets.models import Descriptor, frozen
from coopnets.models.packed import _available
from coopnets.presets import preset

assert not _available(torch.bfloat16)
f = Descriptor(preset("demo").descriptor, 28, 1).eval()
with frozen(f):
    x, _ = revise(f.collapsed("bf16"), torch.zeros(2, 1, 28, 28), steps=2, delta=0.1,
                  precision="bf16")
assert x.isfinite().all() and x.abs().sum() > 0
"""
    given = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_images_of_another_size_are_refused(precision: str) -> None:
    f = Descriptor(replace(preset("digits").descriptor, channels=(4, 4, 4, 4)), 28, 1).eval()
    for net in (f, f.collapsed(precision)):
        with torch.no_grad(), pytest.raises((ValueError, RuntimeError)):
            net(torch.zeros(2, 1, 4, 4))


def test_slopes_of_fp32_stay_so_under_autocast() -> None:
    c = preset("cifar")
    f = Descriptor(replace(c.descriptor, channels=(8, 8, 8, 8), init_std=0.2), 32, 3).eval()
    x = (torch.rand(6, 3, 32, 32) * 2 - 1).requires_grad_()
    with frozen(f):
        (plain,) = torch.autograd.grad(f.collapsed()(x).sum(), x)
        with torch.autocast("cpu", torch.bfloat16):
            (under,) = torch.autograd.grad(f.collapsed()(x).sum(), x)
    assert torch.equal(plain, under)
