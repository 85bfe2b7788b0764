"""The products over patches that single layers are measured against."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.layers import product_down

SHAPES = [
    # channels in, out, side, kernel, stride, padding: thin, then not
    (3, 7, 9, 5, 2, 2), (6, 5, 8, 4, 2, 1), (5, 6, 10, 4, 2, 0), (6, 7, 9, 5, 2, 2),
    (5, 5, 4, 3, 1, 1),
    (5, 6, 9, 3, 2, 1), (5, 6, 11, 2, 3, 0),  # taps that do not fill a last stride, or one
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_the_way_down_is_the_adjoint_of_the_convolution(shape: tuple[int, ...]) -> None:
    first, last, side, kernel, stride, padding = shape
    x = torch.randn(3, first, side, side, dtype=torch.float64)
    w = torch.randn(last, first, kernel, kernel, dtype=torch.float64)
    up = F.conv2d(x, w, None, stride, padding)
    y = torch.randn_like(up)
    down = product_down(y, w, x.shape, stride, padding)
    torch.testing.assert_close((up * y).sum(), (x * down).sum())
