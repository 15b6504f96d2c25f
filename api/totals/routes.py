"""Pollutant totals over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.calculation.pool import LongCalculationRoute
from api.context import AppContext
from api.encode import rfc3339
from api.problems import RESPONSES
from api.totals.answer import TotalAnswer
from api.totals.figures import permit_rows, scope_rows, total_year
from api.totals.ledger import QuotaAnswer, read_quota_ledger
from api.totals.plans import campaign_rows
from api.totals.sources import read_sources, year_query
from api.windows import ScopePath
from twin.series.windows import local

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

OfYear = Annotated[
    int | None, Query(ge=1971, le=2199, description="calendar year of the park; default this one")
]
Rate = Annotated[
    Literal["year", "newest"],
    Query(description="rate of the forecast: of all months of the year, or of the newest three"),
]


@router.get("/{path:path}/totals")
async def read_totals(
    context: AppContext, path: ScopePath, year: OfYear = None, rate: Rate = "year"
) -> TotalAnswer:
    """Return what was emitted in a year by permit and by scope, and where it leads."""
    of = year_query(context, path, year)
    sources = await read_sources(context, of)
    park, zone = context.model.park, of.query.zone
    total = total_year(park, of, sources, context.settings, rate)
    return {
        "scope": path,
        "year": local(of.begin_us, zone).year,
        "start": rfc3339(of.begin_us, zone),
        "end": rfc3339(of.until_us, zone),
        "permits": permit_rows(total),
        "scopes": scope_rows(total),
        "campaigns": campaign_rows(total.plan, park, path),
    }


@router.get("/{path:path}/totals/ledger")
async def read_totals_ledger(context: AppContext, path: ScopePath) -> QuotaAnswer:
    """Return reductions, advances and draws by the books, and what they cover of new projects."""
    return await read_quota_ledger(context, path)
