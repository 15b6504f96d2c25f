"""By-products of a scope: their balances, their surplus, and its allocation to sinks."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Ends,
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
from api.calculation.pool import CalculationRoute
from api.component_balance import flow_accounts, known_flows, read_component
from api.context import AppContext
from api.encode import CNY_PER_H, CNY_PER_T, KM, T_PER_H, TONNE, number, out
from api.joint import read_joint
from api.parameters import Text
from api.problems import RESPONSES, not_found
from api.reconciled import StandsOn, Values, read_reconciled, stand_on
from api.sums import NO_TAGS, read_sums, tags_of
from api.windows import Daily, Hourly, WindowQuery
from twin.accounts.accounts import ELECTRICITY, FLOW_ITEMS
from twin.arrays import F64, ratio
from twin.byproducts.allocation import Allocation, allocate
from twin.byproducts.exchange import Exchange, compile_exchange, modes, offered, surplus_rate
from twin.reference import load
from twin.uom import compile_uom, parse_quantity

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

CNY_PER_T_KM = compile_uom("CNY/t/km", "transport_price")
T_KM = (TONNE[0] * KM[0], 0.0)

Relief = Annotated[
    Number, formula("more placed per more capacity, kg/kg: dual value of the linear program")
]
Price = Annotated[
    Number, formula("more gain per more capacity, CNY/t: dual value of the linear program")
]


class ByproductRow(WindowRow):
    """The balance of one medium in one window.

    Measured flows are those of the time that is covered, reconciled ones those of the whole window.
    What is unaccounted is what the meters leave over in the time in which all of them are covered.
    """

    medium: str
    values: StandsOn
    make_t: Annotated[
        Number,
        formula(
            "made: sum of what electrolysers make by Faraday's law and of the metered "
            "streams out of plants that make it"
        ),
    ]
    make_ci_t: HalfWidth
    make_completeness: Completeness
    use_t: Annotated[Number, formula("used: sum of the metered streams into plants that use it")]
    use_ci_t: HalfWidth
    use_completeness: Completeness
    import_t: Annotated[Number, formula("sum of the metered streams into the scope")]
    import_ci_t: HalfWidth
    import_completeness: Completeness
    export_t: Annotated[Number, formula("sum of the metered streams out of the scope")]
    export_ci_t: HalfWidth
    export_completeness: Completeness
    vent_t: Annotated[
        Number, formula("sum of the metered streams to absorbers, flares and the air")
    ]
    vent_ci_t: HalfWidth
    vent_completeness: Completeness
    inventory_change_t: Annotated[
        Number, formula("inventory at the end - inventory at the start of the window")
    ]
    inventory_change_ci_t: HalfWidth
    unaccounted_t: Annotated[
        Number,
        formula(
            "make + import - use - export - vent - inventory change, over the joint time of "
            "all of their tags"
        ),
    ]
    unaccounted_ci_t: HalfWidth
    reason: Annotated[str, Field(description="why nothing is known of what is unaccounted")]


class ByproductAnswer(WindowAnswer):
    """The by-product balances of a scope."""

    items: list[ByproductRow]


class SurplusSource(TypedDict):
    """A scope that offers a by-product; basis: metered, balance or unknown."""

    scope: str
    medium: str
    byproducts: list[str]
    basis: str


class SinkRow(TypedDict):
    """A scope that could take a by-product."""

    id: str
    scope: str
    medium: str
    name: Name | None
    capacity_t_h: Given[Number]
    value_cny_t: Given[Number]
    source: str
    note: str


class LinkRow(Ends):
    """A link from a source to a sink; cost_basis: link or mode."""

    id: str
    medium: str
    mode: str
    capacity_t_h: Given[Number]
    distance_km: Given[Number]
    cost_cny_t: Given[Number]
    cost_basis: str
    source: str
    note: str


class TransportCost(Provenance):
    """The cost of a mode of transport where a link gives none, with provenance."""

    mode: str
    name: Name
    fixed_cny_t: Given[float]
    per_distance_cny_t_km: Given[float]
    source: str
    evidence: str


class SourceFlow(TypedDict):
    """The surplus of a source, and the part of it that finds no sink."""

    scope: str
    surplus_t_h: Annotated[
        Number,
        formula("mean of the window of what is vented, or of what the balance leaves, not below 0"),
    ]
    unplaced_t_h: Annotated[Number, formula("surplus - what is placed")]


class SinkFlow(TypedDict):
    """The flow into a sink, and whether its capacity limits it."""

    id: str
    taken_t_h: Annotated[
        Number,
        formula(
            "sum of the flows into it, of the allocation with the greatest use, then the "
            "greatest gain (linear program)"
        ),
    ]
    free_t_h: Annotated[Number, formula("capacity - taken")]
    relief: Relief
    price_cny_t: Price


class LinkFlow(TypedDict):
    """The flow over a link, and whether its capacity limits it."""

    id: str
    flow_t_h: Annotated[
        Number,
        formula("of the allocation with the greatest use, then the greatest gain (linear program)"),
    ]
    relief: Relief
    price_cny_t: Price


class TransportWork(TypedDict):
    """Transport work of a mode in the window."""

    mode: str
    t_km: Annotated[Number, formula("sum over its links of flow * hours of the window * distance")]


class SymbiosisRow(WindowRow):
    """The allocation of the mean surplus of a window; without one, the reason."""

    medium: str
    surplus_t_h: Annotated[Number, formula("sum of the surplus of the sources")]
    placed_t_h: Annotated[Number, formula("sum of the flows over the links")]
    unplaced_t_h: Annotated[Number, formula("surplus - placed")]
    freight_cny_h: Annotated[Number, formula("sum over the links of flow * cost")]
    gain_cny_h: Annotated[
        Number, formula("sum over the links of flow * (value at the sink - cost)")
    ]
    work: list[TransportWork]
    sources: list[SourceFlow]
    sinks: list[SinkFlow]
    links: list[LinkFlow]
    reason: str


class SymbiosisAnswer(WindowAnswer):
    """Uses for the by-products of a scope: greatest use first, then greatest gain."""

    items: list[SymbiosisRow]
    sources: list[SurplusSource]
    sinks: list[SinkRow]
    links: list[LinkRow]
    transport: list[TransportCost]


@router.get("/{path:path}/byproducts")
async def read_byproducts(
    context: AppContext, query: Hourly, values: Values = "reconciled"
) -> ByproductAnswer:
    """Return the balance of everything the park makes besides chlorine and its products."""
    network = query.network
    apart = {"chlorine", ELECTRICITY, *(product.id for product in network.park.products)}
    made = {a.subject for a in network.accounts if a.item == "make"} - apart
    media = dict.fromkeys(
        a.subject
        for a in network.accounts
        if a.scope == query.scope and a.item in FLOW_ITEMS and a.subject in made
    )
    groups = [tags_of(network, flow_accounts(query.scope, medium)) for medium in media]
    sums = await read_sums(context, query, np.unique(np.concatenate([NO_TAGS, *groups])))
    rows: list[list[ByproductRow]] = []
    for medium, joint in zip(media, await read_joint(context, sums, groups), strict=True):
        balance = await read_component(context, sums, medium, joint)
        columns = {name: each for name, each in balance.columns.items() if name != "inventory_t"}
        reconciled = await read_reconciled(context, query, medium, values, {})
        known = sums.known(known_flows(sums, medium)) | reconciled.stands
        columns = stand_on(reconciled, columns | joint.trust(known, balance.ends))
        rows.append(query.rows(ByproductRow, {"medium": medium, **columns}))
    return query.answer(ByproductAnswer, rows)


@router.get("/{path:path}/symbiosis")
async def read_symbiosis(
    context: AppContext,
    query: Daily,
    medium: Annotated[Text, Query(description="hydrogen, …; all on offer when none is named")] = "",
) -> SymbiosisAnswer:
    """Return an allocation of the surplus of a scope: greatest use first, then greatest gain."""
    network, path = query.network, query.scope
    media = offered(network.park, path)
    if medium and medium not in media:
        raise not_found("by-product", medium, media, f"/api/v1/scopes/{path}/symbiosis")
    exchanges = [compile_exchange(network, path, m) for m in ([medium] if medium else media)]
    groups = [exchange.tags for exchange in exchanges]
    sums = await read_sums(context, query, np.unique(np.concatenate([NO_TAGS, *groups])))
    rows: list[list[SymbiosisRow]] = []
    for exchange, joint in zip(exchanges, await read_joint(context, sums, groups), strict=True):
        # The mean of the joint time; how much that is, completeness tells.
        rate = ratio(joint.sums.amount, joint.sums.covered_s)
        supply = surplus_rate(exchange, np.where(joint.enough[:, None], rate, np.nan))
        allocation = allocate(
            supply,
            exchange.demand,
            exchange.value,
            exchange.links,
            exchange.cost,
            len(modes()),
        )
        columns = _allocated(query, exchange, supply, allocation)
        columns |= joint.trust(~np.isnan(allocation.placed))
        columns["reason"] = [
            why or str(other)
            for why, other in zip(joint.reasons(allocation.placed), columns["reason"], strict=True)
        ]
        rows.append(query.rows(SymbiosisRow, {"medium": exchange.medium, **columns}))
    return query.answer(
        SymbiosisAnswer,
        rows,
        sources=[
            record(
                SurplusSource, source, medium=exchange.medium, byproducts=list(source.byproducts)
            )
            for exchange in exchanges
            for source in exchange.sources
        ],
        sinks=[row for exchange in exchanges for row in _sinks(exchange)],
        links=[row for exchange in exchanges for row in _links(exchange)],
        transport=_transport(),
    )


def _allocated(
    query: WindowQuery, exchange: Exchange, supply: F64, allocation: Allocation
) -> dict[str, Any]:
    """Return the columns of the allocations: a value or a list of rows for each window."""
    a = allocation
    sources = {"surplus_t_h": out(supply, T_PER_H), "unplaced_t_h": out(a.unplaced, T_PER_H)}
    sinks = {"taken_t_h": out(a.taken, T_PER_H), "free_t_h": out(a.free, T_PER_H)}
    sinks |= {"relief": out(a.sink_relief), "price_cny_t": out(a.sink_price, CNY_PER_T)}
    links = {"flow_t_h": out(a.flow, T_PER_H)}
    links |= {"relief": out(a.link_relief), "price_cny_t": out(a.link_price, CNY_PER_T)}
    work = {"t_km": out(a.work * query.elapsed_s[:, None], T_KM)}
    return {
        "surplus_t_h": out(supply.sum(axis=-1), T_PER_H),
        "placed_t_h": out(a.placed, T_PER_H),
        "unplaced_t_h": out(a.unplaced.sum(axis=-1), T_PER_H),
        "freight_cny_h": out(a.freight, CNY_PER_H),
        "gain_cny_h": out(a.gain, CNY_PER_H),
        "work": _named(TransportWork, {"mode": list(modes())}, work),
        "sources": _named(SourceFlow, {"scope": [s.scope for s in exchange.sources]}, sources),
        "sinks": _named(SinkFlow, {"id": [row.id for row in exchange.sinks]}, sinks),
        "links": _named(LinkFlow, {"id": [row.id for row in exchange.link_rows]}, links),
        "reason": a.reason,
    }


def _named(kind: type[Any], names: dict[str, list[str]], columns: dict[str, F64]) -> Any:
    """Return the rows of some names for each window from columns (W, names)."""
    return nested(kind, names, columns, len(next(iter(names.values()))))


def _sinks(exchange: Exchange) -> list[SinkRow]:
    return [
        record(
            SinkRow,
            row,
            capacity_t_h=number(row.capacity, T_PER_H),
            value_cny_t=number(value, CNY_PER_T),
        )
        for row, value in zip(exchange.sinks, exchange.value, strict=True)
    ]


def _links(exchange: Exchange) -> list[LinkRow]:
    return [
        record(
            LinkRow,
            row,
            **{"from": row.origin},
            capacity_t_h=number(row.capacity, T_PER_H),
            distance_km=number(row.distance, KM),
            cost_cny_t=number(cost, CNY_PER_T),
            cost_basis="mode" if np.isnan(row.cost) else "link",
        )
        for row, cost in zip(exchange.link_rows, exchange.cost, strict=True)
    ]


def _transport() -> list[TransportCost]:
    """Return the default cost of each mode of transport, with its provenance."""
    rows: list[TransportCost] = []
    for mode, row in load("transport").items():
        fixed = number(parse_quantity(row["fixed"], "mass_price"), CNY_PER_T)
        rate = number(parse_quantity(row["per_distance"], "transport_price"), CNY_PER_T_KM)
        costs = {"fixed_cny_t": fixed, "per_distance_cny_t_km": rate}
        rows.append(record(TransportCost, row, mode=mode, **costs))
    return rows
