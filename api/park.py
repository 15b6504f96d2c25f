"""The park model in use: scopes, streams, asset register, tags."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Ends,
    Given,
    Name,
    Number,
    Page,
    Rfc3339,
    record,
)
from api.context import AppContext
from api.disclosure import View
from api.encode import TONNE, AnswerRoute, number, out
from api.parameters import Limit, PageCursor, ScopeFilter, Text
from api.problems import RESPONSES
from twin.model.park import inside
from twin.uom import compile_uom

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
    disclosed: Annotated[bool, Field(description="the reader may know all figures of it")]


class ElectrolyserAsset(TypedDict):
    """Cells in series; current and voltage are addresses of tags, capacity is in kt/year."""

    id: str
    scope: str
    kind: str
    cells: Given[float]
    zero_gap: bool
    current: str
    voltage: str | None
    current_efficiency: Given[float]
    capacity: Given[Number]


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
    fill_limit: Given[float]
    capacity_t: Given[Number]


class ProductRow(TypedDict):
    """A product of a plant; tag is the address of its meter."""

    id: str
    scope: str
    tag: str


class MeterRow(TypedDict):
    """An energy meter; parents are the tags of the meters it is fed through."""

    id: str | None
    scope: str
    carrier: str
    tag: str
    role: Literal["incomer", "feeder", "generation", "sold"]
    parents: list[str]
    direction: str
    basis: str
    product: str | None


class ParkAnswer(TypedDict):
    """The park model in use."""

    id: str
    kind: str
    name: Name
    timezone: str
    gap_s: Given[float]
    shifts: list[str]
    model: ModelVersion
    scopes: list[ScopeRow]
    electrolysers: list[ElectrolyserAsset]
    streams: list[StreamRow]
    tanks: list[TankAsset]
    products: list[ProductRow]
    meters: list[MeterRow]


class TagRow(TypedDict):
    """A tag, active while the model has it; low and high in its uom."""

    tag: str
    active: bool
    scope: str
    quantity: str
    uom: str
    kind: str
    source: str
    low: Given[Number]
    high: Given[Number]
    description: str


@router.get("/park")
async def read_park(context: AppContext) -> ParkAnswer:
    """Return the park model that is in use."""
    model = context.model
    park = model.park
    view = View(context, context.viewer, park)
    capacity = model.network.tanks.capacity
    trees = model.network.meters
    return record(
        ParkAnswer,
        park,
        shifts=list(park.shifts),
        model=record(ModelVersion, model, applied=context.time(model.applied)),
        scopes=[
            record(ScopeRow, s, parent=s.parent or None, disclosed=view.knows(s.id))
            for s in park.scopes
        ],
        electrolysers=[
            record(
                ElectrolyserAsset,
                e,
                voltage=e.voltage or None,
                capacity=number(e.capacity, KT_PER_YEAR),
            )
            for e in park.electrolysers
        ],
        streams=[
            record(StreamRow, s, flow=s.flow or None, **{"from": s.origin}) for s in park.streams
        ],
        tanks=[
            record(TankAsset, t, tag=t.mass or t.level, capacity_t=number(mass, TONNE))
            for t, mass in zip(park.tanks, capacity, strict=True)
        ],
        products=[record(ProductRow, p) for p in park.products],
        meters=[
            record(
                MeterRow,
                meter,
                id=meter.id or None,
                parents=[trees.meters[at].tag for at in parents],
                product=product or None,
            )
            for meter, parents, product in zip(
                trees.meters, trees.parents, trees.products, strict=True
            )
        ],
    )


@router.get("/tags")
async def read_tags(
    context: AppContext,
    scope: ScopeFilter = "",
    q: Annotated[Text, Query(description="text in the address or the description")] = "",
    *,
    inactive: Annotated[bool, Query(description="also tags the model has no longer")] = False,
    limit: Limit = 100,
    cursor: PageCursor = "",
) -> Page[TagRow]:
    """Return the tags in the order of their addresses, a page at a time."""
    context.require_image()
    context.require_page(limit)
    if scope:
        context.require_scope(scope)
    wanted = q.casefold()
    rows = [(tag, True) for tag in context.feed.catalogue.tags]
    if inactive:
        rows += [(tag, False) for tag in context.feed.former.tags]
        rows.sort(key=lambda row: row[0].address)
    rows = [
        (tag, active)
        for tag, active in rows
        if tag.address > cursor
        and (not scope or inside(tag.scope, scope))
        and (not wanted or wanted in f"{tag.address} {tag.description}".casefold())
    ]
    items: list[TagRow] = []
    for tag, active in rows[:limit]:
        low, high = out(np.array([tag.low, tag.high]), (tag.scale, tag.shift)).tolist()
        items.append(record(TagRow, tag, tag=tag.address, active=active, low=low, high=high))
    return {"items": items, "next": items[-1]["tag"] if len(rows) > limit else None}
