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

from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.arrays import BOOL, F64, INTP
from twin.reconciliation.chi_square import quantile
from twin.reconciliation.least_squares import Plan, missing, plan, solve, variance_of
from twin.reconciliation.observability import NOTHING

# Two test values closer than this are the same number, calculated in two ways.
TIE = 1e-6

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
    # (..., S) [1] measurement test |z|: the adjustment in its standard deviations; NaN where not
    # redundant
    adjustment: F64
    residual: F64  # (..., M) [u] in - out - accumulation; NaN if a stream of the node is missing
    chi2: F64  # (...) [1] global test; NaN where `reason` says that there is no solution
    dof: Any  # int: rank of the balances that are left after projection
    chi2_critical: Any  # float [1] quantile of chi2; 0 without degrees of freedom
    consistent: Any  # (...) bool: chi2 is not above its critical value
    observable: BOOL  # (S,) measured, or fixed by the balances
    redundant: BOOL  # (S,) measured, and observable without its own meter
    # Sets of streams that cannot be told apart, most suspect first: those with a `bias_test` above
    # its critical value, else the greatest. One list; with leading dimensions a list per time, in
    # C order. Empty where consistent.
    suspects: list[Any]
    # Likewise sets of nodes: those whose leak explains the residuals as well as the first suspect.
    leaks: list[Any]
    adjustment_critical: Any  # float [1] of the largest of all |z|, at Šidák's level; 0 if none
    bias: F64  # (..., S) [u] GLR size of an error of this meter alone
    bias_test: F64  # (..., S) [1] square root of its GLR: `adjustment` where nothing is correlated
    leak: F64  # (..., M) [u] GLR size of a flow out of this node alone that no stream shows
    leak_test: F64  # (..., M) [1] square root of its GLR
    nodal: F64  # (..., M) [1] nodal test |residual| in its own standard deviations; NaN likewise
    detectable: F64  # (S,) [u] least bias that a single test shows; inf = not checkable
    adjustability: F64  # (S,) [1] 1 - sigma of estimate / sigma of meter; NaN where not measured
    reason: Any  # (...) str: why there is no solution or no check; empty when all is well


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
        measured flows; NaN, infinite or beyond 1e100 = not measured
    sigma : (S,) float64 [u] or (S, S) float64 [u^2]
        standard uncertainty (VDI 2048 half-widths are 1.96 times that [5]_), or covariance.
        0 = known exactly: never adjusted, but tested all the same. NaN, infinite, negative or
        beyond 1e100 = nothing is known about the meter: its stream counts as not measured.
    accumulation : (..., M) float64 [u], optional
        rate of inventory, exact (an uncertain one is a stream); NaN, infinite or beyond 1e100 =
        the balance of this node is not used. Default 0.
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
    accumulation [1]_; unmeasured streams are projected out [2]_. With a = flow - estimate the
    measurement test is |a_j| over its standard deviation; the likelihood ratio [4]_ is that of
    (Σ⁻¹a)_j, of greatest power for a single error [3]_, and the same for uncorrelated meters. Never
    raises on data: what has no solution is NaN, and `reason` says why.
    """
    incidence, flow, booked, lead = _aligned(incidence, flow, accumulation)
    variance, known, problem = variance_of(np.asarray(sigma, dtype=np.float64), incidence.shape[1])
    patterns, group = _patterns(np.hstack([missing(flow) | ~known, missing(booked)]))
    suspects: list[Any] = [[] for _ in flow]
    leaks: list[Any] = [[] for _ in flow]
    solutions, structures, rows = [], [], []
    # A plan is large: each is dropped before the next one is made.
    for number, pattern in enumerate(patterns):
        absent, adrift = np.split(pattern, [incidence.shape[1]])
        each = plan(incidence, variance, ~absent, ~adrift)
        at: Any = slice(None) if len(patterns) == 1 else np.flatnonzero(group == number)
        structures.append(_structure(each, confidence))
        solution = solve(each, flow[at], booked[at], structures[-1]["chi2_critical"])
        note = problem or ("" if len(each.whiten) else UNCHECKED)
        solution["reason"][solution["reason"] == ""] = note
        if problem:
            solution["chi2"][:], solution["consistent"][:] = np.nan, False
        level = structures[-1]["adjustment_critical"]
        _accuse(each, solution, level, np.arange(len(flow))[at], suspects, leaks)
        solutions.append(solution)
        rows.append(at)
    results: dict[str, Any] = {
        name: _scattered([s[name] for s in solutions], rows, len(flow)) for name in solutions[0]
    }
    shared = structures[0]
    if len(patterns) > 1:
        results |= {name: np.array([s[name] for s in structures])[group] for name in shared}
        shared = {}
    return Reconciliation(
        suspects=suspects if lead else suspects[0],
        leaks=leaks if lead else leaks[0],
        **{name: values.reshape(lead + values.shape[1:])[()] for name, values in results.items()},
        **shared,
    )


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


def _structure(each: Plan, confidence: float) -> dict[str, Any]:
    """Return the results that depend on the pattern of missing values only."""
    # Šidák: each of k tests at the level that keeps all of them silent with `confidence`.
    tests = int((each.effect != 0).any(axis=0).sum())
    size = np.linalg.norm(each.effect, axis=0)
    limit = quantile(confidence, 1) ** 0.5
    least = np.divide(limit, size, out=np.full_like(size, np.inf), where=size > 0)
    share = np.divide(each.sigma, each.own, out=np.ones_like(each.own), where=each.own > 0)
    return {
        "dof": len(each.whiten),
        "chi2_critical": quantile(confidence, len(each.whiten)),
        "observable": each.projection.observable,
        "redundant": each.projection.redundant,
        "adjustment_critical": quantile(confidence ** (1 / tests), 1) ** 0.5 if tests else 0.0,
        "detectable": np.where(each.measured, least, np.nan),
        "adjustability": np.where(each.measured, 1 - share, np.nan),
    }


def _scattered(parts: list[Any], rows: list[Any], n: int) -> Any:
    """Return the rows of all parts in the order of time."""
    if len(parts) == 1:
        return parts[0]
    whole = np.empty((n, *parts[0].shape[1:]), parts[0].dtype)
    for part, at in zip(parts, rows, strict=True):
        whole[at] = part
    return whole


def _accuse(
    each: Plan,
    solution: dict[str, Any],
    level: float,
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
    for lists, tests, floor, effect in (
        (suspects, meters, np.minimum(best, level), each.effect),
        (leaks, nodes, best, each.whiten),
    ):
        for time, sets in zip(times[bad], _sets(tests, floor, effect), strict=True):
            lists[time] = sets


def _sets(tests: F64, floor: F64, effect: F64) -> list[list[set[int]]]:
    """Return for each row what reaches its floor, greatest first, parallel effects together."""
    named = np.flatnonzero((tests >= floor[:, None]).any(axis=0))
    tests, unit = tests[:, named], effect[:, named] / np.linalg.norm(effect[:, named], axis=0)
    same = np.abs(unit.T @ unit) > 1 - NOTHING
    first, name = (same.argmax(axis=0) if len(named) else named).tolist(), named.tolist()
    result = []
    for row, least in zip(tests, floor, strict=True):
        sets: dict[int, set[int]] = {}
        for k in np.argsort(-row, kind="stable")[: int((row >= least).sum())].tolist():
            sets.setdefault(first[k], set()).add(name[k])
        result.append(list(sets.values()))
    return result
