"""Costs of energy by the tariffs of the model: of any part of a scope, and the bill of a supply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from api.sums import Sums, read_sums
from twin.arrays import F64, I64, sum_at
from twin.energy.bills import rates_of
from twin.energy.prices import ELECTRICITY, PriceSchedule, holder, make_schedule, whole_hours
from twin.energy.supply import PowerSupply, mixed_rate, supply_of
from twin.model.meters import counts
from twin.model.park import inside
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from api.context import Context
    from api.windows import WindowQuery
    from twin.accounts.network import Network

NO_TARIFF = "no tariff holds"
NO_INCOMER = "what is bought has no meter of its own"
NO_CAPTIVE_COST = "captive_cost or sold_price of the tariff is not stated"


@dataclass(frozen=True, slots=True)
class Prices:
    """Tariffs of a park over the C intervals of some windows."""

    query: WindowQuery  # of W windows
    cells: Sums  # (C, U)
    window: I64  # (C,)
    amount: F64  # (C, T) of the tags that were read, else NaN; 0 without data
    schedules: dict[tuple[str, str], PriceSchedule]  # by scope and carrier
    supplies: dict[str, PowerSupply]  # by scope


@dataclass(frozen=True, slots=True)
class Cost:
    """What some energy costs in W windows: weights of the amounts of its tags."""

    weight: F64  # (W, T) [CNY/SI]; NaN = not known
    reason: str  # why it is not known


def supplies_in(network: Network, scope: str) -> dict[str, PowerSupply]:
    """Return the supplies of electricity that a scope has inside it, or is a part of."""
    park = network.park
    holders = dict.fromkeys(holder(park, each.id, ELECTRICITY) for each in park.scopes)
    return {
        each: supply_of(network, each)
        for each in holders
        if each and (inside(each, scope) or each == holder(park, scope, ELECTRICITY))
    }


async def read_prices(context: Context, query: WindowQuery, tags: I64) -> Prices:
    """Return the tariffs over the windows of a query, and the amounts of some tags by interval.

    Intervals are hours, or quarters of hours where a tariff or the windows ask for them; raises
    StoreError.
    """
    network = query.network
    supplies = supplies_in(network, query.scope)
    for supply in supplies.values():
        used = supply.bought + supply.made + supply.sold
        tags = np.union1d(tags, np.flatnonzero(used))
    fine = query.window in ("quarter_hour", "shift") or not all(
        whole_hours(network.park, scope) for scope in supplies
    )
    window = "quarter_hour" if fine else "hour"
    first_us, last_us = int(query.edges[0]), int(query.edges[-1])
    edges = w.edges(window, first_us, last_us, query.zone.key)
    # Nothing is to be read of the time to come.
    passed = max(int(np.searchsorted(edges, query.now_us)), 1)
    edges = edges[: passed + 1]
    cells = await read_sums(context, replace(query, window=window, edges=edges), tags)
    amount = np.full((len(edges) - 1, len(network.tags)), np.nan)
    amount[:, tags] = np.nan_to_num(cells.amount)
    at = np.searchsorted(query.edges, edges[:-1], "right") - 1
    schedules = {
        key: make_schedule(network.park, *key, edges[:-1].tolist())
        for key in _holders(network, query.scope)
    }
    return Prices(query, cells, at, amount, schedules, supplies)


def _holders(network: Network, scope: str) -> Iterable[tuple[str, str]]:
    """Return scope and carrier of the tariffs that meters inside a scope are priced by."""
    meters = [m for m in network.meters.meters if inside(m.scope, scope)]
    known = ((holder(network.park, m.scope, m.carrier), m.carrier) for m in meters)
    return dict.fromkeys(key for key in known if key[0])


def cost_of(prices: Prices, scope: str, carrier: str) -> Cost:
    """Return what the energy of a carrier costs a scope, as weights of the amounts of its tags.

    Every meter that counts in the scope has the price of the nearest tariff at or above it. Where
    that is the supply of the meter, bought, made and sold amounts have their own rates; a part of a
    supply pays the mix of the interval. Basic charges and power factor are of the whole supply.
    """
    rate, used = np.zeros(prices.amount.shape), np.zeros(prices.amount.shape[1], bool)
    reasons: list[str] = []
    for term in _terms(prices, scope, carrier):
        rate[:, term.tag] += term.rate
        used[term.tag] = True
        reasons.append(term.reason)
    weight = np.zeros((len(prices.query.edges) - 1, len(used)))
    for tag in np.flatnonzero(used).tolist():
        amount = prices.amount[:, tag]
        spent = np.where(amount != 0, amount * rate[:, tag], 0.0)
        cost, whole = (sum_at(n, prices.window, len(weight)) for n in (spent, amount))
        weight[:, tag] = np.where(whole != 0, cost / np.where(whole != 0, whole, 1.0), 0.0)
    return Cost(weight, next(filter(None, reasons), ""))


class _Term(NamedTuple):
    """A part of a cost: the rate of a tag (C,) [CNY/SI], and why it is not known."""

    tag: int
    rate: F64
    reason: str


def _terms(prices: Prices, scope: str, carrier: str) -> Iterator[_Term]:
    """Yield the parts of the cost of a carrier in a scope."""
    network = prices.query.network
    trees = network.meters
    for at, meter in enumerate(trees.meters):
        if meter.carrier != carrier or not counts(trees, at, scope):
            continue
        owner, tag = holder(network.park, meter.scope, carrier), network.index[meter.tag]
        schedule = prices.schedules.get((owner, carrier))
        if schedule is None:
            yield _Term(tag, np.full(len(prices.amount), np.nan), NO_TARIFF)
        elif carrier != ELECTRICITY:
            yield _Term(tag, meter.sign * schedule.price, _ended(schedule))
        elif not inside(owner, scope):
            supply = prices.supplies[owner]
            rate = mixed_rate(supply, rates_of(schedule), prices.amount)
            yield _Term(tag, meter.sign * rate, why_unknown(supply, schedule))
    if carrier == ELECTRICITY:
        for owner in prices.supplies:
            if inside(owner, scope):
                yield from _whole(prices.supplies[owner], prices.schedules[owner, carrier])


def _whole(supply: PowerSupply, schedule: PriceSchedule) -> Iterator[_Term]:
    """Yield the parts of the cost of a whole supply."""
    rates, reason = rates_of(schedule), why_unknown(supply, schedule)
    parts = (supply.bought, rates.bought), (supply.made, rates.made), (supply.sold, rates.sold)
    for weight, rate in parts:
        for tag in np.flatnonzero(weight).tolist():
            yield _Term(tag, weight[tag] * rate, reason)


def _ended(schedule: PriceSchedule) -> str:
    return NO_TARIFF if (schedule.tariff < 0).any() else ""


def why_unknown(supply: PowerSupply, schedule: PriceSchedule) -> str:
    """Return why the cost of a supply is not known; empty where it is."""
    if not supply.is_known:
        return NO_INCOMER
    rates = rates_of(schedule)
    parts = (supply.made, rates.made), (supply.sold, rates.sold)
    held = schedule.tariff >= 0
    if any(weight.any() and np.isnan(rate[held]).any() for weight, rate in parts):
        return NO_CAPTIVE_COST
    return _ended(schedule)
