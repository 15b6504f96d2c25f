"""Allocation of by-products to their users, over links of limited capacity.

References
----------
.. [1] F. S. Hillier, G. J. Lieberman, Introduction to Operations Research, 10th ed., McGraw-Hill
   2015, section 4.7 (shadow prices) and chapter 9 (the transportation problem).
.. [2] Q. Huangfu, J. A. J. Hall, Parallelizing the dual revised simplex method, Mathematical
   Programming Computation 10 (2018) 119-142: the solver HiGHS.
.. [3] J. P. Ignizio, Goal Programming and Extensions, Lexington Books 1976: objectives in strict
   order of priority.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, kron, vstack

from twin.arrays import F64, I64

# Share of a supply or capacity that is taken for nothing.
NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Links:
    """L links from sources to sinks, each of one of D modes of transport."""

    source: I64  # (L,) place among the sources
    sink: I64  # (L,) place among the sinks
    mode: I64  # (L,) place among the modes
    capacity: F64  # (L,) [kg/s]; inf = no limit
    distance: F64  # (L,) [m]; NaN = not known, then cost must be
    cost: F64  # (L,) [CNY/kg] of the whole link; NaN = by mode and distance


@dataclass(frozen=True, slots=True)
class Allocation:
    """The flows of an allocation, and the limits that bind it; NaN where there is a `reason`."""

    flow: F64  # (..., L) [kg/s]
    unplaced: F64  # (..., P) [kg/s] of each source
    taken: F64  # (..., Q) [kg/s] by each sink
    free: F64  # (..., Q) [kg/s] capacity of each sink that is not taken
    placed: F64  # (...) [kg/s] the sum of the flows
    freight: F64  # (...) [CNY/s] cost of transport
    gain: F64  # (...) [CNY/s] value at the sinks minus freight
    work: F64  # (..., D) [kg*m/s] transport work by mode
    link_relief: F64  # (..., L) [kg/kg] more placed per more capacity of the link
    sink_relief: F64  # (..., Q) [kg/kg] more placed per more capacity of the sink
    link_price: F64  # (..., L) [CNY/kg] more gain per more capacity, with no less placed
    sink_price: F64  # (..., Q) [CNY/kg]
    reason: NDArray[np.str_]  # (...) empty where there is an allocation


def unit_cost(links: Links, fixed: F64, per_distance: F64) -> F64:
    """Return the cost of each link.

    Parameters
    ----------
    links
        L links
    fixed : (D,) float64 [CNY/kg]               of each mode, whatever the distance
    per_distance : (D,) float64 [CNY/(kg*m)]    of each mode

    Returns
    -------
    (L,) float64 [CNY/kg]
        the link's own cost where it has one, else fixed + per_distance * distance, the linear cost
        of the transportation problem [1]_; NaN where neither is known
    """
    by_mode = fixed[links.mode] + per_distance[links.mode] * links.distance
    return np.where(np.isnan(links.cost), by_mode, links.cost)


def allocate(
    supply: F64, demand: F64, value: F64, links: Links, cost: F64, modes: int
) -> Allocation:
    """Return the allocation that places most and, of those that do, the one with most gain.

    Parameters
    ----------
    supply : (..., P) float64 [kg/s]   surplus of each source; >= 0
    demand : (Q,) float64 [kg/s]       what each sink can take; >= 0, inf = no limit
    value : (Q,) float64 [CNY/kg]      what the sink saves or pays
    links
        L links between them
    cost : (L,) float64 [CNY/kg]       of each link, see `unit_cost`
    modes
        D, the number of modes

    Returns
    -------
    Allocation
        flows [kg/s], prices [CNY/kg], transport work [kg*m/s]; without NaN where every supply is
        known. Data that make no sense, like a negative supply, give NaN and a reason.

    Raises
    ------
    ValueError
        a link begins or ends at a source or sink that does not exist, or shapes do not agree

    Notes
    -----
    Two linear programmes in strict order of priority [3]_, solved by HiGHS [2]_:

    1. maximise the sum of the flows: use comes before money, also where it costs more than it
       brings, since what is not placed is vented or driven away;
    2. maximise the sum of (value - cost) times flow, with no less placed than by the first.

    Two solves rather than one with a large weight on use: no weight has to be chosen, and their
    shadow prices [1]_ answer two questions, where more capacity would put more to use and where it
    would save money. Where several limits bind at once the price is one of several possible ones.

    The times of leading dimensions are blocks of one programme, so there is no loop over them.
    """
    _check(supply, demand, value, links, cost)
    rows = supply.reshape(math.prod(supply.shape[:-1]), supply.shape[-1])
    gain = value[links.sink] - cost
    reason = _reasons(rows, demand, links, gain)
    good = np.flatnonzero(reason == "")
    flow = np.full((len(rows), len(links.source)), np.nan)
    relief, price = np.full((2, len(rows), len(links.source) + len(demand)), np.nan)
    flow[good], relief[good], price[good], reason[good] = _solve(rows[good], demand, links, gain)

    def shaped(columns: F64) -> F64:
        columns[reason != ""] = np.nan
        return columns.reshape(supply.shape[:-1] + columns.shape[1:])

    n_links = len(links.source)
    taken = _sums(flow, links.sink, len(demand))
    length = np.where(flow == 0, 0.0, flow * links.distance)
    return Allocation(
        flow=shaped(flow),
        unplaced=shaped(_left(rows, _sums(flow, links.source, rows.shape[-1]))),
        taken=shaped(taken),
        free=shaped(_left(demand, taken)),
        placed=shaped(flow.sum(axis=-1)),
        freight=shaped((flow * cost).sum(axis=-1)),
        gain=shaped((flow * gain).sum(axis=-1)),
        work=shaped(_sums(length, links.mode, modes)),
        link_relief=shaped(relief[:, :n_links]),
        sink_relief=shaped(relief[:, n_links:]),
        link_price=shaped(price[:, :n_links]),
        sink_price=shaped(price[:, n_links:]),
        reason=reason.reshape(supply.shape[:-1]),
    )


def _check(supply: F64, demand: F64, value: F64, links: Links, cost: F64) -> None:
    """Raise ValueError when indices or shapes do not fit."""
    shape = links.source.shape
    if {a.shape for a in (links.sink, links.mode, links.capacity, links.distance, cost)} - {shape}:
        raise ValueError("the columns of the links differ in length")
    if demand.shape != value.shape or demand.ndim != 1 or supply.ndim < 1:
        raise ValueError("supply is (..., P), demand and value are (Q,)")
    for ends, count in ((links.source, supply.shape[-1]), (links.sink, len(demand))):
        if len(ends) and not (ends.min() >= 0 and ends.max() < count):
            raise ValueError("a link begins or ends nowhere")


def _reasons(rows: F64, demand: F64, links: Links, gain: F64) -> NDArray[np.str_]:
    """Return the reason why a row has no allocation, (W,); empty where it has one."""
    text = "a supply is not known"
    odd = np.isinf(rows) | (rows < 0)
    reason = np.where(np.isnan(rows).any(axis=-1), text, "")
    reason = np.where(odd.any(axis=-1), "a supply is negative or infinite", reason)
    for wrong, why in (
        (np.isnan(demand) | (demand < 0), "what a sink can take is not known or negative"),
        (
            np.isnan(links.capacity) | (links.capacity < 0),
            "the capacity of a link is not known or negative",
        ),
        (~np.isfinite(gain), "the cost of a link or the value at its sink is not known"),
    ):
        reason = np.where(wrong.any(), why, reason)
    # Room for a message of the solver.
    return reason.astype("U120")


def _sums(flow: F64, end: I64, count: int) -> F64:
    """Return the sum of the flows of each place, (W, count); NaN stays at its place."""
    member = np.arange(count)[:, None] == end
    return np.asarray(np.where(member, flow[:, None, :], 0.0).sum(axis=-1))


def _left(had: F64, gone: F64) -> F64:
    """Return the remaining amount, 0 where it is the solver's rounding."""
    remaining = had - gone
    return np.asarray(np.where(remaining < NOTHING * had, 0.0, remaining))


def _solve(rows: F64, demand: F64, links: Links, gain: F64) -> tuple[F64, F64, F64, str]:
    """Return flow (W, L), relief and price (W, L+Q), and why there are none."""
    count, n_links = len(rows), len(links.source)
    zeros = np.zeros((count, n_links + len(demand)))
    if not count * n_links:
        return zeros[:, :n_links], zeros, zeros, ""
    # Shares of the supply and of the largest gain: the solver's tolerances are absolute.
    total = rows.sum(axis=-1, keepdims=True)
    total = np.where(total > 0, total, 1.0)
    worth = np.abs(gain).max() or 1.0
    # A limit of twice the supply binds no more than none.
    room, upper = np.minimum(demand / total, 2.0), np.minimum(links.capacity / total, 2.0)
    out = np.arange(rows.shape[-1])[:, None] == links.source
    into = np.arange(len(demand))[:, None] == links.sink
    one = eye_array(count, format="csr")
    limits = kron(one, csr_array(np.vstack([out, into]).astype(np.float64)), format="csr")
    bound = np.hstack([rows / total, room]).ravel()
    first = _minimise(np.full(count * n_links, -1.0), limits, bound, upper)
    if first.status != 0:
        return zeros[:, :n_links] * np.nan, zeros * np.nan, zeros * np.nan, str(first.message)
    most = first.x.reshape(count, n_links).sum(axis=-1)
    kept = vstack([limits, kron(one, csr_array(np.full((1, n_links), -1.0)))], format="csr")
    cost = np.tile(-gain / worth, count)
    second = _minimise(cost, kept, np.r_[bound, -most], upper)
    if second.status != 0:
        return zeros[:, :n_links] * np.nan, zeros * np.nan, zeros * np.nan, str(second.message)
    flow = np.clip(second.x.reshape(count, n_links), 0.0, upper) * total
    sinks = slice(rows.shape[-1], None)
    relief, price = (
        np.hstack(
            [
                result.upper.marginals.reshape(count, n_links),
                result.ineqlin.marginals[: len(bound)].reshape(count, -1)[:, sinks],
            ]
        )
        for result in (first, second)
    )
    return flow, np.abs(relief), np.abs(price) * worth, ""


def _minimise(cost: F64, limits: Any, bound: F64, upper: F64) -> Any:
    """Return the solver's answer to min cost·x with limits @ x <= bound, 0 <= x <= upper."""
    bounds = np.stack([np.zeros(upper.size), upper.ravel()], axis=1)
    return linprog(cost, A_ub=limits, b_ub=bound, bounds=bounds, method="highs")
