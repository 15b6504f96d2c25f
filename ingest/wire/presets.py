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


class Fit(NamedTuple):
    """How well a preset reads a payload; the best is the greatest."""

    dated: bool  # its times are in the payload
    whole: bool  # nothing was refused
    values: int
    order: int  # of the presets, the last is the least


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
    values = sum(map(math.isfinite, decoded.values))
    if not values or not any(decoded.names):
        return None
    return Fit(bool(layout.time), not decoded.refused, values, order)
