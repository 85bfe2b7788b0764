"""f packed: the same function and the same slope."""

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

    bf16 is held against fp32, of whose slope it may be off by a tenth.
    """
    c = preset(name)
    if "texture" in name:
        c = replace(c, size=32)
    torch.manual_seed(0)
    narrow = replace(
        c.descriptor, channels=(9, 8, 7, 6)[: len(c.descriptor.channels)], init_std=0.2
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
    f = Descriptor(replace(c.descriptor, channels=(4, 4, 4), init_std=0.2), 28, 1).eval()
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
    f = Descriptor(replace(c.descriptor, channels=(4, 4, 4), activation="silu"), 28, 1)
    x = torch.zeros(1, 1, 28, 28)
    assert not module.packs(x, list(f.features))
    f = Descriptor(replace(c.descriptor, channels=(4, 4, 4)), 28, 1)
    assert module.packs(x, list(f.features))
    assert not module.packs(x.double(), list(f.features))
    monkeypatch.setattr(module, "_available", lambda: False)
    assert not module.packs(x, list(f.features))


def test_the_check_of_the_operators_is_not_made_in_bf16() -> None:
    """A chain in bf16 may be the first to ask; its answer stays."""
    module._available.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        asked = module._available()
    module._available.cache_clear()
    assert asked == module._available()
