"""Which presets of layouts read a payload: for what comes from a gateway that nobody declared."""

from __future__ import annotations

import math
from typing import NamedTuple

from ingest.wire import WireError, json_layout
from twin.model.layouts import PRESETS, parse_layout

# Of layouts whose times have no offset: which zone it is makes no difference to whether they fit.
ZONE = "UTC"
# Last segments of topics that say what a message is, not whose.
KINDS = {"SENSOR", "STATE", "RESULT"}


# How the topics of senders begin whose payloads have no form of their own, by preset.
TOPICS = {"tasmota": "tele/", "zigbee2mqtt": "zigbee2mqtt/"}


class Fit(NamedTuple):
    """How well a preset reads a payload; the best is the greatest."""

    dated: bool  # its times are in the payload
    whole: bool  # nothing was refused
    usual: bool  # its topic is not that of another sender
    order: int  # of the presets: those of certain senders come before the general ones


def tag_of(topic: str) -> str:
    """Return the segment of a topic that a tag would have its name from."""
    return next((each for each in reversed(topic.split("/")) if each not in KINDS), "")


def guess(topic: str, payload: bytes) -> list[str]:
    """Return the names of the presets that find a value in a payload, the best first."""
    fits = {}
    for order, name in enumerate(PRESETS):
        fit = _fit(name, topic, payload, -order)
        if fit is not None:
            fits[name] = fit
    return sorted(fits, key=fits.__getitem__, reverse=True)


def _fit(name: str, topic: str, payload: bytes, order: int) -> Fit | None:
    """Return how well a preset reads a payload; None when it finds no value."""
    layout = parse_layout({"timezone": ZONE, "preset": name})
    try:
        decoded = json_layout.decode(layout, payload, 0, tag=tag_of(topic))
    except WireError:
        return None
    if not any(map(math.isfinite, decoded.values)) or not any(decoded.names):
        return None
    dated = all(time_us for count, time_us in decoded.runs if count)
    usual = topic.startswith(TOPICS.get(name, ""))
    return Fit(dated, not decoded.refused, usual, order)
