"""Orders to ingest: all that the API ever writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from api.encode import json_answer
from api.problems import Problem

if TYPE_CHECKING:
    from fastapi import Response

    from api.context import World


async def order(here: World, kind: str, body: dict[str, Any]) -> Response:
    """Write a command down for ingest and answer with its number."""
    limit = here.settings.commands_max
    number = await here.store.order(kind, orjson.dumps(body).decode(), limit)
    if number is None:
        raise Problem(
            503,
            f"{limit} commands wait already: nobody takes them",
            hint="is ingest running? /readyz says so",
            retry=True,
        )
    answer = json_answer({"command": number})
    answer.status_code = 202
    answer.headers["Location"] = f"/api/v1/commands/{number}"
    return answer
