"""From messages to samples: topic to enterprise, name to tag, uom to SI, first quality."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.wire import VALUE_MAX, Decoded, WireError, native, senml
from twin import quality as q
from twin.errors import UomError
from twin.model import Tag, owner_of, park_of
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from twin.model import Park

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


# First segment of a topic ``<format>/v1/{park}/{enterprise}/{gateway}``: how its payloads are read.
CODECS: dict[str, Callable[[bytes, int], Decoded]] = {
    "park": lambda payload, _: native.decode(payload),
    "senml": senml.decode,
}


class Message(NamedTuple):
    """One MQTT message as it came in; `mid` is 0 at QoS 0."""

    topic: str
    payload: bytes
    received_us: int
    mid: int
    qos: int
    link: int  # number of the connection it came by: its `mid` means nothing to another one


class Reject(NamedTuple):
    """A payload, or a value of one, that was refused."""

    reason: str
    detail: str
    message: Message


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of samples, (n,): tag index, time, SI value, quality, and when we got them."""

    tag: I64
    time_us: I64
    value: F64
    quality: U8
    received_us: I64

    def __len__(self) -> int:
        return len(self.tag)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Samples:
        """Return some of the rows."""
        return Samples(*(getattr(self, name)[rows] for name in self.__slots__))


class Quarantined(NamedTuple):
    """A sample that may not be stored yet: unknown tag, or from the future."""

    enterprise: str
    tag: str
    reason: str
    topic: str
    time_us: int
    value: float


@dataclass(slots=True)
class Intake:
    """What a cycle's messages came to."""

    samples: Samples
    rejects: list[Reject] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)


class _Names(dict[str, int]):
    """Tag name to tag index of one enterprise; -1 for a name that is not there."""

    def __missing__(self, name: str) -> int:
        return -1


class Directory:
    """Where a topic leads: the tags of its enterprise, and their columns."""

    def __init__(self, park: Park, tags: Sequence[Tag]) -> None:
        kinds = {scope.id: scope.kind for scope in park.scopes}
        self.names: dict[str, _Names] = {}
        for i, tag in enumerate(tags):
            # Derived tags are ours: a gateway cannot write them.
            if tag.source != "derived":
                self.names.setdefault(tag.owner, _Names())[tag.tag] = i
        self._owners: dict[tuple[str, str], str] = {}
        for scope in park.scopes:
            if scope.kind in ("region", "park", "enterprise"):
                owner = owner_of(scope.id, kinds)
                self._owners[park_of(scope.id, kinds), owner] = owner
                self.names.setdefault(owner, _Names())
        self.quantity = [tag.quantity for tag in tags]
        self.scale = np.array([tag.scale for tag in tags], dtype=np.float64)
        self.shift = np.array([tag.shift for tag in tags], dtype=np.float64)
        self.low = np.array([tag.low for tag in tags], dtype=np.float64)
        self.high = np.array([tag.high for tag in tags], dtype=np.float64)

    def owner(self, topic: str) -> str:
        """Return the enterprise of ``park/v1/{park}/{enterprise}/{gateway}``; raises WireError."""
        parts = topic.split("/")
        if len(parts) != 5 or parts[0] not in CODECS or parts[1] != "v1":
            formats = "|".join(CODECS)
            raise WireError(
                "bad_topic", f"topics are ({formats})/v1/{{park}}/{{enterprise}}/{{gateway}}"
            )
        owner = self._owners.get((parts[2], parts[3]))
        if owner is None:
            raise WireError(
                "unknown_enterprise",
                f"the model has no enterprise {parts[3]!r} in park {parts[2]!r}",
            )
        return owner


@dataclass(slots=True)
class _Columns:
    """Columns that grow message by message; a run is a stretch of values of one time."""

    tag: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    base: list[int] = field(default_factory=list)  # quality of a run
    origin: list[int] = field(default_factory=list)  # message of a run
    names: list[Collection[str]] = field(default_factory=list)  # names of a run
    quality: dict[int, int] = field(default_factory=dict)
    uom: dict[int, str] = field(default_factory=dict)


def decode(
    directory: Directory, messages: Sequence[Message], *, payload_bytes: int, future_us: int
) -> Intake:
    """Return the samples of some messages, in order of arrival, and what was refused."""
    columns = _Columns()
    rejects: list[Reject] = []
    owners: dict[str, str | WireError] = {}
    for number, message in enumerate(messages):
        try:
            names = _route(directory, message, owners, payload_bytes)
            codec = message.topic.partition("/")[0]
            scan = native.decode_scan(message.payload) if codec == "park" else None
            if scan is not None:
                columns.tag.extend(map(names.__getitem__, scan.values))
                columns.value.extend(scan.values.values())
                columns.count.append(len(scan.values))
                columns.time.append(scan.ts * 1000)
                columns.base.append(q.SIMULATED if scan.simulated else q.GOOD)
                columns.origin.append(number)
                columns.names.append(scan.values)
                continue
            decoded = CODECS[codec](message.payload, message.received_us)
        except WireError as error:
            rejects.append(Reject(error.reason, error.detail, message))
            continue
        rejects.extend(Reject(*refused, message) for refused in decoded.refused)
        _append(columns, decoded, names, number)
    return _sift(directory, columns, messages, rejects, owners, future_us)


def _route(
    directory: Directory, message: Message, owners: dict[str, str | WireError], payload_bytes: int
) -> _Names:
    """Return the names a message may write; raises WireError."""
    owner = owners.get(message.topic)
    if owner is None:
        try:
            owner = directory.owner(message.topic)
        except WireError as error:
            owner = error
        owners[message.topic] = owner
    if isinstance(owner, WireError):
        raise owner
    if len(message.payload) > payload_bytes:
        raise WireError("too_large", f"{len(message.payload)} bytes, at most {payload_bytes}")
    return directory.names[owner]


def _append(columns: _Columns, decoded: Decoded, names: _Names, number: int) -> None:
    """Add a decoded payload to the columns."""
    start = len(columns.tag)
    columns.tag.extend(names[name] for name in decoded.names)
    columns.value.extend(decoded.values)
    columns.quality.update({start + at: code for at, code in decoded.quality.items()})
    columns.uom.update({start + at: uom for at, uom in decoded.uom.items()})
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
    directory: Directory,
    columns: _Columns,
    messages: Sequence[Message],
    rejects: list[Reject],
    owners: dict[str, str | WireError],
    future_us: int,
) -> Intake:
    """Return the columns as SI samples, without those that must not be stored."""
    tag = np.array(columns.tag, dtype=np.int64)
    value = np.array(columns.value, dtype=np.float64)
    count = np.array(columns.count, dtype=np.int64)
    run = np.repeat(np.arange(len(count)), count)
    time_us = np.array(columns.time, dtype=np.int64)[run]
    origin = np.array(columns.origin, dtype=np.int64)
    got = np.array([message.received_us for message in messages], dtype=np.int64)
    received_us = got[origin[run]]
    quality = np.array(columns.base, dtype=np.uint8)[run]
    for at, code in columns.quality.items():
        quality[at] |= code
    known = tag >= 0
    at_tag = np.where(known, tag, 0)
    scale, shift = directory.scale[at_tag], directory.shift[at_tag]
    keep = known & (time_us <= received_us + future_us)

    def message_of(at: int) -> Message:
        return messages[int(origin[run[at]])]

    for at, uom in columns.uom.items():
        try:
            scale[at], shift[at] = compile_uom(uom, directory.quantity[at_tag[at]])
        except UomError as error:
            if known[at]:
                keep[at] = False
                rejects.append(Reject("wrong_uom", str(error), message_of(at)))
    infinite = np.flatnonzero((np.abs(value) > VALUE_MAX) & keep)
    keep[infinite] = False
    rejects.extend(
        Reject("not_finite", "a value is too large to be one", message_of(int(at)))
        for at in infinite
    )
    si = value * scale + shift
    doubtful = (quality < q.UNCERTAIN) & (
        (si < directory.low[at_tag]) | (si > directory.high[at_tag])
    )
    quality[doubtful] = quality[doubtful] & q.SIMULATED | q.UNCERTAIN | q.OUT_OF_RANGE
    begin = np.cumsum(count) - count
    quarantined = []
    for at in np.flatnonzero(~known | (time_us > received_us + future_us)).tolist():
        message = message_of(at)
        name = next(
            n for i, n in enumerate(columns.names[run[at]]) if i == at - begin[run[at]]
        )  # fmt: skip
        reason = "future" if known[at] else "unknown_tag"
        quarantined.append(
            Quarantined(
                str(owners[message.topic]), name, reason, message.topic, int(time_us[at]), value[at]
            )
        )
    samples = Samples(tag, time_us, si, quality, received_us)
    return Intake(samples if keep.all() else samples.take(keep), rejects, quarantined)
