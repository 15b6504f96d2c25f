"""Two periods of a scope compared: as they were, and at equal production."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    HalfWidth,
    Number,
    Rfc3339,
    Share,
    Verdict,
    formula,
    record,
)
from api.calculation.pool import LongCalculationRoute
from api.consumption.load import production_of, taken_of
from api.consumption.quarters import Load, read_load
from api.context import AppContext, Context
from api.encode import KWH, MW, T_PER_H, TONNE, number, rfc3339
from api.parameters import Time
from api.problems import RESPONSES
from api.windows import ScopePath, WindowQuery, parse_query
from twin.arrays import F64, HOUR_S, I64
from twin.energy.load import compare_at_equal_load
from twin.reconciliation.uncertainty import half_width
from twin.series import windows as w
from twin.targets import WORDS, verdict

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

CLASSES = 20
NO_PRODUCT = "nothing with a meter is made in this scope"
NO_LOAD = "the two periods have no production in common"
Start = Annotated[Time, Query(description="RFC 3339 with offset")]


class ComparedPeriod(TypedDict):
    """One of the periods, by the hours in which production and electricity are known."""

    start: Rfc3339
    end: Rfc3339
    hours: int
    completeness: Annotated[
        Share, formula("hours in which production and electricity are known / hours")
    ]
    electricity_kwh: Annotated[Number, formula("sum of those hours")]
    product_t: Annotated[Number, formula("sum of those hours")]
    mean_mw: Annotated[Number, formula("electricity / hours")]
    mean_t_per_h: Annotated[Number, formula("product / hours")]
    kwh_per_t: Annotated[Number, formula("electricity / mass of the hours that have both")]


class ComparisonAnswer(TypedDict):
    """Electricity of a second period against a first one, at the production of the second."""

    scope: str
    products: list[str]
    first: ComparedPeriod
    second: ComparedPeriod
    first_mw: Annotated[
        Number, formula("mean power of the first at the production of the second, by classes")
    ]
    second_mw: Annotated[Number, formula("mean power of the second in these classes")]
    difference_mw: Annotated[Number, formula("second - first, at equal production")]
    difference_ci_mw: Annotated[
        HalfWidth, Field(description="half width, 95 %, by the spread of days; meters err alike")
    ]
    difference_share: Annotated[Number, formula("difference / first")]
    common_share: Annotated[
        Share, formula("of the second period, at a production the first one has too")
    ]
    verdict: Annotated[
        Verdict, Field(description="met = less than before, with 95 %; undecided without two days")
    ]
    classes: Annotated[int, Field(description="of production, equally wide up to the largest")]
    reason: str


@router.get("/{path:path}/comparison")
async def read_comparison(
    context: AppContext,
    path: ScopePath,
    first_from: Start,
    first_to: Start,
    second_from: Start,
    second_to: Start,
) -> ComparisonAnswer:
    """Return what a scope took in two periods, and their difference at equal production."""
    queries = [
        parse_query(context, path, "hour", start, stop)
        for start, stop in ((first_from, first_to), (second_from, second_to))
    ]
    loads = [await _read(context, query) for query in queries]
    (taken, made), (taken_2, made_2) = loads
    rates, powers = (made.power, made_2.power), (taken.power, taken_2.power)
    result = compare_at_equal_load(rates, powers, (_days(taken), _days(taken_2)), CLASSES)
    gap, width = result.after - result.before, half_width(np.array(result.sigma))
    decisive = result.share >= context.settings.verdict_completeness
    code = verdict(*map(np.array, (gap, 0.0, True, float(width))), decisive=np.array(decisive))
    _, products = production_of(queries[0])
    return record(
        ComparisonAnswer,
        None,
        scope=path,
        products=products,
        first=_period(queries[0], taken, made),
        second=_period(queries[1], taken_2, made_2),
        first_mw=number(result.before, MW),
        second_mw=number(result.after, MW),
        difference_mw=number(gap, MW),
        difference_ci_mw=number(width, MW),
        difference_share=number(gap / result.before if result.before > 0 else np.nan),
        common_share=number(result.share),
        verdict=WORDS[int(code)],
        classes=CLASSES,
        reason="" if not np.isnan(gap) else NO_LOAD if products else NO_PRODUCT,
    )


async def _read(context: Context, query: WindowQuery) -> tuple[Load, Load]:
    """Return electricity taken and production, by hours."""
    made, _ = production_of(query)
    taken = await read_load(context, query, taken_of(query), "hour")
    return taken, await read_load(context, query, made, "hour")


def _days(load: Load) -> I64:
    """Return the day of each hour, on the park's clock, (Q,)."""
    zone = load.sums.query.zone
    days = [w.local(at, zone).toordinal() for at in load.edges[:-1].tolist()]
    return np.array(days, np.int64)


def _period(query: WindowQuery, taken: Load, made: Load) -> ComparedPeriod:
    """Return the sums of one period over the hours that have both."""
    both = ~np.isnan(taken.power) & ~np.isnan(made.power) & (made.weight.any())
    power, rate = (_mean(each.power[both]) for each in (taken, made))
    hours = int(both.sum())
    energy, mass = power * hours * HOUR_S, rate * hours * HOUR_S
    return {
        "start": rfc3339(int(query.edges[0]), query.zone),
        "end": rfc3339(int(query.edges[-1]), query.zone),
        "hours": hours,
        "completeness": number(hours / max(len(query.edges) - 1, 1)),
        "electricity_kwh": number(energy, KWH),
        "product_t": number(mass, TONNE),
        "mean_mw": number(power, MW),
        "mean_t_per_h": number(rate, T_PER_H),
        "kwh_per_t": number(energy / KWH[0] / (mass / TONNE[0]) if mass > 0 else np.nan),
    }


def _mean(values: F64) -> float:
    return float(np.mean(values)) if len(values) else np.nan
