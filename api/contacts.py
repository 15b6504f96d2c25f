"""Contacts: senders that the park model does not know, and their way into it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api import queries
from api.answers import (
    Given,
    Name,
    Number,
    Page,
    Rfc3339,
    Whole,
    record,
)
from api.commands import ACCEPTED, CommandBody, queue_command
from api.context import AppContext, Context
from api.encode import AnswerRoute
from api.parameters import After, Cell, Limit, Line, Person, RowId
from api.problems import RESPONSES, Problem, not_found
from twin.adoption import Contact, HeardName, Proposal, Wanted, extended, propose, rows_of
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(prefix="/api/v1/contacts", responses=RESPONSES, route_class=AnswerRoute)

ContactNumber = Annotated[RowId, Path(description="id of a contact")]
By = Annotated[Person, Query(description="person who commands")]


class HeardNameRow(TypedDict):
    """A name that a contact sends, its last value, and how its values lay."""

    name: str
    value: Given[Number]
    low: Given[Number]
    high: Given[Number]
    times: int
    uom: str


class ContactRow(Whole):
    """A sender that the model does not know; `payload` is its newest as far as it was kept."""

    id: int
    address: Annotated[str, Field(description="topic, node or logger; {tag} stands for a name")]
    protocol: Annotated[str, Field(description="of a gateway; empty: nothing reads it")]
    presets: Annotated[list[str], Field(description="layouts that read its JSON, best first")]
    reason: str
    topic: str
    payload: str
    size: Annotated[int, Field(description="bytes of the payload as it came")]
    count: Annotated[int, Field(description="messages")]
    per_s: Given[Annotated[Number, Field(description="messages a second")]]
    first_seen: Rfc3339
    last_seen: Rfc3339
    names: list[HeardNameRow]
    unlisted: Annotated[int, Field(description="values under names for which there is no room")]


class CellsBody(BaseModel):
    """Cells of a tag instead of those that are guessed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    tag: Cell = ""
    quantity: Cell = ""
    uom: Cell = ""
    kind: Cell = ""
    low: Cell = ""
    high: Cell = ""
    sigma: Cell = ""
    description: Cell = ""


class AdoptContactBody(CommandBody):
    """What a person has decided about a contact; what is empty is guessed."""

    scope: Cell = ""
    gateway: Annotated[Cell, Field(description="id of the gateway in the model")] = ""
    preset: Cell = ""
    zh: Annotated[Cell, Field(description="name of a scope that is made, in Chinese")] = ""
    en: Cell = ""
    only: list[Line] = Field(default_factory=list, max_length=1_000, description="these names only")
    tags: dict[Line, CellsBody] = Field(
        default_factory=dict, max_length=1_000, description="by name on the wire"
    )


class NewScope(TypedDict):
    """A scope that the model lacks."""

    id: str
    kind: str
    name: Name


class NewTag(TypedDict):
    """A tag for a name on the wire, as a row of tags.csv."""

    name: str
    address: str
    tag: str
    scope: str
    quantity: str
    uom: str
    kind: str
    low: str
    high: str
    sigma: str
    description: str


class ProposalAnswer(TypedDict):
    """What an adoption would add to the model."""

    scope: Annotated[str, Field(description="of the gateway and its tags")]
    scopes: list[NewScope]
    gateway: Annotated[dict[str, Any], Field(description="row of park.toml, by column")]
    tags: list[NewTag]
    known: Annotated[list[str], Field(description="names of tags that the model has")]
    doubtful: Annotated[list[str], Field(description="names that do not say what they measure")]
    park_toml: Annotated[str, Field(description="lines at the end of park.toml")]
    tags_csv: Annotated[str, Field(description="lines at the end of tags.csv")]


@router.get("")
async def read_contacts(
    context: AppContext, limit: Limit = 100, cursor: After = 0
) -> Page[ContactRow]:
    """Return the senders that the model does not know, last heard first."""
    context.require_page(limit)
    rows = await context.store.rows(queries.CONTACTS, limit + 1, cursor)
    items = [_row(context, row) for row in rows[:limit]]
    return {"items": items, "next": str(cursor + limit) if len(rows) > limit else None}


def _row(context: Context, row: Any) -> ContactRow:
    """Return one contact as it leaves."""
    span_s = (row["last_seen"] - row["first_seen"]).total_seconds()
    return record(
        ContactRow,
        row,
        **context.times(row, "first_seen", "last_seen"),
        presets=orjson.loads(row["presets"]),
        payload=row["payload"].decode("utf-8", "replace"),
        per_s=(row["count"] - 1) / span_s if span_s > 0 else None,
        names=[record(HeardNameRow, heard) for heard in _names(row)],
    )


def _names(row: Any) -> Sequence[HeardName]:
    return [HeardName(**each) for each in orjson.loads(row["names"])]


async def _propose(context: Context, number: int, body: AdoptContactBody) -> Proposal:
    """Return the rows of an adoption, checked; raises Problem 404 and 422."""
    rows = await context.store.rows(queries.CONTACT, number)
    if not rows:
        raise not_found("contact", str(number), (), "/api/v1/contacts")
    row, park = rows[0], context.model.park
    presets = orjson.loads(row["presets"])
    contact = Contact(number, row["address"], row["protocol"], _names(row), presets, row["mn"])
    wanted = Wanted(**body.model_dump(exclude={"by"}))
    try:
        proposal = propose(contact, park, wanted)
        await asyncio.to_thread(extended, park, rows_of(proposal))
    except ParkError as error:
        raise Problem(422, error.message, hint=error.hint) from error
    return proposal


@router.post("/{contact}/propose")
async def propose_adoption(
    context: AppContext, contact: ContactNumber, body: AdoptContactBody
) -> ProposalAnswer:
    """Return what an adoption would add to the model, and write nothing."""
    proposal = await _propose(context, contact, body)
    rows = rows_of(proposal)
    return {
        "scope": proposal.gateway["scope"],
        "scopes": [record(NewScope, scope) for scope in proposal.scopes],
        "gateway": dict(proposal.gateway),
        "tags": [
            record(NewTag, cells, name=name, address=f"{proposal.owner}/{cells['tag']}")
            for name, cells in proposal.tags.items()
        ],
        "known": list(proposal.known),
        "doubtful": list(proposal.doubtful),
        "park_toml": rows["park.toml"],
        "tags_csv": rows["tags.csv"],
    }


@router.post("/{contact}/adopt", **ACCEPTED)
async def adopt_contact(
    context: AppContext, contact: ContactNumber, body: AdoptContactBody
) -> Response:
    """Make a sender part of the model; ingest writes its rows and goes on with them."""
    proposal = await _propose(context, contact, body)
    order = {"contact": contact, **body.model_dump()}
    return await queue_command(context, "contact.adopt", order, proposal.gateway["scope"])


@router.delete("/{contact}", **ACCEPTED)
async def drop_contact(context: AppContext, contact: ContactNumber, by: By = "") -> Response:
    """Forget a sender until it sends again."""
    if not await context.store.rows(queries.CONTACT, contact):
        raise not_found("contact", str(contact), (), "/api/v1/contacts")
    return await queue_command(context, "contact.drop", {"contact": contact, "by": by})
