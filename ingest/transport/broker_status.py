"""What the broker reports about itself: what it holds, and what it has dropped.

A broker acknowledges a QoS 1 message although the queue it belongs into is full, and drops it; its
own reports are the only place where that is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.settings import IngestSettings

# Health tag of ingest, and the topic of its report below the prefix, as Mosquitto names it.
REPORTS = {
    "broker_dropped": "publish/messages/dropped",
    "broker_messages": "store/messages/count",
    "broker_bytes": "store/messages/bytes",
    "broker_clients": "clients/connected",
}
UNKNOWN = float("nan")


class BrokerStatus:
    """The newest reports of the broker; NaN for what it has not reported on this connection."""

    def __init__(self, settings: IngestSettings) -> None:
        prefix = settings.broker_status
        self._names = {f"{prefix}/{topic}": name for name, topic in REPORTS.items() if prefix}
        self._limits = {
            "broker_bytes": settings.broker_queue_bytes,
            "broker_messages": settings.broker_queue_messages,
        }
        self._values: dict[str, float] = {}

    @property
    def topics(self) -> list[str]:
        """What to subscribe to."""
        return list(self._names)

    def take(self, topic: str, payload: bytes) -> bool:
        """Return whether a message is a report, after taking it."""
        name = self._names.get(topic)
        if name is not None and payload.isdigit():
            self._values[name] = float(payload)
        return name is not None

    def forget(self) -> None:
        """Know nothing: the connection is lost."""
        self._values.clear()

    def gauges(self) -> dict[str, float]:
        """Return the reports by health tag, and how full the queue of one session can be [1]."""
        known = self._limits.keys() & self._values.keys()
        shares = [self._values[name] / limit for name in known if (limit := self._limits[name])]
        values = {name: self._values.get(name, UNKNOWN) for name in REPORTS}
        return {**values, "broker_queue": max(shares, default=UNKNOWN)}
