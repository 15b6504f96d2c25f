"""Tables archive_file, archive_withdrawn and archive_newest; rows that come back for a change.

A statement that changes the past works on the database alone: before it, what it needs of the
archive is put back beside the file, which is written anew later. Whoever writes rows of a time that
is archived, or is about to be, counts its change in the row of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deploy.archive.layout import MINUTE, SAMPLE, Columns, Kind, concatenate, no_rows
from deploy.archive.manifest import Archive, ArchiveFiles, among, archived
from deploy.database.times import micros, stamp, stamps
from ingest.store.table import Table
from twin.arrays import BOOL, DAY_US, F64, FOREVER, HOUR_US, I64, INTP, NEVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ingest.store.store import Store

# More hours than there are from 1970 on.
HOURS_MAX = 1 << 32
TEMPORARY = """
CREATE TEMP TABLE recalled_sample (LIKE sample) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE recalled_minute (LIKE minute) ON COMMIT DELETE ROWS;
"""
NOTE = """
UPDATE archive_file SET changes = changes + 1 WHERE kind = $1 AND stop > $2 AND start <= $3
RETURNING written IS NOT NULL
"""
# The same value again is ignored, as in the database; a row there is the newer one.
DROP_REPEATED = """
DELETE FROM staged n USING recalled_sample c
WHERE n.tag_id = c.tag_id AND n.time = c.time AND n.quality = c.quality
    AND n.value IS NOT DISTINCT FROM c.value
    AND NOT EXISTS (SELECT FROM sample s WHERE s.tag_id = c.tag_id AND s.time = c.time
                    AND s.time BETWEEN $1 AND $2)
"""
DROP_UNTOUCHED = """
DELETE FROM recalled_sample c
WHERE NOT EXISTS (SELECT FROM staged n WHERE n.tag_id = c.tag_id AND n.time = c.time)
"""
PUT_BACK = (
    "INSERT INTO {table} SELECT * FROM recalled_{table} ON CONFLICT (tag_id, time) DO NOTHING"
)
WITHDRAW = """
INSERT INTO archive_withdrawn
SELECT w.tag_id, greatest(w.start, f.start), least(w.stop, f.stop)
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS w (tag_id, start, stop)
JOIN archive_file f ON f.kind = 'minute' AND f.start < w.stop AND f.stop > w.start
    AND f.written IS NOT NULL
"""
BOUNDS = "SELECT tag_id, low, high FROM tag WHERE tag_id = ANY($1::int[])"
ARCHIVED_UNTIL = """
SELECT max(stop) FROM archive_file WHERE kind = $1 AND start < $2 AND written IS NOT NULL
"""
WITH_SAMPLES = "SELECT tag_id FROM newest WHERE tag_id = ANY($1::int[]) AND day >= $2"


class ArchiveTable(Table):
    """What a writer of the database has to do with the archive; tags are numbers of the database.

    Methods belong into a transaction, and raise ArchiveError where a file cannot be read.
    """

    def __init__(self, store: Store, folder: Path | None) -> None:
        super().__init__(store)
        self.files = Archive(folder)

    async def note(self, kind: Kind, first_us: int, last_us: int) -> bool:
        """Count a change between two times, both inclusive; return whether a file is of them."""
        rows = await self._fetch(NOTE, kind.table, stamp(first_us), stamp(last_us))
        return any(row[0] for row in rows)

    async def between(self, kind: Kind, start_us: int, stop_us: int) -> ArchiveFiles:
        """Return the files with rows in [start, stop) [µs]."""
        return await archived(self._store, kind, start_us, stop_us)

    async def read(
        self, kind: Kind, tag_id: I64, start_us: int, stop_us: int,
        keep: Callable[[Columns], BOOL] | None = None,
    ) -> Columns:  # fmt: skip
        """Return the archived rows of tags in [start, stop) [µs]."""
        files = await self.between(kind, start_us, stop_us)
        return await self.files.read(files, tag_id, keep=keep)

    async def put_back(self, kind: Kind, rows: Columns) -> None:
        """Let archived rows be in the database as well, but where it has newer ones."""
        if len(rows["tag_id"]):
            await self._store.copy_recalled(kind, rows)
            await self._fetch(PUT_BACK.format(table=kind.table))
            await self._fetch(f"TRUNCATE recalled_{kind.table}")
            await self.note(kind, int(rows["time_us"].min()), int(rows["time_us"].max()))

    async def recall_staged(self, tag_id: I64, time_us: I64) -> None:
        """Put the archived samples back that staged ones differ from; drop staged repetitions."""
        keys = {"tag_id": tag_id, "time_us": time_us}
        first_us, last_us = int(time_us.min()), int(time_us.max())
        rows = await self.read(
            SAMPLE, tag_id, first_us, last_us + 1, lambda rows: among(rows, keys)
        )
        if len(rows["tag_id"]):
            await self._store.copy_recalled(SAMPLE, rows)
            await self._fetch(DROP_REPEATED, stamp(first_us), stamp(last_us))
            await self._fetch(DROP_UNTOUCHED)
            await self._fetch(PUT_BACK.format(table="sample"))
            await self._fetch("TRUNCATE recalled_sample")

    async def recall_around(
        self, tag_id: I64, counter: BOOL, start: I64, stop: I64, reach_us: int
    ) -> None:
        """Put the archived samples in intervals of tags back, and those next to them, (w,) [µs].

        Of a counter the next are true readings, and all up to them.
        """
        since, until = start - reach_us, np.minimum(stop, FOREVER - reach_us) + reach_us
        files = await self.between(SAMPLE, int(since.min()), int(until.max()))
        if not len(files):
            return
        low, high = await self._bounds(tag_id)
        search = _Search(self.files, files, tag_id, counter, low, high)
        await search.inside(start, stop)
        await search.before(since, start)
        await search.after(stop, until)
        await self.put_back(SAMPLE, search.result())

    async def recall_samples(
        self, tag_id: int, first_us: int, last_us: int,
        keep: Callable[[Columns], BOOL] | None = None,
    ) -> None:  # fmt: skip
        """Put the archived samples of a tag between two times back, both inclusive."""
        ids = np.array([tag_id])
        await self.put_back(SAMPLE, await self.read(SAMPLE, ids, first_us, last_us + 1, keep))

    async def recall_hours(self, tag_id: I64, time_us: I64) -> None:
        """Put the archived minutes of tags back that lie within an hour of some times, (n,) [µs].

        Their hour is summed of them.
        """
        files = await self.between(
            MINUTE, int(time_us.min()) - HOUR_US, int(time_us.max()) + HOUR_US + 1
        )
        if not len(files):
            return
        hours = np.unique(_hour_of(tag_id, time_us))
        near = np.concatenate([hours - 1, hours, hours + 1])
        rows = await self.files.read(
            files,
            tag_id,
            keep=lambda rows: np.isin(_hour_of(rows["tag_id"], rows["time_us"]), near),
        )
        await self.put_back(MINUTE, rows)

    async def withdraw(self, tag_id: I64, start: I64, stop: I64) -> None:
        """Let no archived minute of tags count any more in intervals, which are deleted, [µs].

        Those beside them, in the same hours, are put back before.
        """
        if await self.note(MINUTE, int(start.min()), int(stop.max())):
            ends = np.concatenate([start, stop])
            await self.recall_hours(np.concatenate([tag_id, tag_id]), ends)
            await self._fetch(WITHDRAW, tag_id.tolist(), stamps(start), stamps(stop))

    async def newest_before(self, tag_id: I64, known_us: I64, before_us: int) -> Columns:
        """Return the newest archived sample before a time of tags, where it is later than known.

        `known_us`, (T,), is the time of each tag's newest one in the database; NEVER for none.
        """
        (until,) = (await self._fetch(ARCHIVED_UNTIL, "sample", stamp(before_us)))[0]
        if until is None:
            return no_rows(SAMPLE)
        pending = tag_id[known_us < micros([until])[0]]
        files = await self.between(SAMPLE, NEVER, before_us)
        rows = await self._fetch(WITH_SAMPLES, pending.tolist(), stamp(files_start(files)).date())
        pending = np.array([row["tag_id"] for row in rows], np.int64)
        search = _Search.of_gauges(self.files, files, pending)
        size = len(pending)
        await search.before(np.full(size, NEVER), np.full(size, before_us))
        return search.result()

    async def _bounds(self, tag_id: I64) -> tuple[F64, F64]:
        """Return the range of true readings of tags, (w,); infinite where there is none."""
        rows = await self._fetch(BOUNDS, np.unique(tag_id).tolist())
        low = {row["tag_id"]: -np.inf if row["low"] is None else row["low"] for row in rows}
        high = {row["tag_id"]: np.inf if row["high"] is None else row["high"] for row in rows}
        numbers = tag_id.tolist()
        return (
            np.array([low.get(number, -np.inf) for number in numbers]),
            np.array([high.get(number, np.inf) for number in numbers]),
        )


def _hour_of(tag_id: I64, time_us: I64) -> I64:
    """Return a number for each tag and hour; those of hours that follow each other do so, too."""
    return tag_id * HOURS_MAX + time_us // HOUR_US


def files_start(files: ArchiveFiles) -> int:
    """Return when the first of some files begins [µs]; 0 when there is none."""
    return files.starts[0] if len(files) else 0


class _Search:
    """The archived samples in and next to intervals of single tags, file by file."""

    def __init__(
        self, archive: Archive, files: ArchiveFiles, tag_id: I64, counter: BOOL, low: F64, high: F64
    ) -> None:
        self._archive, self._files = archive, files
        self._tag_id, self._counter = tag_id, counter
        self._low, self._high = low, high
        self._read: dict[int, Columns] = {}
        self._taken: dict[int, list[INTP]] = {}

    @classmethod
    def of_gauges(cls, archive: Archive, files: ArchiveFiles, tag_id: I64) -> _Search:
        """Return a search in which every sample counts."""
        open_ = np.full(len(tag_id), np.inf)
        return cls(archive, files, tag_id, np.zeros(len(tag_id), bool), -open_, open_)

    def result(self) -> Columns:
        """Return what was searched for, each row once, by tag and time."""
        parts = []
        for number, taken in sorted(self._taken.items()):
            rows, at = self._read[number], np.unique(np.concatenate(taken))
            parts.append({name: column[at] for name, column in rows.items()})
        return concatenate(SAMPLE, parts)

    async def inside(self, start: I64, stop: I64) -> None:
        """Take the samples in [start, stop) of each interval."""
        for number in range(len(self._files)):
            some = np.flatnonzero(self._overlaps(number, start, stop))
            for row in some.tolist():
                first, last = await self._slice(number, row, start[row], stop[row])
                self._take(number, first, last)

    async def before(self, since: I64, start: I64) -> None:
        """Take the nearest sample in [since, start) of each interval."""
        pending = np.ones(len(start), bool)
        for number in reversed(range(len(self._files))):
            some = np.flatnonzero(pending & self._overlaps(number, since, start))
            for row in some.tolist():
                first, last = await self._slice(number, row, since[row], start[row])
                true = await self._true(number, row, first, last)
                if len(true):
                    pending[row] = False
                    first, last = true[-1], last if self._counter[row] else true[-1] + 1
                self._take(number, first, last)
            if not pending.any():
                break

    async def after(self, stop: I64, until: I64) -> None:
        """Take the nearest sample in [stop, until) of each interval."""
        pending = np.ones(len(stop), bool)
        for number in range(len(self._files)):
            some = np.flatnonzero(pending & self._overlaps(number, stop, until))
            for row in some.tolist():
                first, last = await self._slice(number, row, stop[row], until[row])
                true = await self._true(number, row, first, last)
                if len(true):
                    pending[row] = False
                    first, last = first if self._counter[row] else true[0], true[0] + 1
                self._take(number, first, last)
            if not pending.any():
                break

    def _overlaps(self, number: int, start: I64, stop: I64) -> BOOL:
        begin = self._files.starts[number]
        return (start < begin + DAY_US) & (stop > begin)

    def _take(self, number: int, first: int, last: int) -> None:
        if first < last:
            self._taken.setdefault(number, []).append(np.arange(first, last))

    async def _slice(self, number: int, row: int, start: int, stop: int) -> tuple[int, int]:
        """Return first and last row, exclusive, of an interval's tag in [start, stop) of a file."""
        rows = await self._rows(number)
        tag_id = self._tag_id[row]
        begin, end = np.searchsorted(rows["tag_id"], [tag_id, tag_id + 1]).tolist()
        first, last = np.searchsorted(rows["time_us"][begin:end], [start, stop]).tolist()
        return begin + first, begin + last

    async def _true(self, number: int, row: int, first: int, last: int) -> list[int]:
        """Return which rows are next ones to an interval: of a counter its true readings."""
        if not self._counter[row]:
            return list(range(first, last))[:: max(last - first - 1, 1)]
        rows = await self._rows(number)
        value, quality = rows["value"][first:last], rows["quality"][first:last]
        true = (quality < 128) & (quality & 223 != 75)
        true &= (value >= self._low[row]) & (value <= self._high[row])
        return (first + np.flatnonzero(true)).tolist()

    async def _rows(self, number: int) -> Columns:
        """Return the rows of a file of all the tags."""
        if number not in self._read:
            ends = self._files.starts[number], self._files.stops[number]
            one = self._files.within(*ends)
            self._read[number] = await self._archive.read(one, self._tag_id)
        return self._read[number]
