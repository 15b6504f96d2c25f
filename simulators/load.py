"""Load tests: a park of any number of tags, published at any rate, with acknowledgements counted.

MQTT 3.1.1 over a plain socket: the publisher costs so little that the test measures the receiving
side. Values are a function of tag and time.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.wire import native
from twin.arrays import F64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TOPIC = "park/v1/load/works/sim-1"
PARK_TOML = """[park]
id = "load"
kind = "park"
name = { zh = "压力测试", en = "Load" }
timezone = "Asia/Shanghai"

[[scope]]
id = "load/works"
kind = "enterprise"
name = { zh = "压力测试企业", en = "Load works" }
"""
TAGS_HEAD = "tag,scope,quantity,uom,kind,low,high,sigma,description\n"
RATE_MAX_HZ = 1000.0  # Times on the wire are whole milliseconds.
BLOCK = 200  # messages
SHOW_S = 1.0
ANSWER_S = 30.0
MID_MAX = 65_535
CONNECT, CONNACK, PUBLISH, QOS_1, PINGREQ = 0x10, 0x20, 0x30, 0x02, b"\xc0\x00"
CLEAN, HAS_PASSWORD, HAS_NAME = 0x02, 0x40, 0x80


def _remaining(length: int) -> bytes:
    """Return a length as a variable byte integer of MQTT."""
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | 128 if length else digit)
        if not length:
            return bytes(out)


def _text(text: str) -> bytes:
    """Return a text with its length, as a UTF-8 string of MQTT."""
    data = text.encode()
    return struct.pack(">H", len(data)) + data


@dataclass(slots=True)
class Publisher:
    """A connection to a broker; `acked` counts PUBACKs. Raises OSError when the broker ends it."""

    hostname: str
    port: int
    username: str | None = None
    password: str | None = None
    tls_context: ssl.SSLContext | None = None
    client_id: str = "load"
    window: int = 2000  # messages in flight
    acked: int = 0
    sent: int = 0
    sock: socket.socket = field(init=False)
    _encoded: int = 0
    _partial: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection((self.hostname, self.port), timeout=ANSWER_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls_context is not None:
            self.sock = self.tls_context.wrap_socket(self.sock, server_hostname=self.hostname)
        account = [text for text in (self.username, self.password) if text is not None]
        flags = CLEAN | HAS_NAME * (len(account) > 0) | HAS_PASSWORD * (len(account) > 1)
        # Without a keep-alive, so that a publisher at 0.001 Hz stays connected as well.
        body = _text("MQTT") + bytes((4, flags, 0, 0))
        body += b"".join(_text(text) for text in (self.client_id, *account))
        self.sock.sendall(bytes((CONNECT,)) + _remaining(len(body)) + body)
        answer = self.sock.recv(4)
        if answer[:1] != bytes((CONNACK,)) or answer[3:] != b"\0":
            raise ConnectionRefusedError(f"the broker refused: {answer.hex()}")

    def encode(self, topic: str, payloads: Sequence[bytes], qos: int = 1) -> bytes:
        """Encode messages as consecutive packets; they must be sent in this order."""
        head = _text(topic)
        kind = bytes((PUBLISH | (QOS_1 if qos else 0),))
        parts: list[bytes] = []
        for payload in payloads:
            mid = struct.pack(">H", self._encoded % MID_MAX + 1) if qos else b""
            self._encoded += 1
            size = _remaining(len(head) + len(mid) + len(payload))
            parts += (kind, size, head, mid, payload)
        return b"".join(parts)

    def send(self, packets: bytes, count: int, qos: int = 1) -> None:
        """Send `count` encoded packets as soon as the window allows; raises OSError."""
        while qos and self.sent - self.acked + count > max(self.window, count):
            if not self.collect():
                raise TimeoutError("the broker acknowledges nothing")
        self.sent += count
        self.sock.settimeout(ANSWER_S)
        self.sock.sendall(packets)

    def publish(self, topic: str, payloads: Sequence[bytes], qos: int = 1) -> None:
        """Encode and send messages; raises OSError."""
        self.send(self.encode(topic, payloads, qos), len(payloads), qos)

    def collect(self, timeout: float = ANSWER_S) -> int:
        """Read PUBACKs for at most `timeout` [s]; return their number, 0 after a time-out."""
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(1 << 16)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return 0
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        data = self._partial + data
        whole = len(data) // 4 * 4
        self._partial = data[whole:]
        self.acked += whole // 4
        return whole // 4

    def drain(self, timeout: float = 60.0, qos: int = 1) -> None:
        """Wait until every message is acknowledged, or at QoS 0 read, for at most `timeout` [s]."""
        end = time.monotonic() + timeout
        if not qos:
            self.sock.settimeout(timeout)
            self.sock.sendall(PINGREQ)
            self.sock.recv(2)
        while qos and self.acked < self.sent and time.monotonic() < end:
            self.collect(0.5)


@dataclass(frozen=True, slots=True)
class LoadTest:
    """A load test: `tags` values at `rate_hz`, `batch` of them per message."""

    tags: int
    rate_hz: float
    batch: int
    qos: int
    seed: int = 1

    @property
    def names(self) -> list[str]:
        """The names of the tags of `park_files`."""
        return [f"FI-{i:06d}" for i in range(self.tags)]


@dataclass(slots=True)
class LoadResult:
    """The counts of a load test; at QoS 0 `acked` has the messages that the broker has read."""

    sent: int = 0
    acked: int = 0
    samples: int = 0
    seconds: float = 0.0


def park_files(tags: int) -> dict[str, str]:
    """Return the model of a number of tags, as texts of files by name."""
    rows = [
        f"{name},load/works,mass_flow,t/h,gauge,0,1000,1 %,\n"
        for name in LoadTest(tags, 1, 1, 1).names
    ]
    return {"park.toml": PARK_TOML, "tags.csv": TAGS_HEAD + "".join(rows)}


def values(load: LoadTest, time_s: float) -> F64:
    """Return the value of each tag, (tags,) [t/h]: a slow wave with its own mean and phase."""
    tag = np.arange(load.tags)
    wave = np.sin(2 * np.pi * (time_s / 600 + (tag + load.seed) / 97))
    return np.asarray(np.round(100 + tag % 500 + 10 * wave, 2))


def payloads(load: LoadTest, names: Sequence[str], time_ms: int) -> Iterator[bytes]:
    """Yield the payloads of one time."""
    column = values(load, time_ms / 1000).tolist()
    for start in range(0, load.tags, load.batch):
        part = slice(start, start + load.batch)
        scan = dict(zip(names[part], column[part], strict=True))
        yield native.encode(time_ms, scan, simulated=True)


def run(
    broker: dict[str, Any],
    load: LoadTest,
    start_ms: int,
    duration_s: float | None,
    result: LoadResult,
    report: Callable[[str], None],
) -> None:
    """Publish until the duration is over, and count into `result`; raises OSError.

    Below the rate the publisher lags behind and reports the delay; it omits no scan.
    """
    publisher, names = Publisher(**broker), load.names
    began = reported = time.monotonic()
    before, turn = 0, 0
    try:
        while True:
            spent_s = time.monotonic() - began
            if duration_s is not None and max(turn / load.rate_hz, spent_s) >= duration_s:
                break
            wait_s = turn / load.rate_hz - spent_s
            if wait_s > 0:
                time.sleep(wait_s)
            time_ms = start_ms + round(turn * 1000 / load.rate_hz)
            messages = payloads(load, names, time_ms)
            while block := list(islice(messages, BLOCK)):
                publisher.publish(TOPIC, block, load.qos)
            turn += 1
            if load.qos:
                publisher.collect(0)
            result.sent, result.samples = publisher.sent, turn * load.tags
            now = time.monotonic()
            if now - reported >= SHOW_S:
                counted = publisher.acked if load.qos else publisher.sent
                per_s = (counted - before) / (now - reported)
                report(
                    f"{per_s * result.samples / publisher.sent:,.0f} samples/s in {per_s:,.0f}"
                    f" messages/s, {publisher.sent - counted} in flight,"
                    f" {max(-wait_s, 0):.1f} s behind"
                )
                reported, before = now, counted
        publisher.drain(qos=load.qos)
    finally:
        result.acked = publisher.acked if load.qos else publisher.sent
        result.seconds = time.monotonic() - began
        publisher.sock.close()
