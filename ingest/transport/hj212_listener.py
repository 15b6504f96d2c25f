"""The HJ 212 listener: data loggers connect by TCP and are answered after the commit.

A packet becomes a message under the topic of its gateway, like any other, and so does each part of
a split one: a logger may wait for its answer before it sends the next. What is damaged or not from
a logger of the model becomes a message too, so that it is rejected, counted and kept.

A caller is a stranger until its first right packet. Strangers have little time, and the one that
has been there longest makes room for a new caller: who only connects keeps no logger out. A packet
that has begun has little time as well, from whomever it comes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ingest.routing.topics import NOBODY, Message
from ingest.wire import hj212
from twin.errors import SettingsError
from twin.model.gateways import GatewaySpec, networks_of
from twin.model.park import owner_of, park_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from ingest.counters import Counters
    from ingest.settings import IngestSettings
    from ingest.wire.hj212 import Fault, Packet
    from twin.model.park import Park

LOG = logging.getLogger("ingest.transport.hj212_listener")
READ_BYTES = 1 << 16
Network = IPv4Network | IPv6Network
NONE_REFUSED: Mapping[tuple[int, int], str] = MappingProxyType({})
LOOK_S = 2.0  # at the files of the certificate
BACKLOG, AGAIN_S = 100, 0.5


@dataclass(slots=True)
class _Caller:
    """One connection, and its packets that are not committed yet."""

    link: int
    host: str
    port: int
    task: asyncio.Task[None]
    due_s: float  # of the monotonic clock: its next packet
    packet_due_s: float = math.inf  # the end of the packet that has begun
    writer: asyncio.StreamWriter | None = None  # None: a handshake goes on
    mns: set[str] = field(default_factory=set)
    waiting: dict[int, Packet | None] = field(default_factory=dict)  # None = no answer is due
    room: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_stranger(self) -> bool:
        """Whether nothing has come that a logger of the model would send."""
        return not self.mns

    def tell(self, data: bytes) -> None:
        """Send an answer, if the caller is still there."""
        if self.writer is not None and not self.writer.is_closing():
            self.writer.write(data)

    def hang_up(self) -> None:
        """End the connection."""
        if self.writer is None:
            self.task.cancel()
        else:
            self.writer.close()


class Listener:
    """The TCP server for data loggers; `put` takes messages that will be acknowledged by `ack`."""

    def __init__(
        self,
        park: Park,
        settings: IngestSettings,
        put: Callable[[Message], None],
        counters: Counters,
    ) -> None:
        # By MN: topic, row, and from where it calls; nowhere: from anywhere.
        self._gateways: Mapping[str, tuple[str, GatewaySpec, Sequence[Network]]] = {}
        self.follow(park)
        self._settings = settings
        self._put = put
        self._counters = counters
        self._callers: dict[int, _Caller] = {}
        self._links = count(-1, -1)  # Links of the broker's connections are not negative.
        self._mids = count(1)
        self._allowed = networks_of(settings.hj212_allow)
        self._tls: ssl.SSLContext | None = None
        self._server: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(self, park: Park) -> None:
        """Know the data loggers of a model; connections stay."""
        kinds = {scope.id: scope.kind for scope in park.scopes}
        self._gateways = {
            row.mn: (
                f"hj212/v1/{park_of(row.scope, kinds)}/{owner_of(row.scope, kinds)}/{row.id}",
                row,
                networks_of(",".join(row.addresses)),
            )
            for row in park.rows(GatewaySpec)
            if row.protocol == "hj212"
        }

    async def start(self) -> int:
        """Listen; return the port. Raises SettingsError when it is taken."""
        settings = self._settings
        if settings.hj212_tls_cert is not None:
            try:
                self._tls = self._context()
            except OSError as error:
                raise SettingsError(
                    f"the certificate for data loggers cannot be used: {error}",
                    hint="PARKTWIN_HJ212_TLS_CERT, _KEY and _CA name files in PEM that fit",
                ) from error
            self._spawn(self._watch_certificate())
        address = settings.hj212_host, settings.hj212_port
        family = socket.AF_INET6 if ":" in settings.hj212_host else socket.AF_INET
        try:
            self._server = server = socket.create_server(address, family=family, backlog=BACKLOG)
        except OSError as error:
            raise SettingsError(
                f"cannot listen for data loggers at port {settings.hj212_port}: {error.strerror}",
                hint="choose another PARKTWIN_HJ212_PORT, or 0",
            ) from error
        server.setblocking(False)
        self._spawn(self._accept(server))
        port: int = server.getsockname()[1]
        LOG.info("HJ 212 data loggers may call at port %d", port)
        return port

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Stop listening and hang up."""
        for caller in list(self._callers.values()):
            caller.hang_up()
        for task in self._tasks - {caller.task for caller in self._callers.values()}:
            task.cancel()
        if self._server is not None:
            self._server.close()

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
                if packet is not None:
                    reason = refused.get((message.link, message.mid), "")
                    caller.tell(hj212.answer(packet, reason))
                caller.room.set()

    def _context(self) -> ssl.SSLContext:
        """Return what the files of the certificate say; raises OSError."""
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert settings.hj212_tls_cert is not None
        context.load_cert_chain(
            settings.hj212_tls_cert, settings.hj212_tls_key, password=lambda: ""
        )
        if settings.hj212_tls_ca is not None:
            context.load_verify_locations(settings.hj212_tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _watch_certificate(self) -> None:
        """Use a changed certificate for the calls that come then; connections stay."""
        settings = self._settings
        paths = settings.hj212_tls_cert, settings.hj212_tls_key, settings.hj212_tls_ca
        seen = _times(paths)
        while True:
            await asyncio.sleep(LOOK_S)
            times = _times(paths)
            if times == seen:
                continue
            seen = times
            try:
                self._tls = self._context()
                LOG.info("the changed certificate for data loggers is in use")
            except OSError as error:
                LOG.error("the former certificate for data loggers stays: %s", error)  # noqa: TRY400

    async def _accept(self, server: socket.socket) -> None:
        """Take calls, each in a task of its own, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(server)
            except OSError as error:
                LOG.warning("no call of a data logger can be taken now: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            host, port = address[:2]
            if self._allowed and not _is_in(host, self._allowed):
                self._count("forbidden", host, "may not call (PARKTWIN_HJ212_ALLOW)")
                sock.close()
            elif self._make_room(host):
                self._call(sock, host, port)
            else:
                sock.close()

    def _call(self, sock: socket.socket, host: str, port: int) -> None:
        """Begin to serve a caller."""
        link = next(self._links)
        due_s = time.monotonic() + self._settings.hj212_hello_s
        task = self._spawn(self._serve(link, sock))
        self._callers[link] = _Caller(link, host, port, task, due_s)

    async def _serve(self, link: int, sock: socket.socket) -> None:
        """Take the packets of one connection until it ends."""
        caller, framer = self._callers[link], hj212.Framer()
        try:
            with suppress(ConnectionError):
                reader = await self._open(caller, sock)
                while reader is not None and (data := await self._read(reader, caller)):
                    items = framer.feed(data)
                    for item in items:
                        self._take(caller, item)
                    self._follow_packet(caller, has_begun=bool(framer.waiting), ended=bool(items))
                    await self._wait_for_room(caller)
        finally:
            self._leave(caller, framer)
            if caller.writer is None:
                sock.close()
            else:
                caller.writer.close()

    async def _open(self, caller: _Caller, sock: socket.socket) -> asyncio.StreamReader | None:
        """Return what reads from a caller; None if it and we find no TLS to speak."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        timeout_s = self._settings.hj212_hello_s if self._tls else None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=self._tls, ssl_handshake_timeout=timeout_s
            )
        except OSError as error:
            self._count("untrusted", caller.host, f"no TLS that we take: {error}")
            return None
        caller.writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return reader

    def _count(self, reason: str, host: str, text: str) -> None:
        """Count a caller that was sent away; the first of a reason is told."""
        self._counters[f"loggers.{reason}"] += 1
        if self._counters[f"loggers.{reason}"] == 1:
            LOG.warning("%s: %s; further ones are counted", host, text)

    def _follow_packet(self, caller: _Caller, *, has_begun: bool, ended: bool) -> None:
        """Note until when the packet that has begun must be there."""
        if ended or not has_begun:
            caller.packet_due_s = math.inf
        if has_begun and caller.packet_due_s == math.inf:
            caller.packet_due_s = time.monotonic() + self._settings.hj212_packet_s

    def _make_room(self, host: str) -> bool:
        """Let the oldest stranger go when places are taken; return whether one is free."""
        settings, callers = self._settings, list(self._callers.values())
        if len(callers) < settings.hj212_connections:
            callers = [caller for caller in callers if caller.host == host]
            if len(callers) < settings.hj212_address_connections:
                return True
        stranger = next((caller for caller in callers if caller.is_stranger), None)
        if stranger is None:
            self._count("refused", host, "too many data loggers (PARKTWIN_HJ212_CONNECTIONS and"
                        " _ADDRESS_CONNECTIONS)")  # fmt: skip
            return False
        self._evict(stranger)
        return True

    def _evict(self, caller: _Caller) -> None:
        """Let a caller go for another one."""
        self._counters["loggers.evicted"] += 1
        del self._callers[caller.link]
        caller.hang_up()

    def _admit(self, caller: _Caller, mn: str) -> None:
        """Know a caller by an MN; of too many with it the oldest goes, which may be half dead."""
        if mn in caller.mns:
            return
        others = [each for each in self._callers.values() if mn in each.mns]
        if len(others) >= self._settings.hj212_mn_connections:
            self._evict(others[0])
        caller.mns.add(mn)

    async def _read(self, reader: asyncio.StreamReader, caller: _Caller) -> bytes:
        """Return what a caller sends; nothing when it hangs up or its packet is overdue."""
        due_s = min(caller.due_s, caller.packet_due_s)
        try:
            return await asyncio.wait_for(reader.read(READ_BYTES), due_s - time.monotonic())
        except TimeoutError:
            is_slow = caller.packet_due_s < caller.due_s
            self._counters["loggers.slow" if is_slow else "loggers.silent"] += 1
            return b""

    async def _wait_for_room(self, caller: _Caller) -> None:
        """Read no more while too much is waiting for its commit: the logger's own buffer holds."""
        began_s = time.monotonic()
        while len(caller.waiting) >= self._settings.hj212_waiting:
            caller.room.clear()
            await caller.room.wait()
        if caller.writer is not None:
            await caller.writer.drain()
        waited_s = time.monotonic() - began_s
        caller.due_s += waited_s
        caller.packet_due_s += waited_s

    def _take(self, caller: _Caller, item: Packet | Fault) -> None:
        """Pass a packet on; answer at once what cannot be one of our data."""
        if isinstance(item, hj212.Fault):
            self._refuse(caller, item.data, item.packet, item.reason)
            return
        topic, row, networks = self._gateways.get(item.mn, ("", None, ()))
        if networks and not _is_in(caller.host, networks):
            # It is not the logger whose MN it has: what it sends is nobody's.
            self._count("forbidden", caller.host, f"not where MN {item.mn} calls from")
            self._refuse(caller, item.raw, None, "")
            self._answer(caller, item, "unknown_mn")
            return
        reason = hj212.problem_of(item, password=row.password) if row else "unknown_mn"
        if reason:
            self._refuse(caller, item.raw, item, reason)
            return
        self._admit(caller, item.mn)
        caller.due_s = time.monotonic() + self._settings.hj212_idle_s
        self._send(caller, topic, item.raw, item if item.wants_answer else None)

    def _refuse(self, caller: _Caller, data: bytes, packet: Packet | None, reason: str) -> None:
        """Let the message be rejected by its codec, and say so to the logger when it asked."""
        topic = self._gateways.get(packet.mn, ("", None, ()))[0] if packet else ""
        self._send(caller, topic, data)
        if packet is not None:
            self._answer(caller, packet, reason)

    def _answer(self, caller: _Caller, packet: Packet, reason: str) -> None:
        """Tell a logger that asked what is wrong with its packet."""
        if packet.wants_answer:
            caller.tell(hj212.answer(packet, reason))

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


def _is_in(host: str, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of some networks."""
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in networks)


def _times(paths: Sequence[Path | None]) -> list[int]:
    """Return when files were changed; 0 for what is not there."""
    return [path.stat().st_mtime_ns if path and path.exists() else 0 for path in paths]
