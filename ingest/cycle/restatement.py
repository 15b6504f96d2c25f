"""Minutes in the database: added samples continue them, late ones aggregate them again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deploy.database.times import TIME_MAX_US
from twin.arrays import BOOL, DAY_US, F64, HOUR_US, I64, INTP, MINUTE_US, NEVER, U8, runs
from twin.series.counters import Findings
from twin.series.image import no_image
from twin.series.minutes import (
    Minutes,
    OpenMinutes,
    aggregate,
    are_doubtful,
    no_open_minutes,
)
from twin.series.samples import Samples, concatenate, no_samples, sort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.store import Store
    from twin.series.image import Image
    from twin.series.traits import SeriesTraits

# The neighbours of a sample are looked for so far away. A counter may be read once a year: when it
# has none within the first, the second counts, which costs a look into many chunks.
NEAR_US, FAR_US = DAY_US, 750 * DAY_US
# So many minutes are aggregated and written at once: a reading after a month makes 43,200.
ROWS_AT_ONCE = 500_000
# A cycle begins no further tag when it has so many to write: readings after a month wait in line.
ROWS_READY = 30_000
# So often an interval is extended to the next reading of a counter, until that is no doubtful one.
EXTENSIONS = 8


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of time of single tags, (w,): from `start` to before `stop` [µs], on the minute.

    An open one reaches the open minute of its tag, has no stop and is read to the newest sample.
    """

    tag: I64
    start: I64
    stop: I64
    open: BOOL

    def __len__(self) -> int:
        return len(self.tag)

    def take(self, rows: I64) -> Intervals:
        """Return some of the intervals."""
        return Intervals(self.tag[rows], self.start[rows], self.stop[rows], self.open[rows])


@dataclass(frozen=True, slots=True)
class MinutePlan:
    """Work for a set of samples: those that continue the minutes, intervals to aggregate again."""

    added: Samples
    intervals: Intervals


class Aggregation:
    """Aggregation of the samples of one park into the minutes of one database."""

    def __init__(self, store: Store, traits: SeriesTraits, zone: str) -> None:
        self._store = store
        self._traits = traits
        self._zone = zone

    async def plan(self, open_minutes: OpenMinutes, added: Samples, late: Samples) -> MinutePlan:
        """Return the work for samples newer than the image and for late ones; raises StoreError.

        Both are sorted by tag, then time. What the plan drops is still stored: record it first.
        """
        # An added sample in a closed minute, or before one that stays out of the image, is late.
        first, _ = runs(added.tag)
        at = added.tag[first]
        begin_us = np.maximum(open_minutes.open_us[at], open_minutes.time_us[at] + 1)
        closed = at[added.time_us[first] < begin_us]
        again = added.take(np.isin(added.tag, closed))
        touched = sort(concatenate(late, again)).samples
        # Nothing is aggregated yet of a tag without an open minute: all its samples continue.
        unseen = open_minutes.open_us[touched.tag] == NEVER
        if unseen.any():
            added = sort(concatenate(touched.take(unseen), added)).samples
            touched = touched.take(~unseen)
        intervals = intervals_around(
            touched.tag, touched.time_us, self._traits.gap_us, open_minutes.open_us, closed
        )
        if len(intervals):
            intervals = await self._extend_to_samples(open_minutes.open_us, intervals)
            intervals = merge_intervals(intervals)
            added = added.take(~np.isin(added.tag, intervals.tag[intervals.open]))
        return MinutePlan(added, intervals)

    async def apply(
        self,
        open_minutes: OpenMinutes,
        plan: MinutePlan,
        close_us: int | I64,
        *,
        new: bool = False,
        known: Samples | None = None,
    ) -> list[tuple[I64, I64]]:
        """Write the minutes of a plan and change `open_minutes` in place; raises StoreError.

        Returns tags and times [µs] of what was written, and times in each hour of what was dropped.
        Minutes before `close_us`, (T,) [µs], are complete. With `new` no other minute is stored in
        the same time; `known` need not be read: it is all there is between its ends, tag by tag.
        """
        intervals, written = plan.intervals, list[tuple[I64, I64]]()
        if len(intervals):
            await self._store.drop_minutes(intervals.tag, intervals.start, intervals.stop)
            reached = open_minutes.open_us
            stop = np.where(intervals.open, reached[intervals.tag], intervals.stop)
            for rows in in_groups(stop - intervals.start):
                part, samples = await self._settled(reached, intervals.take(rows), known)
                hours = hours_of(part, reached)
                minutes = await self._reaggregate(open_minutes, part, samples)
                await self._store.write_minutes(minutes, self._zone, hours, new=new)
                written += [(minutes.tag, minutes.time_us), hours]
        for added in self._split(open_minutes, plan.added):
            findings = Findings()
            minutes = aggregate(open_minutes, self._traits, added, close_us, findings)
            await self._store.write_minutes(minutes, self._zone, new=new)
            written.append((minutes.tag, minutes.time_us))
            await self._store.mark_doubted(findings.doubted)
            await self._store.register_falls.add(findings.falls)
        return written

    def _split(self, open_minutes: OpenMinutes, added: Samples) -> Iterator[Samples]:
        """Yield samples in parts of whole tags that make no more minutes than are written at once.

        The first part is there in any case: with it the other tags are closed.
        """
        tags, wait_us = self._waits(open_minutes, added)
        if wait_us.sum() <= ROWS_AT_ONCE * MINUTE_US:
            yield added
            return
        for rows in in_groups(wait_us):
            yield added.take(np.isin(added.tag, tags[rows]))

    def ready(
        self, open_minutes: OpenMinutes, waiting: Samples, added: Samples
    ) -> tuple[Samples, Samples]:
        """Return the samples that a cycle aggregates, and those that wait for the next ones.

        The tags with the fewest minutes to write come first, and there is always one.
        """
        if len(waiting):
            # What was aggregated again meanwhile waits no longer.
            seen_us = np.maximum(open_minutes.time_us, open_minutes.doubt_us)
            waiting = waiting.take(waiting.time_us > seen_us[waiting.tag])
            added = sort(concatenate(waiting, added)).samples
        tags, wait_us = self._waits(open_minutes, added)
        if wait_us.sum() <= ROWS_READY * MINUTE_US:
            return added, no_samples()
        order = np.argsort(wait_us, kind="stable")
        before_us = np.cumsum(wait_us[order]) - wait_us[order]
        now = np.isin(added.tag, tags[order[before_us < ROWS_READY * MINUTE_US]])
        return added.take(now), added.take(~now)

    def _waits(self, open_minutes: OpenMinutes, added: Samples) -> tuple[I64, I64]:
        """Return the tags of samples, and how long their minutes are behind the newest, (t,) [µs].

        A gauge fills no minute beyond its gap.
        """
        _, last = runs(added.tag)
        tags, newest_us = added.tag[last], added.time_us[last]
        behind_us = np.where(self._traits.counter[tags], open_minutes.from_us[tags], NEVER)
        return tags, np.where(behind_us == NEVER, 0, newest_us - behind_us)

    async def record(self, intervals: Intervals, until_us: I64, now_us: int) -> int:
        """Record intervals as restated, as far as minutes of a tag are written: (T,) [µs].

        Returns the number of minutes; raises StoreError.
        """
        stop = np.minimum(intervals.stop, until_us[intervals.tag])
        old = intervals.start < stop
        if old.any():
            await self._store.record_restatements(
                intervals.tag[old], intervals.start[old], stop[old], now_us
            )
        return int(((stop - intervals.start)[old] // MINUTE_US).sum())

    async def _settled(
        self, open_us: I64, intervals: Intervals, known: Samples | None
    ) -> tuple[Intervals, Samples]:
        """Return intervals and their samples, up to readings of counters that are not doubtful.

        Minutes of what an interval is extended by are deleted. `known` as for `apply`.
        """
        for _ in range(EXTENSIONS):
            samples = await self._read(intervals, known or no_samples())
            traits = self._traits.take(intervals.tag)
            if not (traits.counter & ~intervals.open).any():
                break
            doubtful = np.flatnonzero(are_doubtful(traits, samples) & ~intervals.open)
            if not len(doubtful):
                break
            tag, old = intervals.tag[doubtful], intervals.stop[doubtful]
            _, after = await self._neighbours(tag, old, old)
            reaches = after >= open_us[tag]
            intervals = intervals.take(np.arange(len(intervals)))  # a copy
            beyond = -(-(after + 1) // MINUTE_US) * MINUTE_US
            intervals.stop[doubtful] = np.where(reaches, TIME_MAX_US, beyond)
            intervals.open[doubtful] = reaches
            await self._store.drop_minutes(tag, old, intervals.stop[doubtful])
        return intervals, samples

    async def _reaggregate(
        self, open_minutes: OpenMinutes, intervals: Intervals, samples: Samples
    ) -> Minutes:
        """Return the minutes of intervals, aggregated from their samples; raises StoreError.

        Changes `open_minutes` in place where an interval is open.
        """
        # Each interval is aggregated as a tag of its own.
        at = intervals.tag
        own = no_open_minutes(len(intervals))
        # A counter goes on where its last true reading is, and that may be another one now.
        open_us = np.where(self._traits.counter[at], NEVER, open_minutes.open_us[at])
        close_us = np.where(intervals.open, open_us, intervals.stop)
        findings = Findings()
        rows = aggregate(own, self._traits.take(at), samples, close_us, findings)
        await self._record_findings(intervals, findings)
        np.maximum(own.open_us, intervals.start, out=own.open_us)
        open_rows = np.flatnonzero(intervals.open)
        open_minutes.put(at[open_rows], own.take(open_rows))
        inside = rows.time_us >= intervals.start[rows.tag]
        inside &= rows.time_us < intervals.stop[rows.tag]
        kept = rows.take(inside)
        return Minutes(at[kept.tag], *(getattr(kept, n) for n in Minutes.__slots__[1:]))

    async def _record_findings(self, intervals: Intervals, findings: Findings) -> None:
        """Mark doubtful readings, and let the falls of counters be those listed in intervals."""
        counter = self._traits.counter[intervals.tag]
        if not counter.any():
            return
        start, stop, tag = intervals.start, intervals.stop, intervals.tag
        await self._store.mark_doubted([(int(tag[n]), time_us) for n, time_us in findings.doubted])
        inside = [
            fall._replace(tag=int(tag[fall.tag]))
            for fall in findings.falls
            if start[fall.tag] <= fall.time_us < stop[fall.tag]
        ]
        within = intervals.take(np.flatnonzero(counter))
        await self._store.register_falls.renew(within.tag, within.start, within.stop, inside)

    async def restore(self, open_minutes: OpenMinutes, newest: Samples, ends: I64) -> None:
        """Aggregate from the end of the stored minutes to the newest samples; raises StoreError.

        `newest` is the newest sample of each tag, `ends` the (T,) end of its minutes [µs]. What
        people enter has no minutes.
        """
        newest = newest.take(~self._traits.manual[newest.tag])
        at = newest.tag
        start = np.where(ends[at] == NEVER, newest.time_us // MINUTE_US * MINUTE_US, ends[at])
        intervals = Intervals(at, start, newest.time_us + 1, np.ones(len(at), bool))
        open_minutes.open_us[at] = start
        for rows in in_groups(newest.time_us - start):
            part = intervals.take(rows)
            samples = await self._read(part, no_samples())
            minutes = await self._reaggregate(open_minutes, part, samples)
            # Minutes that are complete may not be stored yet.
            await self._store.write_minutes(minutes, self._zone)

    async def read_back(self, image: Image, open_minutes: OpenMinutes, tags: I64) -> None:
        """Take newest sample and open minute of some tags from the store; raises StoreError."""
        newest, ends = await self._store.newest(tags=tags)
        nothing = no_image(len(tags))
        for name in ("time_us", "value", "rate", "quality"):
            getattr(image, name)[tags] = getattr(nothing, name)
        image.update(newest, self._traits)
        open_minutes.put(tags, no_open_minutes(len(tags)))
        await self.restore(open_minutes, newest, ends)

    async def _extend_to_samples(self, open_us: I64, intervals: Intervals) -> Intervals:
        """Extend the intervals of counters to a sample: their increase is spread between."""
        rows = np.flatnonzero(self._traits.counter[intervals.tag])
        if not len(rows):
            return intervals
        tag = intervals.tag[rows]
        start, stop, reaches = intervals.start.copy(), intervals.stop.copy(), intervals.open.copy()
        before, after = await self._neighbours(tag, start[rows], stop[rows])
        start[rows] = before // MINUTE_US * MINUTE_US
        reaches[rows] |= after >= open_us[tag]
        stop[rows] = np.where(reaches[rows], TIME_MAX_US, -(-after // MINUTE_US) * MINUTE_US)
        return Intervals(intervals.tag, start, stop, reaches)

    async def _neighbours(self, tag: I64, start: I64, stop: I64) -> tuple[I64, I64]:
        """Return the times of the readings of counters next to intervals, else the bounds."""
        before, after = await self._store.neighbours(tag, start, stop, NEAR_US)
        lone = np.flatnonzero((before == start) | ((after == stop) & (stop < TIME_MAX_US)))
        if len(lone):
            before[lone], after[lone] = await self._store.neighbours(
                tag[lone], start[lone], stop[lone], FAR_US
            )
        return before, after

    async def _read_around(
        self, tag: I64, start: I64, stop: I64, is_open: BOOL
    ) -> tuple[I64, I64, F64, U8]:
        """Return (interval, time, value, quality) of the samples in and next to intervals."""
        counter, hair = self._traits.counter[tag], self._traits.resolution[tag]
        near = await self._store.read_intervals(tag, counter, hair, start, stop, NEAR_US)
        row, time_us, _, _ = near
        reached = np.zeros((2, len(tag)), bool)
        reached[0, row[time_us < start[row]]] = True
        reached[1, row[time_us >= stop[row]]] = True
        # Behind the newest sample of a tag there is none.
        reached[1] |= is_open
        lone = np.flatnonzero(counter & ~reached.all(axis=0))
        if not len(lone):
            return near
        far = await self._store.read_intervals(
            tag[lone], counter[lone], hair[lone], start[lone], stop[lone], FAR_US
        )
        stay = ~np.isin(row, lone)
        return (
            np.append(row[stay], lone[far[0]]),
            np.append(near[1][stay], far[1]),
            np.append(near[2][stay], far[2]),
            np.append(near[3][stay], far[3]),
        )

    async def _read(self, intervals: Intervals, known: Samples) -> Samples:
        """Return the samples in and next to each interval, with its number as their tag.

        Of an interval that has some of the `known` only the two ends are read.
        """
        known = _within(intervals, known)
        some, first = np.unique(known.tag, return_index=True)
        last = np.append(first[1:], len(known))[: len(some)] - 1
        number = np.append(np.arange(len(intervals)), some)
        start = np.append(intervals.start, known.time_us[last] + 1)
        stop = np.append(intervals.stop, intervals.stop[some])
        stop[some] = known.time_us[first]
        is_open = np.append(intervals.open, intervals.open[some])
        is_open[some] = False
        around = await self._read_around(intervals.tag[number], start, stop, is_open)
        row, time_us, value, quality = around
        read = Samples(number[row], time_us, value, quality, time_us)
        # The sample next to an end is read as well, and it may be a known one.
        other = np.where(row < len(intervals), time_us < stop[row], time_us >= start[row])
        other |= ~np.isin(read.tag, some)
        return sort(concatenate(read.take(other), known)).samples


def intervals_around(tag: I64, time_us: I64, gap_us: I64, open_us: I64, newer: I64) -> Intervals:
    """Return the intervals that samples at these times can change; (n,) sorted by tag, then time.

    A sample holds until the gap limit, (T,) [µs], and changes nothing beyond; intervals that meet
    are one. Those of the tags `newer` hold the tag's newest sample: they are open.
    """
    first = time_us // MINUTE_US * MINUTE_US
    stop = -(-(time_us + gap_us[tag]) // MINUTE_US) * MINUTE_US
    apart, _ = runs(tag)
    apart[1:] |= first[1:] > stop[:-1]
    starts = np.flatnonzero(apart)
    at = tag[starts]
    end = np.maximum.reduceat(stop, starts)
    reaches = (end > open_us[at]) | np.isin(at, newer)
    # One that begins beyond the open minute has what is in that minute to read as well.
    start = np.where(reaches, np.minimum(first[starts], open_us[at]), first[starts])
    return Intervals(at, start, np.where(reaches, TIME_MAX_US, end), reaches)


def merge_intervals(intervals: Intervals) -> Intervals:
    """Return intervals in which those of a tag that meet are one, sorted by tag, then time."""
    merged: list[list[int]] = []
    order = np.lexsort((intervals.start, intervals.tag))
    columns = (intervals.tag, intervals.start, intervals.stop, intervals.open)
    for tag, start, stop, reaches in zip(*(c[order].tolist() for c in columns), strict=True):
        if merged and merged[-1][0] == tag and start <= merged[-1][2]:
            merged[-1][2] = max(merged[-1][2], stop)
            merged[-1][3] |= reaches
        else:
            merged.append([tag, start, stop, reaches])
    table = np.array(merged, dtype=np.int64)
    return Intervals(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(bool))


def in_groups(span_us: I64) -> list[INTP]:
    """Return the rows of spans of time in groups, none with more minutes than are written at once.

    A longer span is a group of its own.
    """
    if not len(span_us):
        return []
    group = np.cumsum(np.maximum(span_us, 0)) // (ROWS_AT_ONCE * MINUTE_US)
    return np.split(np.arange(len(span_us)), np.flatnonzero(np.diff(group)) + 1)


def _within(intervals: Intervals, samples: Samples) -> Samples:
    """Return the samples that lie in intervals, with the interval's number as their tag."""
    tag = np.append(intervals.tag, samples.tag)
    # At equal times the interval comes first: the sort is stable.
    order = np.lexsort((np.append(intervals.start, samples.time_us), tag))
    number = (np.cumsum(order < len(intervals)) - 1)[order >= len(intervals)]
    inside = intervals.tag[number] == samples.tag
    inside &= samples.time_us < intervals.stop[number]
    return replace(samples.take(inside), tag=number[inside])


def hours_of(intervals: Intervals, open_us: I64) -> tuple[I64, I64]:
    """Return (tag, time) with at least one time in each hour of the intervals, up to `open_us`."""
    reached = np.maximum(open_us[intervals.tag], intervals.start)
    stop = np.where(intervals.open, reached, intervals.stop)
    count = np.maximum(-(-(stop - intervals.start) // HOUR_US), 0) + 1
    row = np.repeat(np.arange(len(intervals)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return intervals.tag[row], intervals.start[row] + nth * HOUR_US
