"""One edge node, or a few, and a hand on the wire.

PYTEST_DONT_REWRITE: tests import it by name.
"""

import gzip
import zlib

import pytest

from ingest.routing.sparkplug_session import SparkplugSessions
from ingest.wire import WireError, sparkplug
from ingest.wire.sparkplug import DataType, Metric
from twin import quality as q
from twin.model.gateways import GatewaySpec

T = 1_795_332_864_000
S = 1_000_000
BORN = [
    Metric("Area/FT-1", 1.5, DataType.DOUBLE, alias=1),
    Metric("LT-1", -12, DataType.INT32, alias=2),
    Metric("Node Info/Maker", b"x", DataType.STRING, alias=3),
]


def dbirth(time_ms, metrics, seq):
    """Return the birth of a device."""
    timed = [m if m.time_ms is not None else m._replace(time_ms=time_ms) for m in metrics]
    return sparkplug.encode(sparkplug.Payload(timed, time_ms, seq))


def ddeath(time_ms, seq):
    """Return the death of a device."""
    return sparkplug.encode(sparkplug.Payload([], time_ms, seq))


def compressed(payload, algorithm="GZIP", body=None, **head):
    """Return a payload as Eclipse Tahu packs it: in the body of another one."""
    pack = {"GZIP": gzip.compress, "DEFLATE": zlib.compress}.get((algorithm or "DEFLATE").upper())
    outer = sparkplug._Message(uuid=sparkplug.COMPRESSED, **head)
    outer.body = pack(payload) if body is None else body
    if algorithm:
        outer.metrics.add(name=b"algorithm", datatype=12, string_value=algorithm.encode())
    return outer.SerializeToString()


def row(node="N", device=""):
    return GatewaySpec("g", "s", "sparkplug", group="G", node=node, device=device)


def at_us(second):
    return T * 1000 + round(second * S)


class Host:
    """SparkplugSessions with one hand on the wire: `second` counts from T."""

    def __init__(self, *rows, **settings):
        self.sessions = SparkplugSessions(rows or (row(),), **settings)

    def hear(self, kind, payload, second=0.0, node="N", device=None):
        topic = ["spBv1.0", "G", kind, node, *([device] if device else [])]
        return self.sessions.decode(topic, payload, at_us(second))

    def born(self, second=0.0, seq=0, bd_seq=7, node="N", metrics=BORN):
        return self.hear("NBIRTH", sparkplug.nbirth(T + round(second * 1000), metrics, bd_seq, seq),
                         second, node)  # fmt: skip

    def said(self, seq, second=0.0, value=2.5, **more):
        return self.hear(
            "NDATA", sparkplug.data(T + round(second * 1000), [Metric("", value, 10, **more)], seq),
            second,
        )  # fmt: skip

    def asked(self, second=0.0):
        return [topic for topic, _ in self.sessions.requests(at_us(second))]


def refusal(host, *args, **more):
    with pytest.raises(WireError) as caught:
        host.hear(*args, **more)
    return caught.value.reason


def rows(decoded):
    """Return (name, ms after T, value, quality), in order."""
    times = [time_us for count, time_us in decoded.runs for _ in range(count)]
    assert len(times) == len(decoded.names) == len(decoded.values)
    return [
        (name, round(time_us / 1000) - T, value, decoded.quality.get(i, q.GOOD))
        for i, (name, value, time_us) in enumerate(
            zip(decoded.names, decoded.values, times, strict=True)
        )
    ]
