"""The park model in use: scopes, streams, asset register, tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import numpy as np
from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from api.answers import Ends, Name, Number, Page, Rfc3339
from api.context import AppContext, Limit
from api.encode import TONNE, AnswerRoute, number, out, rfc3339
from api.problems import RESPONSES
from deploy.database.times import to_us
from twin.model.park import inside
from twin.uom import compile_uom

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Park

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)

ScopeKind = Literal["region", "park", "enterprise", "plant", "unit"]
KT_PER_YEAR = compile_uom("kt/year", "mass_flow")


class ModelVersion(TypedDict):
    """Which park model is in use, and since when."""

    version: int
    applied: Rfc3339


class ScopeRow(TypedDict):
    """A node of the tree of the park; its id is its path."""

    id: str
    kind: ScopeKind
    name: Name
    parent: str | None


class ElectrolyserAsset(TypedDict):
    """Cells in series; current and voltage are addresses of tags, capacity is in kt/year."""

    id: str
    scope: str
    kind: str
    cells: float
    zero_gap: bool
    current: str
    voltage: str | None
    current_efficiency: float
    capacity: Number


class StreamRow(Ends):
    """What flows from one scope to another; flow is the address of its meter."""

    id: str
    medium: str
    mode: str
    flow: str | None


class TankAsset(TypedDict):
    """A vessel; capacity to the brim, tag is the address of its level or mass."""

    id: str
    scope: str
    medium: str
    tag: str
    fill_limit: float
    capacity_t: Number


class ProductRow(TypedDict):
    """A product of a plant; tag is the address of its meter."""

    id: str
    scope: str
    tag: str


class MeterRow(TypedDict):
    """An energy meter."""

    id: str | None
    scope: str
    carrier: str
    tag: str
    direction: str
    basis: str
    product: str | None


class ParkAnswer(TypedDict):
    """The park model in use."""

    id: str
    kind: str
    name: Name
    timezone: str
    gap_s: float
    shifts: list[str]
    model: ModelVersion
    scopes: list[ScopeRow]
    electrolysers: list[ElectrolyserAsset]
    streams: list[StreamRow]
    tanks: list[TankAsset]
    products: list[ProductRow]
    meters: list[MeterRow]


class TagRow(TypedDict):
    """A tag; low and high in its uom."""

    tag: str
    scope: str
    quantity: str
    uom: str
    kind: str
    source: str
    low: Number
    high: Number
    description: str


@router.get("/park")
async def read_park(context: AppContext) -> ParkAnswer:
    """Return the park model that is in use."""
    model = context.model
    park = model.park
    return {
        "id": park.id,
        "kind": park.kind,
        "name": cast("Name", park.name),
        "timezone": park.timezone,
        "gap_s": park.gap_s,
        "shifts": list(park.shifts),
        "model": {
            "version": model.version,
            "applied": rfc3339(to_us(model.applied), context.zone),
        },
        "scopes": [
            {
                "id": s.id,
                "kind": cast("ScopeKind", s.kind),
                "name": cast("Name", s.name),
                "parent": s.parent or None,
            }
            for s in park.scopes
        ],
        "electrolysers": _electrolysers(park),
        "streams": [
            {
                "id": s.id,
                "from": s.origin,
                "to": s.to,
                "medium": s.medium,
                "mode": s.mode,
                "flow": s.flow or None,
            }
            for s in park.streams
        ],
        "tanks": _tanks(park, model.network),
        "products": [{"id": p.id, "scope": p.scope, "tag": p.tag} for p in park.products],
        "meters": [
            {
                "id": m.id or None,
                "scope": m.scope,
                "carrier": m.carrier,
                "tag": m.tag,
                "direction": m.direction,
                "basis": m.basis,
                "product": m.product or None,
            }
            for m in park.meters
        ],
    }


def _electrolysers(park: Park) -> list[ElectrolyserAsset]:
    return [
        {
            "id": e.id,
            "scope": e.scope,
            "kind": e.kind,
            "cells": e.cells,
            "zero_gap": e.zero_gap,
            "current": e.current,
            "voltage": e.voltage or None,
            "current_efficiency": e.current_efficiency,
            "capacity": number(e.capacity, KT_PER_YEAR),
        }
        for e in park.electrolysers
    ]


def _tanks(park: Park, network: Network) -> list[TankAsset]:
    return [
        {
            "id": t.id,
            "scope": t.scope,
            "medium": t.medium,
            "tag": t.mass or t.level,
            "fill_limit": t.fill_limit,
            "capacity_t": number(network.tanks.capacity[k], TONNE),
        }
        for k, t in enumerate(park.tanks)
    ]


@router.get("/tags")
async def read_tags(
    context: AppContext,
    scope: Annotated[str, Query(description="only this scope and all below it")] = "",
    q: Annotated[str, Query(description="text in the address or the description")] = "",
    limit: Limit = 100,
    cursor: Annotated[str, Query(description="`next` of the page before")] = "",
) -> Page[TagRow]:
    """Return the tags in the order of their addresses, a page at a time."""
    context.require_image()
    context.require_page(limit)
    if scope:
        context.require_scope(scope)
    wanted = q.casefold()
    tags = [
        tag
        for tag in context.feed.catalogue.tags
        if tag.address > cursor
        and (not scope or inside(tag.scope, scope))
        and (not wanted or wanted in f"{tag.address} {tag.description}".casefold())
    ]
    items: list[TagRow] = []
    for tag in tags[:limit]:
        low, high = out(np.array([tag.low, tag.high]), (tag.scale, tag.shift)).tolist()
        items.append(
            {
                "tag": tag.address,
                "scope": tag.scope,
                "quantity": tag.quantity,
                "uom": tag.uom,
                "kind": tag.kind,
                "source": tag.source,
                "low": low,
                "high": high,
                "description": tag.description,
            }
        )
    return {"items": items, "next": items[-1]["tag"] if len(tags) > limit else None}
