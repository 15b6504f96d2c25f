"""Gateways of the park model: their protocol, their topic, their names of the tags."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from twin.model.layouts import parse_layout
from twin.model.park import owner_of
from twin.model.rows import RowFault, cell, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twin.model.park import Park

# Columns that each protocol needs.
NEEDS = {
    "native": (),
    "senml": (),
    "json": ("topic", "payload"),
    "hj212": ("mn",),
    "sparkplug": ("group", "node"),
}
# HJ 212-2017 §6.3.3 has 24 characters 0-9 A-F; real loggers have others, and 7 to 24 of them.
MN_MAX = 64
MN = re.compile(rf"[^\s;=,&#]{{1,{MN_MAX}}}\Z")
ID = re.compile(r"[^+/#]+\Z")
# Segments of a topic that stand for the name of a tag: any one of them, or one and all behind it.
SEGMENT, TAIL = "{tag}", "{tag+}"
WILD = ("+", SEGMENT)
# First segment of a topic ``<first>/v1/{park}/{enterprise}/{gateway}``, by the protocol of its row.
FORMATS = {"native": "park", "senml": "senml", "hj212": "hj212"}
SPARKPLUG = "spBv1.0"
ODD = re.compile(r"[+#]|\{tag")


@table
class GatewaySpec:
    """A gateway as the model declares it."""

    id: str = cell("text")
    scope: str = cell("scope")
    protocol: str = cell("one " + " ".join(NEEDS))
    name: dict[str, str] | None = cell("name", default=None)
    topic: str = cell("text", default="")
    payload: dict[str, Any] | str = cell("layout", default="")
    tags: dict[str, str] = cell("each text", default_factory=dict)  # name on the wire = tag
    uoms: dict[str, str] = cell("each text", default_factory=dict)  # code = unit of measure
    group: str = cell("text", default="")
    node: str = cell("text", default="")
    device: str = cell("text", default="")
    mn: str = cell("text", default="")
    password: str = cell("text", default="")
    addresses: tuple[str, ...] = cell("texts", default=())  # from which a data logger calls
    simulated: bool = cell("flag", default=False)


def filters(gateways: Iterable[GatewaySpec]) -> list[str]:
    """Return the topic filters of the gateways with topics of their own.

    A topic that a wider one covers needs none: a broker may send a message for each that fits.
    """
    topics = [row.topic.split("/") for row in gateways if row.protocol == "json"]
    wide = [topic for topic in topics if not any(_wider(each, topic) for each in topics)]
    return [filter_of("/".join(topic)) for topic in wide]


def filter_of(topic: str) -> str:
    """Return the topic filter of a row's topic."""
    return topic.replace(TAIL, "#").replace(SEGMENT, "+")


def networks_of(text: str) -> list[IPv4Network | IPv6Network]:
    """Return the addresses and networks in a text, separated by commas; raises ValueError."""
    return [ip_network(each.strip(), strict=False) for each in text.split(",") if each.strip()]


def check_gateways(park: Park) -> Iterator[RowFault]:
    """Yield gateways without the columns of their protocol or with tags their enterprise lacks."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    tags = {tag.address for tag in park.tags}
    nodes: dict[tuple[str, ...], str] = {}
    loggers: dict[str, str] = {}
    for row in park.rows(GatewaySpec):
        for text in _problems(row):
            yield RowFault(row, text)
        owner = owner_of(row.scope, kinds)
        if row.protocol == "sparkplug":
            key = row.group, row.node, row.device
            if key in nodes:
                yield RowFault(row, f"{'/'.join(filter(None, key))} is {nodes[key]} already")
            nodes[key] = row.id
        elif row.protocol == "hj212" and row.mn:
            if row.mn in loggers:
                yield RowFault(row, f"mn {row.mn} is that of {loggers[row.mn]} already")
            loggers[row.mn] = row.id
        for wire, tag in row.tags.items():
            if f"{owner}/{tag}" not in tags:
                yield RowFault(
                    row, f"tags: {wire!r} stands for {tag!r}, and {owner} has no such tag"
                )
    yield from _deaf(park)


def _deaf(park: Park) -> Iterator[RowFault]:
    """Yield gateways some of whose messages an earlier row takes.

    The first row that fits reads a message; so a narrow topic may stand before a wide one.
    """
    rows = [(row, row.topic.split("/")) for row in park.rows(GatewaySpec) if row.protocol == "json"]
    for at, (row, topic) in enumerate(rows):
        for other, earlier in rows[:at]:
            if overlap(topic, earlier) and not _wider(topic, earlier):
                yield RowFault(
                    row,
                    f"topic {row.topic!r} has messages of {other.topic!r}, which {other.id} reads:"
                    " put the tags of both into one row, or the narrower topic first",
                )
                break


def overlap(first: Sequence[str], second: Sequence[str]) -> bool:
    """Return whether one topic can be both, each given by its segments."""
    for one, other in zip(first, second, strict=False):
        if TAIL in (one, other):
            return True
        if one != other and one not in WILD and other not in WILD:
            return False
    return len(first) == len(second)


def _wider(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Return whether every topic that is `narrow` is `wide` too, and not the other way round."""
    return _covers(wide, narrow) and not _covers(narrow, wide)


def _covers(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Return whether every topic that is `narrow` is `wide` too."""
    for one, other in zip(wide, narrow, strict=False):
        if one == TAIL:
            return True
        if other == TAIL or (one not in WILD and one != other):
            return False
    return len(wide) == len(narrow)


def _problems(row: GatewaySpec) -> Iterator[str]:
    """Yield the problems between the cells of a gateway."""
    missing = [key for key in NEEDS[row.protocol] if not getattr(row, key)]
    if missing:
        yield f"protocol {row.protocol} needs {' and '.join(missing)}"
    elif row.protocol == "json":
        yield from _json_problems(row)
    elif row.protocol == "hj212" and not MN.match(row.mn):
        yield f"mn {row.mn!r}: 1 to {MN_MAX} characters, no blank and none of ; = , & #"
    for each in row.addresses:
        try:
            networks_of(each)
        except ValueError:
            yield f"addresses: {each!r} is none, nor a network like 10.1.0.0/16"
    for key in ("group", "node", "device"):
        if not ID.match(getattr(row, key) or "-"):
            yield f"{key} {getattr(row, key)!r} has one of + / #, which Sparkplug does not allow"


def _json_problems(row: GatewaySpec) -> Iterator[str]:
    """Yield the problems of topic and layout."""
    parts = row.topic.split("/")
    odd = [part for part in parts if part not in (*WILD, TAIL) and ODD.search(part)]
    named = [part for part in parts if part in (SEGMENT, TAIL)]
    wrong = bool(odd) or len(named) > 1 or TAIL in parts[:-1]
    if wrong:
        yield (
            f"topic {row.topic!r}: segments, + for any of them, {SEGMENT} once, or {TAIL} at the"
            " end for it and all behind it, no #"
        )
    try:
        layout = parse_layout(row.payload)
    except ValueError as error:
        yield str(error)
        return
    if wrong or named:
        return
    if layout.value and not layout.tag:
        yield "value needs the tag: under a key `tag`, or {tag} in the topic"
    elif SEGMENT in layout.prefix:
        yield "prefix needs {tag} in the topic"
