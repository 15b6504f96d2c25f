"""What the park is and what its tags say: park, tags, latest, history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Header, Query, Request, Response

from api import schema
from api.context import From, Limit, To, World, stretch, world
from api.encode import accepted, history_answer, in_uom, json_answer, rfc3339
from api.history import read_history
from api.problems import RESPONSES, Problem, invalid, not_found
from deploy.database.times import to_us
from twin.arrays import DAY_US, NEVER
from twin.model.park import Park, inside
from twin.uom import compile_uom

if TYPE_CHECKING:
    from twin.accounts.network import Network

router = APIRouter(prefix="/api/v1", responses=RESPONSES)

Tags = Annotated[list[str] | None, Query(description="tag addresses; all when none is named")]


@router.get("/park", response_model=schema.Park)
async def read_park(request: Request) -> Response:
    """Return the park model that is in use."""
    model = world(request).model
    park, network = model.park, model.network
    return json_answer(
        {
            "id": park.id,
            "kind": park.kind,
            "name": park.name,
            "timezone": park.timezone,
            "gap_s": park.gap_s,
            "shifts": park.shifts,
            "model": {
                "version": model.version,
                "applied": rfc3339(to_us(model.applied), ZoneInfo(park.timezone)),
            },
            "scopes": [
                {"id": s.id, "kind": s.kind, "name": s.name, "parent": s.parent or None}
                for s in park.scopes
            ],
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
            **_assets(park, network),
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
    )


def _assets(park: Park, network: Network) -> dict[str, Any]:
    """Return the asset register: what makes and what holds."""
    tonne = compile_uom("t", "mass")[0]
    return {
        "electrolysers": [
            {
                "id": e.id,
                "scope": e.scope,
                "kind": e.kind,
                "cells": e.cells,
                "zero_gap": e.zero_gap,
                "current": e.current,
                "voltage": e.voltage or None,
                "current_efficiency": e.current_efficiency,
                "capacity": _number(in_uom(np.array([e.capacity]), *_PER_YEAR)),
            }
            for e in park.electrolysers
        ],
        "tanks": [
            {
                "id": t.id,
                "scope": t.scope,
                "medium": t.medium,
                "tag": t.mass or t.level,
                "fill_limit": t.fill_limit,
                "capacity_t": _number(in_uom(network.tank_capacity[k : k + 1], tonne, 0.0)),
            }
            for k, t in enumerate(park.tanks)
        ],
    }


# Capacities of electrolysers are told in kt/year, as in the park model.
_PER_YEAR = compile_uom("kt/year", "mass_flow")


def _number(value: Any) -> float | None:
    """Return the only value of an array; NaN is no value."""
    return None if np.isnan(value[0]) else float(value[0])


@router.get("/tags", response_model=schema.TagPage)
async def read_tags(
    request: Request,
    scope: Annotated[str, Query(description="only this scope and all below it")] = "",
    q: Annotated[str, Query(description="text in the address or the description")] = "",
    limit: Limit = 100,
    cursor: Annotated[str, Query(description="`next` of the page before")] = "",
) -> Response:
    """Return the tags in the order of their addresses, a page at a time."""
    here = world(request)
    here.require_image()
    here.require_page(limit)
    if scope:
        here.require_scope(scope)
    wanted = q.casefold()
    found = [
        tag
        for tag in here.feed.catalogue.tags
        if tag.address > cursor
        and (not scope or inside(tag.scope, scope))
        and (not wanted or wanted in f"{tag.address} {tag.description}".casefold())
    ]
    items = []
    for tag in found[:limit]:
        bounds = in_uom(np.array([tag.low, tag.high]), tag.scale, tag.shift)
        items.append(
            {
                "tag": tag.address,
                "scope": tag.scope,
                "quantity": tag.quantity,
                "uom": tag.uom,
                "kind": tag.kind,
                "source": tag.source,
                "low": float(bounds[0]),
                "high": float(bounds[1]),
                "description": tag.description,
            }
        )
    return json_answer({"items": items, "next": items[-1]["tag"] if len(found) > limit else None})


@router.get("/latest", response_model=schema.LatestPage)
async def read_latest(request: Request, tag: Tags = None) -> Response:
    """Return the newest sample of each tag; time and value are null before the first."""
    here = world(request)
    here.require_image()
    image, catalogue = here.feed.image, here.feed.catalogue
    at = find_tags(here, tag)
    zone = ZoneInfo(here.feed.model.park.timezone if here.feed.model else "UTC")
    value = in_uom(image.value[at], catalogue.scale[at], catalogue.shift[at])
    items = [
        {
            "tag": catalogue.addresses[i],
            "time": rfc3339(time_us, zone) if time_us != NEVER else None,
            "value": number,
            "uom": catalogue.tags[i].uom,
            "quality": quality,
        }
        for i, time_us, number, quality in zip(
            at.tolist(),
            image.time_us[at].tolist(),
            value.tolist(),
            image.quality[at].tolist(),
            strict=True,
        )
    ]
    return json_answer({"items": items, "next": None})


def find_tags(here: World, addresses: list[str] | None) -> Any:
    """Return where some tags stand in the catalogue, all when none is named; else a Problem."""
    catalogue = here.feed.catalogue
    if not addresses:
        return np.arange(len(catalogue.tags))
    at = catalogue.find(dict.fromkeys(addresses))
    for address in addresses:
        if address not in catalogue.index:
            raise not_found("tag", address, catalogue.addresses, "/api/v1/tags")
    return at


@router.get("/history", response_model=schema.History, responses=schema.HISTORY)
async def read_tag_history(
    request: Request,
    tag: Annotated[str, Query(description="address of one tag")],
    from_: From = None,
    to: To = None,
    points: Annotated[int, Query(ge=10)] = 1_000,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Return a tag over time, raw when it fits into `points`, else mean, min and max of buckets."""
    here = world(request)
    here.require_image()
    media_type = accepted(accept)
    if media_type is None:
        raise Problem(
            406,
            f"a history is not to be had as {accept}",
            hint="application/json, text/csv or application/vnd.apache.arrow.stream",
        )
    settings = here.settings
    if points > settings.history_points_max:
        raise invalid("points", f"it is above {settings.history_points_max}")
    from_us, to_us_ = stretch(here.now_us(), from_, to)
    if to_us_ - from_us > settings.history_days_max * DAY_US:
        raise invalid("from", f"more than {settings.history_days_max} days before `to`")
    (at,) = find_tags(here, [tag])
    catalogue, model = here.feed.catalogue, here.feed.model
    gap_s = 300.0
    if model is not None:
        place = model.network.index.get(tag)
        gap_s = model.park.gap_s if place is None else model.network.traits.gap_us[place] / 1e6
    columns = await read_history(
        here, catalogue.tags[at], int(catalogue.tag_id[at]), round(gap_s * 1e6), from_us, to_us_,
        points,
    )  # fmt: skip
    return history_answer(columns, media_type)
