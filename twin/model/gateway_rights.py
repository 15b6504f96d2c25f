"""What a gateway may publish and read at the broker, by the topics that the model reads it from.

The topic decides whose values a message has, so that a client that may publish these topics and no
others writes its own enterprise's tags and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twin.errors import ParkError
from twin.model.gateways import (
    FORMATS,
    ID,
    SPARKPLUG,
    TAIL,
    GatewaySpec,
    filter_of,
    overlap,
)
from twin.model.park import owner_of, park_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twin.model.park import Park

# Topics that no row of foreign JSON takes: they lead to whom they name. Derived values are written
# by a park of the model that sends them on.
DERIVED = "twin/v1"
RESERVED = (*(f"{first}/v1/+/+/+" for first in FORMATS.values()), f"{SPARKPLUG}/{TAIL}",
            f"{DERIVED}/{TAIL}")  # fmt: skip
NODE_KINDS = ("NBIRTH", "NDATA", "NDEATH")
DEVICE_KINDS = ("DBIRTH", "DDATA", "DDEATH")


@dataclass(frozen=True, slots=True)
class TopicRights:
    """Topic filters of a client of the broker; nothing else allows what is in `deny`."""

    publish: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def gateway_rights(park: Park, enterprise: str, gateway: str) -> TopicRights:
    """Return what a gateway of an enterprise may do at the broker.

    One that the model does not declare may publish in each format that needs no row, under its
    name. Raises ParkError for one that no message can come from, or whose topics no list of a
    broker can say.
    """
    kinds = {scope.id: scope.kind for scope in park.scopes}
    sites = {
        owner_of(scope.id, kinds): park_of(scope.id, kinds)
        for scope in park.scopes
        if scope.kind in ("region", "park", "enterprise")
    }
    if enterprise not in sites:
        raise ParkError(
            f"the model has no enterprise {enterprise!r}", hint=f"it has {', '.join(sorted(sites))}"
        )
    own = [
        row for row in park.rows(GatewaySpec)
        if (owner_of(row.scope, kinds), row.id) == (enterprise, gateway)
    ]  # fmt: skip
    address = f"v1/{sites[enterprise]}/{enterprise}/{gateway}"
    publish = [f"{first}/{address}" for protocol, first in FORMATS.items()
               if not own or any(row.protocol == protocol for row in own)]  # fmt: skip
    if publish and not ID.match(gateway):
        raise ParkError(f"{gateway!r} cannot stand in a topic: it is empty or has one of + / #")
    read: list[str] = []
    deny: list[str] = []
    for row in own:
        if row.protocol == "sparkplug":
            _require_node(park, row, kinds)
            publish += _node_topics(row)
            read += [f"{SPARKPLUG}/{row.group}/NCMD/{row.node}", f"{SPARKPLUG}/STATE/+",
                     f"{SPARKPLUG}/{row.group}/DCMD/{row.node}/+"]  # fmt: skip
        elif row.protocol == "json":
            publish.append(filter_of(row.topic))
            deny += _not_of(park, row, own)
    _require_plain(gateway, (*publish, *read, *deny))
    return TopicRights(*(tuple(dict.fromkeys(each)) for each in (publish, read, deny)))


def _node_topics(row: GatewaySpec) -> Iterator[str]:
    """Yield the topics that an edge node publishes, with those of all its devices."""
    yield from (f"{SPARKPLUG}/{row.group}/{kind}/{row.node}" for kind in NODE_KINDS)
    yield from (f"{SPARKPLUG}/{row.group}/{kind}/{row.node}/+" for kind in DEVICE_KINDS)


def _require_node(park: Park, row: GatewaySpec, kinds: dict[str, str]) -> None:
    """Raise ParkError for a device: its edge node is the client of the broker.

    That is the row without a device, else the first one of the node, which has its deaths, too.
    """
    rows = [
        each for each in park.rows(GatewaySpec)
        if each.protocol == "sparkplug" and (each.group, each.node) == (row.group, row.node)
    ]  # fmt: skip
    client = next((each for each in rows if not each.device), rows[0])
    owner = owner_of(client.scope, kinds)
    if (client.id, owner) != (row.id, owner_of(row.scope, kinds)):
        raise ParkError(
            f"{row.id} is a device of the edge node {row.group}/{row.node}, which speaks for it",
            hint=f"the credential is that of {owner} {client.id}",
        )


def _not_of(park: Park, row: GatewaySpec, own: Sequence[GatewaySpec]) -> Iterator[str]:
    """Yield what the filter of a topic with wildcards covers and its row does not read.

    The first row that fits reads a message, and topics of ours come before all rows.
    """
    topic = row.topic.split("/")
    if topic[-1] == TAIL and len(topic) > 1:
        # Of the broker `a/#` is `a` as well.
        yield filter_of("/".join(topic[:-1]))
    for reserved in RESERVED:
        is_own = reserved.startswith(DERIVED) and row.topic.startswith(DERIVED)
        if not is_own and overlap(topic, reserved.split("/")):
            yield filter_of(reserved)
    for other in park.rows(GatewaySpec):
        if other is row:
            return
        if other.protocol == "json" and other not in own and overlap(topic, other.topic.split("/")):
            yield filter_of(other.topic)


def _require_plain(gateway: str, filters: Iterable[str]) -> None:
    """Raise ParkError for a filter that cannot stand in a list of a broker."""
    for each in filters:
        if each.startswith("$") or each != each.strip() or not each.isprintable():
            raise ParkError(
                f"the topic {each!r} of {gateway} cannot stand in an access list",
                hint="it begins with $, begins or ends with a blank, or has signs of no width",
            )
