"""The door to the broker: messages in by the block, acknowledgements out by the block."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.decode import Message
from twin.errors import SettingsError

if TYPE_CHECKING:
    from ingest.counters import Counters
    from ingest.settings import IngestSettings

LOG = logging.getLogger("ingest.subscriber")
PUBACK = 0x40
READ_BYTES = 1 << 18
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class Inbox:
    """Messages waiting for a cycle, bounded by number and bytes.

    It stands in for the queue of `aiomqtt.Client`, whose `put_nowait` runs in the callback of the
    socket: no task, no future, no wake-up per message.
    """

    def __init__(self, messages_max: int, bytes_max: int, counters: Counters) -> None:
        self._waiting: deque[Message] = deque()
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._counters = counters
        self.bytes = 0
        self.link = 0
        self.arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put_nowait(self, message: aiomqtt.Message) -> None:
        """Take a message; at QoS 0 it is dropped, and counted, when there is no room.

        QoS 1 has room always: what the broker may have in flight is less than the inbox holds.
        """
        payload = message.payload if isinstance(message.payload, bytes) else b""
        full = len(self._waiting) >= self._messages_max or self.bytes >= self._bytes_max
        if full and message.qos == 0:
            self._counters["dropped"] += 1
            return
        self.bytes += len(payload)
        self._waiting.append(
            Message(
                message.topic.value,
                payload,
                time.time_ns() // 1000,
                message.mid,
                message.qos,
                self.link,
            )
        )
        self.arrived.set()

    def take(self, messages_max: int, bytes_max: int) -> list[Message]:
        """Return the oldest messages, as many as one cycle may have."""
        taken: list[Message] = []
        size = 0
        while self._waiting and len(taken) < messages_max and size < bytes_max:
            message = self._waiting.popleft()
            size += len(message.payload)
            taken.append(message)
        self.bytes -= size
        if not self._waiting:
            self.arrived.clear()
        return taken


class _ReadAhead:
    """A socket that reads in large blocks.

    paho asks for one byte, then another, then the rest: three system calls a packet. Here it gets
    them from memory, and `pending` makes the client go on until the block is used up.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._data = b""
        self._at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes; raises BlockingIOError when there are none."""
        at = self._at
        if at == len(self._data):
            self._data = self._sock.recv(READ_BYTES)
            at = 0
        self._at = at + size
        chunk = self._data[at : at + size]
        self._at = at + len(chunk)
        return chunk

    def pending(self) -> int:
        """Return the bytes that were read from the network but not yet asked for."""
        more: int = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        return len(self._data) - self._at + more


class Subscriber:
    """The connection to the broker: a persistent session that survives us and itself."""

    def __init__(self, settings: IngestSettings, counters: Counters) -> None:
        self.inbox = Inbox(settings.inbox_messages, settings.inbox_bytes, counters)
        self.connected = False
        self._settings = settings
        self._counters = counters
        self._client: aiomqtt.Client | None = None

    async def run(self) -> None:
        """Stay connected until cancelled."""
        tries = 0
        while True:
            try:
                client = self._prepare()
                async with client:
                    self._client = client
                    _read_ahead(client)
                    await client.subscribe(self._settings.topic_filter, qos=1)
                    self.connected, tries = True, 0
                    LOG.info("connected to %s", _without_password(self._settings.mqtt_url))
                    # Messages come through the inbox; this waits for the end of the connection.
                    await client._disconnected  # noqa: SLF001
            except aiomqtt.MqttError as error:
                LOG.warning("broker %s: %s", _without_password(self._settings.mqtt_url), error)
            finally:
                self.connected, self._client = False, None
            self._counters["reconnects"] += 1
            await asyncio.sleep(BACKOFF_S[min(tries, len(BACKOFF_S) - 1)])
            tries += 1

    def ack(self, messages: list[Message]) -> None:
        """Acknowledge messages of this connection; those of an earlier one will come again.

        The acknowledgements of a block leave in one piece: four bytes each, one system call.
        """
        client = self._client
        if client is None:
            return
        paho = client._client  # noqa: SLF001
        current = [m for m in messages if m.qos and m.link == self.inbox.link]
        pubacks = b"".join(b"\x40\x02" + m.mid.to_bytes(2, "big") for m in current if m.qos == 1)
        if pubacks:
            paho._packet_queue(PUBACK, pubacks, 0, 0)  # noqa: SLF001
        for message in current:
            if message.qos == 2:
                paho.ack(message.mid, message.qos)

    def _prepare(self) -> aiomqtt.Client:
        """Return a client whose session keeps, at the broker, what we have not acknowledged."""
        settings = self._settings
        parts = urlsplit(settings.mqtt_url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise SettingsError(
                f"PARKTWIN_MQTT_URL {settings.mqtt_url!r} is not a broker's address",
                hint="write it like mqtt://127.0.0.1:1883",
            )
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = settings.receive_max
        secure = parts.scheme == "mqtts"
        client = aiomqtt.Client(
            parts.hostname,
            parts.port or (8883 if secure else 1883),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            identifier=settings.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=ssl.create_default_context() if secure else None,
            queue_type=lambda maxsize: self.inbox,  # type: ignore[arg-type]  # noqa: ARG005
        )
        # Before the connection: what the broker kept for us comes right behind its first answer.
        client._client.manual_ack_set(True)  # noqa: SLF001
        self.inbox.link += 1
        return client


def _read_ahead(client: aiomqtt.Client) -> None:
    """Let the client read in blocks."""
    paho = client._client  # noqa: SLF001
    sock = paho.socket()
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        paho._sock = _ReadAhead(sock)  # noqa: SLF001


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}" if parts.hostname else url
