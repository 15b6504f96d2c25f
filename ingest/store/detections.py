"""Table detection: gross errors that the monitor of the balances has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.database.times import stamp, to_us
from ingest.store.table import Table

if TYPE_CHECKING:
    from twin.reconciliation.detection import Detection

NEWEST = """
SELECT DISTINCT ON (component) component, time,
    cardinality(streams) + cardinality(leaks) AS suspects
FROM detection ORDER BY component, time DESC
"""
ADD = """
INSERT INTO detection (time, since, component, streams, leaks, bias, test, shape, rate)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""


class DetectionTable(Table):
    """Table detection."""

    async def newest(self) -> dict[str, tuple[int, int]]:
        """Return time [µs] and number of suspects of the newest detection of each component."""
        return {row[0]: (to_us(row[1]), row[2]) for row in await self._fetch(NEWEST)}

    async def add(self, component: str, detection: Detection) -> None:
        """Store a detection; one of the same minute stays as it is."""
        one, times = detection, (stamp(detection.time_us), stamp(detection.since_us))
        numbers = one.bias, one.test, one.shape, one.rate
        await self._fetch(ADD, *times, component, one.lines, one.leaks, *numbers)
