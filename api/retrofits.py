"""The plan to change electrolysers to zero-gap cells: what is promised, possible and measured."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Given,
    Number,
    Provenance,
    Rfc3339,
    Share,
    formula,
    record,
)
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.disclosure import knows
from api.encode import ONE, number, rfc3339
from api.energy import (
    AGEING_US,
    KA_PER_M2,
    KWH_PER_T,
    V_M2_PER_KA,
    CellDays,
    membrane_cells,
    read_cell_days,
)
from api.parameters import Text
from api.problems import RESPONSES, Problem
from api.windows import ScopePath, parse_query
from twin.arrays import SECOND_US, ratio
from twin.energy.retrofits import (
    CellState,
    Measured,
    cell_state,
    judge_promise,
    measured_saving,
    possible_saving,
    saving_of_drop,
)
from twin.reconciliation.uncertainty import half_width
from twin.reference import load as load_reference
from twin.series.windows import local
from twin.targets import WORDS, verdict
from twin.targets.assets import ZERO_GAP, assets_of, capacities
from twin.targets.retrofits import Retrofit
from twin.uom import compile_uom, from_si, parse_quantity

if TYPE_CHECKING:
    from twin.model.park import Electrolyser, Park

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

KT_PER_YEAR = compile_uom("kt/year", "mass_flow")
NOT_DONE = "not_done"
TOO_FEW = "too_few_days"

State = Literal["zero_gap", "done", "planned", "overdue", "no_plan"]


class RetrofitRow(TypedDict):
    """An electrolyser, its plan, and what physics and meters say of the saving promised.

    All savings are of direct current per tonne of caustic soda, at equal load, and at temperature
    and strength of reference as far as `corrected_for` names them.
    """

    electrolyser: str
    scope: str
    capacity_kt_year: Given[Number]
    share: Annotated[
        Number, formula("capacity / capacity of all membrane electrolysers of the scope")
    ]
    state: State
    retrofit: Annotated[str | None, Field(description="id; null = not planned")]
    planned_on: str | None
    done_on: str | None
    cost_cny: Given[Number]
    evidence: str
    source: str
    note: str
    promised_kwh_t: Given[Number]
    promised_drop_mv: Given[Number]
    saving_of_drop_kwh_t: Annotated[
        Number,
        formula(
            "stated fall of the cell voltage / (current efficiency · mass of NaOH per charge): what"
            " the promise has to be, by Faraday's law"
        ),
    ]
    start: Annotated[Rfc3339, Field(description="of the days that the figures are of")]
    end: Rfc3339
    days: Annotated[int, Field(description="before the change that count: steady and covered")]
    corrected_for: list[str]
    current_density_ka_m2: Annotated[
        Number, formula("mean current / membrane area, of the days before")
    ]
    k_v_m2_ka: Annotated[Number, formula("(U at reference - U0) / current density, mean of days")]
    k_ci_v_m2_ka: Annotated[
        Number, formula("half width, 95 %: scatter of the days, meters of voltage and current")
    ]
    current_efficiency: Annotated[
        Number, formula("mean of the days, by analysis and meters, else by the model")
    ]
    possible_least_kwh_t: Annotated[
        Number,
        formula(
            "(U at reference - U0 - K · current density) / (current efficiency · mass of NaOH per"
            " charge), K at the high end of new zero-gap cells"
        ),
    ]
    possible_most_kwh_t: Annotated[Number, formula("the same, K at the low end")]
    possible_ci_kwh_t: Annotated[
        Number, formula("half width, 95 %: days, meter of the voltage, range of U0")
    ]
    verdict: Literal["plausible", "implausible", "undecided"] | None
    reason: Annotated[
        str,
        Field(
            description="why the promise is not plausible: `not_what_its_voltage_drop_saves`,"
            " `more_than_zero_gap_cells_can_save`; or not certain: `within_the_interval`,"
            " `too_few_days`, `meter_of_unknown_error`, `no_promise`"
        ),
    ]
    days_after: int
    measured_kwh_t: Annotated[
        Number,
        formula("energy per tonne before - after, both at the mean of their current densities"),
    ]
    measured_ci_kwh_t: Annotated[
        Number,
        formula(
            "half width, 95 %: meters, and what is left of the variance of the days before "
            "and after"
        ),
    ]
    kept: Annotated[
        Literal["met", "not_met", "undecided"] | None,
        Field(description="whether the measured saving reaches the promise; null = not done"),
    ]
    measured_reason: Annotated[
        str, Field(description="why nothing is measured: `not_done`, `too_few_days`")
    ]


class ShareStep(TypedDict):
    """The share of the capacity with zero-gap cells from a day on."""

    on: str
    share: Annotated[Share, formula("capacity with zero-gap cells / capacity, of what stands then")]
    retrofits: list[str]


class CellFigure(Provenance):
    """A range of figures that the possible saving rests on."""

    id: str
    low: Given[float]
    high: Given[float]
    uom: str
    source: str


class RetrofitAnswer(TypedDict):
    """The zero-gap plan of a scope."""

    scope: str
    on: str
    share: Annotated[Share, formula("capacity with zero-gap cells / capacity, on this day")]
    forecast: Annotated[list[ShareStep], Field(description="by the days of the plan")]
    items: list[RetrofitRow]
    factors: list[CellFigure]
    next: Cursor


@router.get("/{path:path}/retrofit")
async def read_retrofit(
    context: AppContext,
    path: ScopePath,
    electrolyser: Annotated[Text, Query(description="this electrolyser only")] = "",
) -> RetrofitAnswer:
    """Return the zero-gap plan of a scope: promises against physics, and against the meters.

    The days are those of half a year before now, and of one on both sides of a change that is done.
    """
    context.require_scope(path)
    park = context.model.park
    today = local(context.now_us(), context.zone).date()
    every = membrane_cells(park, path)
    cells = [cell for cell in every if electrolyser in ("", cell.id)]
    if electrolyser and not cells:
        raise Problem(404, f"no membrane electrolyser {electrolyser!r} in {path}")
    plans = {row.electrolyser: row for row in park.rows(Retrofit)}
    done: dict[date | None, list[Electrolyser]] = {}
    for cell in cells:
        plan = plans.get(cell.id)
        is_done = plan is not None and plan.done is not None and plan.done <= today
        done.setdefault(plan.done if plan and is_done else None, []).append(cell)
    sides: dict[str, _Sides] = {}
    for day, changed in done.items():
        sides |= await _read_sides(context, path, changed, day)
    whole = sum(cell.capacity for cell in every)
    rows = [_row(cell, plans.get(cell.id), sides[cell.id], today) for cell in cells]
    # With its own capacity an enterprise would know that of all others.
    if knows(context, path):
        for row, cell in zip(rows, cells, strict=True):
            row["share"] = number(cell.capacity / whole)
    return {
        "scope": path,
        "on": today.isoformat(),
        "share": _shares(park, path, today, [today])[0],
        "forecast": _forecast(park, path, [plans[c.id] for c in every if c.id in plans], today),
        "items": rows,
        "factors": _factors(),
        "next": None,
    }


def _shares(park: Park, scope: str, today: date, days: list[date]) -> list[float]:
    """Return the share of the capacity with zero-gap cells on some days."""
    assets = assets_of(park, scope, "membrane", today)
    part, whole = capacities(assets, ZERO_GAP, days)
    return list(ratio(part.sum(axis=1), whole.sum(axis=1)).tolist())


def _forecast(park: Park, scope: str, plans: list[Retrofit], today: date) -> list[ShareStep]:
    """Return the share after each day of the plan that is to come."""
    ahead = sorted({row.planned for row in plans if not row.done and row.planned > today})
    return [
        {
            "on": day.isoformat(),
            "share": share,
            "retrofits": [row.id for row in plans if row.planned == day and not row.done],
        }
        for day, share in zip(ahead, _shares(park, scope, today, ahead), strict=True)
    ]


class _Sides(NamedTuple):
    """The steady days of an electrolyser before a change, or before now, and those after it."""

    start: str
    end: str
    before: CellDays
    after: CellDays | None


async def _read_sides(
    context: Context, path: str, cells: list[Electrolyser], done: date | None
) -> dict[str, _Sides]:
    """Return the days of half a year on each side of a day, or before now; raises StoreError."""
    half_year, zone = timedelta(microseconds=AGEING_US), context.zone
    now = datetime.fromtimestamp(context.now_us() / SECOND_US, zone)
    changed = datetime.combine(done, time.min, zone) if done else now
    query = parse_query(context, path, "day", changed - half_year, min(changed + half_year, now))
    start, end = (rfc3339(int(query.edges[at]), zone) for at in (0, -1))
    days = await read_cell_days(context, query, cells)
    # The day of the change is on no side.
    before, after = (
        (np.array(query.days) < done, np.array(query.days) > done) if done else (None, None)
    )
    return {
        id_: _Sides(start, end, each.steady(before), each.steady(after) if done else None)
        for id_, each in days.items()
    }


def _state(cell: Electrolyser, days: CellDays | None) -> CellState:
    """Return the state of an electrolyser; where nothing tells its efficiency, the model does."""
    if days is None:
        return cell_state(*np.full((3, 1), np.nan))
    known = np.isfinite(days.efficiency).any()
    efficiency = days.efficiency if known else np.full(len(days.density), cell.current_efficiency)
    return cell_state(days.voltage, days.density, efficiency)


def _row(cell: Electrolyser, plan: Retrofit | None, sides: _Sides, today: date) -> RetrofitRow:
    """Return the row of one electrolyser."""
    before = _state(cell, sides.before)
    possible = possible_saving(before, float(half_width(np.array(sides.before.meters))))
    if plan is None and cell.zero_gap:
        # Such cells gain nothing by a change to such cells.
        possible = possible._replace(least=np.nan, most=np.nan, width=np.nan)
    efficiency = before.efficiency.value
    stated = efficiency if np.isfinite(efficiency) else cell.current_efficiency
    promised, drop = (plan.saving, plan.voltage_drop) if plan else (np.nan, np.nan)
    verdict_, reason = judge_promise(promised, drop, stated, possible) if plan else (None, "")
    after = _state(cell, sides.after)
    saved = measured_saving(before, after)
    return record(
        RetrofitRow,
        plan or Retrofit(id="", electrolyser=cell.id, planned=today),
        scope=cell.scope,
        capacity_kt_year=number(cell.capacity, KT_PER_YEAR),
        share=None,
        start=sides.start,
        end=sides.end,
        state=_stage(cell, plan, today),
        retrofit=plan.id if plan else None,
        planned_on=plan.planned.isoformat() if plan else None,
        done_on=plan.done.isoformat() if plan and plan.done else None,
        cost_cny=number(plan.cost) if plan else None,
        promised_kwh_t=number(promised, KWH_PER_T),
        promised_drop_mv=number(drop * 1000),
        saving_of_drop_kwh_t=number(saving_of_drop(drop, stated), KWH_PER_T),
        days=before.days,
        corrected_for=sides.before.corrected_for,
        current_density_ka_m2=number(before.density, KA_PER_M2),
        k_v_m2_ka=number(before.k.value, V_M2_PER_KA),
        k_ci_v_m2_ka=number(before.k.width, V_M2_PER_KA),
        current_efficiency=number(efficiency, ONE),
        possible_least_kwh_t=number(possible.least, KWH_PER_T),
        possible_most_kwh_t=number(possible.most, KWH_PER_T),
        possible_ci_kwh_t=number(possible.width, KWH_PER_T),
        verdict=verdict_,
        reason=reason,
        days_after=after.days,
        measured_kwh_t=number(saved.value, KWH_PER_T),
        measured_ci_kwh_t=number(saved.width, KWH_PER_T),
        kept=_kept(promised, saved) if plan and plan.done else None,
        measured_reason=_unmeasured(plan, saved),
    )


def _stage(cell: Electrolyser, plan: Retrofit | None, today: date) -> State:
    """Return how far an electrolyser has come."""
    if plan is None:
        return "zero_gap" if cell.zero_gap else "no_plan"
    if plan.done:
        return "done"
    return "planned" if plan.planned > today else "overdue"


def _kept(promised: float, saved: Measured) -> str:
    """Return whether a saving reaches what was promised."""
    met = verdict(np.array(saved.value), np.array(promised), np.array(False), saved.width)
    return WORDS[int(met)]


def _unmeasured(plan: Retrofit | None, saved: Measured) -> str:
    if plan is None or plan.done is None:
        return NOT_DONE
    return "" if np.isfinite(saved.value) else TOO_FEW


def _factors() -> list[CellFigure]:
    """Return the ranges of the voltage line, with their provenance."""
    table = load_reference("electrolysis")
    rows = (
        ("zero_gap_cells", table["zero_gap_cells"], "V*m^2/kA", "area_resistance"),
        ("zero_current_voltage", table["zero_current_voltage"]["membrane"], "V", "voltage"),
    )
    return [
        record(
            CellFigure,
            row,
            id=name,
            uom=uom,
            **{
                end: from_si(parse_quantity(row[end], quantity), uom, quantity)
                for end in ("low", "high")
            },
        )
        for name, row, uom, quantity in rows
    ]
