"""Substitution of the hours without valid data of a monitor.

References
----------
.. [1] HJ 75-2017, Specifications for continuous emissions monitoring of SO2, NOx and particulate
   matter: treatment of missing and invalid data, by the capture rate of the quarter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.reference import load as load_reference


@dataclass(frozen=True, slots=True)
class Substitution:
    """Emissions that stand for missing hours; kept apart from measured ones."""

    emission: F64  # (..., H) [kg] NaN where nothing is missing or nothing may stand for it
    previous_h: I64  # (..., H) [h] how many valid hours before the gap it comes from; 0 = none


def substitute(emission: F64, valid: BOOL, missing: BOOL, capture: F64) -> Substitution:
    """Return the emissions that stand for hours without valid data.

    Parameters
    ----------
    emission : (..., H) float64 [kg]   of each hour, used where valid
    valid : (..., H) bool              hours with valid data of a working source
    missing : (..., H) bool            hours something must stand for; those in a row are one gap
    capture : (..., H) float64 [1]     capture rate of the quarter, see
                                       `twin.emissions.validity.capture_rate`

    Returns
    -------
    Substitution
        [kg]; NaN below a capture rate of 75 %, and where there is no valid hour before the gap

    Notes
    -----
    The largest hourly emission of the 180, 720 or 2160 valid hours before the gap, by capture rate
    and length of the gap [1]_. Where there are fewer before it, the largest of those.
    """
    shape = missing.shape
    series = int(np.prod(shape[:-1], dtype=np.int64))
    hours = shape[-1]
    kept = (valid & ~np.isnan(emission) & ~missing).reshape(series, hours)
    lost = missing.reshape(series, hours)
    before: I64 = np.cumsum(kept) - kept.ravel()  # valid hours before each hour, of all series
    others = np.repeat(before.reshape(series, hours)[:, :1], hours, axis=1).ravel()  # not its own
    start = lost & ~np.concatenate([np.zeros((series, 1), bool), lost[:, :-1]], axis=1)
    at = np.flatnonzero(lost)
    gap = np.cumsum(start)[at] - 1
    length = np.bincount(gap)[gap]
    previous = _previous(capture.ravel()[at], length)
    stop = before[np.flatnonzero(start)][gap]
    first = np.maximum(stop - previous, others[at])
    usable = (previous > 0) & (first < stop)
    filled, rule = np.full(kept.size, np.nan), np.zeros(kept.size, np.int64)
    if usable.any():
        span, same = np.unique(np.stack([first[usable], stop[usable]]), axis=1, return_inverse=True)
        # A last value that is never the largest, because a span may end with the last valid hour.
        values = np.append(emission.reshape(series, hours)[kept], -np.inf)
        largest = np.maximum.reduceat(values, span.T.ravel())[::2]
        filled[at[usable]] = largest[same.ravel()]
        rule[at[usable]] = previous[usable]
    return Substitution(filled.reshape(shape), rule.reshape(shape))


def _previous(capture: F64, gap_h: I64) -> I64:
    """Return the number of valid hours of the first rule that fits; 0 where none does."""
    rules = load_reference("substitution")["rule"]
    fits = [
        (capture >= rule["capture_from"]) & (gap_h <= rule.get("gap_to_h", np.inf))
        for rule in rules
    ]
    previous = np.select(fits, [rule["previous_h"] for rule in rules], 0)
    return np.asarray(previous, dtype=np.int64)


def lookback_h() -> float:
    """Return the longest time back to the valid hours that stand for a gap.

    Returns
    -------
    float [h]
        the most hours a rule looks back, over the capture rate it holds from [1]_
    """
    rules = load_reference("substitution")["rule"]
    return float(max(rule["previous_h"] / rule["capture_from"] for rule in rules))
