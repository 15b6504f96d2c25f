"""What every request and every answer passes: refusals, counting, headers.

Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import Request
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.access.rights import ASKER
from api.problems import Problem, answer_failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.settings import ApiSettings

READING = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(),"
    " payment=(), serial=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The names of the console's files change with their content.
ASSETS = "/assets/"
# Answers that follow from the model alone, and those that every console asks again and again.
OF_MODEL = ("/api/v1/park", "/api/v1/tags")
OF_NOW = ("/api/v1/health/data", "/api/v1/simulation", "/api/v1/contacts")
MOMENT_S = 0.5
KEPT_MAX, KEPT_BYTES = 200, 8_000_000
START_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FOR_EVER = "public, max-age=31536000, immutable"


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as servers take them: every answer has them, so they are made once."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


RAW_HEADERS = _raw({**HEADERS, "Cache-Control": "no-store"})
ASSET_HEADERS = _raw({**HEADERS, "Cache-Control": FOR_EVER})


def _durations() -> Histogram:
    return Histogram(
        "parktwin_api_answer_start_seconds",
        "Time from a request to the start of its answer",
        buckets=START_S,
        registry=None,
    )


@dataclass(slots=True)
class Traffic:
    """The answers of the API since its start, and its connections."""

    answers: Counter[str] = field(default_factory=Counter)  # by status class
    broken: int = 0  # ended by a failure after their start
    limited: Counter[str] = field(default_factory=Counter)  # refused as too many, by what
    connections: int = 0
    closed: Counter[str] = field(default_factory=Counter)  # connections, by reason
    durations: Histogram = field(default_factory=_durations)


class CountAnswers:
    """Count all answers, and answer what no route has answered.

    What Starlette answers outside of it would not be counted.
    """

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at how its answer starts; a failure becomes a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, began_s = False, time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._traffic.answers[f"{message['status'] // 100}xx"] += 1
                self._traffic.durations.observe(time.perf_counter() - began_s)
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception as error:
            if started:
                self._traffic.broken += 1
                # The server logs it and closes the connection: the client must not take what it
                # has for the whole.
                raise
            response = await answer_failure(Request(scope), error)
            await response(scope, receive, counted)


class TrustProxies:
    """Take address, scheme and host of a request from the proxies that are trusted.

    Of all others the headers say nothing.
    """

    def __init__(self, app: ASGIApp, proxies: list[str]) -> None:
        # It walks the addresses from the right and stops at the first that is no proxy of ours.
        proxied: Any = ProxyHeadersMiddleware(app, proxies)  # type: ignore[arg-type]
        self._app, self._trusted = proxied, proxied.trusted_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as its client sent it."""
        client = scope.get("client")
        if client and client[0] in self._trusted:
            headers = MutableHeaders(scope=scope)
            # The last one was written by the nearest proxy.
            if hosts := headers.getlist("x-forwarded-host"):
                headers["host"] = hosts[-1].rpartition(",")[2].strip()
        await self._app(scope, receive, send)


class AddHeaders:
    """Add to every answer what keeps browsers from misusing it."""

    def __init__(self, app: ASGIApp, hsts_days: int) -> None:
        self._app = app
        self._hsts = _raw({"Strict-Transport-Security": f"max-age={hsts_days * 86_400}"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the headers of its answer."""

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                is_asset = scope["path"].startswith(ASSETS) and message["status"] < 400
                headers = list(message.get("headers", ()))
                names = {name for name, _ in headers}  # a report allows its own style
                added = ASSET_HEADERS if is_asset else RAW_HEADERS
                headers += [pair for pair in added if pair[0] not in names]
                headers += self._hsts if scope.get("scheme") == "https" else ()
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, complete)


class AnswerHead:
    """Answer HEAD like GET, without the content; a stream ends with its first event."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a HEAD on as a GET and hold back what follows the headers."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        started = False

        async def left() -> Message:
            return {"type": "http.disconnect"} if started else await receive()

        async def send_start(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                await send(message)
                await send({"type": "http.response.body"})

        await self._app({**scope, "method": "GET"}, left, send_start)


class KeepAnswers:
    """Keep what many consoles ask alike: files, the model and its tags until they change.

    Its place is around the compression, so that an answer is compressed once. Equal questions at
    one time wait for one answer; what is asked about now is kept for a moment.
    """

    def __init__(self, app: ASGIApp, generation: Callable[[], int]) -> None:
        self._app = app
        self._generation = generation  # of the model and its tags
        self._answers: dict[tuple[Any, ...], asyncio.Task[list[Message]]] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an answer that is kept, or pass the request on."""
        key = self._key(scope)
        if scope["type"] == "http" and scope["method"] not in READING:
            self._answers.clear()  # an order may change what is shown
            self._bytes = 0
        if key is None:
            await self._app(scope, receive, send)
            return
        if key not in self._answers:
            if len(self._answers) >= KEPT_MAX or self._bytes > KEPT_BYTES:
                self._answers.clear()
                self._bytes = 0
            self._answers[key] = asyncio.create_task(self._make(scope, key))
        start, body = await asyncio.shield(self._answers[key])
        # Headers are added to it on its way out.
        await send({**start, "headers": list(start["headers"])})
        await send(body)

    def _key(self, scope: Scope) -> tuple[Any, ...] | None:
        """Return what makes questions equal; None where the answer is not kept."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path = scope["path"]
        if path in OF_MODEL:
            state: float = self._generation()
        elif path in OF_NOW:
            state = asyncio.get_running_loop().time() // MOMENT_S
        elif path.startswith(ASSETS):
            state = 0
        else:
            return None
        headers = Headers(scope=scope)
        if any(name in headers for name in ("range", "if-none-match", "if-modified-since")):
            return None
        forms = (headers.get("accept"), headers.get("accept-encoding"))
        person = ASKER.get()
        # Those who may know the same get the same.
        reader = None if person is None else (person.role, person.scope)
        return state, path, scope["query_string"], *forms, reader

    async def _make(self, scope: Scope, key: tuple[Any, ...]) -> list[Message]:
        """Return start and whole body of an answer; only good ones are kept."""
        messages: list[Message] = []

        async def receive() -> Message:
            # Nobody hangs up: the answer is for others as well.
            await asyncio.get_running_loop().create_future()
            return {}

        async def take(message: Message) -> None:
            messages.append(message)

        start: Message = {"status": 0}
        try:
            await self._app(scope, receive, take)
            start, *parts = messages
        finally:
            if start["status"] != HTTPStatus.OK:
                self._answers.pop(key, None)
        content = b"".join(part.get("body", b"") for part in parts)
        MutableHeaders(scope=start)["Content-Length"] = str(len(content))
        self._bytes += len(content)
        return [start, {"type": "http.response.body", "body": content}]


class RefuseRequests:
    """Refuse a request for another host, and a body that is too long."""

    def __init__(self, app: ASGIApp, settings: ApiSettings) -> None:
        self._app = app
        self._names = settings.host_names
        self._own = {"localhost", settings.http_host.lower(), *self._names}
        self._body_bytes = settings.body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; raises Problem 421, HTTPException 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "localhost")
        self._check_host(host)
        declared = headers.get("content-length", "")
        self._check_length(int(declared) if declared.isdecimal() else 0)
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            self._check_length(received)
            return message

        await self._app(scope, bounded, send)

    def _check_host(self, host: str) -> None:
        # A page of another site that has its own name point at us sends that name, never a number.
        name = _name_of(host)
        if name in self._own or "*" in self._names or _is_address(name):
            return
        raise Problem(
            421,
            f"the api does not answer for the host {host!r}",
            hint="add its name to PARKTWIN_HOSTS, separated by commas",
        )

    def _check_length(self, length: int) -> None:
        if length > self._body_bytes:
            # FastAPI passes this kind on when it reads a body.
            raise HTTPException(
                413, f"the body is longer than PARKTWIN_BODY_BYTES, {self._body_bytes}"
            )


def check_origin(scope: Scope, names: frozenset[str]) -> None:
    """Raise Problem 403 for an order of a page of another site.

    `names` are those of the console besides the host of the request: behind a proxy that is not
    trusted the Host may be the proxy's. Browsers alone send an Origin, or say which site asks.
    """
    headers = Headers(scope=scope)
    origin, host = headers.get("origin"), headers.get("host", "localhost")
    if origin is None:
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return
        origin = headers["sec-fetch-site"]
    _, _, authority = origin.partition("://")
    if authority and (authority.lower() == host.lower() or _name_of(authority) in names):
        return
    raise Problem(
        403,
        f"a page of {origin!r} gives no orders",
        hint="behind a proxy, add the name of the console to PARKTWIN_HOSTS",
    )


def _name_of(authority: str) -> str:
    """Return the name or address of a host with or without a port; "" for nonsense."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
