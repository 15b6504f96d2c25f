"""Targets of policy and the values reached, as far as the tags and the asset register can tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter, Query

from api.answers import record
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context, time_range
from api.encode import rfc3339
from api.parameters import From, Text, To
from api.problems import RESPONSES, Problem
from api.reconciled import Basis, Values
from api.targets.answer import Change, Outlook, TargetAnswer, TargetPace, TargetRow
from api.targets.figures import TOO_LITTLE, TargetFigure, goal_of, last_stop, no_figure, read_figure
from api.targets.outlook import (
    COARSER,
    NOT_ASKED,
    REGISTER,
    change_of,
    contributions,
    gap_amounts,
    is_coarser,
    pace_of,
    registered,
)
from api.windows import WindowQuery, parse_query
from twin.arrays import DAY_US, SECOND_US
from twin.model.park import inside
from twin.series import windows as w
from twin.targets import UNDECIDED, WORDS, shortfall, verdict
from twin.targets.model import Target, quantity_of_target, scale_of

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=LongCalculationRoute)

# Longer ranges are summed from days.
HOURS_MAX_US = 31 * DAY_US
# How far the windows of a trend go back.
BACK_DAYS = {"month": 365, "day": 31}
OF_REGISTER = ("capacity", "zero_gap_share", "asset_share", "asset_capacity")
LACKS = "there is no {}"
NOT_MEASURED = "needs figures that are in no tag: from the books or the asset register"
TOO_WIDE = "the interval of the value reaches over the limit: more accurate meters would decide"
NO_INTERVAL = "the uncertainty of a meter is not known, so nothing can be decided"
NO_VALUE = "there are no data, or no production, in this time, or stocks at its start are not known"


class Ahead(NamedTuple):
    """Where a figure is going; None where it is not known."""

    pace: TargetPace | None
    forecast: Outlook | None
    moved: Change | None
    reason: str


@router.get("/targets")
async def read_targets(
    context: AppContext,
    scope: Annotated[
        Text, Query(description="targets of this scope and those below; all when none is named")
    ] = "",
    id: Annotated[Text, Query(description="this target only")] = "",  # noqa: A002 - as in answers
    from_: From = None,
    to: To = None,
    values: Values = "reconciled",
    trend: Annotated[
        Literal["month", "day", "none"],
        Query(description="windows of pace and forecast: twelve months, or 31 days, before `to`"),
    ] = "month",
) -> TargetAnswer:
    """Return each target with its state, gap, pace and forecast, and what moved its figure.

    The value is that of a range of time, by default the last 24 h; of figures of book data the
    twelve months up to the newest period that all its tags have.
    """
    park = context.model.park
    rows = [row for row in park.rows(Target) if id in ("", row.id)]
    if not rows and id:
        raise Problem(404, f"no target {id!r}", hint="GET /api/v1/targets lists them")
    items: list[TargetRow] = []
    for row in rows:
        if not scope or inside(row.scope, scope):
            whole = await query_of(context, row, from_, to)
            items.append(await _target(context, whole, row, values, trend))
    return {"scope": scope or park.id, "items": items, "next": None}


async def query_of(
    context: Context, row: Target, from_: datetime | None, to: datetime | None
) -> WindowQuery:
    """Return the query of the figure of a target: one window, the range or what is usual."""
    from_us, to_us = time_range(context.now_us(), from_, to)
    window = "hour" if to_us - from_us <= HOURS_MAX_US else "day"
    query = parse_query(context, row.scope, window, from_, to)
    if from_ is None and to is None and (stop := await last_stop(context, query, row)):
        query = _before(query, "month", stop)
    return replace(query, edges=query.edges[[0, -1]])


def _before(query: WindowQuery, window: str, stop_us: int) -> WindowQuery:
    """Return a query about the months or days before a time."""
    zone = query.zone
    start = w.local(stop_us, zone) - timedelta(days=BACK_DAYS[window])
    edges = w.edges(window, round(start.timestamp()) * SECOND_US, stop_us, zone.key)
    return replace(query, window=window, edges=edges)


async def _target(
    context: Context, query: WindowQuery, row: Target, values: Basis, trend: str
) -> TargetRow:
    """Return one target, its value, state and outlook; null and a reason where there is none."""
    tags = {tag.address: tag for tag in query.network.tags}
    scale = scale_of(row.uom, quantity_of_target(tags, row)) if row.kpi else 1.0
    figure = no_figure(1, "kpi")
    if row.kpi:
        figure = await read_figure(context, query, row, values)
    goal, lack = row.value, ""
    if row.level and np.isnan(row.value):
        goal, lack, _ = goal_of(query, row)
        goal /= scale
    limit, at_most = np.array(float(row.limit_of(goal))), np.array(row.sense == "at_most")
    reached, half_width = figure.value[:1] / scale, float(figure.half_width[0]) / scale
    decisive = bool(figure.decisive[0])
    met = int(verdict(reached, limit, at_most, half_width, decisive=decisive)[0])
    short = float(shortfall(reached, limit, at_most)[0])
    value = float(reached[0])
    ahead = Ahead(None, None, None, NOT_ASKED)
    if row.kpi and trend != "none":
        ahead = await _ahead(context, query, row, values, trend, (scale, float(limit), value))
    missing = figure.missing[0]
    stands = figure.stands is not None and bool(figure.stands[0])
    share = None if figure.completeness is None else float(figure.completeness[0])
    has_no_data = np.isnan(value) or bool(lack)
    today = w.local(query.now_us, query.zone).date()
    return record(
        TargetRow,
        row,
        kpi=row.kpi or None,
        product=row.product or None,
        sense=row.sense or None,
        level=row.level or None,
        goal=float(goal),
        tolerance=float(row.tolerance),
        limit=float(limit),
        due_on=str(row.due_on) if row.due_on else None,
        due=row.due_on < today if row.due_on else None,
        start=rfc3339(int(query.edges[0]), query.zone),
        end=rfc3339(int(query.edges[-1]), query.zone),
        value=value,
        half_width=half_width if half_width > 0 else None,
        verdict=WORDS[met] if row.kpi else None,
        state="no_data" if has_no_data else WORDS[met],
        no_data=lacking_of(figure, lack, missing) if has_no_data else [],
        below=figure.below,
        shortfall=short,
        gap=gap_amounts(query, row, figure.parts, short * scale),
        pace=ahead.pace,
        forecast=ahead.forecast,
        moved=ahead.moved,
        parts=contributions(figure.parts),
        outlook_reason=ahead.reason,
        reason=lack
        or LACKS.format(", ".join(figure.no_data)) * bool(row.kpi and figure.no_data)
        or _reason(row, met, value, half_width, None if decisive else share),
        completeness=share,
        quality=int(figure.quality[0]),
        values=("reconciled" if stands else "measured") if row.kpi else None,
        missing=missing,
    )


def lacking_of(figure: TargetFigure, lack: str, missing: list[str]) -> list[str]:
    """Return the inputs a figure or its goal lacks."""
    inputs = [lack] if lack else []
    if np.isnan(figure.value[0]):
        inputs += figure.no_data or missing or [NO_VALUE]
    return inputs


async def _ahead(
    context: Context,
    query: WindowQuery,
    row: Target,
    values: Basis,
    trend: str,
    now: tuple[float, float, float],
) -> Ahead:
    """Return pace, forecast and what moved a figure; `now` are its scale, limit and value."""
    scale, limit, value = now
    windows = _before(query, trend, int(query.edges[-1]))
    if is_coarser(windows, row):
        return Ahead(None, None, None, COARSER.format(trend))
    try:
        figure = await read_figure(context, windows, row, values)
    except Problem as problem:
        # Too much to read, for a trend; the value of the range stands without it.
        return Ahead(None, None, None, str(problem))
    moved = change_of(windows, figure, scale)
    if row.kpi in OF_REGISTER:
        forecast, reason = registered(query, row, scale, limit)
        return Ahead(None, forecast, moved, reason or REGISTER)
    pace, forecast, reason = pace_of(windows, row, figure, scale, limit, value)
    return Ahead(pace, forecast, moved, reason)


def _reason(row: Target, met: int, value: float, half_width: float, share: float | None) -> str:
    """Return why there is no value or no verdict; empty where there are both."""
    if not row.kpi:
        return NOT_MEASURED
    if share is not None:
        return TOO_LITTLE.format(np.nan_to_num(share))
    if np.isnan(value):
        return NO_VALUE
    if met != UNDECIDED:
        return ""
    return NO_INTERVAL if np.isnan(half_width) else TOO_WIDE
