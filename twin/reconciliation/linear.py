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
.. [6] Royen: A simple proof of the Gaussian correlation conjecture extended to multivariate gamma
   distributions, Far East Journal of Theoretical Statistics 48, 2014, 139-145: that all of several
   tests stay silent is at least as probable as if they were independent.
.. [7] Bartholomew: A test of homogeneity of means under restricted alternatives, Journal of the
   Royal Statistical Society B 23, 1961, 239-281; conditional on the bounds that are reached.
.. [8] Júdice, Pires: A block principal pivoting algorithm for large-scale strictly monotone linear
   complementarity problems, Computers & Operations Research 21, 1994, 587-596,
   doi:10.1016/0305-0548(94)90106-6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import block_diag
from scipy.sparse import block_array, csr_array, eye_array, issparse, vstack

from twin.arrays import BOOL, F64, I8, INTP
from twin.reconciliation.bounds import has_room, reached_bounds
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.least_squares import (
    DensePlan,
    Plan,
    dense_plan,
    missing,
    numbers,
    sigma_of_each,
    solve,
    variance_of,
    variances,
)
from twin.reconciliation.observability import NOTHING
from twin.reconciliation.sparse import sparse_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Two test values closer than this are the same number, calculated in two ways.
TIE = 1e-6

# What a reconciliation says of each node.
LISTS = ("suspects", "leaks", "missing")
BY_NODE = ("residual", "leak", "leak_test", "nodal")
# The probability with which the test of a meter in error by the detectable size names it.
POWER = 0.9
# Ends of missing streams are looked for among so many nodes, and so many pairs are named.
CANDIDATES = 60
PAIRS = 5
# Pairs are tested for so many times at once: what that takes stays in the processor's cache.
TIMES = 16
# What of a structure follows from the uncertainties, and not from what is missing alone.
BY_UNCERTAINTY = ("adjustment_critical", "detectable", "adjustability")
# From so many nodes on a network is large: sparse matrices are faster than dense ones.
LARGE = 400
UNCHECKED = "no measured stream is redundant: there is nothing to check"
UNBOUNDED = "no flows within their bounds close the balances"
# So often the bounds that are reached are looked for anew in a large network.
PASSES = 100
# All that are wrong change at once until so many passes have left no fewer of them.
PATIENCE = 4
# A flow may miss a bound by this share of the greatest standard uncertainty while they are.
MISS = 1e-3


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
    # (..., S) [1] measurement test |z|: the adjustment in its standard deviations; NaN where not
    # redundant
    adjustment: F64
    residual: F64  # (..., M) [u] in - out - accumulation; NaN if a stream of the node is missing
    chi2: F64  # (...) [1] global test; NaN where `reason` says that there is no solution
    dof: Any  # int: rank of the balances that are left after projection
    chi2_critical: Any  # float [1] quantile of chi2 by itself; 0 without degrees of freedom
    # float [1] of chi2, and of every single `bias_test` and `leak_test`: where nothing is in error
    # the probability that one of all these tests is above its limit is at most 1 - confidence.
    chi2_limit: Any
    test_limit: Any
    consistent: Any  # (...) bool: none of all these tests is above its limit
    observable: BOOL  # (S,) measured, or fixed by the balances
    redundant: BOOL  # (S,) measured, and observable without its own meter
    # Sets of streams that cannot be told apart, most suspect first: those with a `bias_test` above
    # `test_limit`, else the greatest. One list; with leading dimensions a list per time, in C
    # order. Empty where consistent.
    suspects: list[Any]
    # Likewise sets of nodes: those whose leak explains the residuals as well as the first suspect.
    leaks: list[Any]
    # Likewise (from, to, flow [u]) of streams nobody knows of, between two nodes, that explain the
    # residuals better than any one meter or leak does, best first.
    missing: list[Any]
    adjustment_critical: Any  # float [1] of the largest of all |z|, at Šidák's level; 0 if none
    bias: F64  # (..., S) [u] GLR size of an error of this meter alone
    bias_test: F64  # (..., S) [1] square root of its GLR: `adjustment` where nothing is correlated
    leak: F64  # (..., M) [u] GLR size of a flow out of this node alone that no stream shows
    leak_test: F64  # (..., M) [1] square root of its GLR
    nodal: F64  # (..., M) [1] nodal test |residual| in its own standard deviations; NaN likewise
    detectable: F64  # (S,) [u] bias that is named with probability 0.9; inf = not checkable
    adjustability: F64  # (S,) [1] 1 - sigma of estimate / sigma of meter; NaN where not measured
    reason: Any  # (...) str: why there is no solution or no check; empty when all is well
    bounded: Any  # (..., S) int8: -1 where the estimate is at its lower bound, 1 at its upper one

    @property
    def test(self) -> F64:
        """The greatest test of a single meter or leak, (...) [1]; 0 where there is none."""
        parts = (self.bias_test, self.leak_test)
        greatest = [np.fmax.reduce(part, axis=-1, initial=0.0) for part in parts]
        return np.asarray(np.maximum(*greatest))


def reconcile(
    incidence: Any,
    flow: F64,
    sigma: F64 | float,
    *,
    accumulation: F64 | None = None,
    lower: F64 | float | None = None,
    upper: F64 | float | None = None,
    confidence: float = 0.95,
) -> Reconciliation:
    """Least-squares flows that close every balance, with tests for gross errors.

    Parameters
    ----------
    incidence : (M, S) float64 [1], or scipy.sparse
        +1 where a stream enters a node, -1 where it leaves; any real coefficients (components)
    flow : (..., S) float64 [u]
        measured flows; NaN, infinite or beyond 1e100 = not measured
    sigma : (S,) float64 [u], one for all, or (S, S) float64 [u^2]
        standard uncertainty (VDI 2048 half-widths are 1.96 times that [5]_), or covariance.
        0 = known exactly: never adjusted, but tested all the same. NaN, infinite, negative or
        beyond 1e100 = nothing is known about the meter: its stream counts as not measured.
    accumulation : (..., M) float64 [u], optional
        rate of inventory, exact (an uncertain one is a stream); NaN, infinite or beyond 1e100 =
        the balance of this node is not used. Default 0.
    lower, upper : (..., S) float64 [u], optional
        bounds of the flows; NaN or infinite = none
    confidence : float [1]
        of all tests of one time together, 0 to 1

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
    accumulation [1]_; unmeasured streams are projected out [2]_. With a = flow - estimate the
    measurement test is |a_j| over its standard deviation; the likelihood ratio [4]_ is that of
    (Σ⁻¹a)_j, of greatest power for a single error [3]_, and the same for uncorrelated meters. An
    error of one meter in a large network drowns in chi2 and shows in its own test; many small ones
    show in chi2 alone. So the level is halved between chi2 and the single tests, and no test waits
    for another one [6]_.

    A bound that the estimates reach counts as one more balance, known exactly: chi2 with one more
    degree of freedom then exceeds its limit no more often than without bounds, wherever between
    them the truth is [7]_. `sigma` stays that without bounds, which only bring estimates nearer to
    the truth. Never raises on data: what has no solution is NaN, and `reason` says why.
    """
    incidence, flow, booked, lead = _aligned(incidence, flow, accumulation)
    meters = variance_of(sigma_of_each(sigma, incidence.shape[1]), incidence.shape[1])
    result = _reconciled(incidence, flow, booked, meters, lead, confidence)
    bounds = _bounds(lower, upper, lead, flow.shape)
    return _bounded(result, incidence, flow, booked, meters, bounds, lead, confidence)


def reconcile_each(
    incidence: Any,
    flow: F64,
    sigma: F64,
    *,
    lower: F64 | float | None = None,
    confidence: float = 0.95,
) -> Reconciliation:
    """Reconcile times whose meters have other uncertainties each time, all in one pass.

    Parameters
    ----------
    incidence, flow, lower, confidence
        as of `reconcile`
    sigma : (..., S) float64 [u]
        standard uncertainty of each flow, as of `reconcile`

    Returns
    -------
    Reconciliation
        with the leading dimensions of the flow in every field

    Raises
    ------
    ValueError
        as of `reconcile`
    """
    incidence, flow, booked, lead = _aligned(incidence, flow, None)
    variance, known = variances(np.asarray(sigma, dtype=np.float64).reshape(flow.shape))
    meters = variance[:, None], known, ""
    result = _reconciled(incidence, flow, booked, meters, lead, confidence)
    bounds = _bounds(lower, None, lead, flow.shape)
    return _bounded(result, incidence, flow, booked, meters, bounds, lead, confidence)


def _reconciled(
    incidence: Any,
    flow: F64,
    booked: F64,
    meters: tuple[F64, BOOL, str],
    lead: tuple[int, ...],
    confidence: float,
) -> Reconciliation:
    """Reconcile (n, S) flows; the meters are what `variance_of` makes of their uncertainties."""
    variance, known, problem = meters
    patterns, group = _patterns(np.hstack([missing(flow) | ~known, missing(booked)]))
    suspects: list[Any] = [[] for _ in flow]
    leaks: list[Any] = [[] for _ in flow]
    unknown: list[Any] = [[] for _ in flow]
    solutions, structures, rows = [], [], []
    # A plan is large: each is dropped before the next one is made.
    for each, at in _plans(incidence, variance, patterns, group):
        structures.append(_structure(each, confidence))
        solution = solve(each, flow[at], booked[at])
        solution["consistent"] = _silent(solution, structures[-1])
        note = problem or ("" if each.dof else UNCHECKED)
        solution["reason"][solution["reason"] == ""] = note
        if problem:
            solution["chi2"][:], solution["consistent"][:] = np.nan, False
        level = structures[-1]["test_limit"]
        _accuse(each, solution, level, np.arange(len(flow))[at], suspects, leaks)
        _accuse_pairs(each, solution, confidence, np.arange(len(flow))[at], unknown)
        solutions.append(solution)
        rows.append(at)
    results: dict[str, Any] = solutions[0]
    shared = structures[0]
    if len(rows) > 1 or variance.ndim == 3:
        parts = [_rows(s) | solution for s, solution in zip(structures, solutions, strict=True)]
        results = {name: _scattered([p[name] for p in parts], rows, len(flow)) for name in parts[0]}
        shared = {}
    return Reconciliation(
        bounded=np.zeros((*lead, incidence.shape[1]), np.int8),
        suspects=suspects if lead else suspects[0],
        leaks=leaks if lead else leaks[0],
        missing=unknown if lead else unknown[0],
        **{name: values.reshape(lead + values.shape[1:])[()] for name, values in results.items()},
        **shared,
    )


def _bounds(
    lower: F64 | float | None,
    upper: F64 | float | None,
    lead: tuple[int, ...],
    shape: tuple[int, ...],
) -> tuple[F64, F64] | None:
    """Return lower and upper bounds, (n, S), infinite where there is none; None without any."""
    if lower is None and upper is None:
        return None
    given = [np.nan if each is None else np.asarray(each, np.float64) for each in (lower, upper)]
    low, high = (np.broadcast_to(each, (*lead, shape[-1])).reshape(shape) for each in given)
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _bounded(
    result: Reconciliation,
    incidence: Any,
    flow: F64,
    booked: F64,
    meters: tuple[F64, BOOL, str],
    bounds: tuple[F64, F64] | None,
    lead: tuple[int, ...],
    confidence: float,
) -> Reconciliation:
    """Return the reconciliation within bounds: those that are reached are balances as well."""
    if bounds is None:
        return result
    lower, upper = bounds
    balances = incidence, flow, booked
    estimate = result.estimate.reshape(flow.shape)
    slack = _slack(estimate, flow)
    beyond = (estimate < lower - slack) | (estimate > upper + slack)
    # What is not observable may be within its bounds and may not.
    hidden = np.isnan(estimate) & (np.isfinite(lower) | np.isfinite(upper))
    solved = np.isfinite(result.chi2).reshape(-1)
    reached, possible = np.zeros(flow.shape, np.int8), np.ones(len(flow), bool)
    at = np.flatnonzero(beyond.any(axis=1) & solved)
    reached[at], possible[at] = _settled_bounds(balances, bounds, estimate, meters, at, confidence)
    within = result
    if len(at):
        within = _at_bounds(balances, bounds, reached, meters, lead, confidence)
    possible[at] &= np.isfinite(within.chi2).reshape(-1)[at]
    final = within.estimate.reshape(flow.shape)
    for n in np.flatnonzero(hidden.any(axis=1) & possible & solved).tolist():
        used = np.flatnonzero(~missing(booked[n]))
        possible[n] = has_room(incidence[used], booked[n, used], final[n], lower[n], upper[n])
    doubtful = np.flatnonzero(~possible & solved).tolist()
    for n in doubtful:
        possible[n] = not issparse(incidence) and _weighted_bounds(
            balances, bounds, reached, meters, n
        )
        reached[n] *= possible[n]
    if doubtful:
        within = _at_bounds(balances, bounds, reached, meters, lead, confidence)
    if reached.any():
        nodes = incidence.shape[0]
        parts = {name: getattr(within, name)[..., :nodes] for name in BY_NODE}
        leaks = _of_nodes(within.leaks if lead else [within.leaks], nodes)
        unknown = [[pair for pair in pairs if max(pair[:2]) < nodes]
                   for pairs in (within.missing if lead else [within.missing])]  # fmt: skip
        result = replace(
            within,
            **parts,
            sigma=result.sigma,
            leaks=leaks if lead else leaks[0],
            missing=unknown if lead else unknown[0],
        )
    estimate = result.estimate.reshape(flow.shape)
    # Of two bounds that are the same the lower one is named.
    at = np.where(estimate <= lower + slack, -1, np.where(estimate >= upper - slack, 1, 0))
    estimate = np.where(at < 0, lower, np.where(at > 0, upper, estimate))
    result = replace(
        result,
        estimate=estimate.reshape(result.estimate.shape),
        bounded=at.astype(np.int8).reshape(result.estimate.shape),
    )
    return result if possible.all() else withdraw(result, possible.reshape(lead), UNBOUNDED)


def _at_bounds(
    balances: tuple[Any, F64, F64],
    bounds: tuple[F64, F64],
    reached: I8,
    meters: tuple[F64, BOOL, str],
    lead: tuple[int, ...],
    confidence: float,
) -> Reconciliation:
    """Reconcile with the bounds that are reached as M + S balances: incidence, flow, booked."""
    incidence, flow, booked = balances
    unit = eye_array(flow.shape[1])
    rows = csr_array(vstack([incidence, unit])) if issparse(incidence) else np.vstack(
        [incidence, unit.toarray()])  # fmt: skip
    value = np.where(reached < 0, bounds[0], np.where(reached > 0, bounds[1], np.nan))
    return _reconciled(rows, flow, np.hstack([booked, value]), meters, lead, confidence)


def _slack(estimate: F64, flow: F64) -> F64:
    """Return by how much estimates (n, S) may pass their bounds by rounding, (n, 1)."""
    size = np.maximum(np.abs(np.nan_to_num(estimate)), np.where(missing(flow), 0.0, np.abs(flow)))
    return np.asarray(NOTHING * size.max(axis=1, initial=0.0)[:, None])


def _weighted_bounds(
    balances: tuple[Any, F64, F64],
    bounds: tuple[F64, F64],
    reached: I8,
    meters: tuple[F64, BOOL, str],
    n: int,
) -> bool:
    """Put the bounds that the flows of a time reach into a row of `reached`; tell if there are."""
    incidence, flow, booked = balances
    variance, known, _ = meters
    used, measured = ~missing(booked[n]), ~missing(flow[n]) & np.broadcast_to(known, flow.shape)[n]
    own = variance[n, 0] if variance.ndim == 3 else variance
    rows = incidence[used], booked[n, used], flow[n], own, measured
    bound = reached_bounds(*rows, bounds[0][n], bounds[1][n])
    reached[n] = 0 if bound is None else bound
    return bound is not None


def _settled_bounds(
    balances: tuple[Any, F64, F64],
    bounds: tuple[F64, F64],
    estimate: F64,
    meters: tuple[F64, BOOL, str],
    at: INTP,
    confidence: float,
) -> tuple[I8, BOOL]:
    """Return the bounds that the flows of some times reach, (n, S), and (n,) if they settle.

    Block principal pivoting [8]_: bounds that are passed are reached, and those that pull the wrong
    way are left again, all at once while that leaves fewer and fewer of them, else the last one.
    On the way a flow may miss the bound it reaches by next to nothing, so that bounds which
    contradict each other have a solution, whose pull tells which of them to leave.
    """
    incidence = balances[0]
    flow, booked, lower, upper, estimate = (e[at] for e in (*balances[1:], *bounds, estimate))
    times, streams = flow.shape
    unit = eye_array(streams)
    rows = csr_array(block_array([[incidence, None], [unit, unit]]))
    rows = rows if issparse(incidence) else rows.toarray()
    variance, known, problem = _with_slack(meters, flow.shape, at)
    slack = _slack(estimate, flow)
    reached, pull = np.zeros(flow.shape, np.int8), np.zeros(flow.shape)
    fewest, patience = np.full(times, streams + 1), np.full(times, PATIENCE)
    wrong = np.zeros(flow.shape, bool)
    for _ in range(PASSES if times else 0):
        beyond = (estimate > upper + slack) * 1 - (estimate < lower - slack) * 1
        wrong = np.where(reached == 0, beyond != 0, reached * pull < 0)
        count = wrong.sum(axis=1)
        at = np.flatnonzero(count)
        if not len(at):
            break
        patience = np.where(count < fewest, PATIENCE, patience - 1)
        fewest = np.minimum(fewest, count)
        last = np.arange(streams) == (streams - 1 - wrong[:, ::-1].argmax(axis=1))[:, None]
        change = wrong & ((patience > 0)[:, None] | last)
        reached = np.where(change, np.where(reached == 0, beyond, 0), reached).astype(np.int8)
        bound = np.where(reached < 0, lower, np.where(reached > 0, upper, np.nan))[at]
        within = _reconciled(
            rows,
            np.hstack([flow[at], np.zeros(bound.shape)]),
            np.hstack([booked[at], bound]),
            (variance[at] if variance.ndim == 3 else variance, known[at], problem),
            (len(at),),
            confidence,
        )
        estimate[at] = within.estimate[:, :streams]
        pull[at] = np.nan_to_num(within.leak[:, incidence.shape[0] :])
    settled = np.asarray(~wrong.any(axis=1) & (lower <= upper).all(axis=1))
    return np.where(settled[:, None], reached, 0).astype(np.int8), settled


def _with_slack(
    meters: tuple[F64, BOOL, str], shape: tuple[int, ...], at: INTP
) -> tuple[F64, BOOL, str]:
    """Return the meters of some times, followed by S of next to nothing, which say zero."""
    variance, known, problem = meters
    known = known[at] if known.ndim == 2 else np.broadcast_to(known, shape)
    both = np.concatenate([known, np.ones(shape, bool)], axis=1)
    variance = variance[at] if variance.ndim == 3 else variance
    own = np.diagonal(variance) if variance.ndim == 2 else variance
    greatest = own.max(axis=-1, keepdims=True, initial=0.0)
    miss = np.broadcast_to(MISS**2 * np.where(greatest > 0, greatest, 1.0), own.shape)
    if variance.ndim == 2:
        return block_diag(variance, np.diag(miss)), both, problem
    return np.concatenate([variance, miss], axis=-1), both, problem


def _of_nodes(leaks: list[Any], nodes: int) -> list[Any]:
    """Return the leaks of each time without those of bounds."""
    return [
        [kept for each in sets if (kept := {node for node in each if node < nodes})]
        for sets in leaks
    ]


def withdraw(result: Reconciliation, solved: BOOL, why: str) -> Reconciliation:
    """Return a result without the numbers of times that have no solution.

    Parameters
    ----------
    result : Reconciliation
    solved : (...) bool
    why : str
        the reason where there is none yet

    Returns
    -------
    Reconciliation
    """
    names = ("estimate", "sigma", "adjustment", "bias", "bias_test", "leak", "leak_test", "nodal")
    numbers: dict[str, Any] = {
        name: np.where(np.expand_dims(solved, -1), getattr(result, name), np.nan) for name in names
    }
    reason = np.asarray(result.reason, dtype=object)
    mute = ~solved & ((reason == "") | (reason == UNCHECKED))
    lists: dict[str, Any] = {
        name: [one if fine else [] for one, fine in zip(sets, solved.reshape(-1), strict=True)]
        if solved.ndim
        else []
        for name in LISTS
        for sets in (getattr(result, name),)
    }
    return replace(
        result,
        **numbers,
        **lists,
        chi2=np.where(solved, result.chi2, np.nan)[()],
        consistent=np.asarray(result.consistent & solved)[()],
        reason=np.where(mute, why, reason)[()],
    )


def _aligned(
    incidence: Any, flow: F64, accumulation: F64 | None
) -> tuple[Any, F64, F64, tuple[int, ...]]:
    """Return checked (M, S), sparse if large, (n, S), (n, M), and the leading dimensions of n."""
    if issparse(incidence):
        incidence = csr_array(incidence, dtype=np.float64)
        finite = np.isfinite(incidence.data).all()
        incidence = incidence if incidence.shape[0] >= LARGE else incidence.toarray()
    else:
        incidence = np.asarray(incidence, dtype=np.float64)
        finite = incidence.ndim == 2 and np.isfinite(incidence).all()
        incidence = csr_array(incidence) if finite and len(incidence) >= LARGE else incidence
    flow = numbers(flow)
    if not finite:
        raise ValueError(f"incidence must be a finite (M, S) matrix, not {incidence.shape}")
    nodes, streams = incidence.shape
    if flow.shape[-1:] != (streams,):
        raise ValueError(f"flow must have shape (..., {streams}), not {flow.shape}")
    booked = np.zeros(nodes) if accumulation is None else numbers(accumulation)
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


def _patterns(absent: BOOL) -> tuple[BOOL, INTP]:
    """Return the distinct rows, at least one, and for each row which of them it is."""
    if not len(absent):
        absent = np.zeros((1, absent.shape[1]), bool)
        return absent, np.zeros(0, np.intp)
    if (absent == absent[0]).all():
        return absent[:1], np.zeros(len(absent), np.intp)
    _, first, group = np.unique(
        np.packbits(absent, axis=1), axis=0, return_index=True, return_inverse=True
    )
    return absent[first], group.reshape(-1)


def _plans(
    incidence: Any, variance: F64, patterns: BOOL, group: INTP
) -> Iterator[tuple[Plan, Any]]:
    """Yield plans and the times each is for: one for a pattern, and for each delicate time."""
    for number, pattern in enumerate(patterns):
        absent, adrift = np.split(pattern, [incidence.shape[1]])
        at = np.flatnonzero(group == number)
        if variance.ndim < 3:
            each = _plan(incidence, variance, ~absent, ~adrift)
            yield each, slice(None) if len(patterns) == 1 else at
            continue
        alone = at
        if not issparse(incidence) or not len(at):
            incidence = incidence.toarray() if issparse(incidence) else incidence
            together = dense_plan(incidence, variance[at], ~absent, ~adrift)
            fine, alone = at[~together.delicate], at[together.delicate]
            if len(alone):
                together = dense_plan(incidence, variance[fine], ~absent, ~adrift)
            yield together, fine
        for time in alone.tolist():
            yield _plan(incidence, variance[time, 0], ~absent, ~adrift), [time]


def _plan(incidence: Any, variance: F64, measured: BOOL, balanced: BOOL) -> Plan:
    """Return the plan of a pattern: sparse for a large network, if its numbers allow it."""
    if not issparse(incidence):
        return dense_plan(incidence, variance, measured, balanced)
    each = sparse_plan(incidence, variance, measured, balanced) if variance.ndim == 1 else None
    return each or dense_plan(incidence.toarray(), variance, measured, balanced)


def _structure(each: Plan, confidence: float) -> dict[str, Any]:
    """Return the results that depend on the pattern of missing values and the meters only."""
    tests, dof, size = (each.size > 0).sum(axis=-1), each.dof, each.size
    chi2_critical = quantile(confidence, dof)
    # Half of the level for chi2, half for all single tests together.
    chi2_limit = quantile(confidence**0.5, dof)
    test_limit = _level(_directions(each), confidence**0.5)
    # A normal test value is above its limit with this probability where it expects so much.
    named = test_limit + quantile(2 * POWER - 1, 1) ** 0.5
    least = np.divide(named, size, out=np.full_like(size, np.inf), where=size > 0)
    share = np.divide(each.sigma, each.own, out=np.ones_like(each.own), where=each.own > 0)
    return {
        "dof": dof,
        "chi2_critical": chi2_critical,
        "chi2_limit": chi2_limit,
        "test_limit": test_limit,
        "observable": each.projection.observable,
        "redundant": each.projection.redundant,
        "adjustment_critical": _level(tests, confidence),
        "detectable": np.where(each.measured, least, np.nan),
        "adjustability": np.where(each.measured, 1 - share, np.nan),
    }


def _rows(structure: dict[str, Any]) -> dict[str, Any]:
    """Return a structure with times as leading dimension: one, where it is the same for all."""
    each = np.ndim(structure["adjustment_critical"]) > 0
    return {
        name: value if each and name in BY_UNCERTAINTY else np.asarray(value)[None]
        for name, value in structure.items()
    }


def _scattered(parts: list[Any], rows: list[Any], n: int) -> Any:
    """Return the rows of all parts in the order of time; one row may stand for all of a part."""
    whole = np.empty((n, *parts[0].shape[1:]), parts[0].dtype)
    for part, at in zip(parts, rows, strict=True):
        whole[at] = part
    return whole


def _directions(each: Plan) -> int:
    """Return the number of different tests: parallel effects, of streams or nodes, have one."""
    marks = []
    for effect in (each.projection.columns, each.projection.combine):
        size = np.sqrt((effect * effect).sum(axis=0))
        # No two effects that differ have the same product with this vector but by rare chance.
        product = np.cos(np.arange(1.0, effect.shape[0] + 1)) @ effect
        marks.append(np.abs(product[size > 0]) / size[size > 0])
    apart = np.diff(np.sort(np.concatenate(marks))) > NOTHING
    return int(apart.sum()) + 1 if effect.shape[0] else 0


def _silent(solution: dict[str, Any], structure: dict[str, Any]) -> BOOL:
    """Return whether no test is above its limit, (n,); false without a solution."""
    silent = solution["chi2"] <= structure["chi2_limit"]
    for tests in (solution["bias_test"], solution["leak_test"]):
        silent &= ~(tests > structure["test_limit"]).any(axis=1)
    return np.asarray(silent)


def _level(tests: Any, confidence: float) -> Any:
    """Return Šidák's critical value of the greatest of some tests, a number or (n,)."""
    levels = [quantile(confidence ** (1 / k), 1) ** 0.5 if k else 0.0 for k in np.ravel(tests)]
    return np.array(levels) if np.ndim(tests) else levels[0]


def _accuse(
    each: Plan,
    solution: dict[str, Any],
    level: Any,
    times: INTP,
    suspects: list[Any],
    leaks: list[Any],
) -> None:
    """Put the suspect sets of inconsistent times into the lists."""
    bad = np.flatnonzero(~solution["consistent"] & np.isfinite(solution["chi2"]))
    if not len(bad):
        return
    meters = np.nan_to_num(solution["bias_test"][bad])
    nodes = np.nan_to_num(solution["leak_test"][bad])
    best = meters.max(axis=1) * (1 - TIE)
    level = level[bad] if np.ndim(level) else level
    for lists, tests, floor, of in (
        (suspects, meters, np.minimum(best, level), "stream_effects"),
        (leaks, nodes, best, "leak_effects"),
    ):
        if isinstance(each, DensePlan) and each.effect.ndim == 3:
            sets = [
                _sets(tests[[n]], floor[[n]], getattr(each.of_time(time), of))[0]
                for n, time in enumerate(bad.tolist())
            ]
        else:
            sets = _sets(tests, floor, getattr(each, of))
        for time, some in zip(times[bad], sets, strict=True):
            lists[time] = some


def _accuse_pairs(
    each: Plan, solution: dict[str, Any], confidence: float, times: INTP, unknown: list[Any]
) -> None:
    """Put the streams that nobody knows of, at inconsistent times, into the lists.

    A stream between two nodes is a leak of the first, and one the other way at the second.
    """
    nodes = int((each.leak_size > 0).any(axis=tuple(range(each.leak_size.ndim - 1))).sum())
    level = _level(nodes * (nodes - 1) // 2, confidence**0.5)
    bad = np.flatnonzero(~solution["consistent"] & np.isfinite(solution["chi2"]))
    tests, meters = (np.nan_to_num(solution[name][bad]) for name in ("leak_test", "bias_test"))
    single = np.maximum(meters.max(axis=1, initial=0.0), tests.max(axis=1, initial=0.0))
    limit = np.maximum(single * (1 + TIE), level)
    # The ends of the best pair are leaks of some test value each.
    count = min(CANDIDATES, tests.shape[1])
    some = np.sort(np.argpartition(-tests, count - 1, axis=1)[:, :count], axis=1)
    leak = np.where(np.take_along_axis(tests, some, 1) > 0,
                    np.take_along_axis(solution["leak"][bad], some, 1), np.nan)  # fmt: skip
    products = _leak_products(each, bad, some)
    for first in range(0, len(bad), TIMES):
        at = slice(first, first + TIMES)
        own, weight = products(at)
        score = leak[at] * own
        test = (score[:, :, None] - score[:, None]) * weight
        beyond = test > limit[at, None, None]
        for n in np.flatnonzero(beyond.any(axis=(1, 2))).tolist():
            pairs = np.argwhere(beyond[n])
            order = np.argsort(-test[n][tuple(pairs.T)], kind="stable")
            nodes, flow = some[first + n], test[n] * weight[n]
            unknown[times[bad[first + n]]] = [
                (int(nodes[i]), int(nodes[j]), float(flow[i, j]))
                for i, j in pairs[order][:PAIRS].tolist()
            ]


def _leak_products(each: Plan, times: INTP, nodes: INTP) -> Callable[[slice], tuple[F64, F64]]:
    """Return what gives, for a slice of (n, K) nodes, (n, K) and (n, K, K) by their effects.

    The first is the square of the size of each effect, the second the inverse of the size of each
    difference of two effects, 0 where there is none.
    """
    if isinstance(each, DensePlan) and each.effect.ndim == 3:
        whiten = each.whiten

        def products(at: slice) -> tuple[F64, F64]:
            effect = np.take_along_axis(whiten[times[at]], nodes[at, None], axis=2)
            return _inverse_sizes(np.swapaxes(effect, 1, 2) @ effect)

        return products
    named, which = np.unique(nodes, return_inverse=True)
    which = which.reshape(nodes.shape)
    effect = each.leak_effects(named)
    own, weight = _inverse_sizes(effect.T @ effect)
    return lambda at: (own[which[at]], weight[which[at, :, None], which[at, None]])


def _inverse_sizes(gram: F64) -> tuple[F64, F64]:
    """Return the diagonal of products (..., K, K), and the inverse sizes of differences."""
    own = np.diagonal(gram, axis1=-2, axis2=-1)
    both = own[..., :, None] + own[..., None, :]
    square = both - 2 * gram
    apart = square > NOTHING * both
    return own, np.where(apart, 1 / np.sqrt(np.where(apart, square, 1.0)), 0.0)


def _sets(tests: F64, floor: F64, effects: Callable[[INTP], F64]) -> list[list[set[int]]]:
    """Return for each row what reaches its floor, greatest first, parallel effects together."""
    named = np.flatnonzero((tests >= floor[:, None]).any(axis=0))
    tests, unit = tests[:, named], effects(named)
    unit = unit / np.linalg.norm(unit, axis=0)
    same = np.abs(unit.T @ unit) > 1 - NOTHING
    first, name = (same.argmax(axis=0) if len(named) else named).tolist(), named.tolist()
    result = []
    for row, least in zip(tests, floor, strict=True):
        sets: dict[int, set[int]] = {}
        beyond = np.flatnonzero(row >= least)
        for k in beyond[np.argsort(-row[beyond], kind="stable")].tolist():
            sets.setdefault(first[k], set()).add(name[k])
        result.append(list(sets.values()))
    return result
