"""Table register_fall: falls of counters of unknown rise, and what operators say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.database.times import stamp, stamps
from ingest.store.table import Table, columns_of
from twin.arrays import DAY_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.arrays import I64
    from twin.series.counters import Fall

ROWS_MAX = 10_000
# An archived reading further away is no neighbour.
FAR_US = 750 * DAY_US

# Counters of the twin itself begin anew with each start, and nobody replaces them.
UPSERT = """
INSERT INTO register_fall (tag_id, since, before, time, after)
SELECT n.* FROM unnest($1::int[], $2::timestamptz[], $3::float8[], $4::timestamptz[], $5::float8[])
    AS n (tag_id, since, before, time, after) JOIN tag t USING (tag_id) WHERE t.source = 'measured'
ON CONFLICT (tag_id, time) DO UPDATE
SET since = excluded.since, before = excluded.before, after = excluded.after
"""
FORGET = """
DELETE FROM register_fall WHERE id IN (
    SELECT id FROM register_fall ORDER BY answer IS NULL DESC, time DESC OFFSET $1)
"""
# Falls of intervals that are explained now; those with an answer stay.
EXPLAINED = """
DELETE FROM register_fall f USING unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    AS w (tag_id, start, stop)
WHERE f.tag_id = w.tag_id AND f.time >= w.start AND f.time < w.stop AND f.answer IS NULL
    AND (f.tag_id, f.time) NOT IN (SELECT * FROM unnest($4::int[], $5::timestamptz[]))
"""
FIND = "SELECT * FROM register_fall WHERE id = $1"
# The unanswered fall of a tag in which a time lies.
FIND_AT = """
SELECT * FROM register_fall WHERE tag_id = $1 AND since <= $2 AND time >= $2 AND answer IS NULL
ORDER BY time LIMIT 1
"""
ANSWER = "UPDATE register_fall SET answer = $2, answered = now(), command = $3 WHERE id = $1"
# The readings between which a time lies, as far as they are true ones.
AROUND = """
(SELECT 'before' AS side, time, value FROM sample WHERE tag_id = $1 AND time <= $2
    AND quality < 128 AND quality & 223 <> 75 ORDER BY time DESC LIMIT 1)
UNION ALL
(SELECT 'after', time, value FROM sample WHERE tag_id = $1 AND time > $2
    AND quality < 128 ORDER BY time LIMIT 1)
"""
LIST = """
SELECT f.id, t.enterprise, t.tag, t.uom, f.since, f.time, f.answer,
    (f.before - t.shift) / t.scale AS before, (f.after - t.shift) / t.scale AS after
FROM register_fall f JOIN tag t USING (tag_id) WHERE $1 OR f.answer IS NULL
ORDER BY f.answer IS NOT NULL, f.time DESC LIMIT $2
"""


class RegisterFallTable(Table):
    """Table register_fall; its rows have the columns of the schema."""

    async def add(self, falls: Sequence[Fall]) -> None:
        """Write falls down; the oldest ones beyond `ROWS_MAX` go, those with an answer first."""
        if falls:
            tag, since_us, before, time_us, after = columns_of(falls)
            ids = self._store.tag_id[tag].tolist()
            await self._fetch(
                UPSERT, ids, [*map(stamp, since_us)], before, [*map(stamp, time_us)], after
            )
            await self._fetch(FORGET, ROWS_MAX)

    async def renew(self, tag: I64, start: I64, stop: I64, falls: Sequence[Fall]) -> None:
        """Let the falls of tags in intervals be these; others without an answer are explained."""
        ids = self._store.tag_id
        known = [int(ids[fall.tag]) for fall in falls], [stamp(fall.time_us) for fall in falls]
        await self._fetch(EXPLAINED, ids[tag].tolist(), stamps(start), stamps(stop), *known)
        await self.add(falls)

    async def find(self, number: int) -> Any:
        """Return one fall; None when there is none of this number."""
        rows = await self._fetch(FIND, number)
        return rows[0] if rows else None

    async def find_at(self, tag: int, time_us: int) -> Any:
        """Return the fall of a tag in which a time lies, as far as it has no answer; or None."""
        rows = await self._fetch(FIND_AT, int(self._store.tag_id[tag]), stamp(time_us))
        return rows[0] if rows else None

    async def readings_around(self, tag: int, time_us: int) -> dict[str, Any]:
        """Return the stored readings `before` and `after` a time, as far as there are any."""
        number = self._store.tag_id[tag : tag + 1]
        behind = np.array([time_us + 1])
        await self._store.archive.recall_around(number, np.ones(1, bool), behind, behind, FAR_US)
        rows = await self._fetch(AROUND, int(number[0]), stamp(time_us))
        return {row["side"]: row for row in rows}

    async def answer(self, number: int, answer: str, command: int) -> None:
        """Write down the answer to a fall, given by a command."""
        await self._fetch(ANSWER, number, answer, command)

    async def newest(self, limit: int, *, everything: bool) -> list[Any]:
        """Return rows for a listing, those without an answer first, then the newest."""
        return await self._fetch(LIST, everything, limit)
