"""Forecast of a figure of the next shift or day: a level with a profile of the week, and its worth.

It is scored on the last weeks, each forecast made of what came before it, against two that need no
model: the last value, and that of a week ago.

References
----------
.. [1] R. J. Hyndman, G. Athanasopoulos: Forecasting: Principles and Practice, 3rd ed., 2021: 5.2
   (naive methods), 5.10 (rolling origin), 8.1 (exponential smoothing).
.. [2] V. Vovk, A. Gammerman, G. Shafer: Algorithmic Learning in a Random World, Springer, 2005;
   J. Lei et al., JASA 113 (2018), 1094-1111: intervals by the errors of held-out values.
.. [3] W. James, C. Stein (1961); D. M. Miller, D. Williams, International Journal of Forecasting 19
   (2003), 669-684: seasonal factors shrunk to none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twin.arrays import F64
from twin.reference import load as load_reference

# What is tried: how fast the level follows, and how many values of its own a slot of the profile
# needs to count half; without end there is no profile.
SPEEDS = (0.03, 0.1, 0.3, 0.6, 1.0)
SHRINKAGES = (1.0, 4.0, 16.0, np.inf)
PROFILE, NAIVE, SEASONAL = "profile", "naive", "seasonal_naive"
METHODS = (PROFILE, NAIVE, SEASONAL)


class Forecast(NamedTuple):
    """A forecast of one value, the method that did best, and how all methods did [u]."""

    value: float  # NaN = not known, or the model is not worth it
    half_80: float  # half widths of intervals; NaN = too few held-out values for it
    half_95: float
    method: str  # of METHODS; empty where none could be scored
    error: dict[str, float]  # mean absolute error of held-out values by method
    points: int  # held-out values that count
    reason: str


def forecast_value(value: F64, week: int, day: int, lead: int) -> Forecast:
    """Return the forecast of a series of equal steps.

    Parameters
    ----------
    value : (n,) float64 [u]
        of each step in time order; NaN = not known
    week, day : int
        steps of a week and of a day
    lead : int
        steps ahead; 1 = the next one

    Returns
    -------
    Forecast
        of the model where its mean error on the held-out weeks is below those of both methods
        without one [1]_, else none, and `method` says which of these did better. Speed and
        shrinkage are chosen on the weeks before the held-out ones [3]_; intervals are quantiles of
        the held-out errors [2]_
    """
    table = load_reference("baselines")["forecast"]
    first_known = np.flatnonzero(np.isfinite(value))
    weeks = (len(value) - first_known[0]) // week if len(first_known) else 0
    held = min(table["held_out_weeks"], weeks - table["training_weeks"])
    if held < table["least_held_out_weeks"]:
        least = table["training_weeks"] + table["least_held_out_weeks"]
        return _nothing(f"{least} weeks of history are needed, {weeks} are there")
    begin = len(value) - held * week
    speed, shrinkage = _choose(value[:begin], week, day, lead)
    targets = range(begin, len(value))
    tried = {
        PROFILE: _errors(value, targets, lead, week, day, shrinkage)[:, speed],
        NAIVE: np.array([abs(_last(value[: at - lead + 1]) - value[at]) for at in targets]),
        SEASONAL: np.array([abs(value[at - _back(week, lead)] - value[at]) for at in targets]),
    }
    counts = np.isfinite(np.stack(list(tried.values()))).all(axis=0)
    if int(counts.sum()) < week:
        return _nothing("too few steps of the held-out weeks are known")
    error = {name: float(each[counts].mean()) for name, each in tried.items()}
    reference = min(NAIVE, SEASONAL, key=error.__getitem__)
    method = PROFILE if error[PROFILE] < error[reference] else reference
    points = int(counts.sum())
    if method != PROFILE:
        nan = float("nan")
        reason = f"the model does not beat {method} on the held-out weeks"
        return Forecast(nan, nan, nan, method, error, points, reason)
    made = float(_profile(value, len(value) + lead - 1, week, day, shrinkage)[speed])
    misses = np.sort(tried[method][counts])
    return Forecast(
        made, _quantile(misses, 0.80), _quantile(misses, 0.95), method, error, points, ""
    )


def _nothing(reason: str) -> Forecast:
    nan = float("nan")
    return Forecast(nan, nan, nan, "", dict.fromkeys(METHODS, nan), 0, reason)


def _back(week: int, lead: int) -> int:
    """Return how far back the same step of a week lies that is known at the origin."""
    return week * -(-lead // week)


def _last(value: F64) -> float:
    """Return the last known value; NaN without one."""
    known = value[np.isfinite(value)]
    return float(known[-1]) if len(known) else float("nan")


def _quantile(errors: F64, confidence: float) -> float:
    """Return the conformal quantile of sorted errors; NaN where there are too few for it."""
    rank = int(np.ceil((len(errors) + 1) * confidence))
    return float(errors[rank - 1]) if rank <= len(errors) else float("nan")


def _choose(value: F64, week: int, day: int, lead: int) -> tuple[int, float]:
    """Return which speed and shrinkage did best over the last weeks, each by what came before."""
    back = load_reference("baselines")["forecast"]["tuning_weeks"]
    targets = range(max(len(value) - back * week, week), len(value))
    best = 0, SHRINKAGES[0]
    least = np.inf
    for shrinkage in SHRINKAGES:
        errors = _errors(value, targets, lead, week, day, shrinkage)
        known = np.isfinite(errors).all(axis=1)
        mean = errors[known].mean(axis=0) if known.any() else np.full(len(SPEEDS), np.inf)
        if mean.min() < least:
            best, least = (int(np.argmin(mean)), shrinkage), float(mean.min())
    return best


def _errors(value: F64, targets: range, lead: int, week: int, day: int, shrinkage: float) -> F64:
    """Return the absolute errors of the model by speed, each made of what came before its origin.

    The shape is (targets, speeds).
    """
    return np.array([
        np.abs(_profile(value[: at - lead + 1], at, week, day, shrinkage) - value[at])
        for at in targets
    ])  # fmt: skip


def _profile(value: F64, target: int, week: int, day: int, shrinkage: float) -> F64:
    """Return level and profile at a step, by speed: means of its slots of day and week."""
    at = np.flatnonzero(np.isfinite(value))
    if not len(at):
        return np.full(len(SPEEDS), np.nan)
    mean = float(value[at].mean())
    part = value[at] - mean
    ahead = 0.0
    # With one step a day there is a profile of the week alone.
    for slots in (day, week) if day > 1 else (week,):
        slot = at % slots
        total, count = np.bincount(slot, part, slots), np.bincount(slot, minlength=slots)
        factor = total / (count + shrinkage)
        part = part - factor[slot]
        ahead += float(factor[target % slots])
    weight = (1 - np.array(SPEEDS))[:, None] ** (at[-1] - at)
    return np.asarray(mean + ahead + weight @ part / weight.sum(axis=1))
