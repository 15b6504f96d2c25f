"""Totals of a year against what may be emitted: booked, estimated, forecast, each with an interval.

Booked is what was measured, analysed, calculated by a factor or substituted. The time nothing is
known of is estimated at the mean rate, and never booked. The rate is the mean of blocks (months, or
days where there are too few months); how much they differ is what is not known of those to come.

References
----------
.. [1] HJ 942-2018, Technical specification for application and issuance of pollutant permit,
   general programme: permitted emission of a year, compared with what was emitted.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 4.2 and G.3.
.. [3] Hahn, Meeker: Statistical Intervals, Wiley, 1991, 4.8: prediction interval of the sum of k
   future observations by n earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import BOOL, F64, ratio
from twin.targets.trend import following, student

# Two blocks have a difference and no scatter.
BLOCKS_MIN = 3
# No permit is looked at further ahead.
AHEAD_DAYS = 3660
WITHIN, WILL_EXCEED, EXCEEDED, UNDECIDED, NO_DATA = (
    "within", "will_exceed", "exceeded", "undecided", "no_data",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BlockRate:
    """The rate of a total of S sources, and how far the blocks it is the mean of scatter."""

    rate: F64  # (S,) [kg/s]; NaN = not known
    blocks: int
    length_s: float  # of a block
    sigma: float  # [kg] of one block; NaN = not known

    def half_width(self, length_s: F64 | float) -> F64:
        """Return half the 95 % interval of what goes out in some time to come, (...) [kg] [3]_."""
        if self.blocks < BLOCKS_MIN:
            return np.full(np.shape(length_s), np.nan)
        count = np.asarray(length_s) / self.length_s
        spread = np.sqrt(count**2 / self.blocks + count)
        return np.asarray(student(self.blocks - 1) * self.sigma * spread)

    def rate_half_width(self) -> float:
        """Return half the 95 % interval of the mean rate [kg/s] [2]_."""
        if self.blocks < BLOCKS_MIN:
            return np.nan
        return student(self.blocks - 1) * self.sigma / self.length_s / float(np.sqrt(self.blocks))


@dataclass(frozen=True, slots=True)
class DaysAhead:
    """D days to come, the first the rest of the present one, and what S sources do in them."""

    edge_s: F64  # (D+1,) [s] from now on
    planned: F64  # (S, D) [1] of the mean rate, by campaigns
    load: F64  # (S, D) [1] the same, as far as permits let it
    of_year: int  # how many of the days are of the year; 0 = it is over

    def amounts(self, rate: F64) -> F64:
        """Return what has gone out until each edge, (D+1,) [kg], by mean rates (S,) [kg/s]."""
        parts = rate @ self.load * np.diff(self.edge_s)
        return np.concatenate([[0.0], np.cumsum(parts)])

    def lengths(self, rate: F64) -> F64:
        """Return the time at mean rates that the days until each edge come to, (D+1,) [s]."""
        total = float(rate.sum())
        mean = rate / total if total > 0 else np.full(len(rate), 1.0 / max(len(rate), 1))
        return self.amounts(mean)

    def curbed(self, rate: F64) -> float:
        """Return what special periods keep from going out until the year ends [kg]."""
        less = (self.planned - self.load)[:, : self.of_year]
        return float((rate @ less) @ np.diff(self.edge_s)[: self.of_year]) if self.of_year else 0.0


@dataclass(frozen=True, slots=True)
class YearTotal:
    """A total of a year until now, and where it leads; NaN where something is not known."""

    booked: float  # [kg]
    booked_half_width: float  # [kg] by meters, analyses and factors
    estimated: float  # [kg] of the time nothing is known of
    estimated_half_width: float  # [kg]
    forecast: float  # [kg] at the end of the year
    forecast_half_width: float  # [kg]
    rate: float  # [kg/s]
    # [s] until what is allowed is used up: at the rate, and the ends of its interval.
    exhausted_in_s: tuple[float, float, float]


def pace_of(mass: F64, known_s: F64, elapsed_s: F64, usable: BOOL) -> BlockRate:
    """Return the rate of a total.

    Parameters
    ----------
    mass, known_s : (S, B) float64 [kg, s]
        booked of each source in each block, and the time it is known of
    elapsed_s : (B,) float64 [s]
        time of each block
    usable : (B,) bool
        blocks that are over and covered well enough for a rate

    Returns
    -------
    BlockRate
        without a usable block the rate is NaN, with fewer than three the scatter [2]_
    """
    mass, known_s, elapsed_s = mass[:, usable], known_s[:, usable], elapsed_s[usable]
    rates = ratio(mass, known_s)
    blocks = len(elapsed_s)
    length_s, sigma = float(elapsed_s.mean()) if blocks else np.nan, np.nan
    if blocks >= BLOCKS_MIN:
        total = rates.sum(axis=0)
        scatter = total.std(ddof=1) * np.sqrt(following(total - total.mean()))
        sigma = float(scatter) * length_s
    return BlockRate(ratio(mass.sum(axis=1), known_s.sum(axis=1)), blocks, length_s, sigma)


def year_total(
    booked: F64, booked_half_width: float, missing_s: F64, days: DaysAhead, pace: BlockRate,
    allowed: float,
) -> YearTotal:  # fmt: skip
    """Return a total and its forecast.

    Parameters
    ----------
    booked : (S,) float64 [kg]
        of each source in the year until now
    booked_half_width : float [kg]
        half the 95 % interval of their sum; NaN = not known
    missing_s : (S,) float64 [s]
        time of the year until now that nothing is known of, as time at the mean rate
    days : DaysAhead
    pace : BlockRate
    allowed : float [kg]
        in the whole year; NaN = nothing says so

    Returns
    -------
    YearTotal

    Notes
    -----
    What nothing is known of goes on at the mean rate of its source, with the scatter of the blocks
    as if all sources missed the longest time of one [3]_. The error of the meters stays: it is the
    same share of what is to come. What is planned is taken as it is planned, a limit of a special
    period as kept.
    """
    total = float(booked.sum())
    estimated = float(np.where(missing_s > 0, pace.rate * missing_s, 0.0).sum())
    longest_s = float(missing_s.max(initial=0.0))
    share = booked_half_width / total if total > 0 else 0.0 if booked_half_width == 0 else np.nan
    value = total + estimated + np.where(days.edge_s > 0, days.amounts(pace.rate), 0.0)
    unknown_s = np.where(days.edge_s > 0, days.lengths(pace.rate), 0.0) + longest_s
    scatter = np.where(unknown_s > 0, pace.half_width(unknown_s), 0.0)
    width = np.hypot(scatter, share * value)
    missing = float(pace.half_width(longest_s)) if longest_s > 0 else 0.0
    end = days.of_year
    curves = value, value + width, value - width
    middle, first, last = (_crossing(days.edge_s, each, allowed) for each in curves)
    return YearTotal(
        total, booked_half_width, estimated, missing, float(value[end]), float(width[end]),
        float(pace.rate.sum()), (middle, first, last),
    )  # fmt: skip


def _crossing(edge_s: F64, value: F64, allowed: float) -> float:
    """Return when a total by the day reaches a level [s]; a straight line between days.

    0 = it has; infinite = not within the days; NaN = not known.
    """
    if np.isnan(allowed) or np.isnan(value[-1]):
        return np.nan
    above = np.flatnonzero(value >= allowed)
    if not len(above):
        return np.inf
    at = int(above[0])
    if at == 0:
        return 0.0
    part = (allowed - value[at - 1]) / (value[at] - value[at - 1])
    return float(edge_s[at - 1] + part * (edge_s[at] - edge_s[at - 1]))


def judge(total: YearTotal, allowed: float, *, known: bool) -> str:
    """Return the state of a total against what is allowed.

    Parameters
    ----------
    total : YearTotal
    allowed : float [kg]
    known : bool
        every source has enough data

    Returns
    -------
    str
        ``exceeded`` where what is booked is above it by its whole interval, whatever else is not
        known; ``no_data``; ``will_exceed`` or ``within`` where the whole interval of the forecast
        lies on one side [1]_; else ``undecided``
    """
    if total.booked - total.booked_half_width > allowed:
        return EXCEEDED
    if not known:
        return NO_DATA
    if total.forecast - total.forecast_half_width > allowed:
        return WILL_EXCEED
    return WITHIN if total.forecast + total.forecast_half_width <= allowed else UNDECIDED
