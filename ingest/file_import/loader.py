"""History into the database: chunk by chunk, each with its minutes and its place in the file."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.counters import own_tags
from ingest.cycle.restatement import ROWS_READY, Aggregation, Intervals
from twin.accounts.network import compile_network
from twin.arrays import BOOL, DAY_US, I64, MINUTE_US, NEVER, runs
from twin.errors import ParkError, StoreError
from twin.series.image import no_image
from twin.series.minutes import no_open_minutes
from twin.series.samples import Samples, Sorted, concatenate, no_samples, sort
from twin.series.traits import traits_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ingest.routing.decode import Quarantined
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from ingest.store.imports import Checkpoint
    from twin.model.park import Park
    from twin.series.image import Image
    from twin.series.minutes import OpenMinutes

LOG = logging.getLogger("ingest.file_import")
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
# A writer that has just connected may still be about to look which model the database has.
ALONE_S = (0.05, 0.2, 0.75)
# A counter with fewer readings a day has most of its minutes between them.
SELDOM = 24


@dataclass(slots=True)
class Chunk:
    """Some rows of a file: samples to store, and samples for the quarantine."""

    samples: Sorted
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    held: list[Quarantined] = field(default_factory=list)


class Loader:
    """Writer of the history of one park model, also beside a live ingest."""

    def __init__(self, park: Park, store: Store, settings: IngestSettings, now_us: int) -> None:
        self._park = park
        self._store = store
        self._settings = settings
        self._now_us = now_us
        network = compile_network(park)
        self._tags = (*network.tags, *own_tags(network))
        self._traits = traits_of(self._tags)
        self._aggregation = Aggregation(store, self._traits, park.timezone)
        self._image = no_image(len(self._tags))
        self._open_minutes = no_open_minutes(len(self._tags))
        self._known = np.zeros(len(self._tags), bool)
        self._seen: tuple[Any, ...] = ()
        # Start and stop of the minutes that the last chunk of each tag has written: where the next
        # one writes them again, that is no restatement.
        self._own = np.full((2, len(self._tags)), NEVER)
        self._stored = np.zeros(len(self._tags), bool)

    async def attach(self) -> None:
        """Find the tags of the model in the database; raises ParkError when it has another one."""
        store = self._store
        async with store.transaction():
            if await self._find_tags():
                return
            # Who has no tags yet is in nobody's way: of several imports the first stores the model.
            await store.writers.leave()
            await store.writers.acquire_turn(alone=True)
            if not await self._find_tags():
                await self._be_alone()
                await store.apply_model(self._park, self._tags)
            await store.writers.enter()

    async def _find_tags(self) -> bool:
        """Return whether the database has this model; note the ids of its tags then."""
        same = await self._store.model_digest() == self._park.digest
        return same and await self._store.find_tags(self._tags)

    async def _be_alone(self) -> None:
        """Wait until no other writer has a model; raises ParkError when one keeps it."""
        for wait_s in (*ALONE_S, None):
            if await self._store.writers.is_only_one():
                return
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        raise ParkError(
            "ingest is running with another park model than this one",
            hint="start ingest again with it, or name the folder it uses with --park",
        )

    async def store(self, chunk: Chunk, ticket: Checkpoint) -> None:
        """Commit a chunk and the number of rows taken of its file; raises StoreError."""
        days = self._settings.cycle_days
        for part in _by_days(chunk, days):
            for piece in by_counters(part, self._traits.counter, days):
                await self._store_part(piece, ticket)

    async def _store_part(self, part: Chunk, ticket: Checkpoint) -> None:
        await self._patiently(lambda careful: self._commit(part, ticket, careful=careful))

    async def finish(self, ticket: Checkpoint, also: I64) -> None:
        """Mark a file as done, and close the minutes in which the last values hold.

        They are those of the tags this run has stored, and of others from before it.
        """
        self._stored[also] = True
        await self._patiently(lambda _: self._close(ticket))

    async def _patiently(self, work: Callable[[bool], Awaitable[None]]) -> None:
        """Try again while the database comes back; from the second time on `work` is careful."""
        for tries, wait_s in enumerate((*RETRY_S, None)):
            try:
                await work(tries > 0)
            except StoreError as error:
                self._known[:], self._own[:] = False, NEVER
                if not error.retryable or wait_s is None:
                    raise
                LOG.warning("%s; trying again", error.message)
                await self._store.close()
                await asyncio.sleep(wait_s)
            else:
                return

    @asynccontextmanager
    async def _turn(self, tags: I64) -> AsyncIterator[tuple[Image, OpenMinutes]]:
        """Yield copies of image and open minutes that know some tags; a commit keeps them."""
        image, open_minutes = self._image.copy(), self._open_minutes.copy()
        async with self._store.transaction():
            await self._store.writers.acquire_turn(alone=True)
            await self._store.sums.require_clock(self._park.timezone)
            await self._catch_up(tags, image, open_minutes)
            yield image, open_minutes
            seen = await self._store.writers.position()
        self._image, self._open_minutes, self._seen = image, open_minutes, seen

    async def _commit(self, chunk: Chunk, ticket: Checkpoint, *, careful: bool) -> None:
        """Commit one chunk; `careful` expects rows in the way."""
        samples = chunk.samples.samples
        counted: Counter[str] = Counter()
        async with self._turn(np.unique(samples.tag)) as (image, open_minutes):
            if await self._store.imports.is_next(ticket, chunk.rows):
                counted = await self._write(chunk, image, open_minutes, careful=careful)
                await self._store.imports.advance(ticket, chunk.rows, counted)
        self._stored[samples.tag] = True
        ticket.taken += chunk.rows
        ticket.counts += counted

    async def _write(
        self, chunk: Chunk, image: Image, open_minutes: OpenMinutes, *, careful: bool
    ) -> Counter[str]:
        """Store samples and their minutes; return the counts."""
        samples = chunk.samples.samples
        fresh_rows = samples.time_us > image.time_us[samples.tag]
        fresh, old = samples.take(fresh_rows), samples.take(~fresh_rows)
        free, added, corrected = await self._place(fresh, old, careful=careful)
        newest = corrected.tag[corrected.time_us == image.time_us[corrected.tag]]
        image.update(fresh, self._traits)
        late = sort(concatenate(free, added, corrected)).samples
        counted = _counts(chunk, len(fresh) + len(free) + len(added), len(corrected))

        plan = await self._aggregation.plan(open_minutes, fresh, late)
        counted["minutes restated"] = await self._restate(plan.intervals, open_minutes.open_us)
        await self._aggregation.apply(open_minutes, plan, NEVER, new=not careful, known=free)
        intervals = plan.intervals
        await self._keep_refused(chunk)
        changed = np.concatenate([fresh.tag, intervals.tag[intervals.open], newest])
        await self._store.writers.mark_changed(changed)
        # What was corrected under a closed minute is not in the open minutes.
        self._known[newest] = False
        # Of several intervals of a tag the last one stays, of new samples the first.
        stop = np.minimum(intervals.stop, open_minutes.open_us[intervals.tag])
        self._own[:, intervals.tag] = intervals.start, stop
        tag, time_us = fresh.tag[::-1], fresh.time_us[::-1]
        self._own[:, tag] = time_us // MINUTE_US * MINUTE_US, open_minutes.open_us[tag]
        return counted

    async def _close(self, ticket: Checkpoint) -> None:
        """Close minutes as the clock does, and mark the file as done."""
        clock_us = self._now_us - round(self._settings.grace_s * 1e6)
        async with self._turn(np.flatnonzero(self._stored)) as (_, open_minutes):
            held_us = open_minutes.time_us + self._traits.gap_us + MINUTE_US - 1
            over = self._stored & ~self._traits.counter & (open_minutes.time_us != NEVER)
            over &= (held_us <= clock_us) & (open_minutes.from_us < held_us)
            close_us = np.where(over, held_us // MINUTE_US * MINUTE_US, NEVER)
            plan = await self._aggregation.plan(open_minutes, no_samples(), no_samples())
            await self._aggregation.apply(open_minutes, plan, close_us)
            await self._store.writers.mark_changed(np.flatnonzero(over))
            await self._store.imports.finish(ticket)
        ticket.finished = True

    async def _catch_up(self, tags: I64, image: Image, open_minutes: OpenMinutes) -> None:
        """Read back newest samples and open minutes that another writer may have changed."""
        if await self._store.writers.position() != self._seen:
            self._known[:] = False
        unknown = tags[~self._known[tags]]
        if not len(unknown):
            return
        await self._aggregation.read_back(image, open_minutes, unknown)
        self._known[unknown] = True

    async def _place(
        self, fresh: Samples, old: Samples, *, careful: bool
    ) -> tuple[Samples, Samples, Samples]:
        """Store samples; return those behind the image that are new, and the corrections.

        The first are new ones between whose first and last nothing of their tag was there.
        """
        if careful:
            await self._store.merge_samples(fresh)
            return no_samples(), *await self._store.merge_samples(old)
        first = np.flatnonzero(runs(old.tag)[0])
        at = old.tag[first]
        stop = np.maximum.reduceat(old.time_us, first) + 1 if len(at) else first
        there, _, _ = await self._store.occupied("sample", at, old.time_us[first], stop)
        taken = np.isin(old.tag, at[there])
        free = old.take(~taken)
        await self._store.copy_samples(concatenate(fresh, free))
        return free, *await self._store.merge_samples(old.take(taken))

    async def _restate(self, intervals: Intervals, open_us: I64) -> int:
        """Record where minutes of others are about to change; return how long that is [min]."""
        start, stop = intervals.start, np.minimum(intervals.stop, open_us[intervals.tag])
        low, high = self._own[:, intervals.tag]
        start = np.where((low <= start) & (start < high), high, start)
        stop = np.where((low < stop) & (stop <= high), low, stop)
        some = start < stop
        tag = intervals.tag[some]
        there, first, last = await self._store.occupied("minute", tag, start[some], stop[some])
        if len(there):
            await self._store.record_restatements(tag[there], first, last + MINUTE_US, self._now_us)
        return int((last + MINUTE_US - first).sum() // MINUTE_US)

    async def _keep_refused(self, chunk: Chunk) -> None:
        """Keep what is in quarantine, and what a later row of the same file has replaced."""
        if chunk.held:
            limits = self._settings.quarantine_rows, self._settings.quarantine_samples
            await self._store.quarantine.keep(chunk.held, self._now_us, *limits)
        await self._store.keep_corrections(chunk.samples.superseded, chunk.samples.superseded_by)


def _by_days(chunk: Chunk, days: int) -> list[Chunk]:
    """Return a chunk in parts of so many days each; the last one has the rows."""
    samples = chunk.samples.samples
    window = samples.time_us // (days * DAY_US)
    *before, last = np.unique(window) if len(samples) else [0]
    newest = replace(chunk.samples, samples=samples.take(window == last))
    return [
        *(Chunk(sort(samples.take(window == number))) for number in before),
        replace(chunk, samples=newest),
    ]


def by_counters(part: Chunk, counter: BOOL, days: int) -> list[Chunk]:
    """Return a part of so many days in pieces of few counters, where these are seldom read.

    Each is filled with minutes from reading to reading, and live data wait for a piece. The last
    one has the rows. `counter` is (T,).
    """
    samples = part.samples.samples
    tags, readings = np.unique(samples.tag[counter[samples.tag]], return_counts=True)
    seldom = tags[readings < days * SELDOM]
    at_once = max(ROWS_READY * MINUTE_US // (days * DAY_US), 1)
    groups = [seldom[at : at + at_once] for at in range(0, len(seldom), at_once)]
    if len(groups) < 2:
        return [part]
    others = ~np.isin(samples.tag, np.concatenate(groups[:-1]))
    newest = replace(part.samples, samples=samples.take(others))
    return [
        *(Chunk(sort(samples.take(np.isin(samples.tag, group)))) for group in groups[:-1]),
        replace(part, samples=newest),
    ]


def _counts(chunk: Chunk, added: int, corrected: int) -> Counter[str]:
    """Return the counts of a stored chunk: new, repeated, corrected."""
    inside = chunk.samples
    counts = chunk.refused + Counter(
        rows=chunk.rows,
        new=added,
        corrections=corrected + len(inside.superseded),
        duplicates=inside.duplicates + len(inside.samples) - added - corrected,
    )
    return counts + Counter(one.reason for one in chunk.held)
