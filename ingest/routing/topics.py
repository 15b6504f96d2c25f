"""Where a topic leads: to an enterprise's tags, by a codec, under the names of a gateway."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from deploy.database.times import plain
from ingest.routing.sparkplug_session import SparkplugSessions
from ingest.wire import (
    Decoded,
    WireError,
    hj212,
    is_about,
    json_layout,
    native,
    senml,
    sparkplug,
)
from ingest.wire.presets import tag_of
from twin.model.gateways import FORMATS as FIRST
from twin.model.gateways import SEGMENT, TAIL, GatewaySpec
from twin.model.layouts import parse_layout
from twin.model.park import Tag, owner_of, park_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ingest.routing.sparkplug_session import Births
    from twin.model.layouts import Layout
    from twin.model.park import Park

# Routes are kept by topic; senders choose the topics, so there is an end to it.
ROUTES_MAX = 10_000
NAME_CHARACTERS = 200
# A birth is told of so many tags that its metrics share.
CLASHES_MAX = 20
# Where packets go that no logger of the model sent: to be rejected with what is wrong with them.
NOBODY = "hj212/v1/-/-"
UNKNOWN = GatewaySpec("", "", "native")
UNKNOWN_LOGGER = GatewaySpec("", "", "hj212", mn=" ")  # no packet has a blank


class Message(NamedTuple):
    """One MQTT message as it came in; `mid` is 0 at QoS 0."""

    topic: str
    payload: bytes
    received_us: int
    mid: int
    qos: int
    link: int  # number of the connection it came by: its `mid` means nothing to another one
    cut: int = 0  # bytes at the end of a payload that was too large to be kept
    retained: bool = False  # the broker had it before we subscribed


class Names(dict[str, int]):
    """Name on the wire to tag index of one enterprise; -1 for a name that is not there."""

    def __init__(self, *tags: dict[str, int]) -> None:
        super().__init__(*tags)
        self.scans = native.Scans(self)

    def __missing__(self, name: str) -> int:
        return -1


class NodeTags:
    """The tags that the metrics of an edge node stand for, by its rows and its births.

    A name of a row comes first, then the name of a tag, each with or without the device before it.
    What follows the last slash is the tag only if no gateway has a name for that tag, and no other
    metric of the node is it.
    """

    def __init__(self, births: Callable[[], Births], declared: Collection[int]) -> None:
        """No end of a name stands for a tag that is `declared`: a row of some gateway names it."""
        self._births = births
        self._former: Births | None = None
        self._declared = declared
        self._rows: dict[str, tuple[str, dict[str, int], dict[str, int]]] = {}
        self._others: dict[str, frozenset[str]] = {}  # enterprises a device is not of
        self._count = 0
        self._read: dict[str, dict[str, int]] = {}
        # Rank and tag of each metric that may be one, by device; and the metrics of each of those.
        self._claims: dict[str, dict[str, Claim]] = {}
        self._claimants: dict[Claim, dict[tuple[str, str], None]] = {}

    def add(
        self,
        device: str,
        owner: str,
        renamed: dict[str, int],
        own: Names,
        others: frozenset[str] = frozenset(),
    ) -> None:
        """Take a row: the owner of a device, its names for tags, the owner's, and other owners."""
        self._rows[device] = owner, renamed, own
        self._others[device] = others

    def owner(self, device: str = "") -> str:
        """Return whose a device is: its row's, else its node's, else that of any row."""
        return (self._rows.get(device) or self._rows.get("") or next(iter(self._rows.values())))[0]

    def tag(self, device: str, name: str) -> int:
        """Return the tag of a metric, -1 for none."""
        self._follow()
        rank, tag = self._claims.get(device, {}).get(name) or self._claim(device, name)
        if tag < 0 or rank == RENAMED:
            return tag
        if (RENAMED, tag) in self._claimants:
            return -1
        return tag if rank == NAMED or self._is_clear(tag) else -1

    def clashes(self, device: str) -> list[str]:
        """Return a sentence for each tag that a device shares with another metric since its birth.

        Full names that mean one tag all write it, ends that do write none.
        """
        self._follow()
        shared = {
            claim: None for claim in self._claims.get(device, {}).values()
            if len(self._claimants.get(claim, ())) > 1 and self._is_contested(*claim)
        }  # fmt: skip
        return [self._sentence(claim) for claim in islice(shared, CLASHES_MAX)]

    def _is_clear(self, tag: int) -> bool:
        """Return whether a tag may be the end of a name."""
        is_named = tag in self._declared or (NAMED, tag) in self._claimants
        return not is_named and len(self._claimants.get((END, tag), ())) <= 1

    def _is_contested(self, rank: int, tag: int) -> bool:
        """Return whether several metrics of a rank cannot all be right about a tag."""
        above = [(other, tag) in self._claimants for other in range(rank)]
        return not any(above) and not (rank == END and tag in self._declared)

    def _sentence(self, claim: Claim) -> str:
        metrics = self._claimants[claim]
        first = [f"{device}/{name}".lstrip("/") for device, name in islice(metrics, 4)]
        names = ", ".join(first) + (", …" if len(metrics) > len(first) else "")
        if claim[0] == END:
            return f"{names} end alike, so none is the tag: say in `tags` which of them is"
        return f"{names} all write one tag: give their devices rows or names of their own"

    def _follow(self) -> None:
        """Take in what was born since the last time."""
        births = self._births()
        if births is self._former and births.count == self._count:
            return
        self._former, self._count = births, births.count
        born = births.datatypes
        for device in [each for each in self._read if self._read[each] is not born.get(each)]:
            del self._read[device]
            for name, claim in self._claims.pop(device).items():
                self._claimants[claim].pop((device, name))
                if not self._claimants[claim]:
                    del self._claimants[claim]
        for device in [each for each in born if each not in self._read]:
            self._read[device] = born[device]
            claims = self._claims[device] = {
                name: claim for name, datatype in born[device].items()
                if datatype in sparkplug.NUMBERS and not sparkplug.belongs_to_protocol(name)
                and (claim := self._claim(device, name))[1] >= 0
            }  # fmt: skip
            for name, claim in claims.items():
                self._claimants.setdefault(claim, {})[device, name] = None

    def _claim(self, device: str, name: str) -> Claim:
        """Return the tag that a metric would be by its name alone, -1 for none, and its rank."""
        _, renamed, own = self._rows.get(device) or self._rows.get("") or ("", {}, {})
        full = (f"{device}/{name}", name) if device else (name,)
        for rank, tags in ((RENAMED, renamed), (NAMED, own)):
            for each in full:
                if each in tags:
                    return rank, tags[each]
        others = self._others.get(device) or self._others.get("") or frozenset()
        # What is about another enterprise is not the tag of this one that is called alike.
        return END, -1 if is_about(name, others) else own.get(name.rpartition("/")[2], -1)


# How a metric comes to its tag, the strongest way first; and a way with the tag it leads to.
RENAMED, NAMED, END = range(3)
Claim = tuple[int, int]


class MetricNames(Names):
    """Names of the metrics of a device, or of the node itself, whose device is empty."""

    def __init__(self, node: NodeTags, device: str) -> None:
        super().__init__()
        self._node, self._device = node, device

    def __missing__(self, name: str) -> int:
        return self._node.tag(self._device, name)


class DeathNames(Names):
    """Names of all metrics of an edge node, which are ``{device}/{metric}`` in its death."""

    def __init__(self, node: NodeTags) -> None:
        super().__init__()
        self._node = node

    def __missing__(self, name: str) -> int:
        device, _, metric = name.partition("/")
        return self._node.tag(device, metric)


@dataclass(frozen=True, slots=True)
class Route:
    """What a topic's messages are: whose, under which names, read by which codec."""

    owner: str
    names: Names
    codec: Callable[[bytes, int], Decoded]  # of payload and its arrival [µs]
    native: bool = False  # the codec is our own JSON, whose common case has a short cut
    simulated: bool = False  # the model says that a simulator sends them
    gateway: str = ""  # ``owner/name`` of the sender; empty: nobody in particular
    order: str = ""  # gateway in whose order it is read; empty: `gateway`
    others: frozenset[str] = frozenset()  # enterprises that are not the owner


class TopicTable:
    """The tags a gateway may write, as columns, and the way from a topic to them."""

    def __init__(
        self, park: Park, tags: Sequence[Tag], sessions: SparkplugSessions | None = None
    ) -> None:
        kinds = {scope.id: scope.kind for scope in park.scopes}
        self.names: dict[str, Names] = {}
        for i, tag in enumerate(tags):
            # Derived tags are ours, and people enter others: a gateway cannot write them.
            if tag.source == "measured":
                self.names.setdefault(tag.owner, Names())[tag.tag] = i
        self._owners: dict[tuple[str, str], str] = {}
        self._enterprises = frozenset(
            owner_of(scope.id, kinds) for scope in park.scopes if scope.kind == "enterprise"
        )
        for scope in park.scopes:
            if scope.kind in ("region", "park", "enterprise"):
                owner = owner_of(scope.id, kinds)
                self._owners[park_of(scope.id, kinds), owner] = owner
                self.names.setdefault(owner, Names())
        self.counter = [tag.kind == "counter" for tag in tags]
        self.quantity = [tag.quantity for tag in tags]
        self.uom = [tag.uom for tag in tags]
        self.scale = np.array([tag.scale for tag in tags], dtype=np.float64)
        self.shift = np.array([tag.shift for tag in tags], dtype=np.float64)
        self.low = np.array([tag.low for tag in tags], dtype=np.float64)
        self.high = np.array([tag.high for tag in tags], dtype=np.float64)
        self._gateways = [(owner_of(row.scope, kinds), row) for row in park.rows(GatewaySpec)]
        self._foreign = [
            (_pattern(row.topic), parse_layout(row.payload), owner, row)
            for owner, row in self._gateways
            if row.protocol == "json"
        ]
        rows = [row for _, row in self._gateways]
        self._sessions = SparkplugSessions(rows) if sessions is None else sessions
        declared = {
            self.names[owner][tag] for owner, row in self._gateways for tag in row.tags.values()
        }
        self._nodes: dict[tuple[str, str], NodeTags] = {}
        self._simulated: set[tuple[str, str]] = set()
        for owner, row in self._gateways:
            if row.protocol == "sparkplug":
                node = row.group, row.node
                if node not in self._nodes:
                    births = partial(self._sessions.births, *node)
                    self._nodes[node] = NodeTags(births, declared)
                own = self.names[owner]
                renamed = {wire: own[tag] for wire, tag in row.tags.items()}
                self._nodes[node].add(row.device, owner, renamed, own, self._others(owner))
                if row.simulated:
                    self._simulated.add(node)
        self._mns = {row.mn: owner for owner, row in self._gateways if row.protocol == "hj212"}
        self._zone = ZoneInfo(park.timezone)
        self._routes: dict[str, Route | WireError] = {}

    def route(self, topic: str) -> Route:
        """Return where a topic leads; raises WireError."""
        route = self._routes.get(topic)
        if route is None:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            try:
                route = self._find(topic)
            except WireError as error:
                route = error
            self._routes[topic] = route
        if isinstance(route, WireError):
            raise route
        return route

    def route_as(self, gateway: str, topic: str) -> Route:
        """Return where a topic would lead if a gateway of the model sent it; raises WireError."""
        for owner, row in self._gateways:
            if gateway not in (row.id, f"{owner}/{row.id}"):
                continue
            if row.protocol == "sparkplug":
                return self.route(topic)
            if row.protocol == "json":
                match = _pattern(row.topic).fullmatch(topic)
                tag = match.groupdict().get("tag", "") if match else tag_of(topic)
                return self._foreign_route(owner, row, parse_layout(row.payload), tag)
            codec = self._codec(row.protocol, row, owner)
            names, sender = self._renamed(owner, row), _sender(owner, row.id)
            return Route(owner, names, codec, simulated=row.simulated, gateway=sender,
                         others=self._others(owner))  # fmt: skip
        known = ", ".join(row.id for _, row in self._gateways) or "none"
        raise WireError("unknown_gateway", f"the model has no gateway {gateway!r}; it has {known}")

    def order(self, topic: str) -> str:
        """Return the gateway whose messages, this one among them, are read in their order."""
        try:
            route = self.route(topic)
        except WireError:
            return ""
        return route.order or route.gateway

    def is_declared(self, address: str, mn: str = "") -> bool:
        """Return whether the model has the gateway of a contact: of a topic, node or logger.

        In place of a tag an address may have ``{tag}``.
        """
        parts = address.split("/")
        if address.startswith(NOBODY + "/"):
            return any(row.protocol == "hj212" and row.mn == mn for _, row in self._gateways)
        if parts[0] == sparkplug.NAMESPACE:
            return tuple(parts[1:]) in self._nodes
        if len(parts) == 5 and parts[0] in FORMATS and parts[1] == "v1":
            owner = self._owners.get((parts[2], parts[3]), "")
            return self._gateway(owner, parts[0], parts[4]) is not UNKNOWN
        return any(pattern.fullmatch(address) for pattern, *_ in self._foreign)

    def is_foreign(self, topic: str) -> bool:
        """Return whether a topic is neither in one of our namespaces nor of a [[gateway]]."""
        if topic.startswith(NAMESPACES):
            return False
        return not any(pattern.fullmatch(topic) for pattern, *_ in self._foreign)

    def _find(self, topic: str) -> Route:
        parts = topic.split("/")
        if parts[0] == sparkplug.NAMESPACE:
            return self._find_sparkplug(parts)
        if topic.startswith(NOBODY + "/"):
            return Route("", Names(), self._codec("hj212", UNKNOWN_LOGGER, ""))
        if len(parts) == 5 and parts[0] in FORMATS and parts[1] == "v1":
            owner = self._owners.get((parts[2], parts[3]))
            if owner is None:
                raise WireError(
                    "unknown_enterprise",
                    f"the model has no enterprise {parts[3]!r} in park {parts[2]!r}",
                )
            row = self._gateway(owner, parts[0], parts[4])
            names = self.names[owner] if row is UNKNOWN else self._renamed(owner, row)
            sender, own = _sender(owner, parts[4]), parts[0] == "park"
            codec = self._codec(parts[0], row, owner)
            return Route(owner, names, codec, own, row.simulated, sender,
                         others=self._others(owner))  # fmt: skip
        for pattern, layout, owner, row in self._foreign:
            match = pattern.fullmatch(topic)
            if match:
                return self._foreign_route(owner, row, layout, match.groupdict().get("tag", ""))
        formats = "|".join(FORMATS)
        raise WireError(
            "bad_topic",
            f"topics are ({formats})/v1/{{park}}/{{enterprise}}/{{gateway}}, or of a [[gateway]]",
        )

    def _foreign_route(self, owner: str, row: GatewaySpec, layout: Layout, tag: str) -> Route:
        """Return where the JSON of a gateway leads; `tag` is the name in its topic."""
        others = self._others(owner)
        codec = partial(json_layout.decode, layout, tag=tag, others=others)
        names, sender = self._renamed(owner, row), _sender(owner, row.id)
        return Route(owner, names, codec, simulated=row.simulated, gateway=sender, others=others)

    def _find_sparkplug(self, topic: list[str]) -> Route:
        """Return where a topic of Sparkplug leads; commands and states lead to no tag."""
        if topic[1:2] == ["STATE"]:
            return Route("", Names(), partial(self._sessions.hear_state, topic))
        kind = topic[2] if len(topic) > 2 else ""
        if len(topic) != KINDS.get(kind) or not all(topic):
            form = "{group}/{type}/{node}[/{device}]"
            raise WireError("bad_topic", f"topics are {sparkplug.NAMESPACE}/{form}")
        if kind.endswith("CMD"):
            return Route("", Names(), _decode_nothing)
        node = self._nodes.get((topic[1], topic[3]))
        if node is None:
            raise WireError(
                "unknown_gateway", f"the model has no gateway of node {topic[3]!r} in {topic[1]!r}"
            )
        device = topic[4] if len(topic) > 4 else ""
        names: Names = MetricNames(node, device)
        codec = partial(self._sessions.decode, topic)
        if kind.endswith("DEATH"):
            names = DeathNames(node)
            codec = partial(_decode_death, codec, names)
        elif kind.endswith("BIRTH"):
            codec = partial(_decode_birth, codec, node, device)
        simulated = (topic[1], topic[3]) in self._simulated
        owner = node.owner(device)
        sender = _sender(owner, topic[3])
        # A node has one session, whoever owns its devices.
        order = _sender(node.owner(), topic[3])
        return Route(owner, names, codec, simulated=simulated, gateway=sender, order=order,
                     others=self._others(owner))  # fmt: skip

    def _others(self, owner: str) -> frozenset[str]:
        """Return the enterprises that an owner is not."""
        return self._enterprises - {owner}

    def _codec(
        self, form: str, gateway: GatewaySpec, owner: str
    ) -> Callable[[bytes, int], Decoded]:
        """Return the codec of one of the FORMATS, for what the model knows of a gateway."""
        if form == "hj212":
            others = frozenset(mn for mn, whose in self._mns.items() if whose != owner)
            return partial(
                hj212.decode_payload,
                self._zone,
                gateway.uoms,
                gateway.mn,
                gateway.password,
                series={},
                others=others,
            )
        if form == "senml":
            return partial(senml.decode, others=self._others(owner))
        return native.decode

    def _gateway(self, owner: str, protocol: str, gateway: str) -> GatewaySpec:
        """Return a gateway of the model, or `UNKNOWN`."""
        protocol = "native" if protocol == "park" else protocol
        for whose, row in self._gateways:
            if (whose, row.protocol, row.id) == (owner, protocol, gateway):
                return row
        return UNKNOWN

    def _renamed(self, owner: str, row: GatewaySpec) -> Names:
        """Return the names of an enterprise with those a gateway uses instead."""
        own = self.names[owner]
        return Names(own | {wire: own[tag] for wire, tag in row.tags.items()})


def _sender(owner: str, name: str) -> str:
    """Return what a gateway is called: topics may hold what the database cannot."""
    return plain(f"{owner}/{name}")[:NAME_CHARACTERS]


def _decode_nothing(_payload: bytes, _received_us: int) -> Decoded:
    return Decoded()


def _decode_birth(
    decode: Callable[[bytes, int], Decoded],
    node: NodeTags,
    device: str,
    payload: bytes,
    received_us: int,
) -> Decoded:
    """Return the values of a birth, with a word about metrics that share a tag."""
    decoded = decode(payload, received_us)
    decoded.refused += [("bad_name", each) for each in node.clashes(device)]
    return decoded


def _decode_death(
    decode: Callable[[bytes, int], Decoded], names: Names, payload: bytes, received_us: int
) -> Decoded:
    """Return the tags whose values end; a metric that is no tag has nothing to lose."""
    decoded = decode(payload, received_us)
    times = [time_us for count, time_us in decoded.runs for _ in range(count)]
    known = [at for at, name in enumerate(decoded.names) if names[name] >= 0]
    return Decoded(
        [decoded.names[at] for at in known],
        [decoded.values[at] for at in known],
        [(1, times[at]) for at in known],
        dict(enumerate(decoded.quality[at] for at in known)),
    )


# Types of Sparkplug messages, and how many segments their topics have.
KINDS = {kind + what: 4 if kind == "N" else 5
         for kind in "ND" for what in ("BIRTH", "DEATH", "DATA", "CMD")}  # fmt: skip
# First segment of a topic ``<format>/v1/{park}/{enterprise}/{gateway}``.
FORMATS = tuple(FIRST.values())
# Topics of ours, what we publish among them.
NAMESPACES = (f"{sparkplug.NAMESPACE}/", "twin/v1/", *(f"{form}/v1/" for form in FORMATS))


def _pattern(topic: str) -> re.Pattern[str]:
    """Return the expression of a topic with ``+`` and a tag for single segments, or for the end."""
    wild = {SEGMENT: "(?P<tag>[^/]+)", TAIL: "(?P<tag>.+)", "+": "[^/]+"}
    parts = (wild.get(part) or re.escape(part) for part in topic.split("/"))
    return re.compile("/".join(parts), re.DOTALL)


# Of a message whose topic leads nowhere.
NO_ROUTE = Route("", Names(), _decode_nothing)
