"""Tables hour and day: sums of minutes on the clock of the park, and which clock that is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from deploy.database.times import distinct, stamps
from ingest.store.table import Table
from twin.arrays import DAY_US, HOUR_US, I64
from twin.emissions.validity import NORMAL, normal_s
from twin.errors import ParkError
from twin.series.windows import QUARTER_US

if TYPE_CHECKING:
    from ingest.store.store import Store

LOG = logging.getLogger("ingest.store.sums")
# The longest day has 25 hours.
REACH_US = 25 * HOUR_US
SPAN_US = 28 * DAY_US
# So many tags are summed again in one transaction.
REBUILD_TAGS = 10

# A minute without data shows in covered_s; it does not make the quality of the others bad.
SUMS = """sum(m.n), sum(m.amount ORDER BY m.time), sum(m.covered_s ORDER BY m.time),
       min(m.min), max(m.max),
       (array_agg(m.last ORDER BY m.time DESC) FILTER (WHERE m.last IS NOT NULL))[1],
       (coalesce(max(m.quality & 223) FILTER (WHERE m.covered_s > 0), max(m.quality & 223))
        | bit_or(m.quality & 32))::smallint"""
# What a monitor has measured of an hour: its minutes with a normal sample of their own.
MEASURED = (
    f"FILTER (WHERE m.n > 0 AND m.covered_s >= {normal_s():g}"
    f" AND m.quality & 223 IN ({', '.join(map(str, NORMAL))}))"
)
HOUR_SUMS = f"""{SUMS},
       (count(*) {MEASURED})::int,
       sum(m.amount ORDER BY m.time) {MEASURED} / sum(m.covered_s ORDER BY m.time) {MEASURED}"""
COLUMNS = ("n", "amount", "covered_s", "min", "max", "last", "quality")
HOUR_COLUMNS = (*COLUMNS, "measured", "measured_mean")
# The sum is made inside, so that each hour is looked up by the index: joined to all minutes of
# its tag, the work would grow with the square of the time. A day is summed of its hours, which are
# renewed before it: of its minutes, each minute that is added would cost all those before it.
RENEW = """
INSERT INTO {table} (time, tag_id, {columns})
SELECT t.start, t.tag_id, s.*
FROM (SELECT DISTINCT u.tag_id, date_trunc('{table}', u.time, $3) AS start
      FROM unnest($1::int[], $2::timestamptz[]) AS u (tag_id, time)) t
CROSS JOIN LATERAL (
    SELECT {sums} FROM {parts} m WHERE tag_id = t.tag_id AND time >= t.start
       AND time < {stop}
       AND time >= $4 AND time < $5
    HAVING count(*) > 0) s
ON CONFLICT (tag_id, time) DO UPDATE SET {updates}
"""
# A day has as many hours as its time zone gives it, an hour is an hour even when the clocks change.
STOPS = {
    "hour": "t.start + interval '1 hour'",
    "day": "(t.start AT TIME ZONE $3 + interval '1 day') AT TIME ZONE $3",
}
PARTS = {"hour": "minute", "day": "hour"}
MADE = {"hour": (HOUR_COLUMNS, HOUR_SUMS), "day": (COLUMNS, SUMS)}

# Hours outlive the minutes of dropped chunks, and those of the archive are not summed again.
OLDEST = {
    "hour": """greatest(
        (SELECT min(range_start) FROM timescaledb_information.chunks
         WHERE hypertable_schema = 'park' AND hypertable_name = 'minute'),
        (SELECT max(stop) FROM archive_file WHERE kind = 'minute' AND written IS NOT NULL))""",
    "day": "'-infinity'",
}


def _statements(template: str) -> dict[str, str]:
    """Return a statement of each table of sums."""
    return {
        table: template.format(
            table=table,
            parts=PARTS[table],
            stop=STOPS[table],
            oldest=OLDEST[table],
            columns=", ".join(columns),
            sums=sums,
            updates=", ".join(f"{name} = excluded.{name}" for name in columns),
        )
        for table, (columns, sums) in MADE.items()
    }


RENEWALS = _statements(RENEW)
DROP = """
DELETE FROM {table} s USING (
    SELECT DISTINCT u.tag_id, date_trunc('{table}', u.time, $3) AS start
    FROM unnest($1::int[], $2::timestamptz[]) AS u (tag_id, time)) t
WHERE s.tag_id = t.tag_id AND s.time = t.start
"""

CLOCK = "SELECT zone, done FROM clock"
# Where there are no sums yet, any clock is theirs.
CLAIM = """
INSERT INTO clock (zone) SELECT $1 WHERE NOT EXISTS (SELECT FROM hour) ON CONFLICT DO NOTHING
"""
BEGIN_REBUILD = """
INSERT INTO clock (zone, done) VALUES ($1, 0) ON CONFLICT (one) DO UPDATE
SET zone = excluded.zone, done = CASE WHEN clock.zone = excluded.zone THEN clock.done ELSE 0 END
RETURNING done
"""
# First and last of the tags that come next, and how many come in all.
NEXT_TAGS = """
SELECT min(tag_id), max(tag_id), (SELECT count(*) FROM tag, clock WHERE tag_id > done)
FROM (SELECT tag_id FROM tag, clock WHERE tag_id > done ORDER BY tag_id LIMIT $1) t
"""
REBUILT = "UPDATE clock SET done = $1"
# Hours move only when the clocks differ by a part of an hour.
IS_OFF = """
SELECT EXISTS (SELECT FROM hour
               WHERE tag_id BETWEEN $1 AND $2 AND date_trunc('hour', time, $3) <> time)
"""
DELETE = "DELETE FROM {table} WHERE tag_id BETWEEN $1 AND $2 AND time >= {oldest}"
REBUILD = """
INSERT INTO {table} (time, tag_id, {columns})
SELECT date_trunc('{table}', m.time, $3), m.tag_id, {sums}
FROM {parts} m WHERE tag_id BETWEEN $1 AND $2 AND date_trunc('{table}', m.time, $3) >= {oldest}
GROUP BY 1, 2
"""
REBUILDS = _statements(REBUILD)


class SumTable(Table):
    """Tables hour, day and clock."""

    async def renew(self, tag_id: I64, time_us: I64, zone: str, *, dropped: bool) -> None:
        """Sum the hours and days of some times of tags again, (n,) numbers and µs.

        `dropped`: minutes may be gone without others in their stead.
        """
        if not len(tag_id):
            return
        # Wherever the park is, a quarter lies in one hour and one day of its clock.
        tag_id, time_us = distinct(tag_id, time_us // QUARTER_US * QUARTER_US)
        # A sum is looked for in every chunk of the span: years are better taken in pieces.
        piece = time_us // SPAN_US
        for number in np.unique(piece):
            tag, times = tag_id[piece == number], time_us[piece == number]
            span = stamps(np.array([times.min() - REACH_US, times.max() + REACH_US]))
            keys = tag.tolist(), stamps(times), zone
            for table, statement in RENEWALS.items():
                if dropped:
                    await self._fetch(DROP.format(table=table), *keys)
                await self._fetch(statement, *keys, *span)

    async def require_clock(self, zone: str) -> None:
        """Raise ParkError when hours and days are not, or not all of them, on the clock of a zone.

        The first to ask decides.
        """
        await self._fetch(CLAIM, zone)
        rows = await self._fetch(CLOCK)
        if not rows or tuple(rows[0]) != (zone, None):
            raise ParkError(
                f"hours and days in the database are not on the clock of {zone}",
                hint="start ingest with this park model: it sums them again; then go on",
            )

    async def begin_rebuild(self, zone: str) -> bool:
        """Return whether hours and days must be summed again, for the clock of a zone."""
        return (await self._fetch(BEGIN_REBUILD, zone))[0]["done"] is not None

    async def rebuild(self, zone: str) -> bool:
        """Sum hours and days of the next tags again; return whether there were any."""
        first, last, remaining = (await self._fetch(NEXT_TAGS, REBUILD_TAGS))[0]
        await self._fetch(REBUILT, last)
        if first is None:
            return False
        LOG.info("hours and days are summed on the clock of %s: %d tags to come", zone, remaining)
        off = (await self._fetch(IS_OFF, first, last, zone))[0][0]
        for table in ("hour", "day") if off else ("day",):
            await self._fetch(DELETE.format(table=table, oldest=OLDEST[table]), first, last)
            await self._fetch(REBUILDS[table], first, last, zone)
        return True


async def bring_to_clock(store: Store, zone: str) -> None:
    """Sum hours and days of every tag again when they are on another clock; raises StoreError.

    Each transaction takes some tags, and what was interrupted goes on at the next call: of one tag
    nobody ever sees days of two clocks.
    """
    async with store.transaction():
        await store.writers.acquire_turn(alone=True)
        behind = await store.sums.begin_rebuild(zone)
    while behind:
        async with store.transaction():
            await store.writers.acquire_turn(alone=True)
            behind = await store.sums.rebuild(zone)
            if not behind:
                await store.book.spread(zone)
