"""The bill of a supply of electricity: energy by period, own power, basic charge, power factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from typing_extensions import TypedDict

from api.answers import (
    HalfWidth,
    Number,
    formula,
    records,
)
from api.consumption.cost import why_unknown
from api.consumption.power_factor import read_factor
from api.consumption.quarters import largest_demand, read_load
from api.encode import KWH, out
from twin.arrays import F64, ratio, sum_at
from twin.emissions.green_power import green_premium
from twin.energy.bills import basic_charge, charge_periods, power_factor_share, rates_of
from twin.energy.prices import ELECTRICITY, PERIODS, PriceSchedule, Tariff
from twin.model.park import inside
from twin.uom import compile_uom

if TYPE_CHECKING:
    from api.consumption.cost import Prices
    from api.context import Context
    from twin.energy.supply import PowerSupply

NO_DATA = "no data: {}"
PART_UNKNOWN = "a part of it is not known: see the demand and the power factor"
KW = compile_uom("kW", "power")
Item = Literal[
    "critical_peak", "peak", "flat", "valley", "deep_valley", "surcharge", "own_power",
    "sold_power", "green_power", "basic", "power_factor", "total",
]  # fmt: skip


class BillLine(TypedDict):
    """An item of the bill of a supply; basic charge, power factor and total are of whole months.

    The total of a month that runs is that so far, with the basic charge of the whole month.
    """

    supply: str
    item: Item
    kwh: Annotated[
        Number,
        formula(
            "energy of the item: sum of the amounts of the meters of the supply in its "
            "hours; null of other items"
        ),
    ]
    kw: Annotated[
        Number, formula("largest mean power of a quarter of an hour, of a basic charge by demand")
    ]
    power_factor: Annotated[Number, formula("active / root of active² + reactive², of the month")]
    cny: Annotated[
        Number,
        formula(
            "energy x price of its period; basic: demand or capacity x price of a month; power"
            " factor: share of its table x (energy + basic); total: sum of all"
        ),
    ]
    cny_ci: HalfWidth
    reason: str


Bill = list[list[BillLine]]  # by window


@dataclass(frozen=True, slots=True)
class _Part:
    """An item of a bill in W windows, (W,)."""

    item: Item
    cost: F64  # [CNY]; NaN = not known
    ci: F64  # [CNY]
    energy: F64 | None = None  # [J]
    demand: F64 | None = None  # [W]
    factor: F64 | None = None  # [1]
    lost: tuple[str, ...] = ()  # why nothing is known of it, by window; empty = it is


async def make_bills(context: Context, prices: Prices) -> dict[str, Bill]:
    """Return the bills of the supplies inside the scope of a query; raises StoreError."""
    supplies = prices.supplies.items()
    return {
        owner: await _bill(context, prices, owner, supply)
        for owner, supply in supplies
        if inside(owner, prices.query.scope)
    }


async def _bill(context: Context, prices: Prices, owner: str, supply: PowerSupply) -> Bill:
    """Return the bill of one supply."""
    schedule, count = prices.schedules[owner, ELECTRICITY], len(prices.query.edges) - 1
    reason = why_unknown(supply, schedule)
    parts = [*_energy(prices, supply, schedule), *_green(prices, owner, supply)]
    if prices.query.window == "month":
        basic, adjustment = await _of_month(context, prices, supply, schedule, parts)
        own_ci = np.sum([part.ci for part in parts], axis=0)
        parts += [basic, adjustment]
        total_ci = np.hypot(np.hypot(own_ci, basic.ci), adjustment.ci)
        parts.append(_Part("total", np.sum([part.cost for part in parts], axis=0), total_ci))
    columns = [_lines(owner, part, count, reason) for part in parts]
    return [list(window) for window in zip(*columns, strict=True)]


def _lines(owner: str, part: _Part, count: int, reason: str) -> list[BillLine]:
    """Return one item by window."""
    unknown = np.isnan(part.cost)
    return records(
        BillLine,
        count,
        {
            "supply": owner,
            "item": part.item,
            "kwh": None if part.energy is None else out(part.energy, KWH),
            "kw": None if part.demand is None else out(part.demand, KW),
            "power_factor": None if part.factor is None else out(part.factor),
            "cny": out(part.cost),
            "cny_ci": out(np.where(unknown, np.nan, part.ci)),
            "reason": [
                (reason or lost or PART_UNKNOWN) if each else ""
                for each, lost in zip(unknown.tolist(), part.lost or [""] * count, strict=True)
            ],
        },
    )


def _energy(prices: Prices, supply: PowerSupply, schedule: PriceSchedule) -> list[_Part]:
    """Return the items of bought energy by period, its surcharges, own and sold power."""
    count, rates = len(prices.query.edges) - 1, rates_of(schedule)
    bought, ci = _weigh(prices, supply.bought)
    charges = charge_periods(schedule, bought, prices.window, count)
    lost = _lost(prices, supply.bought)
    parts = [
        _part(period, charges.charge[:, at], ci, charges.energy[:, at], lost)
        for at, period in enumerate(PERIODS)
    ]
    parts.append(_part("surcharge", charges.surcharge, ci, charges.energy.sum(axis=1), lost))
    more: tuple[tuple[Item, F64, F64], ...] = (
        ("own_power", supply.made, rates.made), ("sold_power", supply.sold, rates.sold),
    )  # fmt: skip
    for item, weight, rate in more:
        if weight.any():
            amount, ci = _weigh(prices, weight)
            spent = np.where(amount != 0, amount * rate, 0.0)
            energy, cost = (sum_at(n, prices.window, count) for n in (amount, spent))
            parts.append(_part(item, cost, ci, energy, _lost(prices, weight)))
    return parts


def _part(item: Item, cost: F64, ci: F64, energy: F64, lost: tuple[str, ...]) -> _Part:
    """Return an item that is not known in windows of which there is no data."""
    known = np.array([not each for each in lost])
    cost, energy = (np.where(known, each, np.nan) for each in (cost, energy))
    return _Part(item, cost, ci * np.abs(cost), energy, lost=lost)


def _lost(prices: Prices, weight: F64) -> tuple[str, ...]:
    """Return of each window which tags of a sum have no data in it, as a reason; empty = none."""
    cells, count = prices.cells, len(prices.query.edges) - 1
    column = np.searchsorted(cells.tags, np.flatnonzero(weight))
    covered = np.array(
        [sum_at(cells.covered_s[:, u], prices.window, count) for u in column.tolist()]
    )
    names = [cells.network.tags[tag].address for tag in cells.tags[column].tolist()]
    lacking = [[n for n, c in zip(names, at, strict=True) if c == 0] for at in covered.T.tolist()]
    return tuple(
        NO_DATA.format(", ".join(each)) if each else "" for each in lacking or [[]] * count
    )


def _weigh(prices: Prices, weight: F64) -> tuple[F64, F64]:
    """Return a weighted sum in each interval (C,), and its relative half width in windows (W,)."""
    used, count = weight != 0, len(prices.query.edges) - 1
    amount = np.asarray(prices.amount[:, used] @ weight[used])
    # What stays of the errors of a meter is one error in all intervals: they add up, at most.
    width = np.nan_to_num(prices.cells.ci("", weight))
    whole, half = (sum_at(n, prices.window, count) for n in (amount, width))
    return amount, np.nan_to_num(ratio(half, np.abs(whole)))


def _green(prices: Prices, owner: str, supply: PowerSupply) -> list[_Part]:
    """Return the premium of green power, where some has a price."""
    query, count = prices.query, len(prices.query.edges) - 1
    amount, _ = _weigh(prices, supply.bought)
    bought = sum_at(amount, prices.window, count)
    lost = _lost(prices, supply.bought)
    until_us = min(int(query.edges[-1]), query.expected_us)
    energy, cost = green_premium(query.network.park, owner, query.edges, until_us, bought)
    some = cost.any()
    return [_part("green_power", cost, np.zeros(count), energy, lost)] if some else []


async def _of_month(
    context: Context,
    prices: Prices,
    supply: PowerSupply,
    schedule: PriceSchedule,
    parts: list[_Part],
) -> tuple[_Part, _Part]:
    """Return basic charge and adjustment by the power factor of months."""
    query, count = prices.query, len(prices.query.edges) - 1
    tariffs = _tariffs(schedule, prices, count)
    power, power_ci = np.full((2, count), np.nan)
    if any(each is not None and each.demand_price > 0 for each in tariffs):
        demand = largest_demand(await read_load(context, query, supply.bought), count)
        power, power_ci = demand.power, demand.ci
    basic, upper = (
        np.array([_basic(each, p) for each, p in zip(tariffs, at.tolist(), strict=True)])
        for at in (power, power + power_ci)
    )
    basic_ci = np.nan_to_num(upper - basic)
    factor = await read_factor(context, query, supply.incomers)
    base = basic + np.sum([part.cost for part in parts if part.item in PERIODS], axis=0)
    low, share, high = (
        np.array([_share(each, f) for each, f in zip(tariffs, at.tolist(), strict=True)])
        for at in (factor.factor - factor.ci, factor.factor, factor.factor + factor.ci)
    )
    off = np.maximum(np.abs(low - share), np.abs(high - share))
    return (
        _Part("basic", basic, basic_ci, demand=power),
        _Part("power_factor", share * base, np.nan_to_num(off) * base, factor=factor.factor),
    )


def _tariffs(schedule: PriceSchedule, prices: Prices, count: int) -> list[Tariff | None]:
    """Return the tariff of each window: the last that held in it."""
    result: list[Tariff | None] = [None] * count
    for window, at in zip(prices.window.tolist(), schedule.tariff.tolist(), strict=True):
        result[window] = schedule.tariffs[at] if at >= 0 else None
    return result


def _basic(tariff: Tariff | None, demand: float) -> float:
    return np.nan if tariff is None else float(basic_charge(tariff, np.array(demand)))


def _share(tariff: Tariff | None, factor: float) -> float:
    """Return the share that a power factor adds; nothing by a tariff without a standard."""
    if tariff is None:
        return np.nan
    least = tariff.power_factor
    return 0.0 if np.isnan(least) else float(power_factor_share(least, np.array(min(factor, 1.0))))
