"""Encoding of scans as payloads of each format, by the codecs of ingest."""

from __future__ import annotations

import math
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from ingest.wire import hj212, native, senml, sparkplug
from ingest.wire.sparkplug import DataType, Metric
from simulators.gateways.delivery import BLOCK, clock_times
from simulators.gateways.gateways import HOUR
from twin.arrays import F64, HOUR_US, I64
from twin.series.windows import local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from simulators.gateways.delivery import Transmission
    from simulators.gateways.gateways import SimulatedGateway

# HJ 212-2017 §6.3.2: the data segment of a packet has at most 1,024 characters.
PART_CHARACTERS = 900
ST, CN_REAL_TIME, PASSWORD = "31", "2011", "123456"
EDITION_2017, WANTS_ANSWER, IN_PARTS = 4, 1, 2
SEQ = 256

VALUES_KEPT = 2_000_000


def encode(gateway: SimulatedGateway, time_us: I64, values: F64) -> bytes:
    """Encode scans at (n,) int64 [µs], `values` (n, t), in any format but Sparkplug."""
    names = gateway.names
    readings = values[:, gateway.columns]
    rows = zip(time_us.tolist(), readings.tolist(), strict=True)
    scans = [(at_us, dict(zip(names, row, strict=True))) for at_us, row in rows]
    if np.isnan(readings).any():
        # A missing reading is left out: not all formats have a value for it.
        scans = [(at, {n: v for n, v in row.items() if not math.isnan(v)}) for at, row in scans]
    if gateway.format == "native":
        return native.encode_scans([(at // 1000, row) for at, row in scans], simulated=True)
    if gateway.format.startswith("senml"):
        base = f"urn:dev:ops:{gateway.owner}-{gateway.id}:"
        return senml.encode_scans(scans, base_name=base, cbor=gateway.format == "senml-cbor")
    return b"".join(hj212.encode(packet) for scan in scans for packet in _packets(gateway, *scan))


def encode_hour(gateway: SimulatedGateway, start_us: int, values: F64) -> bytes:
    """Encode the hourly means of a data logger from the readings of the hour, (n, t)."""
    means = np.ma.masked_invalid(values).mean(axis=0).filled(np.nan).tolist()
    hourly = {name.removeprefix(f"{HOUR}."): means[i] for name, i in gateway.hours.items()}
    known = {name: mean for name, mean in hourly.items() if not math.isnan(mean)}
    return b"".join(map(hj212.encode, _packets(gateway, start_us, known, HOUR)))


def _packets(
    gateway: SimulatedGateway, time_us: int, values: dict[str, float], command: str = CN_REAL_TIME
) -> Iterator[hj212.Packet]:
    """Yield the packets of one scan, in as many parts as the standard demands."""
    # An hour is reported just before the scan that ends it.
    request_us = time_us + (command == HOUR) * (HOUR_US - 1000)
    cells = [f"DataTime={_local(time_us, gateway.zone)}"]
    # The repr of a float is read back as the same float.
    cells += [f"{n}={v!r},{n.rpartition('-')[0]}-Flag=N" for n, v in values.items()]
    ends = np.cumsum([len(cell) + 1 for cell in cells]) // PART_CHARACTERS
    cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(cells)]
    flag = EDITION_2017
    flag |= WANTS_ANSWER * (gateway.format == "hj212-tcp") | IN_PARTS * (len(cuts) > 2)
    for number, (start, stop) in enumerate(pairwise(cuts), start=1):
        yield hj212.Packet(
            # A logger sends one request at a time, so the time identifies it.
            qn=_local(request_us, gateway.zone, milliseconds=True),
            st=ST,
            cn=command,
            pw=PASSWORD,
            mn=gateway.row["mn"],
            flag=flag,
            cp=";".join(cells[start:stop]),
            pnum=len(cuts) - 1,
            pno=number,
        )


def _local(time_us: int, zone: ZoneInfo, *, milliseconds: bool = False) -> str:
    """Return a time on a logger's clock, with milliseconds if there are any or if demanded."""
    moment = local(time_us, zone)
    thousandths = moment.microsecond // 1000
    return f"{moment:%Y%m%d%H%M%S}" + (f"{thousandths:03d}" if thousandths or milliseconds else "")


class EdgeNode:
    """The session of a Sparkplug edge node: its sequence numbers."""

    def __init__(self, gateway: SimulatedGateway) -> None:
        self.is_born = False
        self._gateway = gateway
        self._bd_seq = 0
        self._seq = 0

    def topic(self, kind: str) -> str:
        """Return the topic of a type of message."""
        return self._gateway.topic.format(kind)

    def begin(self) -> bytes:
        """Begin a session with the broker; return the payload of its will, the NDEATH."""
        self.is_born = False
        self._bd_seq = (self._bd_seq + 1) % SEQ
        return self.death()

    def death(self) -> bytes:
        """Return the payload of the NDEATH of this session."""
        return sparkplug.ndeath(self._bd_seq)

    def birth(self, time_us: I64, values: F64) -> bytes:
        """Return the payload of the NBIRTH: names, aliases and values of one scan, (1, t)."""
        self.is_born, self._seq = True, 0
        metrics = list(self._metrics(time_us, values, birth=True))
        return sparkplug.nbirth(int(time_us[0]) // 1000, metrics, self._bd_seq)

    def data(self, time_us: I64, values: F64, at_us: int, *, historical: bool) -> bytes:
        """Return the payload of the NDATA of scans, (n, t), sent at a time [µs]."""
        self._seq = (self._seq + 1) % SEQ
        metrics = list(self._metrics(time_us, values, historical=historical))
        return sparkplug.data(at_us // 1000, metrics, self._seq)

    def _metrics(
        self, time_us: I64, values: F64, *, birth: bool = False, historical: bool = False
    ) -> Iterator[Metric]:
        """Yield the known values; a birth has all names."""
        rows = values[:, self._gateway.columns].tolist()
        for at_us, row in zip(time_us.tolist(), rows, strict=True):
            for alias, (name, value) in enumerate(zip(self._gateway.names, row, strict=True)):
                null = math.isnan(value)
                if birth or not null:
                    yield Metric(
                        name, value, DataType.DOUBLE, alias, at_us // 1000,
                        null=null, historical=historical,
                    )  # fmt: skip


class ReadingCache:
    """A cache of readings, as several gateways need the same times."""

    def __init__(self, observe: Callable[[I64], F64]) -> None:
        self._observe = observe
        self._rows: dict[int, F64] = {}

    def __call__(self, time_us: I64) -> F64:
        """Return the readings at (n,) int64 [µs]: (n, t) in each tag's uom."""
        wanted = time_us.tolist()
        missing = [at_us for at_us in wanted if at_us not in self._rows]
        if missing:
            self._rows.update(zip(missing, self._observe(np.array(missing)), strict=True))
        readings = np.stack([self._rows[at_us] for at_us in wanted])
        # The oldest go first; a dictionary keeps the order in which they came.
        excess = len(self._rows) - max(VALUES_KEPT // readings.shape[1], BLOCK)
        for at_us in list(islice(self._rows, max(excess, 0))):
            del self._rows[at_us]
        return readings


class MessageWriter:
    """Writes the messages of one gateway; only Sparkplug has a session."""

    def __init__(
        self, gateway: SimulatedGateway, origin_us: int, observe: Callable[[I64], F64]
    ) -> None:
        self.gateway = gateway
        self.edge = EdgeNode(gateway) if gateway.format == "sparkplug" else None
        self._origin_us = origin_us
        self._observe = observe

    def write(self, transmission: Transmission) -> Iterator[tuple[str, bytes]]:
        """Yield a transmission as (topic, payload), preceded by the birth of an edge node.

        For a loss of the connection it is the death that the broker publishes.
        """
        if not transmission.scans:
            if self.edge is not None and self.edge.is_born:
                yield self.edge.topic("NDEATH"), self.edge.death()
                self.edge.begin()
            return
        if self.edge is not None and not self.edge.is_born:
            yield self.birth(transmission.due_us, transmission.step_us)
        values = self._observe(transmission.times_us)
        at_us = clock_times(self.gateway, self._origin_us, transmission.times_us)
        if self.edge is None:
            yield self.gateway.topic, encode(self.gateway, at_us, values)
            if self.gateway.hours:
                yield from self._hours(transmission)
        else:
            historical = transmission.historical
            payload = self.edge.data(at_us, values, transmission.due_us, historical=historical)
            yield self.edge.topic("NDATA"), payload

    def _hours(self, transmission: Transmission) -> Iterator[tuple[str, bytes]]:
        """Yield the messages about hours that end within some scans."""
        step_us = transmission.step_us
        hour = transmission.times_us // HOUR_US
        ends = hour[hour > (transmission.times_us - step_us) // HOUR_US] * HOUR_US
        for end_us in ends.tolist():
            start_us = end_us - HOUR_US
            readings = self._observe(np.arange(-(-start_us // step_us) * step_us, end_us, step_us))
            at_us = clock_times(self.gateway, self._origin_us, np.array([start_us]))
            yield self.gateway.topic, encode_hour(self.gateway, int(at_us[0]), readings)

    def birth(self, now_us: int, step_us: int) -> tuple[str, bytes]:
        """Return topic and payload of the birth of an edge node, with the newest scan."""
        assert self.edge is not None
        scan = np.array([now_us // step_us * step_us])
        at_us = clock_times(self.gateway, self._origin_us, scan)
        return self.edge.topic("NBIRTH"), self.edge.birth(at_us, self._observe(scan))
