"""Where a topic leads: to an enterprise's tags, by a codec, under the names of a gateway."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from deploy.database.times import plain
from ingest.routing.sparkplug_session import SparkplugSessions
from ingest.wire import Decoded, WireError, hj212, json_layout, native, senml, sparkplug
from twin.model.gateways import SEGMENT, TAIL, GatewaySpec
from twin.model.layouts import parse_layout
from twin.model.park import Tag, owner_of, park_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twin.model.layouts import Layout
    from twin.model.park import Park

# Routes are kept by topic; senders choose the topics, so there is an end to it.
ROUTES_MAX = 10_000
NAME_CHARACTERS = 200
# Where packets go that no logger of the model sent: to be rejected with what is wrong with them.
NOBODY = "hj212/v1/-/-"
UNKNOWN = GatewaySpec("", "", "native")
UNKNOWN_LOGGER = GatewaySpec("", "", "hj212", mn="-")


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


class MetricNames(Names):
    """Names of Sparkplug metrics: a tag's is what follows the last slash, unless said otherwise."""

    def __missing__(self, name: str) -> int:
        return self.get(name.rpartition("/")[2], -1)


# The owner and the names of an edge node's devices; those of the node itself have none before.
Home = dict[str, tuple[str, Names]]


class DeathNames(Names):
    """Names of all metrics of an edge node, which are ``{device}/{metric}`` in its death."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home

    def __missing__(self, name: str) -> int:
        device, _, metric = name.partition("/")
        return _names_of_device(self._home, device)[1][metric]


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


class TopicTable:
    """The tags a gateway may write, as columns, and the way from a topic to them."""

    def __init__(
        self, park: Park, tags: Sequence[Tag], sessions: SparkplugSessions | None = None
    ) -> None:
        kinds = {scope.id: scope.kind for scope in park.scopes}
        self.names: dict[str, Names] = {}
        for i, tag in enumerate(tags):
            # Derived tags are ours: a gateway cannot write them.
            if tag.source != "derived":
                self.names.setdefault(tag.owner, Names())[tag.tag] = i
        self._owners: dict[tuple[str, str], str] = {}
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
        self._homes: dict[tuple[str, str], Home] = {}
        self._simulated: set[tuple[str, str]] = set()
        for owner, row in self._gateways:
            if row.protocol == "sparkplug":
                home = self._homes.setdefault((row.group, row.node), {})
                home[row.device] = owner, MetricNames(self._renamed(owner, row))
                if row.simulated:
                    self._simulated.add((row.group, row.node))
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
                tag = match.groupdict().get("tag", "") if match else topic.rpartition("/")[2]
                return self._foreign_route(owner, row, parse_layout(row.payload), tag)
            codec = self._codec(row.protocol, row)
            names, sender = self._renamed(owner, row), _sender(owner, row.id)
            return Route(owner, names, codec, simulated=row.simulated, gateway=sender)
        known = ", ".join(row.id for _, row in self._gateways) or "none"
        raise WireError("unknown_gateway", f"the model has no gateway {gateway!r}; it has {known}")

    def order(self, topic: str) -> str:
        """Return the gateway whose messages, this one among them, are read in their order."""
        try:
            route = self.route(topic)
        except WireError:
            return ""
        return route.order or route.gateway

    def _find(self, topic: str) -> Route:
        parts = topic.split("/")
        if parts[0] == sparkplug.NAMESPACE:
            return self._find_sparkplug(parts)
        if topic.startswith(NOBODY + "/"):
            return Route("", Names(), self._codec("hj212", UNKNOWN_LOGGER))
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
            return Route(owner, names, self._codec(parts[0], row), own, row.simulated, sender)
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
        codec = partial(json_layout.decode, layout, tag=tag)
        names, sender = self._renamed(owner, row), _sender(owner, row.id)
        return Route(owner, names, codec, simulated=row.simulated, gateway=sender)

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
        home = self._homes.get((topic[1], topic[3]))
        if home is None:
            raise WireError(
                "unknown_gateway", f"the model has no gateway of node {topic[3]!r} in {topic[1]!r}"
            )
        owner, names = _names_of_device(home, topic[4] if len(topic) > 4 else "")
        codec = partial(self._sessions.decode, topic)
        if kind.endswith("DEATH"):
            names = DeathNames(home)
            codec = partial(_decode_death, codec, names)
        simulated = (topic[1], topic[3]) in self._simulated
        sender = _sender(owner, topic[3])
        # A node has one session, whoever owns its devices.
        order = _sender(next(iter(home.values()))[0], topic[3])
        return Route(owner, names, codec, simulated=simulated, gateway=sender, order=order)

    def _codec(self, form: str, gateway: GatewaySpec) -> Callable[[bytes, int], Decoded]:
        """Return the codec of one of the FORMATS, for what the model knows of a gateway."""
        if form == "hj212":
            return partial(
                hj212.decode_payload, self._zone, gateway.uoms, gateway.mn, gateway.password
            )
        return senml.decode if form == "senml" else native.decode

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


def _names_of_device(home: Home, device: str) -> tuple[str, Names]:
    """Return owner and names of a device: its own, else those of its node, else none at all."""
    return home.get(device) or home.get("") or (next(iter(home.values()))[0], Names())


def _decode_nothing(_payload: bytes, _received_us: int) -> Decoded:
    return Decoded()


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
FORMATS = ("park", "senml", "hj212")


def _pattern(topic: str) -> re.Pattern[str]:
    """Return the expression of a topic with ``+`` and a tag for single segments, or for the end."""
    wild = {SEGMENT: "(?P<tag>[^/]+)", TAIL: "(?P<tag>.+)", "+": "[^/]+"}
    parts = (wild.get(part) or re.escape(part) for part in topic.split("/"))
    return re.compile("/".join(parts), re.DOTALL)


# Of a message whose topic leads nowhere.
NO_ROUTE = Route("", Names(), _decode_nothing)
