import pytest
import torch

from coopnets.precision import autocast, resolve

CPU = torch.device("cpu")


def test_a_stated_precision_stands() -> None:
    assert resolve("fp32", CPU) == "fp32" and resolve("bf16", CPU) == "bf16"


@pytest.mark.parametrize("unit", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_auto_is_bf16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert resolve("auto", CPU) == "fp32"
    monkeypatch.setattr(torch.cpu, unit, lambda: True, raising=False)
    assert resolve("auto", CPU) == "bf16"


def test_fp32_switches_an_outer_autocast_off() -> None:
    a = torch.ones(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with autocast("fp32", CPU):
            assert (a @ a).dtype == torch.float32
