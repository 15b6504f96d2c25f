"""Tables detection and held_back: what the monitor of the balances found, and when it could not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.database.times import stamp, to_us
from ingest.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twin.reconciliation.detection import Detection, HeldBack

NEWEST = """
SELECT DISTINCT ON (component) component, time,
    cardinality(streams) + cardinality(leaks) AS suspects
FROM detection ORDER BY component, time DESC
"""
ADD = """
INSERT INTO detection (time, since, component, streams, leaks, bias, test, shape, rate)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""
HOLD = """
WITH longer AS (
    UPDATE held_back SET until = $2, minutes = minutes + 1, test = greatest(test, $4),
        streams = streams || ARRAY(
            SELECT s FROM unnest($3::text[]) WITH ORDINALITY u(s, at) WHERE s <> ALL (streams)
            ORDER BY at)
    WHERE component = $1 AND until < $2 AND until >= $2 - interval '5 min'
    RETURNING 1)
INSERT INTO held_back (component, since, until, minutes, streams, test)
SELECT $1, $2 - interval '1 min', $2, 1, $3, $4
WHERE NOT EXISTS (SELECT FROM longer)
  AND NOT EXISTS (SELECT FROM held_back WHERE component = $1 AND until >= $2)
"""


class DetectionTable(Table):
    """Tables detection and held_back."""

    async def newest(self) -> dict[str, tuple[int, int]]:
        """Return time [µs] and number of suspects of the newest detection of each component."""
        return {row[0]: (to_us(row[1]), row[2]) for row in await self._fetch(NEWEST)}

    async def add(self, component: str, detection: Detection) -> None:
        """Store a detection; one of the same minute stays as it is."""
        one, times = detection, (stamp(detection.time_us), stamp(detection.since_us))
        numbers = one.bias, one.test, one.shape, one.rate
        await self._fetch(ADD, *times, component, one.lines, one.leaks, *numbers)

    async def hold(self, component: str, minutes: Iterable[HeldBack]) -> None:
        """Store minutes in which tests were held back, in order of time; each counts once."""
        for each in minutes:
            await self._fetch(HOLD, component, stamp(each.time_us), each.streams, each.test)
