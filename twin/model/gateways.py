"""Gateways that park.toml declares: whose they are, what they call the tags, how to read them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
# What each protocol must be told beside the enterprise.
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


@dataclass(frozen=True, slots=True)
class Layout:
    """How a JSON document of another maker is read: keys, dots lead inward; empty = not there.

    Either `values` names an object of tag: value, or `value` names one value, whose tag is the
    topic's ``{tag}`` or the text under `tag`. `records` names a list of such objects; without it
    the document is one, or a list of them.
    """

    records: str = ""
    time: str = ""  # empty: the moment of arrival
    time_format: str = "ms"  # s, ms, us, ns or iso
    tag: str = ""
    value: str = ""
    values: str = ""
    quality: str = ""  # of one value: its word or code


def parse_layout(payload: Any) -> Layout:
    """Return the layout of a table; raises ValueError with what is wrong."""
    known = {field.name for field in fields(Layout)}
    if not isinstance(payload, dict) or not all(isinstance(v, str) for v in payload.values()):
        raise ValueError(f"a payload layout is a table of texts: {', '.join(sorted(known))}")
    if set(payload) - known:
        raise ValueError(f"{min(set(payload) - known)!r} is not one of {', '.join(sorted(known))}")
    layout = Layout(**payload)
    if (layout.value == "") == (layout.values == ""):
        raise ValueError("a payload layout needs either value or values")
    if layout.time_format not in (*PER_SECOND, "iso"):
        forms = ", ".join((*PER_SECOND, "iso"))
        raise ValueError(f"time_format {layout.time_format!r} is not one of {forms}")
    return layout


def filters(gateways: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what to subscribe to for the gateways with topics of their own."""
    return [row["topic"].replace("{tag}", "+") for row in gateways if row["protocol"] == "json"]


def gateway_problems(values: dict[str, Any]) -> list[str]:
    """Return what is wrong with the cells of a ``[[gateway]]``."""
    missing = [key for key in NEEDS[values["protocol"]] if key not in values]
    if missing:
        return [f"protocol {values['protocol']} needs {' and '.join(missing)}"]
    problems = []
    if values["protocol"] == "json":
        topic = values["topic"]
        if not TOPIC.match(topic) or topic.count("{tag}") > 1:
            problems.append(f"topic {topic!r}: segments, + for any of them, {{tag}} once, no #")
        try:
            layout = parse_layout(values["payload"])
        except ValueError as error:
            problems.append(str(error))
        else:
            if layout.value and not layout.tag and "{tag}" not in topic.split("/"):
                problems.append("value needs the tag: under a key `tag`, or {tag} in the topic")
    if values["protocol"] == "hj212" and not MN.match(values["mn"]):
        problems.append(f"mn {values['mn']!r} is not 24 characters 0-9 A-F")
    problems.extend(
        f"{key} {values[key]!r} has one of + / #, which Sparkplug does not allow"
        for key in ("group", "node", "device")
        if not ID.match(values.get(key, "-"))
    )
    tags = values.get("tags", {})
    if not all(isinstance(tag, str) for tag in tags.values()):
        problems.append("tags is a table of name on the wire = tag")
    if not all(isinstance(uom, str) for uom in values.get("uoms", {}).values()):
        problems.append("uoms is a table of code = unit of measure")
    return problems
