"""A question to the app, answered where it is asked."""

from __future__ import annotations

import logging
import string
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastapi import FastAPI

    from api.context import Context

log = logging.getLogger("parktwin.api")


class Answer(NamedTuple):
    """The answer of the app to a question."""

    status: int
    headers: dict[str, str]  # names in small letters
    body: bytes
    kind: Any  # the type that its route documents; None without one
    parameters: frozenset[str] = frozenset()  # names of those its route takes in the query


def address_of(path: str, **query: str | int) -> str:
    """Return the address of an answer; a trailing underscore of a parameter is taken off."""
    words = {key.rstrip("_"): value for key, value in query.items()}
    return f"/api/v1/{quote(path)}" + (f"?{urlencode(words)}" if words else "")


async def ask(
    app: FastAPI,
    address: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    context: Context | None = None,
) -> Answer:
    """Return the answer of the app at an address, a path with its query; 500 when it fails.

    An app made with `inline` calculates it at once. It answers from its own context unless another
    one is given.
    """
    parts = urlsplit(address)
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "query_string": quote(parts.query, safe=string.punctuation).encode(),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ],
    }
    scope["is_inner"] = True
    if context is not None:
        scope["state"] = {"context": context}
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        messages.append(message)

    try:
        await app(scope, receive, send)
    except Exception:
        # It has been answered with 500.
        log.exception("%s %s failed", method, address)
    start, *pieces = messages
    names = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    content = b"".join(piece.get("body", b"") for piece in pieces)
    route = scope.get("route")
    kind, takes = getattr(route, "response_model", None), getattr(route, "dependant", None)
    return Answer(start["status"], dict(names), content, kind, frozenset(_query(takes)))


def _query(takes: Any) -> Iterator[str]:
    """Yield the names of the parameters in the query of a route, and of what it depends on."""
    if takes is not None:
        yield from (each.alias for each in takes.query_params)
        for each in takes.dependencies:
            yield from _query(each)
