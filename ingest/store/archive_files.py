"""Table archive_file as its writer has it, and the rows of the database a file is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.archive.layout import MINUTE, SAMPLE, Columns, Kind
from deploy.database.migrations import ARCHIVE_LOCK
from deploy.database.times import null, stamp, stamps, to_us
from ingest.store.table import Table
from twin.arrays import DAY_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.arrays import I64

ROWS = "SELECT * FROM archive_file WHERE kind = $1 ORDER BY start"
CHUNKS = """
SELECT range_start, range_end FROM timescaledb_information.chunks
WHERE hypertable_schema = 'park' AND hypertable_name = $1 ORDER BY range_start
"""
BEGIN = """
INSERT INTO archive_file (kind, start, stop, path) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
CHANGES = "SELECT changes FROM archive_file WHERE kind = $1 AND start = $2"
ANNOUNCE = "UPDATE archive_file SET next_sha256 = $3 WHERE kind = $1 AND start = $2"
SETTLE = """
UPDATE archive_file SET rows = $4, bytes = $5, sha256 = $6, next_sha256 = '', written = now(),
    merged = $3
WHERE kind = $1 AND start = $2 AND changes = $3 RETURNING start
"""
MERGED = """
UPDATE archive_file SET merged = $3 WHERE kind = $1 AND start = $2 AND changes = $3 RETURNING start
"""
COUNT_AGAIN = "DELETE FROM archive_withdrawn WHERE start >= $1 AND stop <= $2"
KEEP_NEWEST = """
INSERT INTO archive_newest (tag_id, time, value, quality, received)
SELECT a.* FROM unnest($1::int[], $2::timestamptz[], $3::float8[], $4::smallint[],
    $5::timestamptz[]) AS a (tag_id, time, value, quality, received)
JOIN newest n ON n.tag_id = a.tag_id AND n.day <= $6
ON CONFLICT (tag_id) DO UPDATE SET time = excluded.time, value = excluded.value,
    quality = excluded.quality, received = excluded.received
WHERE archive_newest.time <= excluded.time
"""
TAGS = """
SELECT tag_id, enterprise || '/' || tag AS address,
    CASE WHEN source = 'derived' AND tag LIKE 'ingest.%' THEN 'health' ELSE source END AS class
FROM tag ORDER BY tag_id
"""
COUNTS = "SELECT tag_id, sum(n)::bigint AS n FROM hour WHERE time >= $1 AND time < $2 GROUP BY 1"
COUNT = "SELECT count(*) FROM {table} WHERE time >= $1 AND time < $2"
SAMPLES = """
SELECT tag_id, time, coalesce(value, 'NaN'), quality, received FROM sample
WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3
"""
MINUTES = """
SELECT tag_id, time, amount, covered_s, coalesce(min, 'NaN'), coalesce(max, 'NaN'),
    coalesce(last, 'NaN'), n, quality
FROM minute WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3
"""
READ = {
    "sample": (SAMPLES, ("int4", "timestamptz", "float8", "int2", "timestamptz")),
    "minute": (MINUTES, ("int4", "timestamptz", *["float8"] * 5, "int4", "int2")),
}
TAGS_OF = "SELECT DISTINCT tag_id FROM {table} WHERE time >= $1 AND time < $2"
# A chunk that somebody reads is dropped later: cycles wait for us meanwhile.
PATIENCE = "SET LOCAL lock_timeout = '1s'"
DROP = """
SELECT drop_chunks($1::text::regclass, older_than => $3::timestamptz,
    newer_than => $2::timestamptz)
"""
TOO_OLD = "SELECT start, path FROM archive_file WHERE kind = $1 AND stop <= $2 ORDER BY start"
DELETE = "DELETE FROM archive_file WHERE kind = $1 AND start = $2"
FORGET_NEWEST = "DELETE FROM archive_newest WHERE time < $1"


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file in the manifest."""

    start_us: int
    stop_us: int
    path: str
    rows: int
    bytes: int
    sha256: str
    next_sha256: str
    is_written: bool
    changes: int
    merged: int

    @property
    def is_behind(self) -> bool:
        """Whether rows of its time came to the database that it may not have."""
        return not self.is_written or self.changes > self.merged


class ArchiveFileTable(Table):
    """The manifest, as who writes the archive changes it; times are in µs."""

    async def occupy(self) -> bool:
        """Return whether nobody else writes the archive, and keep others out of it."""
        rows = await self._fetch("SELECT pg_try_advisory_lock($1)", ARCHIVE_LOCK)
        return bool(rows[0][0])

    async def release(self) -> None:
        """Let others write the archive."""
        await self._fetch("SELECT pg_advisory_unlock($1)", ARCHIVE_LOCK)

    async def rows(self, kind: Kind) -> list[FileRow]:
        """Return all files of a kind, the oldest first."""
        return [
            FileRow(
                to_us(row["start"]), to_us(row["stop"]), row["path"], row["rows"], row["bytes"],
                row["sha256"], row["next_sha256"], row["written"] is not None, row["changes"],
                row["merged"],
            )
            for row in await self._fetch(ROWS, kind.table)
        ]  # fmt: skip

    async def chunks(self, kind: Kind) -> list[tuple[int, int]]:
        """Return begin and end of each part of the table, the oldest first."""
        rows = await self._fetch(CHUNKS, kind.table)
        return [(to_us(row["range_start"]), to_us(row["range_end"])) for row in rows]

    async def begin(self, kind: Kind, start: int, stop: int) -> None:
        """Let writers count from now on what they change of a time."""
        await self._fetch(BEGIN, kind.table, stamp(start), stamp(stop), kind.path(start))

    async def changes(self, kind: Kind, start: int) -> int:
        """Return how many changes the file's time has seen since it was begun."""
        return int((await self._fetch(CHANGES, kind.table, stamp(start)))[0][0])

    async def announce(self, kind: Kind, start: int, sha256: str) -> None:
        """Say which file is about to take its place."""
        await self._fetch(ANNOUNCE, kind.table, stamp(start), sha256)

    async def settle(
        self, kind: Kind, start: int, changes: int, file: tuple[int, int, str] | None
    ) -> bool:
        """Say that a file has all up to so many changes; False when there are more by now.

        `file` are its rows, bytes and SHA-256; None where it stays as it is.
        """
        key = kind.table, stamp(start), changes
        settled = await (self._fetch(SETTLE, *key, *file) if file else self._fetch(MERGED, *key))
        if settled and file and kind is MINUTE:
            await self._fetch(COUNT_AGAIN, *map(stamp, kind.period(start)))
        return bool(settled)

    async def keep_newest(self, rows: Columns, day_us: int) -> None:
        """Keep the newest samples of tags that have none in the database after a day."""
        await self._fetch(
            KEEP_NEWEST, rows["tag_id"].tolist(), stamps(rows["time_us"]),
            list(map(null, rows["value"].tolist())), rows["quality"].tolist(),
            stamps(rows["received"]), stamp(day_us).date(),
        )  # fmt: skip

    async def tags(self) -> dict[int, tuple[str, str]]:
        """Return address and class of each tag there has been by its number, in their order."""
        rows = await self._fetch(TAGS)
        return {row["tag_id"]: (row["address"], row["class"]) for row in rows}

    async def counts(self, start: int, stop: int) -> dict[int, int]:
        """Return about how many samples tags have in [start, stop), as far as they have hours."""
        rows = await self._fetch(COUNTS, stamp(start), stamp(stop))
        return {row["tag_id"]: row["n"] for row in rows}

    async def count(self, kind: Kind, start: int, stop: int) -> int:
        """Return how many rows the database has in [start, stop)."""
        statement = COUNT.format(table=kind.table)
        return int((await self._fetch(statement, stamp(start), stamp(stop)))[0][0])

    async def tags_of(self, kind: Kind, start: int, stop: int) -> list[int]:
        """Return the tags that have rows in the database in [start, stop)."""
        rows = await self._fetch(TAGS_OF.format(table=kind.table), stamp(start), stamp(stop))
        return sorted(row[0] for row in rows)

    async def stored(self, kind: Kind, tag_ids: Sequence[int], start: int, stop: int) -> Columns:
        """Return the rows of the database of tags in [start, stop), by tag and time."""
        statement, types = READ[kind.table]
        args = list(tag_ids), stamp(start), stamp(stop)
        columns = await self._store.columns(types, statement, *args)
        names = [name for name in kind.names if name != "time_us"]
        names.insert(1, "time_us")
        rows: dict[str, Any] = dict(zip(names, columns, strict=True))
        order = np.lexsort((rows["time_us"], rows["tag_id"]))
        rows = {name: column[order] for name, column in rows.items()}
        return rows | {
            "tag_id": rows["tag_id"].astype(np.int64),
            "quality": rows["quality"].astype(np.uint8),
        }

    async def drop(self, kind: Kind, start: int, stop: int) -> None:
        """Drop what the table has in [start, stop), whole parts of it; raises StoreError."""
        await self._fetch(PATIENCE)
        await self._fetch(DROP, f"park.{kind.table}", stamp(start), stamp(stop))

    async def forget(self, kind: Kind, until_us: int) -> list[str]:
        """Take the files that end before a time off the manifest; return their paths."""
        rows = await self._fetch(TOO_OLD, kind.table, stamp(until_us))
        for row in rows:
            await self._fetch(DELETE, kind.table, row["start"])
        if rows and kind is SAMPLE:
            await self._fetch(FORGET_NEWEST, stamp(until_us // DAY_US * DAY_US))
        return [row["path"] for row in rows]


def last_of_tags(rows: Columns) -> Columns:
    """Return the last row of each tag, of rows by tag and time."""
    tag_id: I64 = rows["tag_id"]
    last = np.append(tag_id[1:] != tag_id[:-1], True)[: len(tag_id)]
    return {name: column[last] for name, column in rows.items()}
