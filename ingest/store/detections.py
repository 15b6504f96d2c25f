"""Table detection: gross errors that the monitor of the balances has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.database.times import stamp, to_us
from ingest.store.table import Table

if TYPE_CHECKING:
    from twin.reconciliation.detection import Detection

NEWEST = """
SELECT time, cardinality(streams) + cardinality(leaks) AS suspects FROM detection
WHERE component = $1 ORDER BY time DESC LIMIT 1
"""
ADD = """
INSERT INTO detection (time, since, component, streams, leaks, bias, test)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""


class DetectionTable(Table):
    """Table detection."""

    async def newest(self, component: str) -> tuple[int, int] | None:
        """Return time [µs] and number of suspects of the newest detection of a component."""
        rows = await self._fetch(NEWEST, component)
        return (to_us(rows[0]["time"]), rows[0]["suspects"]) if rows else None

    async def add(self, component: str, detection: Detection) -> None:
        """Store a detection; one of the same minute stays as it is."""
        one, times = detection, (stamp(detection.time_us), stamp(detection.since_us))
        await self._fetch(ADD, *times, component, one.lines, one.leaks, one.bias, one.test)
