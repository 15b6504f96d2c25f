"""Load of a scope by quarters of an hour: what it takes, and the largest demand of windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from api.sums import Sums, read_sums
from twin.arrays import F64, I64, SECOND_US, ratio, sum_at
from twin.energy.load import largest_at
from twin.series import windows as w

if TYPE_CHECKING:
    from api.context import Context
    from api.windows import WindowQuery


@dataclass(frozen=True, slots=True)
class Load:
    """The mean power of some weighted meters in Q intervals of the windows of a query."""

    sums: Sums  # (Q, U)
    window: I64  # (Q,)
    weight: F64  # (T,)
    power: F64  # (Q,) [W]; NaN where too little of an interval is covered
    ci: F64  # (Q,) [W] by the meters
    share: F64  # (Q,) [1] of the interval that is covered by all of the meters

    @property
    def edges(self) -> I64:
        """The edges of the intervals, (Q+1,) [µs]."""
        return self.sums.query.edges


async def read_load(
    context: Context, query: WindowQuery, weight: F64, interval: str = "quarter_hour"
) -> Load:
    """Return the load of some meters by intervals that have begun; raises StoreError.

    An interval has a value where a verdict may be passed on it: what it lacks is as its rest.
    """
    edges = w.edges(interval, int(query.edges[0]), int(query.edges[-1]), query.zone.key)
    edges = edges[: max(int(np.searchsorted(edges, query.now_us)), 1) + 1]
    inner = replace(query, window=interval, edges=edges)
    sums = await read_sums(context, inner, np.flatnonzero(weight))
    length_s = np.diff(edges) / SECOND_US
    covered_s = sums.covered_s.min(axis=1, initial=np.inf)
    # Of the interval that runs the demand is not known yet.
    share = np.where(edges[1:] > query.expected_us, 0.0, np.minimum(covered_s / length_s, 1.0))
    enough = share >= context.settings.verdict_completeness
    power = np.where(enough, sums.weigh(weight) / np.where(enough, covered_s, 1.0), np.nan)
    ci = np.where(enough, ratio(sums.ci("", weight), covered_s), np.nan)
    window = np.searchsorted(query.edges, edges[:-1], "right") - 1
    return Load(sums, window, weight, power, ci, share)


@dataclass(frozen=True, slots=True)
class Demand:
    """The largest demand of W windows, (W,); NaN where none is known."""

    power: F64  # [W]
    ci: F64  # [W]
    start_us: I64  # of the quarter; -1 where none is known
    share: F64  # [1] of the quarters that are over


def largest_demand(load: Load, count: int) -> Demand:
    """Return the largest demand of each of `count` windows."""
    at = largest_at(load.power, load.window, count)
    known = at >= 0
    over = load.edges[1:] <= load.sums.query.expected_us
    ended = sum_at(over.astype(np.float64), load.window, count)
    counted = sum_at((~np.isnan(load.power)).astype(np.float64), load.window, count)
    return Demand(
        np.where(known, load.power[at], np.nan),
        np.where(known, load.ci[at], np.nan),
        np.where(known, load.edges[:-1][at], -1),
        ratio(counted, ended),
    )
