"""Lateness: a tag, or a gateway, that was not heard of for longer than it usually is.

How often a source sends is not in the model: many send on change. So it is learnt from what comes.

References
----------
.. [1] W. K. Newey and J. L. Powell, Asymmetric least squares estimation and testing, Econometrica
   55 (4), 1987, 819-847: expectiles, which steps of two sizes towards each value follow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import BOOL, F64, I64, INTP, Columns
from twin.reference import load as load_reference

# So many intervals have to be seen before one can be missed.
ENOUGH = 3
# A longer interval counts by half, so that a source that slows down is followed in a few of them; a
# shorter one by this share, so that single quick ones do not make the others late.
RISE, FALL = 0.5, 1 / 64


@dataclass(frozen=True, slots=True)
class UsualIntervals(Columns):
    """How long the pauses of n sources usually are, (n,)."""

    usual_s: F64  # NaN before the first
    seen: I64  # intervals, up to `ENOUGH`


def no_intervals(sources: int) -> UsualIntervals:
    """Return what is known before anything has come."""
    return UsualIntervals(np.full(sources, np.nan), np.zeros(sources, np.int64))


def learn(intervals: UsualIntervals, at: INTP, interval_s: F64) -> UsualIntervals:
    """Return the usual intervals with new ones taken into account.

    Parameters
    ----------
    intervals : UsualIntervals
        of n sources
    at : (k,) intp                  sources, each once
    interval_s : (k,) float64 [s]   between what came of them last and before; above 0

    Returns
    -------
    UsualIntervals

    Notes
    -----
    The usual interval is an expectile [1]_ of the intervals, near their upper end. One in which the
    source was late is an outage: it counts as one that was just in time, so that a long outage does
    not teach patience.
    """
    intervals = intervals.copy()
    usual = intervals.usual_s[at]
    young = intervals.seen[at] < ENOUGH
    seen_s = np.where(young, interval_s, np.minimum(interval_s, patience_s(usual)))
    step = np.where(seen_s > usual, RISE, FALL) * (seen_s - usual)
    intervals.usual_s[at] = np.where(young, np.fmax(usual, seen_s), usual + step)
    intervals.seen[at] = np.minimum(intervals.seen[at] + 1, ENOUGH)
    return intervals


def patience_s(usual_s: F64) -> F64:
    """Return after how long a source is late.

    Parameters
    ----------
    usual_s : (n,) float64 [s]   usual intervals; NaN = not known

    Returns
    -------
    (n,) float64 [s]   NaN where the usual interval is

    Notes
    -----
    Factor and least time are in ``twin/reference/health.toml``.
    """
    rule = load_reference("health")["late"]
    return np.asarray(np.maximum(rule["intervals"]["value"] * usual_s, rule["least_s"]["value"]))


def late(intervals: UsualIntervals, silent_s: F64) -> BOOL:
    """Return which sources are late.

    Parameters
    ----------
    intervals : UsualIntervals
        of n sources
    silent_s : (n,) float64 [s]   since what came last; NaN = nothing ever did, and is not late

    Returns
    -------
    (n,) bool   never before the usual interval is known
    """
    known = intervals.seen >= ENOUGH
    return np.asarray(known & (silent_s > patience_s(intervals.usual_s)))
