"""Cholesky factorisation of a sparse matrix, front by front, and the inverse where it has entries.

A front is a dense block: the rows that are eliminated together, and the later rows they reach. The
work is that of small dense matrices, so that what is not sparse at all costs no more than a dense
factorisation.

References
----------
.. [1] Duff, Reid: The multifrontal solution of indefinite sparse symmetric linear equations, ACM
   Transactions on Mathematical Software 9, 1983, 302-325, doi:10.1145/356044.356047.
.. [2] Takahashi, Fagan, Chen: Formation of a sparse bus impedance matrix and its application to
   short circuit study, 8th PICA Conference, 1973, 63-69: the inverse on the pattern of the factor.
.. [3] Liu: The role of elimination trees in sparse factorization, SIAM Journal on Matrix Analysis
   and Applications 11, 1990, 134-172, doi:10.1137/0611010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.sparse import coo_array, csc_array, csr_array, eye_array, tril
from scipy.sparse.linalg import splu

from twin.arrays import BOOL, F64, INTP


class Front(NamedTuple):
    """P rows that are eliminated together, as a range, and the B later rows they reach."""

    first: int
    last: int
    border: INTP  # (B,)
    parent: int  # the front that takes what is left of this one; -1 = none
    # Where in the (P + B, P + B) block the entries of the matrix are, and which those are.
    row: INTP
    column: INTP
    entry: slice


@dataclass(frozen=True, slots=True)
class Factor:
    """Factorisation of a symmetric, positive semi-definite (K, K) matrix."""

    position: INTP  # (K,) place of each row in the order of elimination
    fronts: list[Front]
    inverse: list[F64]  # (P, P) inverse of each front's lower triangle; zero for spare rows
    below: list[F64]  # (B, P) the lower triangle under it
    matrix: Any  # (K, K) sparse: lower triangle in the order of elimination
    spare: BOOL  # (K,) the row follows from those before it
    least: float  # least pivot, as a share of its row's own entry


def factorise(matrix: Any, dependent: float) -> Factor:
    """Factorise a sparse matrix [1]_.

    Parameters
    ----------
    matrix : (K, K) scipy.sparse float64
        symmetric and positive semi-definite, its diagonal 1, or 0 for rows that are not used
    dependent : float [1]
        a row whose pivot is less has no part in the solution: it is spare

    Returns
    -------
    Factor
    """
    size = matrix.shape[0]
    position = _ordered(matrix) if size else np.zeros(0, np.intp)
    entries = coo_array(matrix)
    turned = csr_array((entries.data, (position[entries.row], position[entries.col])), matrix.shape)
    lower = csc_array(tril(turned))
    lower.sort_indices()
    fronts = _fronts(lower)
    spare, least = np.zeros(size, bool), 1.0
    waiting: dict[int, list[tuple[INTP, F64]]] = {}
    inverses, belows = [], []
    for number, front in enumerate(fronts):
        count = front.last - front.first
        block = np.zeros((count + len(front.border),) * 2)
        block[front.row, front.column] = lower.data[front.entry]
        for border, update in waiting.pop(number, ()):
            at = _places(front, border)
            block[at[:, None], at] += update
        inverse, unused, pivot = _inverse_factor(block[:count, :count], dependent)
        below = block[count:, :count] @ inverse.T
        spare[front.first : front.last] = unused
        least = min(least, pivot)
        if len(front.border):
            update = block[count:, count:] - below @ below.T
            waiting.setdefault(front.parent, []).append((front.border, update))
        inverses.append(inverse)
        belows.append(below)
    return Factor(position, fronts, inverses, belows, lower, spare[position], least)


def whitened(factor: Factor, residual: F64) -> F64:
    """Return what whitening makes of residuals whose covariance was factorised.

    Parameters
    ----------
    factor : Factor
    residual : (K, n) float64 [u]

    Returns
    -------
    (K, n) float64 [1]      independent, of variance 1; 0 in spare rows
    """
    values = np.empty_like(residual)
    values[factor.position] = residual
    for front, inverse, below in zip(factor.fronts, factor.inverse, factor.below, strict=True):
        at = slice(front.first, front.last)
        values[at] = inverse @ values[at]
        values[front.border] -= below @ values[at]
    return values


def weighted(factor: Factor, deviate: F64) -> F64:
    """Return what the transposed whitening makes of deviates: the inverse times the residual.

    Parameters
    ----------
    factor : Factor
    deviate : (K, n) float64 [1]      as of `whitened`

    Returns
    -------
    (K, n) float64 [1/u]
    """
    values = deviate.copy()
    steps = zip(factor.fronts, factor.inverse, factor.below, strict=True)
    for front, inverse, below in reversed(list(steps)):
        at = slice(front.first, front.last)
        values[at] = inverse.T @ (values[at] - below.T @ values[front.border])
    return values[factor.position]


def inverse_entries(factor: Factor) -> Any:
    """Return the inverse where the matrix has entries [2]_: (K, K) csr_array, 0 in spare rows."""
    inverse = np.zeros(len(factor.matrix.data))
    blocks: dict[int, F64] = {}
    waiting = np.bincount([front.parent + 1 for front in factor.fronts],
                          minlength=len(factor.fronts) + 1)[1:]  # fmt: skip
    for number in reversed(range(len(factor.fronts))):
        front, own, below = factor.fronts[number], factor.inverse[number], factor.below[number]
        count = front.last - front.first
        block = np.empty((count + len(front.border),) * 2)
        if len(front.border):
            at = _places(factor.fronts[front.parent], front.border)
            block[count:, count:] = blocks[front.parent][at[:, None], at]
            waiting[front.parent] -= 1
            if not waiting[front.parent]:
                del blocks[front.parent]
        down = below @ own
        block[count:, :count] = -block[count:, count:] @ down
        block[:count, count:] = block[count:, :count].T
        block[:count, :count] = own.T @ own - down.T @ block[count:, :count]
        inverse[front.entry] = block[front.row, front.column]
        if waiting[number]:
            blocks[number] = block
    half = csc_array((inverse, factor.matrix.indices, factor.matrix.indptr), factor.matrix.shape)
    entries = coo_array(half + tril(half, -1).T)
    order = np.argsort(factor.position)
    return csr_array((entries.data, (order[entries.row], order[entries.col])), half.shape)


def _ordered(matrix: Any) -> INTP:
    """Return the place of each row in an order of little fill-in, by minimum degree."""
    pattern = csc_array((np.full(matrix.nnz, -1.0), matrix.indices, matrix.indptr), matrix.shape)
    heavy = pattern + 2 * (matrix.shape[0] + 1) * eye_array(matrix.shape[0])
    solver = splu(
        csc_array(heavy),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    return np.asarray(solver.perm_c, dtype=np.intp)


def _fronts(lower: Any) -> list[Front]:
    """Return the fronts of a lower triangle, in the order of elimination [3]_."""
    size = lower.shape[0]
    reach: list[INTP] = []
    children: list[list[INTP]] = [[] for _ in range(size)]
    for j in range(size):
        below = lower.indices[lower.indptr[j] : lower.indptr[j + 1]]
        below = np.unique(np.concatenate([below, *children[j]]))
        below = below[below > j]
        children[j] = []
        if len(below):
            children[below[0]].append(below)
        reach.append(below)
    # A column and the next one that reaches the same rows are eliminated together.
    count = np.array([len(rows) for rows in reach], dtype=np.intp)
    next_row = np.array([rows[0] if len(rows) else -1 for rows in reach], dtype=np.intp)
    goes_on = (next_row[:-1] == np.arange(1, size)) & (count[:-1] == count[1:] + 1)
    last = np.flatnonzero(~np.append(goes_on, False)[:size]) + 1
    first = np.concatenate([[0], last])[: len(last)]
    front_of = np.repeat(np.arange(len(last)), last - first)
    columns = np.repeat(np.arange(size), np.diff(lower.indptr))
    fronts = []
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        border = reach[end - 1]
        entry = slice(int(lower.indptr[begin]), int(lower.indptr[end]))
        rows = lower.indices[entry]
        at = np.where(rows < end, rows - begin, end - begin + np.searchsorted(border, rows))
        parent = int(front_of[border[0]]) if len(border) else -1
        fronts.append(Front(begin, end, border, parent, at, columns[entry] - begin, entry))
    return fronts


def _places(front: Front, rows: INTP) -> INTP:
    """Return where in the block of a front some of its rows are."""
    inside = rows < front.last
    later = front.last - front.first + np.searchsorted(front.border, rows)
    return np.asarray(np.where(inside, rows - front.first, later))


def _inverse_factor(block: F64, dependent: float) -> tuple[F64, BOOL, float]:
    """Return the inverse of a block's lower triangle, which rows are spare, and the least pivot.

    Only the lower half of the block is read. A spare row and its column are zero.
    """
    count = len(block)
    lower, failed = dpotrf(block, lower=1, clean=1)
    least = 0.0 if failed else float(np.diag(lower).min()) ** 2
    if least > dependent:
        return dtrtri(lower, lower=1)[0], np.zeros(count, bool), least
    remaining = np.tril(block)
    spare, least = np.zeros(count, bool), 1.0
    for j in range(count):
        pivot = remaining[j, j]
        spare[j] = pivot <= dependent
        if spare[j]:
            continue
        least = min(least, float(pivot))
        column = remaining[j + 1 :, j]
        remaining[j + 1 :, j + 1 :] -= np.outer(column, column / pivot)
    kept = np.flatnonzero(~spare)
    inverse = np.zeros_like(block)
    lower, _ = dpotrf(block[np.ix_(kept, kept)], lower=1, clean=1)
    inverse[np.ix_(kept, kept)] = dtrtri(lower, lower=1)[0] if len(kept) else lower
    return inverse, spare, least
