"""Bills of electricity: energy by period, own power, sold power, basic charge, power factor.

References
----------
.. [1] 关于第三监管周期省级电网输配电价及有关事项的通知, 发改价格〔2023〕526号: the basic charge by
   the largest demand of the month, or by the capacity of transformers.
.. [2] 功率因数调整电费办法, 水电财字〔1983〕215号.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import BOOL, F64, I64, sum_at
from twin.energy.prices import PERIODS, PriceSchedule, Tariff
from twin.reference import load as load_reference

# A power factor counts in hundredths.
DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Rates:
    """What each amount of an interval costs, (C,) [CNY/J]; NaN = not known."""

    bought: F64  # with its surcharges
    made: F64  # own power: what it costs to make, and its surcharge
    sold: F64  # what is given to the grid: its price and the surcharge of own power, negative


@dataclass(frozen=True, slots=True)
class Charges:
    """What bought energy costs by period in W windows."""

    energy: F64  # (W, P) [J] by `PERIODS`
    charge: F64  # (W, P) [CNY] without surcharges
    surcharge: F64  # (W,) [CNY]


def rates_of(schedule: PriceSchedule) -> Rates:
    """Return the rates of the intervals of a schedule.

    Own power costs what it costs to make, and what is used of it the surcharge of captive plants:
    made and sold amounts have one rate each, so that the sum is linear in them.
    """
    tariffs = schedule.tariffs
    surcharge = schedule.rates([each.captive_surcharge for each in tariffs])
    return Rates(
        schedule.price,
        schedule.rates([each.captive_cost for each in tariffs]) + surcharge,
        -schedule.rates([each.sold_price for each in tariffs]) - surcharge,
    )


def charge_periods(schedule: PriceSchedule, bought: F64, window: I64, count: int) -> Charges:
    """Return what bought energy costs by the periods of the day.

    Parameters
    ----------
    schedule : PriceSchedule               of C intervals
    bought : (C,) float64 [J]         in each interval
    window : (C,) int64               the window each interval lies in; the periods share none
    count : int                       W

    Returns
    -------
    Charges
        intervals without a tariff have no part in it
    """
    held = schedule.tariff >= 0
    cell = window[held] * len(PERIODS) + schedule.period[held]
    extra = schedule.rates([sum(each.surcharges.values()) for each in schedule.tariffs])
    price = schedule.price - extra

    def total(part: F64) -> F64:
        return sum_at(part[held], cell, count * len(PERIODS)).reshape(count, len(PERIODS))

    surcharges = sum_at((bought * extra)[held], window[held], count)
    return Charges(total(bought), total(bought * price), surcharges)


def basic_charge(tariff: Tariff, demand: F64) -> F64:
    """Return the basic charge of months.

    Parameters
    ----------
    tariff : Tariff
    demand : (...) float64 [W]   largest demand of each month; NaN = not known

    Returns
    -------
    (...) float64 [CNY]          0 without a basic charge

    Notes
    -----
    By capacity it is capacity times price. By demand it is the demand times the price, or, where a
    demand is contracted, the contracted one at least; what lies above `excess_over` times of it
    counts `excess_factor` times [1]_.
    """
    if tariff.capacity_price > 0:
        return np.full(np.shape(demand), tariff.capacity * tariff.capacity_price)
    if not tariff.demand_price > 0:
        return np.zeros(np.shape(demand))
    billed = demand
    if tariff.contracted > 0:
        allowed = tariff.contracted * tariff.excess_over
        excess = np.maximum(demand - allowed, 0.0)
        billed = np.maximum(demand, tariff.contracted) + (tariff.excess_factor - 1) * excess
    return np.asarray(billed * tariff.demand_price)


def power_factor(active: F64, reactive: F64) -> F64:
    """Return the mean power factor of active and reactive energy.

    Parameters
    ----------
    active : (...) float64 [J]
    reactive : (...) float64 [var s]

    Returns
    -------
    (...) float64 [1]   NaN without active energy
    """
    apparent = np.hypot(active, reactive)
    some: BOOL = (active > 0) & (apparent > 0)
    return np.asarray(np.where(some, active / np.where(some, apparent, 1.0), np.nan))


def power_factor_share(least: float, factor: F64) -> F64:
    """Return the share that the power factor adds to energy and basic charges; < 0 is a rebate.

    Parameters
    ----------
    least : float [1]               the standard of the tariff: 0.9, 0.85, 0.8
    factor : (...) float64 [1]      of the month; NaN = not known

    Returns
    -------
    (...) float64 [1]

    Notes
    -----
    By the table of the standard at the factor rounded to hundredths [2]_.
    """
    rows = load_reference("tariffs")["power_factor"]
    points = next(row["points"] for row in rows if np.isclose(row["least"], least))
    at, share = np.array(points).T
    return np.asarray(np.interp(np.round(factor, DECIMALS), at, share, left=np.nan, right=np.nan))
