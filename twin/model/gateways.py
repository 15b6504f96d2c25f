"""Gateways of the park model: their protocol, their names of the tags, the layout of their JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from twin.model.park import owner_of
from twin.model.rows import Known, RowFault, cell, parse_row, table
from twin.quality_vocabularies import VOCABULARIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twin.model.park import Park

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# Columns that each protocol needs.
NEEDS = {
    "native": (),
    "senml": (),
    "json": ("topic", "payload"),
    "hj212": ("mn",),
    "sparkplug": ("group", "node"),
}
# HJ 212-2017 §6.3.3: MN is 24 characters 0-9 A-F.
MN = re.compile(r"[0-9A-F]{24}\Z")
ID = re.compile(r"[^+/#]+\Z")
TOPIC = re.compile(r"[^#]+\Z")


@table
class Layout:
    """The keys of a JSON document of another maker; dots lead inward, empty = absent.

    Either `values` names an object of tag: value, or `value` names one value, whose tag is the
    topic's ``{tag}`` or the text under `tag`. `records` names a list of such objects; without it
    the document is one, or a list of them.
    """

    records: str = cell("text", default="")
    time: str = cell("text", default="")  # empty: the moment of arrival
    time_format: str = cell("one " + " ".join((*PER_SECOND, "iso")), default="ms")
    tag: str = cell("text", default="")
    value: str = cell("text", default="")
    values: str = cell("text", default="")
    quality: str = cell("text", default="")  # of one value
    qualities: str = cell("one " + " ".join(VOCABULARIES), default="words")


@table
class GatewaySpec:
    """A gateway as the model declares it."""

    id: str = cell("text")
    scope: str = cell("scope")
    protocol: str = cell("one " + " ".join(NEEDS))
    name: dict[str, str] | None = cell("name", default=None)
    topic: str = cell("text", default="")
    payload: dict[str, Any] = cell("table", default_factory=dict)
    tags: dict[str, str] = cell("each text", default_factory=dict)  # name on the wire = tag
    uoms: dict[str, str] = cell("each text", default_factory=dict)  # code = unit of measure
    group: str = cell("text", default="")
    node: str = cell("text", default="")
    device: str = cell("text", default="")
    mn: str = cell("text", default="")
    password: str = cell("text", default="")
    simulated: bool = cell("flag", default=False)


def parse_layout(payload: dict[str, Any]) -> Layout:
    """Return the layout of a table; raises ValueError with all its problems."""
    problems: list[str] = []
    layout = parse_row(payload, Layout, Known(), lambda _, text: problems.append(text))
    if layout is not None and (layout.value == "") == (layout.values == ""):
        problems.append("needs either value or values")
    if layout is None or problems:
        raise ValueError("payload: " + "; ".join(problems))
    return layout


def filters(gateways: Iterable[GatewaySpec]) -> list[str]:
    """Return the topic filters of the gateways with topics of their own."""
    return [row.topic.replace("{tag}", "+") for row in gateways if row.protocol == "json"]


def check_gateways(park: Park) -> Iterator[RowFault]:
    """Yield gateways without the columns of their protocol or with tags their enterprise lacks."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    tags = {tag.address for tag in park.tags}
    nodes: dict[tuple[str, ...], str] = {}
    for row in park.rows(GatewaySpec):
        for text in _problems(row):
            yield RowFault(row, text)
        owner = owner_of(row.scope, kinds)
        if row.protocol == "sparkplug":
            key = row.group, row.node, row.device
            if key in nodes:
                yield RowFault(row, f"{'/'.join(filter(None, key))} is {nodes[key]} already")
            nodes[key] = row.id
        for wire, tag in row.tags.items():
            if f"{owner}/{tag}" not in tags:
                yield RowFault(
                    row, f"tags: {wire!r} stands for {tag!r}, and {owner} has no such tag"
                )


def _problems(row: GatewaySpec) -> Iterator[str]:
    """Yield the problems between the cells of a gateway."""
    missing = [key for key in NEEDS[row.protocol] if not getattr(row, key)]
    if missing:
        yield f"protocol {row.protocol} needs {' and '.join(missing)}"
    elif row.protocol == "json":
        yield from _json_problems(row)
    elif row.protocol == "hj212" and not MN.match(row.mn):
        yield f"mn {row.mn!r} is not 24 characters 0-9 A-F"
    for key in ("group", "node", "device"):
        if not ID.match(getattr(row, key) or "-"):
            yield f"{key} {getattr(row, key)!r} has one of + / #, which Sparkplug does not allow"


def _json_problems(row: GatewaySpec) -> Iterator[str]:
    """Yield the problems of topic and layout."""
    if not TOPIC.match(row.topic) or row.topic.count("{tag}") > 1:
        yield f"topic {row.topic!r}: segments, + for any of them, {{tag}} once, no #"
    try:
        layout = parse_layout(row.payload)
    except ValueError as error:
        yield str(error)
    else:
        if layout.value and not layout.tag and "{tag}" not in row.topic.split("/"):
            yield "value needs the tag: under a key `tag`, or {tag} in the topic"
