"""Falls of the registers of counters, and the commands of operators about replaced meters."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Given,
    Number,
    Rfc3339,
    record,
)
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context
from api.encode import AnswerRoute, number
from api.parameters import Address, Cell, RowId, Time, Value
from api.problems import RESPONSES, Problem, not_found

router = APIRouter(prefix="/api/v1/registers", responses=RESPONSES, route_class=AnswerRoute)

FallNumber = Annotated[RowId, Path()]


class RegisterFallRow(TypedDict):
    """A register fell between two readings: reset or replaced. Its rise there is not known."""

    id: int
    tag: str
    since: Annotated[Rfc3339, Field(description="reading before the fall")]
    before: Given[Number]
    time: Annotated[Rfc3339, Field(description="first reading after it")]
    after: Given[Number]
    uom: str


class RegisterFallList(TypedDict):
    """Falls without an answer, the newest first."""

    items: list[RegisterFallRow]
    next: None


class ReplaceBody(CommandBody):
    """A meter took the place of another between two readings; both readings are in its uom."""

    tag: Address
    time: Annotated[Time, Field(description="when it was replaced")]
    last: Annotated[Value, Field(description="last reading of the old meter")]
    first: Annotated[Value, Field(description="first reading of the new meter")]
    reason: Cell = ""


class DismissFallBody(CommandBody):
    """The rise over the fall stays unknown."""

    reason: Cell = ""


async def read_register_falls(context: Context) -> list[RegisterFallRow]:
    """Return the falls of registers without an answer, the newest first."""
    falls: list[RegisterFallRow] = []
    for row in await context.store.rows(queries.REGISTER_FALLS):
        uom = row["scale"], row["zero"]
        falls.append(
            record(
                RegisterFallRow,
                row,
                **context.times(row, "since", "time"),
                before=number(row["before"], uom),
                after=number(row["after"], uom),
            )
        )
    return falls


@router.get("/falls")
async def register_falls(context: AppContext) -> RegisterFallList:
    """List the falls of counters whose rise is not known and that nobody has answered."""
    return {"items": await read_register_falls(context), "next": None}


@router.post("/replace", **ACCEPTED)
async def replace_register(context: AppContext, body: ReplaceBody) -> Response:
    """Enter the last reading of a meter and the first of the one that took its place.

    Also where no fall is listed. The minutes around are computed again and noted as restated.
    """
    at = context.feed.catalogue.index.get(body.tag)
    if at is None or context.feed.catalogue.tags[at].kind != "counter":
        raise not_found("counter", body.tag, (), "/api/v1/tags")
    enterprise, _, tag = body.tag.partition("/")
    order = body.model_dump(exclude={"tag", "time"})
    time = body.time.isoformat()
    return await queue_command(
        context,
        "register.replace",
        {"enterprise": enterprise, "tag": tag, "time": time, **order},
        context.feed.catalogue.tags[at].scope,
    )


@router.post("/falls/{fall}/dismiss", **ACCEPTED)
async def dismiss_fall(context: AppContext, fall: FallNumber, body: DismissFallBody) -> Response:
    """Take a fall off the list: what was counted there stays unknown."""
    rows = await context.store.rows(queries.REGISTER_FALL_ANSWER, fall)
    if not rows:
        raise not_found("fall of a register", str(fall), (), "/api/v1/registers/falls")
    context.require_command(rows[0]["scope"])
    if rows[0]["answer"] is not None:
        raise Problem(409, f"it has been answered already: {rows[0]['answer']}")
    return await queue_command(
        context, "register.dismiss", {"id": fall, **body.model_dump()}, rows[0]["scope"]
    )
