"""A publisher for load: MQTT 3.1.1 over a plain socket, QoS 0 or 1, counting acknowledgements.

It costs the machine as little as a publisher can, so that what is measured is the receiving side.
"""

import json
import multiprocessing
import socket
import struct
import time
from dataclasses import dataclass, field

CONNECT = b"\x00\x04MQTT\x04\x02\x00\x3c"


def remaining(length):
    """Return MQTT's variable length."""
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | 128 if length else digit)
        if not length:
            return bytes(out)


@dataclass
class Publisher:
    """One connection; `acked` counts the PUBACKs it has seen."""

    port: int
    client_id: str = "load"
    window: int = 2000
    acked: int = 0
    sent: int = 0
    encoded: int = 0
    sock: socket.socket = field(init=False)
    _rest: bytes = b""

    def __post_init__(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = CONNECT + struct.pack(">H", len(self.client_id)) + self.client_id.encode()
        self.sock.sendall(b"\x10" + remaining(len(body)) + body)
        assert self.sock.recv(4)[:1] == b"\x20"

    def encode(self, topic, payloads, qos=1):
        """Return the packets of some messages, in one piece; they must be sent in this order."""
        head = struct.pack(">H", len(topic)) + topic.encode()
        parts = []
        for payload in payloads:
            mid = struct.pack(">H", self.encoded % 65535 + 1) if qos else b""
            self.encoded += 1
            parts.append(
                (b"\x32" if qos else b"\x30")
                + remaining(len(head) + len(mid) + len(payload)) + head + mid + payload
            )  # fmt: skip
        return b"".join(parts)

    def send(self, packets, count, qos=1):
        """Send encoded packets, after waiting for room in the window."""
        while qos and self.sent - self.acked + count > self.window:
            self.collect()
        self.sent += count
        self.sock.sendall(packets)

    def publish(self, topic, payloads, qos=1):
        """Encode and send messages."""
        self.send(self.encode(topic, payloads, qos), len(payloads), qos)

    def collect(self, timeout=30.0):
        """Read PUBACKs; return how many came, 0 when none came in time."""
        self.sock.settimeout(timeout)
        try:
            data = self._rest + self.sock.recv(1 << 16)
        except TimeoutError:
            return 0
        if len(data) == len(self._rest):
            raise ConnectionError("the broker closed the connection")
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        self.acked += whole // 4
        return whole // 4

    def drain(self, timeout=60.0):
        """Wait until every message is acknowledged, or the time is over."""
        end = time.monotonic() + timeout
        while self.acked < self.sent and time.monotonic() < end:
            self.collect(0.5)


def scan_payloads(tags, rate, start_ms, step_ms, count, *, values_per_message):
    """Yield JSON payloads that go round the tags, and advance the time with every full round."""
    names = [f"{tag}" for tag in tags]
    per_round = max(len(names) // values_per_message, 1)
    for number in range(count):
        turn, part = divmod(number, per_round)
        group = names[part * values_per_message : (part + 1) * values_per_message]
        base = (turn * 7 + part) % 50
        values = {name: base + i / 8 for i, name in enumerate(group)}
        yield json.dumps({"ts": start_ms + turn * step_ms, "values": values}).encode()


def _run(port, topic, payloads, rate, block, qos, result):
    publisher = Publisher(port, client_id=f"load-{multiprocessing.current_process().pid}",
                          window=20_000)  # fmt: skip
    blocks = [
        (publisher.encode(topic, payloads[i : i + block], qos), len(payloads[i : i + block]))
        for i in range(0, len(payloads), block)
    ]
    began = time.monotonic()
    for number, (packets, count) in enumerate(blocks):
        if rate:
            time.sleep(max(began + number * block / rate - time.monotonic(), 0))
        publisher.send(packets, count, qos)
    if qos:
        publisher.drain()
    result.put((publisher.sent, publisher.acked, time.monotonic() - began))
    publisher.sock.close()


def publish_in_background(port, topic, payloads, *, rate=0.0, block=20, qos=1):
    """Start a process that publishes; returns (process, queue of (sent, acked, seconds))."""
    context = multiprocessing.get_context("fork")
    result = context.Queue()
    process = context.Process(target=_run, args=(port, topic, payloads, rate, block, qos, result))
    process.start()
    return process, result
