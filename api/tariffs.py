"""Price tiers of electricity: what a tonne of aluminium needs, its tier, and what that costs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field

from api.answers import (
    Given,
    HalfWidth,
    Number,
    Provenance,
    WindowAnswer,
    WindowRow,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext
from api.encode import KWH, ONE, out
from api.joint import Joint, read_joint
from api.parameters import From, To
from api.problems import RESPONSES
from api.reconciled import (
    Intensity,
    ReconciledAmount,
    StandsOn,
    Values,
    basis_of,
    covered_by,
    per_amount,
    read_amounts,
)
from api.sums import read_sums, tags_of
from api.windows import Length, ScopePath, WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.arrays import DAY_S, F64
from twin.energy.tariffs import Tiers, aluminium_line, aluminium_tiers
from twin.quality import worse
from twin.reconciliation.uncertainty import weights
from twin.uom import compile_uom, from_si, parse_quantity

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

PRODUCT = "aluminium"
YEAR_S = 365 * DAY_S
KWH_PER_T = compile_uom("kWh/t", "intensity")
CNY_PER_KWH = compile_uom("CNY/kWh", "energy_price")
CROSSED = "the interval of the figure reaches over the edge of a tier"
TOO_LITTLE = "too little of the time is covered by all meters"
UNKNOWN = "not known: no aluminium is made in this time, or a meter of it has no data"

RenewableShare = Annotated[
    float,
    Query(ge=0, le=1, description="of renewables without water power in the electricity used"),
]
MinimumShare = Annotated[
    float, Query(ge=0, le=1, description="that the province asks for: no relief below it")
]


class TariffRow(WindowRow):
    """The price tier of the aluminium of a scope in one window; null = not known or undecided."""

    product: str
    values: StandsOn
    kwh_per_t: Annotated[
        Number, formula("electricity of the potlines / aluminium, over their joint time")
    ]
    kwh_per_t_ci: HalfWidth
    line_kwh_per_t: Given[
        Annotated[Number, Field(description="of the year; null before the first line")]
    ]
    tier: Annotated[
        Number, formula("(kWh/t - line) / width of a step, rounded up; before 2022 bands; 0 = none")
    ]
    tier_min: Annotated[Number, formula("tier at the lower end of the interval")]
    tier_max: Annotated[Number, formula("tier at the upper end of the interval")]
    surcharge_cny_per_kwh: Annotated[Number, formula("tier * surcharge of a step")]
    surcharge_min_cny_per_kwh: Annotated[
        Number, formula("surcharge of the lowest tier of the interval")
    ]
    surcharge_max_cny_per_kwh: Annotated[
        Number, formula("surcharge of the highest tier of the interval")
    ]
    electricity_kwh: Annotated[
        Number, formula("as it was measured: sum of the amounts of its meters")
    ]
    cny_per_year: Annotated[Number, formula("surcharge * mean power of the window * 365 d")]
    cny_per_year_min: Annotated[Number, formula("by the lowest tier of the interval")]
    cny_per_year_max: Annotated[Number, formula("by the highest tier of the interval")]
    reason: Annotated[str, Field(description="why there is no tier, or none that is certain")]


class TariffLine(Provenance):
    """The line that the tiers of a year begin above, with its provenance."""

    year: int
    kwh_per_t: Given[float]
    standard: str
    note: str


class TariffAnswer(WindowAnswer):
    """The price tiers of the aluminium of a scope."""

    items: list[TariffRow]
    lines: list[TariffLine]


@router.get("/{path:path}/tariffs")
async def read_tariffs(
    context: AppContext,
    path: ScopePath,
    window: Annotated[Length, Query(description="length of a row, on the park's clock")] = "month",
    from_: From = None,
    to: To = None,
    values: Values = "reconciled",
    renewable: RenewableShare = 0.0,
    minimum: MinimumShare = 0.0,
) -> TariffAnswer:
    """Return the price tier of the aluminium of a scope by 发改价格〔2021〕1239号.

    Without aluminium there are no rows. The electricity is that of all meters of the product.
    """
    query = parse_query(context, path, window, from_, to)
    network = query.network
    accounts = [Account(path, PRODUCT, item) for item in ("electricity", "mass")]
    if not all(account in network.accounts for account in accounts):
        return query.answer(TariffAnswer, [], lines=[])
    groups = [tags_of(network, accounts[:1]), tags_of(network, accounts)]
    sums = await read_sums(context, query, groups[1])
    used, both = await read_joint(context, sums, groups)
    power, mass = (weights(network, {account: 1.0}) for account in accounts)
    made = (await read_amounts(context, query, values, {"mass": mass}))["mass"]
    made = covered_by(made, used)
    figure = per_amount(made, used, both, PRODUCT, (power, mass))
    tiers = aluminium_tiers(
        figure.value, figure.half_width, query.years, figure.decisive, renewable, minimum
    )
    rows = _rows(query, used, both, made, power, figure, tiers)
    return query.answer(TariffAnswer, [rows], lines=_lines(query))


def _rows(
    query: WindowQuery,
    used: Joint,
    both: Joint,
    made: ReconciledAmount,
    power: F64,
    figure: Intensity,
    tiers: Tiers,
) -> list[TariffRow]:
    """Return the rows of the windows."""
    rate, rate_ci = used.rate(power)
    # The dearest tier at the most electricity, the cheapest at the least.
    yearly = tiers.surcharge * YEAR_S * np.stack([rate, rate - rate_ci, rate + rate_ci])
    lines = [aluminium_line(year) for year in query.years.tolist()]
    line = [parse_quantity(row["value"], "intensity") if row else np.nan for row in lines]
    known = ~np.isnan(figure.value)
    trust = both.trust(known)
    quality = np.where(made.stands, worse(trust["quality"], made.quality), trust["quality"])

    def stated(ends: F64, name: str, uom: tuple[float, float] = ONE) -> dict[str, F64]:
        decided = np.where(tiers.decided, ends[0], np.nan)
        columns = {"": decided, "_min": ends[1], "_max": ends[2]}
        return {name.format(each): out(column, uom) for each, column in columns.items()}

    columns = {
        "product": PRODUCT,
        "values": basis_of(made.stands),
        "kwh_per_t": out(figure.value, KWH_PER_T),
        "kwh_per_t_ci": out(figure.half_width, KWH_PER_T),
        "line_kwh_per_t": out(np.array(line), KWH_PER_T),
        **stated(tiers.tier, "tier{}"),
        **stated(tiers.surcharge, "surcharge{}_cny_per_kwh", CNY_PER_KWH),
        "electricity_kwh": out(used.sums.weigh(power), KWH),
        **stated(yearly, "cny_per_year{}"),
        "reason": _reasons(figure, tiers),
        **trust,
        "quality": quality,
    }
    return query.rows(TariffRow, columns)


def _reasons(figure: Intensity, tiers: Tiers) -> list[str]:
    """Return why a window has no tier; empty where it has one."""
    known = np.isnan(figure.value), ~figure.decisive, ~tiers.decided
    reasons = np.select(known, [UNKNOWN, TOO_LITTLE, CROSSED], "")
    return [str(each) for each in reasons]


def _lines(query: WindowQuery) -> list[TariffLine]:
    """Return the lines that hold in the years of a query."""
    rows = [aluminium_line(year) for year in np.unique(query.years).tolist()]
    lines = {row["year"]: row for row in rows if row}
    return [
        record(TariffLine, row, kwh_per_t=from_si(
            parse_quantity(row["value"], "intensity"), "kWh/t", "intensity"
        ))
        for row in lines.values()
    ]  # fmt: skip
