"""The live feed over server-sent events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from api import schema
from api.context import World, world
from api.park import Tags, find_tags
from api.problems import RESPONSES, Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

router = APIRouter(prefix="/api/v1", responses=RESPONSES)
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class LiveResponse(StreamingResponse):
    """A stream that is counted as a client for as long as it lasts."""

    media_type = "text/event-stream"

    def __init__(self, here: World, names: list[str] | None) -> None:
        super().__init__(events(here, names), headers=HEADERS)
        self._feed = here.feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        self._feed.clients += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.clients -= 1


@router.get("/live", status_code=200, response_class=LiveResponse, responses=schema.LIVE)
async def live(request: Request, tag: Tags = None) -> Response:
    """Return the image, then what every cycle changed in it, as server-sent events."""
    here = world(request)
    here.require_image()
    find_tags(here, tag)
    if here.feed.clients >= here.settings.live_clients_max:
        raise Problem(
            503,
            f"there are {here.settings.live_clients_max} live clients already",
            hint="close one, or raise PARKTWIN_LIVE_CLIENTS_MAX",
            retry=True,
        )
    return LiveResponse(here, tag)


async def events(here: World, names: list[str] | None) -> AsyncIterator[bytes]:
    """Yield an image, then the changes since what was yielded last, whenever there are any."""
    feed = here.feed
    seq, generation = 0, 0
    picked: Any = None
    while not feed.closed:
        if generation != feed.generation:
            # The tags were read anew: their places changed, the client starts over.
            seq, generation = 0, feed.generation
            picked = feed.catalogue.find(names) if names else None
            picked = picked[picked >= 0] if names else None
        event = feed.payload(seq, picked)
        seq = feed.seq
        # A slow client waits here; what happens meanwhile is in its next event.
        yield event
        while not await feed.wait(seq, here.settings.keep_alive_s):
            yield b": keep-alive\n\n"
