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
from api.sums import read_sums, tags_of
from api.windows import WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.arrays import DAY_US, F64, U8, ratio
from twin.model.park import inside
from twin.quality import NO_DATA
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


@router.get("/targets")
async def read_targets(
    context: AppContext,
    scope: Annotated[
        Text, Query(description="targets of this scope and those below; all when none is named")
    ] = "",
    from_: From = None,
    to: To = None,
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
            items.append(await _target(context, query, row))
    return {"scope": scope or park.id, "items": items, "next": None}


async def _target(context: Context, query: WindowQuery, row: Target) -> TargetRow:
    """Return one target, its value and verdict; null and a reason where there is none."""
    kpi = row.kpi
    result = Reached(np.nan, 0.0, NO_DATA)
    if kpi:
        result = await EVALUATE[kpi](context, query, row)
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


def _reached(joint: Joint, value: F64, half_width: F64, ends: U8 | None = None) -> Reached:
    """Return a figure of one window; `ends` are as of `Sums.trust`."""
    trust = joint.trust(~np.isnan(value), ends)
    return Reached(
        float(value[0]),
        float(half_width[0]),
        int(trust["quality"][0]),
        float(joint.share[0]),
        joint.missing[0],
        bool(joint.decisive[0]),
        "" if joint.decisive[0] else TOO_LITTLE.format(np.nan_to_num(joint.share[0])),
    )


async def _intensity(context: Context, query: WindowQuery, target: Target) -> Reached:
    """Return energy per mass of a product."""
    network = query.network
    energy, mass = (
        Account(query.scope, target.product, item) for item in (INTENSITY[target.kpi], "mass")
    )
    tags = tags_of(network, [energy, mass])
    (joint,) = await read_joint(context, await read_sums(context, query, tags), [tags])
    over, under = (weights(network, {account: 1.0}) for account in (energy, mass))
    return _reached(joint, *joint.ratio(target.product, over, under))


async def _chlorine(context: Context, query: WindowQuery, target: Target) -> Reached:
    """Return a share of the chlorine of a scope."""
    figures = await read_figures(context, query)
    if target.kpi in SHARES:
        share = figures.shares[SHARES[target.kpi]]
        return _reached(share.joint, share.value, share.half_width)
    balance, closed = figures.balance, figures.closed
    value, ci = (
        ratio(each, balance.made) for each in (abs(balance.unaccounted), balance.unaccounted_ci)
    )
    return _reached(closed, value, ci, balance.ends)


async def _register(_: Context, query: WindowQuery, target: Target) -> Reached:
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


EVALUATE: dict[str, Callable[[Context, WindowQuery, Target], Awaitable[Reached]]] = {
    "electricity_intensity": _intensity,
    "energy_intensity": _intensity,
    "local_share_of_liquid": _chlorine,
    "local_share_of_chlorine": _chlorine,
    "unaccounted_share": _chlorine,
    "chlor_alkali_balance": _chlorine,
    "zero_gap_share": _register,
    "capacity": _register,
}
