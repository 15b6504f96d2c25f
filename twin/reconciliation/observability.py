"""Observability: what the balances say about streams without a meter.

References
----------
.. [1] Crowe, Garcia Campos, Hrymak: Reconciliation of process flow rates by matrix projection,
   part I, AIChE Journal 29, 1983, 881-888, doi:10.1002/aic.690290602.
.. [2] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import block_array, csc_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components

from twin.arrays import BOOL, F64, INTP

# A number below this share of what it was made from is rounding and counts as zero.
NOTHING = 1e-9
# The same for what is a square, or has not lost anything yet.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Projection:
    """Balances split into those free of unmeasured streams and those that give them.

    ``combine @ incidence`` is zero for every unmeasured stream, and the flow of stream
    ``solved[k]`` is ``solve[k] @ (accumulation - incidence @ measured flow)``. The matrices are
    sparse where the incidence is.
    """

    combine: Any  # (R, M) combinations of balances that need measured streams only
    columns: Any  # (R, S) combine @ incidence, exactly zero where nothing but rounding is left
    solved: INTP  # (U,) unmeasured streams that the balances fix
    solve: Any  # (U, M)
    observable: BOOL  # (S,) measured, or fixed by the balances
    redundant: BOOL  # (S,) measured, and observable without its own meter


def project(incidence: F64, measured: BOOL, balanced: BOOL) -> Projection:
    """Eliminate the unmeasured streams from the balances [1]_.

    Parameters
    ----------
    incidence : (M, S) float64 [1]   coefficient of each stream in each balance
    measured : (S,) bool   has a value to be reconciled
    balanced : (M,) bool   the accumulation is known; other balances are not used

    Returns
    -------
    Projection
        rank decisions are relative to the greatest coefficient of a balance and of a stream
    """
    nodes, missing = np.flatnonzero(balanced), np.flatnonzero(~measured)
    row = _scale(incidence, axis=1)[nodes]
    scaled = incidence[nodes] / row[:, None]
    column = _scale(scaled[:, missing], axis=0)
    kernel, solved, solve = _reduce(scaled[:, missing] / column)
    columns = scaled
    if len(missing):
        columns = kernel @ scaled
        columns[np.abs(columns) <= NOTHING * (np.abs(kernel) @ np.abs(scaled))] = 0
        columns[:, missing] = 0
    observable = measured.copy()
    observable[missing[solved]] = True
    return Projection(
        combine=_widen(kernel / row, nodes, len(incidence)),
        columns=columns,
        solved=missing[solved],
        solve=_widen(solve / column[solved, None] / row, nodes, len(incidence)),
        observable=observable,
        redundant=(columns != 0).any(axis=0),
    )


def project_sparse(incidence: Any, measured: BOOL, balanced: BOOL) -> Projection:
    """Eliminate the unmeasured streams of a large network, as `project` does.

    Balances that share no unmeasured stream are eliminated apart, so that each matrix is small.

    Parameters
    ----------
    incidence : (M, S) csr_array of float64 [1]
    measured, balanced
        as of `project`

    Returns
    -------
    Projection
    """
    row = _greatest(incidence, axis=1)
    scaled = csr_array(diags_array(1 / row) @ incidence)
    missing = np.flatnonzero(~measured)
    hidden = diags_array(balanced * 1.0) @ csc_array(scaled)[:, missing]
    column = _greatest(hidden, axis=0)
    hidden = csr_array(hidden @ diags_array(1 / column))
    hidden.eliminate_zeros()
    plain = np.flatnonzero(balanced & (np.diff(hidden.indptr) == 0))
    kernels = [(np.arange(len(plain)), plain, np.ones(len(plain)))]
    solves: list[tuple[INTP, INTP, F64]] = []
    solved: list[int] = []
    count = len(plain)
    for nodes, streams in _groups(hidden):
        kernel, some, solve = _reduce(hidden[nodes][:, streams].toarray())
        at = np.arange(len(kernel)) + count
        kernels.append((np.repeat(at, len(nodes)), np.tile(nodes, len(at)), kernel.ravel()))
        at = np.arange(len(some)) + len(solved)
        solve = solve / column[streams[some], None]
        solves.append((np.repeat(at, len(nodes)), np.tile(nodes, len(at)), solve.ravel()))
        solved += missing[streams[some]].tolist()
        count += len(kernel)
    combine = _assembled(kernels, (count, len(balanced)))
    columns = combine @ scaled
    bound = abs(combine) @ abs(scaled)
    columns = csr_array(
        columns * (abs(columns) - NOTHING * bound > 0) @ diags_array(measured * 1.0)
    )
    columns.eliminate_zeros()
    observable = measured.copy()
    observable[solved] = True
    return Projection(
        combine=csr_array(combine @ diags_array(1 / row)),
        columns=columns,
        solved=np.array(solved, dtype=np.intp),
        solve=csr_array(_assembled(solves, (len(solved), len(balanced))) @ diags_array(1 / row)),
        observable=observable,
        redundant=np.bincount(columns.indices, minlength=len(measured)) > 0,
    )


def _greatest(matrix: Any, axis: int) -> F64:
    """Return the greatest magnitude along an axis of a sparse matrix, 1 where all is zero."""
    greatest = np.ravel(abs(matrix).max(axis=axis).toarray()) if matrix.shape[1 - axis] else 0.0
    greatest = np.broadcast_to(greatest, matrix.shape[axis - 1])
    return np.asarray(np.where(greatest > 0, greatest, 1.0))


def _groups(hidden: Any) -> list[tuple[INTP, INTP]]:
    """Return the nodes and the unmeasured streams of each connected part, (M, U)."""
    nodes = hidden.shape[0]
    both = block_array([[None, hidden], [hidden.T, None]])
    _, group = connected_components(both, directed=False)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    split = [(part[part < nodes], part[part >= nodes] - nodes) for part in parts]
    return [(some, streams) for some, streams in split if len(some) and len(streams)]


def _assembled(parts: list[tuple[INTP, INTP, F64]], shape: tuple[int, int]) -> Any:
    """Return the sparse matrix of rows, columns and values."""
    nothing = np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    row, column, value = (np.concatenate(each) for each in zip(nothing, *parts, strict=True))
    matrix = csr_array((value, (row, column)), shape=shape)
    matrix.eliminate_zeros()
    return matrix


def _scale(matrix: F64, axis: int) -> F64:
    """Return the greatest magnitude along an axis, 1 where all is zero."""
    greatest = np.abs(matrix).max(axis=axis, initial=0.0)
    return np.asarray(np.where(greatest > 0, greatest, 1.0))


def _widen(matrix: F64, nodes: INTP, count: int) -> F64:
    """Return the columns of `matrix` at their nodes, zero elsewhere."""
    wide = np.zeros((len(matrix), count))
    wide[:, nodes] = matrix
    return wide


def _reduce(matrix: F64) -> tuple[F64, INTP, F64]:
    """Solve ``matrix @ x = b`` as far as it goes, by Gauss-Jordan with complete pivoting.

    Graphs stay exact under it, and rows stay local: no node is mixed with one it does not touch.

    Returns
    -------
    kernel : (R, M) float64   ``kernel @ matrix`` is zero
    solved : (U,) int   entries of x that have one solution only
    solve : (U, M) float64   ``x[solved] = solve @ b``
    """
    balances, streams = matrix.shape
    table = np.hstack([matrix, np.eye(balances)])
    free = np.ones(balances, bool)
    pivots: dict[int, int] = {}
    for _ in range(min(balances, streams)):
        size = np.abs(table[:, :streams]) * free[:, None]
        i, j = divmod(int(size.argmax()), streams)
        if size[i, j] <= NOTHING:
            break
        table[i] /= table[i, j]
        touched = np.flatnonzero(table[:, j])
        touched = touched[touched != i]
        table[touched] -= table[touched, j, None] * table[i]
        table[touched, j] = 0
        free[i] = False
        pivots[i] = j
    table[np.abs(table) <= ROUNDING] = 0
    rows = np.array(list(pivots), dtype=np.intp)
    solved = np.array(list(pivots.values()), dtype=np.intp)
    others = np.setdiff1d(np.arange(streams), solved)
    # A pivot that depends on a stream without pivot moves with it: many solutions.
    fixed = np.abs(table[np.ix_(rows, others)]).max(axis=1, initial=0.0) <= NOTHING
    kernel = table[free, streams:]
    kernel[np.abs(kernel) <= NOTHING] = 0
    return kernel, solved[fixed], table[rows[fixed], streams:]
