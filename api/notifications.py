"""Notifications: who is told of alarms outside the control room, and whether that works."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from api import queries
from api.answers import Cursor, Rfc3339, record
from api.context import AppContext
from api.encode import AnswerRoute
from api.live.alarm_board import Priority
from api.problems import RESPONSES
from twin.alarms.notices import NotifySpec

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)

COUNTS = ("sent", "alarms", "failed", "dropped", "owed")


class NotificationRow(TypedDict):
    """A row ``[[notify]]`` of the model, and what became of its messages."""

    id: str
    kind: Literal["mail", "webhook"]
    address: Annotated[list[str], Field(description="of a webhook without its query")]
    priorities: list[Priority]
    scopes: Annotated[list[str], Field(description="none: all of the park")]
    start: Annotated[str, Field(description="time of the day, on the clock of the park")]
    end: str
    language: Literal["zh", "en"]
    simulated: Annotated[bool, Field(description="alarms on simulated values are told of, too")]
    sent: Annotated[int, Field(description="messages that were taken")]
    alarms: Annotated[int, Field(description="alarms in them")]
    failed: Annotated[int, Field(description="attempts that failed")]
    dropped: Annotated[int, Field(description="alarms nobody was told of: too many, or too old")]
    owed: Annotated[int, Field(description="alarms that are still to be told of")]
    problem: Annotated[str, Field(description="of the newest attempt; empty after a success")]
    last: Annotated[Rfc3339 | None, Field(description="when a message was taken")]


class Notifications(TypedDict):
    """All rows, in the order of the model."""

    items: list[NotificationRow]
    next: Cursor


@router.get("/notifications")
async def list_notifications(context: AppContext) -> Notifications:
    """Return who is told of alarms by mail or webhook, what is owed, sent and dropped, and why."""
    context.require_image()
    rows = {row["id"]: row for row in await context.store.rows(queries.NOTIFICATIONS)}
    items = []
    for spec in context.model.park.rows(NotifySpec):
        row = rows.get(spec.id)
        counts = {name: row[name] if row else 0 for name in COUNTS}
        items.append(
            record(
                NotificationRow,
                counts,
                id=spec.id,
                kind=spec.kind,
                address=[_without_query(one) for one in spec.address],
                priorities=list(spec.priorities),
                scopes=list(spec.scopes),
                start=_clock(spec.start),
                end=_clock(spec.end),
                language=spec.language,
                simulated=spec.simulated,
                problem=row["problem"] if row else "",
                **(context.times(row, "last") if row else {"last": None}),
            )
        )
    return {"items": items, "next": None}


def _without_query(address: str) -> str:
    """Return an address without what may be a token of it."""
    head, mark, _ = address.partition("?")
    return f"{head}?…" if mark else head


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
