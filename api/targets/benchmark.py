"""Parks side by side: each indicator of each park, its gap to the benchmark park, and its rank."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Name,
    Number,
    Rfc3339,
    Share,
    Uint8,
    formula,
    record,
)
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.encode import number, rfc3339
from api.parameters import From, To
from api.problems import RESPONSES, Problem
from api.reconciled import Basis, Values
from api.targets.answer import Contribution, Sense
from api.targets.figures import Origin, made_of, no_figure, read_figure
from api.targets.outlook import contributions
from api.targets.routes import NO_VALUE, lacking_of, query_of
from api.windows import ScopePath, parse_query
from twin.arrays import F64
from twin.model.park import inside
from twin.targets.benchmark import (
    BenchmarkPark,
    ParkIndicator,
    compare,
    parks_in,
    rank,
    target_of,
)
from twin.targets.model import quantity_of_target, scale_of

if TYPE_CHECKING:
    from datetime import datetime

    from api.targets.figures import TargetFigure
    from twin.accounts.network import Network
    from twin.targets.model import Target

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

Compared = Literal["better", "equal", "worse", "undecided"]


class ParkFigure(TypedDict):
    """An indicator of a park; null = not known, and `no_data` names what is missing."""

    scope: str
    value: Annotated[Number, formula("the figure of targets of this kpi, for the park")]
    half_width: Annotated[Number, formula("half width, 95 %: as of its own route")]
    start: Rfc3339
    end: Rfc3339
    completeness: Annotated[Share, formula("share of the time covered by all of its tags")]
    quality: Uint8
    made_of: Annotated[
        Origin | None, Field(description="what the value stands on; null without a value")
    ]
    gap: Annotated[Number, formula("value - value of the benchmark park")]
    gap_half_width: Annotated[
        Number, formula("half width, 95 %: root of the sum of the squares of both half widths")
    ]
    compared: Annotated[
        Compared | None,
        Field(description="with the benchmark park, where the interval decides; equal: both exact"),
    ]
    rank: Annotated[int | None, Field(description="null where intervals do not separate it")]
    rank_min: int | None
    rank_max: int | None
    no_data: list[str]
    missing: Annotated[list[str], Field(description="tags with gaps, the least covered first")]
    parts: Annotated[list[Contribution], Field(description="empty = not known by member")]
    reason: Annotated[str, Field(description="why there is no value, rank or comparison")]


class BenchmarkRow(TypedDict):
    """An indicator and the figures of all parks."""

    id: str
    name: Name
    kpi: str
    product: str
    loop: str
    uom: str
    sense: Sense
    source: str
    note: str
    parks: list[ParkFigure]


class BenchmarkAnswer(TypedDict):
    """The parks of a scope side by side."""

    scope: str
    benchmark: Annotated[str | None, Field(description="the benchmark park; null = none stated")]
    clause: str
    source: str
    items: list[BenchmarkRow]
    next: Cursor


@router.get("/{path:path}/benchmark")
async def read_benchmark(
    context: AppContext,
    path: ScopePath,
    from_: From = None,
    to: To = None,
    values: Values = "reconciled",
) -> BenchmarkAnswer:
    """Return every indicator of the parks of a scope against the benchmark park.

    By default of the last 24 h; those of book data of the twelve months up to the newest period.
    """
    context.require_scope(path)
    park = context.model.park
    parks = parks_in(park, path)
    heads = [row for row in park.rows(BenchmarkPark) if inside(path, row.scope)]
    head = max(heads, key=lambda row: len(row.scope), default=None)
    rows: list[BenchmarkRow] = []
    for row in park.rows(ParkIndicator):
        figures = [await _read(context, row, each, (from_, to), values) for each in parks]
        by = None
        if head is not None:
            by = dict(zip(parks, figures, strict=True)).get(head.park) or await _read(
                context, row, head.park, (from_, to), values
            )
        rows.append(_row(row, parks, figures, by))
    return {
        "scope": path,
        "benchmark": head.park if head else None,
        "clause": head.clause if head else "",
        "source": head.source if head else "",
        "items": rows,
        "next": None,
    }


class _Figure(NamedTuple):
    """The figure of a park, in the unit of its indicator."""

    figure: TargetFigure
    value: float
    half_width: float
    start: str
    end: str
    lacking: list[str]
    reason: str
    made_of: Origin | None


async def _read(
    context: Context,
    row: ParkIndicator,
    scope: str,
    time: tuple[datetime | None, datetime | None],
    values: Basis,
) -> _Figure:
    """Return an indicator of a park, by its meters where they tell it; raises StoreError."""
    target, lacking = target_of(context.model.park, row, scope)
    if target.kpi == "ratio" and target.loop:
        by_meters = await _read_target(
            context, replace(target, kpi="loop_rate", part=(), whole=()), [], time, values
        )
        if not np.isnan(by_meters.value) and by_meters.made_of != "books":
            return by_meters
    return await _read_target(context, target, lacking, time, values)


async def _read_target(
    context: Context,
    target: Target,
    lacking: list[str],
    time: tuple[datetime | None, datetime | None],
    values: Basis,
) -> _Figure:
    """Return the figure of a park; raises StoreError."""
    scope, reason = target.scope, ""
    if lacking:
        query = parse_query(context, scope, "day", *time)
        figure, scale = no_figure(1, *lacking), 1.0
    else:
        query = await query_of(context, target, *time)
        scale = _scale(query.network, target)
        try:
            figure = await read_figure(context, query, target, values)
        except Problem as problem:
            figure, reason = no_figure(1), str(problem)
    value = float(figure.value[0]) / scale if figure.decisive[0] else np.nan
    width = float(figure.half_width[0]) / scale
    names = lacking_of(figure, "", figure.missing[0]) if np.isnan(value) else []
    origin = None if np.isnan(value) else made_of(query, target)
    start, end = (rfc3339(int(query.edges[at]), query.zone) for at in (0, -1))
    return _Figure(figure, value, width, start, end, names, reason, origin)


def _scale(network: Network, target: Target) -> float:
    tags = {tag.address: tag for tag in network.tags}
    return scale_of(target.uom, quantity_of_target(tags, target))


def _row(
    row: ParkIndicator, parks: list[str], figures: list[_Figure], by: _Figure | None
) -> BenchmarkRow:
    """Return an indicator of all parks."""
    value: F64 = np.array([each.value for each in figures], np.float64)
    width: F64 = np.array([each.half_width for each in figures], np.float64)
    at_most = np.array(row.sense == "at_most")
    ranks = rank(value, width, at_most)
    other = (by.value, by.half_width) if by else (np.nan, np.nan)
    gap, gap_width = value - other[0], np.hypot(width, other[1])
    compared = compare(gap, gap_width, at_most)
    columns = zip(
        parks, figures, *(each.tolist() for each in (*ranks, gap, gap_width, compared)), strict=True
    )
    rows: list[ParkFigure] = []
    for scope, each, best, worst, apart, wide, word in columns:
        beside = (0.0, 0.0, None) if each is by else (apart, wide, word)
        rows.append(_park(scope, each, (best, worst), beside))
    return record(BenchmarkRow, row, parks=rows)


def _park(
    scope: str, each: _Figure, ranks: tuple[int, int], gap: tuple[float, float, Compared | None]
) -> ParkFigure:
    """Return the figure of one park."""
    known = not np.isnan(each.value)
    best, worst = ranks
    share = None if each.figure.completeness is None else float(each.figure.completeness[0])
    return {
        "scope": scope,
        "value": number(each.value),
        "half_width": number(each.half_width) if known else None,
        "start": each.start,
        "end": each.end,
        "completeness": share,
        "quality": int(each.figure.quality[0]),
        "made_of": each.made_of,
        "gap": number(gap[0]) if known else None,
        "gap_half_width": number(gap[1]) if known else None,
        "compared": gap[2] if known else None,
        "rank": best if known and best == worst else None,
        "rank_min": best or None,
        "rank_max": worst or None,
        "no_data": each.lacking,
        "missing": each.figure.missing[0],
        "parts": contributions(each.figure.parts),
        "reason": "" if known else each.reason or NO_VALUE,
    }
