"""The connection of ingest to the database: transactions, samples, minutes and cycles."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from deploy.archive.layout import KINDS
from deploy.archive.layout import MINUTE as MINUTE_FILES
from deploy.archive.layout import SAMPLE as SAMPLE_FILES
from deploy.archive.manifest import unite
from deploy.database import copy
from deploy.database.errors import store_errors
from deploy.database.migrations import INGEST_LOCK, WRITER_LOCK, migrate
from deploy.database.times import TIME_MAX_US, micros, null, nulls, stamp, stamps, to_us
from ingest.store import archive
from ingest.store.alarms import AlarmTable
from ingest.store.archive_files import ArchiveFileTable
from ingest.store.baselines import BaselineTable
from ingest.store.book import BookTable
from ingest.store.commands import CommandTable
from ingest.store.contacts import ContactTable
from ingest.store.detections import DetectionTable
from ingest.store.forwards import ForwardTable
from ingest.store.gateway_credentials import GatewayCredentialTable
from ingest.store.gateways import GatewayTable
from ingest.store.imports import ImportTable
from ingest.store.model_problems import ModelProblemTable
from ingest.store.notices import NotifyTable
from ingest.store.quarantine import QuarantineTable, RejectTable
from ingest.store.register_falls import RegisterFallTable
from ingest.store.reports import ReportTable
from ingest.store.spool import SpoolTable
from ingest.store.sums import SumTable
from ingest.store.table import columns_of, samples_of, upsert
from ingest.store.unit_errors import UnitErrorTable
from ingest.store.writers import Writers
from twin.arrays import BOOL, DAY_US, F64, FOREVER, I64, MINUTE_US, NEVER, U8, runs
from twin.disclosure import level_of
from twin.errors import OccupiedError, ParkError, StoreError
from twin.series.minutes import NO_MINUTES
from twin.series.samples import Samples, concatenate, sort

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from deploy.archive.layout import Columns, Kind
    from ingest.store.book import SumRows
    from twin.model.park import Park, Tag
    from twin.series.minutes import Minutes

LOG = logging.getLogger("ingest.store")

SAMPLE = {"time": "timestamptz", "value": "float8", "received": "timestamptz", "tag_id": "int4",
          "quality": "int2"}  # fmt: skip
READING = ("int4", "timestamptz", "float8", "int2")
SUMMED = ("int4", "timestamptz", "float8", "float8", "int2")
COVERED = ("int4", "timestamptz", "float8", "float8", "float8")
MINUTE = {"time": "timestamptz", "amount": "float8", "covered_s": "float8", "min": "float8?",
          "max": "float8?", "last": "float8?", "tag_id": "int4", "n": "int4",
          "quality": "int2"}  # fmt: skip

# What a register does not show, or what it stood at after a fall, is no neighbour of a reading: its
# minutes hang on the readings around it. (75 is uncertain for a reset.)
TRUE_READING = """quality < 128 AND quality & 223 <> 75
    AND (t.low IS NULL OR value >= t.low) AND (t.high IS NULL OR value <= t.high)"""
# Of each interval the sample before it, those in it, the one after it; of a counter its true
# readings on both sides, and all between them; without one after it, all that come. The minute of
# the reading before has the level at which the register stood, above the reading by jitter. The
# span of all of them lets the planner leave out the chunks of other times.
INTERVAL = """
SELECT w.number, s.time, s.value, s.quality
FROM read_interval w JOIN tag t USING (tag_id)
LEFT JOIN LATERAL (
    SELECT time, value, quality FROM sample
    WHERE tag_id = w.tag_id AND time < w.start AND time >= w.since AND time >= $2 AND time < $3
      AND (NOT w.counter OR true_reading) ORDER BY time DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
    SELECT time FROM sample
    WHERE tag_id = w.tag_id AND time >= w.stop AND time < w.until AND time >= $2 AND time < $3
      AND (NOT w.counter OR true_reading) ORDER BY time LIMIT 1) a ON true
CROSS JOIN LATERAL (
    SELECT b.time, CASE WHEN m.last > b.value
        AND m.last - b.value <= greatest(w.hair, 1e-4 * abs(b.value)) THEN m.last ELSE b.value END
        AS value, b.quality
    FROM (SELECT WHERE b.time IS NOT NULL) LEFT JOIN minute m ON w.counter AND m.tag_id = w.tag_id
        AND m.time = date_trunc('minute', b.time) AND m.time >= $2 AND m.time < $3
    UNION ALL
    SELECT time, value, quality FROM sample
    WHERE tag_id = w.tag_id AND time >= $2 AND time < $3
      AND time > coalesce(CASE WHEN w.counter THEN b.time END, w.start - interval '1 us')
      AND time < CASE WHEN w.counter THEN coalesce(a.time, w.until) ELSE w.stop END
    UNION ALL
    SELECT time, value, quality FROM sample
    WHERE tag_id = w.tag_id AND time = a.time AND time >= $2 AND time < $3) s
WHERE w.number = ANY($1::int[])
""".replace("true_reading", TRUE_READING)
# Intervals that begin in the same so many days are read at once.
INTERVALS_US = 7 * DAY_US
TEMPORARY = """
CREATE TEMP TABLE staged (LIKE sample) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE read_interval (number int, tag_id int, counter boolean, hair float8,
    since timestamptz,
    start timestamptz, stop timestamptz, until timestamptz) ON COMMIT DELETE ROWS;
"""
END_SESSION = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
WHERE locktype = 'advisory' AND objid = $1 AND pid = $2 AND granted
"""
MODEL_TAGS = "unnest($1::text[], $2::text[], $3::text[]) AS n (enterprise, tag, series)"
RETIRE_TAGS = """
UPDATE tag t SET tag = t.tag || '@' || t.series FROM model_tags
WHERE t.enterprise = n.enterprise AND t.tag = n.tag AND t.series <> n.series
RETURNING t.enterprise, t.tag
""".replace("model_tags", MODEL_TAGS)
RECALL_TAGS = """
UPDATE tag t SET tag = n.tag FROM model_tags
WHERE t.enterprise = n.enterprise AND t.tag = n.tag || '@' || n.series
RETURNING t.enterprise, t.tag
""".replace("model_tags", MODEL_TAGS)
# The former series of a tag whose hours go on longest where the tag has none.
FORMER = """
SELECT o.enterprise || '/' || o.tag, max(h.time) + interval '1 hour'
FROM tag t JOIN tag o ON o.enterprise = t.enterprise AND o.tag = t.tag || '@' || o.series
JOIN hour h ON h.tag_id = o.tag_id AND h.time >= $2 AND h.time < $3
WHERE t.tag_id = ANY($1::int[])
    AND NOT EXISTS (SELECT FROM hour own WHERE own.tag_id = t.tag_id AND own.time = h.time)
GROUP BY 1 ORDER BY 2 DESC LIMIT 1
"""
UPSERT_TAGS = (
    upsert(
        "tag",
        "enterprise text, tag text, scope text, quantity text, uom text, kind text, source text,"
        " scale float8, shift float8, low float8, high float8, sigma text, description text,"
        " level text",
        "enterprise, tag",
    )
    + ", active = true RETURNING tag_id, enterprise, tag"
)
NEWEST = """
SELECT t.number, s.time, s.value, s.quality, s.received, m.time AS minute
FROM unnest($1::int[]) WITH ORDINALITY AS t (tag_id, number)
LEFT JOIN newest_samples($1) s USING (tag_id) LEFT JOIN newest_minutes($1, 1) m USING (tag_id)
ORDER BY t.number
"""
NEWEST_BEFORE = """
SELECT t.number, s.* FROM unnest($1::int[]) WITH ORDINALITY AS t (tag_id, number)
CROSS JOIN LATERAL (SELECT time, value, quality, received FROM sample
    WHERE tag_id = t.tag_id AND time < $2 ORDER BY time DESC LIMIT 1) s
ORDER BY t.number
"""
NOTE_DAYS = """
INSERT INTO newest SELECT tag_id, date '1970-01-01' + day
FROM unnest($1::int[], $2::int[]) AS n (tag_id, day)
ON CONFLICT (tag_id) DO UPDATE SET day = excluded.day WHERE newest.day < excluded.day
"""
# What was marked here (quality 75 and 77 to 80, less the simulated flag) came as good; a bad unit
# error, 143, came as out of range.
SAID = """CASE WHEN {0}.quality & 223 IN (75, 77, 78, 79, 80) THEN {0}.quality & 32
    WHEN {0}.quality & 223 = 143 THEN {0}.quality & 32 | 65 ELSE {0}.quality END"""
# A value that was rescaled since may come again as it was: that corrects nothing.
DIFFERS = f"""(s.value, {SAID.format("s")}) IS DISTINCT FROM (n.value, {SAID.format("n")})
    AND NOT EXISTS (SELECT FROM unit_error e JOIN correction c ON c.tag_id = e.tag_id
        AND c.corrected = e.answered AND c.time = s.time AND c.old_value = n.value
        WHERE e.tag_id = s.tag_id AND e.answer = 'rescale' AND s.time BETWEEN e.since AND e.last)"""
KEEP_CLASHES = """
WITH clash AS (
    SELECT s.tag_id, s.time, s.value, s.quality, s.received, n.received AS corrected
    FROM staged n JOIN sample s ON s.tag_id = n.tag_id AND s.time = n.time
    WHERE s.time BETWEEN $1 AND $2 AND differs)
INSERT INTO correction SELECT * FROM clash RETURNING tag_id, time
""".replace("differs", DIFFERS)
CORRECT = """
UPDATE sample s SET value = n.value, quality = n.quality, received = n.received
FROM staged n WHERE s.tag_id = n.tag_id AND s.time = n.time
    AND s.time BETWEEN $1 AND $2 AND differs
""".replace("differs", DIFFERS)
ADD_STAGED = """
INSERT INTO sample (time, tag_id, value, quality, received)
SELECT time, tag_id, value, quality, received FROM staged
ON CONFLICT (tag_id, time) DO NOTHING RETURNING tag_id, time
"""
NEIGHBOURS = """
SELECT coalesce((SELECT time FROM sample WHERE tag_id = w.tag_id AND time < w.start
          AND time >= w.start - $4::interval AND time >= $5 AND time < $6 AND true_reading
          ORDER BY time DESC LIMIT 1), w.start) AS a,
       coalesce((SELECT time FROM sample WHERE tag_id = w.tag_id AND time >= w.stop
          AND time < w.stop + $4::interval AND time >= $5 AND time < $6 AND true_reading
          ORDER BY time LIMIT 1), w.stop) AS b
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    WITH ORDINALITY AS w (tag_id, start, stop, number) JOIN tag t USING (tag_id)
ORDER BY w.number
""".replace("true_reading", TRUE_READING)
UPSERT_MINUTES = upsert(
    "minute",
    "time timestamptz, amount float8, covered_s float8, min float8, max float8, last float8,"
    " tag_id int, n int, quality smallint",
    "tag_id, time",
)
MARK_DOUBTED = """
UPDATE sample s SET quality = s.quality & 32 | 75
FROM unnest($1::int[], $2::timestamptz[]) AS d (tag_id, time)
WHERE s.tag_id = d.tag_id AND s.time = d.time AND s.time BETWEEN $3 AND $4 AND s.quality < 128
"""
WAKE = """
INSERT INTO cycle (cycle_us, tag_id, time, value, quality, late) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cycle_us) DO NOTHING
"""
FORGET_CYCLES = """
DELETE FROM cycle WHERE cycle_us < (
    SELECT min(cycle_us) FROM (SELECT cycle_us FROM cycle
                               ORDER BY cycle_us DESC LIMIT $1) newest)
"""
DROP_MINUTES = """
DELETE FROM minute m USING unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    AS w (tag_id, start, stop)
WHERE m.tag_id = w.tag_id AND m.time >= w.start AND m.time < w.stop
    AND m.time >= $4 AND m.time < $5
"""
# Of each tag, how the good of its last minutes lay: their quartiles, and how wide each was.
LEVELS = """
SELECT t.number, sum(m.covered_s) AS covered_s, sum(m.n)::bigint AS n,
       percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY m.amount / m.covered_s)
           AS means,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY m.max - m.min) AS width
FROM unnest($1::int[]) WITH ORDINALITY AS t (tag_id, number)
JOIN newest_minutes($1, $2) m USING (tag_id)
WHERE m.covered_s > 0 AND m.quality & 223 < 64
GROUP BY t.number
"""
COVERED_MINUTES = """
SELECT tag_id, time, amount, covered_s, coalesce(last, 'NaN') FROM minute
WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3 AND covered_s > 0
"""
HOURS = """
SELECT tag_id, time, amount, covered_s, quality FROM hour
WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3
"""
DAY_TOTALS = """
SELECT tag_id, sum(amount), sum(covered_s) FROM day
WHERE tag_id = ANY($1::int[]) AND time >= $2 GROUP BY 1
"""
# A tag's samples, for who derives the past again.
SAMPLES = """
SELECT tag_id, time, value, quality FROM sample
WHERE tag_id = ANY($1::int[]) AND time > $2::timestamptz AND time <= $3::timestamptz
"""
TAKE_BACK_SAMPLES = """
DELETE FROM sample WHERE tag_id = ANY($1::int[]) AND time > $2 RETURNING tag_id
"""
TAKE_BACK = "DELETE FROM {table} WHERE time >= $1"
# A value of the books may hold for a year that has only begun.
NOT_MANUAL = " AND tag_id NOT IN (SELECT tag_id FROM tag WHERE source = 'manual')"
ADD_MODEL = "INSERT INTO model (digest, files) VALUES ($1, $2)"
MODEL_FILES = "SELECT files FROM model ORDER BY version DESC LIMIT 1"
MODEL_DIGEST = "SELECT digest FROM model ORDER BY version DESC LIMIT 1"
OCCUPIED = """
SELECT w.number, r.first, r.last
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    WITH ORDINALITY AS w (tag_id, start, stop, number)
CROSS JOIN LATERAL (SELECT min(time) AS first, max(time) AS last FROM {table}
    WHERE tag_id = w.tag_id AND time >= w.start AND time < w.stop AND time >= $4 AND time < $5) r
WHERE r.first IS NOT NULL
"""


class Store:
    """One connection, one writer; statements of other subjects are in its parts.

    Every method but `open` and `close` belongs into a `transaction`, which raises StoreError for
    what the database refuses. Tags are indices of the model; `tag_id` has their numbers in the
    database, (T,).
    """

    def __init__(
        self,
        url: str,
        *,
        exclusive: bool = False,
        beside: bool = False,
        archive_folder: Path | None = None,
    ) -> None:
        """With `exclusive`, only one such store of a database is open at a time.

        One `beside` the writers writes no samples and no sums: it waits for no turn. What is in the
        archive is read in its folder.
        """
        self._url = url
        self._exclusive = exclusive
        self._beside = beside
        self._connection: Any = None
        self._pid = 0  # of the server's process, for the newest exclusive connection
        self.tag_id = np.zeros(0, np.int64)
        # Of each tag, the end of the day that table newest has; NEVER where that is not known.
        self._noted_us = np.zeros(0, np.int64)
        self.enterprises = 1  # of the model, and the park
        self.archive = archive.ArchiveTable(self, archive_folder)
        self.archive_files = ArchiveFileTable(self)
        self.alarms = AlarmTable(self)
        self.baselines = BaselineTable(self)
        self.reports = ReportTable(self)
        self.book = BookTable(self)
        self.commands = CommandTable(self)
        self.contacts = ContactTable(self)
        self.gateway_credentials = GatewayCredentialTable(self)
        self.detections = DetectionTable(self)
        self.forwards = ForwardTable(self)
        self.gateways = GatewayTable(self)
        self.imports = ImportTable(self)
        self.model_problems = ModelProblemTable(self)
        self.notices = NotifyTable(self)
        self.quarantine = QuarantineTable(self)
        self.register_falls = RegisterFallTable(self)
        self.rejects = RejectTable(self)
        self.spool = SpoolTable(self)
        self.sums = SumTable(self)
        self.unit_errors = UnitErrorTable(self)
        self.writers = Writers(self)

    async def open(self) -> None:
        """Connect and bring the schema up to date; raises StoreError and OccupiedError."""
        await self.close()
        with store_errors():
            self._connection = await asyncpg.connect(
                self._url,
                timeout=10,
                command_timeout=120,
                server_settings={
                    "search_path": "park,public",
                    "application_name": "parktwin-ingest",
                    # The locks of a machine that has vanished are free within half a minute.
                    "tcp_keepalives_idle": "10",
                    "tcp_keepalives_interval": "5",
                    "tcp_keepalives_count": "3",
                    # Chunks are left out while planning, which needs the times and not just $2.
                    "plan_cache_mode": "force_custom_plan",
                },
            )
            await migrate(self._connection)
            if self._exclusive:
                await self._occupy()
            if not self._beside:
                await self._connection.execute("SELECT pg_advisory_lock_shared($1)", WRITER_LOCK)
            await self._connection.execute(TEMPORARY + archive.TEMPORARY)

    async def _occupy(self) -> None:
        """Take the database for this store; raises OccupiedError while another ingest has it."""
        db, take = self._connection, "SELECT pg_try_advisory_lock($1)"
        is_ours = await db.fetchval(take, INGEST_LOCK)
        # The server may not know yet that the connection before this one is lost.
        if not is_ours and await db.fetchval(END_SESSION, INGEST_LOCK, self._pid):
            is_ours = await db.fetchval(take, INGEST_LOCK)
        if not is_ours:
            await self.close()
            raise OccupiedError(
                "another ingest works on this database, and this one waits for its end",
                hint="stop one of them, or give each a database of its own",
                retryable=True,
            )
        self._pid = db.get_server_pid()

    async def close(self) -> None:
        """Close the connection, whatever state it is in."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Everything inside is committed together or not at all; raises StoreError."""
        if self._connection is None or self._connection.is_closed():
            await self.open()
        with store_errors():
            try:
                async with self._connection.transaction():
                    yield
            except BaseException as error:
                # What was noted inside is not in the table.
                self._noted_us[:] = NEVER
                if isinstance(error, asyncpg.InternalClientError):
                    # The driver does not know where it stands: only a new connection does.
                    await self.close()
                raise

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Everything read inside is of one moment; raises StoreError."""
        async with self.transaction():
            await self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    async def fetch(self, statement: str, *args: Any) -> list[Any]:
        """Return the rows of a statement of the transaction."""
        return list(await self._connection.fetch(statement, *args))

    async def columns(self, types: tuple[str, ...], statement: str, *args: Any) -> tuple[Any, ...]:
        """Return the columns of a query without NULLs, by binary COPY."""
        return await copy.read(self._connection, types, statement, *args)

    async def apply_model(self, park: Park, tags: Sequence[Tag]) -> None:
        """Store the model when it is new, and the tags; sets `tag_id` in the order of `tags`.

        A tag with another quantity, kind or source than its series has begins a new series, or goes
        on with the former one that had them. Raises ParkError when the sums are on another clock.
        """
        await self.sums.require_clock(park.timezone)
        db = self._connection
        if await self.model_digest() != park.digest:
            await db.execute(ADD_MODEL, park.digest, json.dumps(park.files))
        levels = {scope: level_of(park, scope) for scope in {t.scope for t in tags}}
        rows = [
            (
                t.owner, t.tag, t.scope, t.quantity, t.uom, t.kind, t.source, t.scale, t.shift,
                null(t.low), null(t.high), t.sigma, t.description, levels[t.scope],
            )
            for t in tags
        ]  # fmt: skip
        await db.execute("UPDATE tag SET active = false WHERE active")
        series = columns_of((t.owner, t.tag, f"{t.quantity}.{t.kind}.{t.source}") for t in tags)
        for owner, tag in await db.fetch(RETIRE_TAGS, *series):
            LOG.warning("%s/%s: a former series, its tag is another one now", owner, tag)
        for owner, tag in await db.fetch(RECALL_TAGS, *series):
            LOG.warning("%s/%s: the tag goes on with a former series", owner, tag)
        self._number(tags, await db.fetch(UPSERT_TAGS, *columns_of(rows)))
        await db.execute("NOTIFY park_model")

    async def model_digest(self) -> str | None:
        """Return the digest of the newest model; None before the first."""
        return await self._connection.fetchval(MODEL_DIGEST)  # type: ignore[no-any-return]

    async def model_files(self) -> dict[str, str]:
        """Return the files of the newest model; raises ParkError before the first."""
        files = await self._connection.fetchval(MODEL_FILES)
        if files is None:
            raise ParkError("there is no park model yet", hint="start ingest: it stores its model")
        return dict(json.loads(files))

    async def find_tags(self, tags: Sequence[Tag]) -> bool:
        """Return whether all tags are active in the database; sets `tag_id` then."""
        rows = await self.fetch(
            "SELECT tag_id, enterprise, tag FROM tag WHERE active AND level IS NOT NULL"
        )
        return self._number(tags, rows)

    def _number(self, tags: Sequence[Tag], rows: list[Any]) -> bool:
        """Set `tag_id` by rows of (tag_id, enterprise, tag); return whether all tags are there."""
        ids = {(owner, tag): number for number, owner, tag in rows}
        numbers = [ids.get((tag.owner, tag.tag)) for tag in tags]
        if None in numbers:
            return False
        self.tag_id = np.array(numbers, dtype=np.int64)
        self._noted_us = np.full(len(numbers), NEVER)
        self.enterprises = max(len({tag.owner for tag in tags}), 1)
        return True

    async def former_series(self, tags: I64, from_us: int, stop_us: int) -> tuple[str, int] | None:
        """Return the address of a former series of a tag, and its end in [from, stop) [µs].

        None where the tags have data themselves whenever former series have.
        """
        rows = await self.fetch(FORMER, self.tag_id[tags].tolist(), stamp(from_us), stamp(stop_us))
        return (rows[0][0], to_us(rows[0][1])) if rows else None

    async def now_us(self) -> int:
        """Return when this transaction began by the clock of the database [µs]."""
        return to_us(await self._connection.fetchval("SELECT now()"))

    async def newest(self, tags: I64 | None = None) -> tuple[Samples, I64]:
        """Return the newest sample of each tag that has one, and the end of each tag's minutes."""
        at = np.arange(len(self.tag_id)) if tags is None else tags
        rows = await self.fetch(NEWEST, self.tag_id[at].tolist())
        known = [row for row in rows if row["time"] is not None]
        samples = samples_of(at[[row["number"] - 1 for row in known]], known)
        ends = np.full(len(self.tag_id), NEVER)
        for row in rows:
            if row["minute"] is not None:
                ends[at[row["number"] - 1]] = micros([row["minute"]])[0] + MINUTE_US
        return samples, ends

    async def newest_before(self, tags: I64, before_us: int) -> Samples:
        """Return the newest sample before a time of each tag that has one."""
        rows = await self.fetch(NEWEST_BEFORE, self.tag_id[tags].tolist(), stamp(before_us))
        hot = samples_of(tags[[row["number"] - 1 for row in rows]], rows)
        known_us = np.full(len(tags), NEVER)
        known_us[[row["number"] - 1 for row in rows]] = hot.time_us
        cold = self._samples_in(
            await self.archive.newest_before(self.tag_id[tags], known_us, before_us), tags
        )
        both = sort(concatenate(cold, hot)).samples
        return both.take(runs(both.tag)[1])

    def _samples_in(self, rows: Columns, tags: I64) -> Samples:
        """Return archived rows of some tags as samples."""
        tag = self._tags_of(rows["tag_id"], tags) if len(rows["tag_id"]) else rows["tag_id"]
        return Samples(tag, rows["time_us"], rows["value"], rows["quality"], rows["received"])

    async def last_cycle(self) -> int:
        """Return the id of the newest cycle; 0 before the first."""
        return int(await self._connection.fetchval("SELECT max(cycle_us) FROM cycle") or 0)

    async def take_back(self, derived: I64, after_us: int, zone: str) -> bool:
        """Delete what a clock that was ahead has made: derived samples and minutes of later.

        Returns whether there were any.
        """
        ids, minute = self.tag_id[derived].tolist(), stamp(after_us // MINUTE_US * MINUTE_US)
        samples = await self.fetch(TAKE_BACK_SAMPLES, ids, stamp(after_us))
        minutes = await self.fetch(TAKE_BACK.format(table="minute") + " RETURNING tag_id", minute)
        if not samples and not minutes:
            return False
        for table in ("hour", "day"):
            await self.fetch(TAKE_BACK.format(table=table) + NOT_MANUAL, minute)
        tags = np.flatnonzero(np.isin(self.tag_id, [row["tag_id"] for row in minutes]))
        await self.write_minutes(NO_MINUTES, zone, (tags, np.full(len(tags), to_us(minute))))
        LOG.warning("%d samples and %d minutes taken back", len(samples), len(minutes))
        return True

    async def samples_between(self, tags: I64, after_us: int, until_us: int) -> Samples:
        """Return the samples of some tags with after < time <= until, received when they held."""
        ids = self.tag_id[tags]
        columns = await self.columns(
            READING, SAMPLES, ids.tolist(), stamp(after_us), stamp(until_us)
        )
        hot = dict(zip(("tag_id", "time_us", "value", "quality"), columns, strict=True))
        rows = unite(hot, await self.archive.read(SAMPLE_FILES, ids, after_us + 1, until_us + 1))
        tag = self._tags_of(rows["tag_id"], tags) if len(tags) else rows["tag_id"].astype(np.int64)
        quality = rows["quality"].astype(np.uint8)
        return Samples(tag, rows["time_us"], rows["value"], quality, rows["time_us"])

    async def copy_samples(self, samples: Samples, table: str = "sample") -> None:
        """Append samples by binary COPY."""
        if not len(samples):
            return
        tag_id = self.tag_id[samples.tag]
        columns = samples.time_us, samples.value, samples.received_us, tag_id, samples.quality
        await self._copy(table, SAMPLE, columns)
        await self._note_days(samples)
        # Nothing is archived before it is two days old.
        if table == "sample" and (samples.time_us < samples.received_us - DAY_US).any():
            span = int(samples.time_us.min()), int(samples.time_us.max())
            await self.archive.note(SAMPLE_FILES, *span)

    async def copy_recalled(self, kind: Kind, rows: Columns) -> None:
        """Append archived rows to the temporary table of their kind."""
        kinds = SAMPLE if kind is SAMPLE_FILES else MINUTE
        names = ["time_us" if name == "time" else name for name in kinds]
        await self._copy(f"recalled_{kind.table}", kinds, tuple(rows[name] for name in names))

    async def _note_days(self, samples: Samples) -> None:
        """Let table newest have the days of samples that are newer than all of their tags."""
        ahead = samples.time_us >= self._noted_us[samples.tag]
        if not ahead.any():
            return
        newest_us = np.full(len(self.tag_id), NEVER)
        np.maximum.at(newest_us, samples.tag[ahead], samples.time_us[ahead])
        tags = np.flatnonzero(newest_us != NEVER)
        day = newest_us[tags] // DAY_US
        await self.fetch(NOTE_DAYS, self.tag_id[tags].tolist(), day.tolist())
        self._noted_us[tags] = (day + 1) * DAY_US

    async def copy_sums(self, table: str, rows: SumRows) -> None:
        """Append rows of hour or day by binary COPY."""
        if len(rows):
            columns = tuple(getattr(rows, name) for name in rows.__slots__)
            await self._copy(table, MINUTE, columns)

    async def _copy(
        self, table: str, kinds: dict[str, str], columns: tuple[NDArray[Any], ...]
    ) -> None:
        """Append rows by binary COPY; NaN becomes NULL where the type is written ``float8?``."""
        source = _each(copy.pieces(tuple(kinds.values()), columns))
        await self._connection.copy_to_table(
            table, source=source, columns=tuple(kinds), format="binary"
        )

    async def merge_samples(self, samples: Samples) -> tuple[Samples, Samples]:
        """Store samples that may be there already; return those that were new and the corrections.

        The same value again is ignored; another value wins over the older one, which is kept.
        """
        if not len(samples):
            return samples, samples
        db = self._connection
        await self.copy_samples(samples, "staged")
        first_us, last_us = int(samples.time_us.min()), int(samples.time_us.max())
        if await self.archive.note(SAMPLE_FILES, first_us, last_us):
            await self.archive.recall_staged(self.tag_id[samples.tag], samples.time_us)
        span = stamp(first_us), stamp(last_us)
        changed = await db.fetch(KEEP_CLASHES, *span)
        if changed:
            await db.execute(CORRECT, *span)
        added = await db.fetch(ADD_STAGED)
        return self._rows_of(samples, added), self._rows_of(samples, changed)

    def _rows_of(self, samples: Samples, keys: list[Any]) -> Samples:
        """Return the samples with these (tag_id, time)."""
        if not keys:
            return samples.take(slice(0, 0))
        ids = np.array([key["tag_id"] for key in keys], dtype=np.int64)
        times = micros([key["time"] for key in keys])
        wanted = set(zip(ids.tolist(), times.tolist(), strict=True))
        pairs = zip(self.tag_id[samples.tag].tolist(), samples.time_us.tolist(), strict=True)
        return samples.take(np.array([pair in wanted for pair in pairs], dtype=bool))

    async def keep_corrections(self, old: Samples, corrected_us: I64) -> None:
        """Record values that were superseded before they were stored."""
        await self._add_records(
            "correction", self.tag_id[old.tag].tolist(), stamps(old.time_us), old.value.tolist(),
            old.quality.tolist(), stamps(old.received_us), stamps(corrected_us),
        )  # fmt: skip

    async def _add_records(self, table: str, *columns: Iterable[Any]) -> None:
        """Append rows, given as columns of values that the driver takes."""
        rows = list(zip(*columns, strict=True))
        if rows:
            await self._connection.copy_records_to_table(table, records=rows)

    async def neighbours(self, tag: I64, start: I64, stop: I64, reach_us: int) -> tuple[I64, I64]:
        """Return the times of the usable samples next to intervals, else the bounds."""
        are_counters = np.ones(len(tag), bool)
        await self.archive.recall_around(self.tag_id[tag], are_counters, start, stop, reach_us)
        reach, ids = timedelta(microseconds=reach_us), self.tag_id[tag].tolist()
        span = stamps(np.array([start.min() - reach_us, stop.max() + reach_us]))
        rows = await self.fetch(NEIGHBOURS, ids, stamps(start), stamps(stop), reach, *span)
        return micros([row["a"] for row in rows]), micros([row["b"] for row in rows])

    async def read_intervals(
        self, tag: I64, counter: BOOL, hair: F64, start: I64, stop: I64, reach_us: int
    ) -> tuple[I64, I64, F64, U8]:
        """Return (interval, time, value, quality) of the samples in and next to each interval.

        Registers of counters step back by a `hair` [SI] by jitter.
        """
        if not len(tag):
            return tag, tag, np.zeros(0), np.zeros(0, np.uint8)
        since, until = start - reach_us, stop + reach_us
        await self.archive.recall_around(self.tag_id[tag], counter, start, stop, reach_us)
        await self._recall_levels(tag[counter], start[counter], stop[counter], reach_us)
        await self._add_records(
            "read_interval", range(len(tag)), self.tag_id[tag].tolist(), counter.tolist(),
            hair.tolist(),            *map(stamps, (since, start, stop, until)),
        )  # fmt: skip
        piece, parts = start // INTERVALS_US, []
        for each in np.unique(piece):
            at = np.flatnonzero(piece == each)
            span = stamps(np.array([since[at].min(), until[at].max()]))
            parts.append(await self.columns(READING, INTERVAL, at.tolist(), *span))
        await self._connection.execute("TRUNCATE read_interval")
        number, time_us, value, quality = map(np.concatenate, zip(*parts, strict=True))
        return number.astype(np.int64), time_us, value, quality.astype(np.uint8)

    async def _recall_levels(self, tag: I64, start: I64, stop: I64, reach_us: int) -> None:
        """Put the archived minutes back at which counters stood before intervals."""
        if len(tag):
            span = int(start.min()) - reach_us, int(start.max())
            if len(await self.archive.between(MINUTE_FILES, *span)):
                before, _ = await self.neighbours(tag, start, stop, reach_us)
                await self.archive.recall_hours(self.tag_id[tag], before)

    async def minute_means(self, tag: I64, since_us: int) -> tuple[I64, I64, F64]:
        """Return (tag, minute, mean) of the covered minutes of some gauges since a time."""
        number, time_us, amount, covered_s, _ = await self.covered_minutes(
            tag, since_us, TIME_MAX_US
        )
        return number, time_us, amount / covered_s

    async def covered_minutes(
        self, tags: I64, start_us: int, stop_us: int
    ) -> tuple[I64, I64, F64, F64, F64]:
        """Return (tag, minute, amount, covered_s, last) of the covered minutes in [start, stop)."""
        ids = self.tag_id[tags]
        columns = await self.columns(
            COVERED, COVERED_MINUTES, ids.tolist(), stamp(start_us), stamp(stop_us)
        )
        names = ("tag_id", "time_us", "amount", "covered_s", "last")
        cold = await self.archive.read(
            MINUTE_FILES, ids, start_us, stop_us, lambda rows: rows["covered_s"] > 0
        )
        rows = unite(dict(zip(names, columns, strict=True)), cold)
        time_us, amount, covered_s, last = (rows[name] for name in names[1:])
        return self._tags_of(rows["tag_id"], tags), time_us, amount, covered_s, last

    async def hour_sums(
        self, tags: I64, start_us: int, stop_us: int
    ) -> tuple[I64, I64, F64, F64, U8]:
        """Return (tag, hour, amount, covered_s, quality) of the hours in [start, stop)."""
        ids = self.tag_id[tags]
        tag_id, time_us, amount, covered_s, quality = await self.columns(
            SUMMED, HOURS, ids.tolist(), stamp(start_us), stamp(stop_us)
        )
        return self._tags_of(tag_id, tags), time_us, amount, covered_s, quality.astype(np.uint8)

    async def day_totals(self, tags: I64, start_us: int) -> tuple[F64, F64]:
        """Return what tags have come to since the day of a time, and the time they cover [s]."""
        rows = await self.fetch(DAY_TOTALS, self.tag_id[tags].tolist(), stamp(start_us))
        amount, covered_s = np.zeros((2, len(tags)))
        if rows:
            at = self._tags_of(np.array([row[0] for row in rows], np.int64), tags)
            column = np.searchsorted(tags, at)
            amount[column] = [row[1] for row in rows]
            covered_s[column] = [row[2] for row in rows]
        return amount, covered_s

    async def minute_levels(self, tags: I64, minutes: int) -> list[Any]:
        """Return how the last `minutes` of some tags lay, as far as they are covered, as rows.

        Each has `number` (from 1, of the tag), `covered_s`, `n`, the quartiles `means` and the
        median `width`.
        """
        return await self.fetch(LEVELS, self.tag_id[tags].tolist(), minutes)

    async def occupied(self, table: str, tag: I64, start: I64, stop: I64) -> tuple[I64, I64, I64]:
        """Return which intervals of single tags have rows, and their first and last time [µs]."""
        if not len(tag):
            return tag, tag, tag
        rows = await self.fetch(OCCUPIED.format(table=table), *self._bounds(tag, start, stop))
        first, last = np.full((2, len(tag)), [[FOREVER], [NEVER]])
        for row in rows:
            first[row["number"] - 1], last[row["number"] - 1] = map(
                to_us, (row["first"], row["last"])
            )
        ids = self.tag_id[tag]
        cold = await self.archive.read(KINDS[table], ids, int(start.min()), int(stop.max()))
        for at in range(len(tag)) if len(cold["tag_id"]) else ():
            times = cold["time_us"][cold["tag_id"] == ids[at]]
            times = times[(times >= start[at]) & (times < stop[at])]
            first[at] = min(first[at], times.min(initial=FOREVER))
            last[at] = max(last[at], times.max(initial=NEVER))
        number = np.flatnonzero(last != NEVER)
        return number, first[number], last[number]

    def _bounds(self, tag: I64, start: I64, stop: I64) -> tuple[Any, ...]:
        """Return intervals as arguments: numbers of the tags, starts, stops, and the whole span."""
        span = stamps(np.array([start.min(), stop.max()]))
        return self.tag_id[tag].tolist(), stamps(start), stamps(stop), *span

    def _tags_of(self, ids: I64, tags: I64) -> I64:
        """Return the tags of some numbers of the database, all of which are among `tags`."""
        order = np.argsort(self.tag_id[tags])
        return tags[order[np.searchsorted(self.tag_id[tags], ids, sorter=order)]]

    async def mark_doubted(self, doubted: Sequence[tuple[int, int]]) -> None:
        """Mark readings of counters, tags and times, as those of a fall: uncertain."""
        if doubted:
            tag, time_us = columns_of(doubted)
            await self.archive.note(SAMPLE_FILES, min(time_us), max(time_us))
            span = stamp(min(time_us)), stamp(max(time_us))
            ids = self.tag_id[tag].tolist()
            await self.fetch(MARK_DOUBTED, ids, [stamp(each) for each in time_us], *span)

    async def drop_minutes(self, tag: I64, start: I64, stop: I64) -> None:
        """Delete the minutes of intervals, before they are written anew."""
        await self.archive.withdraw(self.tag_id[tag], start, stop)
        await self.fetch(DROP_MINUTES, *self._bounds(tag, start, stop))

    async def write_minutes(
        self,
        minutes: Minutes,
        zone: str,
        hours: tuple[I64, I64] | None = None,
        *,
        new: bool = False,
    ) -> None:
        """Write minutes, and renew their hours and days; raises StoreError.

        `hours`, (n,) tags and times [µs], are renewed as well: minutes were dropped there. With
        `new` none of these minutes is stored yet: that is faster.
        """
        tag_id = self.tag_id[minutes.tag]
        db = self._connection
        touched, times = tag_id, minutes.time_us
        if hours is not None:
            touched = np.concatenate([touched, self.tag_id[hours[0]]])
            times = np.concatenate([times, hours[1]])
        if len(touched) and await self.archive.note(
            MINUTE_FILES, int(times.min()), int(times.max())
        ):
            await self.archive.recall_hours(touched, times)
        columns = (minutes.time_us, minutes.amount, minutes.covered_us * 1e-6, minutes.min,
                   minutes.max, minutes.last, tag_id, minutes.n, minutes.quality)  # fmt: skip
        if new and len(minutes):
            await self._copy("minute", MINUTE, columns)
        elif len(minutes):
            await db.execute(UPSERT_MINUTES, stamps(columns[0]), *map(nulls, columns[1:]))
        await self.sums.renew(touched, times, zone, dropped=hours is not None)

    async def record_restatements(self, tag: I64, start: I64, stop: I64, now_us: int) -> None:
        """Record that minutes already written were changed."""
        now, ids = [stamp(now_us)] * len(tag), self.tag_id[tag].tolist()
        await self._add_records("restatement", now, ids, stamps(start), stamps(stop))

    async def wake_readers(
        self, cycle_us: int, tag: I64, image: Sequence[NDArray[Any]], late: I64 | None, rows: int
    ) -> None:
        """Leave what changed in the image for the readers, and tell them at the commit.

        `late` are all late tags; None = those that were told last.
        """
        time_us, value, quality = image
        await self._connection.execute(
            WAKE,
            cycle_us,
            self.tag_id[tag].astype("<i4").tobytes(),
            time_us.astype("<i8").tobytes(),
            value.astype("<f8").tobytes(),
            quality.astype("u1").tobytes(),
            None if late is None else self.tag_id[late].astype("<i4").tobytes(),
        )
        if (cycle_us // 500_000) % 64 == 0:
            await self._connection.execute(FORGET_CYCLES, rows)
        await self._connection.execute("SELECT pg_notify('park_cycle', $1)", str(cycle_us))


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield pieces as the driver wants them: what has `read` would be read by other threads."""
    for piece in pieces:
        yield piece


async def open_when_ready(store: Store) -> bool:
    """Open the store, waiting for its database; return whether that took more than one try."""
    reason = ""
    while True:
        try:
            await store.open()
        except (StoreError, OccupiedError) as error:
            if not error.retryable:
                raise
            if error.message != reason:
                LOG.warning("%s; trying again", error.message)
            reason = error.message
            await asyncio.sleep(1.0)
        else:
            return reason != ""
