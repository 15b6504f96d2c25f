"""What of the requests stands in the record: orders, refusals, files, looks at other enterprises.

Refusals that come in crowds are counted and stand in one row: the record is no place for a flood.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from starlette.datastructures import Headers

from api import queries
from api.access.guard import DOORS, client_of, leads_out
from api.access.limits import Rate
from api.access.rights import ASKER
from api.middleware import READING, check_origin
from api.problems import Problem
from twin.errors import StoreError
from twin.model.park import inside, scopes_above

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.access.guard import Guard
    from api.access.rights import Person
    from api.context import Context

log = logging.getLogger("parktwin.api")

# What leaves as a file rather than as an answer.
FILES = ("text/csv", "application/vnd.", "application/pdf")
# Characters of an address that no name needs; refused with them, a reading is noted.
HOSTILE = re.compile(r"[\x00-\x1f\x7f'\";\\]|\.\.")
REFUSALS_MINUTE = 30  # of an asker that have rows of their own
# Who looks at figures of another enterprise is noted once in so long for each of them; so is a
# gateway whose messages the broker refuses.
LOOK_S = 3600.0
LOOKS_MAX = 10_000
PROVIDER = "/api/v1/oidc/"
# How often the version of the model is looked at, and how many may have come meanwhile.
MODELS_S, MODELS_MAX = 1.0, 1_000
REFUSALS_S = 5.0  # what the broker refused is looked at so often


class NoteRequests:
    """Add to the record who ordered, was refused, took a file or looked at another enterprise."""

    def __init__(self, app: ASGIApp, guard: Guard, context: Context) -> None:
        self._app = app
        self._guard = guard
        self._context = context
        self._refusals = Rate(REFUSALS_MINUTE)
        self._skipped: Counter[str] = Counter()  # refusals without a row, by asker
        self._looks: dict[tuple[str, str], float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; raises Problem 400 for a path out of the console's files.

        And 403 for an order of a page of another site.
        """
        person = ASKER.get()
        if scope["type"] != "http" or scope.get("is_inner"):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        start: Message = {"status": 500, "headers": []}

        async def watched(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            await send(message)

        try:
            require_path(scope["path"])
            if scope["method"] not in READING:
                check_origin(scope, self._guard.settings.host_names)
            await self._app(scope, receive, watched)
        except Problem as problem:
            start = {"status": problem.status, "headers": []}
            raise
        finally:
            if person is not None:
                outcome = self._outcome(scope, person, start)
                if outcome:
                    await self._note(scope, person, outcome)

    def _outcome(self, scope: Scope, person: Person, start: Message) -> str:
        """Return how a request ended that stands in the record, else an empty text."""
        status, asker = start["status"], person.name or client_of(scope)
        is_order = scope["method"] not in READING
        is_noted = is_order or "remark" in scope["state"]
        if status < 400:
            if is_noted or _is_file(start):
                return self._with_skipped(asker, str(status))
            scope_id = self._other_enterprise(scope, person)
            is_new = scope_id and self._is_first_look(asker, scope_id)
            return f"{status}, of {scope_id}" if is_new else ""
        query = unquote(scope["query_string"].decode("latin-1"))
        if not (is_noted or status == 403 or HOSTILE.search(f"{scope['path']}?{query}")):
            return ""
        if self._refusals.wait_s(asker):
            self._skipped[asker] += 1
            return ""
        return self._with_skipped(asker, str(status))

    def _with_skipped(self, asker: str, outcome: str) -> str:
        skipped = self._skipped.pop(asker, 0)
        return f"{outcome}, and {skipped} more refused before" if skipped else outcome

    def _other_enterprise(self, scope: Scope, person: Person) -> str:
        """Return a scope of another enterprise than the account's that a request names."""
        model = self._context.feed.model
        if model is None:
            return ""
        kinds = {each.id: each.kind for each in model.park.scopes}
        own = [each for each in scopes_above(person.scope) if kinds.get(each) == "enterprise"]
        if not own:
            return ""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        named = [scope.get("path_params", {}).get("path", ""), *query.get("scope", ())]
        named += [self._context.scope_of(*tag.split("/", 1)) for tag in query.get("tag", ())]
        apart = (each for each in named if not inside(each, own[0]) and not inside(own[0], each))
        return next((each for each in apart if each in kinds), "")

    def _is_first_look(self, asker: str, scope_id: str) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._looks.get((asker, scope_id), -LOOK_S) < LOOK_S:
            return False
        if len(self._looks) >= LOOKS_MAX:
            self._looks.clear()
        self._looks[asker, scope_id] = now
        return True

    async def _note(self, scope: Scope, person: Person, outcome: str) -> None:
        # A new session was opened by the request itself.
        person = replace(person, name=scope["state"].get("account", person.name))
        method, subject = scope["method"], scope["raw_path"].decode("latin-1")
        # What a provider sends back is a secret for a moment.
        if method in READING and scope["query_string"] and not subject.startswith(PROVIDER):
            subject += f"?{scope['query_string'].decode('latin-1')}"
        subject += scope["state"].get("remark", "")
        try:
            await self._guard.note(person, client_of(scope), method, subject, outcome)
        except StoreError:
            log.exception("%s %s of %r could not be recorded", method, subject, person.name)


async def note_models(guard: Guard, context: Context) -> None:
    """Note each version of the park model that comes into use, for ever."""
    noted = 0
    while guard.accounts is not None:
        model = context.feed.model
        if model is not None and model.version != noted:
            try:
                rows = await context.store.rows(queries.MODEL_VERSIONS, MODELS_MAX, 0)
                await guard.accounts.note_models([(row["version"], row["digest"]) for row in rows])
            except StoreError:
                log.exception("the version of the model could not be recorded")
            else:
                noted = model.version
        await asyncio.sleep(MODELS_S)


async def note_refusals(guard: Guard, context: Context) -> None:
    """Note whose messages the broker refuses, of each gateway once an hour, for ever."""
    noted: dict[str, tuple[object, float]] = {}
    while guard.accounts is not None:
        now = asyncio.get_running_loop().time()
        try:
            is_there = context.feed.model is not None
            rows = await context.store.rows(queries.GATEWAY_REFUSALS) if is_there else ()
            for row in rows:
                newest, at = noted.get(row["gateway"], (None, -LOOK_S))
                if row["newest"] != newest and now - at >= LOOK_S:
                    refused = row["messages"], row["topic"], row["newest"]
                    await guard.accounts.note_refusal(row["gateway"], refused)
                    noted[row["gateway"]] = row["newest"], now
        except StoreError:
            log.exception("what the broker refused could not be recorded")
        await asyncio.sleep(REFUSALS_S)


def require_path(path: str) -> None:
    """Raise Problem 400 for a path that leads out of the folder of the console."""
    if not path.startswith(DOORS) and leads_out(path):
        raise Problem(400, "this path leads nowhere", hint="the console is at /")


def _is_file(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "")
    return kind.startswith(FILES) or "content-disposition" in headers
