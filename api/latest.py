"""The newest samples: once, or pushed as server-sent events with every cycle."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from typing_extensions import TypedDict

from api.access.guard import asker_of
from api.access.rights import ASKER
from api.answers import (
    Number,
    Page,
    Rfc3339,
    formula,
    records,
)
from api.context import AppContext, Context
from api.encode import AnswerRoute, out, rfc3339
from api.live.image import AGES
from api.parameters import Moment, Tags
from api.problems import RESPONSES, Problem, unavailable
from twin.arrays import NEVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from api.access.guard import Guard
    from api.live.catalogue import Catalogue

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=AnswerRoute)

# A live feed looks so often whether its session lasts.
LOOK_S = 10.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# What `data` is, as JSON.
CYCLE = {
    "type": "object",
    "properties": {
        "time": {"type": ["integer", "null"], "description": "of the cycle, epoch ms"},
        "values": {
            "type": "object",
            "description": "of each tag that changed, all of them in an image, by its address",
            "additionalProperties": {
                "type": "array",
                "description": "value in the uom of the tag, quality, time [epoch ms]",
                "items": {"type": ["number", "null"]},
                "minItems": 3,
                "maxItems": 3,
            },
        },
        "alarms": {
            "type": "array",
            "description": "that changed; of an image all that are not normal",
            "items": {"$ref": "#/components/schemas/AlarmRow"},
        },
    },
    "required": ["time", "values", "alarms"],
}
EVENT = {
    "description": "each event",
    "type": "object",
    "properties": {
        "event": {"enum": ["image", "cycle"]},
        "id": {"type": "string"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": CYCLE,
        },
    },
    "required": ["event", "id", "data"],
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `image` first, then one `cycle` for each cycle",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}


class LatestRow(TypedDict):
    """The newest sample of a tag, value in its uom; time and value are null before the first."""

    tag: str
    time: Rfc3339 | None
    value: Annotated[
        Number,
        formula(
            "newest sample; that of a derived tag was calculated of the values of its "
            "inputs in a cycle of ingest"
        ),
    ]
    uom: str
    quality: Annotated[int, Field(ge=0, le=255, description="as it is stored")]
    age: Annotated[
        Literal["current", "late", "stale"],
        Field(description="late: not heard of for longer than usual; stale: no longer holds"),
    ]


@router.get("/latest")
async def read_latest(
    context: AppContext, tag: Tags = None, moment: Moment = None
) -> Page[LatestRow]:
    """Return the newest sample of each tag; time and value are null before the first."""
    context.require_image()
    catalogue, zone = context.feed.catalogue, context.zone
    at = context.find_tags(tag)
    image = await context.image_at(at, moment)
    times = [None if us == NEVER else rfc3339(us, zone) for us in image.time_us[at].tolist()]
    columns = {
        "tag": [catalogue.addresses[i] for i in at.tolist()],
        "time": times,
        "value": out(image.value[at], (catalogue.scale[at], catalogue.shift[at])),
        "uom": [catalogue.tags[i].uom for i in at.tolist()],
        "quality": image.quality[at],
        "age": [AGES[int(mark)] for mark in image.age[at]],
    }
    return {"items": records(LatestRow, len(at), columns), "next": None}


class LiveResponse(StreamingResponse):
    """A stream that is counted as a client for as long as it lasts."""

    media_type = "text/event-stream"

    def __init__(self, context: Context, names: list[str] | None, guard: Guard) -> None:
        super().__init__(events(context, names, guard), headers=HEADERS)
        self._askers = context.feed.askers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        asker = asker_of(scope)
        self._askers[asker] += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._askers[asker] -= 1
            if not self._askers[asker]:
                del self._askers[asker]


@router.get("/live", status_code=200, response_class=LiveResponse, responses=EVENTS)
async def live(context: AppContext, request: Request, tag: Tags = None) -> Response:
    """Return the image, then what every cycle changed in it, as server-sent events."""
    context.require_image()
    context.find_tags(tag)
    settings, feed = context.settings, context.feed
    asker = asker_of(request.scope)
    most = settings.live_clients_host_max
    if feed.askers[asker] >= most:
        raise Problem(
            429,
            f"there are {most} live clients of {asker} already",
            hint="close one, or raise PARKTWIN_LIVE_CLIENTS_HOST_MAX",
            retry=True,
            limit=most,
        )
    most = settings.live_clients_max
    if feed.clients >= most:
        raise unavailable(
            f"there are {most} live clients already",
            hint="close one, or raise PARKTWIN_LIVE_CLIENTS_MAX",
            limit=most,
        )
    return LiveResponse(context, tag, request.app.state.guard)


async def events(
    context: Context, names: list[str] | None, guard: Guard | None = None
) -> AsyncIterator[bytes]:
    """Yield an image, then the changes since what was yielded last, whenever there are any.

    It ends soon after the session or token that opened it.
    """
    feed = context.feed
    seq, generation = 0, 0
    picked: Any = None
    # Who does not know everything gets the alarms of what he asked for.
    scopes = None if context.viewer.sees_all or not names else scopes_of(feed.catalogue, names)
    clock = asyncio.get_running_loop().time
    looked = clock()
    while not feed.closed:
        if generation != feed.generation:
            # The tags were read anew: their positions changed, the client starts over.
            seq, generation = 0, feed.generation
            picked = feed.catalogue.find(names) if names else None
            picked = picked[picked >= 0] if names else None
        if guard is not None and clock() - looked > LOOK_S:
            looked = clock()
            if not await guard.still(ASKER.get()):
                return
        event = feed.payload(seq, picked, scopes)
        seq = feed.seq
        # A slow client waits here; what happens meanwhile is in its next event.
        yield event
        while not await feed.wait(seq, context.settings.keep_alive_s):
            yield b": keep-alive\n\n"


def scopes_of(catalogue: Catalogue, names: list[str]) -> frozenset[str]:
    """Return the scopes of some tags."""
    return frozenset(catalogue.tags[at].scope for at in catalogue.find(names) if at >= 0)
