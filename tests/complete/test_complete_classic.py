"""What each classic method must reproduce exactly, and what it must minimise."""

import numpy as np
import pytest
import torch
from torch import Tensor

from coopnets.complete.classic import CLASSIC, fill
from coopnets.complete.classic.nans import least_squares_biharmonic, least_squares_laplace
from coopnets.complete.classic.planes import MARGIN, grouped
from coopnets.errors import CoopNetsError

SIDE = 20
ROWS, COLUMNS = torch.meshgrid(*2 * (torch.linspace(-1, 1, SIDE, dtype=torch.float64),),
                               indexing="ij")  # fmt: skip
SURFACES = {
    "constant": 0 * ROWS + 0.3,
    "ramp": 0.4 * ROWS - 0.3 * COLUMNS + 0.1,
    "saddle": 0.5 * (ROWS**2 - COLUMNS**2) + 0.2 * ROWS * COLUMNS,
    "bowl": 0.5 * (ROWS**2 + COLUMNS**2),
    "cubic": 0.4 * ROWS**3 - 0.3 * ROWS * COLUMNS**2 + 0.2 * COLUMNS**2 + 0.1 * ROWS,
}
GRIDS = ["mrf-l2", "inter-1", "inter-2", "inter-3", "inter-4", "inter-5"]
INSIDE, EDGE, CORNER = (6, 6), (0, 7), (0, 0)


def hole(at: tuple[int, int], side: int = 8) -> Tensor:
    mask = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    mask[..., at[0] : at[0] + side, at[1] : at[1] + side] = True
    return mask


def filled(method: str, surface: str, at: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What the method makes of a surface, whose hole it sees nothing of, and the surface."""
    x, mask = SURFACES[surface].view(1, 1, SIDE, SIDE), hole(at)
    return CLASSIC[method](x.masked_fill(mask, float("nan")), mask), x


@pytest.mark.parametrize(
    ("surface", "at", "exact"),
    [
        ("constant", INSIDE, set(GRIDS)),
        ("constant", CORNER, set(GRIDS)),
        ("ramp", INSIDE, set(GRIDS)),
        ("ramp", EDGE, {"inter-1", "inter-2", "inter-3"}),  # these go on linearly
        ("ramp", CORNER, {"inter-1", "inter-3"}),
        ("saddle", INSIDE, set(GRIDS)),  # harmonic, also on the grid
        # Least squares of the Laplacian have the biharmonic equation as their normal equation.
        ("bowl", INSIDE, {"inter-1", "inter-3"}),
        ("cubic", INSIDE, {"inter-1", "inter-3"}),
    ],
)
def test_surfaces_that_are_reproduced(surface: str, at: tuple[int, int], exact: set[str]) -> None:
    for method in GRIDS:
        y, x = filled(method, surface, at)
        off = float((y - x).abs().max())
        assert (off < 1e-7) == (method in exact), f"{method}: off by {off:.2e}"


@pytest.mark.parametrize("method", list(CLASSIC))
@pytest.mark.parametrize("at", [INSIDE, EDGE, CORNER])
def test_visible_pixels_stay_bit_for_bit(method: str, at: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, mask = torch.rand(2, 3, SIDE, SIDE) * 2 - 1, hole(at)
    y = CLASSIC[method](x.masked_fill(mask, float("nan")), mask)
    assert y.dtype == x.dtype and torch.isfinite(y).all()
    assert torch.equal(y.masked_fill(mask, 0), x.masked_fill(mask, 0))


@pytest.mark.parametrize("method", list(CLASSIC))
def test_each_image_has_its_own_mask(method: str) -> None:
    """Together as alone; equal holes at different places, and channels, do not mix."""
    torch.manual_seed(0)
    x = torch.rand(4, 3, SIDE, SIDE) * 2 - 1
    mask = torch.cat([hole((5, 5)), hole((7, 6)), hole((0, 3)), hole((5, 5), 3)])
    together = CLASSIC[method](x, mask)
    for i in range(4):
        torch.testing.assert_close(
            CLASSIC[method](x[i : i + 1], mask[i : i + 1]), together[i : i + 1]
        )


def test_masks_may_differ_by_channel_and_frame() -> None:
    """(B, C, T, H, W) with a mask for each frame, as videos have."""
    torch.manual_seed(0)
    x, mask = torch.rand(1, 2, 3, SIDE, SIDE), torch.rand(1, 1, 3, SIDE, SIDE) > 0.8
    y = CLASSIC["inter-4"](x, mask)
    for frame in range(3):
        alone = CLASSIC["inter-4"](x[:, :, frame], mask[:, :, frame])
        torch.testing.assert_close(y[:, :, frame], alone)


@pytest.mark.parametrize("method", list(CLASSIC))
def test_images_and_masks_in_any_layout(method: str) -> None:
    """Channels last in memory, a mask without an axis for images: as contiguous, of four axes."""
    torch.manual_seed(0)
    x, mask = torch.rand(2, SIDE, SIDE, 3).permute(0, 3, 1, 2) * 2 - 1, hole(INSIDE)
    expected = CLASSIC[method](x.contiguous(), mask)
    torch.testing.assert_close(CLASSIC[method](x, mask[0]), expected)
    assert (expected - x)[:, :, 6:14, 6:14].abs().max() > 0.1


@pytest.mark.parametrize("method", ["biharmonic", "telea"])
def test_libraries_refuse_a_mask_that_differs_by_channel(method: str) -> None:
    mask = hole(INSIDE).repeat(1, 3, 1, 1)
    mask[:, 1] = False
    with pytest.raises(CoopNetsError, match="the same for all channels"):
        CLASSIC[method](torch.rand(1, 3, SIDE, SIDE), mask)


def test_equal_holes_are_prepared_once() -> None:
    masks = torch.cat([hole((5, 5)), hole((7, 6)), hole((5, 5)), hole((0, 3))])[:, 0].numpy()
    groups = list(grouped(masks))
    assert sorted(len(group.members) for group in groups) == [1, 3]
    assert groups[0].hidden.shape == 2 * (8 + 2 * MARGIN,)


@pytest.mark.parametrize("method", [least_squares_laplace, least_squares_biharmonic])
@pytest.mark.parametrize("side", [5, 16])
def test_least_squares_are_least(method: object, side: int) -> None:
    """Against the dense solution of numpy for the same equations, written down by slicing."""
    torch.manual_seed(0)
    x, mask = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64), hole((1, 2), side)
    y = fill(x, mask, method)  # type: ignore[arg-type]
    biharmonic = method is least_squares_biharmonic
    unit = np.eye(SIDE * SIDE).reshape(-1, SIDE, SIDE)
    equations = np.stack([residuals(plane, biharmonic) for plane in unit], 1)
    hidden = mask.flatten().numpy()
    touching = equations[:, hidden].any(1)
    a, b = equations[touching][:, hidden], equations[touching][:, ~hidden]
    expected, *_ = np.linalg.lstsq(a, -b @ x.flatten().numpy()[~hidden], rcond=None)
    np.testing.assert_allclose(y.flatten().numpy()[hidden], expected, atol=1e-8)


def residuals(u: np.ndarray, biharmonic: bool) -> np.ndarray:
    """What each equation leaves of a plane, equation by equation."""
    laplace = np.zeros_like(u)
    laplace[1:-1] += u[:-2] - 2 * u[1:-1] + u[2:]
    laplace[:, 1:-1] += u[:, :-2] - 2 * u[:, 1:-1] + u[:, 2:]
    if not biharmonic:
        return laplace.ravel()
    inner = laplace[1:-1, 1:-1]  # of the Laplacian that fits in both ways
    twice = inner[:-2, 1:-1] + inner[2:, 1:-1] + inner[1:-1, :-2] + inner[1:-1, 2:]
    twice = twice - 4 * inner[1:-1, 1:-1]
    laplace[2:-2, 2:-2] = twice
    return laplace.ravel()


def test_field_of_squares_is_at_its_least_energy() -> None:
    """No change of hidden pixels lowers the sum of squared differences."""
    torch.manual_seed(0)
    x, mask = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64), hole(CORNER, 9)
    best = CLASSIC["mrf-l2"](x, mask)

    def energy(y: Tensor) -> float:
        down, right = y[..., 1:, :] - y[..., :-1, :], y[..., 1:] - y[..., :-1]
        return float(down.square().sum() + right.square().sum())

    least = energy(best)
    for size in (1e-3, 1e-1):
        for _ in range(50):
            assert energy(best + size * torch.randn_like(best) * mask) > least
    assert torch.equal(best, CLASSIC["inter-4"](x, mask))


def test_mean_of_eight_is_that() -> None:
    torch.manual_seed(0)
    x, mask = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64), hole(CORNER, 5)
    y = CLASSIC["inter-5"](x, mask)[0, 0]
    for row, column in ((0, 0), (0, 3), (2, 2), (4, 4)):
        window = y[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        others = (window.sum() - y[row, column]) / (window.numel() - 1)
        torch.testing.assert_close(y[row, column], others)


def test_holes_without_end_are_refused() -> None:
    x = torch.rand(1, 1, SIDE, SIDE)
    with pytest.raises(CoopNetsError, match="hides everything"):
        CLASSIC["inter-4"](x, torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool))
    island = torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)
    island[..., 10, 10] = False  # the rim of the image is a closed ring of equations
    with pytest.raises(CoopNetsError, match="another method"):
        CLASSIC["inter-2"](x, island)
    torch.testing.assert_close(
        CLASSIC["inter-4"](x, island), x[0, 0, 10, 10].expand(1, 1, SIDE, SIDE)
    )


@pytest.mark.parametrize("method", ["biharmonic", "telea"])
def test_missing_library_names_the_extra(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("coopnets.complete.classic.libraries.import_module", absent)
    with pytest.raises(CoopNetsError, match=r"coopnets\[completion\]"):
        CLASSIC[method](torch.rand(1, 1, 8, 8), hole(INSIDE)[..., :8, :8])


def test_libraries_fill_smoothly() -> None:
    """A ramp comes back nearly: biharmonic to rounding, fast marching roughly."""
    for method, near in (("biharmonic", 1e-6), ("telea", 0.15)):
        y, x = filled(method, "ramp", INSIDE)
        assert float((y - x).abs().max()) < near, method
