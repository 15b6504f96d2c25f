"""Table notify: who has been told of which alarms; and the journal they are told from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deploy.database.times import stamp
from ingest.store.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

# Who is new owes nothing of the past.
BEGIN = """
INSERT INTO notify (id, seen) SELECT $1, coalesce(max(id), 0) FROM alarm_event
ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING seen, owed
"""
KEEP = """
UPDATE notify SET seen = $2, owed = $3, sent = sent + $4, alarms = alarms + $5,
    failed = failed + $6,
    dropped = dropped + $7, problem = $8, changed = now(),
    last = CASE WHEN $4 > 0 THEN now() ELSE last END
WHERE id = $1
"""
NEWER = """
SELECT id, time, recorded, alarm, value, quality FROM alarm_event
WHERE id > $1 AND time > $2 AND after = 'unacknowledged' ORDER BY id LIMIT $3
"""
OF_NUMBERS = """
SELECT id, time, recorded, alarm, value, quality FROM alarm_event
WHERE id = ANY($1::bigint[]) AND time > $2 ORDER BY id
"""


class NotifyCount(NamedTuple):
    """What is added to the counts of a row."""

    sent: int = 0
    alarms: int = 0
    failed: int = 0
    dropped: int = 0


class NotifyTable(Table):
    """Table notify, and annunciations of the journal as rows."""

    async def retain(self, rows: Sequence[str]) -> None:
        """Forget the rows that the model has no longer."""
        await self._fetch("DELETE FROM notify WHERE id <> ALL($1::text[])", list(rows))

    async def begin(self, row: str) -> tuple[int, list[int]]:
        """Return until where a row has looked at the journal, and what it owes."""
        ((seen, owed),) = await self._fetch(BEGIN, row)
        return seen, list(owed)

    async def keep(
        self, row: str, seen: int, owed: Sequence[int], tally: NotifyCount, problem: str
    ) -> None:
        """Write down what a row owes."""
        await self._fetch(KEEP, row, seen, list(owed), *tally, problem)

    async def newer(self, seen: int, oldest_us: int, limit: int) -> list[Any]:
        """Return the annunciations after a number of the journal, none before a time [µs]."""
        return await self._fetch(NEWER, seen, stamp(oldest_us), limit)

    async def of_numbers(self, numbers: Sequence[int], oldest_us: int) -> list[Any]:
        """Return annunciations by their numbers, none before a time [µs]."""
        return await self._fetch(OF_NUMBERS, list(numbers), stamp(oldest_us))
