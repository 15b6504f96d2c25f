"""A broker of MQTT 5 that writes down what a client sends, in its order; it keeps nothing.

PYTEST_DONT_REWRITE: tests import it by name.
"""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
CONNACK, SUBACK, PUBACK, PINGRESP = b"\x20\x03\0\0\0", 0x90, b"\x40\x02", b"\xd0\x00"


@dataclass
class Packet:
    """What a client sent: topics are those of a will, a subscription or a publication."""

    kind: str
    topics: list = field(default_factory=list)
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    clean: bool = False


class _Fields:
    """Fields of a packet, one after the other."""

    def __init__(self, data):
        self.data = data

    def take(self, count):
        part, self.data = self.data[:count], self.data[count:]
        return part

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def binary(self):
        return self.take(self.number(2))

    def text(self):
        return self.binary().decode()

    def properties(self):
        length, shift = 0, 0
        while True:
            digit = self.number(1)
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return self.take(length)


def _connect(fields):
    fields.text(), fields.number(1)
    flags = fields.number(1)
    fields.number(2)
    fields.properties()
    fields.text()
    packet = Packet("CONNECT", clean=bool(flags & 2))
    if flags & 4:
        fields.properties()
        packet.topics, packet.payload = [fields.text()], fields.binary()
        packet.qos, packet.retain = flags >> 3 & 3, bool(flags & 32)
    return packet, CONNACK


def _publish(fields, flags):
    topic, qos = fields.text(), flags >> 1 & 3
    number = fields.take(2 if qos else 0)
    fields.properties()
    packet = Packet("PUBLISH", [topic], fields.data, qos, bool(flags & 1))
    return packet, PUBACK + number if qos else b""


def _subscribe(fields):
    number = fields.take(2)
    fields.properties()
    packet = Packet("SUBSCRIBE")
    while fields.data:
        packet.topics.append(fields.text())
        packet.qos = max(packet.qos, fields.number(1) & 3)
    codes = bytes([1]) * len(packet.topics)
    return packet, bytes([SUBACK, 3 + len(codes)]) + number + b"\0" + codes


class RecordingBroker:
    """One that takes what a client sends; `packets` are in the order in which they came."""

    def __init__(self):
        self.packets = []
        self.port = 0
        self._writers = []

    async def serve(self, reader, writer):
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readexactly(1))[0]
                length, shift = 0, 0
                while True:
                    digit = (await reader.readexactly(1))[0]
                    length |= (digit & 127) << shift
                    shift += 7
                    if digit < 128:
                        break
                fields, kind = _Fields(await reader.readexactly(length)), head >> 4
                answer = b""
                if kind == CONNECT:
                    packet, answer = _connect(fields)
                elif kind == PUBLISH:
                    packet, answer = _publish(fields, head)
                elif kind == SUBSCRIBE:
                    packet, answer = _subscribe(fields)
                elif kind == PINGREQ:
                    packet, answer = Packet("PINGREQ"), PINGRESP
                else:
                    packet = Packet("DISCONNECT" if kind == DISCONNECT else f"{kind}")
                self.packets.append(packet)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def of(self, kind):
        """Return the packets of a kind."""
        return [packet for packet in self.packets if packet.kind == kind]

    def lose_clients(self):
        """End all connections without a word."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def recording_broker():
    broker = RecordingBroker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        broker.lose_clients()
        server.close()
