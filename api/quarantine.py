"""Quarantine and rejects: samples and payloads that were not stored, and commands about them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from api import queries
from api.answers import (
    Given,
    Number,
    Page,
    Rfc3339,
    Whole,
    record,
)
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context
from api.encode import AnswerRoute
from api.parameters import After, Cell, Limit, Line, Person, RowId, Text, Value
from api.problems import RESPONSES, Problem, not_found
from twin.errors import UomError
from twin.model.park import owner_of
from twin.uom import compile_uom

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)

ReasonFilter = Annotated[Text | None, Query(description="only this reason")]
By = Annotated[Person, Query(description="person who commands")]
RejectIds = Annotated[
    list[RowId] | None, Query(alias="id", max_length=1_000, description="only these rejects")
]
Enterprise = Annotated[Text, Path(description="id of an enterprise")]
TagName = Annotated[Text, Path(description="name as it came; may have slashes")]


class QuarantineRow(Whole):
    """Samples that were not stored, by tag and reason; `kept` of them are still there."""

    enterprise: str
    tag: str
    reason: str
    topic: str
    count: int
    kept: int
    first_seen: Rfc3339
    last_seen: Rfc3339
    last_time: Rfc3339 | None
    last_value: Given[Number]


class RejectRow(Whole):
    """A payload that was refused; `payload` is its text as far as it was kept."""

    id: int
    received: Rfc3339
    enterprise: Annotated[str, Field(description="whose gateway sent it; empty = nobody knows")]
    reason: str
    detail: str
    topic: str
    size: Annotated[int, Field(description="bytes of the payload as it came")]
    complete: bool
    payload: str


class AdoptBody(CommandBody):
    """An unknown tag as it is to be in tags.csv."""

    scope: Line
    quantity: Line
    uom: Cell
    kind: Literal["gauge", "counter", "state"] = "gauge"
    low: Value | None = None
    high: Value | None = None
    sigma: Cell = ""
    description: Cell = ""


class ReleaseBody(CommandBody):
    """Samples in quarantine that are to be stored as they are."""

    reason: Literal["future", "past"]


class ReplayBody(CommandBody):
    """Which rejects go through their codec again; all of them when nothing is named."""

    ids: Annotated[list[RowId], Field(min_length=1, max_length=10_000)] | None = None
    reason: Line | None = None


@router.get("/quarantine")
async def read_quarantine(
    context: AppContext, reason: ReasonFilter = None, limit: Limit = 100, cursor: After = 0
) -> Page[QuarantineRow]:
    """Return the quarantine, last heard first."""
    context.require_page(limit)
    rows = await context.store.rows(queries.QUARANTINE, reason, limit + 1, cursor)
    items = [
        record(QuarantineRow, row, **context.times(row, "first_seen", "last_seen", "last_time"))
        for row in rows[:limit]
    ]
    return {"items": items, "next": str(cursor + limit) if len(rows) > limit else None}


async def _require(context: Context, enterprise: str, tag: str, reason: str | None) -> None:
    """Raise Problem 403, and 404 when the quarantine has no such tag for that reason."""
    context.require_command(context.scope_of(enterprise, tag))
    if not await context.store.rows(queries.IS_HELD, enterprise, tag, reason):
        raise not_found("tag in quarantine", f"{enterprise}/{tag}", (), "/api/v1/quarantine")


@router.post("/quarantine/{enterprise}/{tag:path}/adopt", **ACCEPTED)
async def adopt(
    context: AppContext, enterprise: Enterprise, tag: TagName, body: AdoptBody
) -> Response:
    """Make an unknown tag one of the model; ingest adds it to tags.csv and stores what was kept."""
    await _require(context, enterprise, tag, "unknown_tag")
    park = context.model.park
    context.require_scope(body.scope)
    if owner_of(body.scope, {s.id: s.kind for s in park.scopes}) != enterprise:
        raise Problem(422, f"scope {body.scope} is not one of enterprise {enterprise}")
    try:
        compile_uom(body.uom, body.quantity)
    except UomError as error:
        raise Problem(422, error.message, hint=error.hint) from error
    cells = body.model_dump()
    for name in ("low", "high"):
        cells[name] = "" if cells[name] is None else f"{cells[name]:.15g}"
    key = {"enterprise": enterprise, "tag": tag}
    return await queue_command(context, "quarantine.adopt", key | cells, body.scope)


@router.post("/quarantine/{enterprise}/{tag:path}/release", **ACCEPTED)
async def release(
    context: AppContext, enterprise: Enterprise, tag: TagName, body: ReleaseBody
) -> Response:
    """Store samples of the quarantine as they are."""
    await _require(context, enterprise, tag, body.reason)
    key = {"enterprise": enterprise, "tag": tag}
    return await queue_command(
        context, "quarantine.release", key | body.model_dump(), context.scope_of(enterprise, tag)
    )


@router.delete("/quarantine/{enterprise}/{tag:path}", **ACCEPTED)
async def drop(
    context: AppContext,
    enterprise: Enterprise,
    tag: TagName,
    reason: ReasonFilter = None,
    by: By = "",
) -> Response:
    """Forget samples and counts of a tag."""
    await _require(context, enterprise, tag, reason)
    body = {"enterprise": enterprise, "tag": tag, "reason": reason or "", "by": by}
    return await queue_command(context, "quarantine.drop", body, context.scope_of(enterprise, tag))


@router.get("/rejects")
async def read_rejects(
    context: AppContext, reason: ReasonFilter = None, limit: Limit = 100, cursor: After = 2**62
) -> Page[RejectRow]:
    """Return refused payloads, the newest first."""
    context.require_page(limit)
    rows = await context.store.rows(queries.REJECTS, reason, cursor, limit + 1)
    items = [
        record(
            RejectRow,
            row,
            payload=row["payload"].decode("utf-8", "replace"),
            complete=row["size"] == len(row["payload"]),
            received=context.time(row["received"]),
        )
        for row in rows[:limit]
    ]
    return {"items": items, "next": str(rows[limit - 1]["id"]) if len(rows) > limit else None}


@router.post("/rejects/replay", **ACCEPTED)
async def replay(context: AppContext, body: ReplayBody) -> Response:
    """Send complete payloads through their codec again, after a change of model or mapping."""
    return await queue_command(context, "reject.replay", body.model_dump())


@router.delete("/rejects", **ACCEPTED)
async def drop_rejects(
    context: AppContext, ids: RejectIds = None, reason: ReasonFilter = None, by: By = ""
) -> Response:
    """Forget refused payloads; all of them when nothing is named."""
    body = {"ids": ids, "reason": reason, "by": by}
    return await queue_command(context, "reject.drop", body)
