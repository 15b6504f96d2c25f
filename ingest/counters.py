"""What ingest counts about itself; stored as tags ``<root>/ingest.*`` and charted like any."""

from __future__ import annotations

from collections import Counter

from twin.model import Tag

REASONS = {
    "rejected": (
        "bad_json",
        "bad_shape",
        "bad_time",
        "bad_quality",
        "wrong_type",
        "wrong_uom",
        "not_finite",
        "too_large",
        "bad_topic",
        "unknown_enterprise",
    ),
    "quarantined": ("unknown_tag", "future"),
}
COUNTERS = (
    "messages",
    "bytes",
    "samples",
    "duplicates",
    "corrections",
    "late",
    "restated",
    "dropped",
    "cycles",
    "retries",
    "reconnects",
    *(f"{group}.{reason}" for group, reasons in REASONS.items() for reason in reasons),
)
GAUGES = {"lag": ("time", "s"), "cycle_duration": ("time", "s"), "inbox": ("count", "")}
HEALTH = (*COUNTERS, *GAUGES, "connected")


class Counters(Counter[str]):
    """Counts since the start; one name for each entry of `COUNTERS`."""


def health_tags(root: str, gap_s: float) -> tuple[Tag, ...]:
    """Return the tags of ingest's own health, in the order of `HEALTH`."""

    def tag(name: str, quantity: str, uom: str, kind: str) -> Tag:
        return Tag(
            tag=f"ingest.{name}",
            owner=root,
            scope=root,
            quantity=quantity,
            uom=uom,
            kind=kind,
            scale=1.0,
            shift=0.0,
            description=f"ingest: {name.replace('_', ' ').replace('.', ', ')}",
            source="derived",
            gap_s=gap_s,
        )

    return (
        *(tag(name, "count", "", "counter") for name in COUNTERS),
        *(tag(name, *GAUGES[name], "gauge") for name in GAUGES),
        tag("connected", "state", "", "state"),
    )
