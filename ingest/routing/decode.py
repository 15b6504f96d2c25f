"""From messages to samples: name to tag, uom to SI, first quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ingest.routing.topics import NO_ROUTE
from ingest.wire import VALUE_MAX, Decoded, WireError
from twin import quality as q
from twin.arrays import I64, INTP, NEVER
from twin.errors import UomError
from twin.series.samples import Samples, concatenate, no_samples
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ingest.routing.topics import Message, Names, Route, TopicTable


class Reject(NamedTuple):
    """A payload, or a value of one, that was refused."""

    reason: str
    detail: str
    message: Message
    gateway: str = ""  # empty: of nobody in particular


class Quarantined(NamedTuple):
    """A sample that may not be stored: unknown tag, from the future, or in another uom."""

    enterprise: str
    tag: str
    reason: str
    topic: str
    time_us: int
    value: float
    quality: int = q.GOOD
    uom: str = ""  # empty: the one the tag will have
    received_us: int = 0


@dataclass(slots=True)
class Intake:
    """What a cycle's messages came to."""

    samples: Samples
    rejects: list[Reject] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    # Samples that do not become the newest of their tag, whatever their time.
    historical: Samples = field(default_factory=no_samples)
    messages: Sequence[Message] = ()
    # Of each message: its gateway (empty: nobody in particular) and the newest time in it.
    senders: list[str] = field(default_factory=list)
    newest_us: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    origin: I64 = field(default_factory=lambda: np.zeros(0, np.int64))  # message of each sample
    dropped: list[str] = field(default_factory=list)  # gateway of each message not taken


@dataclass(slots=True)
class _Columns:
    """Columns that grow message by message; a run is consecutive values of one time."""

    tag: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    base: list[int] = field(default_factory=list)  # quality of a run
    origin: list[int] = field(default_factory=list)  # message of a run
    names: list[Collection[str]] = field(default_factory=list)  # names of a run
    quality: dict[int, int] = field(default_factory=dict)
    uom: dict[int, str] = field(default_factory=dict)
    historical: list[int] = field(default_factory=list)


def decode(
    topics: TopicTable,
    messages: Sequence[Message],
    *,
    payload_bytes: int,
    future_us: int,
    skewed: Collection[str] = (),
    spent: Collection[str] = (),
) -> Intake:
    """Return the samples of some messages, in order of arrival, and what was refused.

    What gateways with a `skewed` clock send is uncertain; those that have `spent` their share send
    nothing at QoS 0.
    """
    columns = _Columns()
    rejects: list[Reject] = []
    routes = [NO_ROUTE] * len(messages)
    dropped: list[str] = []
    for number, message in enumerate(messages):
        try:
            route = routes[number] = topics.route(message.topic)
            if spent and message.qos == 0 and route.gateway in spent:
                dropped.append(route.gateway)
                continue
            size = len(message.payload) + message.cut
            if size > payload_bytes:
                raise WireError("too_large", f"{size} bytes, at most {payload_bytes}")  # noqa: TRY301
            scan = route.names.scans.read(message.payload) if route.native else None
            if scan is not None:
                columns.tag.extend(scan.tags)
                columns.value.extend(scan.values)
                columns.count.append(len(scan.tags))
                columns.time.append(scan.ts * 1000)
                simulated = scan.simulated or route.simulated
                columns.base.append(q.SIMULATED if simulated else q.GOOD)
                columns.origin.append(number)
                columns.names.append(scan.names)
                continue
            decoded = route.codec(message.payload, message.received_us)
            decoded.simulated |= route.simulated
        except WireError as error:
            sender = routes[number].gateway
            rejects.append(Reject(error.reason, error.detail, message, sender))
            continue
        rejects.extend(Reject(*refused, message, route.gateway) for refused in decoded.refused)
        _append(columns, decoded, route.names, number)
    intake = _sift(topics, columns, messages, routes, rejects, future_us, skewed)
    intake.dropped = dropped
    return intake


def join(parts: Sequence[Intake]) -> Intake:
    """Return the intakes of messages that came one after the other as one."""
    parts = [part for part in parts if part.messages]
    if len(parts) == 1:
        return parts[0]
    first = np.cumsum([0, *(len(part.messages) for part in parts)])
    nothing = np.zeros(0, np.int64)
    origin = [part.origin + at for part, at in zip(parts, first, strict=False)]
    return Intake(
        concatenate(no_samples(), *(part.samples for part in parts)),
        [reject for part in parts for reject in part.rejects],
        [sample for part in parts for sample in part.quarantined],
        historical=concatenate(no_samples(), *(part.historical for part in parts)),
        messages=[message for part in parts for message in part.messages],
        senders=[sender for part in parts for sender in part.senders],
        newest_us=np.concatenate([nothing, *(part.newest_us for part in parts)]),
        origin=np.concatenate([nothing, *origin]),
        dropped=[sender for part in parts for sender in part.dropped],
    )


def _append(columns: _Columns, decoded: Decoded, names: Names, number: int) -> None:
    """Add a decoded payload to the columns."""
    start = len(columns.tag)
    columns.tag.extend(names[name] for name in decoded.names)
    columns.value.extend(decoded.values)
    columns.quality.update({start + at: code for at, code in decoded.quality.items()})
    columns.uom.update({start + at: uom for at, uom in decoded.uom.items()})
    columns.historical.extend(start + at for at in decoded.historical)
    base = q.SIMULATED if decoded.simulated else q.GOOD
    at = 0
    for count, time_us in decoded.runs:
        columns.count.append(count)
        columns.time.append(time_us)
        columns.base.append(base)
        columns.origin.append(number)
        columns.names.append(decoded.names[at : at + count])
        at += count


def _sift(
    topics: TopicTable,
    columns: _Columns,
    messages: Sequence[Message],
    routes: Sequence[Route],
    rejects: list[Reject],
    future_us: int,
    skewed: Collection[str],
) -> Intake:
    """Return the columns as SI samples, without those that must not be stored."""
    tag = np.array(columns.tag, dtype=np.int64)
    value = np.array(columns.value, dtype=np.float64)
    count = np.array(columns.count, dtype=np.int64)
    run = np.repeat(np.arange(len(count)), count)
    time_us = np.array(columns.time, dtype=np.int64)[run]
    origin = np.array(columns.origin, dtype=np.int64)
    got = np.array([message.received_us for message in messages], dtype=np.int64)
    source = origin[run]
    received_us = got[source]
    quality = np.array(columns.base, dtype=np.uint8)[run]
    for at, code in columns.quality.items():
        quality[at] |= code
    known = tag >= 0
    at_tag = np.where(known, tag, 0)
    scale, shift = topics.scale[at_tag], topics.shift[at_tag]
    keep = known & (time_us <= received_us + future_us)

    def reject(at: int, reason: str, detail: str) -> None:
        number = int(source[at])
        rejects.append(Reject(reason, detail, messages[number], routes[number].gateway))

    for at, uom in columns.uom.items():
        try:
            scale[at], shift[at] = compile_uom(uom, topics.quantity[at_tag[at]])
        except UomError as error:
            if known[at]:
                keep[at] = False
                reject(at, "wrong_uom", str(error))
    infinite = np.flatnonzero((np.abs(value) > VALUE_MAX) & keep)
    keep[infinite] = False
    for at in infinite.tolist():
        reject(at, "not_finite", "a value is too large to be one")
    si = value * scale + shift
    quality = q.within(si, topics.low[at_tag], topics.high[at_tag], quality)
    senders = [route.gateway for route in routes]
    if skewed:
        wrong = np.array([sender in skewed for sender in senders], dtype=bool)[source]
        wrong &= quality < q.UNCERTAIN
        quality[wrong] = quality[wrong] & q.SIMULATED | q.UNCERTAIN | q.CLOCK_SKEW
    newest_us = np.full(len(messages), NEVER)
    np.maximum.at(newest_us, origin, np.array(columns.time, dtype=np.int64))
    kept_out = np.flatnonzero(~known | (time_us > received_us + future_us))
    quarantined = _kept_out(topics, columns, messages, routes, kept_out) if len(kept_out) else []
    samples = Samples(tag, time_us, si, quality, received_us)
    past = np.zeros(len(tag), bool)
    past[columns.historical] = True
    stay = keep & ~past
    return Intake(
        samples if stay.all() else samples.take(stay),
        rejects,
        quarantined,
        historical=samples.take(keep & past) if columns.historical else no_samples(),
        messages=messages,
        senders=senders,
        newest_us=newest_us,
        origin=source[stay],
    )


def _kept_out(
    topics: TopicTable,
    columns: _Columns,
    messages: Sequence[Message],
    routes: Sequence[Route],
    rows: INTP,
) -> list[Quarantined]:
    """Return what some values are in quarantine: those of no tag, and those of the future."""
    end = np.cumsum(columns.count)
    quarantined = []
    for at, run in zip(rows.tolist(), np.searchsorted(end, rows, "right").tolist(), strict=True):
        number = columns.origin[run]
        message = messages[number]
        nth = at - int(end[run]) + columns.count[run]
        tag = columns.tag[at]
        quarantined.append(
            Quarantined(
                routes[number].owner,
                next(islice(columns.names[run], nth, None)),
                "future" if tag >= 0 else "unknown_tag",
                message.topic,
                columns.time[run],
                float(columns.value[at]),
                columns.base[run] | columns.quality.get(at, q.GOOD),
                # The model may have another one for the tag by the time it is released.
                columns.uom.get(at, topics.uom[tag] if tag >= 0 else ""),
                message.received_us,
            )
        )
    return quarantined
