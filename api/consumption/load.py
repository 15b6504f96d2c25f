"""Load of a scope: demand against the contract, load curve, power factor, standby."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, cast

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    HalfWidth,
    Number,
    Rfc3339,
    Share,
    Verdict,
    WindowAnswer,
    WindowRow,
    formula,
    records,
)
from api.calculation.pool import CalculationRoute
from api.consumption.power_factor import read_factor
from api.consumption.quarters import Load, largest_demand, read_load
from api.context import AppContext, Context
from api.encode import HOUR, KWH, T_PER_H, number, out, rfc3339
from api.parameters import From, To
from api.problems import RESPONSES
from api.sums import read_sums
from api.windows import Monthly, ScopePath, WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.accounts.demand import CELL_US, QUARTER_US, forecast_demand
from twin.arrays import BOOL, F64, MINUTE_US, SECOND_US, ratio, sum_at
from twin.energy.bills import power_factor_share
from twin.energy.load import duration_curve, is_idle
from twin.energy.prices import ELECTRICITY, Tariff, tariffs_of
from twin.model.meters import counts
from twin.model.park import Meter, products_near
from twin.reconciliation.uncertainty import weights
from twin.series import windows as w
from twin.targets import WORDS, verdict
from twin.uom import compile_uom

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

KW = compile_uom("kW", "power")
KVARH = compile_uom("kvarh", "reactive_energy")
MEMORY_US = 2 * QUARTER_US
PERCENTS = 101
Interval = Annotated[
    Literal["quarter_hour", "hour"], Query(description="length of a row, on the park's clock")
]
DayWindow = Annotated[
    Literal["hour", "shift", "day", "month"],
    Query(description="length of a row, on the park's clock"),
]
IdleBelow = Annotated[
    float, Query(ge=0, le=1, description="share of the largest hourly production that is idle")
]
NO_PRODUCT = "nothing with a meter is made in this scope"
NOT_MADE = "nothing was made in this time, or it is not known"
NO_MINUTES = "the last half hour has no data"


class DemandRow(WindowRow):
    """The largest demand of a scope in one month: the mean power of a quarter of an hour."""

    max_demand_kw: Annotated[
        Number, formula("largest of energy / 15 min over the quarters of the month")
    ]
    max_demand_ci_kw: HalfWidth
    at: Annotated[str | None, Field(description="when that quarter began")]
    contracted_kw: Given[Annotated[Number, Field(description="by the tariff of the scope")]]
    headroom_kw: Annotated[Number, formula("contracted - largest demand")]
    verdict: Annotated[Verdict | None, Field(description="within the contract; null without one")]


class RunningDemand(TypedDict):
    """The quarter of an hour that runs, by the minutes that are stored."""

    start: Rfc3339
    end: Rfc3339
    so_far_kw: Annotated[Number, formula("energy of the minutes stored / their time")]
    forecast_kw: Annotated[
        Number,
        formula("(measured part + mean of the last 3 minutes x the part to come) / 15 min"),
    ]
    forecast_ci_kw: Annotated[
        Number, formula("half width, 95 %, of the load to come and of the meters")
    ]
    contracted_kw: Given[Number]
    headroom_kw: Annotated[Number, formula("contracted - forecast")]
    verdict: Annotated[Verdict | None, Field(description="whether it stays within the contract")]
    reason: str


class DemandAnswer(WindowAnswer):
    """The electricity demand of a scope."""

    items: list[DemandRow]
    running: RunningDemand


class LoadRow(WindowRow):
    """The mean power of a scope in one interval."""

    power_kw: Annotated[Number, formula("energy / length of the interval")]
    power_ci_kw: HalfWidth


class DurationPoint(TypedDict):
    """A point of the duration curve: the power reached or exceeded in a share of the time."""

    share: Given[Share]
    power_kw: Annotated[Number, formula("quantile of the mean powers of the intervals")]


class LoadAnswer(WindowAnswer):
    """The load of a scope: by time, and sorted; figures of the whole time are of what is known."""

    items: list[LoadRow]
    duration: list[DurationPoint]
    max_kw: Annotated[Number, formula("greatest mean power of an interval")]
    mean_kw: Annotated[Number, formula("energy / time that is known")]
    min_kw: Annotated[Number, formula("least mean power of an interval")]
    load_factor: Annotated[Number, formula("mean / largest power")]


class FactorRow(WindowRow):
    """The mean power factor of a meter, or of all that a scope takes through (``total``)."""

    meter: str
    active_kwh: Annotated[Number, formula("sum of the amounts of the meter of active energy")]
    reactive_kvarh: Annotated[Number, formula("sum of the amounts of the meter of reactive energy")]
    power_factor: Annotated[Number, formula("active / root of active² + reactive² energy")]
    power_factor_ci: HalfWidth
    least: Given[Annotated[Number, Field(description="standard of the tariff of the scope")]]
    adjustment_share: Annotated[Number, formula("by the table of the power factor of the tariff")]
    verdict: Annotated[Verdict | None, Field(description="at least the standard; null without")]
    reason: str


class FactorAnswer(WindowAnswer):
    """The power factor of a scope."""

    items: list[FactorRow]


class StandbyRow(WindowRow):
    """Electricity while production stands still: in hours in which it is idle."""

    idle_h: Annotated[Number, formula("hours with a production up to the limit")]
    idle_kwh: Annotated[Number, formula("sum over the idle hours of what is taken")]
    idle_ci_kwh: HalfWidth
    idle_kw: Annotated[Number, formula("idle energy / idle time")]
    running_kw: Annotated[Number, formula("other energy / other time")]
    share: Annotated[Number, formula("idle energy over all energy")]
    reason: str


class StandbyAnswer(WindowAnswer):
    """Standby losses of a scope by a stated rule."""

    products: list[str]
    idle_below_t_per_h: Given[
        Annotated[Number, Field(description="an hour is idle up to this production")]
    ]
    items: list[StandbyRow]


@router.get("/{path:path}/demand")
async def read_demand(context: AppContext, query: Monthly) -> DemandAnswer:
    """Return the largest demand of months against the contract, and that of the running quarter.

    A quarter of an hour takes part when enough of it is covered for a verdict. The running quarter
    is that of the newest minute that is stored.
    """
    weight, count = taken_of(query), len(query.edges) - 1
    demand = largest_demand(await read_load(context, query, weight), count)
    limit = np.array([_contracted(each) for each in _tariffs(query)])
    known = ~np.isnan(demand.power)
    # More than the contract is certain, however much is missing.
    enough = demand.share >= context.settings.verdict_completeness
    decisive = known & (enough | (demand.power > limit))
    starts = demand.start_us.tolist()
    columns = await _trust(context, query, weight, known) | {
        "max_demand_kw": out(demand.power, KW),
        "max_demand_ci_kw": out(demand.ci, KW),
        "at": [rfc3339(at, query.zone) if at >= 0 else None for at in starts],
        "contracted_kw": out(limit, KW),
        "headroom_kw": out(limit - demand.power, KW),
        "verdict": _within(demand.power, limit, demand.ci, decisive=decisive),
    }
    running = await _running(context, query, weight)
    return query.answer(DemandAnswer, [query.rows(DemandRow, columns)], running=running)


@router.get("/{path:path}/load-curve")
async def read_load_curve(
    context: AppContext,
    path: ScopePath,
    window: Interval = "quarter_hour",
    from_: From = None,
    to: To = None,
) -> LoadAnswer:
    """Return the electric load of a scope by time, and the duration curve of the same time."""
    query = parse_query(context, path, window, from_, to)
    weight = taken_of(query)
    load = await read_load(context, query, weight, window)
    power, ci = (_padded(each, query) for each in (load.power, load.ci))
    known, shares = ~np.isnan(power), np.linspace(0.0, 1.0, PERCENTS)
    columns = await _trust(context, query, weight, known)
    columns |= {"power_kw": out(power, KW), "power_ci_kw": out(ci, KW)}
    curve = duration_curve(power, shares)
    mean = float(np.mean(power[known])) if known.any() else np.nan
    points = {"share": out(shares), "power_kw": out(curve, KW)}
    return query.answer(
        LoadAnswer,
        [query.rows(LoadRow, columns)],
        duration=records(DurationPoint, PERCENTS, points),
        max_kw=number(curve[0], KW),
        mean_kw=number(mean, KW),
        min_kw=number(curve[-1], KW),
        load_factor=number(ratio(mean, curve[0])),
    )


@router.get("/{path:path}/power-factor")
async def read_power_factor(
    context: AppContext,
    path: ScopePath,
    window: DayWindow = "month",
    from_: From = None,
    to: To = None,
) -> FactorAnswer:
    """Return the power factor of each meter a scope takes electricity through, and of all."""
    query = parse_query(context, path, window, from_, to)
    meters = _meters(query)
    groups = {meter.label: [meter] for meter in meters if meter.reactive}
    groups |= {"total": meters} if meters else {}
    rows = [await _factor_rows(context, query, name, each) for name, each in groups.items()]
    return query.answer(FactorAnswer, rows)


@router.get("/{path:path}/standby")
async def read_standby(
    context: AppContext,
    path: ScopePath,
    window: Literal["day", "month"] = "day",
    from_: From = None,
    to: To = None,
    idle_below: IdleBelow = 0.05,
) -> StandbyAnswer:
    """Return what a scope takes while its production is idle, by hours.

    An hour is idle when the products of the scope together come to no more than a share of the
    largest hour of the time that is asked about. Hours in which production is not known are not.
    """
    query = parse_query(context, path, window, from_, to)
    taken, count = taken_of(query), len(query.edges) - 1
    made, products = production_of(query)
    load = await read_load(context, query, taken, "hour")
    rate = (await read_load(context, query, made, "hour")).power
    largest = float(np.nanmax(rate, initial=0.0))
    reason = NOT_MADE if products else NO_PRODUCT
    known = np.full(count, largest > 0) & taken.any()
    idle = _idle(load, is_idle(rate, idle_below), count)
    rows = query.rows(
        StandbyRow,
        {name: np.where(known, column, np.nan) for name, column in idle.items()}
        | {"reason": np.where(known, "", reason).tolist()}
        | await _trust(context, query, taken + made, known),
    )
    return query.answer(
        StandbyAnswer,
        [rows],
        products=products,
        idle_below_t_per_h=number(idle_below * largest, T_PER_H) if largest > 0 else None,
    )


def _idle(load: Load, idle: BOOL, count: int) -> dict[str, F64]:
    """Return the figures of idle and other hours in each of `count` windows, (W,)."""
    known = ~np.isnan(load.power)
    hours_s = np.diff(load.edges) / SECOND_US
    energy, width = (np.where(known, each * hours_s, 0.0) for each in (load.power, load.ci))

    def total(part: F64, some: BOOL) -> F64:
        return sum_at(np.where(some & known, part, 0.0), load.window, count)

    used, spent_s = total(energy, idle), total(hours_s, idle)
    running, running_s = total(energy, ~idle), total(hours_s, ~idle)
    return {
        "idle_h": out(spent_s, HOUR),
        "idle_kwh": out(used, KWH),
        # One meter errs alike in all hours.
        "idle_ci_kwh": out(total(width, idle), KWH),
        "idle_kw": out(ratio(used, spent_s), KW),
        "running_kw": out(ratio(running, running_s), KW),
        "share": out(ratio(used, used + running)),
    }


def production_of(query: WindowQuery) -> tuple[F64, list[str]]:
    """Return the weights of the tags in all that is made in a scope, (T,), and its products."""
    network = query.network
    products = [
        each
        for each in dict.fromkeys(products_near(network.park, query.scope))
        if Account(query.scope, each, "mass") in network.accounts
    ]
    terms = {Account(query.scope, each, "mass"): 1.0 for each in products}
    return weights(network, terms), products


def _meters(query: WindowQuery) -> list[Meter]:
    """Return the meters a scope takes electricity through: at the top of its trees, no sold."""
    trees = query.network.meters
    return [
        meter
        for at, meter in enumerate(trees.meters)
        if meter.carrier == ELECTRICITY
        and meter.role in ("incomer", "feeder")
        and counts(trees, at, query.scope)
    ]


def taken_of(query: WindowQuery) -> F64:
    """Return the weights of the tags in the electricity a scope takes, (T,)."""
    weight = np.zeros(len(query.network.tags))
    for meter in _meters(query):
        weight[query.network.index[meter.tag]] += 1.0
    return weight


def _tariff_at(query: WindowQuery, time_us: int) -> Tariff | None:
    """Return the tariff of electricity that the scope itself has at a time."""
    day = w.local(time_us, query.zone).date()
    rows = tariffs_of(query.network.park, query.scope, ELECTRICITY)
    return next((row for row in rows if row.first <= day <= row.last), None)


def _tariffs(query: WindowQuery) -> list[Tariff | None]:
    """Return the tariff at the end of each window, or now."""
    ends = np.minimum(query.edges[1:] - 1, query.now_us)
    return [_tariff_at(query, each) for each in ends.tolist()]


def _contracted(tariff: Tariff | None) -> float:
    return np.nan if tariff is None else tariff.contracted


async def _trust(context: Context, query: WindowQuery, weight: F64, known: BOOL) -> dict[str, Any]:
    """Return completeness, quality and missing tags of the meters with a weight."""
    sums = await read_sums(context, query, np.flatnonzero(weight))
    return sums.trust(np.arange(len(sums.tags)), known)


def _padded(column: F64, query: WindowQuery) -> F64:
    """Return a column of intervals that have begun with those that have not, as unknown."""
    ahead = len(query.edges) - 1 - len(column)
    return np.concatenate([column, np.full(ahead, np.nan)])


def _within(
    value: F64, limit: F64, ci: F64, *, decisive: BOOL, at_most: bool = True
) -> list[str | None]:
    """Return the verdicts on values against limits (W,); None where there is no limit."""
    codes = verdict(value, limit, np.array(at_most), ci, decisive=decisive)
    return [
        None if np.isnan(bound) else WORDS[code]
        for code, bound in zip(codes.tolist(), limit.tolist(), strict=True)
    ]


async def _running(context: Context, query: WindowQuery, weight: F64) -> RunningDemand:
    """Return the forecast of the quarter of the newest minute that is stored."""
    stop_us = query.expected_us // MINUTE_US * MINUTE_US
    begin_us = stop_us // QUARTER_US * QUARTER_US - MEMORY_US
    last = replace(query, edges=np.array([begin_us, stop_us]))
    load = await read_load(context, last, weight, "minute")
    known = np.flatnonzero(~np.isnan(load.power))
    until = int(known[-1]) + 1 if len(known) else 0
    cells = MINUTE_US // CELL_US
    steps = np.arange(until * cells)
    time_us = load.edges[0] + steps * CELL_US
    power = np.repeat(load.power[:until], cells)[:, None]
    so_far, forecast, ci = forecast_demand(time_us, power)[:, 0]
    limit = _contracted(_tariff_at(query, query.now_us))
    newest = int(load.edges[until - 1]) if until else stop_us
    start_us = newest // QUARTER_US * QUARTER_US
    meters = load.ci[until - 1] if until else np.nan
    width = np.hypot(ci, meters)
    figures = (np.array([each]) for each in (forecast, limit, width))
    judged = _within(*figures, decisive=np.array([not np.isnan(width)]))
    return {
        "start": rfc3339(start_us, query.zone),
        "end": rfc3339(start_us + QUARTER_US, query.zone),
        "so_far_kw": number(so_far, KW),
        "forecast_kw": number(forecast, KW),
        "forecast_ci_kw": number(width, KW),
        "contracted_kw": number(limit, KW),
        "headroom_kw": number(limit - forecast, KW),
        "verdict": cast("Verdict | None", judged[0]),
        "reason": "" if until else NO_MINUTES,
    }


async def _factor_rows(
    context: Context, query: WindowQuery, name: str, meters: list[Meter]
) -> list[FactorRow]:
    """Return the rows of one meter, or of all together."""
    mean = await read_factor(context, query, meters)
    tariffs = _tariffs(query)
    least = np.array([np.nan if each is None else each.power_factor for each in tariffs])
    share = [
        np.nan if np.isnan(at) else float(power_factor_share(at, np.array(factor)))
        for at, factor in zip(least.tolist(), mean.factor.tolist(), strict=True)
    ]
    known = ~np.isnan(mean.factor)
    sums = mean.sums
    columns = sums.trust(np.arange(len(sums.tags)), known)
    enough = columns["completeness"] >= context.settings.verdict_completeness
    return query.rows(
        FactorRow,
        columns
        | {
            "meter": name,
            "active_kwh": out(mean.active, KWH),
            "reactive_kvarh": out(mean.reactive, KVARH),
            "power_factor": out(mean.factor),
            "power_factor_ci": out(mean.ci),
            "least": out(least),
            "adjustment_share": out(np.array(share)),
            "verdict": _within(mean.factor, least, mean.ci, decisive=enough & known, at_most=False),
            "reason": mean.reason,
        },
    )
