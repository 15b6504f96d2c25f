"""Loops of a scope: energy, water, salt, by-products, waste and waste heat, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Given,
    HalfWidth,
    Name,
    Number,
    Provenance,
    WindowAnswer,
    WindowRow,
    formula,
    nested,
    record,
)
from api.calculation.pool import LongCalculationRoute
from api.component_balance import read_component
from api.context import AppContext
from api.encode import TONNE, Uom, number, out
from api.joint import read_joint
from api.parameters import Text
from api.problems import RESPONSES, Problem
from api.reconciled import Basis, StandsOn, Values, read_reconciled, stand_on
from api.sums import NO_TAGS, read_sums
from api.windows import Daily
from twin.byproducts.loops import HAZARDOUS, TERM_OF, TERMS, Loop, add_up, compile_loops
from twin.reference import load
from twin.uom import compile_uom

if TYPE_CHECKING:
    from api.context import Context
    from api.joint import Joint
    from api.sums import Sums
    from twin.arrays import I64

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=LongCalculationRoute)

GJ, MWH = (compile_uom(uom, "energy") for uom in ("GJ", "MWh"))
CELSIUS = compile_uom("degC", "temperature")
NO_METER = "no meter, or no such entry in the model: "

Kind = Literal[
    "energy", "water", "condensate", "salt", "by_product", "solid_waste", "hazardous_waste",
    "waste_heat",
]  # fmt: skip


class Destination(TypedDict):
    """What went to one destination of a waste: use, sale, store, treat, landfill or vent."""

    to: str
    amount: Annotated[Number, formula("sum of the tags of this destination")]
    amount_ci: HalfWidth


class LoopRow(WindowRow):
    """One loop in one window, in `uom`; null = the scope has no such flow, or it is not known.

    Amounts are those of the time that is covered; what is unaccounted and the rate are those of the
    time in which all their inputs are covered.
    """

    kind: Kind
    id: Annotated[str, Field(description="component, or kind with the code or level")]
    name: Name
    code: Annotated[str, Field(description="of a waste")]
    hazardous: bool
    level: Annotated[str, Field(description="of waste heat: low, medium, high; empty = all")]
    cut_off_c: Given[
        Annotated[Number, Field(description="waste heat counts above this temperature")]
    ]
    uom: Annotated[str, Field(description="t; MWh of electricity, GJ of waste heat")]
    values: StandsOn
    made: Annotated[
        Number,
        formula(
            "made inside; of waste: generated; of condensate: steam used; of waste heat: flow ×"
            " heat capacity × (temperature − cut-off)"
        ),
    ]
    made_ci: HalfWidth
    made_completeness: Completeness
    imported: Annotated[Number, formula("what comes into the scope")]
    imported_ci: HalfWidth
    imported_completeness: Completeness
    used: Annotated[
        Number,
        formula(
            "what ends inside; of waste: used or sold; of condensate: returned; of waste heat:"
            " recovered"
        ),
    ]
    used_ci: HalfWidth
    used_completeness: Completeness
    sent_out: Annotated[Number, formula("what leaves the scope; of waste: treated and landfilled")]
    sent_out_ci: HalfWidth
    sent_out_completeness: Completeness
    vented: Annotated[Number, formula("what goes to the atmosphere")]
    vented_ci: HalfWidth
    vented_completeness: Completeness
    stored: Annotated[
        Number, formula("stock at the end − stock at the start; of waste: put into storage")
    ]
    stored_ci: HalfWidth
    stored_completeness: Completeness
    unaccounted: Annotated[
        Number,
        formula(
            "made + imported − used − sent out − vented − stored, of the time in which all of them"
            " are covered; what `unmetered` streams carry is in it; of waste heat: not recovered"
        ),
    ]
    unaccounted_ci: HalfWidth
    unmetered: Annotated[list[str], Field(description="streams of the loop without a meter")]
    destinations: list[Destination]
    reused: Annotated[Number, formula("numerator of the rate, over the joint time of both sums")]
    available: Annotated[
        Number, formula("denominator of the rate, over the joint time of both sums")
    ]
    rate: Annotated[
        Number, formula("reused / available; which sums these are, `formulas` says under `basis`")
    ]
    rate_ci: HalfWidth
    rate_completeness: Completeness
    basis: Annotated[str, Field(description="the formula of the rate: a row of `formulas`")]
    no_data: Annotated[list[str], Field(description="inputs the rate lacks in the model")]
    reason: Annotated[str, Field(description="why the rate, or what is unaccounted, is null")]


class RateFormula(Provenance):
    """The formula of a rate, with provenance."""

    id: str
    name: Name
    formula: str
    dated: str | None
    source: str


class CutOff(Provenance):
    """A stated temperature down to which waste heat counts."""

    scope: str
    temperature_c: Given[float]
    dated: str | None
    clause: str
    source: str


class LoopAnswer(WindowAnswer):
    """The loops of a scope."""

    items: list[LoopRow]
    formulas: list[RateFormula]
    cut_offs: list[CutOff]


@dataclass(frozen=True, slots=True)
class LoopTime:
    """A loop with the joint times of its balance and of its rate."""

    loop: Loop
    balance: Joint
    rate: Joint


@router.get("/{path:path}/loops")
async def read_loops(
    context: AppContext,
    query: Daily,
    values: Values = "reconciled",
    id: Annotated[Text, Query(description="this loop only")] = "",  # noqa: A002 - as in answers
) -> LoopAnswer:
    """Return what is made, reused, imported and sent out of energy, water, matter and waste."""
    every = compile_loops(query.network, query.scope)
    loops = [loop for loop in every if id in ("", loop.id)]
    if id and not loops:
        raise Problem(404, f"no loop {id!r} in {query.scope}", hint="ask without id for a list")
    groups = [tags for loop in loops for tags in (_balance_tags(loop), rate_tags(loop))]
    sums = await read_sums(context, query, np.unique(np.concatenate([NO_TAGS, *groups])))
    joints = await read_joint(context, sums, groups)
    times = map(LoopTime, loops, joints[::2], joints[1::2])
    rows = [await _rows(context, sums, each, values) for each in times]
    cut_offs = dict.fromkeys(loop.cut_off for loop in loops if loop.cut_off)
    return query.answer(
        LoopAnswer,
        rows,
        formulas=[
            record(
                RateFormula, load("loops")[name], id=name, dated=load("loops")[name].get("dated")
            )
            for name in dict.fromkeys(loop.rate for loop in loops)
        ],
        cut_offs=[
            record(
                CutOff,
                row,
                temperature_c=number(row.temperature, CELSIUS),
                dated=row.dated and str(row.dated),
            )
            for row in cut_offs
        ],
    )


def rate_tags(loop: Loop) -> I64:
    """Return the places of the tags of both sums of a rate, sorted."""
    return np.flatnonzero((loop.over != 0) | (loop.under != 0))


def _balance_tags(loop: Loop) -> I64:
    """Return the places of the tags of all terms, sorted."""
    return np.flatnonzero(add_up(map(np.abs, loop.terms.values()), loop.over))


def _uom_of(loop: Loop) -> tuple[str, Uom]:
    """Return the unit of measure of the amounts of a loop."""
    if not loop.energy:
        return "t", TONNE
    return ("MWh", MWH) if loop.component else ("GJ", GJ)


async def _rows(context: Context, sums: Sums, each: LoopTime, values: Basis) -> list[LoopRow]:
    """Return the rows of one loop."""
    loop = each.loop
    name, uom = _uom_of(loop)
    columns = _amounts(sums, loop, uom) | _rate(each, uom)
    columns |= each.balance.trust(each.balance.enough)
    columns |= await _balance(context, sums, each, uom)
    if loop.component:
        columns |= await _reconciled(context, sums, loop, values, columns, uom)
    unmetered = sorted({name for names in loop.unmetered.values() for name in names})
    return sums.query.rows(
        LoopRow,
        {
            "kind": loop.kind,
            "id": loop.id,
            "name": loop.name,
            "code": loop.code,
            "hazardous": loop.kind == HAZARDOUS,
            "level": loop.level,
            "cut_off_c": number(loop.cut_off.temperature, CELSIUS) if loop.cut_off else None,
            "uom": name,
            "values": "measured",
            "unmetered": [unmetered] * len(sums.amount),
            "destinations": _destinations(sums, loop, uom),
            "basis": loop.rate,
            "no_data": [[*loop.lacking]] * len(sums.amount),
            **columns,
        },
    )


def _amounts(sums: Sums, loop: Loop, uom: Uom) -> dict[str, Any]:
    """Return the columns of the terms as measured; one that lacks a meter is not known."""
    columns: dict[str, Any] = {}
    unknown = np.full(len(sums.amount), np.nan)
    for term in TERMS:
        value, width, share = unknown, unknown, unknown
        if term in loop.terms and term not in loop.unmetered:
            weight = loop.terms[term]
            value, width = sums.weigh(weight), sums.ci(loop.component, weight)
            share = sums.completeness(np.searchsorted(sums.tags, np.flatnonzero(weight)))
        columns[term] = out(value, uom)
        columns[f"{term}_ci"] = out(np.where(np.isnan(value), np.nan, width), uom)
        columns[f"{term}_completeness"] = share
    return columns


async def _balance(context: Context, sums: Sums, each: LoopTime, uom: Uom) -> dict[str, Any]:
    """Return the columns of what tanks take up and of what the balance leaves unaccounted."""
    loop, joint = each.loop, each.balance
    if loop.component:
        balance = await read_component(context, sums, loop.component, joint)
        stock = {
            name: balance.columns[f"inventory_change{ci}_t"]
            for name, ci in (("stored", ""), ("stored_ci", "_ci"))
        }
        why = balance.columns["reason"]
        value, width, trust = balance.unaccounted, balance.unaccounted_ci, {}
        if balance.ends is not None:
            trust = joint.trust(joint.enough, balance.ends)
        columns = stock | trust
    else:
        known = joint.enough & (not loop.unmetered)
        value = np.where(known, joint.sums.weigh(loop.balance), np.nan)
        width = joint.sums.ci("", loop.balance)
        columns, why = {}, joint.reasons(value)
    columns["unaccounted"] = out(value, uom)
    columns["unaccounted_ci"] = out(np.where(np.isnan(value), np.nan, width), uom)
    lost = each.rate.reasons(np.where(each.rate.enough, 0.0, np.nan))
    lacking = NO_METER + ", ".join(loop.lacking) if loop.lacking else ""
    columns["reason"] = [
        "; ".join(dict.fromkeys(filter(None, (lacking, *both))))
        for both in zip(why, lost, strict=True)
    ]
    return columns


def _rate(each: LoopTime, uom: Uom) -> dict[str, Any]:
    """Return the columns of a rate and of the two sums it is made of."""
    loop, joint = each.loop, each.rate
    value, width = joint.ratio(loop.component, loop.over, loop.under)
    known = joint.enough & (not loop.lacking)
    sums = {"reused": joint.sums.weigh(loop.over), "available": joint.sums.weigh(loop.under)}
    columns = {name: out(np.where(known, sum_, np.nan), uom) for name, sum_ in sums.items()}
    columns |= {
        name: out(np.where(known, each_, np.nan))
        for name, each_ in (("rate", value), ("rate_ci", width))
    }
    return columns | {"rate_completeness": out(joint.share)}


async def _reconciled(
    context: Context, sums: Sums, loop: Loop, values: Basis, columns: dict[str, Any], uom: Uom
) -> dict[str, Any]:
    """Return the flows that stand on the closed balances of the park, with their basis."""
    closed = await read_reconciled(context, sums.query, loop.component, values, {})
    size = TONNE[0] / uom[0]
    renamed = {
        f"{TERM_OF.get(item, 'stored')}{ci}": closed.columns[f"{item}{ci}_t"] * size
        for item in (*TERM_OF, "inventory_change")
        for ci in ("", "_ci")
        if f"{item}_t" in closed.columns and TERM_OF.get(item) not in loop.unmetered
    }
    return stand_on(closed._replace(columns=renamed), columns)


def _destinations(sums: Sums, loop: Loop, uom: Uom) -> list[list[Destination]]:
    """Return where a waste went, in each window."""
    words, weights = [*loop.destinations], loop.destinations.values()
    if not words:
        return [[] for _ in sums.amount]
    amounts = np.stack([sums.weigh(weight) for weight in weights], axis=-1)
    widths = np.stack([sums.ci("", weight) for weight in weights], axis=-1)
    columns = {"amount": out(amounts, uom), "amount_ci": out(widths, uom)}
    return nested(Destination, {"to": words}, columns, len(words))
