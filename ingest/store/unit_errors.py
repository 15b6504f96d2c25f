"""Table unit_error: suspected unit errors, and the samples that an answer corrects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.database.times import stamp, to_us
from ingest.store.table import Table, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.archive.layout import Columns
    from twin.arrays import BOOL, I64

# Of each tag, the open suspicion and the newest one after which another level is right.
LATEST = """
SELECT DISTINCT ON (tag_id, state = 'open') * FROM unit_error
WHERE tag_id = ANY($1::int[]) AND (state IN ('open', 'learnt') OR answer = 'dismiss')
ORDER BY tag_id, state = 'open', since DESC
"""
UPSERT = upsert(
    "unit_error",
    "tag_id int, since timestamptz, last timestamptz, samples bigint, factor float8,"
    " shift float8, level float8, spread float8, state text",
    "tag_id, since",
    "last, samples, state",
)
FORGET = """
DELETE FROM unit_error WHERE id IN (
    SELECT id FROM unit_error WHERE state <> 'open' ORDER BY since DESC OFFSET $1)
"""
END_OTHERS = (
    "UPDATE unit_error SET state = 'ended' WHERE state = 'open' AND id <> ALL($1::bigint[])"
)
FIND = "SELECT * FROM unit_error WHERE id = $1"
ANSWERED = "SELECT * FROM unit_error WHERE answered = $1"
ANSWER = """
UPDATE unit_error SET state = $2, answer = $3, answered = $4, command = $5 WHERE id = $1
"""
CORRECT = """
WITH old AS MATERIALIZED (
    SELECT *, value * $6::float8 + $7::float8 AS corrected FROM sample
    WHERE tag_id = $1 AND time BETWEEN $2 AND $3 AND quality & 223 IN (79, 143)
    ORDER BY time LIMIT $4),
kept AS (
    INSERT INTO correction (tag_id, time, old_value, old_quality, old_received, corrected)
    SELECT tag_id, time, value, quality, received, $5::timestamptz FROM old)
UPDATE sample s SET value = o.corrected, received = $5,
    quality = o.quality & 32 | CASE WHEN o.corrected BETWEEN $8 AND $9 THEN 0 ELSE 65 END
FROM old o WHERE s.tag_id = o.tag_id AND s.time = o.time AND s.time BETWEEN $2 AND $3
RETURNING s.time, s.value, s.quality, s.received
"""
LIST = """
SELECT e.*, t.enterprise, t.tag, t.uom, (e.level - t.shift) / t.scale AS expected
FROM unit_error e JOIN tag t USING (tag_id) WHERE $1 OR e.answer IS NULL
ORDER BY e.state <> 'open', e.since DESC LIMIT $2
"""


class UnitErrorTable(Table):
    """Table unit_error; its rows have the columns of the schema."""

    async def latest(self, tags: I64) -> list[Any]:
        """Return the open suspicion of each tag, and the newest that makes another level right."""
        return await self._fetch(LATEST, self._store.tag_id[tags].tolist())

    async def end_others(self, numbers: list[int]) -> None:
        """Let open suspicions end that do not go on after a start."""
        await self._fetch(END_OTHERS, numbers)

    async def write(self, tags: I64, columns: Sequence[list[Any]], rows_max: int) -> None:
        """Write columns from `since` to `state`; the newest `rows_max` closed suspicions stay."""
        await self._fetch(UPSERT, self._store.tag_id[tags].tolist(), *columns)
        await self._fetch(FORGET, rows_max)

    async def find(self, number: int) -> Any:
        """Return one suspicion; None when there is none of this number."""
        rows = await self._fetch(FIND, number)
        return rows[0] if rows else None

    async def answered(self, cycle_us: int) -> list[Any]:
        """Return the suspicions that were answered in a cycle."""
        return await self._fetch(ANSWERED, stamp(cycle_us))

    async def answer(self, number: int, state: str, answer: str, time: Any, command: int) -> None:
        """Write down the answer to a suspicion, given at `time` by a command."""
        await self._fetch(ANSWER, number, state, answer, time, command)

    async def correct(self, *args: Any) -> list[Any]:
        """Correct marked samples of a suspicion; return them as they are stored.

        Arguments are those of CORRECT: the tag's number in the database, first and last time,
        limit, time of the answer, factor, offset, low and high [SI].
        """
        tag_id, first, last = args[:3]
        await self._store.archive.recall_samples(tag_id, to_us(first), to_us(last), _is_marked)
        return await self._fetch(CORRECT, *args)

    async def newest(self, limit: int, *, everything: bool) -> list[Any]:
        """Return rows for a listing, open ones first, then the newest."""
        return await self._fetch(LIST, everything, limit)


def _is_marked(rows: Columns) -> BOOL:
    """Return which samples are those of a suspicion: uncertain or bad for a unit error."""
    return np.isin(rows["quality"] & 223, [79, 143])
