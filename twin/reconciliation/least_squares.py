"""Least squares under balances: factorised once for a pattern of missing values, solved for many.

The projected residuals are whitened: in the new coordinates they are independent with variance 1,
so that every statistic is a product of the same few columns.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapters 3,
   7 and 8.
.. [2] Mah, Tamhane: Detection of gross errors in process data, AIChE Journal 28, 1982, 828-830,
   doi:10.1002/aic.690280519.
.. [3] Narasimhan, Mah: Generalized likelihood ratio method for gross error identification, AIChE
   Journal 33, 1987, 1514-1521, doi:10.1002/aic.690330911.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from twin.arrays import BOOL, F64, INTP
from twin.reconciliation.observability import NOTHING, ROUNDING, Projection, project

# A Cholesky pivot below this share of its balance's own uncertainty calls for the slower SVD.
WELL_POSED = 1e-2
# A difference of two variances below this share of them is rounding.
LOST = 1e-14
# Uncertainties that differ by more have no common arithmetic; such values are no measurements.
EXTREME = 1e100
UNFIT = "covariance is not symmetric and positive semi-definite"
CONTRADICTORY = "balances between exactly known flows contradict each other"


@dataclass(frozen=True, slots=True)
class Plan:
    """Factorisation of one pattern of missing values; R degrees of freedom, [u] uom of flow.

    With variances of each time, (n, 1, S), what follows from them has a leading n as well.
    """

    incidence: Any  # (M, S)
    measured: BOOL  # (S,)
    balanced: BOOL  # (M,)
    projection: Projection
    dof: int  # R
    impossible: Any  # (Q, M) combinations of balances without uncertainty, which must be zero
    delicate: Any  # bool: rounding asks for a second step towards the balances
    link: Any  # (U, S) from the estimates to the unmeasured streams
    own: F64  # (S,) standard uncertainty of the measurement [u]
    sigma: F64  # (S,) of the estimate [u]
    node_sigma: F64  # (M,) of the residual [u]; NaN if a stream or the accumulation is missing
    # What a bias of 1 u of a stream, or a leak of 1 u of a node, makes of the deviates altogether:
    # exactly zero where it has no effect.
    size: F64  # (S,) [1/u]
    leak_size: F64  # (M,) [1/u]
    variance: F64  # (S,) of the measurements [u^2]
    # (R, S) [u] from the deviates to the adjustments where meters are correlated; None = it follows
    # from the scores and the variances.
    back: F64 | None

    def deviates(self, residual: F64) -> F64:
        """Return residuals (n, M) as independent deviates of variance 1, (n, R)."""
        raise NotImplementedError

    def scores(self, deviate: F64) -> tuple[F64, F64]:
        """Return the products with the effects of all streams (n, S) and leaks (n, M)."""
        raise NotImplementedError

    def stream_effects(self, streams: INTP) -> F64:
        """Return the effects on the deviates, (R, k), of some streams."""
        raise NotImplementedError

    def leak_effects(self, nodes: INTP) -> F64:
        """Return the effects on the deviates, (R, k), of leaks of some nodes."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DensePlan(Plan):
    """A plan by dense matrices, also for covariances and for variances of each time."""

    whiten: F64  # (R, M) from residuals to independent standard normal deviates
    effect: F64  # (R, S) of a bias of 1 u on these

    def deviates(self, residual: F64) -> F64:
        """Return (n, R)."""
        return _map(residual, np.swapaxes(self.whiten, -1, -2))

    def scores(self, deviate: F64) -> tuple[F64, F64]:
        """Return (n, S) and (n, M)."""
        return _map(deviate, self.effect), _map(deviate, self.whiten)

    def stream_effects(self, streams: INTP) -> F64:
        """Return (R, k)."""
        return self.effect[..., streams]

    def leak_effects(self, nodes: INTP) -> F64:
        """Return (R, k)."""
        return self.whiten[..., nodes]

    def of_time(self, time: int) -> DensePlan:
        """Return what a plan of variances of each time says of the effects at one of them."""
        return replace(self, whiten=self.whiten[time], effect=self.effect[time])


def missing(values: F64) -> BOOL:
    """Tell values that are no measurements.

    Parameters
    ----------
    values : (...) float64 [u]

    Returns
    -------
    (...) bool
        NaN, infinite or beyond 1e100; a comparison with NaN is false
    """
    return np.asarray(~(np.abs(values) < EXTREME))


def numbers(values: Any) -> F64:
    """Return values as float64, NaN for None and for what an array masks.

    Parameters
    ----------
    values : (...) of anything float takes [u]

    Returns
    -------
    (...) float64 [u]
    """
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    return np.asarray(values, dtype=np.float64)


def sigma_of_each(sigma: Any, count: int) -> F64:
    """Return the uncertainties of measurements as stated; a single one is that of each.

    Parameters
    ----------
    sigma : (...) float64 [u]
        as `variance_of` takes it, or one number
    count : int
        S

    Returns
    -------
    (S,) or (...) float64 [u]
    """
    stated = numbers(sigma)
    return np.full(count, stated) if stated.ndim == 0 else stated


def variance_of(sigma: F64, count: int) -> tuple[F64, BOOL, str]:
    """Return the variances or the covariance of measurements, and which of them are known.

    Parameters
    ----------
    sigma : (S,) float64 [u] or (S, S) float64 [u^2]
        standard uncertainty or covariance; NaN, infinite, negative or beyond 1e100 = not known
    count : int
        S

    Returns
    -------
    variance : (S,) or (S, S) float64 [u^2]   0 where not known
    known : (S,) bool
    problem : str                           empty, or why it is no covariance

    Raises
    ------
    ValueError
        it has another shape
    """
    if sigma.shape == (count,):
        return *variances(sigma), ""
    if sigma.shape != (count, count):
        raise ValueError(f"sigma must have shape ({count},) or ({count}, {count}), "
                         f"not {sigma.shape}")  # fmt: skip
    sound = ~missing(sigma)
    known = np.diag(sound) & (np.diag(sigma) >= 0)
    known = known & sound[:, known].all(axis=1) & sound[known].all(axis=0)
    some = known & ((np.diag(sigma) == 0) | (np.diag(sigma) > EXTREME**-2))
    covariance = np.where(np.outer(some, some), sigma, 0.0)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(*[np.where(scale > 0, scale, 1.0)] * 2)
    fit = np.allclose(correlation, correlation.T, rtol=0, atol=NOTHING)
    if not fit or np.linalg.eigvalsh(correlation).min(initial=0.0) < -NOTHING:
        return np.zeros(count), np.zeros(count, bool), UNFIT
    return (covariance + covariance.T) / 2, known, ""


def variances(sigma: F64) -> tuple[F64, BOOL]:
    """Return the variances of independent measurements, and which of them are known.

    Parameters
    ----------
    sigma : (...) float64 [u]   as of `variance_of`

    Returns
    -------
    variance : (...) float64 [u^2]   0 where not known
    known : (...) bool
    """
    known = ~missing(sigma) & (sigma >= 0)
    return np.where(known & (sigma > 1 / EXTREME), sigma, 0.0) ** 2, known


def dense_plan(incidence: F64, covariance: F64, measured: BOOL, balanced: BOOL) -> DensePlan:
    """Factorise the balances for one pattern of missing values.

    Parameters
    ----------
    incidence : (M, S) float64 [1]
    covariance : (S,), (S, S) or (n, 1, S) float64 [u^2]
        variances or covariance of the measurements, or variances of each time
    measured : (S,) bool
    balanced : (M,) bool   the accumulation is known

    Returns
    -------
    DensePlan
        everything that does not depend on the values; one serves all times with this pattern. With
        variances of each time the delicate ones, of shape (n,), have no usable plan.

    Notes
    -----
    Deviates of unit variance are made of the balances that are left after projection [1]_.
    """
    projection = project(incidence, measured, balanced)
    columns = projection.columns
    gram = _gram(columns, covariance)
    own = _own(covariance)
    size = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1).clip(min=0.0))
    certain = size <= ROUNDING**0.5 * (np.sqrt(own) @ np.abs(columns).T)
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=~certain)
    reduce, impossible, delicate = _whitened(columns, covariance, gram, scale)
    effect = _cleared(reduce @ columns, scale @ np.abs(columns))
    combine = projection.combine
    plain = combine.shape[0] == combine.shape[1] and (combine == np.eye(len(combine))).all()
    whiten = _cleared(reduce if plain else reduce @ combine, scale @ np.abs(combine))
    back = _times(effect, covariance)
    present = np.where(measured, incidence, 0.0)
    link = projection.solve @ present
    before, gained = own.copy(), (back**2).sum(axis=-2)
    before[..., projection.solved] = _quadratic(link, covariance)
    gained[..., projection.solved] = ((link @ np.swapaxes(back, -1, -2)) ** 2).sum(axis=-1)
    closed = balanced & (present == incidence).all(axis=1)
    impossible = impossible @ combine
    # A leak of one node alone would contradict a combination that must be zero.
    lone = ~(impossible != 0).any(axis=0)
    return DensePlan(
        incidence=incidence,
        measured=measured,
        balanced=balanced,
        projection=projection,
        dof=whiten.shape[-2],
        impossible=impossible,
        delicate=delicate,
        link=link,
        own=np.where(measured, np.sqrt(own), np.nan),
        sigma=np.where(projection.observable, remaining_sigma(before, gained), np.nan),
        node_sigma=np.where(closed, np.sqrt(_quadratic(present, covariance)), np.nan),
        size=np.linalg.norm(effect, axis=-2),
        leak_size=np.linalg.norm(whiten, axis=-2) * lone,
        variance=own,
        back=back if covariance.ndim == 2 else None,
        whiten=whiten,
        effect=effect,
    )


def remaining_sigma(before: F64, gained: F64, lost: float = LOST) -> F64:
    """Return the standard uncertainty that is left of a variance after a gain.

    Parameters
    ----------
    before, gained : (...) float64 [u^2]
    lost : float [1]
        a share of the variance that is rounding

    Returns
    -------
    (...) float64 [u]      what the balances fix exactly has no variance left but rounding
    """
    return np.sqrt(np.where(before - gained > lost * before, before - gained, 0.0))


def solve(plan: Plan, flow: F64, accumulation: F64) -> dict[str, Any]:
    """Return estimates and test values of the times that share a plan.

    Parameters
    ----------
    flow : (n, S) float64 [u]
    accumulation : (n, M) float64 [u]

    Returns
    -------
    dict
        arrays (n, ...) by their names in `twin.reconciliation.linear.Reconciliation`; NaN and a
        reason where there is no solution

    Notes
    -----
    With deviates w and the effect c_j of stream j on them, Σ⁻¹(flow - estimate) is c_j·w, and
    (c_j·w)² / c_j·c_j is the likelihood ratio of a bias of c_j·w / c_j·c_j [3]_. Its root is the
    measurement test [2]_ of uncorrelated meters. With a covariance the adjustment b_j·w has another
    standard deviation, norm(b_j). A leak of a node has an effect on the deviates just the same.
    """
    flow = flow if plan.measured.all() else np.where(plan.measured, flow, 0.0)
    booked = np.where(plan.balanced, accumulation, 0.0)
    residual = flow @ plan.incidence.T
    residual -= booked
    deviate = plan.deviates(residual)
    chi2 = np.einsum("nr,nr->n", deviate, deviate)
    score, leak_score = plan.scores(deviate)
    change = _changes(plan, deviate, score)
    bias, bias_test = _ratios(score, plan.size)
    adjustment = _standardised(plan, change, bias_test)
    estimate = np.subtract(flow, change, out=change)
    if np.any(plan.delicate):
        again = plan.deviates(estimate @ plan.incidence.T - booked)
        estimate -= _changes(plan, again, plan.scores(again)[0])
    solved = plan.projection.solved
    estimate[:, solved] = booked @ plan.projection.solve.T - estimate @ plan.link.T
    estimate[:, ~plan.projection.observable] = np.nan
    leak, leak_test = _ratios(leak_score, plan.leak_size)
    sigma = np.broadcast_to(plan.sigma, estimate.shape)
    unsolved = _contradictions(plan, flow, booked, residual)
    if unsolved.any():
        sigma = sigma.copy()
        for result in (estimate, sigma, adjustment, chi2, bias, bias_test, leak, leak_test):
            result[unsolved] = np.nan
    residual[np.broadcast_to(np.isnan(plan.node_sigma), residual.shape)] = np.nan
    certain = np.where(plan.node_sigma > 0, plan.node_sigma, np.nan)
    return {
        "estimate": estimate,
        "sigma": sigma,
        "adjustment": adjustment,
        "residual": residual,
        "chi2": chi2,
        "bias": bias,
        "bias_test": bias_test,
        "leak": leak,
        "leak_test": leak_test,
        "nodal": np.abs(residual) / certain,
        "reason": np.where(unsolved, CONTRADICTORY, "").astype(object),
    }


def _own(covariance: F64) -> F64:
    """Return the variances, (S,) or (n, S)."""
    if covariance.ndim == 3:
        return covariance[:, 0]
    return covariance if covariance.ndim == 1 else np.diag(covariance)


def _map(rows: F64, matrix: F64) -> F64:
    """Return rows (n, A) times a matrix (A, B), or each row times its own, (n, A, B)."""
    return np.asarray(rows @ matrix if matrix.ndim == 2 else (rows[:, None] @ matrix)[:, 0])


def _times(matrix: F64, covariance: F64) -> F64:
    """Return ``matrix @ covariance``."""
    return np.asarray(matrix @ covariance if covariance.ndim == 2 else matrix * covariance)


def _gram(columns: F64, covariance: F64) -> F64:
    """Return the covariance of the residuals, (K, K) or (n, K, K) [u^2]."""
    if covariance.ndim > 1:
        return np.asarray(_times(columns, covariance) @ columns.T)
    # A balance has few streams of many: what is zero is not multiplied.
    thin = csr_array(columns * np.sqrt(covariance))
    return np.asarray((thin @ thin.T).toarray())


def _quadratic(matrix: F64, covariance: F64) -> F64:
    """Return the variances of ``matrix @ measurements``."""
    return np.asarray(np.maximum((_times(matrix, covariance) * matrix).sum(axis=-1), 0.0))


def _cleared(effect: F64, bound: F64) -> F64:
    """Return the columns, exactly zero where they are but rounding of what they were made from."""
    small = np.linalg.norm(effect, axis=-2) <= NOTHING * bound
    return np.where(small[..., None, :], 0.0, effect)


def _ratios(score: F64, size: F64) -> tuple[F64, F64]:
    """Return the likeliest sizes and the test values |z|; NaN where there is no effect."""
    inverse = np.divide(1.0, size, out=np.full_like(size, np.nan), where=size > 0)
    test = np.abs(score)
    test *= inverse
    score *= inverse**2
    return score, test


def _changes(plan: Plan, deviate: F64, score: F64) -> F64:
    """Return the adjustments, (n, S) [u]."""
    return score * plan.variance if plan.back is None else deviate @ plan.back


def _standardised(plan: Plan, change: F64, test: F64) -> F64:
    """Return |adjustments| in their standard deviations; `test` where this is 0 over 0, or NaN."""
    if plan.back is None:
        return test
    sigma = np.linalg.norm(plan.back, axis=0)
    moves = (sigma > NOTHING * plan.own) & (plan.size > 0)
    return np.asarray(np.divide(np.abs(change), sigma, out=test.copy(), where=moves))


def _whitened(columns: F64, covariance: F64, gram: F64, scale: F64) -> tuple[F64, F64, Any]:
    """Return the whitening of K residuals, (R, K), combinations without variance, if delicate."""
    if covariance.ndim == 3:
        return _whitened_each(columns, covariance, scale)
    try:
        lower = np.linalg.cholesky(scale[:, None] * gram * scale)
    except np.linalg.LinAlgError:
        lower = np.zeros_like(gram)
    if np.diag(lower).min(initial=1.0) >= WELL_POSED:
        # Not by the triangular inverse of scipy: its threads and those of numpy would wait for
        # each other's processors.
        return np.linalg.inv(lower) * scale, np.zeros((0, len(gram))), False
    # Singular values of the root resolve digits that the Gram matrix, its square, has lost.
    root = columns * scale[:, None]
    if covariance.ndim == 1:
        root = root * np.sqrt(covariance)
    else:
        sigma = np.sqrt(np.diag(covariance))
        both = np.outer(sigma, sigma)
        value, vector = np.linalg.eigh(
            np.divide(covariance, both, np.zeros_like(both), where=both > 0)
        )
        root = (root * sigma) @ (vector * np.sqrt(np.where(value > ROUNDING, value, 0.0)))
    vectors, size, _ = np.linalg.svd(root, full_matrices=root.shape[0] > root.shape[1])
    rank = int((size > NOTHING * size.max(initial=0.0)).sum())
    exact = np.where(scale > 0, scale, 1.0)
    # What is but rounding here must not be all there is to a balance without streams.
    spare = np.where(np.abs(vectors[:, rank:]) > NOTHING, vectors[:, rank:], 0.0)
    return vectors[:, :rank].T * scale / size[:rank, None], spare.T * exact, True


def _whitened_each(columns: F64, covariance: F64, scale: F64) -> tuple[F64, F64, BOOL]:
    """Return the whitening of each time, (n, K, K), no combinations, and which are delicate."""
    size = columns.shape[0]
    delicate = np.ones(len(scale), bool)
    reduce = np.zeros((len(scale), size, size))
    if size <= columns.shape[1]:
        # Unlike a Cholesky factorisation this one has an answer for singular balances as well.
        root = np.swapaxes(columns * scale[..., None] * np.sqrt(covariance), -1, -2)
        upper = np.linalg.qr(root, mode="r")
        pivots = np.abs(np.diagonal(upper, axis1=-2, axis2=-1))
        delicate = pivots.min(axis=-1, initial=1.0) < WELL_POSED
        lower = np.swapaxes(upper[~delicate], -1, -2)
        reduce[~delicate] = np.linalg.inv(lower) * scale[~delicate, None]
    return reduce, np.zeros((0, size)), delicate


def _contradictions(plan: Plan, flow: F64, booked: F64, residual: F64) -> BOOL:
    """Return the times at which a combination without uncertainty is not zero, (n,)."""
    if not plan.impossible.shape[0]:
        return np.zeros(len(flow), bool)
    magnitude = np.abs(flow) @ abs(plan.incidence).T + np.abs(booked)
    violation = np.abs(residual @ plan.impossible.T)
    return np.asarray((violation > NOTHING * (magnitude @ abs(plan.impossible).T)).any(axis=1))
