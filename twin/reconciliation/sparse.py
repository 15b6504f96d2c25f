"""Least squares under the balances of a large network: sparse, so that a region takes a second.

Nothing is whitened beforehand. Test values need the inverse of the covariance of the residuals only
where that covariance has entries itself, for a stream meets its own nodes and no others.

References
----------
.. [1] Takahashi, Fagan, Chen: Formation of a sparse bus impedance matrix and its application to
   short circuit study, 8th PICA Conference, 1973, 63-69: the inverse on the pattern of the factor.
.. [2] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array, vstack

from twin.arrays import BOOL, F64, INTP
from twin.reconciliation.fronts import Factor, factorise, inverse_entries, weighted, whitened
from twin.reconciliation.least_squares import LOST, Plan, remaining_sigma
from twin.reconciliation.observability import NOTHING, ROUNDING, project_sparse

# A pivot below this share of its balance's own variance is not told from zero: if it is not zero,
# the singular values of a dense matrix tell how large it is.
DEPENDENT = 1e-8
# Below this one rounding asks for a second step towards the balances.
WELL_POSED = 1e-4
# Columns that are solved for at once.
PIECE = 256


@dataclass(frozen=True, slots=True)
class SparsePlan(Plan):
    """A plan by sparse matrices, for independent meters; K balances are left after projection."""

    factor: Factor  # of the covariance of the balances in units of their own uncertainty
    columns: Any  # (K, S) in these units
    combine: Any  # (K, M)

    def deviates(self, residual: F64) -> F64:
        """Return (n, K)."""
        return whitened(self.factor, self.combine @ residual.T).T

    def scores(self, deviate: F64) -> tuple[F64, F64]:
        """Return (n, S) and (n, M)."""
        force = weighted(self.factor, deviate.T).T
        return force @ self.columns, force @ self.combine

    def stream_effects(self, streams: INTP) -> F64:
        """Return (K, k)."""
        return whitened(self.factor, csc_array(self.columns)[:, streams].toarray())

    def leak_effects(self, nodes: INTP) -> F64:
        """Return (K, k)."""
        return whitened(self.factor, csc_array(self.combine)[:, nodes].toarray())


def sparse_plan(incidence: Any, variance: F64, measured: BOOL, balanced: BOOL) -> SparsePlan | None:
    """Factorise the balances for one pattern of missing values.

    Parameters
    ----------
    incidence : (M, S) csr_array of float64 [1]
    variance : (S,) float64 [u^2]
    measured : (S,) bool
    balanced : (M,) bool   the accumulation is known

    Returns
    -------
    SparsePlan or None
        as of `twin.reconciliation.least_squares.dense_plan`; None where uncertainties differ so
        much that only dense matrices keep enough digits
    """
    projection = project_sparse(incidence, measured, balanced)
    columns = projection.columns
    size = np.sqrt(_squares(columns) @ variance)
    certain = size <= ROUNDING**0.5 * (abs(columns) @ np.sqrt(variance))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=~certain)
    # Tests need all pairs of balances that a stream or a leak meets, certain or not.
    scaled, combine = (diags_array(scale) @ each for each in (columns, projection.combine))
    pairs = abs(scaled) @ abs(scaled).T + abs(combine) @ abs(combine).T
    gram = _with_pattern(scaled @ diags_array(variance) @ scaled.T, pairs)
    factor = factorise(gram, DEPENDENT)
    spare = _spare(factor, gram)
    own = np.sqrt(variance)
    uncertain = np.sqrt(_squares(spare @ scaled) @ variance)
    if (uncertain > NOTHING * np.sqrt(_squares(spare).sum(axis=1))).any():
        return None
    exact = np.where(scale > 0, scale, 1.0)
    impossible = csr_array(spare @ diags_array(exact) @ projection.combine)
    inverse = inverse_entries(factor)
    stream_size, leak_size = (_sizes(inverse, each) for each in (scaled, combine))
    # A leak of one node alone would contradict a combination that must be zero.
    leak_size[np.ravel(abs(impossible).sum(axis=0)) > 0] = 0
    present = csr_array(incidence @ diags_array(measured * 1.0))
    link = csr_array(projection.solve @ present)
    before, gained = variance.copy(), (variance * stream_size) ** 2
    before[projection.solved] = _squares(link) @ variance
    gained[projection.solved] = _gains(factor, scaled, csr_array(link @ diags_array(variance)))
    sigma = remaining_sigma(before, gained, LOST / factor.least)
    closed = balanced & (abs(incidence) @ ~measured == 0)
    return SparsePlan(
        incidence=incidence,
        measured=measured,
        balanced=balanced,
        projection=projection,
        dof=int((~factor.spare).sum()),
        impossible=impossible,
        delicate=factor.least < WELL_POSED,
        link=link,
        own=np.where(measured, own, np.nan),
        sigma=np.where(projection.observable, sigma, np.nan),
        node_sigma=np.where(closed, np.sqrt(_squares(present) @ variance), np.nan),
        size=stream_size,
        leak_size=leak_size,
        variance=variance,
        back=None,
        factor=factor,
        columns=scaled,
        combine=combine,
    )


def _with_pattern(matrix: Any, other: Any) -> Any:
    """Return a matrix with entries, of zero, where another one has some."""
    one, two = coo_array(matrix), coo_array(other)
    row, column = (np.concatenate([getattr(one, n), getattr(two, n)]) for n in ("row", "col"))
    values = np.concatenate([one.data, np.zeros(len(two.data))])
    return csr_array((values, (row, column)), shape=matrix.shape)


def _spare(factor: Factor, gram: Any) -> Any:
    """Return the combinations of balances, (Q, K), in which spare rows follow from the others."""
    rows = np.flatnonzero(factor.spare)
    parts = [csr_array((0, gram.shape[0]))]
    for piece in np.split(rows, range(PIECE, len(rows), PIECE)):
        follows = -weighted(factor, whitened(factor, gram[:, piece].toarray()))
        follows[piece, np.arange(len(piece))] = 1.0
        parts.append(csr_array(np.where(np.abs(follows) > NOTHING, follows, 0.0).T))
    return csr_array(vstack(parts))


def _squares(matrix: Any) -> Any:
    """Return the squares of the entries of a sparse matrix."""
    return matrix * matrix


def _sizes(inverse: Any, effect: Any) -> F64:
    """Return the roots of the diagonal of ``effect.T @ inverse @ effect`` [1]_."""
    square = np.ravel((effect * (inverse @ effect)).sum(axis=0))
    return np.asarray(np.sqrt(square.clip(min=0.0)))


def _gains(factor: Factor, columns: Any, link: Any) -> F64:
    """Return what the balances take from the variances of streams that follow from others [2]_."""
    gains = [np.zeros(0)]
    for first in range(0, link.shape[0], PIECE):
        effect = whitened(factor, (columns @ link[first : first + PIECE].T).toarray())
        gains.append((effect**2).sum(axis=0))
    return np.concatenate(gains)
