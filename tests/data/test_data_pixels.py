import pytest
import torch

from coopnets.data import to_pixels, to_unit
from coopnets.errors import DataError


def test_every_pixel_value_survives_the_round_trip() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(to_unit(pixels)), pixels)


def test_map_is_the_stated_line() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    expected = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    unit = to_unit(pixels)
    assert unit.dtype == torch.float32
    assert unit[0] == -1 and unit[255] == 1
    assert torch.allclose(unit.double(), expected, atol=1e-7, rtol=0)


def test_map_does_not_depend_on_the_other_pixels() -> None:
    dim = torch.tensor([100, 110], dtype=torch.uint8)
    bright = torch.tensor([100, 255], dtype=torch.uint8)
    assert to_unit(dim)[0] == to_unit(bright)[0]


def test_back_map_rounds_and_clamps() -> None:
    x = torch.tensor([-7.0, -1.0, 0.0039, 0.0041 * 2, 1.0, 7.0])
    # (0.0039 + 1) * 127.5 = 127.997 rounds up; truncation would give 127
    assert to_pixels(x).tolist() == [0, 0, 128, 129, 255, 255]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_back_map_refuses_what_no_pixel_can_stand_for(bad: float) -> None:
    with pytest.raises(DataError, match="NaN or infinite"):
        to_pixels(torch.tensor([0.0, bad]))


def test_map_cannot_be_applied_twice() -> None:
    with pytest.raises(DataError, match="uint8"):
        to_unit(to_unit(torch.zeros(3, dtype=torch.uint8)))
