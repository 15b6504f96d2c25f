"""Reads MQTT packets off the socket in large blocks, past the library.

It stands on private attributes of aiomqtt and paho. What it does not take out is read by paho as
ever; without `take_over` every message comes to the inbox by way of the library.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any, Protocol

from ingest.settings import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLISH = 3
PINGREQ, PINGRESP = 0xC0, b"\xd0\x00"
TOPICS_MAX = 10_000
READ_BYTES = 1 << 18


class Taker(Protocol):
    """What takes the messages; while it is `full` none are read, until it calls `on_room`."""

    full: bool
    on_room: Callable[[], None]

    def put(
        self, topic: str, payload: bytes, mid: int, qos: int, cut: int = 0, *, retained: bool
    ) -> None:
        """Take a message, less the bytes `cut` from its payload."""


def take_over(client: Any, inbox: Taker, payload_bytes: int) -> None:
    """Let a PacketReader stand between the socket and the client."""
    paho = client._client  # noqa: SLF001
    sock = paho.socket()
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = PacketReader(sock, paho, inbox, payload_bytes)
        paho._sock = reader  # noqa: SLF001
        reader.listen()


class PacketReader:
    """Reads the socket in large blocks and takes the PUBLISH packets out itself.

    paho spends three system calls and some forty objects on a packet, more than a message of one
    value is worth. Every other packet is paho's: it reads this object as if it were its socket.

    Of a PUBLISH that is larger than `payload_bytes` and a head, only the head is kept; what follows
    is thrown away as it comes. While the inbox is full nothing is read, so that the broker waits.
    """

    def __init__(self, sock: Any, paho: Any, inbox: Taker, payload_bytes: int) -> None:
        self._sock = sock
        self._paho = paho
        self._inbox = inbox
        self._whole_bytes = payload_bytes + HEAD_BYTES
        self._pieces: list[bytes] = []  # of a packet that has not come whole
        self._missing = 0  # bytes of it, as far as known
        self._skipped = 0  # bytes to be thrown away next
        self._others = b""
        self._closed = False
        self._topics: dict[bytes, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Give paho its packets; raises BlockingIOError when there are none."""
        if not self._others and not self._closed:
            raise BlockingIOError
        chunk, self._others = self._others[:size], self._others[size:]
        return chunk

    def pending(self) -> int:
        """Return the bytes that wait for paho."""
        return len(self._others)

    def send(self, data: bytes) -> int:
        """Send for paho; its ping is answered at once while the answer would not be read."""
        if self._inbox.full and data[0] == PINGREQ:
            self._others += PINGRESP
            asyncio.get_running_loop().call_soon(self._hand_over)
        sent: int = self._sock.send(data)
        return sent

    def listen(self) -> None:
        """Read what comes from now on, if this is still the connection."""
        if self._paho.socket() is self:
            asyncio.get_running_loop().add_reader(self._sock.fileno(), self.read)

    def read(self) -> None:
        """Take what has come; the callback of the socket."""
        try:
            data = self._sock.recv(READ_BYTES)
            while isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
                data += self._sock.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        self._closed = not data
        self._take(data)
        self._hand_over()
        if self._inbox.full and not self._closed:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._inbox.on_room = self.listen

    def _hand_over(self) -> None:
        """Let paho read its packets."""
        while self._others or self._closed:
            self._paho.loop_read()
            if self._closed:
                return

    def _take(self, data: bytes) -> None:
        """Sort out packets once the first one is whole: its pieces are joined once."""
        if self._skipped:
            skipped = min(self._skipped, len(data))
            self._skipped -= skipped
            data = data[skipped:]
        self._missing -= len(data)
        if self._pieces:
            self._pieces.append(data)
            if self._missing > 0:
                return
            data = b"".join(self._pieces)
        remaining = self._split(data)
        self._pieces = [remaining] if remaining else []

    def _split(self, data: bytes) -> bytes:
        """Sort out packets; return what there is of the last one, `_missing` tells how much not."""
        at = 0
        self._missing = 0
        while len(data) - at >= 2:
            length = multiplier = 0
            body = at + 1
            while True:
                if body >= len(data):
                    return data[at:]
                digit = data[body]
                length |= (digit & 127) << multiplier
                multiplier += 7
                body += 1
                if digit < 128 or multiplier > 28:
                    break
            kind = data[at]
            qos = kind >> 1 & 3
            is_ours = kind >> 4 == PUBLISH and qos < 2
            kept = HEAD_BYTES if is_ours and length > self._whole_bytes else length
            end = body + kept
            if end > len(data):
                self._missing = end - len(data)
                return data[at:]
            if is_ours:
                self._publish(data, body, end, qos, length - kept, retained=bool(kind & 1))
            else:
                self._others += data[at:end]
            at = body + length
        self._skipped += max(at - len(data), 0)
        return data[at:]

    def _publish(
        self, data: bytes, at: int, end: int, qos: int, cut: int, *, retained: bool
    ) -> None:
        """Take one PUBLISH packet of MQTT 5, without its properties and the bytes cut off."""
        stop = at + 2 + (data[at] << 8 | data[at + 1])
        name = data[at + 2 : stop]
        topic = self._topics.get(name)
        if topic is None:
            topic = name.decode("utf-8", "replace")
            if len(self._topics) < TOPICS_MAX:
                self._topics[name] = topic
        mid = 0
        if qos:
            mid = data[stop] << 8 | data[stop + 1]
            stop += 2
        properties = shift = 0
        while True:
            digit = data[stop]
            properties |= (digit & 127) << shift
            shift += 7
            stop += 1
            if digit < 128:
                break
        self._inbox.put(topic, data[stop + properties : end], mid, qos, cut, retained=retained)
