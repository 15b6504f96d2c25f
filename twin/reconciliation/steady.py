"""Steady state: which flows are on their way, and what they may have left in pipes and vessels.

A balance over a window closes but for what its place has taken up. A tank has a level for that;
pipes and vessels without one have not. What they hold follows the flows, so that it changes with
them only: by the change of a flow times the time for which it is held, at most.

References
----------
.. [1] S. Cao, R. R. Rhinehart, An efficient method for on-line identification of steady state,
   Journal of Process Control 5 (6), 1995, 363-374, doi:10.1016/0959-1524(95)00009-F.
.. [2] JCGM 100:2008 (GUM), 4.3.7: an unknown value between two bounds.
.. [3] S. Narasimhan, C. Jordache: Data Reconciliation and Gross Error Detection, Gulf, 2000,
   chapter 5: what a process holds in the balances of a time that is not steady.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twin.arrays import BOOL, F64, ratio
from twin.reconciliation.balances import Amounts, Balance, Line
from twin.reconciliation.closure import close_balance
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.reconciliation.closure import Closure

# The part of all changes at some places from which on a stream is named as one that moves.
NAMED = 0.1


class SteadyFilters(NamedTuple):
    """What the filters of S series remember between two calls."""

    seen: F64  # (S,) number of values so far
    newest: F64  # (S,) the newest of them
    mean: F64  # (S,) filtered value
    deviation: F64  # (S,) filtered square of the difference from the mean before
    difference: F64  # (S,) filtered square of the difference of two values in succession


class SteadyState(NamedTuple):
    """Whether series are steady at n times."""

    ratio: F64  # (n, S) [1] R; NaN where there is no value, or too few came before
    steady: BOOL  # (n, S) R is known and below its critical value
    filters: SteadyFilters


def steady_state(
    value: F64,
    filters: SteadyFilters | None = None,
    *,
    weights: Sequence[float] | None = None,
    critical: float | None = None,
) -> SteadyState:
    """Return whether series are steady: the ratio of two estimates of their variance.

    Parameters
    ----------
    value : (n, S) or (n,) float64 [SI]
        values at equal distances in time; NaN = no value, which the filters pass over
    filters : SteadyFilters, optional
        returned by the call before; default none
    weights : three float [1], optional
        of a new value in the filters of the mean, of the square of the deviation from it, and of
        the square of the difference of two values, within 0..1; default those of the reference
        table
    critical : float [1], optional
        R from which on a series is not steady; default that of the reference table, which holds
        for its weights only

    Returns
    -------
    SteadyState
        values that come one by one or all at once give the same

    Raises
    ------
    ValueError
        weights are not three within 0..1, or they are given without their critical value

    Notes
    -----
    With the mean X, the deviation v² and the difference d² by filters of weights l1, l2 and l3,
    R = (2 - l1) v² / d² [1]_. It is near 1 for noise around a level, and grows as the level moves.
    The mean of a filter that began not long ago is that of what it has seen. R is not known before
    the slowest filter has seen as many values as it remembers.
    """
    table = load_reference("monitor")["steady"]
    if (weights is None) != (critical is None):
        raise ValueError("weights and critical belong together: give both or none")
    l1, l2, l3 = _weights(table["weights"] if weights is None else weights)
    limit = float(table["critical"] if critical is None else critical)
    value = np.asarray(value, np.float64)
    if filters is None:
        filters = no_filters(value.shape[1:])
    seen, newest, mean, deviation, difference = filters
    ratios = np.full(value.shape, np.nan)
    for row, new in enumerate(value):
        known, first = np.isfinite(new), seen == 0
        # The first value has nothing to differ from.
        off = np.where(first | ~known, 0.0, new - mean) ** 2
        step = np.where(first | ~known, 0.0, new - newest) ** 2
        deviation = np.where(known & ~first, deviation + l2 * (off - deviation), deviation)
        difference = np.where(known & ~first, difference + l3 * (step - difference), difference)
        mean = np.where(known, np.where(first, new, mean + l1 * (new - mean)), mean)
        newest = np.where(known, new, newest)
        seen = seen + known
        pairs = np.maximum(seen - 1, 0.0)
        whole = ratio((1 - (1 - l3) ** pairs) * deviation, (1 - (1 - l2) ** pairs) * difference)
        # A value that never moved is steady.
        still = (deviation == 0) & (pairs > 0)
        enough = known & (pairs >= 1 / min(l1, l2, l3))
        ratios[row] = np.where(enough, np.where(still, 0.0, (2 - l1) * whole), np.nan)
    return SteadyState(
        ratios,
        np.asarray(ratios < limit),
        SteadyFilters(seen, newest, mean, deviation, difference),
    )


def _weights(weights: Sequence[float]) -> tuple[float, float, float]:
    """Return the three weights of filters; raises ValueError."""
    given = tuple(float(each) for each in weights)
    if len(given) != 3 or not all(0 < each < 1 for each in given):
        raise ValueError(f"weights must be three numbers between 0 and 1, not {weights}")
    return given[0], given[1], given[2]


def no_filters(shape: tuple[int, ...]) -> SteadyFilters:
    """Return the filters of series of a shape before their first value.

    Parameters
    ----------
    shape : tuple of int
        (S,)

    Returns
    -------
    SteadyFilters
    """
    return SteadyFilters(*(np.zeros(shape) for _ in SteadyFilters._fields))


def hold_up_variance(balance: Balance, change: F64, held_s: float | None = None) -> F64:
    """Return the variance of what each place may have taken up without a level.

    Parameters
    ----------
    balance : Balance
        M nodes, S streams
    change : (..., S) float64 [kg/s]
        of each flow from before a window to its end; NaN = not known, taken as none
    held_s : float [s], optional
        only what streams with this hold-up time hold; default all

    Returns
    -------
    (..., M) float64 [kg^2]

    Notes
    -----
    At either end a stream holds what it carries for its hold-up time, at most. What is held there
    changes with the flow at the meter or, where that is behind what holds it, with what the other
    streams leave for it: the greater change counts. It is rectangular between that times the
    hold-up time and the opposite [2]_ [3]_.
    """
    time_s = np.array([line.hold_up_s for line in balance.lines], dtype=np.float64)
    if held_s is not None:
        time_s = np.where(time_s == held_s, time_s, 0.0)
    own = np.nan_to_num(change)[..., None, :]
    others = own - balance.incidence * (own @ balance.incidence.T).swapaxes(-1, -2)
    greatest = np.maximum(np.abs(own), np.abs(others))
    at_node = np.abs(balance.incidence) * (greatest * time_s) ** 2 / 3
    return np.asarray(at_node.sum(axis=-1))


def moving_streams(balance: Balance, change: F64, nodes: Sequence[int]) -> tuple[str, ...]:
    """Return the streams at some nodes that moved, the greatest change first.

    Parameters
    ----------
    balance : Balance
        S streams
    change : (S,) float64 [kg/s]
        as of `hold_up_variance`
    nodes : sequence of int

    Returns
    -------
    tuple of str
        their ids; what is a small part of all changes is left out
    """
    ends = np.abs(balance.incidence[list(nodes)]).any(axis=0)
    size: F64 = np.where(ends, np.abs(np.nan_to_num(change)), 0.0)
    order = np.argsort(-size, kind="stable").tolist()
    return tuple(balance.lines[s].id for s in order if size[s] > NAMED * size.sum())


def hold_back(
    balance: Balance, amounts: Amounts, closure: Closure, change: F64
) -> list[tuple[str, ...]]:
    """Return of each window the moving streams whose hold-up may explain what contradicts it.

    Parameters
    ----------
    balance : Balance
        S streams
    amounts : Amounts
        (W, S) as the closure was made of
    closure : Closure
        of W windows
    change : (W, S) float64 [kg/s]
        as of `hold_up_variance`

    Returns
    -------
    list of tuples of str
        (W,) ids of streams; empty where the window is consistent, and where it is not even if its
        places may have taken up what the moving streams can hold: its tests count
    """
    held = list[tuple[str, ...]]([()] * len(change))
    variance = hold_up_variance(balance, change)
    refused = np.logical_not(closure.consistent) & (closure.dof > 0)
    at = np.flatnonzero(refused & (variance > 0).any(axis=-1))
    if not len(at):
        return held
    again = close_balance(*_with_hold_up(balance, amounts, variance, at))
    for row, window in enumerate(at.tolist()):
        if again.consistent[row]:
            moving = moving_streams(balance, change[window], range(len(balance.nodes)))
            held[window] = moving
    return held


def _with_hold_up(
    balance: Balance, amounts: Amounts, variance: F64, at: Any
) -> tuple[Balance, Amounts]:
    """Return a balance with one more stream for each node, and the amounts of some windows."""
    nodes, more = len(balance.nodes), (len(at), len(balance.nodes))
    larger = replace(
        balance,
        lines=(*balance.lines, *(Line(f"{node}:held", node, "held") for node in balance.nodes)),
        incidence=np.hstack([balance.incidence, -np.eye(nodes)]),
        lower=np.append(balance.lower, np.full(nodes, -np.inf)),
    )
    # What nothing moves holds nothing: as good as exact beside the meters.
    scale = np.nanmax(np.where(np.isfinite(amounts.sigma[at]), amounts.sigma[at], 0.0), axis=-1)
    fill = {"flow": 0.0, "sigma": np.maximum(np.sqrt(variance[at]), 1e-9 * scale[:, None]),
            "fraction": 1.0, "fraction_sigma": 0.0}  # fmt: skip
    columns = {
        name: np.concatenate([getattr(amounts, name)[at], np.broadcast_to(value, more)], axis=-1)
        for name, value in fill.items()
    }
    return larger, Amounts(**columns)
