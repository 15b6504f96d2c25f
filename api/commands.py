"""Commands to ingest: all that the API ever writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from api.access.rights import ASKER
from api.order_keys import ORDER, accepted
from api.parameters import Person
from api.problems import unavailable

if TYPE_CHECKING:
    from api.context import Context


class Accepted(TypedDict):
    """The command is queued; the next cycle of ingest applies it."""

    command: Annotated[int, Field(description="number of the command: /api/v1/commands/{command}")]


# Of the routes that queue a command.
ACCEPTED: dict[str, Any] = {"status_code": 202, "response_model": Accepted}


class CommandBody(BaseModel):
    """A command of an operator."""

    model_config = ConfigDict(str_strip_whitespace=True)

    by: Annotated[Person, Field(min_length=1, description="person who commands")]


async def queue_command(
    context: Context, kind: str, body: dict[str, Any], *scopes: str
) -> Response:
    """Queue a command about some scopes, else the whole park, and answer 202 with its number.

    It is that of the account which came in, whatever name the request gives; one whose key is known
    is queued already. Raises Problem 403 where a scope is not the account's, 503 when too many
    wait, StoreError without a database.
    """
    for scope in scopes or (context.model.park.id,):
        context.require_command(scope)
    person = ASKER.get()
    if person is not None and person.name:
        body = body | {"by": person.name}
    limit = context.settings.commands_max
    text = orjson.dumps(body).decode()
    command = await context.store.queue_command(kind, text, limit, ORDER.get())
    if command is None:
        raise unavailable(
            f"{limit} commands wait already: nobody takes them",
            hint="is ingest running? /readyz says so",
        )
    return accepted(command)
