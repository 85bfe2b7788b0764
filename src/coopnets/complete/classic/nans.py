"""The five ways of D'Errico's ``inpaint_nans`` (Matlab File Exchange 4551, 2004).

Written after its published description. Each is a sparse linear system for the hidden pixels of
one plane, in which the visible ones stand on the right-hand side:

1  least squares of the discrete Laplacian over every node whose equation touches a hole
2  the same Laplacian set to zero at the hidden nodes alone
3  least squares of the biharmonic operator, the Laplacian applied twice
4  springs of length zero to the neighbours: the least sum of squared differences
5  each hidden node is the mean of its eight neighbours

Where the image ends, 1 to 3 keep those second differences that fit in, so they go on linearly;
4 and 5 leave out the neighbours that are not there, so they go on as a constant.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu

from coopnets.complete.classic.planes import Filler
from coopnets.errors import CoopNetsError

Offset = tuple[int, int]

ALONG_ROWS: dict[Offset, int] = {(-1, 0): 1, (0, 0): -2, (1, 0): 1}
ALONG_COLUMNS: dict[Offset, int] = {(0, -1): 1, (0, 0): -2, (0, 1): 1}
BIHARMONIC: dict[Offset, int] = {
    (0, 0): 20,
    **dict.fromkeys([(-1, 0), (1, 0), (0, -1), (0, 1)], -8),
    **dict.fromkeys([(-1, -1), (-1, 1), (1, -1), (1, 1)], 2),
    **dict.fromkeys([(-2, 0), (2, 0), (0, -2), (0, 2)], 1),
}  # fmt: skip
FOUR: tuple[Offset, ...] = ((-1, 0), (1, 0), (0, -1), (0, 1))
EIGHT: tuple[Offset, ...] = (*FOUR, (-1, -1), (-1, 1), (1, -1), (1, 1))

SINGULAR = 1e-12
"""Least pivot, relative to the greatest, below which a system is taken to be singular; those of
whole squares in 64x64 images are above 1e-4, those of unsolvable ones near 1e-16."""


def least_squares_laplace(hidden: np.ndarray) -> Filler:
    """Method 1."""
    return _least_squares(_laplacian(np.ones_like(hidden)), hidden)


def direct_laplace(hidden: np.ndarray) -> Filler:
    """Method 2. At a corner of the image the two neighbours' mean takes the Laplacian's place."""
    equations = _laplacian(hidden)
    height, width = hidden.shape
    for row, inward_row in ((0, 1), (height - 1, -1)):
        for column, inward_column in ((0, 1), (width - 1, -1)):
            if hidden[row, column]:
                at = np.zeros_like(hidden)
                at[row, column] = True
                corner: dict[Offset, int] = {
                    (0, 0): -2, (inward_row, 0): 1, (0, inward_column): 1,
                }  # fmt: skip
                equations = equations + _rows(at, corner)
    return _square(equations, hidden)


def least_squares_biharmonic(hidden: np.ndarray) -> Filler:
    """Method 3.

    One node from the image's edge the Laplacian takes the place of the biharmonic operator,
    and on the edge the second difference along it.
    """
    everywhere = np.ones_like(hidden)
    inside = _fits(everywhere, BIHARMONIC)
    equations = _rows(inside, BIHARMONIC) + _laplacian(everywhere & ~inside)
    return _least_squares(equations, hidden)


def springs(hidden: np.ndarray) -> Filler:
    """Method 4: minimises the sum of squared differences of neighbours, each pair once.

    The neighbours are those above, below, left and right.
    """
    return _square(_mean_of(hidden, FOUR), hidden)


def mean_of_eight(hidden: np.ndarray) -> Filler:
    """Method 5."""
    return _square(_mean_of(hidden, EIGHT), hidden)


def _laplacian(at: np.ndarray) -> sparse.csr_array:
    """Second differences along rows and columns, each where it fits in, summed."""
    return sum(
        (_rows(at & _fits(at, part), part) for part in (ALONG_ROWS, ALONG_COLUMNS)),
        sparse.csr_array((at.size, at.size)),
    )


def _mean_of(hidden: np.ndarray, neighbours: Sequence[Offset]) -> sparse.csr_array:
    """The hidden node times the number of its neighbours, less their sum."""
    parts = (
        _rows(hidden & _fits(hidden, {offset: 1}), {(0, 0): 1, offset: -1})
        for offset in neighbours
    )
    return sum(parts, sparse.csr_array((hidden.size, hidden.size)))


def _fits(at: np.ndarray, stencil: dict[Offset, int]) -> np.ndarray:
    """Nodes of a plane from which a stencil does not reach beyond its edge."""
    height, width = at.shape
    rows, columns = np.indices(at.shape)
    up, left = (-min(offset[axis] for offset in (*stencil, (0, 0))) for axis in (0, 1))
    down, right = (max(offset[axis] for offset in (*stencil, (0, 0))) for axis in (0, 1))
    fits: np.ndarray = (rows >= up) & (rows < height - down) & (columns >= left)
    fits &= columns < width - right
    return fits


def _rows(at: np.ndarray, stencil: dict[Offset, int]) -> sparse.csr_array:
    """A matrix (nodes, nodes) with a stencil in the row of every node that ``at`` marks."""
    nodes = np.flatnonzero(at)
    steps = [row * at.shape[1] + column for row, column in stencil]
    columns = (nodes[:, None] + np.array(steps)).ravel()
    weights = np.tile(np.array(list(stencil.values()), float), len(nodes))
    rows = np.repeat(nodes, len(stencil))
    return sparse.csr_array((weights, (rows, columns)), shape=(at.size, at.size))


def _square(equations: sparse.csr_array, hidden: np.ndarray) -> Filler:
    """Solve the equations of the hidden nodes."""
    unknown = hidden.ravel()
    own = equations[unknown]
    factors = _factorised(own[:, unknown], hidden)
    given = own[:, ~unknown]

    def filler(planes: np.ndarray) -> np.ndarray:
        known = planes[:, ~hidden]
        solved: np.ndarray = factors.solve(-(given @ known.T))
        return solved.T

    return filler


def _least_squares(equations: sparse.csr_array, hidden: np.ndarray) -> Filler:
    """Least squares over all equations that touch a hidden node.

    By the augmented system [I A; A' 0] (r, u) = (b, 0), r = b - A u, which keeps the precision
    that the normal equations A' A u = A' b would lose.
    """
    unknown = hidden.ravel()
    touching = np.diff(equations[:, unknown].indptr) > 0
    own = equations[touching]
    a, given = own[:, unknown], own[:, ~unknown]
    # The scale of the identity near A's least singular value would be best; a fixed small one
    # and two rounds of refinement do.
    scale = 1e-2
    system = sparse.block_array([[scale * sparse.eye_array(a.shape[0]), a], [a.T, None]])
    factors = _factorised(system, hidden)

    def filler(planes: np.ndarray) -> np.ndarray:
        b = -(given @ planes[:, ~hidden].T)
        right = np.concatenate([b, np.zeros((a.shape[1], b.shape[1]))])
        solved = factors.solve(right)
        for _ in range(2):
            solved += factors.solve(right - system @ solved)
        return solved[a.shape[0] :].T  # type: ignore[no-any-return]

    return filler


def _factorised(matrix: sparse.csr_array, hidden: np.ndarray) -> SuperLU:
    """Factors of a square system.

    Raises:
        CoopNetsError: the system is singular; the rounding may hide it from the library.
    """
    try:
        factors = splu(sparse.csc_array(matrix))
        pivots = np.abs(factors.U.diagonal())
        if pivots.min() > SINGULAR * pivots.max():
            return factors
    except RuntimeError:  # exactly singular
        pass
    raise CoopNetsError(
        f"this method finds no unique filling of a hole with {hidden.size - hidden.sum()} "
        "visible pixels about it: take another method, or a smaller mask"
    )
