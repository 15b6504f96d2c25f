"""Connections to the API: how many there are, and how long a request or an answer may take.

The server ends a connection that is idle after an answer. One that never asks, or sends its request
byte by byte, or does not take its answer, it would keep for ever. Where there are too many, the one
that has waited longest for its request makes room: who asks at once always comes in.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from api.middleware import Traffic
    from api.settings import ApiSettings

# How often the connections are looked at.
LOOK_S = 0.5
# Files of the process that are no connections: database, pipes, the console.
OTHER_FILES = 256
# A request line has room for as many tags as a request may name.
HEAD_BYTES = 65_536
LATE = "408 Request Timeout", "The request did not arrive in time."
FULL = "503 Service Unavailable", "There are too many clients."


class Connections:
    """The connections of one server; why others were closed is counted by reason."""

    def __init__(self, settings: ApiSettings, traffic: Traffic) -> None:
        self._settings = settings
        self._traffic = traffic
        self._all: dict[BoundedProtocol, None] = {}
        # Those whose request has not arrived, by remote address, the longest wait first.
        self._waiting: dict[str, dict[BoundedProtocol, None]] = {}
        self._hosts: Counter[str] = Counter()

    def admit(self, connection: BoundedProtocol) -> None:
        """Count a connection in, and make room for it; without room it is refused."""
        host = connection.host
        self._all[connection] = None
        self._traffic.connections = len(self._all)
        self._hosts[host] += 1
        if self._hosts[host] > self._settings.connections_host_max:
            self._make_room(connection, self._waiting.get(host, {}))
        elif len(self._all) > self._settings.connections_max:
            longest = max(self._waiting.values(), key=len, default={})
            self._make_room(connection, longest)
        if not connection.is_refused:
            self.await_request(connection)

    def _make_room(self, connection: BoundedProtocol, waiting: dict[BoundedProtocol, None]) -> None:
        """Close the connection of some that has waited longest, or refuse a new one."""
        oldest = next(iter(waiting), None)
        if oldest is None:
            connection.refuse(*FULL)
            self._traffic.closed["refused"] += 1
        else:
            oldest.transport.abort()
            self.forget(oldest)
            self._traffic.closed["crowded"] += 1

    def await_request(self, connection: BoundedProtocol) -> None:
        """Note that a connection waits for its request."""
        self._waiting.setdefault(connection.host, {})[connection] = None

    def has_asked(self, connection: BoundedProtocol) -> None:
        """Note that the request of a connection has arrived, or that it is gone."""
        waiting = self._waiting.get(connection.host, {})
        waiting.pop(connection, None)
        if not waiting:
            self._waiting.pop(connection.host, None)

    def forget(self, connection: BoundedProtocol) -> None:
        """Count a connection out."""
        self.has_asked(connection)
        if connection in self._all:
            del self._all[connection]
            self._traffic.connections = len(self._all)
            self._hosts[connection.host] -= 1
            if not self._hosts[connection.host]:
                del self._hosts[connection.host]

    def count(self, reason: str) -> None:
        """Count a connection that was closed for a reason."""
        self._traffic.closed[reason] += 1

    async def watch(self) -> None:
        """Close what takes too long, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_S)
            now = clock()
            for connection in list(self._all):
                reason = connection.overdue(now, self._settings)
                if reason:
                    self._traffic.closed[reason] += 1


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 of one connection, whose requests and answers have to pass in time.

    The parser itself takes a head of any length.
    """

    is_refused = False
    _asked_since: float | None = None  # it waits for the rest of a request
    _stuck_since: float | None = None  # the client does not take what is sent
    _answered: RequestResponseCycle | None = None
    _head_bytes = 0  # of the lines of the request
    _unread_bytes = 0  # since the parser last passed something on

    @property
    def host(self) -> str:
        """The remote address."""
        return self.client[0] if self.client else ""

    @property
    def _bounds(self) -> Connections:
        bounds: Connections = self.config.app.state.connections  # type: ignore[union-attr]
        return bounds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; called by the loop."""
        super().connection_made(transport)
        self._asked_since = self.loop.time()
        self._bounds.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; called by the loop."""
        # Of requests in one piece the parser's newest is not the one that is being answered.
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)
        self._bounds.forget(self)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; called by the loop."""
        if self.is_refused:
            return
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")
        self._look()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Begin to answer a request; called for each in its turn."""
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_begin(self) -> None:
        """Begin a request; called by the parser."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address; called by the parser."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head or after the body; called by the parser."""
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; called by the parser."""
        self._unread_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and close; called for an error of the parser."""
        super().send_400_response(msg)
        self._bounds.count("invalid")

    def _count_head(self, count: int) -> None:
        """Count bytes of a head; the parser makes an answer 400 of the error."""
        self._unread_bytes = 0
        self._head_bytes += count
        if self._head_bytes > HEAD_BYTES:
            raise ValueError("the head is too long")

    def on_response_complete(self) -> None:
        """Wait for the next request; called after an answer."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """Note that the client takes nothing; called by the transport."""
        super().pause_writing()
        self._stuck_since = self.loop.time()

    def resume_writing(self) -> None:
        """Note that the client takes its answer; called by the transport."""
        super().resume_writing()
        self._stuck_since = None

    @property
    def _is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        """Note whether the rest of a request is waited for, and since when."""
        if not (self._is_idle or self.cycle.more_body):
            self._asked_since = None
            self._bounds.has_asked(self)
        elif self._asked_since is None:
            self._asked_since = self.loop.time()
            self._bounds.await_request(self)

    def refuse(self, status: str, text: str) -> None:
        """Send a last answer and close."""
        self.is_refused = True
        head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: text/plain\r\n"
        length = f"content-length: {len(text)}\r\n\r\n"
        self.transport.write(f"{head}{length}{text}".encode())
        self.transport.close()

    def overdue(self, now: float, settings: ApiSettings) -> str:
        """Close the connection if it takes too long; return why, or an empty text."""
        if self.transport.is_closing():
            # What was sent last is not taken either.
            self._stuck_since = self._stuck_since or now
        if self._stuck_since is not None and now - self._stuck_since > settings.answer_s:
            self.transport.abort()
            return "stalled"
        if self.is_refused or self._asked_since is None:
            return ""
        if now - self._asked_since <= settings.request_s:
            return ""
        if self._is_idle:
            self.refuse(*LATE)
        else:
            # Whoever reads the body is told that the client is gone.
            self.transport.abort()
        return "slow"


def allow_files(wanted: int) -> None:
    """Let the process have as many open files as it may, for so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted + OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    if soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
