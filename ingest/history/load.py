"""History into the database: chunk by chunk, each with its minutes and its place in the file."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ingest.columns import micros, stamps
from ingest.counters import own_tags
from ingest.decode import Quarantined
from ingest.late import Stretches, renew
from ingest.outside import read_back, take_turn, touch
from ingest.refused import count_quarantined
from ingest.schema import WRITER_LOCK
from twin.errors import ParkError, StoreError
from twin.image import no_image
from twin.minutes import COUNTER, KIND_CODES, MINUTE_US, NEVER, no_tail
from twin.network import compile_network
from twin.registers import rollovers
from twin.samples import Samples, Sorted, concatenate, no_samples, sort

if TYPE_CHECKING:
    from ingest.history.rows import Held
    from ingest.settings import IngestSettings
    from ingest.store import Store
    from twin.image import Image
    from twin.minutes import Tail
    from twin.model import Park

LOG = logging.getLogger("ingest.history")
I64 = NDArray[np.int64]
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)

# A cycle stores something every time: as long as nobody did, what is in memory holds.
WRITERS = """
SELECT (SELECT max(cycle_us) FROM cycle) AS cycle, (SELECT max(version) FROM touched) AS version
"""
TAG_IDS = "SELECT tag_id, enterprise, tag FROM tag WHERE active"
NEWEST_MODEL = "SELECT digest FROM model ORDER BY version DESC LIMIT 1"
OCCUPIED = """
SELECT w.number, r.first, r.last
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
    WITH ORDINALITY AS w (tag_id, start, stop, number)
CROSS JOIN LATERAL (SELECT min(time) AS first, max(time) AS last FROM {table}
    WHERE tag_id = w.tag_id AND time >= w.start AND time < w.stop AND time >= $4 AND time < $5) r
WHERE r.first IS NOT NULL
"""
BEGIN = """
INSERT INTO import (digest, name) VALUES ($1, $2)
ON CONFLICT (digest) DO UPDATE SET changed = now()
RETURNING taken, finished, counts
"""
AGAIN = "UPDATE import SET taken = 0, finished = false, counts = '{}' WHERE digest = $1"
TAKEN = "SELECT taken FROM import WHERE digest = $1 FOR UPDATE"
ADVANCE = "UPDATE import SET taken = taken + $2, counts = $3, changed = now() WHERE digest = $1"
FINISH = "UPDATE import SET finished = true, changed = now() WHERE digest = $1"


@dataclass(slots=True)
class Chunk:
    """Some rows of a file: what is to be stored, and what may not be."""

    source: str
    samples: Sorted
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    held: dict[tuple[str, str, str], Held] = field(default_factory=dict)


@dataclass(slots=True)
class Ticket:
    """How far a file has come in the database."""

    digest: str
    name: str
    taken: int = 0
    finished: bool = False
    counts: Counter[str] = field(default_factory=Counter)


class Loader:
    """Writes the history of one park model, beside a live ingest if there is one."""

    def __init__(self, park: Park, store: Store, settings: IngestSettings, now_us: int) -> None:
        self._park = park
        self._store = store
        self._settings = settings
        self._now_us = now_us
        self._tags = (*compile_network(park).tags, *own_tags(park))
        self._kind = np.array([KIND_CODES[tag.kind] for tag in self._tags], dtype=np.int64)
        self._gap_us = np.array([round(tag.gap_s * 1e6) for tag in self._tags], dtype=np.int64)
        self._rollover = rollovers(self._tags)
        self._image, self._tail = no_image(len(self._tags)), no_tail(len(self._tags))
        self._known = np.zeros(len(self._tags), bool)
        self._seen: tuple[Any, ...] = ()
        # Stretch of minutes of each tag that this import has written: to do so again is no
        # restatement.
        self._own_from = np.full(len(self._tags), NEVER)
        self._own_to = np.full(len(self._tags), NEVER)
        self._stored = np.zeros(len(self._tags), bool)

    async def attach(self) -> None:
        """Find the tags of the model in the database; raises ParkError when it has another one."""
        store, park = self._store, self._park
        async with store.transaction():
            newest = await store.fetch(NEWEST_MODEL)
            rows = await store.fetch(TAG_IDS)
            ids = {(row["enterprise"], row["tag"]): row["tag_id"] for row in rows}
            if newest and newest[0][0] == park.digest:
                keys = [(tag.owner, tag.tag) for tag in self._tags]
                if all(key in ids for key in keys):
                    store.tag_id = np.array([ids[key] for key in keys], dtype=np.int64)
                    return
            await take_turn(store, alone=True)
            free = await store.fetch("SELECT pg_try_advisory_xact_lock($1)", WRITER_LOCK)
            if not free[0][0]:
                raise ParkError(
                    "ingest is running with another park model than this one",
                    hint="start ingest again with it, or name the folder it uses with --park",
                )
            await store.apply_model(park, self._tags)

    async def begin(self, digest: str, name: str, *, again: bool) -> Ticket:
        """Return how far this file has come before."""
        async with self._store.transaction():
            if again:
                await self._store.fetch(AGAIN, digest)
            row = (await self._store.fetch(BEGIN, digest, name))[0]
        counts = Counter(json.loads(row["counts"]))
        return Ticket(digest, name, row["taken"], row["finished"], counts)

    async def store(self, chunk: Chunk, ticket: Ticket) -> None:
        """Commit a chunk and the file's place; tries again while the database comes back."""
        for tries, wait_s in enumerate((*RETRY_S, None)):
            try:
                counted = await self._commit(chunk, ticket, careful=tries > 0)
            except StoreError as error:
                self._known[:] = False
                if not error.retryable or wait_s is None:
                    raise
                LOG.warning("%s; the chunk is tried again", error.message)
                await self._store.close()
                await asyncio.sleep(wait_s)
            else:
                ticket.taken += chunk.rows
                ticket.counts += counted
                return

    async def _commit(self, chunk: Chunk, ticket: Ticket, *, careful: bool) -> Counter[str]:
        """Commit one chunk and return what it came to; `careful` expects rows in the way."""
        samples = chunk.samples.samples
        image, tail = self._image.copy(), self._tail.copy()
        folding = self._kind, self._gap_us, self._rollover
        counted = chunk.refused.copy()
        async with self._store.transaction():
            await take_turn(self._store, alone=True)
            if not await self._is_next(chunk, ticket):
                return counted
            await self._catch_up(np.unique(samples.tag), image, tail)
            fresh_rows = samples.time_us > image.time_us[samples.tag]
            fresh, old = samples.take(fresh_rows), samples.take(~fresh_rows)
            added, corrected = await self._place(fresh, old, careful=careful)
            newest = corrected.tag[corrected.time_us == image.time_us[corrected.tag]]
            image.forward(fresh, self._kind == COUNTER, self._rollover)
            late = sort(concatenate(added, corrected)).samples

            async def note(wanted: Stretches) -> None:
                counted["minutes restated"] = await self._restate(wanted, tail.open_us)

            wanted = await renew(
                self._store, *folding, tail, fresh, late, NEVER, self._park.timezone, note,
                new=not careful,
            )  # fmt: skip
            await self._keep_refused(chunk)
            await touch(self._store, np.concatenate([fresh.tag, wanted.tag[wanted.open], newest]))
            counted += _counts(chunk, len(fresh) + len(added), len(corrected))
            await self._advance(ticket, chunk.rows, ticket.counts + counted)
            seen = await self._writers()
        self._image, self._tail, self._seen = image, tail, seen
        # What was corrected under a closed minute is not in the tail.
        self._known[newest] = False
        self._claim(fresh, wanted)
        self._stored[samples.tag] = True
        return counted

    async def _is_next(self, chunk: Chunk, ticket: Ticket) -> bool:
        """Return whether the chunk follows what is stored; raises ParkError when it cannot."""
        taken = (await self._store.fetch(TAKEN, ticket.digest))[0][0]
        if taken not in (ticket.taken, ticket.taken + chunk.rows):
            raise ParkError(
                f"{ticket.name} is being imported by another program, too",
                hint="let it end; what it has stored is not stored again",
            )
        # The commit of which we did not hear was one.
        return bool(taken == ticket.taken)

    async def _writers(self) -> tuple[Any, ...]:
        return tuple((await self._store.fetch(WRITERS))[0])

    async def _catch_up(self, tags: I64, image: Image, tail: Tail) -> None:
        """Read back what is not in memory, or may have changed since."""
        if await self._writers() != self._seen:
            self._known[:] = False
        unknown = tags[~self._known[tags]]
        if not len(unknown):
            return
        folding = self._kind, self._gap_us, self._rollover
        minutes = await read_back(self._store, *folding, image, tail, unknown)
        nothing = np.zeros(0, np.int64)
        await self._store.write_minutes(minutes, self._park.timezone, (nothing, nothing))
        self._known[unknown] = True

    async def _place(
        self, fresh: Samples, old: Samples, *, careful: bool
    ) -> tuple[Samples, Samples]:
        """Store samples; return those behind the image that are new, and the corrections."""
        if careful:
            await self._store.merge_samples(fresh)
            return await self._store.merge_samples(old)
        first = np.flatnonzero(np.append(True, old.tag[1:] != old.tag[:-1])[: len(old)])
        at = old.tag[first]
        stop = np.maximum.reduceat(old.time_us, first) + 1 if len(at) else first
        there, _, _ = await self._occupied("sample", at, old.time_us[first], stop)
        taken = np.isin(old.tag, at[there])
        free = old.take(~taken)
        await self._store.copy_samples(concatenate(fresh, free))
        added, corrected = await self._store.merge_samples(old.take(taken))
        return concatenate(free, added), corrected

    async def _occupied(self, table: str, tag: I64, start: I64, stop: I64) -> tuple[I64, I64, I64]:
        """Return which stretches of single tags have rows, and their first and last time."""
        if not len(tag):
            return tag, tag, tag
        span = stamps(np.array([start.min(), stop.max()]))
        ids = self._store.tag_id[tag].tolist()
        rows = await self._store.fetch(
            OCCUPIED.format(table=table), ids, stamps(start), stamps(stop), *span
        )
        number = np.array([row["number"] - 1 for row in rows], dtype=np.int64)
        return number, micros([row["first"] for row in rows]), micros([row["last"] for row in rows])

    async def _restate(self, wanted: Stretches, open_us: I64) -> int:
        """Record where minutes of others are about to change; return how long that is [min]."""
        tag, start = wanted.tag, wanted.start
        stop = np.minimum(wanted.stop, open_us[tag])
        meets = (start <= self._own_to[tag]) & (stop >= self._own_from[tag])
        # What lies before and after the stretch that this import has written itself.
        tag = np.concatenate([tag, tag[meets]])
        start = np.concatenate([start, np.maximum(start, self._own_to[wanted.tag])[meets]])
        stop = np.concatenate(
            [np.where(meets, np.minimum(stop, self._own_from[wanted.tag]), stop), stop[meets]]
        )
        some = start < stop
        there, first, last = await self._occupied("minute", tag[some], start[some], stop[some])
        if len(there):
            await self._store.record_restatements(
                tag[some][there], first, last + MINUTE_US, self._now_us
            )
        return int((last + MINUTE_US - first).sum() // MINUTE_US)

    def _claim(self, fresh: Samples, wanted: Stretches) -> None:
        """Remember the last stretch of each tag as our own."""
        ends = np.where(wanted.open, self._tail.open_us[wanted.tag], wanted.stop)
        last = np.append(wanted.tag[1:] != wanted.tag[:-1], True)[: len(wanted)]
        first = np.append(True, fresh.tag[1:] != fresh.tag[:-1])[: len(fresh)]
        at = fresh.tag[first]
        parts = (
            (wanted.tag[last], wanted.start[last], ends[last]),
            (at, fresh.time_us[first] // MINUTE_US * MINUTE_US, self._tail.open_us[at]),
        )
        for tag, start, stop in parts:
            meets = (start <= self._own_to[tag]) & (stop >= self._own_from[tag])
            known_from, known_to = self._own_from[tag], self._own_to[tag]
            self._own_from[tag] = np.where(meets, np.minimum(start, known_from), start)
            self._own_to[tag] = np.where(meets, np.maximum(stop, known_to), stop)

    async def _keep_refused(self, chunk: Chunk) -> None:
        """Count what is in quarantine; keep what a later row of the same file has replaced."""
        name = chunk.source
        if chunk.held:
            entries = {
                key: (held.samples, Quarantined(*key, f"import/{name}", held.time_us, held.value))
                for key, held in chunk.held.items()
            }
            rows = self._settings.quarantine_rows
            await count_quarantined(self._store, entries, self._now_us, rows)
        sorted_ = chunk.samples
        if len(sorted_.superseded):
            await self._store.keep_corrections(sorted_.superseded, sorted_.superseded_by)

    async def _advance(self, ticket: Ticket, rows: int, counts: Counter[str]) -> None:
        await self._store.fetch(ADVANCE, ticket.digest, rows, json.dumps(counts))

    async def finish(self, ticket: Ticket, also: I64) -> None:
        """Mark a file as done, and close the minutes in which the last values hold.

        They are those of the tags this run has stored, and of others from before it.
        """
        self._stored[also] = True
        tags = np.flatnonzero(self._stored)
        image, tail = self._image.copy(), self._tail.copy()
        clock_us = self._now_us - round(self._settings.grace_s * 1e6)
        folding = self._kind, self._gap_us, self._rollover
        async with self._store.transaction():
            await take_turn(self._store, alone=True)
            await self._catch_up(tags, image, tail)
            held_us = tail.time_us + self._gap_us + MINUTE_US - 1
            over = (self._kind != COUNTER) & (tail.time_us != NEVER)
            over &= self._stored
            over &= (held_us <= clock_us) & (tail.from_us < held_us)
            close_us = np.where(over, held_us // MINUTE_US * MINUTE_US, NEVER)

            async def note(_wanted: Stretches) -> None:
                return

            none = no_samples()
            await renew(
                self._store, *folding, tail, none, none, close_us, self._park.timezone, note
            )
            await touch(self._store, np.flatnonzero(over))
            await self._store.fetch(FINISH, ticket.digest)
            seen = await self._writers()
        self._image, self._tail, self._seen = image, tail, seen
        ticket.finished = True


def _counts(chunk: Chunk, added: int, corrected: int) -> Counter[str]:
    """Return what became of a chunk that is not refused."""
    inside = chunk.samples
    counts = Counter(
        rows=chunk.rows,
        new=added,
        corrections=corrected + len(inside.superseded),
        duplicates=inside.duplicates + len(inside.samples) - added - corrected,
    )
    for (_, _, reason), held in chunk.held.items():
        counts[reason] += held.samples
    return counts
