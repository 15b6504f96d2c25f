"""Contacts: who sends without being in the park model, and what it seems to say.

Under our own topics they are known from what was refused or quarantined; under others from a
subscription with a budget (`ingest.transport.discovery`). Of each contact one payload a second is
read, so that a flood costs no more than a trickle; all are counted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from deploy.database.times import plain
from ingest.routing.topics import FORMATS, NOBODY
from ingest.store.contacts import Heard
from ingest.wire import Decoded, WireError, hj212, json_layout, native, senml, sparkplug
from ingest.wire.presets import KINDS, guess, tag_of
from twin.adoption import HeardName
from twin.arrays import SECOND_US
from twin.errors import StoreError
from twin.model.gateways import SEGMENT
from twin.model.layouts import TOPIC_TAG, parse_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.counters import Counters
    from ingest.routing.decode import Intake
    from ingest.routing.topics import Message, TopicTable
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.model.park import Park

# Why a payload was refused whose sender the model may lack.
UNKNOWN = ("unknown_enterprise", "unknown_gateway", "unknown_mn", "bad_topic")
READ_US = SECOND_US
TEXT_CHARACTERS = 200
# Guesses a second, and at once; one takes about half a millisecond for each KiB of a payload.
GUESS_RATE, GUESS_BURST = 20.0, 50.0


class Sender(NamedTuple):
    """Who has sent a message: what the model would have to know."""

    address: str
    protocol: str
    mn: str = ""
    presets: Sequence[str] = ()


class Contacts:
    """All contacts, bounded: the one that has been silent for longest makes room."""

    def __init__(self, settings: IngestSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._contacts: dict[str, Heard] = {}  # by address
        self._newest_id = 0
        self._full_until_us = 0
        self._due_us = 0
        self._guesses, self._guessed_us = GUESS_BURST, 0
        self._topics: TopicTable
        self._zone = ZoneInfo("UTC")

    async def start(self, store: Store) -> None:
        """Go on with the contacts that were stored; raises StoreError."""
        async with store.transaction():
            stored = await store.contacts.all()
        self._contacts = {heard.address: heard for heard in stored}
        self._newest_id = max((heard.id for heard in stored), default=0)

    def follow(self, topics: TopicTable, park: Park) -> None:
        """Tell by a model who is known."""
        self._topics, self._zone = topics, ZoneInfo(park.timezone)
        for address, heard in list(self._contacts.items()):
            if topics.is_declared(address, heard.mn):
                del self._contacts[address]

    def hear_refused(self, intake: Intake) -> None:
        """Take what was refused or quarantined because the model lacks its sender."""
        for reject in intake.rejects:
            if reject.reason in UNKNOWN:
                self.hear(reject.message, reject.reason)
        unknown = {
            id(item.message): item.message
            for item in intake.quarantined
            if item.reason == "unknown_tag" and item.message is not None
        }
        for message in unknown.values():
            if not self._topics.is_declared(message.topic):
                self.hear(message, "unknown_gateway")

    def hear_foreign(self, message: Message) -> bool:
        """Take a message of any topic; return whether its topic is none of ours or of the model.

        The others have come to the subscriber as well.
        """
        is_foreign = self._topics.is_foreign(message.topic)
        if is_foreign:
            self.hear(message, "unknown_topic")
        return is_foreign

    def hear(self, message: Message, reason: str) -> None:
        """Take a message of somebody whom the model does not know."""
        sender = self._sender(message)
        if sender is None:
            return
        address = sender.address
        heard = self._contacts.get(address)
        if heard is None:
            if not self._make_room(message.received_us):
                self._counters["contacts.full"] += 1
                return
            self._newest_id += 1
            heard = Heard(self._newest_id, address, sender.protocol, sender.mn, message.received_us)
            self._contacts[address] = heard
        heard.protocol, heard.presets = sender.protocol, sender.presets
        heard.count += 1
        heard.last_us, heard.is_changed = message.received_us, True
        # Each topic below a shared address has names of its own.
        is_new = SEGMENT in address and not _has_names(heard, tag_of(message.topic))
        if 0 <= message.received_us - heard.read_us < READ_US and not is_new:
            return
        heard.read_us, heard.reason = message.received_us, reason
        heard.topic, heard.size = message.topic, len(message.payload) + message.cut
        heard.payload = message.payload[: self._settings.reject_bytes]
        try:
            decoded = self._read(heard, message)
        except WireError:
            return
        self._note(heard, decoded)

    def _sender(self, message: Message) -> Sender | None:
        """Return who has sent a message; None when there is no time to find out."""
        topic = plain(message.topic)[:TEXT_CHARACTERS]
        parts = topic.split("/")
        if parts[0] == sparkplug.NAMESPACE and len(parts) > 3:
            return Sender(f"{parts[0]}/{parts[1]}/{parts[3]}", "sparkplug")
        if parts[0] in FORMATS and parts[1:2] == ["v1"] and len(parts) == 5:
            protocol = "native" if parts[0] == "park" else parts[0]
            heard = self._contacts.get(topic)
            if heard is not None or protocol != "hj212":
                return Sender(topic, protocol, heard.mn if heard else "")
            mn = _mn(message.payload)
            return Sender(f"{NOBODY}/{mn}" if topic.startswith(NOBODY) else topic, protocol, mn)
        return self._foreign_sender(topic, parts, message)

    def _foreign_sender(self, topic: str, parts: list[str], message: Message) -> Sender | None:
        """Return the same of a topic that is none of ours.

        Presets are guessed, as often as the budget allows, until some fit.
        """
        at = _named_segment(parts)
        shared = "/".join([*parts[:at], SEGMENT, *parts[at + 1 :]])
        for address in (topic, shared):
            heard = self._contacts.get(address)
            if heard is not None and heard.presets:
                return Sender(address, "json", presets=heard.presets)
        if not self._may_guess(message):
            return None
        presets = guess(topic, message.payload)
        if not presets:
            return Sender(topic, "")
        address = shared if _names_in_topic(presets[0]) else topic
        return Sender(address, "json", presets=presets)

    def _may_guess(self, message: Message) -> bool:
        """Return whether a guess at a payload is within its budget."""
        passed_s = max(message.received_us - self._guessed_us, 0) / SECOND_US
        self._guessed_us = message.received_us
        room = min(self._guesses + passed_s * GUESS_RATE, GUESS_BURST)
        cost = 1.0 + (len(message.payload) >> 10)
        self._guesses = room - cost if room > 0 else room
        return room > 0

    def _make_room(self, now_us: int) -> bool:
        """Forget the contact that has been silent for longest when there are enough."""
        if len(self._contacts) < self._settings.contacts_max:
            return True
        silent_us = round(self._settings.gateway_silent_s * SECOND_US)
        # A flood of new ones is told so without looking for the oldest again.
        if 0 < self._full_until_us - now_us <= silent_us:
            return False
        oldest = min(self._contacts.values(), key=lambda heard: heard.last_us)
        self._full_until_us = oldest.last_us + silent_us
        if now_us < self._full_until_us:
            return False
        del self._contacts[oldest.address]
        return True

    def _read(self, heard: Heard, message: Message) -> Decoded:
        """Return what a payload says; raises WireError."""
        if heard.protocol == "native":
            return native.decode(message.payload)
        if heard.protocol == "senml":
            return senml.decode(message.payload, message.received_us)
        if heard.protocol == "hj212":
            return hj212.decode_payload(self._zone, {}, "", "", message.payload)
        if heard.protocol == "sparkplug":
            return _metrics(message.payload)
        if not heard.presets:
            return Decoded()
        # The zone of times without an offset is the park's, as in the row that is adopted.
        layout = parse_layout({"timezone": self._zone.key, "preset": heard.presets[0]})
        tag = tag_of(message.topic)
        return json_layout.decode(layout, message.payload, message.received_us, tag=tag)

    def _note(self, heard: Heard, decoded: Decoded) -> None:
        """Note names and values of a payload."""
        for at, (sent, value) in enumerate(zip(decoded.names, decoded.values, strict=True)):
            name, uom = plain(sent)[:TEXT_CHARACTERS], plain(decoded.uom.get(at, ""))
            former = heard.names.get(name)
            if former is None and len(heard.names) >= self._settings.contact_names:
                heard.unlisted += 1
                self._counters["contacts.names"] += 1
                continue
            former = former or HeardName(name, None, None, None, 0)
            if math.isfinite(value):
                low = value if former.low is None else min(value, former.low)
                high = value if former.high is None else max(value, former.high)
                former = former._replace(value=value, low=low, high=high)
            heard.names[name] = former._replace(times=former.times + 1, uom=uom[:TEXT_CHARACTERS])

    async def write(self, store: Store, now_us: int) -> None:
        """Write what has changed when that is due; later while the database is away."""
        if 0 <= self._due_us - now_us <= self._settings.health_s * SECOND_US:
            return
        self._due_us = now_us + round(self._settings.health_s * SECOND_US)
        changed = [heard for heard in self._contacts.values() if heard.is_changed]
        try:
            async with store.transaction():
                # Operators drop contacts, and adopt them.
                ids = await store.contacts.ids()
                gone = {
                    h.address for h in self._contacts.values() if h.is_stored and h.id not in ids
                }
                kept = [heard for heard in changed if heard.address not in gone]
                await store.contacts.write(kept)
                await store.contacts.forget(ids - {heard.id for heard in self._contacts.values()})
        except StoreError as error:
            if not error.retryable:
                raise
            return
        for heard in kept:
            heard.is_stored, heard.is_changed = True, False
        for address in gone:
            del self._contacts[address]


def _named_segment(parts: list[str]) -> int:
    """Return which segment of a topic may be the name of a tag or device: the last that is one."""
    named = (at for at in reversed(range(len(parts))) if parts[at] not in KINDS)
    return next(named, len(parts) - 1)


def _has_names(heard: Heard, tag: str) -> bool:
    """Return whether names of a topic below a shared address were heard."""
    return tag in heard.names or any(name.startswith(f"{tag}.") for name in heard.names)


def _names_in_topic(preset: str) -> bool:
    """Return whether the topic has a part of the names that a preset reads."""
    layout = parse_layout({"timezone": "UTC", "preset": preset})
    return (layout.value != "" and not layout.tag) or TOPIC_TAG in layout.prefix


def _mn(payload: bytes) -> str:
    """Return the MN of the first packet of a payload; empty when it has none."""
    for item in hj212.Framer().feed(payload):
        packet = item.packet if isinstance(item, hj212.Fault) else item
        if packet is not None:
            return plain(packet.mn)[:TEXT_CHARACTERS]
    return ""


def _metrics(payload: bytes) -> Decoded:
    """Return the numbers of a Sparkplug payload that come with their names."""
    decoded = Decoded()
    for metric in sparkplug.decode(payload).metrics:
        value = sparkplug.number(metric.value, metric.datatype)
        if metric.name and value is not None and not sparkplug.belongs_to_protocol(metric.name):
            decoded.add(metric.name, value)
    return decoded
