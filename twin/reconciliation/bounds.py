"""Bounds of flows: which of them hold back the flows that close every balance.

References
----------
.. [1] Stark, Parker: Bounded-variable least-squares, an algorithm and applications, Computational
   Statistics 10, 1995, 129-141: an active set, exact after a finite number of steps.
.. [2] Lawson, Hanson: Solving Least Squares Problems, SIAM, 1995, chapter 22: equations by weights.
.. [3] Nocedal, Wright: Numerical Optimization, 2nd edition, Springer, 2006, 16.1 and 16.5: a
   minimum under bounds is that of the equations made of the bounds it reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.optimize import linprog, lsq_linear
from scipy.sparse import csr_array

from twin.arrays import BOOL, F64, INTP
from twin.reconciliation.observability import NOTHING, ROUNDING

# What a balance that does not close weighs beside a standard uncertainty, and what an unmeasured
# flow of the size of the network does.
EQUATION = 1e5
WEIGHTLESS = 1e-6
# A bound that pulls less than this share of the strongest pulls at nothing.
FORCELESS = 1e-7
# A balance that stays open by more than this share of what it is made of cannot be closed.
OPEN = 1e-7
PASSES = 3
TOLERANCE = 1e-15


def reached_bounds(
    incidence: F64,
    accumulation: F64,
    flow: F64,
    variance: F64,
    measured: BOOL,
    lower: F64,
    upper: F64,
) -> NDArray[np.int8] | None:
    """Return the bounds that the least-squares flows reach, of one time.

    Parameters
    ----------
    incidence : (M, S) float64 [1]
    accumulation : (M,) float64 [u]     of balances that are used
    flow : (S,) float64 [u]
    variance : (S,) or (S, S) float64 [u^2]   variances or covariance of the measurements
    measured : (S,) bool
    lower, upper : (S,) float64 [u]     infinite where there is none

    Returns
    -------
    (S,) int8 or None
        -1 at the lower bound, +1 at the upper one, 0 elsewhere: with these as equations, of which
        none follows from the others, the balances have the bounded solution [3]_. None where no
        flows within the bounds close them.

    Notes
    -----
    Bounded least squares [1]_ in units of the uncertainties, with the balances as rows of great
    weight [2]_: that finds the bounds, the solution itself is calculated without weights.
    """
    own = np.sqrt(variance if variance.ndim == 1 else np.diag(variance))
    base = np.where(measured, flow, 0.0)
    size = max(float(np.abs(base).max(initial=0.0)), float(np.abs(accumulation).max(initial=0.0)))
    size = size if size > 0 else 1.0
    unit = np.where(measured & (own > 0), own, size)
    soft, hard = _rows(variance, own, unit, measured)
    scale = np.abs(incidence * unit).max(axis=1, initial=0.0)
    scale = np.where(scale > 0, scale, 1.0)
    equations = np.vstack([incidence * unit / scale[:, None], hard])
    target = np.concatenate([(accumulation - incidence @ base) / scale, np.zeros(len(hard))])
    least, most = (lower - base) / unit, (upper - base) / unit
    if (least > most).any():
        return None
    matrix = np.vstack([soft, EQUATION * equations])
    # The solver wants room between two bounds that are the same.
    room = (least, np.maximum(most, np.nextafter(least, np.inf)))
    # What the weights leave open is wanted for once more, until nothing is.
    wanted = target
    for _ in range(PASSES):
        goal = np.concatenate([np.zeros(len(soft)), EQUATION * wanted])
        result = _solved(matrix, goal, room)
        open_by = target - equations @ result.x
        wanted = wanted + open_by
    made_of = np.abs(equations) @ np.abs(result.x) + np.abs(target)
    if (np.abs(open_by) > OPEN * (made_of + 1.0)).any():
        return None
    force = np.abs(matrix.T @ result.fun)
    pulls = force > FORCELESS * max(float(force.max(initial=0.0)), 1.0)
    reached = np.flatnonzero(pulls & (result.active_mask != 0))
    kept = reached[_independent(equations, reached)]
    bounds = np.zeros(len(flow), np.int8)
    bounds[kept] = result.active_mask[kept]
    return bounds


def has_room(incidence: Any, accumulation: F64, estimate: F64, lower: F64, upper: F64) -> bool:
    """Tell whether streams that are not observable can close the balances within their bounds.

    Parameters
    ----------
    incidence : (M, S) float64 [1], or scipy.sparse
    accumulation : (M,) float64 [u]     of balances that are used
    estimate : (S,) float64 [u]         NaN where not observable
    lower, upper : (S,) float64 [u]     infinite where there is none

    Returns
    -------
    bool
        true = the estimates are those of the bounded problem as well
    """
    hidden = np.flatnonzero(np.isnan(estimate))
    residual = accumulation - incidence @ np.nan_to_num(estimate)
    size = max(float(np.abs(np.nan_to_num(estimate)).max(initial=0.0)), ROUNDING)
    result = linprog(
        np.zeros(len(hidden)),
        A_eq=csr_array(csr_array(incidence)[:, hidden]),
        b_eq=residual / size,
        bounds=np.stack([lower[hidden], upper[hidden]], axis=1) / size,
    )
    return bool(result.success)


def _solved(matrix: F64, goal: F64, room: tuple[F64, F64]) -> Any:
    """Return the bounded least-squares solution."""
    # A step of no length at all divides zero by zero on its way: then by the slower method.
    with np.errstate(all="ignore"):
        result = lsq_linear(matrix, goal, room, method="bvls", tol=TOLERANCE)
    if np.isfinite(result.x).all():
        return result
    return lsq_linear(matrix, goal, room, method="trf", lsq_solver="exact", tol=TOLERANCE)


def _independent(equations: F64, streams: INTP) -> INTP:
    """Return which of some streams the balances and the others of them do not fix already."""
    _, value, across = np.linalg.svd(equations)
    rank = int((value > NOTHING * value.max(initial=0.0)).sum())
    if not len(streams) or rank == equations.shape[1]:
        return np.zeros(0, np.intp)
    triangle, order = qr(across[rank:, streams], mode="r", pivoting=True)
    size = np.abs(np.diag(triangle))
    return np.asarray(order[: int((size > NOTHING).sum())])


def _rows(variance: F64, own: F64, unit: F64, measured: BOOL) -> tuple[F64, F64]:
    """Return what measures adjustments in their units, and what must be zero: rows of S columns."""
    weight = np.diag(np.where(measured, (own > 0) * 1.0, WEIGHTLESS))
    exact = np.eye(len(own))[measured & (own == 0)]
    if variance.ndim == 1:
        return weight, exact
    some = np.flatnonzero(measured & (own > 0))
    value, vector = np.linalg.eigh(variance[np.ix_(some, some)] / np.outer(unit[some], unit[some]))
    across = np.zeros((len(some), len(own)))
    across[:, some] = vector.T
    certain = value <= ROUNDING
    weight[some] = (
        np.where(certain, 0.0, 1 / np.sqrt(np.where(certain, 1.0, value)))[:, None] * across
    )
    return weight, np.vstack([exact, across[certain]])
