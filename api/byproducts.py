"""By-products: what is left of each in a scope, and who in the region could use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from api import schema_byproducts
from api.context import world
from api.encode import in_uom, json_answer
from api.problems import RESPONSES, not_found
from api.sums import TONNE, elapsed_s, read_sums, tags_of
from api.windows import Daily, Hourly, Question, component_balance
from twin.accounts.accounts import FLOW_ITEMS, Account
from twin.arrays import F64, I64, ratio
from twin.byproducts.allocation import allocate
from twin.byproducts.exchange import compile_exchange, modes, offered, surplus_rate
from twin.reference import load
from twin.series import windows as w
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.sums import Sums
    from twin.byproducts.allocation import Allocation
    from twin.byproducts.exchange import Exchange

T_PER_H = compile_uom("t/h", "mass_flow")[0]
CNY_PER_T = compile_uom("CNY/t", "mass_price")[0]
CNY_PER_T_KM = compile_uom("CNY/t/km", "transport_price")[0]
HOUR = compile_uom("h", "time")[0]
KM = compile_uom("km", "length")[0]

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)


@router.get("/{path:path}/byproducts", response_model=schema_byproducts.Byproducts)
async def byproducts(request: Request, asked: Hourly) -> Response:
    """Return the balance of everything the park makes besides chlorine and its products."""
    here, network = world(request), asked.network
    apart = {"chlorine", *(product.id for product in network.park.products)}
    made = {a.subject for a in network.accounts if a.item == "make"} - apart
    media = dict.fromkeys(
        a.subject
        for a in network.accounts
        if a.scope == asked.scope and a.item in FLOW_ITEMS and a.subject in made
    )
    accounts = [Account(asked.scope, medium, item) for medium in media for item in FLOW_ITEMS]
    sums = await read_sums(here, network, tags_of(network, accounts), asked.window, asked.edges)
    items: list[dict[str, Any]] = []
    for medium in media:
        found = await component_balance(here, asked, medium, sums)
        found["inventory_change"] = found.pop("change")
        found["inventory_change_ci"] = found.pop("change_ci")
        found.pop("inventory")
        trust = ("completeness", "quality")
        named = {k if k in trust else f"{k}_t": v for k, v in found.items()}
        items += asked.rows({"medium": medium, **named})
    items.sort(key=lambda row: row["start"])
    return json_answer({"scope": asked.scope, "window": asked.window, "items": items, "next": None})


@router.get("/{path:path}/symbiosis", response_model=schema_byproducts.Symbiosis)
async def symbiosis(
    request: Request,
    asked: Daily,
    medium: Annotated[str, Query(description="hydrogen, …; all on offer when none is named")] = "",
) -> Response:
    """Return where the surplus of a scope could go: greatest use first, then greatest gain."""
    here, network, path = world(request), asked.network, asked.scope
    media = offered(network.park, path)
    if medium and medium not in media:
        raise not_found("by-product", medium, media, f"/api/v1/scopes/{path}/symbiosis")
    exchanges = [compile_exchange(network, path, m) for m in ([medium] if medium else media)]
    tags = np.unique(np.concatenate([np.zeros(0, np.int64), *(e.tags for e in exchanges)]))
    sums = await read_sums(here, network, tags, asked.window, asked.edges)
    items: list[dict[str, Any]] = []
    for exchange in exchanges:
        at = np.searchsorted(tags, exchange.tags)
        covered_s = sums.covered_s[:, at]
        # The mean of the time there are data for; how much that is, completeness tells.
        rate = ratio(sums.amount[:, at], covered_s)
        supply = surplus_rate(exchange, rate)
        # The solver may take a second for many windows: the feeds go on meanwhile.
        found = await asyncio.to_thread(
            allocate,
            supply,
            exchange.demand,
            exchange.value,
            exchange.links,
            exchange.cost,
            len(modes()),
        )
        columns = _allocated(asked, exchange, supply, found)
        items += asked.rows(
            {"medium": exchange.medium, **columns, **_trusted(asked, sums, at, found)}
        )
    items.sort(key=lambda row: row["start"])
    body = {"scope": path, "window": asked.window, "items": items, **_described(exchanges)}
    return json_answer({**body, "transport": _transport(), "next": None})


def _trusted(asked: Question, sums: Sums, at: I64, found: Allocation) -> dict[str, Any]:
    """Return how far the allocations of the windows can be trusted."""
    covered_s, elapsed = sums.covered_s[:, at], elapsed_s(asked.edges, asked.expected_us)
    share, each = w.completeness(covered_s, elapsed), w.shares(covered_s, elapsed)
    return {
        "completeness": in_uom(share, 1.0, 0.0),
        "quality": w.grade(sums.quality[:, at], each, ~np.isnan(found.placed)),
    }


def _allocated(
    asked: Question, exchange: Exchange, supply: F64, found: Allocation
) -> dict[str, Any]:
    """Return the columns of the allocations: a value or a list of rows for each window."""
    elapsed = elapsed_s(asked.edges, asked.expected_us)[:, None]

    def flow(column: F64) -> F64:
        return in_uom(column, T_PER_H, 0.0)

    def limits(relief: F64, price: F64) -> dict[str, F64]:
        return {"relief": in_uom(relief, 1.0, 0.0), "price_cny_t": in_uom(price, CNY_PER_T, 0.0)}

    work = {"t_km": in_uom(found.work * elapsed, TONNE * KM, 0.0)}
    sources = {"surplus_t_h": flow(supply), "unplaced_t_h": flow(found.unplaced)}
    sinks = {"taken_t_h": flow(found.taken), "free_t_h": flow(found.free)}
    sinks |= limits(found.sink_relief, found.sink_price)
    links = {"flow_t_h": flow(found.flow)} | limits(found.link_relief, found.link_price)
    return {
        "surplus_t_h": flow(supply.sum(axis=-1)),
        "placed_t_h": flow(found.placed),
        "unplaced_t_h": flow(found.unplaced.sum(axis=-1)),
        "freight_cny_h": in_uom(found.freight, 1 / HOUR, 0.0),
        "gain_cny_h": in_uom(found.gain, 1 / HOUR, 0.0),
        "work": _rows("mode", modes(), work),
        "sources": _rows("scope", [source.scope for source in exchange.sources], sources),
        "sinks": _rows("id", [row["id"] for row in exchange.sinks], sinks),
        "links": _rows("id", [row["id"] for row in exchange.ways], links),
        "reason": found.reason.tolist(),
    }


def _rows(key: str, names: Sequence[str], columns: dict[str, F64]) -> list[list[dict[str, Any]]]:
    """Return a list of named rows for each window from columns (W, names)."""
    lists = {name: column.tolist() for name, column in columns.items()}
    windows = len(next(iter(lists.values())))
    return [
        [
            {key: name, **{k: column[i][n] for k, column in lists.items()}}
            for n, name in enumerate(names)
        ]
        for i in range(windows)
    ]


def _described(exchanges: list[Exchange]) -> dict[str, list[dict[str, Any]]]:
    """Return who offers, who could take, and the ways, as the park model has them."""
    sources = [
        {
            "scope": source.scope,
            "medium": exchange.medium,
            "byproducts": source.byproducts,
            "basis": source.basis,
        }
        for exchange in exchanges
        for source in exchange.sources
    ]
    sinks = [
        {
            **{key: row[key] for key in ("id", "scope", "medium")},
            "name": row.get("name"),
            "capacity_t_h": _number(row["capacity"], T_PER_H),
            "value_cny_t": _number(value, CNY_PER_T),
            **_provenance(row),
        }
        for exchange in exchanges
        for row, value in zip(exchange.sinks, exchange.value.tolist(), strict=True)
    ]
    links = [
        {
            **{key: row[key] for key in ("id", "from", "to", "medium", "mode")},
            "capacity_t_h": _number(row["capacity"], T_PER_H),
            "distance_km": _number(row.get("distance", np.nan), KM),
            "cost_cny_t": _number(cost, CNY_PER_T),
            "cost_basis": "link" if "cost" in row else "mode",
            **_provenance(row),
        }
        for exchange in exchanges
        for row, cost in zip(exchange.ways, exchange.cost.tolist(), strict=True)
    ]
    return {"sources": sources, "sinks": sinks, "links": links}


def _number(value: float, scale: float) -> float:
    return float(in_uom(np.array(value), scale, 0.0))


def _provenance(row: dict[str, Any]) -> dict[str, str]:
    return {key: str(row.get(key, "")) for key in ("source", "note")}


def _transport() -> list[dict[str, Any]]:
    """Return what the modes cost by default, with where the figures come from."""
    return [
        {
            "mode": mode,
            "name": row["name"],
            "fixed_cny_t": _number(parse_quantity(row["fixed"], "mass_price"), CNY_PER_T),
            "per_distance_cny_t_km": _number(
                parse_quantity(row["per_distance"], "transport_price"), CNY_PER_T_KM
            ),
            **{key: row[key] for key in ("source", "confidence", "evidence", "verified")},
        }
        for mode, row in load("transport").items()
    ]
