from pathlib import Path

import pytest
import torch

from coopnets.errors import CoopNetsError
from coopnets.pictures import grid, save_grid, side_by_side


def test_no_picture_is_stretched() -> None:
    """The same value is the same grey, whatever else the image holds."""
    dim, wide = torch.zeros(1, 1, 2, 2), torch.tensor([[[[-1.0, 1.0], [0.0, 0.0]]]])
    picture = grid(torch.cat([dim, wide]), 2, padding=0)
    assert picture.dtype == torch.uint8
    assert picture[0, :, 0].tolist() == [picture[0, 1, 2].item()] * 2
    assert (picture[0, 0, 2].item(), picture[0, 0, 3].item()) == (0, 255)


def test_values_beyond_the_range_are_cut_off() -> None:
    picture = grid(torch.tensor([[[[-3.0, 3.0]]]]), 1, padding=0)
    assert picture[0, 0].tolist() == [0, 255]


def test_three_equal_panels_side_by_side() -> None:
    data, proposed, revised = (torch.full((4, 1, 3, 3), v) for v in (-1.0, 0.0, 1.0))
    picture = side_by_side(data, proposed, revised)
    side = 2 * (3 + 2) + 2
    assert picture.shape == (3, side, 3 * side + 2 * 12)
    row = picture[0, 2].tolist()
    assert row[2] == 0 and row[side + 12 + 2] in (127, 128) and row[2 * (side + 12) + 2] == 255


def test_picture_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for file in (tmp_path / "file" / "x.png", tmp_path / "x.unknown"):
        with pytest.raises(CoopNetsError, match="cannot write"):
            save_grid(torch.zeros(3, 4, 4, dtype=torch.uint8), file)
