"""Every failure as RFC 9457 ``application/problem+json``, with a hint what to do."""

from __future__ import annotations

import logging
import secrets
from bisect import bisect
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from twin.errors import ParkError, StoreError
from twin.model.rows import similar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI

log = logging.getLogger("parktwin.api")

RETRY_AFTER_S = 2
# Names on both sides of an unknown one that are compared with it, letter by letter.
NEIGHBOURS = 50
MEDIA_TYPE = "application/problem+json"
# The schema of a problem, in the components of the OpenAPI document.
PROBLEM: dict[str, Any] = {
    "description": "A failure (RFC 9457)",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "hint": {"type": "string"},
        "reference": {"type": "string", "description": "of a status 500, as in the log of the api"},
        "limit": {"type": "integer", "description": "of live clients, where it is reached"},
        "second_factor": {
            "type": "string",
            "description": "wanted: its code is, with the password",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "parameter": {"type": "string"},
                    "in": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": PROBLEM["description"],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A request that gets no answer; `more` are extension members.

    `retry` says that it may succeed later, or after how long [s].
    """

    def __init__(
        self, status: int, detail: str, *, hint: str = "", retry: bool | int = False, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        self.retry = retry
        self.more = more


def unavailable(detail: str, *, hint: str, **more: Any) -> Problem:
    """Return a 503 that passes: the same request may succeed later."""
    return Problem(503, detail, hint=hint, retry=True, **more)


def not_found(what: str, name: str, names: Iterable[str], listing: str) -> Problem:
    """Return a 404 that names what is close."""
    known = sorted(names)
    at = bisect(known, name)
    close = similar(name, known[max(at - NEIGHBOURS, 0) : at + NEIGHBOURS])
    hint = f"did you mean {', '.join(close)}?" if close else f"{listing} lists them"
    return Problem(404, f"there is no {what} {name!r}", hint=hint)


def invalid(parameter: str, detail: str, *, hint: str = "", part: str = "query") -> Problem:
    """Return a 422 about one parameter of the query or the body."""
    errors = [{"parameter": parameter, "in": part, "detail": detail}]
    return Problem(422, f"{parameter}: {detail}", hint=hint, errors=errors)


def install(app: FastAPI) -> None:
    """Answer every failure of the app with a problem."""
    for kind in (Problem, ParkError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer_failure)


async def answer_failure(request: Request, error: Exception) -> Response:
    """Return a failure as a problem; ours is logged with its traceback and a reference."""
    path = request.scope["path"]
    problem = _problem_of(error, path)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        reference = secrets.token_hex(4)
        problem.more["reference"] = reference
        log.error("%s %r failed, reference %s", request.method, path, reference, exc_info=error)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": quote(path),
        **({"hint": problem.hint} if problem.hint else {}),
        **problem.more,
    }
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if problem.retry:
        headers["Retry-After"] = str(RETRY_AFTER_S if problem.retry is True else problem.retry)
    return Response(orjson.dumps(body), problem.status, headers, MEDIA_TYPE)


def _problem_of(error: Exception, path: str) -> Problem:
    """Return the problem that a failure of a request for a path is."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ParkError):
        # Somebody can mend it: the request is not wrong, and the program neither.
        retry = isinstance(error, StoreError) and error.retryable
        return Problem(503, error.message, hint=error.hint, retry=retry)
    if isinstance(error, RequestValidationError):
        errors = [
            {
                # Of a place inside a list or a body, the last name.
                "parameter": [part for part in one["loc"] if isinstance(part, str)][-1],
                "in": str(one["loc"][0]),
                "detail": str(one["msg"]).removeprefix("Value error, "),
            }
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['parameter']}: {one['detail']}" for one in errors)
        return Problem(422, detail, errors=errors)
    if isinstance(error, HTTPException):
        hint = "/openapi.json describes what there is" if error.status_code in (404, 405) else ""
        missing = error.status_code == 404
        detail = f"there is nothing at {path}" if missing else str(error.detail)
        return Problem(error.status_code, detail, hint=hint)
    # The log has the traceback; it does not leave.
    hint = "the log of the api has the reason under the reference; report it"
    return Problem(500, "the API failed on this request", hint=hint)
