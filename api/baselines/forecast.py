"""Forecast of energy, demand and chlorine in stock for the running shift or day and the next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Number,
    Rfc3339,
    Share,
    Uint8,
    formula,
)
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.encode import MW, TONNE, Uom, number, rfc3339
from api.problems import RESPONSES, not_found
from api.sums import fill_cells, read_rows, worst_at
from api.windows import ScopePath, WindowQuery, parse_query
from twin.accounts.accounts import ELECTRICITY, Account
from twin.arrays import DAY_US, F64, HOUR_US, I64, MINUTE_US, SECOND_US, ratio
from twin.baseline.forecast import NAIVE, SEASONAL, Forecast, forecast_value
from twin.model.park import TOTAL
from twin.reconciliation.uncertainty import weights
from twin.reference import figure as reference
from twin.reference import load
from twin.series import windows as w
from twin.uom import compile_uom

if TYPE_CHECKING:
    from twin.accounts.network import Network

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

Figure = Literal["electricity", "demand", "chlorine_stock"]
QUARTER_US = 15 * MINUTE_US
WEEK_DAYS = 7
# Of each figure: the table it is read from, the length of a step, its unit of measure.
STEPS: dict[str, tuple[str, int, str, Uom]] = {
    "electricity": ("hour", HOUR_US, "MWh", compile_uom("MWh", "energy")),
    "demand": ("minute", QUARTER_US, "MW", MW),
    "chlorine_stock": ("hour", HOUR_US, "t", TONNE),
}


class ForecastRow(TypedDict):
    """The forecast of one shift or day.

    It stands on a model, and is there only where that beat both methods without one on the held-out
    weeks: the last value, and that of a week ago.
    """

    start: Rfc3339
    end: Rfc3339
    lead: Annotated[int, Field(description="shifts or days after the last one that is over")]
    value: Annotated[
        Number,
        formula(
            "electricity: energy of the time; demand: largest mean power of a quarter of an hour;"
            " chlorine_stock: mass in the tanks, mean of the last hour. Level and profile of the"
            " week by the twelve weeks before"
        ),
    ]
    low_80: Annotated[Number, formula("forecast less the quantile of held-out errors for 80 %")]
    high_80: Annotated[Number, formula("forecast and the quantile of held-out errors for 80 %")]
    low_95: Annotated[
        Number,
        formula(
            "forecast less the quantile of held-out errors for 95 %; null: too few held-out "
            "values for it"
        ),
    ]
    high_95: Annotated[Number, formula("forecast and the quantile of held-out errors for 95 %")]
    method: Annotated[
        Literal["profile", "naive", "seasonal_naive"] | None,
        Field(description="that did best on the held-out weeks; a value is shown of the profile"),
    ]
    skill_naive: Annotated[
        Number, formula("1 − mean error of the method / of the last value, on held-out weeks")
    ]
    skill_seasonal_naive: Annotated[
        Number, formula("1 − mean error of the method / of the value of a week ago")
    ]
    mean_error: Annotated[Number, formula("mean absolute error on the held-out weeks")]
    held_out: Annotated[int, Field(description="shifts or days that it was scored on")]
    reason: Annotated[str, Field(description="why there is no value")]


class ForecastAnswer(TypedDict):
    """The forecast of a figure of a scope."""

    scope: str
    figure: Figure
    horizon: Literal["shift", "day"]
    uom: str
    history_start: Rfc3339
    completeness: Annotated[Share, formula("share of the history that counts")]
    quality: Uint8
    items: Annotated[list[ForecastRow], Field(description="the running one, then the next")]
    next: Cursor


class History(NamedTuple):
    """A figure in B shifts or days that are over."""

    value: F64  # (B,) [SI] NaN = not known
    quality: int


@router.get("/{path:path}/forecast")
async def read_forecast(
    context: AppContext,
    path: ScopePath,
    figure: Annotated[Figure, Query(description="what is forecast")] = "electricity",
    horizon: Annotated[Literal["shift", "day"], Query(description="length")] = "shift",
) -> ForecastAnswer:
    """Return the forecast of a figure with 80 and 95 % intervals, and what it is worth."""
    query = _history(context, path, horizon)
    weight = _weight(query.network, path, figure)
    history = await _read_history(context, query, weight, figure)
    day = len(query.network.park.shifts) if horizon == "shift" else 1
    now = len(history.value)
    ahead = w.edges(
        horizon, query.now_us, query.now_us + 2 * DAY_US, query.zone.key, query.network.park.shifts
    )
    uom = STEPS[figure][3]
    return {
        "scope": path,
        "figure": figure,
        "horizon": horizon,
        "uom": STEPS[figure][2],
        "history_start": rfc3339(int(query.edges[0]), query.zone),
        "completeness": float(np.isfinite(history.value).mean()) if now else None,
        "quality": history.quality,
        "items": [
            _row(query, ahead[at : at + 2], at + 1, uom,
                 forecast_value(history.value, day * WEEK_DAYS, day, at + 1))
            for at in range(2)
        ],
        "next": None,
    }  # fmt: skip


def _history(context: Context, path: str, horizon: str) -> WindowQuery:
    """Return the shifts or days of the last weeks that are over."""
    now = datetime.fromisoformat(rfc3339(context.now_us(), context.zone))
    back = timedelta(weeks=load("baselines")["forecast"]["history_weeks"])
    query = parse_query(context, path, horizon, now - back, now)
    over = query.edges[query.edges <= query.expected_us]
    return WindowQuery(query.network, path, horizon, over, query.now_us, query.expected_us)


def _weight(network: Network, path: str, figure: str) -> F64:
    """Return the weights of the tags of a figure, (T,); raises Problem 404 where there is none."""
    weight = np.zeros(len(network.tags))
    if figure == "chlorine_stock":
        own = [
            at for at, key in enumerate(network.derived) if key == (path, "chlorine", "inventory")
        ]
        weight[[len(network.park.tags) + at for at in own]] = 1.0
    else:
        # What is billed comes in by the incomers; without them all that is used.
        bought = Account(path, ELECTRICITY, "import")
        account = Account(path, TOTAL, ELECTRICITY)
        if figure == "demand" and bought in network.accounts:
            account = bought
        weight = weights(network, {account: 1.0})
    if not weight.any():
        raise not_found("figure of this scope", figure, (), f"/api/v1/scopes/{path}/meters")
    return weight


async def _read_history(context: Context, query: WindowQuery, weight: F64, name: str) -> History:
    """Return a figure of the shifts or days of a query; raises StoreError."""
    table, step_us, *_ = STEPS[name]
    tags = np.flatnonzero(weight)
    first_us, last_us = int(query.edges[0]), int(query.edges[-1])
    context.require_affordable((last_us - first_us) // w.SHORTEST_US[table] * len(tags))
    rows = await read_rows(
        context,
        query.network,
        tags,
        lambda ids: context.store.amounts(table, ids, first_us, last_us),
    )
    grid = np.arange(first_us, last_us + 1, step_us)
    cells = fill_cells(table, grid[:-1], grid[1:], tags, rows)
    least = reference("baselines.completeness", "fraction")
    covered = (cells.covered_s >= least * step_us / SECOND_US).all(axis=1)
    mean = ratio(cells.amount, cells.covered_s) @ weight[tags]
    used = rows["quality"][rows["covered_s"] > 0]
    quality = int(worst_at(used, np.zeros(len(used), np.int64), 1)[0]) if len(used) else 255
    value = _blocks(query.edges, grid[:-1], np.where(covered, mean, np.nan), name)
    return History(value, quality)


def _blocks(edges: I64, start_us: I64, mean: F64, name: str) -> F64:
    """Return a figure of each block of time of its steps' means, (B,); NaN where too few are."""
    block = np.searchsorted(edges, start_us, "right") - 1
    count = len(edges) - 1
    known = np.isfinite(mean)
    steps, had = np.bincount(block, minlength=count), np.bincount(block[known], minlength=count)
    least = reference("baselines.completeness", "fraction")
    with np.errstate(invalid="ignore", divide="ignore"):
        if name == "electricity":
            total = np.bincount(block[known], mean[known], count)
            value = total / had * np.diff(edges) / SECOND_US
        elif name == "demand":
            value = np.full(count, -np.inf)
            np.maximum.at(value, block[known], mean[known])
        else:
            return mean[np.searchsorted(start_us, edges[1:]) - 1]
    return np.where(had >= least * steps, value, np.nan)


def _row(query: WindowQuery, edges: I64, lead: int, uom: Uom, forecast: Forecast) -> ForecastRow:
    error = forecast.error.get(forecast.method, float("nan"))

    def end(half_width: float, sign: int) -> float:
        return number(forecast.value + sign * half_width, uom)

    def skill(other: str) -> float | None:
        against = forecast.error[other]
        return 1 - error / against if against > 0 else None

    return {
        "start": rfc3339(int(edges[0]), query.zone),
        "end": rfc3339(int(edges[1]), query.zone),
        "lead": lead,
        "value": number(forecast.value, uom),
        "low_80": end(forecast.half_80, -1),
        "high_80": end(forecast.half_80, 1),
        "low_95": end(forecast.half_95, -1),
        "high_95": end(forecast.half_95, 1),
        "method": forecast.method or None,  # type: ignore[typeddict-item]
        "skill_naive": skill(NAIVE),
        "skill_seasonal_naive": skill(SEASONAL),
        "mean_error": number(error, uom),
        "held_out": forecast.points,
        "reason": forecast.reason,
    }
