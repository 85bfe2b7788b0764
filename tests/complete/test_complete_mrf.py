"""The L1 field's minimum against brute force, linear programming and its dual."""

import itertools

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import linprog

from coopnets.complete.classic import CLASSIC
from coopnets.complete.classic.mrf import Pairs, absolute, duality_gap, least_minimiser


def example(seed: int, side: int, hole: int) -> tuple[np.ndarray, np.ndarray]:
    """A plane of few levels, whose ties are many, and a hole; for odd seeds at the edge."""
    rng = np.random.default_rng(seed)
    plane = rng.integers(0, 6, (side, side)).astype(float)
    hidden = np.zeros((side, side), bool)
    at = 0 if seed % 2 else 1
    hidden[at : at + hole, at : at + hole] = True
    return plane, hidden


def minimum(plane: np.ndarray, hidden: np.ndarray) -> float:
    """The least energy by a linear programme: x, and t >= |x_i - x_j| for each pair."""
    pairs = Pairs(hidden)
    (i, j), (k, at) = pairs.inner, pairs.rim
    n, given = pairs.count, plane.ravel()[at]
    rows = len(i) + len(k)
    tails, heads = np.concatenate([i, k]), j
    differences = sparse.lil_array((rows, n))
    differences[np.arange(rows), tails] = 1
    differences[np.arange(len(i)), heads] = -1
    offset = np.concatenate([np.zeros(len(i)), given])
    eye = sparse.eye_array(rows)
    bounds = sparse.block_array([[differences, -eye], [-differences, -eye]])
    found = linprog(
        np.concatenate([np.zeros(n), np.ones(rows)]), A_ub=bounds.tocsr(),
        b_ub=np.concatenate([offset, -offset]), bounds=[(None, None)] * (n + rows),
        method="highs",
    )  # fmt: skip
    return float(found.fun)


@pytest.mark.parametrize("seed", range(6))
def test_against_linear_programming(seed: int) -> None:
    plane, hidden = example(seed, 10, 7)
    values = absolute(hidden)(plane[None])[0]
    assert Pairs(hidden).energy(values, plane) == pytest.approx(minimum(plane, hidden))
    assert duality_gap(values, plane, hidden) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_least_and_greatest_against_brute_force(seed: int) -> None:
    """Among all minimisers with given levels, pixel by pixel."""
    plane, hidden = example(seed, 4, 2)
    pairs = Pairs(hidden)
    levels = np.unique(plane.ravel()[pairs.rim[1]])
    candidates = np.array(list(itertools.product(levels, repeat=pairs.count)))
    energies = np.array([pairs.energy(c, plane) for c in candidates])
    best = candidates[np.isclose(energies, energies.min())]
    np.testing.assert_array_equal(least_minimiser(pairs, plane), best.min(0))
    np.testing.assert_array_equal(-least_minimiser(pairs, -plane), best.max(0))


def test_worse_values_have_a_gap() -> None:
    plane, hidden = example(0, 10, 7)
    values = absolute(hidden)(plane[None])[0]
    worse = values.copy()
    worse[20] += 1
    gap = duality_gap(worse, plane, hidden)
    assert gap > 0.5
    energy = Pairs(hidden).energy
    assert gap == pytest.approx(energy(worse, plane) - energy(values, plane))


def test_real_valued_images_and_scattered_holes() -> None:
    """Any values, any shape of hole; the dual says that it is the minimum."""
    torch.manual_seed(0)
    x, mask = torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 1, 16, 16) > 0.4
    y = CLASSIC["mrf-l1"](x.masked_fill(mask, float("nan")), mask)
    for image, hole in zip(y.double().numpy(), mask[:, 0].numpy(), strict=True):
        for plane in image:
            assert duality_gap(plane[hole], plane, hole) == pytest.approx(0, abs=1e-5)


def test_an_edge_stays_sharp() -> None:
    """Half black, half white around: the cut is straight, nothing is in between."""
    plane = np.zeros((12, 12))
    plane[:, 6:] = 1
    hidden = np.zeros((12, 12), bool)
    hidden[3:9, 2:10] = True
    assert np.array_equal(absolute(hidden)(plane[None])[0], plane[hidden])
