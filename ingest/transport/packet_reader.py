"""Reads MQTT packets off the socket in large blocks, past the library.

It stands on private attributes of aiomqtt and paho. What it does not take out is read by paho as
ever; without `take_over` every message comes to the inbox by way of the library.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.transport.subscriber import Inbox

PUBLISH = 3
TOPICS_MAX = 10_000
READ_BYTES = 1 << 18


def take_over(client: Any, inbox: Inbox) -> None:
    """Let a PacketReader stand between the socket and the client."""
    paho = client._client  # noqa: SLF001
    sock = paho.socket()
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = PacketReader(sock, paho, inbox)
        paho._sock = reader  # noqa: SLF001
        asyncio.get_running_loop().add_reader(sock.fileno(), reader.read)


class PacketReader:
    """Reads the socket in large blocks and takes the PUBLISH packets out itself.

    paho spends three system calls and some forty objects on a packet, more than a message of one
    value is worth. Every other packet is paho's: it reads this object as if it were its socket.
    """

    def __init__(self, sock: Any, paho: Any, inbox: Inbox) -> None:
        self._sock = sock
        self._paho = paho
        self._inbox = inbox
        self._rest = b""
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
        self._rest = self._split(self._rest + data)
        while self._others or self._closed:
            self._paho.loop_read()
            if self._closed:
                return

    def _split(self, data: bytes) -> bytes:
        """Sort out whole packets; return what is left of the last one."""
        at = 0
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
            end = body + length
            if end > len(data):
                return data[at:]
            kind = data[at]
            qos = kind >> 1 & 3
            if kind >> 4 == PUBLISH and qos < 2:
                self._publish(data, body, end, qos)
            else:
                self._others += data[at:end]
            at = end
        return data[at:]

    def _publish(self, data: bytes, at: int, end: int, qos: int) -> None:
        """Take one PUBLISH packet of MQTT 5, without its properties."""
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
        self._inbox.put(topic, data[stop + properties : end], mid, qos)
