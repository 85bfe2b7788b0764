"""f for few images, packed: the same function and the same slope."""

from dataclasses import replace

import pytest
import torch

from coopnets.models import Descriptor, frozen
from coopnets.models import packed as module
from coopnets.presets import preset


@pytest.mark.parametrize(
    "name",
    ["digits", "cifar", "scene", "pt-cifar", "matlab-object", "texture", "matlab-texture"],
)
@pytest.mark.parametrize("count", [1, 3])
def test_packed_is_the_same_function(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uneven padding at 28x28, slopes of 0, 0.01 and 0.2, kernels that leave a rest."""
    c = preset(name)
    if "texture" in name:
        c = replace(c, size=32)
    torch.manual_seed(0)
    narrow = replace(
        c.descriptor, channels=(9, 8, 7, 6)[: len(c.descriptor.channels)], init_std=0.2
    )
    f = Descriptor(narrow, c.size, c.image_channels).to(memory_format=torch.channels_last).eval()
    x = torch.rand(count, c.image_channels, c.size, c.size) * 2 - 1

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        v = x.clone().requires_grad_()
        with frozen(f):
            total = f.collapsed()(v)
            return total.detach(), torch.autograd.grad(total.sum(), v)[0]

    calls: list[int] = []
    build = module.packed
    monkeypatch.setattr(
        "coopnets.models.descriptor.packed", lambda *given: (calls.append(1), build(*given))[1]
    )
    quick = both()
    assert calls, "packing did not happen"
    monkeypatch.setattr(module, "FEW", 0)
    plain = both()
    assert len(calls) == 1
    for a, b in zip(quick, plain, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


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
    assert not module.packs(x.expand(module.FEW + 1, 1, 28, 28), list(f.features))
    assert not module.packs(x.double(), list(f.features))
    with torch.autocast("cpu", torch.bfloat16):
        assert not module.packs(x, list(f.features))
    monkeypatch.setattr(module, "_available", lambda: False)
    assert not module.packs(x, list(f.features))
