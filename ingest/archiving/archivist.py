"""The task that writes the archive: file by file, each step safe to be interrupted.

A file is begun in the manifest, written beside its place, read back, put into its place, and then
the manifest says that it is there. Only after that the rows leave the database. Until then they are
in both, and count once. Rows that come later for an archived time stay in the database beside the
file, until it is written anew with them.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from deploy.archive.layout import KINDS, MINUTE, SAMPLE, Columns, FileWriter, Kind, concatenate
from deploy.archive.manifest import among, unite
from ingest.store import Store
from ingest.store.archive_files import last_of_tags
from twin.arrays import DAY_US
from twin.errors import ArchiveError, OccupiedError, StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from ingest.counters import Counters
    from ingest.settings import IngestSettings

LOG = logging.getLogger("ingest.archiving")
# Rows taken from the database at a time, about; a tag without sums may have a few.
ROWS_AT_ONCE, ROWS_UNKNOWN = 100_000, 1_000
# Up to so many rows beside a file are compared with it before it is written anew.
ROWS_BESIDE = 2_000_000


@dataclass(slots=True)
class Work:
    """A file that is due: its time [µs], and what the last look at the database gave of it."""

    kind: Kind
    start_us: int
    stop_us: int
    is_written: bool
    changes: int = 0
    rows: int = 0  # of this time in the database
    newest: list[Columns] = field(default_factory=list)  # samples
    omitted: int = 0  # rows that the settings do not want in a file

    @property
    def span(self) -> tuple[int, int]:
        """Begin and end [µs]."""
        return self.start_us, self.stop_us


class FractionError(Exception):
    """A time has a part of a millisecond."""


class Archivist:
    """The archive of one database. `step` is called with the name of each step before it."""

    def __init__(
        self, settings: IngestSettings, counters: Counters, now_us: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._now_us = now_us
        assert settings.archive is not None, "who has no folder has no archive"
        self._folder = settings.archive
        # Its reads stand beside those of the cycles; when it writes it waits for its turn.
        self._store = Store(settings.database_url, beside=True, archive_folder=self._folder)
        self._files = self._store.archive_files
        self._omit = {SAMPLE: tuple(settings.archive_omit.split(",")), MINUTE: ()}
        self._fractions = set[Kind]()  # whose times had parts of milliseconds
        self.step: Callable[[str], None] = lambda _: None

    async def run(self) -> None:
        """Archive what is due, again and again, until it is cancelled."""
        try:
            while True:
                try:
                    await self.archive_due()
                except OccupiedError:
                    LOG.info("another program writes the archive")
                except (StoreError, OSError) as error:
                    self._counters["archive_failed"] += 1
                    LOG.warning("nothing more is archived now: %s", error)
                await asyncio.sleep(self._settings.archive_pause_s)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection to the database."""
        await self._store.close()

    async def archive_due(self) -> int:
        """Archive all that is due, the oldest first; return the number of files written.

        Raises StoreError where it must stop, OccupiedError while another one archives, and OSError
        where the folder cannot be written.
        """
        async with self._store.transaction():
            if not await self._files.occupy():
                raise OccupiedError(
                    "another program writes the archive", hint="wait for its end", retryable=True
                )
        try:
            return await self._archive_due()
        finally:
            async with self._store.transaction():
                await self._files.release()

    async def _archive_due(self) -> int:
        count = 0
        for kind in KINDS.values():
            # One look for each: whoever changes a file again and again is waited for.
            for work in await self._due(kind):
                count += await self._bring(work)
            await self._forget(kind)
        return count

    async def _due(self, kind: Kind) -> list[Work]:
        """Return the files that are due, the oldest first."""
        settings = self._settings
        days = settings.archive_sample_days if kind is SAMPLE else settings.archive_minute_days
        until_us = self._now_us() - days * DAY_US
        async with self._store.transaction():
            known = {file.start_us: file for file in await self._files.rows(kind)}
            chunks = await self._files.chunks(kind)
        starts = {file.start_us for file in known.values() if file.is_behind}
        for begin, end in chunks:
            for start, stop in periods(kind, begin, end):
                # What is wholly of an archived time is in its file, or is to be.
                is_inside = begin >= start and end <= stop
                if stop <= until_us and (start not in known or is_inside):
                    starts.add(start)
        return [
            Work(kind, *kind.period(start), start in known and known[start].is_written)
            for start in sorted(starts)
        ]

    async def _bring(self, work: Work) -> bool:
        """Bring a file up to date and take its rows out of the database.

        Returns whether one was written. When somebody writes rows of its time meanwhile, it is due
        again.
        """
        self.step("begin")
        async with self._store.transaction():
            # Whoever has written before and does not count yet ends first.
            await self._store.writers.acquire_turn(alone=True)
            await self._files.begin(work.kind, *work.span)
        if await self._is_up_to_date(work):
            file = None
        else:
            file = await self._write(work)
        self.step("settle")
        async with self._store.transaction():
            await self._store.writers.acquire_turn(alone=True)
            settled = await self._files.settle(work.kind, work.start_us, work.changes, file)
            if settled and work.newest:
                newest = concatenate(work.kind, work.newest)
                await self._files.keep_newest(newest, work.start_us)
        path = work.kind.path(work.start_us)
        if not settled:
            LOG.info("%s is written again later: rows of its time came meanwhile", path)
            return False
        self.step("drop")
        await self._drop(work)
        if file is not None:
            self._counters["archived"] += file[0]
            self._counters["archive_omitted"] += work.omitted
            LOG.info("%s: %d rows, %d bytes", path, *file[:2])
        return file is not None

    async def _is_up_to_date(self, work: Work) -> bool:
        """Return whether a file has all rows that the database has of its time."""
        if not work.is_written:
            return False
        async with self._store.snapshot():
            work.changes = await self._files.changes(work.kind, work.start_us)
            work.rows = await self._files.count(work.kind, *work.span)
            if work.rows > ROWS_BESIDE:
                return False
            tags = await self._files.tags_of(work.kind, *work.span)
            hot = await self._files.stored(work.kind, tags, *work.span)
            files = await self._store.archive.between(work.kind, *work.span)
            cold = await self._store.archive.files.read(
                files, np.array(tags, np.int64), keep=lambda rows: among(rows, hot)
            )
        return not files.withdrawn and _same(work.kind, hot, cold)

    async def _write(self, work: Work) -> tuple[int, int, str]:
        """Write a file and put it into its place; return its rows, bytes and SHA-256."""
        for whole_ms in (True, False)[work.kind in self._fractions :]:
            self.step("write")
            with FileWriter(self._folder, work.kind, work.start_us, whole_ms=whole_ms) as writer:
                try:
                    await self._fill(work, writer, whole_ms=whole_ms)
                except FractionError:
                    self._fractions.add(work.kind)
                    continue
                self.step("verify")
                sha256, size = await asyncio.to_thread(writer.finish)
                self.step("announce")
                async with self._store.transaction():
                    await self._files.announce(work.kind, work.start_us, sha256)
                self.step("publish")
                await asyncio.to_thread(writer.publish)
                return writer.rows, size, sha256
        raise AssertionError

    async def _fill(self, work: Work, writer: FileWriter, *, whole_ms: bool) -> None:
        """Write the rows of database and former file; raises FractionError."""
        kind, work.newest, work.omitted, count = work.kind, [], 0, 0
        async with self._store.snapshot():
            work.changes = await self._files.changes(kind, work.start_us)
            work.rows = await self._files.count(kind, *work.span)
            tags_by_id = await self._files.tags()
            names = {tag_id: address for tag_id, (address, _) in tags_by_id.items()}
            omitted = np.array(
                [tag_id for tag_id, (_, each) in tags_by_id.items() if each in self._omit[kind]]
            )
            counts = await self._files.counts(*work.span)
            files = await self._store.archive.between(kind, *work.span)
            async for hot, tags in self._batches(work, batches(names, counts)):
                cold = await self._store.archive.files.read(files, np.array(tags, np.int64))
                count += len(hot["tag_id"])
                rows = unite(hot, cold)
                if kind is SAMPLE:
                    work.newest.append(last_of_tags(rows))
                kept = ~np.isin(rows["tag_id"], omitted)
                work.omitted += int((~kept).sum())
                rows = {name: column[kept] for name, column in rows.items()}
                if whole_ms and (rows["time_us"] % 1000).any():
                    raise FractionError
                if len(rows["tag_id"]):
                    await asyncio.to_thread(writer.add, rows, {tag: names[tag] for tag in tags})
        if count != work.rows:
            raise ArchiveError(
                f"{writer.path} would have {count} of {work.rows} rows: table tag lacks some tags"
            )

    async def _batches(
        self, work: Work, tags: Iterator[list[int]]
    ) -> AsyncIterator[tuple[Columns, list[int]]]:
        """Yield the rows of tags in the database, not faster than the settings allow."""
        rate = self._settings.archive_rows_s
        for some in tags:
            rows = await self._files.stored(work.kind, some, *work.span)
            yield rows, some
            await asyncio.sleep(len(rows["tag_id"]) / rate)

    async def _drop(self, work: Work) -> None:
        """Take out of the database what the files have, by whole parts of its table."""
        kind = work.kind
        async with self._store.transaction():
            known = {file.start_us: file for file in await self._files.rows(kind)}
            chunks = await self._files.chunks(kind)
            # Of rows that nobody counted, too: what was not read is not dropped.
            if await self._files.count(kind, *work.span) != work.rows:
                return
        for begin, end in chunks:
            own = [known.get(start) for start, _ in periods(kind, begin, end)]
            if not (begin < work.stop_us and end > work.start_us) or None in own:
                continue
            async with self._store.transaction():
                await self._store.writers.acquire_turn(alone=True)
                now = {file.start_us: file for file in await self._files.rows(kind)}
                if all(file and not now[file.start_us].is_behind for file in own):
                    await self._files.drop(kind, begin, end)

    async def _forget(self, kind: Kind) -> None:
        """Delete the files that are older than they are kept."""
        days = self._settings.archive_keep_days
        if not days:
            return
        self.step("forget")
        async with self._store.transaction():
            paths = await self._files.forget(kind, self._now_us() - days * DAY_US)
        for path in paths:
            (self._folder / path).unlink(missing_ok=True)
            LOG.info("%s is deleted: it is older than %d days", path, days)


def periods(kind: Kind, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the files that have rows in [begin, end) [µs]."""
    start, stop = kind.period(begin)
    while start < end:
        yield start, stop
        start, stop = kind.period(stop)


def batches(names: Mapping[int, str], counts: Mapping[int, int]) -> Iterator[list[int]]:
    """Yield tags in the order of their numbers, so many at a time that their rows are few."""
    some, rows = list[int](), 0
    for tag_id in names:
        some.append(tag_id)
        rows += counts.get(tag_id, ROWS_UNKNOWN)
        if rows >= ROWS_AT_ONCE:
            yield some
            some, rows = [], 0
    if some:
        yield some


def _same(kind: Kind, hot: Columns, cold: Columns) -> bool:
    """Return whether rows of the database are the same in the archive."""
    if len(hot["tag_id"]) != len(cold["tag_id"]):
        return False
    for name in kind.names:
        ours = hot[name] // 1000 * 1000 if name == "received" else hot[name]
        if not np.array_equal(ours, cold[name], equal_nan=ours.dtype.kind == "f"):
            return False
    return True
