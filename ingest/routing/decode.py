"""From messages to samples: name to tag, uom to SI, first quality."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ingest.routing.topics import NO_ROUTE
from ingest.wire import VALUE_MAX, Decoded, WireError, is_about
from twin import quality as q
from twin.arrays import BOOL, DAY_US, F64, I64, NEVER
from twin.errors import UomError
from twin.series.samples import Samples, concatenate, no_samples
from twin.series.sentinels import without_sentinels
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ingest.routing.topics import Message, Route, TopicTable
    from ingest.settings import IngestSettings
    from ingest.wire.native import Reading

LOG = logging.getLogger("ingest.routing.decode")
# Reasons to refuse a message after its samples were read.
NOT_STORED = {"refused_by_store", "crashed"}
WRONG_UOMS_MAX = 100  # of one message


class Reject(NamedTuple):
    """A payload, or a value of one, that was refused."""

    reason: str
    detail: str
    message: Message
    gateway: str = ""  # empty: of nobody in particular


class Quarantined(NamedTuple):
    """A sample that may not be stored: of an unknown tag, from the future, from long ago."""

    enterprise: str
    tag: str
    reason: str
    topic: str
    time_us: int
    value: float
    quality: int = q.GOOD
    uom: str = ""  # empty: the one the tag will have
    received_us: int = 0
    message: Message | None = None  # None: no message brought it


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
    # Message of each sample, and of each historical one.
    origin: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    historical_origin: I64 = field(default_factory=lambda: np.zeros(0, np.int64))
    dropped: list[str] = field(default_factory=list)  # gateway of each message not taken

    @property
    def refused(self) -> dict[tuple[int, int], str]:
        """The first reasons of messages of which nothing is kept, by their link and mid."""
        if not self.rejects:
            return {}
        has_samples = np.zeros(len(self.messages), bool)
        has_samples[self.origin] = has_samples[self.historical_origin] = True
        kept = {id(self.messages[number]) for number in np.flatnonzero(has_samples).tolist()}
        kept |= {id(each.message) for each in self.quarantined}
        reasons: dict[tuple[int, int], str] = {}
        for reason, _, message, _ in self.rejects:
            if id(message) not in kept or reason in NOT_STORED:
                reasons.setdefault((message.link, message.mid), reason)
        return reasons


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
    refused: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a payload and how far from its arrival the time of a sample may be."""

    payload_bytes: int
    future_us: int
    past_us: int


def limits_of(settings: IngestSettings) -> Limits:
    """Return the limits of the settings."""
    future_us, past_us = settings.future_s * 1e6, settings.past_days * DAY_US
    return Limits(settings.payload_bytes, round(future_us), round(past_us))


def decode(
    topics: TopicTable,
    messages: Sequence[Message],
    limits: Limits,
    *,
    skewed: Collection[str] = (),
    spent: Collection[str] = (),
) -> Intake:
    """Return the samples of some messages, in order of arrival, and what was refused.

    What gateways with a `skewed` clock send is uncertain; those that have `spent` their share send
    nothing at QoS 0. A message that makes a codec fail is refused as `crashed`.
    """
    routes = [NO_ROUTE] * len(messages)
    contents: list[Reading | Decoded | Reject | None] = [None] * len(messages)
    dropped: list[str] = []
    for number, message in enumerate(messages):
        try:
            route = routes[number] = topics.route(message.topic)
            if spent and message.qos == 0 and route.gateway in spent:
                dropped.append(route.gateway)
                continue
            size = len(message.payload) + message.cut
            if size > limits.payload_bytes:
                raise WireError("too_large", f"{size} bytes, at most {limits.payload_bytes}")  # noqa: TRY301
            if route.native:
                contents[number] = route.names.scans.read(message.payload)
            if contents[number] is None:
                content = route.codec(message.payload, message.received_us)
                contents[number] = _dated(content, message) if message.retained else content
        except WireError as error:
            contents[number] = Reject(error.reason, error.detail, message, routes[number].gateway)
        except Exception as error:
            LOG.exception("a message of %s is refused", message.topic)
            contents[number] = crashed(error, message, routes[number].gateway)
    intake = _assemble(topics, messages, routes, contents, limits, skewed)
    intake.dropped = dropped
    return intake


def _dated(decoded: Decoded, message: Message) -> Decoded:
    """Return what a retained message said; raises WireError when it has the time of its arrival.

    The broker has kept it for any time: since when its value is true nobody knows.
    """
    if any(count and time_us == message.received_us for count, time_us in decoded.runs):
        raise WireError("no_time", "a retained message does not say when its value was true")
    return decoded


def crashed(error: Exception, message: Message, gateway: str) -> Reject:
    """Return the reject of a message that made a program of ours fail."""
    return Reject("crashed", f"{type(error).__name__}: {error}", message, gateway)


def _assemble(
    topics: TopicTable,
    messages: Sequence[Message],
    routes: Sequence[Route],
    contents: Sequence[Reading | Decoded | Reject | None],
    limits: Limits,
    skewed: Collection[str],
) -> Intake:
    """Return what codecs said as an intake; when that fails, of halves, down to one message."""
    try:
        columns = _Columns()
        for number, (route, each) in enumerate(zip(routes, contents, strict=True)):
            if isinstance(each, Decoded):
                columns.refused += [
                    Reject(*refused, messages[number], route.gateway) for refused in each.refused
                ]
                _append(columns, each, route, number)
            elif isinstance(each, Reject):
                columns.refused.append(each)
            elif each is not None:
                _append_scan(columns, each, route, number)
        return _sift(topics, columns, messages, routes, limits, skewed)
    except Exception as error:
        if len(messages) > 1:
            half = len(messages) // 2
            return join([
                _assemble(topics, messages[part], routes[part], contents[part], limits, skewed)
                for part in (slice(half), slice(half, None))
            ])  # fmt: skip
        if not contents or isinstance(contents[0], Reject):
            raise
        LOG.exception("a message of %s is refused", messages[0].topic)
        refused = [crashed(error, messages[0], routes[0].gateway)]
        return _assemble(topics, messages, routes, refused, limits, skewed)


def join(parts: Sequence[Intake]) -> Intake:
    """Return the intakes of messages that came one after the other as one."""
    parts = [part for part in parts if part.messages]
    if len(parts) == 1:
        return parts[0]
    first = np.cumsum([0, *(len(part.messages) for part in parts)])
    nothing = np.zeros(0, np.int64)
    origin = [part.origin + at for part, at in zip(parts, first, strict=False)]
    older = [part.historical_origin + at for part, at in zip(parts, first, strict=False)]
    return Intake(
        concatenate(no_samples(), *(part.samples for part in parts)),
        [reject for part in parts for reject in part.rejects],
        [sample for part in parts for sample in part.quarantined],
        historical=concatenate(no_samples(), *(part.historical for part in parts)),
        messages=[message for part in parts for message in part.messages],
        senders=[sender for part in parts for sender in part.senders],
        newest_us=np.concatenate([nothing, *(part.newest_us for part in parts)]),
        origin=np.concatenate([nothing, *origin]),
        historical_origin=np.concatenate([nothing, *older]),
        dropped=[sender for part in parts for sender in part.dropped],
    )


def _append_scan(columns: _Columns, scan: Reading, route: Route, number: int) -> None:
    """Add a plain scan to the columns."""
    columns.tag.extend(scan.tags)
    columns.value.extend(scan.values)
    columns.count.append(len(scan.tags))
    columns.time.append(scan.ts * 1000)
    columns.base.append(q.SIMULATED if scan.simulated or route.simulated else q.GOOD)
    columns.origin.append(number)
    columns.names.append(scan.names)


def _append(columns: _Columns, decoded: Decoded, route: Route, number: int) -> None:
    """Add a decoded payload to the columns."""
    start = len(columns.tag)
    columns.tag.extend(route.names[name] for name in decoded.names)
    columns.value.extend(decoded.values)
    columns.quality.update({start + at: code for at, code in decoded.quality.items()})
    columns.uom.update({start + at: uom for at, uom in decoded.uom.items()})
    columns.historical.extend(start + at for at in decoded.historical)
    base = q.SIMULATED if decoded.simulated or route.simulated else q.GOOD
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
    limits: Limits,
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
    future, past = time_us > received_us + limits.future_us, time_us < received_us - limits.past_us
    keep = known & ~future & ~past
    rejects = columns.refused

    def reject(number: int, reason: str, detail: str) -> None:
        rejects.append(Reject(reason, detail, messages[number], routes[number].gateway))

    for at, text in _rescale(topics, columns, source, scale, shift).items():
        keep[at] = False
        reject(int(source[at]), "wrong_uom", text)
    infinite = np.flatnonzero((np.abs(value) > VALUE_MAX) & keep)
    keep[infinite] = False
    for number in source[infinite].tolist():
        reject(number, "not_finite", "a value is too large to be one")
    si = value * scale + shift
    quality = q.within(si, topics.low[at_tag], topics.high[at_tag], quality)
    quality = without_sentinels(value, quality)
    senders = [route.gateway for route in routes]
    if skewed:
        wrong = np.array([sender in skewed for sender in senders], dtype=bool)[source]
        wrong &= quality < q.UNCERTAIN
        quality[wrong] = quality[wrong] & q.SIMULATED | q.UNCERTAIN | q.CLOCK_SKEW
    newest_us = np.full(len(messages), NEVER)
    np.maximum.at(newest_us, origin, np.array(columns.time, dtype=np.int64))
    # A tag that is adopted takes over all that was unknown, but nothing from long ago.
    reasons = {"past": past, "unknown_tag": ~known & ~past, "future": future & known}
    quarantined = _kept_out(topics, columns, messages, routes, reasons)
    samples = Samples(tag, time_us, si, quality, received_us)
    historical = np.zeros(len(tag), bool)
    historical[columns.historical] = True
    stay = keep & ~historical
    return Intake(
        samples if stay.all() else samples.take(stay),
        rejects,
        quarantined,
        historical=samples.take(keep & historical) if columns.historical else no_samples(),
        messages=messages,
        senders=senders,
        newest_us=newest_us,
        origin=source[stay],
        historical_origin=source[keep & historical],
    )


def _rescale(
    topics: TopicTable, columns: _Columns, source: I64, scale: F64, shift: F64
) -> dict[int, str]:
    """Set scale and shift of values that came in a unit of their own; return what is wrong with it.

    To find out that a unit is none takes a fraction of a millisecond, and senders choose them.
    """
    wrong: dict[tuple[str, str], str] = {}
    tries: Counter[int] = Counter()  # wrong units of a message
    result: dict[int, str] = {}
    for at, uom in columns.uom.items():
        tag, number = columns.tag[at], int(source[at])
        if tag < 0:
            continue
        quantity = topics.quantity[tag]
        text = wrong.get((uom, quantity), "")
        if not text and tries[number] >= WRONG_UOMS_MAX:
            text = f"{uom!r:.40} comes after {WRONG_UOMS_MAX} wrong units of its message"
        elif not text:
            try:
                scale[at], shift[at] = compile_uom(uom, quantity)
                continue
            except UomError as error:
                tries[number] += 1
                text = wrong[uom, quantity] = str(error)
        result[at] = text
    return result


def _kept_out(
    topics: TopicTable,
    columns: _Columns,
    messages: Sequence[Message],
    routes: Sequence[Route],
    reasons: dict[str, BOOL],
) -> list[Quarantined]:
    """Return what some values are in quarantine, each for the reason that it has."""
    which = {at: reason for reason, rows in reasons.items() for at in np.flatnonzero(rows).tolist()}
    if not which:
        return []
    order = sorted(which)
    begin = np.cumsum([0, *columns.count])
    runs = np.searchsorted(begin, order, "right") - 1
    nths = np.array(order) - begin[runs]
    quarantined = []
    of_run, names = -1, [""]
    for at, run, nth in zip(order, runs.tolist(), nths.tolist(), strict=True):
        if run != of_run:
            of_run, names = run, list(columns.names[run])
        number = columns.origin[run]
        message, route, name = messages[number], routes[number], names[nth]
        tag = columns.tag[at]
        reason = which[at]
        if reason == "unknown_tag" and is_about(name, route.others):
            reason = "other_enterprise"
        quarantined.append(
            Quarantined(
                route.owner,
                name,
                reason,
                message.topic,
                columns.time[run],
                float(columns.value[at]),
                columns.base[run] | columns.quality.get(at, q.GOOD),
                # The model may have another one for the tag by the time it is released.
                columns.uom.get(at, topics.uom[tag] if tag >= 0 else ""),
                message.received_us,
                message,
            )
        )
    return quarantined
