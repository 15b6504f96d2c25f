"""Load of electricity: largest demand, duration curve, idle load, two periods compared.

References
----------
.. [1] IEC 60050-691, International Electrotechnical Vocabulary, tariffs for electricity: demand,
   load factor, load duration curve.
.. [2] GB/T 28750-2012, General technical rules for measurement and verification of energy savings:
   the consumption of a period before, at the conditions of the period that is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import BOOL, F64, I64, ratio, sum_at


def largest_at(power: F64, window: I64, count: int) -> I64:
    """Return the interval with the largest mean power of each window.

    Parameters
    ----------
    power : (Q,) float64 [W]   mean power of intervals; NaN = not known
    window : (Q,) int64        of each interval
    count : int                W

    Returns
    -------
    (W,) int64                 the first of the largest; -1 where no interval is known
    """
    order = np.lexsort((-np.arange(len(power)), np.nan_to_num(power, nan=-np.inf)))
    result = np.full(count, -1)
    known = order[~np.isnan(power[order])]
    result[window[known]] = known
    return result


def duration_curve(power: F64, shares: F64) -> F64:
    """Return the power that is reached or exceeded for some shares of the known time.

    Parameters
    ----------
    power : (Q,) float64 [W]    mean power of intervals of one length; NaN = not known
    shares : (S,) float64 [1]   0 = the largest, 1 = the least

    Returns
    -------
    (S,) float64 [W]            NaN where nothing is known
    """
    falling = np.sort(power[~np.isnan(power)])[::-1]
    if not len(falling):
        return np.full(len(shares), np.nan)
    at = np.ceil(shares * len(falling)).astype(np.int64) - 1
    return np.asarray(falling[np.clip(at, 0, len(falling) - 1)])


def is_idle(rate: F64, below: float) -> BOOL:
    """Tell the intervals in which production is idle.

    Parameters
    ----------
    rate : (Q,) float64 [kg/s]   production in each interval; NaN = not known: not idle
    below : float [1]            share of the largest known rate that still counts as idle

    Returns
    -------
    (Q,) bool
    """
    known = rate[~np.isnan(rate)]
    return np.asarray(rate <= below * known.max(initial=0.0))


@dataclass(frozen=True, slots=True)
class EqualLoad:
    """Two periods compared at equal production; NaN = they have no load in common."""

    before: float  # [W] mean power of the first, at the loads of the second
    after: float  # [W] mean power of the second
    sigma: float  # [W] standard uncertainty of the difference
    share: float  # [1] of the second period, at a load the first one has too


def compare_at_equal_load(
    rate: tuple[F64, F64], power: tuple[F64, F64], day: tuple[I64, I64], classes: int
) -> EqualLoad:
    """Return what a second period took, and what the first would have taken at its production.

    Parameters
    ----------
    rate : two of (Q,) float64 [kg/s]   production in the intervals of both periods
    power : two of (Q,) float64 [W]     mean power; NaN = not known
    day : two of (Q,) int64             the day of each interval
    classes : int                       of production, equally wide from 0 to the largest

    Returns
    -------
    EqualLoad

    Notes
    -----
    Intervals are sorted into classes of production. Of each class that both periods have, the mean
    powers are compared, weighted by the time the second one spent in it. Hours of a day are alike,
    so the uncertainty of a class is its spread over the root of its days. Classes with fewer than
    two days in a period have none: they count only where there are no others, and the uncertainty
    is NaN then. The error of a meter that both periods share is in both and not in it.
    """
    top = max(float(np.nanmax(each, initial=0.0)) for each in rate)
    if not top > 0:
        return EqualLoad(*[np.nan] * 4)
    known = [~np.isnan(r) & ~np.isnan(p) for r, p in zip(rate, power, strict=True)]
    mean, variance, hours = np.full((3, 2, classes), np.nan)
    for n in (0, 1):
        taken, days = power[n][known[n]], day[n][known[n]]
        at = np.minimum((rate[n][known[n]] / top * classes).astype(np.int64), classes - 1)
        one = np.ones(len(at))
        hours[n] = sum_at(one, at, classes)
        mean[n] = ratio(sum_at(taken, at, classes), hours[n])
        spread = ratio(sum_at((taken - mean[n][at]) ** 2, at, classes), hours[n] - 1)
        of_days = np.unique(np.stack([at, days]), axis=1)[0]
        dates = sum_at(one[: len(of_days)], of_days, classes)
        variance[n] = np.where(dates > 1, ratio(spread, dates), np.nan)
    both = ~np.isnan(variance).any(axis=0)
    if not both.any():
        both = (hours > 0).all(axis=0)
    if not both.any():
        return EqualLoad(*[np.nan] * 4)
    weight = hours[1][both] / hours[1][both].sum()
    return EqualLoad(
        float(weight @ mean[0][both]),
        float(weight @ mean[1][both]),
        float(np.sqrt(weight**2 @ variance[:, both].sum(axis=0))),
        float(hours[1][both].sum() / hours[1].sum()),
    )
