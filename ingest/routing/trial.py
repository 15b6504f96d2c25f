"""How a payload would be read, without storing it: by the road that every message takes."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.routing.decode import decode
from ingest.routing.topics import Message, Names, Route, TopicTable
from ingest.wire import Decoded, WireError, json_layout
from ingest.wire.presets import guess, tag_of
from twin.errors import ParkError
from twin.model.layouts import parse_layout
from twin.quality_vocabularies import in_words
from twin.uom import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.routing.decode import Intake, Limits
    from twin.model.park import Park

# Values of one payload of which the trial tells; more are counted.
ROWS_MAX = 1_000


class TrialRow(NamedTuple):
    """One value: as it came, and as it would be stored, or why it would not."""

    name: str  # on the wire
    tag: str  # address; empty: no tag has this name
    time_us: int
    value: float | None
    uom: str
    si: float | None
    si_uom: str
    quality: str  # in words; empty: it would not be stored
    reason: str  # why not


class PayloadTrial(NamedTuple):
    """How one payload would be read."""

    gateway: str  # whose it is; empty: nobody's in particular
    rows: list[TrialRow]
    more: int  # values besides those of the rows
    refused: list[str]  # what is not read, and why
    presets: list[str]  # that find values in it, the best first, where nothing else does


class _OneByOne(TopicTable):
    """A way for each value of a payload, whose topics are their numbers."""

    def __init__(self, park: Park, way: Route, values: Sequence[Decoded]) -> None:
        super().__init__(park, park.tags)
        self._ways = [replace(way, codec=partial(_given, each), native=False) for each in values]

    def route(self, topic: str) -> Route:
        """Return the way of one value."""
        return self._ways[int(topic)]


def try_payload(
    park: Park,
    topic: str,
    payload: bytes,
    received_us: int,
    limits: Limits,
    *,
    gateway: str = "",
    layout: dict[str, Any] | str = "",
) -> PayloadTrial:
    """Return how a payload would be read that arrives at `received_us`.

    It goes where its topic leads, or is read as that of a `gateway` of the model, or by a `layout`;
    raises ParkError for a layout that is none.
    """
    way = None
    try:
        way = _way(TopicTable(park, park.tags), topic, gateway, layout)
        if len(payload) > limits.payload_bytes:
            raise WireError("too_large", f"{len(payload)} bytes, at most {limits.payload_bytes}")  # noqa: TRY301
        codec: Callable[..., Decoded] = way.codec
        options = {"in_words": True} if _is_foreign(way) else {}
        decoded = codec(payload, received_us, **options)
    except WireError as error:
        nobody = error.reason == "bad_topic" or (way is not None and _is_foreign(way))
        presets = guess(topic, payload) if nobody else []
        return PayloadTrial(gateway, [], 0, [f"{error.reason}: {error.detail}"], presets)
    values = _singles(decoded)
    messages = [Message(str(at), payload, received_us, 0, 1, 0) for at in range(len(values))]
    intake = decode(_OneByOne(park, way, values), messages, limits)
    rows = _rows(park, way, values, intake)
    refused = [f"{reason}: {detail}" for reason, detail in decoded.refused[:ROWS_MAX]]
    return PayloadTrial(way.gateway, rows, len(decoded.names) - len(rows), refused, [])


def _way(topics: TopicTable, topic: str, gateway: str, layout: dict[str, Any] | str) -> Route:
    """Return the way of a payload; raises WireError, ParkError."""
    if not layout:
        return topics.route_as(gateway, topic) if gateway else topics.route(topic)
    try:
        codec = partial(json_layout.decode, parse_layout(layout), tag=tag_of(topic))
    except ValueError as error:
        raise ParkError(str(error)) from error
    # Whose gateway it will be is not known: a name of two enterprises is that of neither.
    names = Names()
    for own in topics.names.values():
        names.update({name: -1 if name in names else tag for name, tag in own.items()})
    return Route("", names, codec)


def _is_foreign(way: Route) -> bool:
    """Return whether a payload is read by a layout."""
    return isinstance(way.codec, partial) and way.codec.func is json_layout.decode


def _given(decoded: Decoded, _payload: bytes, _received_us: int) -> Decoded:
    return decoded


def _singles(decoded: Decoded) -> list[Decoded]:
    """Return the first values of a payload one by one."""
    times = [time_us for count, time_us in decoded.runs for _ in range(count)]
    return [
        Decoded(
            [name],
            [decoded.values[at]],
            [(1, times[at])],
            {0: decoded.quality[at]} if at in decoded.quality else {},
            {0: decoded.uom[at]} if at in decoded.uom else {},
            simulated=decoded.simulated,
            wording={0: decoded.wording[at]} if decoded.wording and at in decoded.wording else {},
        )
        for at, name in enumerate(decoded.names[:ROWS_MAX])
    ]


def _rows(park: Park, way: Route, values: Sequence[Decoded], intake: Intake) -> list[TrialRow]:
    """Return what becomes of each value."""
    stored = dict(zip(intake.origin.tolist(), range(len(intake.samples.tag)), strict=True))
    reasons = {int(each.message.topic): each.reason + ": " + each.detail for each in intake.rejects}
    reasons |= {int(each.topic): each.reason for each in intake.quarantined}
    owners: dict[str, list[str]] = {}
    for each in park.tags:
        owners.setdefault(each.tag, []).append(each.owner)
    rows = []
    for at, value in enumerate(values):
        number = way.names[value.names[0]]
        tag = park.tags[number] if number >= 0 else None
        row = stored.get(at)
        several = owners.get(value.names[0], ()) if not way.owner else ()
        if len(several) > 1:
            reasons[at] = f"a tag of {', '.join(several)}: name a gateway"
        rows.append(
            TrialRow(
                value.names[0],
                tag.address if tag else "",
                value.runs[0][1],
                _finite(value.values[0]),
                value.uom.get(0, tag.uom if tag else ""),
                None if row is None else _finite(float(intake.samples.value[row])),
                QUANTITIES[tag.quantity] if tag else "",
                "" if row is None else _words(int(intake.samples.quality[row]), value),
                reasons.get(at, ""),
            )
        )
    return rows


def _words(quality: int, value: Decoded) -> str:
    """Return a quality in words, and what was sent where that says more."""
    wording = (value.wording or {}).get(0, "")
    words = in_words(quality)
    return f"{words} ({wording})" if wording and not wording.endswith(f"= {words}") else words


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
