"""An industry of a scope: the enterprises that make one product, as quartiles without names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field

from api.answers import Given, Number, WindowAnswer, WindowRow, formula, record
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.encode import rfc3339
from api.energy import read_energy
from api.parameters import Text
from api.problems import RESPONSES, not_found
from api.windows import Daily, WindowQuery
from twin.arrays import BOOL, F64
from twin.disclosure import DOMINATED, FEW, LINKED, SPREAD_MIN, Level, level_of, withheld_above
from twin.evaluation.quartiles import NAMES, quartiles
from twin.model.park import inside, scopes_above
from twin.quality import NO_DATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.accounts.network import Network

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

# Figures of a product by their uom; those per tonne are weighed by the output.
AMOUNTS = {"mass_t": "t", "energy_kwh": "kWh", "energy_kgce": "kgce"}
PER_TONNE = {"kwh_per_t": "kWh/t", "kgce_per_t": "kgce/t"}
COMPLETENESS = {"mass_t": "mass_completeness"}  # of the others it has their name
UNKNOWN = "no data: no member has a value"
REASONS = {
    FEW: "withheld: fewer than three members have a value",
    DOMINATED: "withheld: more than 80 % is of one member",
    LINKED: "withheld: with an industry of a scope below, it would tell of few members",
}
MEDIAN_ONLY = "fewer than five members have a value: only the median is told"

QuartileWidth = Annotated[
    Number,
    formula("how far it moves when all members move by their half widths; null = not known"),
]


class IndustryRow(WindowRow):
    """One indicator over the members of an industry in one window; nobody is named.

    It is withheld from everybody, whatever his level, as a sum is from who sees none of its parts.
    Completeness and quality are those of the worst member with a value.
    """

    indicator: Annotated[
        str, Field(description="mass_t, energy_kwh, energy_kgce, kwh_per_t or kgce_per_t")
    ]
    uom: str
    members: Given[int]
    known: Annotated[Number, formula("members with a value")]
    minimum: Annotated[Number, formula("the least of the members' values")]
    minimum_ci: QuartileWidth
    lower_quartile: Annotated[
        Number, formula("value a quarter of the way up the sorted members, linear between two")
    ]
    lower_quartile_ci: QuartileWidth
    median: Annotated[Number, formula("middle of the sorted members, linear between two")]
    median_ci: QuartileWidth
    upper_quartile: Annotated[
        Number, formula("value three quarters of the way up the sorted members, linear between two")
    ]
    upper_quartile_ci: QuartileWidth
    maximum: Annotated[Number, formula("the greatest of the members' values")]
    maximum_ci: QuartileWidth
    whole: Annotated[
        Number,
        formula(
            "all members together: sum of an amount, per tonne the mean weighed by output; null"
            " where a member has no value, or fewer than five have one"
        ),
    ]
    reason: Annotated[str, Field(description="why figures are null")]


class IndustryAnswer(WindowAnswer):
    """The enterprises of a scope that make a product, as quartiles."""

    viewer: Level
    product: str
    items: list[IndustryRow]


class Maker(NamedTuple):
    """An enterprise of an industry, its rows by window, and whether others may not know it."""

    scope: str
    rows: Sequence[Any]  # of EnergyRow
    concealed: bool


@router.get("/{path:path}/industry")
async def read_industry(
    context: AppContext,
    query: Daily,
    product: Annotated[Text, Query(description="caustic, aluminium, ammonia, …")],
) -> IndustryAnswer:
    """Return indicators of the enterprises that make a product, as quartiles without names."""
    members = await _read_members(context, query, product)
    rows = [
        [_row(query, window, key, members) for window in range(len(query.edges) - 1)]
        for key in AMOUNTS | PER_TONNE
    ]
    return query.answer(IndustryAnswer, rows, viewer=context.viewer.level, product=product)


def makers(network: Network, scope: str, product: str) -> list[str]:
    """Return the enterprises of a scope that make a product; raises Problem 404 without any."""
    made = {(each.scope, each.subject) for each in network.accounts if each.item == "mass"}
    inner = [s.id for s in network.park.scopes if s.kind == "enterprise" and inside(s.id, scope)]
    makes = [each for each in inner if (each, product) in made]
    if not makes:
        products = {name for each, name in made if each in inner}
        raise not_found("product", product, products, f"/api/v1/scopes/{scope}/energy")
    return makes


async def _read_members(context: Context, query: WindowQuery, product: str) -> list[Maker]:
    """Return the members of an industry; raises Problem 404 and 422, and StoreError."""
    network, viewer = query.network, context.viewer
    enterprises = makers(network, query.scope, product)
    count, what = (len(query.edges) - 1) * len(enterprises), "windows times enterprises"
    context.require_limit("window", count, "windows_max", what, "longer windows")
    members = []
    for each in enterprises:
        answer = await read_energy(context, replace(query, scope=each))
        rows = [row for row in answer["items"] if row["product"] == product]
        seen = viewer.sees(each, level_of(network.park, each))
        members.append(Maker(each, rows, viewer.sees_all or not seen))
    return members


def _column(rows: Sequence[Any], key: str) -> F64:
    return np.array([row.get(key) for row in rows], np.float64)


def _row(query: WindowQuery, window: int, key: str, members: Sequence[Maker]) -> IndustryRow:
    """Return an indicator of an industry in a window, as far as it gives no member away."""
    rows = [each.rows[window] for each in members]
    value = _column(rows, key)
    known = ~np.isnan(value)
    size = value if key in AMOUNTS else _column(rows, "mass_t")
    hidden = known & np.array([each.concealed for each in members])
    undisclosed = _withheld(query, members, size, hidden)
    figures, reason = dict[str, Any](), REASONS.get(undisclosed, "")
    if not known.any():
        reason = UNKNOWN
    elif not reason:
        few = 0 < hidden.sum() < SPREAD_MIN
        reason = MEDIAN_ONLY if few else ""
        weight = size if key in PER_TONNE else None
        figures = _figures(value, _column(rows, f"{key}_ci"), weight, few=few)
    grading = [row for row, has in zip(rows, known, strict=True) if has and figures]
    share = COMPLETENESS.get(key, f"{key}_completeness")
    start, end = (rfc3339(edge, query.zone) for edge in query.edges[window : window + 2].tolist())
    return record(
        IndustryRow,
        dict.fromkeys(IndustryRow.__annotations__) | figures,
        start=start,
        end=end,
        completeness=min((row[share] for row in grading), default=None),
        quality=max((row["quality"] for row in grading), default=NO_DATA),
        missing=[],
        undisclosed=undisclosed,
        indicator=key,
        uom=(AMOUNTS | PER_TONNE)[key],
        members=len(members),
        known=int(known.sum()),
        reason=reason,
    )


def _withheld(query: WindowQuery, members: Sequence[Maker], size: F64, hidden: BOOL) -> str:
    """Return why an indicator is withheld, by the members that are hidden in it."""
    park = query.network.park
    enterprises = (each.id for each in park.scopes if each.kind == "enterprise")
    sums = sorted({up for each in enterprises for up in scopes_above(each) if up != each})
    sizes = zip(members, np.nan_to_num(size).tolist(), hidden.tolist(), strict=True)
    return withheld_above(
        query.scope, {member.scope: one for member, one, is_hidden in sizes if is_hidden}, sums
    )


def _figures(value: F64, half_width: F64, weight: F64 | None, *, few: bool) -> dict[str, Any]:
    """Return the quartiles of the members with a value, and all together; of few the median."""
    known = ~np.isnan(value)
    names = ["median"] if few else NAMES
    middle, width = quartiles(value[known], half_width[known])
    figures: dict[str, Any] = {}
    for name, one, ci in zip(NAMES, middle.tolist(), width.tolist(), strict=True):
        if name in names:
            figures |= {name: one, f"{name}_ci": None if np.isnan(ci) else ci}
    if known.all() and not few:
        whole = value.sum() if weight is None else np.average(value, weights=weight)
        figures["whole"] = None if np.isnan(whole) else float(whole)
    return figures
