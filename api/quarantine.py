"""Quarantine and rejects: what was not stored, and orders what is to become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query, Request, Response

from api import queries
from api import schema_quarantine as schema
from api.commands import order
from api.context import After, Limit, World, world
from api.encode import json_answer, rfc3339
from api.problems import RESPONSES, Problem, not_found
from api.schema_alarms import Accepted
from deploy.database.times import to_us
from twin.errors import UomError
from twin.model.park import owner_of
from twin.uom import compile_uom

if TYPE_CHECKING:
    from datetime import datetime

router = APIRouter(prefix="/api/v1", responses=RESPONSES)

Reason = Annotated[str | None, Query(description="only this reason")]
By = Annotated[str, Query(max_length=80, description="who gives the order")]
Ids = Annotated[list[int] | None, Query(alias="id", description="only these rejects")]
Tag = Annotated[str, Path(description="name as it came; may have slashes")]
LIST = "/api/v1/quarantine"


def _time(here: World, time: datetime | None) -> str | None:
    zone = ZoneInfo(here.model.park.timezone)
    return None if time is None else rfc3339(to_us(time), zone)


@router.get("/quarantine", response_model=schema.HeldPage)
async def read_quarantine(
    request: Request, reason: Reason = None, limit: Limit = 100, cursor: After = 0
) -> Response:
    """Return what is in quarantine, the last heard first."""
    here = world(request)
    here.require_page(limit)
    rows = await here.store.rows(queries.QUARANTINE, reason, limit + 1, cursor)
    times = ("first_seen", "last_seen", "last_time")
    items = [dict(row) | {name: _time(here, row[name]) for name in times} for row in rows[:limit]]
    following = str(cursor + limit) if len(rows) > limit else None
    return json_answer({"items": items, "next": following})


async def _require(here: World, enterprise: str, tag: str, reason: str | None) -> None:
    """Raise a Problem when nothing is in quarantine as that."""
    rows = await here.store.rows(queries.IS_HELD, enterprise, tag, reason)
    if not rows:
        raise not_found("tag in quarantine", f"{enterprise}/{tag}", (), LIST)


@router.post("/quarantine/{enterprise}/{tag:path}/adopt", status_code=202, response_model=Accepted)
async def adopt(request: Request, enterprise: str, tag: Tag, body: schema.Adopt) -> Response:
    """Make an unknown tag one of the model; ingest adds it to tags.csv and stores what was kept."""
    here = world(request)
    await _require(here, enterprise, tag, "unknown_tag")
    park = here.model.park
    here.require_scope(body.scope)
    if owner_of(body.scope, {s.id: s.kind for s in park.scopes}) != enterprise:
        raise Problem(422, f"scope {body.scope} is not one of enterprise {enterprise}")
    try:
        compile_uom(body.uom, body.quantity)
    except UomError as error:
        raise Problem(422, error.message, hint=error.hint) from error
    cells = body.model_dump()
    for name in ("low", "high"):
        cells[name] = "" if cells[name] is None else f"{cells[name]:.15g}"
    return await order(here, "quarantine.adopt", {"enterprise": enterprise, "tag": tag, **cells})


@router.post(
    "/quarantine/{enterprise}/{tag:path}/release", status_code=202, response_model=Accepted
)
async def release(request: Request, enterprise: str, tag: Tag, body: schema.Release) -> Response:
    """Store samples that were doubted, as they are."""
    here = world(request)
    await _require(here, enterprise, tag, body.reason)
    key = {"enterprise": enterprise, "tag": tag}
    return await order(here, "quarantine.release", {**key, **body.model_dump()})


@router.delete("/quarantine/{enterprise}/{tag:path}", status_code=202, response_model=Accepted)
async def drop(
    request: Request, enterprise: str, tag: Tag, reason: Reason = None, by: By = ""
) -> Response:
    """Forget samples and counts of a tag."""
    here = world(request)
    await _require(here, enterprise, tag, reason)
    key = {"enterprise": enterprise, "tag": tag, "reason": reason or "", "by": by}
    return await order(here, "quarantine.drop", key)


@router.get("/rejects", response_model=schema.RejectPage)
async def read_rejects(
    request: Request, reason: Reason = None, limit: Limit = 100, cursor: After = 2**62
) -> Response:
    """Return refused payloads, the newest first."""
    here = world(request)
    here.require_page(limit)
    rows = await here.store.rows(queries.REJECTS, reason, cursor, limit + 1)
    items = [_reject(here, row) for row in rows[:limit]]
    following = str(rows[limit - 1]["id"]) if len(rows) > limit else None
    return json_answer({"items": items, "next": following})


def _reject(here: World, row: Any) -> dict[str, Any]:
    payload = row["payload"].decode("utf-8", "replace")
    complete = row["size"] == len(row["payload"])
    received = _time(here, row["received"])
    return dict(row) | {"payload": payload, "complete": complete, "received": received}


@router.post("/rejects/replay", status_code=202, response_model=Accepted)
async def replay(request: Request, body: schema.Replay) -> Response:
    """Send complete payloads through their codec again, after a change of model or mapping."""
    return await order(world(request), "reject.replay", body.model_dump())


@router.delete("/rejects", status_code=202, response_model=Accepted)
async def drop_rejects(
    request: Request, ids: Ids = None, reason: Reason = None, by: By = ""
) -> Response:
    """Forget refused payloads; all of them when nothing is named."""
    return await order(world(request), "reject.drop", {"ids": ids, "reason": reason, "by": by})
