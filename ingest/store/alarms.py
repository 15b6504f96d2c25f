"""Tables of alarms: where each stands, the journal, and what readers see of a cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deploy.database.times import micros, null, stamp, to_us
from ingest.store.table import Table, columns_of
from twin.arrays import I64, NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


UPSERT = """
INSERT INTO alarm (alarm, tag_id, priority, limit_value, state, since)
SELECT n.*, 'normal', $5 FROM unnest($1::text[], $2::int[], $3::text[], $4::float8[]) AS n
ON CONFLICT (alarm) DO UPDATE SET tag_id = excluded.tag_id, priority = excluded.priority,
    limit_value = excluded.limit_value
RETURNING alarm, state, since, active_since, until, quality
"""
# An alarm that the model has no longer, or has on another series, ends in the journal.
DROP_OTHERS = """
WITH gone AS (DELETE FROM alarm a WHERE NOT EXISTS (
        SELECT FROM unnest($1::text[], $2::int[]) AS n (alarm, tag_id)
        WHERE n.alarm = a.alarm AND n.tag_id = a.tag_id) RETURNING *)
INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality, reason)
SELECT $3, $3, alarm, state, 'normal', value, quality,
    CASE WHEN alarm = ANY($1) THEN 'its tag is another series' ELSE 'no longer in the model' END
FROM gone WHERE state <> 'normal'
"""
ANNUNCIATIONS = """
SELECT time FROM alarm_event WHERE time > $1 AND after = 'unacknowledged'
"""
UPDATE = """
UPDATE alarm a SET state = n.state, since = n.since, active_since = n.active_since,
    until = n.until, quality = n.quality
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[],
    $6::smallint[]) AS n (alarm, state, since, active_since, until, quality)
WHERE a.alarm = n.alarm
"""
# Of several changes of one alarm in one cycle the last is what the alarm is.
RECORD = """
WITH n AS (SELECT * FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[],
        $6::float8[], $7::smallint[], $8::text[], $9::text[], $10::bigint[]) WITH ORDINALITY
        AS n (alarm, time, before, after, value, quality, who, reason, command, number)),
    last AS (SELECT DISTINCT ON (alarm) * FROM n ORDER BY alarm, number DESC),
    changed AS (UPDATE alarm a SET value = l.value, who = l.who, reason = l.reason
        FROM last l WHERE a.alarm = l.alarm)
INSERT INTO alarm_event (time, recorded, alarm, before, after, value, quality, who, reason, command)
SELECT time, $1, alarm, before, after, value, quality, who, reason, command FROM n ORDER BY number
"""
SHOW = """
UPDATE cycle SET alarms = (SELECT coalesce(jsonb_agg(to_jsonb(a)), '[]') FROM alarm a
                           WHERE alarm = ANY($2::text[])) WHERE cycle_us = $1
"""


class StoredAlarm(NamedTuple):
    """Where one alarm stands; times in µs, NEVER for none."""

    state: str
    since_us: int
    active_us: int
    until_us: int
    quality: int


class JournalEntry(NamedTuple):
    """One change of one alarm."""

    alarm: str
    time_us: int
    before: str
    after: str
    value: float  # NaN: none
    quality: int
    who: str | None = None
    reason: str | None = None
    command: int | None = None


class AlarmTable(Table):
    """Tables alarm and alarm_event."""

    async def bring(
        self,
        names: list[str],
        tags: I64,
        priorities: list[str],
        limits: list[float],
        now_us: int,
    ) -> list[StoredAlarm]:
        """Let the table have these alarms and no others; return where each stands, in order."""
        ids, now = self._store.tag_id[tags].tolist(), stamp(now_us)
        await self._fetch(DROP_OTHERS, names, ids, now)
        rows = await self._fetch(UPSERT, names, ids, priorities, limits, now)
        stored = {
            name: StoredAlarm(state, _us(since), _us(active), _us(until), quality)
            for name, state, since, active, until, quality in rows
        }
        return [stored[name] for name in names]

    async def annunciations(self, after_us: int) -> I64:
        """Return when alarms became unacknowledged after a time [µs]."""
        rows = await self._fetch(ANNUNCIATIONS, stamp(after_us))
        return micros([row["time"] for row in rows])

    async def update(self, names: list[str], alarms: Sequence[StoredAlarm]) -> None:
        """Write where some alarms stand."""
        rows = [(state, *map(_time, times), quality) for state, *times, quality in alarms]
        await self._fetch(UPDATE, names, *columns_of(rows))

    async def record(self, entries: Sequence[JournalEntry], cycle_us: int) -> None:
        """Append changes to the journal."""
        columns = columns_of(entries)
        columns[1] = [stamp(time_us) for time_us in columns[1]]
        columns[4] = [null(value) for value in columns[4]]
        await self._fetch(RECORD, stamp(cycle_us), *columns)

    async def show(self, names: list[str], cycle_us: int) -> None:
        """Let the readers of a cycle see some alarms."""
        await self._fetch(SHOW, cycle_us, names)


def _us(time: datetime | None) -> int:
    return NEVER if time is None else to_us(time)


def _time(time_us: int) -> Any:
    return None if time_us == NEVER else stamp(time_us)
