"""Nearest-neighbour Markov random fields, filled with their exact most probable values.

The field has the energy sum |x_i - x_j|^p over pairs of pixels above, below, left and right of
each other, with the visible pixels given. For p = 2 its minimum is that of springs of length zero
(method 4 of :mod:`~coopnets.complete.classic.nans`). For p = 1 it is a total variation, whose
minimum is found here by minimum cuts.
"""

from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from coopnets.complete.classic.nans import FOUR, springs
from coopnets.complete.classic.planes import Filler

squared = springs
"""p = 2."""


def absolute(hidden: np.ndarray) -> Filler:
    """p = 1, to the exact minimum.

    Which pixels are above a level is a minimum cut at that level, and cuts of different levels
    are nested (Darbon and Sigelle, *Image Restoration with Discrete Constrained Total
    Variation*, 2006). So the levels are found by bisection: each cut parts the pixels of every
    interval of levels in two. Only the values of visible pixels beside a hole can be levels.

    Minimisers are many, and with any two of them the energy is the same in between. The result
    is the mean of the least and the greatest one.
    """
    pairs = Pairs(hidden)

    def filler(planes: np.ndarray) -> np.ndarray:
        return np.stack([
            (least_minimiser(pairs, plane) - least_minimiser(pairs, -plane)) / 2
            for plane in planes
        ])  # fmt: skip

    return filler


class Pairs:
    """The pairs of neighbours that a hole has to do with.

    Attributes:
        count: number of hidden pixels.
        inner: both hidden, (2, n), as numbers of hidden pixels.
        rim: the hidden one's number and the visible one's place in the plane, (2, m).
    """

    def __init__(self, hidden: np.ndarray) -> None:
        self.count = int(hidden.sum())
        number = np.full(hidden.shape, -1)
        number[hidden] = np.arange(self.count)
        padded = np.pad(number, 1, constant_values=-2)  # -2: beyond the edge
        place = np.pad(np.arange(hidden.size).reshape(hidden.shape), 1)
        inner, rim = [], []
        rows, columns = np.nonzero(hidden)
        own = number[hidden]
        for down, right in FOUR:
            at = (rows + 1 + down, columns + 1 + right)
            other = padded[at]
            inner.append(np.stack([own, other])[:, other > own])
            rim.append(np.stack([own, place[at]])[:, other == -1])
        self.inner, self.rim = np.concatenate(inner, 1), np.concatenate(rim, 1)

    def energy(self, values: np.ndarray, plane: np.ndarray) -> float:
        """Sum of |x_i - x_j| over the pairs, of hidden values (count,) in a plane (H, W)."""
        i, j = self.inner
        k, at = self.rim
        inside = np.abs(values[i] - values[j]).sum()
        return float(inside + np.abs(values[k] - plane.ravel()[at]).sum())


def least_minimiser(pairs: Pairs, plane: np.ndarray) -> np.ndarray:
    """The smallest of the values (hidden,) that minimise the energy of p = 1."""
    given = plane.ravel()[pairs.rim[1]]
    levels, rank = np.unique(given, return_inverse=True)
    low = np.zeros(pairs.count, int)  # the level of a pixel is in low..high
    high = np.full(pairs.count, len(levels) - 1)
    while (low < high).any():
        middle = (low + high) // 2
        above = _cut(pairs, low, high, middle, rank)
        low, high = np.where(above, middle + 1, low), np.where(above, high, middle)
    least: np.ndarray = levels[low]
    return least


def _cut(
    pairs: Pairs, low: np.ndarray, high: np.ndarray, middle: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """Which hidden pixels lie above the middle of their interval of levels.

    Neighbours with the same interval may be parted at the price of 1. Any other neighbour is
    given, or has an interval wholly above or below: it pulls to its side.
    """
    undecided = low < high
    i, j = pairs.inner
    same = (low[i] == low[j]) & undecided[i]  # intervals that differ do not overlap
    a, b = i[same], j[same]
    i, j, k = i[~same], j[~same], pairs.rim[0]
    pulled = np.concatenate([i, j, k])
    upwards = np.concatenate([low[j] > middle[i], low[i] > middle[j], rank > middle[k]])
    pulled, upwards = pulled[undecided[pulled]], upwards[undecided[pulled]]
    up, down = (np.bincount(pulled[side], minlength=pairs.count) for side in (upwards, ~upwards))
    above, _ = _minimum_cut(a, b, up, down)
    return above


def _minimum_cut(
    a: np.ndarray, b: np.ndarray, up: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, int]:
    """The smallest set of nodes on the source's side of a minimum cut, and the cut's size.

    Args:
        a: first nodes of edges that carry 1 either way.
        b: second nodes.
        up: what each node's edge from the source carries.
        down: what each node's edge to the sink carries.
    """
    count = len(up)
    source, sink = count, count + 1
    above, below = np.flatnonzero(up), np.flatnonzero(down)
    tails = np.concatenate([a, b, np.full(len(above), source), below])
    heads = np.concatenate([b, a, above, np.full(len(below), sink)])
    carried = np.concatenate([np.ones(2 * len(a), np.int32), up[above], down[below]])
    graph = sparse.csr_array(
        (carried.astype(np.int32), (tails, heads)), shape=(count + 2, count + 2)
    )
    found = maximum_flow(graph, source, sink)
    residual = sparse.csr_array(graph - found.flow)
    residual.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[:count], int(found.flow_value)


def duality_gap(values: np.ndarray, plane: np.ndarray, hidden: np.ndarray) -> float:
    """By how much hidden values exceed the least energy of p = 1, at most; 0 proves the minimum.

    The energy is the integral over all levels of the number of pairs that the level parts, and
    at every level that number is at least the maximum flow from the visible pixels above it
    to those below. So the flows, summed over levels, bound every energy from below.

    Args:
        values: of the hidden pixels, (hidden,).
        plane: (H, W), of which the visible pixels count.
        hidden: boolean (H, W).
    """
    pairs = Pairs(hidden)
    (a, b), (k, at) = pairs.inner, pairs.rim
    given = plane.ravel()[at]
    levels = np.unique(given)
    bound = 0.0
    for level, above in pairwise(levels):
        up, down = (
            np.bincount(k[side], minlength=pairs.count) for side in (given > level, given <= level)
        )
        bound += (above - level) * _minimum_cut(a, b, up, down)[1]
    return pairs.energy(values, plane) - bound
