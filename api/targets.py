"""Targets of policy and the values reached, as far as the tags can tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Cursor,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Share,
    Uint8,
    Verdict,
    record,
)
from api.calculation.pool import CalculationRoute
from api.chlorine import read_figures
from api.context import AppContext, Context, time_range
from api.encode import rfc3339
from api.joint import Joint, read_joint
from api.parameters import From, Text, To
from api.problems import RESPONSES
from api.reconciled import (
    Basis,
    ReconciledAmount,
    Values,
    covered_by,
    per_amount,
    read_amounts,
    read_reconciled,
)
from api.sums import read_sums, tags_of
from api.windows import WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.arrays import DAY_US, F64, U8, ratio
from twin.model.park import inside
from twin.quality import NO_DATA, worse
from twin.reconciliation.uncertainty import weights
from twin.series.windows import local
from twin.targets import KPIS, UNDECIDED, WORDS, Target, capacity_share, shortfall, verdict
from twin.uom import compile_uom

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=CalculationRoute)

# Longer ranges are summed from days.
HOURS_MAX_US = 31 * DAY_US
INTENSITY = {"electricity_intensity": "electricity", "energy_intensity": "coal_equivalent"}
SHARES = {
    "local_share_of_liquid": "k1",
    "local_share_of_chlorine": "k2",
    "chlor_alkali_balance": "chlor_alkali_balance",
}
KINDS = {"aluminium": "potline", "caustic": "membrane", "chlorine": "membrane"}
NOT_MEASURED = "needs figures that are in no tag: from the books or the asset register"
TOO_WIDE = "the interval of the value reaches over the limit: more accurate meters would decide"
NO_INTERVAL = "the uncertainty of a meter is not known, so nothing can be decided"
TOO_LITTLE = "only {:.0%} of the time is covered by all of its tags"
NO_VALUE = "there are no data, or no production, in this time, or stocks at its start are not known"


Sense = Literal["at_most", "at_least"]


class TargetRow(Provenance):
    """A target and the value reached; null = not to be known from the tags."""

    id: str
    scope: str
    name: Name | None
    kpi: str | None
    product: str | None
    sense: Sense | None
    goal: float
    uom: str
    tolerance: float
    limit: Annotated[float, Field(description="goal and tolerance: the value must be clear of it")]
    year: Annotated[int | None, Field(description="the goal holds from the end of this year")]
    due: Annotated[bool | None, Field(description="that year is over")]
    start: Rfc3339
    end: Rfc3339
    value: Number
    half_width: Annotated[Number, Field(description="of the 95 % interval; null = taken as exact")]
    verdict: Verdict | None
    shortfall: Number
    reason: str
    source: str
    note: str
    completeness: Annotated[Share, Field(description="share of the time covered by all its tags")]
    quality: Uint8
    values: Annotated[
        Basis | None,
        Field(description="what product, or flows, in the value stand on; null without a value"),
    ]
    missing: Annotated[list[str], Field(description="tags with gaps, the least covered first")]


class TargetAnswer(TypedDict):
    """The targets of a scope."""

    scope: str
    items: list[TargetRow]
    next: Cursor


class Reached(NamedTuple):
    """The value of a key figure over a range of time, and how far to trust it."""

    value: float  # [SI]; NaN = none
    half_width: float  # [SI] 95 %; 0 = taken as exact
    quality: int
    completeness: float | None = None
    missing: list[str] = []  # noqa: RUF012 - never changed
    decisive: bool = True
    reason: str = ""
    values: Basis = "measured"


@router.get("/targets")
async def read_targets(
    context: AppContext,
    scope: Annotated[
        Text, Query(description="targets of this scope and those below; all when none is named")
    ] = "",
    from_: From = None,
    to: To = None,
    values: Values = "reconciled",
) -> TargetAnswer:
    """Return each target with the value reached in a range of time, by default the last 24 h."""
    park = context.model.park
    from_us, to_us = time_range(context.now_us(), from_, to)
    window = "hour" if to_us - from_us <= HOURS_MAX_US else "day"
    items: list[TargetRow] = []
    for row in park.rows(Target):
        if not scope or inside(row.scope, scope):
            query = parse_query(context, row.scope, window, from_, to)
            # The whole range is one window.
            query = replace(query, edges=query.edges[[0, -1]])
            items.append(await _target(context, query, row, values))
    return {"scope": scope or park.id, "items": items, "next": None}


async def _target(context: Context, query: WindowQuery, row: Target, values: Basis) -> TargetRow:
    """Return one target, its value and verdict; null and a reason where there is none."""
    kpi = row.kpi
    result = Reached(np.nan, 0.0, NO_DATA)
    if kpi:
        result = await EVALUATE[kpi](context, query, row, values)
    scale = compile_uom(row.uom, KPIS[kpi])[0] if kpi in KPIS else 1.0
    reached, half_width = np.array(result.value / scale), result.half_width / scale
    at_most = np.array(row.sense == "at_most")
    limit = np.array(float(row.limit))
    met = int(verdict(reached, limit, at_most, half_width, decisive=result.decisive))
    return record(
        TargetRow,
        row,
        kpi=kpi or None,
        product=row.product or None,
        sense=row.sense or None,
        goal=float(row.value),
        tolerance=float(row.tolerance),
        limit=float(limit),
        due=row.year < local(query.now_us, query.zone).year if row.year else None,
        start=rfc3339(int(query.edges[0]), query.zone),
        end=rfc3339(int(query.edges[-1]), query.zone),
        value=float(reached),
        half_width=half_width if half_width > 0 else None,
        verdict=WORDS[met] if kpi else None,
        shortfall=float(shortfall(reached, limit, at_most)),
        reason=result.reason or _reason(row, met, reached, half_width),
        completeness=result.completeness,
        quality=result.quality,
        values=result.values if kpi else None,
        missing=result.missing,
    )


def _reason(row: Target, met: int, value: F64, half_width: float) -> str:
    """Return why there is no value or no verdict; empty where there are both."""
    if not row.kpi:
        return NOT_MEASURED
    if np.isnan(value):
        return NO_VALUE
    if met != UNDECIDED:
        return ""
    return NO_INTERVAL if np.isnan(half_width) else TOO_WIDE


def _reached(
    joint: Joint,
    value: F64,
    half_width: F64,
    ends: U8 | None = None,
    on: ReconciledAmount | None = None,
) -> Reached:
    """Return a figure of one window; `ends` are as of `Sums.trust`, `on` what it may stand on."""
    trust = joint.trust(~np.isnan(value), ends)
    quality, stands = trust["quality"], on is not None and bool(on.stands[0])
    if on is not None and stands:
        quality = worse(quality, on.quality)
    decisive = bool(joint.decisive[0]) or stands
    return Reached(
        float(value[0]),
        float(half_width[0]),
        int(quality[0]),
        float(joint.share[0]),
        joint.missing[0],
        decisive,
        "" if decisive else TOO_LITTLE.format(np.nan_to_num(joint.share[0])),
        "reconciled" if stands else "measured",
    )


async def _intensity(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> Reached:
    """Return energy per mass of a product."""
    network = query.network
    energy, mass = (
        Account(query.scope, target.product, item) for item in (INTENSITY[target.kpi], "mass")
    )
    groups = [tags_of(network, [energy]), tags_of(network, [energy, mass])]
    sums = await read_sums(context, query, groups[1])
    used, both = await read_joint(context, sums, groups)
    over, under = (weights(network, {account: 1.0}) for account in (energy, mass))
    made = (await read_amounts(context, query, values, {"mass": under}))["mass"]
    made = covered_by(made, used)
    figure = per_amount(made, used, both, target.product, (over, under))
    return _reached(both, figure.value, figure.half_width, on=made)


async def _chlorine(context: Context, query: WindowQuery, target: Target, values: Basis) -> Reached:
    """Return a share of the chlorine of a scope."""
    figures = await read_figures(context, query)
    if target.kpi in SHARES:
        name = SHARES[target.kpi]
        share = figures.shares[name]
        ratios = {name: share.weights}
        other = await read_reconciled(context, query, "chlorine", values, ratios)
        if name in other.columns and other.stands[0]:
            value, width = other.columns[name], other.columns[f"{name}_ci"]
            on = ReconciledAmount(value, width, other.stands, other.quality)
            return _reached(share.joint, value, width, on=on)
        return _reached(share.joint, share.value, share.half_width)
    balance, closed = figures.balance, figures.closed
    value, ci = (
        ratio(each, balance.made) for each in (abs(balance.unaccounted), balance.unaccounted_ci)
    )
    return _reached(closed, value, ci, balance.ends)


async def _register(_: Context, query: WindowQuery, target: Target, __: Basis) -> Reached:
    """Return a figure of the asset register: it holds at any time."""
    cells = [c for c in query.network.park.electrolysers if inside(c.scope, query.scope)]
    if target.kpi == "capacity":
        kind = KINDS.get(target.product)
        value = float(sum(c.capacity for c in cells if c.kind == kind)) if kind else np.nan
    else:
        cells = [c for c in cells if c.kind == "membrane"]
        value = capacity_share(
            np.array([c.capacity for c in cells]), np.array([c.zero_gap for c in cells], bool)
        )
    return Reached(value, 0.0, 0)


EVALUATE: dict[str, Callable[[Context, WindowQuery, Target, Basis], Awaitable[Reached]]] = {
    "electricity_intensity": _intensity,
    "energy_intensity": _intensity,
    "local_share_of_liquid": _chlorine,
    "local_share_of_chlorine": _chlorine,
    "unaccounted_share": _chlorine,
    "chlor_alkali_balance": _chlorine,
    "zero_gap_share": _register,
    "capacity": _register,
}
