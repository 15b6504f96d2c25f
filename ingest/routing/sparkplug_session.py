"""Sparkplug edge nodes: who is born, what their aliases mean, what is missing, whom to ask again.

A BIRTH says what DATA leaves out; a DEATH says that nothing is known any more. Values carry their
times, so what comes out of order is taken as it comes; the sequence only tells that something was
lost. Whoever cannot be understood is asked for a new BIRTH, seldom enough not to raise a storm.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.wire import Decoded, WireError, sparkplug, whole_us
from twin import quality as q

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ingest.wire.sparkplug import Metric, Payload
    from twin.model.gateways import GatewaySpec

# An edge node chooses its devices and the names of its metrics, so there is an end to them.
DEVICES_MAX = 1_000
METRICS_MAX = 100_000  # of a node and its devices
NAME_CHARACTERS = 400
REQUESTS_MAX = 10
WAIT_MAX_US = 600_000_000
SEQ = 256


@dataclass(slots=True)
class Births:
    """The metrics of an edge node by the last birth of each of its devices, dead ones included."""

    count: int = 0
    datatypes: dict[str, dict[str, int]] = field(default_factory=dict)  # by device and metric


@dataclass(slots=True)
class _Device:
    """The metrics of a device, or of the node itself, whose device is empty."""

    is_born: bool = False
    datatypes: dict[str, int] = field(default_factory=dict)
    aliases: dict[int, str] = field(default_factory=dict)  # empty: means several, so none
    newest_us: int = 0
    dead_us: int = 0  # when it died last
    met: bool = False  # else it may have died before our start

    def name_of(self, metric: Metric) -> str:
        """Return the name of a metric; raises WireError for an alias without a BIRTH."""
        name = metric.name or self.aliases.get(_alias(metric))
        if name == "":
            raise WireError("bad_shape", f"alias {metric.alias} stands for several metrics")
        if name is None or not (name in self.datatypes or sparkplug.belongs_to_protocol(name)):
            if name and len(name) > NAME_CHARACTERS:
                raise WireError("bad_name", f"{name:.80}… is over {NAME_CHARACTERS} characters")
            raise WireError("no_birth", f"{name or f'alias {metric.alias}'} was not in the BIRTH")
        return name

    def on_birth(self, metrics: Iterable[Metric]) -> None:
        """Learn names, aliases and types of metrics from a BIRTH."""
        self.is_born = True
        self.datatypes, self.aliases = {}, {}
        self._learn(metrics, "")

    def _learn(self, metrics: Iterable[Metric], folder: str) -> None:
        """Learn metrics; those inside the instance of a template are in its folder."""
        for metric in metrics:
            if not metric.name or len(folder) + len(metric.name) > NAME_CHARACTERS:
                continue
            name = folder + metric.name
            self.datatypes[name] = metric.datatype
            if metric.alias is not None:
                taken = self.aliases.setdefault(metric.alias, name) != name
                self.aliases[metric.alias] = "" if taken else name
            if metric.members:
                self._learn(metric.members, name + "/")

    def flat(self, metrics: Iterable[Metric]) -> Iterator[Metric]:
        """Yield metrics with the members of templates in their place, named by their folders."""
        for metric in metrics:
            name = metric.name or self.aliases.get(_alias(metric), "")
            if not metric.members or name not in self.datatypes:
                yield metric
                continue
            yield from self.flat(
                member._replace(
                    name=f"{name}/{member.name}" if member.name else "",
                    time_ms=metric.time_ms if member.time_ms is None else member.time_ms,
                    quality=metric.quality if member.quality is None else member.quality,
                    null=metric.null or member.null,
                    historical=metric.historical or member.historical,
                    transient=metric.transient or member.transient,
                )
                for member in metric.members
            )

    def current_us(self, time_us: int, birth_us: int) -> int:
        """Return the time from which a value of a BIRTH holds [µs]: after a death, its own."""
        if self.met and time_us > self.dead_us:
            return time_us
        return max(time_us, birth_us, self.dead_us + 1)

    def on_death(self, time_us: int) -> list[str]:
        """Forget all metrics; return their names, which have no value from now on."""
        # After anything it said itself, though its clock may be ahead of ours.
        self.dead_us = max(time_us, self.newest_us + 1)
        names = [
            name
            for name, datatype in self.datatypes.items()
            if datatype in sparkplug.NUMBERS and not sparkplug.belongs_to_protocol(name)
        ]
        self.is_born = False
        self.datatypes, self.aliases = {}, {}
        return names


@dataclass(slots=True)
class _Node:
    """One edge node of the model."""

    group: str
    name: str
    devices: dict[str, _Device] = field(default_factory=lambda: {"": _Device()})
    births: Births = field(default_factory=Births)
    bd_seq: object = None
    expected: int = 0
    missing: dict[int, int] = field(default_factory=dict)  # seq: since when [µs]
    wanted: bool = False  # until a BIRTH comes
    once: bool = True
    requested_us: int = 0
    due_us: int = 0
    wait_us: int = 0

    def on_birth(self, device: str, metrics: Iterable[Metric]) -> None:
        """Learn the metrics of a device; raises WireError when the node has too many."""
        self.devices[device].on_birth(metrics)
        self.births.count += 1
        self.births.datatypes[device] = self.devices[device].datatypes
        if sum(map(len, self.births.datatypes.values())) > METRICS_MAX:
            self.devices[device] = _Device()
            del self.births.datatypes[device]
            raise WireError("too_large", f"{self.group}/{self.name}: over {METRICS_MAX} metrics")

    def follow(self, seq: int | None, received_us: int) -> bool:
        """Note missing sequence numbers; return whether this message was one of them."""
        if seq is None:
            return False
        seq %= SEQ
        if self.missing.pop(seq, None) is not None:
            return True
        ahead = (seq - self.expected) % SEQ
        if ahead >= SEQ // 2:
            # Counted anew, or said twice: only a BIRTH can tell. No message can have this number.
            self.missing.setdefault(SEQ, received_us)
            return False
        for step in range(ahead):
            self.missing.setdefault((self.expected + step) % SEQ, received_us)
        self.expected = (seq + 1) % SEQ
        return False


class SparkplugSessions:
    """The edge nodes of a model. Time is an argument, and messages to send are results."""

    def __init__(
        self,
        gateways: Iterable[GatewaySpec],
        *,
        reorder_s: float = 2.0,
        rebirth_s: float = 10.0,
        future_s: float = 300.0,
        host_id: str = "",
        payload_bytes: int = sparkplug.PAYLOAD_BYTES,
        counters: Counter[str] | None = None,
    ) -> None:
        """Refuse a compressed payload of more than `payload_bytes` when it is unpacked."""
        self.counters = Counter() if counters is None else counters
        self.denied = False  # somebody said that we are offline
        self._host_id = host_id
        self._payload_bytes = payload_bytes
        self._reorder_us = round(reorder_s * 1e6)
        self._rebirth_us = round(rebirth_s * 1e6)
        self._future_us = round(future_s * 1e6)
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._met = False
        self.follow(gateways)

    def __len__(self) -> int:
        return len(self._nodes)

    def births(self, group: str, node: str) -> Births:
        """Return what an edge node of the model was born with; later births change it in place."""
        return self._nodes[group, node].births

    def follow(self, gateways: Iterable[GatewaySpec]) -> None:
        """Know the edge nodes of a model; those known before go on with their sessions."""
        keys = {(row.group, row.node) for row in gateways if row.protocol == "sparkplug"}
        self._nodes = {
            key: self._nodes.get(key) or _Node(*key, wait_us=self._rebirth_us)
            for key in sorted(keys)
        }

    def decode(self, topic: Sequence[str], payload: bytes, received_us: int) -> Decoded:
        """Return the values of a message of a known node, under the names of its BIRTH.

        The names of a DEATH are ``{device}/{metric}``, with nothing before the slash for the node's
        own. Raises WireError for what cannot be read, or not yet: then a BIRTH will be asked for.
        """
        _, group, kind, name, *device_name = topic
        node = self._nodes[group, name]
        message = sparkplug.decode(payload, self._payload_bytes)
        if kind == "NDEATH":
            return self._node_death(node, message, received_us)
        if kind == "NBIRTH":
            self._node_birth(node, message)
            return self._values(node, node.devices[""], message, received_us, birth=True)
        if not node.devices[""].is_born:
            node.wanted = True
            raise WireError("no_birth", f"no NBIRTH of {group}/{name} was seen yet")
        late = node.follow(message.seq, received_us)
        device = node.devices.get(device_name[0] if device_name else "")
        # A birth and a death that changed places leave the wrong one of them in force.
        node.wanted |= late and kind in ("DBIRTH", "DDEATH")
        if kind == "DBIRTH":
            if device is None:
                if len(node.devices) > DEVICES_MAX:
                    raise WireError("too_large", f"{group}/{name}: over {DEVICES_MAX} devices")
                device = node.devices[device_name[0]] = _Device()
            node.on_birth(device_name[0], message.metrics)
            return self._values(node, device, message, received_us, birth=True)
        if device is None or not device.is_born:
            if kind == "DDEATH":
                raise WireError("stale_death", f"device {device_name[0]} was not alive")
            node.wanted = True
            raise WireError(
                "no_birth", f"no DBIRTH of {group}/{name}/{device_name[0]} was seen yet"
            )
        if kind == "DDEATH":
            # The node says when: its clock is that of the device's values.
            sent_us = message.time_ms * 1000 if message.time_ms else received_us
            return self._dead({device_name[0]: device}, min(sent_us, received_us))
        return self._values(node, device, message, received_us, birth=False)

    def hear_state(self, topic: Sequence[str], payload: bytes, _received_us: int = 0) -> Decoded:
        """Note a STATE message that declares this host offline, like an old will of ours."""
        self.denied |= topic[2:] == [self._host_id] and sparkplug.is_offline(payload)
        return Decoded()

    def reconnected(self, now_us: int) -> None:
        """Ask each node for its BIRTH after a new connection: messages before it may be lost.

        After the first time they have a while to give birth unasked, as many do then.
        """
        for node in self._nodes.values():
            node.once = True
            if self._met:
                node.due_us = max(node.due_us, now_us + self._rebirth_us)
        self._met = True

    def requests(self, now_us: int) -> list[tuple[str, bytes]]:
        """Return the rebirth commands to publish now, as (topic, payload)."""
        commands: list[tuple[str, bytes]] = []
        for node in self._nodes.values():
            if node.missing and min(node.missing.values()) + self._reorder_us <= now_us:
                node.missing.clear()
                node.wanted = True
            # The clock may have been set back.
            node.due_us = min(node.due_us, now_us + node.wait_us)
            due = (node.wanted or node.once) and node.due_us <= now_us
            if due and self._rebirth_us and len(commands) < REQUESTS_MAX:
                topic = f"{sparkplug.NAMESPACE}/{node.group}/NCMD/{node.name}"
                commands.append((topic, sparkplug.rebirth(now_us // 1000)))
                node.once = False
                node.requested_us, node.due_us = now_us, now_us + node.wait_us
                node.wait_us = min(2 * node.wait_us, max(WAIT_MAX_US, self._rebirth_us))
        self.counters["rebirths"] += len(commands)
        return commands

    def _node_birth(self, node: _Node, message: Payload) -> None:
        """Begin a session of a node: its devices are to be born again."""
        for device in node.devices.values():
            device.is_born = False
        node.births.datatypes.clear()
        node.on_birth("", message.metrics)
        node.bd_seq = _bd_seq(message)
        node.expected = ((message.seq or 0) + 1) % SEQ
        node.missing.clear()
        node.wanted = node.once = False
        node.wait_us = self._rebirth_us
        node.due_us = node.requested_us + node.wait_us

    def _node_death(self, node: _Node, message: Payload, received_us: int) -> Decoded:
        """End the session of a node, unless the death is one of an earlier session."""
        bd_seq = _bd_seq(message, node.devices[""].aliases)
        # Of a birth without a number any death may be the end.
        is_other = node.bd_seq is not None and bd_seq != node.bd_seq
        if not node.devices[""].is_born or is_other:
            raise WireError("stale_death", f"bdSeq {bd_seq} is not that of a session we know")
        node.missing.clear()
        node.wanted = False
        return self._dead(node.devices, received_us)

    def _dead(self, devices: Mapping[str, _Device], time_us: int) -> Decoded:
        """Return bad values for all metrics of some devices."""
        decoded = Decoded()
        for name, device in devices.items():
            for metric in device.on_death(time_us):
                _add(decoded, f"{name}/{metric}", math.nan, device.dead_us, q.NO_DATA)
        return decoded

    def _values(
        self, node: _Node, device: _Device, message: Payload, received_us: int, *, birth: bool
    ) -> Decoded:
        """Return the values of a message; raises WireError when its time is none."""
        sent_us = _time_us(message)
        decoded = Decoded()
        for metric in device.flat(message.metrics):
            try:
                name = device.name_of(metric)
                if sparkplug.belongs_to_protocol(name):
                    continue
                if metric.transient:
                    self.counters["transient"] += 1
                    continue
                value, quality = _read(name, metric, device.datatypes[name])
                time_us = _time_us(metric) or sent_us
                if not time_us:
                    raise WireError("bad_time", f"neither {name} nor its message has a time")  # noqa: TRY301
            except WireError as error:
                node.wanted |= error.reason == "no_birth"
                decoded.refused.append((error.reason, error.detail))
                continue
            if metric.historical:
                decoded.historical.add(len(decoded.names))
            _add(decoded, name, value, time_us, quality)
            if metric.historical:
                continue
            if birth and (current_us := device.current_us(time_us, sent_us)) > time_us:
                _add(decoded, name, value, current_us, quality)
                time_us = current_us
            if time_us <= received_us + self._future_us:
                device.newest_us = max(device.newest_us, time_us)
        device.met |= birth
        return decoded


def _add(decoded: Decoded, name: str, value: float, time_us: int, quality: int) -> None:
    """Add one value."""
    decoded.add(name, None if math.isnan(value) else value, quality)
    if decoded.runs and decoded.runs[-1][1] == time_us:
        decoded.runs[-1] = decoded.runs[-1][0] + 1, time_us
    else:
        decoded.runs.append((1, time_us))


def _read(name: str, metric: Metric, datatype: int) -> tuple[float, int]:
    """Return value and quality of a metric; raises WireError for one that is to be refused."""
    value = sparkplug.number(metric.value, datatype)
    quality = sparkplug.QUALITIES.get(192 if metric.quality is None else metric.quality)
    if datatype not in sparkplug.NUMBERS or (value is None and not metric.null):
        detail = f"{name}: {metric.value!r:.80} of datatype {datatype} is no number"
        raise WireError("wrong_type", detail)
    if quality is None:
        raise WireError("bad_quality", f"{name}: {metric.quality} is not 0, 192 or 500")
    if value is None or metric.null or math.isnan(value):
        return math.nan, q.BAD | q.NOT_A_NUMBER
    return value, quality


def _time_us(sent: Metric | Payload) -> int:
    """Return the time of a metric or message, 0 when it has none; raises WireError."""
    return whole_us((sent.time_ms or 0) * 1000, sent.time_ms)


def _alias(metric: Metric) -> int:
    """Return the alias of a metric, -1 when it has none."""
    return -1 if metric.alias is None else metric.alias


def _bd_seq(message: Payload, aliases: Mapping[int, str] | None = None) -> object:
    """Return the number of a session; None when it has none.

    With the `aliases` of its BIRTH, a DEATH need not name it: nothing else is in a DEATH.
    """
    metrics = message.metrics
    if aliases is not None:
        metrics = [m if m.name else m._replace(name=aliases.get(_alias(m), "")) for m in metrics]
        if len(metrics) == 1 and not metrics[0].name:
            return metrics[0].value
    return next((m.value for m in metrics if m.name == sparkplug.BD_SEQ), None)
