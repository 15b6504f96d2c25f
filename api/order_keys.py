"""A repeated order is done once: its sender gives it a key, and the second gets the first's answer.

It is the HTTP header `Idempotency-Key` of the IETF's working group HTTPAPI. An account has keys of
its own; the command in the database has the key and the digest of the request.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import Request, Response

from api.access.rights import ASKER
from api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HEADER = "Idempotency-Key"
CHARACTERS, PATTERN = 100, "^[!-~]+$"
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": CHARACTERS, "pattern": PATTERN},
    "description": "of this order: the same one sent again is done once, and answered alike",
}


@dataclass(frozen=True, slots=True)
class OrderKey:
    """The key of an order with its account, and the SHA-256 of the request."""

    key: str
    request: bytes


# Of the order that is being answered; None = it has no key.
ORDER: ContextVar[OrderKey | None] = ContextVar("ORDER", default=None)


def accepted(command: int) -> Response:
    """Return the answer to an order that is queued."""
    headers = {"Location": f"/api/v1/commands/{command}"}
    return Response(orjson.dumps({"command": command}), 202, headers, "application/json")


async def answer_once(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Answer an order, or return the answer that it got before.

    Raises Problem 422 for a key that is none, or that another order had.
    """
    word = request.headers.get(HEADER)
    if word is None:
        return await answer(request)
    if not re.fullmatch(PATTERN, word) or len(word) > CHARACTERS:
        raise Problem(422, f"{HEADER}: it has 1 to {CHARACTERS} printable ASCII characters")
    person = ASKER.get()
    parts = request.method, request.url.path, request.url.query
    digest = hashlib.sha256("\n".join(parts).encode() + b"\n" + await request.body()).digest()
    order = OrderKey(f"{person.name if person else ''}:{word}", digest)
    before = await request.app.state.context.store.command_of(order)
    if before is not None:
        return accepted(before)
    token = ORDER.set(order)
    try:
        return await answer(request)
    finally:
        ORDER.reset(token)


def require_same(order: OrderKey, request: bytes) -> None:
    """Raise Problem 422 for a key that another request had."""
    if request != order.request:
        raise Problem(
            422, f"another order had this {HEADER}", hint="give each order a key of its own"
        )
