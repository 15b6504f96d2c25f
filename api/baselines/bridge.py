"""Where the energy went: what moved it between two periods, by plant and cause, and findings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

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
from api.baselines.findings import (
    Finding,
    ageing_findings,
    effect_findings,
    effects_of,
    idle_findings,
)
from api.baselines.movement import COST, Movement, Span, read_movement
from api.baselines.stored import model_of, read_versions
from api.calculation.pool import LongCalculationRoute
from api.context import AppContext, Context
from api.disclosure import knows
from api.encode import number, rfc3339
from api.energy import read_ageing
from api.parameters import From, Time, To
from api.problems import RESPONSES, invalid
from api.sums import read_sums
from api.windows import ScopePath, parse_query
from deploy.database.times import to_us
from twin.arrays import DAY_S, F64, SECOND_US
from twin.baseline.acceptance import judge
from twin.baseline.bridge import EFFECTS
from twin.baseline.model import Baseline
from twin.energy.circuits import product_weights
from twin.model.park import inside
from twin.quality import worst_of
from twin.series.windows import SHORTEST_US
from twin.uom import compile_uom

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

Measure = Literal["electricity", "coal_equivalent", "electricity_cost"]
UOMS = {"electricity": "MWh", "coal_equivalent": "tce"}
CNY = "CNY"
USUAL = timedelta(days=7)
YEAR_S = 365.25 * DAY_S
NO_PRICE = "amounts of energy are compared, which have no price: measure=electricity_cost has"
ENERGY = Annotated[Number, formula("mean energy of a day, over the joint time of its meters")]
BaseFrom = Annotated[Time | None, Query(description="start of the period before, RFC 3339")]
BaseTo = Annotated[Time | None, Query(description="its end; by default `from`")]


class BridgePart(TypedDict):
    """What an effect made of the change."""

    effect: Annotated[
        str,
        Field(
            description="volume, mix (share of each plant in a product), intensity, load (idle"
            " energy on another mass), conditions (temperature, grade), price (of a kWh, by tariff"
            " and hours of use; 0 where energies are compared), started_or_stopped, other (what is"
            " of no product)"
        ),
    ]
    value: Annotated[
        Number,
        formula(
            "logarithmic mean of a plant's energy in both periods · logarithm of the ratio of the"
            " effect (LMDI-I), summed over plants; load and conditions by their baselines"
        ),
    ]
    ci: Annotated[Number, formula("half width, 95 %, by meters and coefficients")]


class BridgeMember(TypedDict):
    """What moved the energy of one product of one plant."""

    scope: str
    product: str
    before: ENERGY
    after: ENERGY
    change: Annotated[
        Number, formula("energy of a mean day of the later period - that of the earlier one")
    ]
    change_ci: Annotated[Number, formula("half width, 95 %: meters, and what gaps leave open")]
    effects: list[BridgePart]
    baseline: Annotated[str | None, Field(description="whose model tells load and conditions")]
    reason: Annotated[str, Field(description="why it is not in the bridge, or has no model")]


class BridgeAnswer(TypedDict):
    """The change of the energy of a mean day between two periods, in steps that add up to it."""

    scope: str
    measure: Measure
    uom: Annotated[str, Field(description="of all energies")]
    base_start: Rfc3339
    base_end: Rfc3339
    start: Rfc3339
    end: Rfc3339
    before: ENERGY
    after: ENERGY
    change: Annotated[
        Number, formula("energy of a mean day of the later period - that of the earlier one")
    ]
    change_ci: Annotated[Number, formula("half width, 95 %: meters, and what gaps leave open")]
    parts: list[BridgePart]
    residual: Annotated[Number, formula("change − sum of all parts")]
    members: Annotated[list[BridgeMember], Field(description="the largest changes first")]
    findings: Annotated[list[Finding], Field(description="only what its interval decides")]
    price_reason: Annotated[str, Field(description="why prices are no part")]
    completeness: Annotated[Share, formula("of the period that has less")]
    quality: Uint8
    missing: list[str]
    reason: Annotated[str, Field(description="why there is no bridge; empty where there is")]
    next: Cursor


@router.get("/{path:path}/bridge")
async def read_bridge(
    context: AppContext,
    path: ScopePath,
    measure: Annotated[
        Measure, Query(description="electricity, energy as coal, or the cost of electricity")
    ] = "electricity",
    from_: From = None,
    to: To = None,
    base_from: BaseFrom = None,
    base_to: BaseTo = None,
    *,
    ageing: Annotated[
        bool, Query(description="also find what ageing electrolysers cost; slow for a whole park")
    ] = False,
) -> BridgeAnswer:
    """Return what moved the energy of a scope between two periods; by default the last two weeks.

    Energies are those of a mean day, so that periods of different length can be compared.
    """
    context.require_scope(path)
    to = to or datetime.fromisoformat(rfc3339(context.now_us(), context.zone))
    from_ = from_ or to - USUAL
    base_to = base_to or from_
    spans = [(base_from or base_to - (to - from_), base_to), (from_, to)]
    if any(start >= stop for start, stop in spans):
        raise invalid("from", "a period is empty", hint="`base_to` is `from` unless you give it")
    moved = await read_movement(context, path, measure, spans)
    uom = f"{UOMS.get(measure, CNY)}/day"
    unit = 1.0 if measure == COST else compile_uom(UOMS[measure], "energy")[0]
    scale = unit / DAY_S
    known = bool(moved.known[-1])
    parts = _parts(moved, scale) if known else []
    before, after = (number(each.total / scale) for each in (moved.before, moved.after))
    change, every = after - before, np.ones(moved.effects.shape)
    first, last = moved.periods
    share = min(float(each.joints[-1].share[0]) for each in moved.periods)
    decisive = share >= context.settings.verdict_completeness
    members = _members(moved, scale)
    if not knows(context, path):
        # What volume and mix of the whole scope did to a member tells of the others.
        members = [each | {"effects": [], "change_ci": None} for each in members]
    findings = await _findings(context, path, measure, moved, scale) if decisive else []
    if decisive and ageing and measure == "electricity":
        findings += await _ageing(context, path, spans)
    used = np.concatenate([each.sums.quality[0] for each in moved.periods])
    stamps = [rfc3339(int(edge), context.zone) for each in (first, last)
              for edge in each.sums.query.edges]  # fmt: skip
    return {
        "scope": path,
        "measure": measure,
        "uom": uom,
        **dict(zip(("base_start", "base_end", "start", "end"), stamps, strict=True)),  # type: ignore[typeddict-item]
        "before": before if known else None,
        "after": after if known else None,
        "change": change if known else None,
        "change_ci": moved.width(every, other=1.0) / scale if known else None,
        "parts": parts,
        "residual": round(change - sum(p["value"] or 0.0 for p in parts), 6) if known else None,
        "members": members,
        "findings": findings,
        "price_reason": "" if measure == COST else NO_PRICE,
        "completeness": share,
        "quality": int(worst_of(used, np.zeros(1, np.intp))[0]) if len(used) else 255,
        "missing": list(dict.fromkeys(first.joints[-1].missing[0] + last.joints[-1].missing[0])),
        "reason": moved.reasons[-1],
        "next": None,
    }


def _parts(moved: Movement, scale: float) -> list[BridgePart]:
    """Return the steps of the bridge, over all members."""
    parts: list[BridgePart] = []
    for at, name in enumerate(EFFECTS):
        some = np.zeros(moved.effects.shape)
        some[at] = 1.0
        value = float(moved.effects[at].sum())
        parts.append({"effect": name, "value": value / scale, "ci": moved.width(some) / scale})
    none = np.zeros(moved.effects.shape)
    width = moved.width(none, other=1.0) / scale
    return [*parts, {"effect": "other", "value": moved.other / scale, "ci": width}]


def _widths(moved: Movement, at: int) -> F64:
    """Return half the intervals of the effects on a member, and of all of them, (8,) [W]."""
    some = np.zeros((len(EFFECTS) + 1, *moved.effects.shape))
    for row in range(len(EFFECTS)):
        some[row, row, at] = 1.0
    some[-1, :, at] = 1.0
    return np.array([moved.width(each) for each in some])


def _members(moved: Movement, scale: float) -> list[BridgeMember]:
    """Return the members, the largest changes first; those that are not known last."""
    known, unknown = list[BridgeMember](), list[BridgeMember]()
    nth = 0
    for at, member in enumerate(moved.members):
        if not moved.known[at]:
            unknown.append({
                "scope": member.scope, "product": member.product, "before": None, "after": None,
                "change": None, "change_ci": None, "effects": [], "baseline": None,
                "reason": moved.reasons[at],
            })  # fmt: skip
            continue
        before, after = (float(e.energy[nth]) / scale for e in (moved.before, moved.after))
        widths, model = _widths(moved, nth) / scale, moved.models[nth]
        effects: list[BridgePart] = [
            {"effect": name, "value": float(moved.effects[row, nth]) / scale, "ci": width}
            for row, (name, width) in enumerate(zip(EFFECTS, widths.tolist(), strict=False))
        ]
        known.append({
            "scope": member.scope, "product": member.product, "before": before, "after": after,
            "change": after - before, "change_ci": float(widths[-1]), "effects": effects,
            "baseline": model.baseline, "reason": model.reason,
        })  # fmt: skip
        nth += 1
    known.sort(key=lambda row: -abs(row["change"] or 0.0))
    return known + unknown


async def _findings(
    context: Context, path: str, measure: str, moved: Movement, scale: float
) -> list[Finding]:
    """Return what the figures decide: effects on plants, and idle loads."""
    park, uom = context.model.park, f"{UOMS.get(measure, CNY)}/day"
    inner = [m for m, some in zip(moved.members, moved.known[:-1].tolist(), strict=True) if some]
    effects = [
        each
        for at, member in enumerate(inner)
        for each in effects_of(
            member.scope,
            member.product,
            float(moved.before.energy[at]) / scale,
            (moved.effects[:, at] / scale).tolist(),
            (_widths(moved, at)[:-1] / scale).tolist(),
        )
    ]
    findings = effect_findings(park, measure, uom, effects)
    rows = {r.id: r for r in park.rows(Baseline) if inside(r.scope, path)}
    models = [(rows[name], model_of(stored[0]), SHORTEST_US[rows[name].frequency] / SECOND_US)
              for name, stored in (await read_versions(context, list(rows))).items()]  # fmt: skip
    accepted = [each for each in models if all(j.met for j in judge(each[1], each[0].frequency))]
    return findings + idle_findings(park, accepted)


async def _ageing(context: Context, path: str, spans: list[Span]) -> list[Finding]:
    """Return what ageing costs since the period before, by what each electrolyser makes now."""
    cells = {
        c.id: c for c in context.model.park.electrolysers
        if c.kind == "membrane" and inside(c.scope, path)
    }  # fmt: skip
    if not cells:
        return []
    network, (start, stop) = context.model.network, spans[1]
    query = parse_query(context, path, "day", start, stop)
    own = {name: product_weights(network, cell) for name, cell in cells.items()}
    tags = np.flatnonzero(np.any(list(own.values()), axis=0))
    sums = await read_sums(context, query, tags)
    made_t: dict[str, float] = {}
    for name, weight in own.items():
        column = np.searchsorted(sums.tags, np.flatnonzero(weight))
        covered_s = float(sums.covered_s[:, column].min(axis=1).sum())
        amount = float(np.nansum(sums.weigh(weight)))
        made_t[name] = amount / 1000 / covered_s * DAY_S if covered_s > 0 else float("nan")
    middles = [(to_us(a) + to_us(b)) / 2 / SECOND_US for a, b in spans]
    answer = await read_ageing(context, path, None, stop)
    scopes = {name: cell.scope for name, cell in cells.items()}
    return ageing_findings(answer["items"], scopes, made_t, (middles[1] - middles[0]) / YEAR_S)
