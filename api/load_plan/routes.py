"""Load plans over HTTP: the query, prices and limits of power, and the computation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Depends, Query

from api.calculation.pool import LongCalculationRoute
from api.consumption.quarters import largest_demand, read_load
from api.context import AppContext, Context
from api.load_plan.answer import LoadPlanAnswer, Question, answer
from api.parameters import From
from api.problems import RESPONSES, invalid
from api.scenarios.answer import LiveState, live_state
from api.windows import ScopePath, parse_query
from deploy.database.times import to_us
from twin.arrays import DAY_US, F64, HOUR_US, MINUTE_US, SECOND_US
from twin.emissions.green_power import green_cover
from twin.energy.prices import ELECTRICITY, holder, make_schedule, tariffs_of
from twin.energy.supply import supply_of
from twin.planning.present import PlannableCells, compile_present, incomers_of, plannable, sites_of
from twin.planning.problem import Sites
from twin.planning.solver import no_plan, solve
from twin.scenario.network import compile_supply
from twin.series.windows import local
from twin.uom import compile_uom

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

HOURS_OF_DAY = 24
CNY_PER_KWH = compile_uom("CNY/kWh", "energy_price")[0]
MEGAWATT, KILOWATT = compile_uom("MW", "power")[0], compile_uom("kW", "power")[0]
Price = Annotated[float, Query(ge=0, le=100)]
Megawatts = Annotated[float | None, Query(ge=0, le=1e5)]


@dataclass(frozen=True, slots=True)
class PowerQuery:
    """What electricity should cost, and the limits of it."""

    price: list[float]
    demand_limit_mw: float | None
    demand_price: float | None
    peak_mw: float | None
    green_share: float


async def _power_query(
    price: Annotated[
        list[Price] | None,
        Query(max_length=HOURS_OF_DAY, description="CNY/kWh of the 24 hours of a day, or one"),
    ] = None,
    demand_limit_mw: Annotated[Megawatts, Query(description="most power bought")] = None,
    demand_price: Annotated[
        float | None,
        Query(ge=0, le=1e4, description="of a new peak of the month [CNY/kW]; that of the tariff"),
    ] = None,
    peak_mw: Annotated[
        Megawatts,
        Query(description="peak of the month so far; that which was measured, or is contracted"),
    ] = None,
    green_share: Annotated[
        float, Query(ge=0, le=1, description="least share of green power in what is bought")
    ] = 0.0,
) -> PowerQuery:
    if price and len(price) not in (1, HOURS_OF_DAY):
        raise invalid("price", f"there are {len(price)} of them", hint="24, or one for all hours")
    return PowerQuery(price or [], demand_limit_mw, demand_price, peak_mw, green_share)


@router.get("/{path:path}/load-plan")
async def read_load_plan(
    context: AppContext,
    path: ScopePath,
    power: Annotated[PowerQuery, Depends(_power_query)],
    hours: Annotated[int, Query(ge=1, le=168, description="length of the plan")] = 48,
    minutes: Annotated[Literal[15, 30, 60], Query(description="length of an interval")] = 60,
    from_: From = None,
) -> LoadPlanAnswer:
    """Return the cheapest loads of the electrolysers of a scope that keep all limits, as advice.

    Electricity by the hour, stocks of chlorine and caustic soda, demand of the users, ramps and
    least currents, headroom for the trip of the largest user, limit of power and green share are
    kept; the saving is against the present loads going on. The twin never writes to a plant.
    """
    context.require_scope(path)
    context.require_image()
    begin_us, times_us = _times(context, hours, minutes, None if from_ is None else to_us(from_))
    network = context.model.network
    meters = [network.index[meter.tag] for meter in network.park.meters if meter.role == "incomer"]
    state = await live_state(context, compile_supply(network), meters)
    cells, idle = plannable(network, path, state.value)
    intervals = len(times_us) - 1
    mend = "fewer hours, longer intervals or a smaller scope"
    count = len(cells) * intervals
    context.require_limit("hours", count, "load_plan_values_max", "loads to find", mend)
    question = Question(path, times_us, sites_of(network, path, cells) or (path,), idle)
    charges = [await _charge(context, power, site, begin_us) for site in question.sites]
    sites = _sites(state, power, question, cells, charges)
    present = compile_present(
        state.supply, state.start, path, cells, sites,
        interval_s=minutes * MINUTE_US / SECOND_US, wait_s=(begin_us - state.time_us) / SECOND_US,
    )  # fmt: skip
    limit_s = context.settings.load_plan_s
    plan = (
        await asyncio.to_thread(solve, present.problem, limit_s)
        if present.cells
        else no_plan(present.problem, "no electrolyser can be planned", ())
    )
    return answer(state, question, present, plan)


def _times(
    context: Context, hours: int, minutes: int, from_us: int | None
) -> tuple[int, list[int]]:
    """Return the beginning of a plan and the edges of its intervals [µs]."""
    length_us, now_us = minutes * MINUTE_US, context.now_us()
    begin_us = -(-(now_us if from_us is None else from_us) // length_us) * length_us
    if not now_us <= begin_us <= now_us + DAY_US:
        raise invalid("from", "it is not in the next 24 hours", hint="now, or a time before then")
    count = hours * HOUR_US // length_us
    return begin_us, [begin_us + k * length_us for k in range(count + 1)]


@dataclass(frozen=True, slots=True)
class _Charge:
    """What a new peak of the month costs a site; NaN = nothing is known of a peak so far."""

    price: float = 0.0  # [CNY/W]
    peak: float = np.nan  # [W]
    excess_over: float = np.inf  # [W]
    excess_price: float = 0.0  # [CNY/W] besides


async def _charge(context: Context, power: PowerQuery, site: str, begin_us: int) -> _Charge:
    """Return the charge of a new peak: as it was asked for, else by the tariff of a site."""
    network, zone = context.model.network, context.zone
    day = local(begin_us, zone).date()
    owner = holder(network.park, site, ELECTRICITY)
    # A peak is that of the supply a tariff is for: a part of it has none of its own.
    tariffs = tariffs_of(network.park, owner, ELECTRICITY) if owner == site else ()
    tariff = next((each for each in tariffs if each.first <= day <= each.last), None)
    if power.demand_price is not None:
        return _Charge(power.demand_price / KILOWATT)
    if tariff is None or not tariff.demand_price > 0:
        return _Charge()
    # What was measured of the month, and what is billed at least, cost nothing more.
    month = datetime.combine(day.replace(day=1), datetime.min.time(), zone)
    now = datetime.fromtimestamp(context.now_us() / SECOND_US, UTC)
    known = [tariff.contracted]
    if month < now:
        query = parse_query(context, owner, "month", month, now)
        load = await read_load(context, query, supply_of(network, owner).bought)
        known.append(float(largest_demand(load, len(query.edges) - 1).power[0]))
    peak = max((each for each in known if np.isfinite(each)), default=np.nan)
    over = tariff.contracted * tariff.excess_over
    if not np.isfinite(over):
        return _Charge(tariff.demand_price, peak)
    more = (tariff.excess_factor - 1) * tariff.demand_price
    return _Charge(tariff.demand_price, peak, over, more)


def _sites(
    state: LiveState,
    power: PowerQuery,
    question: Question,
    cells: tuple[PlannableCells, ...],
    charges: list[_Charge],
) -> Sites:
    """Return prices and limits of the power of each site."""
    network, names = state.supply.network, question.sites
    stated_mw = power.demand_limit_mw, power.peak_mw
    if len(names) > 1 and (any(each is not None for each in stated_mw) or power.demand_price):
        detail = f"{len(names)} sites buy electricity in this scope"
        raise invalid("demand_limit_mw", detail, hint="ask for one of them")
    bought = np.array(
        [
            sum(state.rate[network.index[m.tag]] for m in incomers_of(network, site))
            if incomers_of(network, site) else np.nan
            for site in names
        ],
        dtype=np.float64,
    )  # fmt: skip
    limit_mw, peak_mw = power.demand_limit_mw, power.peak_mw
    count = len(question.times_us) - 1
    nothing = np.zeros(len(names))
    peak = np.array([each.peak for each in charges])
    peak = np.where(np.isnan(peak), np.nan_to_num(bought), peak)
    ends = np.array([question.times_us[0], question.times_us[-1]])
    covers = [green_cover(network.park, site, ends, question.times_us[-1]) for site in names]
    return Sites(
        name=names,
        price=_prices(state, power, question, cells),
        other=np.repeat(bought[:, None], count, axis=1),
        limit=nothing + (np.inf if limit_mw is None else limit_mw * MEGAWATT),
        least=nothing - np.inf,
        peak=peak if peak_mw is None else nothing + peak_mw * MEGAWATT,
        demand_price=np.array([each.price for each in charges]),
        excess_over=np.array([each.excess_over for each in charges]),
        excess_price=np.array([each.excess_price for each in charges]),
        green_least=nothing + power.green_share,
        green_share=np.array([cover.share[0] for cover in covers]),
        green=np.array([cover.energy[0] for cover in covers]),
    )


def _prices(
    state: LiveState, power: PowerQuery, question: Question, cells: tuple[PlannableCells, ...]
) -> F64:
    """Return the price of electricity at each site in each interval, (B, T) [CNY/J]."""
    park = state.supply.network.park
    starts = question.times_us[:-1]
    if power.price:
        hour = np.array([local(edge, ZoneInfo(park.timezone)).hour for edge in starts])
        day = np.array(power.price * (HOURS_OF_DAY // len(power.price))) * CNY_PER_KWH
        return np.tile(day[hour], (len(question.sites), 1))
    stated = [each.spec.energy_price for each in cells if np.isfinite(each.spec.energy_price)]
    usual = stated[0] if stated else np.nan
    prices = np.full((len(question.sites), len(starts)), usual)
    for b, site in enumerate(question.sites):
        if owner := holder(park, site, ELECTRICITY):
            by_tariff = make_schedule(park, owner, ELECTRICITY, starts).price
            prices[b] = np.where(np.isnan(by_tariff), usual, by_tariff)
    if cells and np.isnan(prices).any():
        raise invalid("price", "there is no price of electricity", hint="give one, or 24")
    return np.asarray(np.nan_to_num(prices), np.float64)
