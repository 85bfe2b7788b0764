import torch

from coopnets.interpolate import linear, plane, sphere


def test_line_has_exact_ends_and_even_steps() -> None:
    left, right = torch.randn(3, 5), torch.randn(3, 5)
    path = linear(left, right, 7)
    assert path.shape == (3, 7, 5)
    assert torch.equal(path[:, 0], left) and torch.equal(path[:, -1], right)
    torch.testing.assert_close(path[:, 3], (left + right) / 2)
    torch.testing.assert_close(path.diff(dim=1), ((right - left) / 6)[:, None].expand(3, 6, 5))


def test_sphere_weights_keep_the_variance() -> None:
    """Unit corners show the weights themselves: their squares sum to one everywhere."""
    weights = sphere(torch.eye(4), 6)
    torch.testing.assert_close(weights.square().sum(-1), torch.ones(6, 6))
    assert float(weights.min()) > -1e-6


def test_sphere_has_its_corners_at_its_corners() -> None:
    corners = torch.randn(4, 5)
    grid = sphere(corners, 6)
    assert grid.shape == (6, 6, 5)
    found = torch.stack([grid[0, 0], grid[0, -1], grid[-1, 0], grid[-1, -1]])
    torch.testing.assert_close(found, corners, rtol=0, atol=1e-6)


def test_sphere_of_equal_vectors_is_no_constant() -> None:
    """It is a sphere, not a plane: the middle of four equal corners is twice as long."""
    one = torch.randn(1, 5)
    grid = sphere(one.expand(4, 5), 3)
    torch.testing.assert_close(grid[1, 1], 2 * one[0])


def test_plane_has_equally_likely_cells() -> None:
    """The prior's distribution function takes the map to the middles of equal cells."""
    grid = plane(5)
    assert grid.shape == (5, 5, 2)
    shares = torch.distributions.Normal(0.0, 1.0).cdf(grid)
    middles = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    torch.testing.assert_close(shares[..., 0], middles.expand(5, 5), rtol=0, atol=1e-6)
    upward = middles.flip(0)[:, None].expand(5, 5)
    torch.testing.assert_close(shares[..., 1], upward, rtol=0, atol=1e-6)
