"""Reconciliation: flows that close every balance, and the gross errors that keep them from it.

References
----------
.. [1] Narasimhan, Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000, chapters 3,
   7 and 8.
.. [2] Crowe, Garcia Campos, Hrymak: Reconciliation of process flow rates by matrix projection,
   part I, AIChE Journal 29, 1983, 881-888, doi:10.1002/aic.690290602.
.. [3] Mah, Tamhane: Detection of gross errors in process data, AIChE Journal 28, 1982, 828-830,
   doi:10.1002/aic.690280519: the test of greatest power, for any covariance.
.. [4] Narasimhan, Mah: Generalized likelihood ratio method for gross error identification, AIChE
   Journal 33, 1987, 1514-1521, doi:10.1002/aic.690330911.
.. [5] VDI 2048 Part 1: Control and quality improvement of process data and their uncertainties by
   means of correction calculation, 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.chisquare import quantile
from twin.observability import BOOL, F64, INT, NOTHING, Projection, project

# A Cholesky pivot below this share of its balance's own uncertainty calls for the slower SVD.
WELL_POSED = 1e-2
# Two test values closer than this are the same number, calculated in two ways.
TIE = 1e-6

UNFIT = "covariance is not symmetric and positive semi-definite"
CONTRADICTORY = "balances between exactly known flows contradict each other"
UNCHECKED = "no measured stream is redundant: there is nothing to check"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Estimates, and the tests of the measurements and balances they rest on.

    Shapes: S streams, M nodes, ``...`` times (the leading dimensions of the flow). What depends
    only on *which* values are missing is written ``(S,)``; it has the leading dimensions too,
    ``(..., S)``, if the pattern of missing values differs between times. The same holds for
    ``dof`` and the critical values: plain numbers with one pattern, ``(...)`` with several.
    [u] is the uom of the flow.
    """

    estimate: F64  # (..., S) [u] closes every balance; NaN where not observable
    sigma: F64  # (..., S) [u] standard uncertainty of the estimate; NaN where not observable
    adjustment: F64  # (..., S) [1] measurement test |z|; NaN where not redundant
    residual: F64  # (..., M) [u] in - out - accumulation; NaN if a stream of the node is missing
    chi2: F64  # (...) [1] global test; NaN where `reason` says that there is no solution
    dof: Any  # int: rank of the balances that are left after projection
    chi2_critical: Any  # float [1] quantile of chi2; 0 without degrees of freedom
    consistent: Any  # (...) bool: chi2 is not above its critical value
    observable: BOOL  # (S,) measured, or fixed by the balances
    redundant: BOOL  # (S,) measured, and observable without its own meter
    # Sets of streams that cannot be told apart, most suspect first: those with an adjustment above
    # its critical value, else the greatest. One list; with leading dimensions a list per time, in
    # C order. Empty where consistent.
    suspects: list[Any]
    # Likewise sets of nodes: those whose leak explains the residuals as well as the first suspect.
    leaks: list[Any]
    adjustment_critical: Any  # float [1] of the largest of all |z|, at Šidák's level; 0 if none
    bias: F64  # (..., S) [u] GLR size of an error of this meter alone; its GLR is adjustment squared
    leak: F64  # (..., M) [u] GLR size of a flow out of this node alone that no stream shows
    leak_test: F64  # (..., M) [1] square root of the leak's GLR: comparable with `adjustment`
    nodal: F64  # (..., M) [1] nodal test |residual| in its own standard deviations; NaN likewise
    detectable: F64  # (S,) [u] least bias whose |z| reaches the single-test limit; inf: not checkable
    adjustability: F64  # (S,) [1] 1 - sigma of estimate / sigma of meter; NaN where not measured
    reason: Any  # (...) str: why there is no solution or no check; empty when all is well


@dataclass(frozen=True, slots=True)
class Elimination:
    """What serial elimination arrived at."""

    result: Reconciliation  # without the removed measurements
    # The suspect sets that were removed, in order; one list, or one per time as in `suspects`.
    removed: list[Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that one pattern of missing values determines; R = degrees of freedom."""

    measured: BOOL
    projection: Projection
    whiten: F64  # (R, M) from residuals to independent standard normal deviates
    columns: F64  # (R, S) effect of a unit bias on these; zero where it has none
    impossible: F64  # (Q, M) combinations of balances that have no uncertainty, hence must be 0
    spread: F64  # (S,) or (S, S) covariance of the measurements
    sigma: F64  # (S,) of the estimate
    own: F64  # (S,) of the measurement
    node_sigma: F64  # (M,) of the residual; NaN if a stream of the node is missing
    problem: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Results of the times that share a plan, (n, ...)."""

    estimate: F64
    adjustment: F64
    residual: F64
    chi2: F64
    bias: F64
    leak: F64
    leak_test: F64
    nodal: F64
    critical: F64  # (n,) of chi2
    solved: BOOL


def reconcile(
    incidence: F64,
    flow: F64,
    sigma: F64,
    *,
    accumulation: F64 | None = None,
    confidence: float = 0.95,
) -> Reconciliation:
    """Least-squares flows that close every balance, with tests for gross errors.

    Parameters
    ----------
    incidence : (M, S) float64 [1]
        +1 where a stream enters a node, -1 where it leaves; any real coefficients (components)
    flow : (..., S) float64 [u]
        measured flows; not finite = not measured
    sigma : (S,) float64 [u] or (S, S) float64 [u^2]
        standard uncertainty (VDI 2048 half-widths are 1.96 times that [5]_), or covariance.
        0 = known exactly: never adjusted, but tested all the same. NaN, infinite or negative =
        nothing is known about the meter: its stream counts as not measured.
    accumulation : (..., M) float64 [u], optional
        rate of inventory, exact (an uncertain one is a stream); not finite = the balance of this
        node is not used. Default 0.
    confidence : float [1]
        of each test, 0 to 1

    Returns
    -------
    Reconciliation

    Raises
    ------
    ValueError
        shapes do not fit, the incidence is not finite, or confidence is not within 0 and 1

    Notes
    -----
    Minimises (flow - estimate)ᵀ Σ⁻¹ (flow - estimate) subject to incidence @ estimate =
    accumulation [1]_; unmeasured streams are projected out [2]_. The measurement test is the one
    of greatest power for a single error, |Σ⁻¹a|_j over its standard deviation with a = flow -
    estimate [3]_; for uncorrelated meters that is |a_j| over its own. Never raises on data: what
    has no solution is NaN, and `reason` says why.
    """
    incidence, flow, accumulation, lead = _aligned(incidence, flow, accumulation)
    spread, known, problem = _spread(np.asarray(sigma, dtype=np.float64), incidence.shape[1])
    missing = np.hstack([~np.isfinite(flow) | ~known, ~np.isfinite(accumulation)])
    patterns, group = _patterns(missing)
    plans = [_plan(incidence, spread, pattern, problem) for pattern in patterns]
    critical = [quantile(confidence, len(plan.whiten)) for plan in plans]
    # Šidák: each of k tests at the level that makes all of them right with `confidence`.
    tests = [int((plan.columns != 0).any(axis=0).sum()) for plan in plans]
    limit = [quantile(confidence ** (1 / k), 1) ** 0.5 if k else 0.0 for k in tests]
    rows: list[Any] = [slice(None)]
    if len(plans) > 1:
        rows = [np.flatnonzero(group == k) for k in range(len(plans))]
    parts = [
        _solve(plan, incidence, flow[at], accumulation[at], level)
        for plan, at, level in zip(plans, rows, critical, strict=True)
    ]
    whole = _gathered(parts, rows, len(flow))
    suspects: list[Any] = [[] for _ in flow]
    leaks: list[Any] = [[] for _ in flow]
    for plan, part, at, level in zip(plans, parts, rows, limit, strict=True):
        _accuse(plan, part, level, np.arange(len(flow))[at], suspects, leaks)

    def structure(values: list[Any]) -> Any:
        return values[0] if len(plans) == 1 else np.array(values)[group].reshape(
            *lead, *np.shape(values[0])
        )  # fmt: skip

    def timed(column: Any) -> Any:
        return column.reshape(*lead, *column.shape[1:])[()]

    sigmas = np.array([plan.sigma for plan in plans])
    reasons = np.array([plan.problem for plan in plans], dtype=object)[group]
    reasons[~whole.solved & (reasons != UNFIT)] = CONTRADICTORY
    single = float(quantile(confidence, 1) ** 0.5)
    return Reconciliation(
        estimate=timed(whole.estimate),
        sigma=timed(
            sigmas[group] if len(plans) > 1 else np.broadcast_to(sigmas, whole.estimate.shape)
        ),
        adjustment=timed(whole.adjustment),
        residual=timed(whole.residual),
        chi2=timed(whole.chi2),
        dof=structure([len(plan.whiten) for plan in plans]),
        chi2_critical=structure(critical),
        consistent=timed(whole.solved & (whole.chi2 <= whole.critical)),
        observable=structure([plan.projection.observable for plan in plans]),
        redundant=structure([plan.projection.redundant for plan in plans]),
        suspects=suspects if lead else suspects[0],
        leaks=leaks if lead else leaks[0],
        adjustment_critical=structure(limit),
        bias=timed(whole.bias),
        leak=timed(whole.leak),
        leak_test=timed(whole.leak_test),
        nodal=timed(whole.nodal),
        detectable=structure([_detectable(plan, single) for plan in plans]),
        adjustability=structure([_adjustability(plan) for plan in plans]),
        reason=timed(reasons),
    )


def eliminate(
    incidence: F64,
    flow: F64,
    sigma: F64,
    *,
    accumulation: F64 | None = None,
    confidence: float = 0.95,
    limit: int = 3,
) -> Elimination:
    """Remove the most suspect measurement of each time until it is consistent [1]_.

    Parameters
    ----------
    incidence, flow, sigma, accumulation, confidence
        as of `reconcile`
    limit : int
        at most so many measurements are removed at a time. The last degree of freedom is never
        spent: without it anything would be consistent.

    Returns
    -------
    Elimination
        of a suspect set the first stream is removed and stands for all of it: the others are not
        redundant then, and the estimates inside the set depend on that choice, those outside not
    """
    lead = np.shape(flow)[:-1]
    if accumulation is not None:
        lead = np.broadcast_shapes(lead, np.shape(accumulation)[:-1])
    left = np.array(np.broadcast_to(flow, lead + np.shape(flow)[-1:]), dtype=np.float64)
    times = left.reshape(-1, left.shape[-1])
    removed: list[Any] = [[] for _ in times]
    for round_ in range(limit + 1):
        result = reconcile(
            incidence, left, sigma, accumulation=accumulation, confidence=confidence
        )
        lists = result.suspects if lead else [result.suspects]
        dof = np.broadcast_to(result.dof, lead).reshape(-1)
        worst = [(t, sets[0]) for t, sets in enumerate(lists) if sets and dof[t] > 1]
        if round_ == limit or not worst:
            break
        for t, suspect in worst:
            times[t, min(suspect)] = np.nan
            removed[t].append(suspect)
    return Elimination(result, removed if lead else removed[0])


def _aligned(
    incidence: F64, flow: F64, accumulation: F64 | None
) -> tuple[F64, F64, F64, tuple[int, ...]]:
    """Return checked (M, S), (n, S), (n, M), and the leading dimensions behind n."""
    incidence = np.asarray(incidence, dtype=np.float64)
    flow = np.asarray(flow, dtype=np.float64)
    if incidence.ndim != 2 or not np.isfinite(incidence).all():
        raise ValueError(f"incidence must be a finite (M, S) matrix, not {incidence.shape}")
    nodes, streams = incidence.shape
    if flow.shape[-1:] != (streams,):
        raise ValueError(f"flow must have shape (..., {streams}), not {flow.shape}")
    booked = np.zeros(nodes) if accumulation is None else np.asarray(accumulation, np.float64)
    if booked.shape[-1:] != (nodes,):
        raise ValueError(f"accumulation must have shape (..., {nodes}), not {booked.shape}")
    lead = np.broadcast_shapes(flow.shape[:-1], booked.shape[:-1])
    n = int(np.prod(lead))
    return (
        incidence,
        np.broadcast_to(flow, (*lead, streams)).reshape(n, streams),
        np.broadcast_to(booked, (*lead, nodes)).reshape(n, nodes),
        lead,
    )


def _spread(sigma: F64, streams: int) -> tuple[F64, BOOL, str]:
    """Return variances (S,) or covariance (S, S), for which streams it is known, and a problem."""
    if sigma.shape == (streams,):
        known = np.isfinite(sigma) & (sigma >= 0)
        return np.where(known, sigma, 0.0) ** 2, known, ""
    if sigma.shape != (streams, streams):
        raise ValueError(f"sigma must have shape ({streams},) or ({streams}, {streams}), "
                         f"not {sigma.shape}")  # fmt: skip
    known = np.isfinite(np.diag(sigma)) & (np.diag(sigma) >= 0)
    known = known & np.isfinite(sigma[:, known]).all(axis=1) & np.isfinite(sigma[known]).all(axis=0)
    spread = np.where(np.outer(known, known), sigma, 0.0)
    scale = np.sqrt(np.diag(spread))
    correlation = spread / np.outer(*[np.where(scale > 0, scale, 1.0)] * 2)
    fit = np.allclose(correlation, correlation.T, rtol=0, atol=NOTHING)
    fit = fit and np.linalg.eigvalsh(correlation).min(initial=0.0) >= -NOTHING
    return (spread + spread.T) / 2, known, "" if fit else UNFIT


def _patterns(missing: BOOL) -> tuple[BOOL, INT]:
    """Return the distinct rows, at least one, and for each row which of them it is."""
    if not len(missing):
        missing = np.zeros((1, missing.shape[1]), bool)
        return missing, np.zeros(0, np.intp)
    if (missing == missing[0]).all():
        return missing[:1], np.zeros(len(missing), np.intp)
    packed, first, group = np.unique(
        np.packbits(missing, axis=1), axis=0, return_index=True, return_inverse=True
    )
    assert len(packed) == len(first)
    return missing[first], group.reshape(-1)


def _times(matrix: F64, spread: F64) -> F64:
    """Return ``matrix @ covariance``."""
    return np.asarray(matrix * spread if spread.ndim == 1 else matrix @ spread)


def _plan(incidence: F64, spread: F64, missing: BOOL, problem: str) -> _Plan:
    """Factorise the balances for one pattern of missing values."""
    streams = incidence.shape[1]
    measured = ~missing[:streams]
    projection = project(incidence, measured, ~missing[streams:])
    columns = projection.columns
    gram = _times(columns, spread) @ columns.T
    scale = np.sqrt(np.diag(gram))
    scale = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)
    whiten, impossible = _whitened(columns, spread, gram, scale)
    effect = whiten @ columns
    # A bias or leak seen only in what was left out has no effect but rounding.
    bound = scale @ np.abs(columns)
    effect[:, np.linalg.norm(effect, axis=0) <= NOTHING * bound] = 0
    back = _times(effect, spread)
    own = spread if spread.ndim == 1 else np.diag(spread)
    variance = own - (back**2).sum(axis=0)
    link = projection.solve @ np.where(measured, incidence, 0.0)
    variance[projection.solved] = (_times(link, spread) * link).sum(axis=1) - (
        (link @ back.T) ** 2
    ).sum(axis=1)
    present = np.where(measured, incidence, 0.0)
    node = np.sqrt((_times(present, spread) * present).sum(axis=1))
    node[(present != incidence).any(axis=1) | missing[streams:]] = np.nan
    if not problem and not len(whiten):
        problem = UNCHECKED
    return _Plan(
        measured=measured,
        projection=projection,
        whiten=whiten @ projection.combine,
        columns=effect,
        impossible=impossible @ projection.combine,
        spread=spread,
        sigma=np.where(projection.observable, np.sqrt(np.maximum(variance, 0.0)), np.nan),
        own=np.where(measured, np.sqrt(own), np.nan),
        node_sigma=node,
        problem=problem,
    )


def _whitened(columns: F64, spread: F64, gram: F64, scale: F64) -> tuple[F64, F64]:
    """Return (R, K) that makes K projected residuals independent, and what has no variance."""
    gram = gram * np.outer(scale, scale)
    nothing = np.zeros((0, len(gram)))
    try:
        lower = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        lower = np.zeros_like(gram)
    if np.diag(lower).min(initial=1.0) >= WELL_POSED:
        return np.linalg.inv(lower) * scale, nothing
    # Singular values of the root resolve what the Gram matrix, its square, has lost.
    root = columns * scale[:, None]
    if spread.ndim == 1:
        root = root * np.sqrt(spread)
    else:
        value, vector = np.linalg.eigh(spread)
        root = root @ (vector * np.sqrt(np.maximum(value, 0.0)))
    left, size, _ = np.linalg.svd(root, full_matrices=root.shape[0] > root.shape[1])
    rank = int((size > NOTHING * size.max(initial=0.0)).sum())
    exact = np.where(scale > 0, scale, 1.0)
    return left[:, :rank].T * scale / size[:rank, None], left[:, rank:].T * exact
