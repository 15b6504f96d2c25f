"""The truth of a scenario: the rows that detections are scored against."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from twin.uom import compile_uom

if TYPE_CHECKING:
    from simulators.scenarios.overlay import Overlay
    from simulators.scenarios.script import ScriptEvent


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition from start to stop; texts are empty where they do not apply."""

    id: str
    kind: str
    tag: str
    stream: str
    scope: str
    start_us: int
    stop_us: int
    size: float | None
    uom: str


def truths(overlay: Overlay) -> tuple[Truth, ...]:
    """Return the events of a scenario, and the intervals in which tank farms are full."""
    rows = [_of_event(overlay, event) for event in overlay.script.events]
    before = 0.0
    for farm, intervals in zip(overlay.farms, overlay.full, strict=True):
        for interval in intervals:
            rows.append(
                Truth(
                    id=f"{farm.scope}:full",
                    kind="full",
                    tag="",
                    stream="",
                    scope=farm.scope,
                    start_us=_us(overlay, interval.start_s),
                    stop_us=_us(overlay, interval.stop_s),
                    # The surplus that went to the absorber.
                    size=(interval.lost - before) / compile_uom("t", "mass")[0],
                    uom="t",
                )
            )
            before = interval.lost
        before = 0.0
    return tuple(rows)


def encode(rows: tuple[Truth, ...]) -> bytes:
    """Encode rows of truth as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=1).encode() + b"\n"


def _of_event(overlay: Overlay, event: ScriptEvent) -> Truth:
    park = overlay.process.plant.park
    size, _, uom = event.size_text.partition(" ")
    return Truth(
        id=event.id,
        kind=event.kind,
        tag=event.tag,
        stream=next((s.id for s in park.streams if event.tag and s.flow == event.tag), ""),
        scope=event.scope,
        start_us=_us(overlay, event.start_s),
        stop_us=_us(overlay, event.stop_s),
        size=float(size) if size else None,
        uom=uom or event.uom,
    )


def _us(overlay: Overlay, since_s: float) -> int:
    return overlay.origin_us + round(float(since_s) * 1e6)
