"""What gateways write: scans as payloads of each format, made by the codecs of ingest."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from ingest.wire import hj212, native, senml, sparkplug
from ingest.wire.sparkplug import DataType, Metric
from simulators.gateways.delivery import FOREVER_US, Outbox, clock_times
from simulators.gateways.gateways import HOUR
from twin.arrays import F64, HOUR_US, I64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from zoneinfo import ZoneInfo

    from simulators.gateways.delivery import Transmission
    from simulators.gateways.gateways import SimulatedGateway

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# HJ 212-2017 §6.3.2: the data segment of a packet has at most 1,024 characters.
PART_CHARACTERS = 900
ST, CN_REAL_TIME, PASSWORD = "31", "2011", "123456"
EDITION_2017, WANTS_ANSWER, IN_PARTS = 4, 1, 2
SEQ = 256
BLOCK = 240
VALUES_KEPT = 2_000_000


def encode(gateway: SimulatedGateway, time_us: I64, values: F64) -> bytes:
    """Return the payload of scans in any format but Sparkplug's; `values` are of all tags."""
    names = gateway.names
    shown = values[:, gateway.columns]
    rows = zip(time_us.tolist(), shown.tolist(), strict=True)
    scans = [(at_us, dict(zip(names, row, strict=True))) for at_us, row in rows]
    if np.isnan(shown).any():
        # An instrument that shows nothing is left out: not all formats could say so.
        scans = [(at, {n: v for n, v in row.items() if not math.isnan(v)}) for at, row in scans]
    if gateway.format == "native":
        return native.encode_scans([(at // 1000, row) for at, row in scans], simulated=True)
    if gateway.format.startswith("senml"):
        base = f"urn:dev:ops:{gateway.owner}-{gateway.id}:"
        return senml.encode_scans(scans, base_name=base, cbor=gateway.format == "senml-cbor")
    return b"".join(hj212.encode(packet) for scan in scans for packet in _packets(gateway, *scan))


def encode_hour(gateway: SimulatedGateway, start_us: int, values: F64) -> bytes:
    """Return what a data logger says of an hour; `values` (n, t) are what was shown in it."""
    means = np.ma.masked_invalid(values).mean(axis=0).filled(np.nan).tolist()
    said = {name.removeprefix(f"{HOUR}."): means[i] for name, i in gateway.hours.items()}
    known = {name: mean for name, mean in said.items() if not math.isnan(mean)}
    return b"".join(map(hj212.encode, _packets(gateway, start_us, known, HOUR)))


def _packets(
    gateway: SimulatedGateway, time_us: int, values: dict[str, float], command: str = CN_REAL_TIME
) -> Iterator[hj212.Packet]:
    """Yield the packets of one scan: one, or as many parts as the standard asks for."""
    # An hour is told just before the scan that ends it.
    asked_us = time_us + (command == HOUR) * (HOUR_US - 1000)
    cells = [f"DataTime={_local(time_us, gateway.zone)}"]
    # What a float prints is what it is read as.
    cells += [f"{n}={v!r},{n.rpartition('-')[0]}-Flag=N" for n, v in values.items()]
    ends = np.cumsum([len(cell) + 1 for cell in cells]) // PART_CHARACTERS
    cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(cells)]
    flag = EDITION_2017
    flag |= WANTS_ANSWER * (gateway.format == "hj212-tcp") | IN_PARTS * (len(cuts) > 2)
    for number, (start, stop) in enumerate(pairwise(cuts), start=1):
        yield hj212.Packet(
            # A logger asks once at a time, so the time tells its requests apart.
            qn=_local(asked_us, gateway.zone, milliseconds=True),
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
    """Return a time on a logger's clock; milliseconds only where there are some, unless asked."""
    moment = (EPOCH + timedelta(microseconds=time_us)).astimezone(zone)
    rest = moment.microsecond // 1000
    return f"{moment:%Y%m%d%H%M%S}" + (f"{rest:03d}" if rest or milliseconds else "")


class EdgeNode:
    """The sending side of a Sparkplug edge node: the numbers of its session."""

    def __init__(self, gateway: SimulatedGateway) -> None:
        self.born = False
        self._gateway = gateway
        self._bd_seq = 0
        self._seq = 0

    def topic(self, kind: str) -> str:
        """Return the topic of a type of message."""
        return self._gateway.topic.format(kind)

    def begin(self) -> bytes:
        """Begin a session with the broker; return its will, the NDEATH."""
        self.born = False
        self._bd_seq = (self._bd_seq + 1) % SEQ
        return self.death()

    def death(self) -> bytes:
        """Return the NDEATH of this session."""
        return sparkplug.ndeath(self._bd_seq)

    def birth(self, time_us: I64, values: F64) -> bytes:
        """Return the NBIRTH, with the names, aliases and values of one scan."""
        self.born, self._seq = True, 0
        time_ms = int(time_us[0]) // 1000
        return sparkplug.nbirth(
            time_ms, list(self._metrics(time_us, values, birth=True)), self._bd_seq
        )

    def data(self, time_us: I64, values: F64, at_us: int, *, historical: bool) -> bytes:
        """Return the NDATA of scans, sent at a time."""
        self._seq = (self._seq + 1) % SEQ
        metrics = list(self._metrics(time_us, values, historical=historical))
        return sparkplug.data(at_us // 1000, metrics, self._seq)

    def _metrics(
        self, time_us: I64, values: F64, *, birth: bool = False, historical: bool = False
    ) -> Iterator[Metric]:
        """Yield the values there are; a birth names them all."""
        rows = values[:, self._gateway.columns].tolist()
        for at_us, row in zip(time_us.tolist(), rows, strict=True):
            for alias, (name, value) in enumerate(zip(self._gateway.names, row, strict=True)):
                null = math.isnan(value)
                if birth or not null:
                    yield Metric(
                        name,
                        value,
                        DataType.DOUBLE,
                        alias,
                        at_us // 1000,
                        null=null,
                        historical=historical,
                    )


class ReadingCache:
    """What the instruments show; kept for a while, as several gateways ask for the same times."""

    def __init__(self, observe: Callable[[I64], F64]) -> None:
        self._observe = observe
        self._rows: dict[int, F64] = {}

    def __call__(self, time_us: I64) -> F64:
        """Return the values at (n,) int64 [µs]: (n, t) in each tag's uom."""
        wanted = time_us.tolist()
        missing = [at_us for at_us in wanted if at_us not in self._rows]
        if missing:
            self._rows.update(zip(missing, self._observe(np.array(missing)), strict=True))
        shown = np.stack([self._rows[at_us] for at_us in wanted])
        # The oldest go first; a dictionary keeps the order in which they came.
        excess = len(self._rows) - max(VALUES_KEPT // shown.shape[1], BLOCK)
        for at_us in list(islice(self._rows, max(excess, 0))):
            del self._rows[at_us]
        return shown


class MessageWriter:
    """Makes the messages of one gateway; of its formats only Sparkplug remembers anything."""

    def __init__(
        self, gateway: SimulatedGateway, origin_us: int, observe: Callable[[I64], F64]
    ) -> None:
        self.gateway = gateway
        self.edge = EdgeNode(gateway) if gateway.format == "sparkplug" else None
        self._origin_us = origin_us
        self._observe = observe

    def write(self, sending: Transmission) -> Iterator[tuple[str, bytes]]:
        """Yield what goes out as (topic, payload): an edge node says first that it is born.

        When the connection breaks, that is what the broker says for it.
        """
        if not sending.scans:
            if self.edge is not None and self.edge.born:
                yield self.edge.topic("NDEATH"), self.edge.death()
                self.edge.begin()
            return
        if self.edge is not None and not self.edge.born:
            yield self.birth(sending.due_us, sending.step_us)
        values = self._observe(sending.times_us)
        at_us = clock_times(self.gateway, self._origin_us, sending.times_us)
        if self.edge is None:
            yield self.gateway.topic, encode(self.gateway, at_us, values)
            if self.gateway.hours:
                yield from self._hours(sending)
        else:
            historical = sending.historical
            payload = self.edge.data(at_us, values, sending.due_us, historical=historical)
            yield self.edge.topic("NDATA"), payload

    def _hours(self, sending: Transmission) -> Iterator[tuple[str, bytes]]:
        """Yield what is said of the hours that end with some scans."""
        step_us = sending.step_us
        hour = sending.times_us // HOUR_US
        for end_us in (hour[hour > (sending.times_us - step_us) // HOUR_US] * HOUR_US).tolist():
            start_us = end_us - HOUR_US
            shown = self._observe(np.arange(-(-start_us // step_us) * step_us, end_us, step_us))
            at_us = clock_times(self.gateway, self._origin_us, np.array([start_us]))
            yield self.gateway.topic, encode_hour(self.gateway, int(at_us[0]), shown)

    def birth(self, now_us: int, step_us: int) -> tuple[str, bytes]:
        """Return the birth of an edge node, with the newest scan there is."""
        assert self.edge is not None
        scan = np.array([now_us // step_us * step_us])
        at_us = clock_times(self.gateway, self._origin_us, scan)
        return self.edge.topic("NBIRTH"), self.edge.birth(at_us, self._observe(scan))


def play(
    gateways: Iterable[SimulatedGateway],
    observe: Callable[[I64], F64],
    time_us: I64,
    step_us: int,
    seed: int,
    origin_us: int | None = None,
) -> Iterator[tuple[int, str, bytes]]:
    """Yield what some scans make the gateways send: time [µs], topic, payload, in order of time.

    It is what a run publishes, without a broker; at the end goes out whatever still waits.
    """
    shown = ReadingCache(observe)
    origin_us = int(time_us[0]) if origin_us is None else origin_us
    writers = [MessageWriter(gateway, origin_us, shown) for gateway in gateways]
    boxes = [Outbox(writer.gateway, seed, origin_us) for writer in writers]

    def out(until_us: int) -> Iterator[tuple[int, str, bytes]]:
        due = [(sending, n) for n, box in enumerate(boxes) for sending in box.take(until_us)]
        for sending, n in sorted(due):
            yield from ((sending.due_us, *message) for message in writers[n].write(sending))

    for start in range(0, len(time_us), BLOCK):
        block = time_us[start : start + BLOCK]
        shown(block)
        for at in range(len(block)):
            for box in boxes:
                box.scan(block[at : at + 1], step_us)
            yield from out(int(block[at]))
    for box in boxes:
        box.close()
    yield from out(FOREVER_US)
