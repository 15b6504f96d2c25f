"""The HJ 212 listener: data loggers connect by TCP and are answered after the commit.

A packet becomes a message under the topic of its gateway, like any other, and so does each part of
a split one: a logger may wait for its answer before it sends the next. What is damaged or not from
a logger of the model becomes a message too, so that it is rejected, counted and kept.

A caller is a stranger until its first right packet. Strangers have little time, and the one that
has been there longest makes room for a new caller: who only connects keeps no logger out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING

from ingest.routing.topics import NOBODY, Message
from ingest.wire import hj212
from twin.errors import SettingsError
from twin.model.gateways import GatewaySpec
from twin.model.park import owner_of, park_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ingest.counters import Counters
    from ingest.settings import IngestSettings
    from ingest.wire.hj212 import Fault, Packet
    from twin.model.park import Park

LOG = logging.getLogger("ingest.transport.hj212_listener")
READ_BYTES = 1 << 16
NONE_REFUSED: Mapping[tuple[int, int], str] = MappingProxyType({})


@dataclass(slots=True)
class _Caller:
    """One connection, and its packets that are not committed yet."""

    link: int
    host: str
    port: int
    writer: asyncio.StreamWriter
    due_s: float  # of the monotonic clock: its next packet
    is_stranger: bool = True
    waiting: dict[int, Packet | None] = field(default_factory=dict)  # None = no answer is due
    room: asyncio.Event = field(default_factory=asyncio.Event)


class Listener:
    """The TCP server for data loggers; `put` takes messages that will be acknowledged by `ack`."""

    def __init__(
        self,
        park: Park,
        settings: IngestSettings,
        put: Callable[[Message], None],
        counters: Counters,
    ) -> None:
        self._gateways: Mapping[str, tuple[str, GatewaySpec]] = {}
        self.follow(park)
        self._settings = settings
        self._put = put
        self._counters = counters
        self._callers: dict[int, _Caller] = {}
        self._links = count(-1, -1)  # Links of the broker's connections are not negative.
        self._mids = count(1)
        self._server: asyncio.Server | None = None

    def follow(self, park: Park) -> None:
        """Know the data loggers of a model; connections stay."""
        kinds = {scope.id: scope.kind for scope in park.scopes}
        self._gateways = {
            row.mn: (
                f"hj212/v1/{park_of(row.scope, kinds)}/{owner_of(row.scope, kinds)}/{row.id}",
                row,
            )
            for row in park.rows(GatewaySpec)
            if row.protocol == "hj212"
        }

    async def start(self) -> int:
        """Listen; return the port. Raises SettingsError when it is taken."""
        settings = self._settings
        try:
            self._server = await asyncio.start_server(
                self._serve, settings.hj212_host, settings.hj212_port, limit=READ_BYTES
            )
        except OSError as error:
            raise SettingsError(
                f"cannot listen for data loggers at port {settings.hj212_port}: {error.strerror}",
                hint="choose another PARKTWIN_HJ212_PORT, or 0",
            ) from error
        port: int = self._server.sockets[0].getsockname()[1]
        LOG.info("HJ 212 data loggers may call at port %d", port)
        return port

    async def stop(self) -> None:
        """Stop listening and hang up."""
        if self._server is not None:
            self._server.close()
        for caller in list(self._callers.values()):
            caller.writer.close()

    def ack(
        self, messages: Sequence[Message], refused: Mapping[tuple[int, int], str] = NONE_REFUSED
    ) -> None:
        """Answer the packets among some messages, which are committed now.

        `refused` are the reasons of those of which nothing is stored, by their link and mid.
        """
        for message in messages:
            caller = self._callers.get(message.link)
            if caller is not None:
                packet = caller.waiting.pop(message.mid, None)
                if packet is not None and not caller.writer.is_closing():
                    reason = refused.get((message.link, message.mid), "")
                    caller.writer.write(hj212.answer(packet, reason))
                caller.room.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the packets of one connection until it ends."""
        host, port = writer.get_extra_info("peername")[:2]
        if not self._make_room(host):
            writer.close()
            return
        due_s = time.monotonic() + self._settings.hj212_hello_s
        caller = _Caller(next(self._links), host, port, writer, due_s)
        self._callers[caller.link] = caller
        framer = hj212.Framer()
        try:
            with suppress(ConnectionError):
                while data := await self._read(reader, caller):
                    for item in framer.feed(data):
                        self._take(caller, item)
                    await self._wait_for_room(caller)
        finally:
            self._leave(caller, framer)
            writer.close()

    def _make_room(self, host: str) -> bool:
        """Let the oldest stranger go when places are taken; return whether one is free."""
        settings, callers = self._settings, list(self._callers.values())
        if len(callers) < settings.hj212_connections:
            callers = [caller for caller in callers if caller.host == host]
            if len(callers) < settings.hj212_address_connections:
                return True
        stranger = next((caller for caller in callers if caller.is_stranger), None)
        if stranger is None:
            self._counters["loggers.refused"] += 1
            if self._counters["loggers.refused"] == 1:
                LOG.warning("%s: too many data loggers (PARKTWIN_HJ212_CONNECTIONS and"
                            " _ADDRESS_CONNECTIONS); further ones are counted", host)  # fmt: skip
            return False
        self._counters["loggers.evicted"] += 1
        del self._callers[stranger.link]
        stranger.writer.close()
        return True

    async def _read(self, reader: asyncio.StreamReader, caller: _Caller) -> bytes:
        """Return what a caller sends; nothing when it hangs up or its packet is overdue."""
        try:
            return await asyncio.wait_for(reader.read(READ_BYTES), caller.due_s - time.monotonic())
        except TimeoutError:
            self._counters["loggers.silent"] += 1
            return b""

    async def _wait_for_room(self, caller: _Caller) -> None:
        """Read no more while too much is waiting for its commit: the logger's own buffer holds."""
        began_s = time.monotonic()
        while len(caller.waiting) >= self._settings.hj212_waiting:
            caller.room.clear()
            await caller.room.wait()
        await caller.writer.drain()
        caller.due_s += time.monotonic() - began_s

    def _take(self, caller: _Caller, item: Packet | Fault) -> None:
        """Pass a packet on; answer at once what cannot be one of our data."""
        if isinstance(item, hj212.Fault):
            self._refuse(caller, item.data, item.packet, item.reason)
            return
        topic, row = self._gateways.get(item.mn, ("", None))
        reason = hj212.problem_of(item, password=row.password) if row else "unknown_mn"
        if reason:
            self._refuse(caller, item.raw, item, reason)
            return
        caller.is_stranger = False
        caller.due_s = time.monotonic() + self._settings.hj212_idle_s
        self._send(caller, topic, item.raw, item if item.wants_answer else None)

    def _refuse(self, caller: _Caller, data: bytes, packet: Packet | None, reason: str) -> None:
        """Let the message be rejected by its codec, and say so to the logger when it asked."""
        topic = self._gateways.get(packet.mn, ("", None))[0] if packet else ""
        self._send(caller, topic, data)
        if packet is not None and packet.wants_answer and not caller.writer.is_closing():
            caller.writer.write(hj212.answer(packet, reason))

    def _send(
        self, caller: _Caller, topic: str, payload: bytes, packet: Packet | None = None
    ) -> None:
        """Put a message into the inbox; the answer to its packet waits for the commit."""
        mid = next(self._mids)
        caller.waiting[mid] = packet
        topic = topic or f"{NOBODY}/{caller.host}:{caller.port}"
        self._put(Message(topic, payload, time.time_ns() // 1000, mid, 1, caller.link))

    def _leave(self, caller: _Caller, framer: hj212.Framer) -> None:
        """Forget a connection; what it left unfinished is rejected, not lost silently."""
        if framer.waiting.strip():
            self._send(caller, "", framer.waiting)
        self._callers.pop(caller.link, None)
