"""Demand of electricity: the mean power of the running quarter of an hour, and what it will be.

The demand that is billed is the largest mean power of a quarter of an hour [1]_. A forecast tells
it before the quarter is over: what has been measured of it, and the recent power for the rest.

References
----------
.. [1] DL/T 614-2007, Multifunctional meters: demand intervals of 15 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from twin.arrays import BOOL, F64, I64, MINUTE_US, SECOND_US

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twin.model.meters import MeterTrees

# Three derived tags of each scope with incomers, role by role: the mean power so far, the mean of
# the whole quarter as it is expected, and the half width of its interval at 95 %.
DEMAND_ROLES = ("demand", "demand_forecast", "demand_forecast_ci")
QUARTER_US = 15 * MINUTE_US
CELL_US = 10 * SECOND_US
CELLS = QUARTER_US // CELL_US
# The recent power is the mean of this many cells.
RECENT = 18
# A remembered power stands for so long on both sides: after a start it is the mean of a minute.
REACH_US = MINUTE_US // 2
UPPER = (1 + 0.95) / 2  # the quantile of an interval of 95 %


@dataclass(frozen=True, slots=True)
class Incomers:
    """The electricity incomers of D scopes, as entries sorted by scope."""

    scopes: tuple[str, ...]
    tag: I64  # (E,) tags of the meters
    start: I64  # (D,) first entry of each scope


def compile_incomers(trees: MeterTrees, index: Mapping[str, int], carrier: str) -> Incomers:
    """Return the incomers that each scope has itself, behind no other incomer of it.

    Parameters
    ----------
    trees : MeterTrees
    index : mapping of str to int   positions of the tags
    carrier : str

    Returns
    -------
    Incomers
    """
    entries: dict[str, list[int]] = {}
    for at, meter in enumerate(trees.meters):
        behind = any(trees.meters[o].scope == meter.scope for o in trees.above[at])
        if meter.carrier == carrier and meter.role == "incomer" and not behind:
            entries.setdefault(meter.scope, []).append(index[meter.tag])
    counts = [len(tags) for tags in entries.values()]
    return Incomers(
        tuple(entries),
        np.array([tag for tags in entries.values() for tag in tags], np.int64),
        np.cumsum([0, *counts], dtype=np.int64)[:-1],
    )


def load_of(incomers: Incomers, power: F64) -> F64:
    """Return what each scope takes through its incomers.

    Parameters
    ----------
    incomers : Incomers
    power : (..., T) float64 [W]   of the tags; NaN = no value

    Returns
    -------
    (..., D) float64 [W]           NaN where an incomer has no value
    """
    if not len(incomers.start):
        return np.zeros((*power.shape[:-1], 0))
    return np.asarray(np.add.reduceat(power[..., incomers.tag], incomers.start, axis=-1))


def forecast_demand(time_us: I64, load: F64) -> F64:
    """Return the demand of the quarter of an hour that runs at the last of some times.

    Parameters
    ----------
    time_us : (R,) int64 [µs]    ascending
    load : (R, D) float64 [W]    power at these times; NaN = no value

    Returns
    -------
    (3, D) float64 [W]
        in the order of `DEMAND_ROLES`; NaN without a value at the last time

    Notes
    -----
    A quarter has N cells. k of them have a value; each of the others, the future and the holes, is
    taken at the mean P of the last `RECENT` cells: ``(Σ known + (N - k) P) / N``. The error is then
    (N - k) / N times how far the mean power of these cells differs from P, whatever the load does:
    none at the end of the quarter, and never more than that share of the largest difference. The
    half width takes for this difference the root of its mean square in the past: what the same
    forecast, over as many cells, missed at each moment of the remembered time, with Student's
    quantile over the number of separate stretches of that length. NaN where fewer than `RECENT`
    such moments are known. Errors of the meters are not in it.
    """
    count = load.shape[1]
    if not len(time_us) or not count:
        return np.full((3, count), np.nan)
    last_us = int(time_us[-1]) // CELL_US * CELL_US
    begun = (last_us % QUARTER_US) // CELL_US + 1
    cell = _cells(time_us, load, last_us)
    known = ~np.isnan(cell[-begun:])
    summed = np.where(known, cell[-begun:], 0.0).sum(axis=0)
    measured = known.sum(axis=0)
    recent = _mean(cell[-RECENT:])
    unknown = CELLS - measured
    forecast = (summed + unknown * recent) / CELLS
    missed = np.array([_missed(cell[:, d], int(ahead)) for d, ahead in enumerate(unknown.tolist())])
    result = np.stack([summed / np.maximum(measured, 1), forecast, unknown / CELLS * missed])
    return np.where(np.isnan(cell[-1]), np.nan, result)


def _cells(time_us: I64, load: F64, last_us: int) -> F64:
    """Return the powers of the cells of two quarters that end with the last one, (2N, D)."""
    at_us = last_us + (np.arange(2 * CELLS) - (2 * CELLS - 1)) * CELL_US + CELL_US // 2
    right = np.minimum(np.searchsorted(time_us, at_us), len(time_us) - 1)
    before = np.maximum(right - 1, 0)
    closer = np.abs(time_us[before] - at_us) <= np.abs(time_us[right] - at_us)
    nearest = np.where(closer, before, right)
    near: BOOL = np.abs(time_us[nearest] - at_us) <= REACH_US
    return np.where(near[:, None], load[nearest], np.nan)


def _mean(cell: F64) -> F64:
    """Return the mean of the known cells of each scope, (D,); NaN without any."""
    known = ~np.isnan(cell)
    total = np.where(known, cell, 0.0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _missed(cell: F64, ahead: int) -> float:
    """Return how far forecasts over `ahead` cells are off at 95 %, by those of the past [W]."""
    if not ahead:
        return 0.0
    known = ~np.isnan(cell)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, cell, 0.0))])
    holes = np.concatenate([[0], np.cumsum(~known)])
    now = np.arange(RECENT, len(cell) - ahead + 1)
    past = (sums[now] - sums[now - RECENT]) / RECENT
    future = (sums[now + ahead] - sums[now]) / ahead
    whole = holes[now + ahead] == holes[now - RECENT]
    if whole.sum() < RECENT:
        return float("nan")
    stretches = (whole.sum() + ahead - 1) / ahead
    spread = np.sqrt(np.mean((future - past)[whole] ** 2))
    return float(stdtrit(stretches, UPPER) * spread)
