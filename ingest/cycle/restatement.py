"""Restatement: minutes that a late, corrected or doubted sample touches are folded again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deploy.database.times import TIME_MAX_US
from twin.arrays import BOOL, F64, HOUR_US, I64, MINUTE_US, NEVER, U8, runs
from twin.series.minutes import COUNTER, COUNTER_GAP_US, Minutes, Tail, fold, no_tail
from twin.series.samples import concatenate, no_samples, sort

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ingest.store import Store
    from twin.series.samples import Samples


@dataclass(frozen=True, slots=True)
class Stretches:
    """Stretches of time of single tags, (w,): from `start` to before `stop`, on the minute.

    One that reaches the tag's open minute has no stop: it is read to its newest sample.
    """

    tag: I64
    start: I64
    stop: I64
    open: BOOL

    def __len__(self) -> int:
        return len(self.tag)


def stretches(tag: I64, time_us: I64, gap_us: I64, open_us: I64, newer: I64) -> Stretches:
    """Return what samples at these times can change; (n,) sorted by tag, then time.

    A sample holds until the gap limit, so it changes nothing beyond; stretches that meet are one.
    Those of the tags `newer` have the tag's newest sample in them: the tail is read again, too.
    """
    first = time_us // MINUTE_US * MINUTE_US
    stop = -(-(time_us + gap_us[tag]) // MINUTE_US) * MINUTE_US
    apart = np.append(True, (tag[1:] != tag[:-1]) | (first[1:] > stop[:-1]))[: len(tag)]
    starts = np.flatnonzero(apart)
    at = tag[starts]
    end = np.maximum.reduceat(stop, starts)
    reaches = (end > open_us[at]) | np.isin(at, newer)
    # One that begins beyond the open minute has what is in that minute to read as well.
    start = np.where(reaches, np.minimum(first[starts], open_us[at]), first[starts])
    return Stretches(at, start, np.where(reaches, TIME_MAX_US, end), reaches)


async def widen(store: Store, kind: I64, open_us: I64, wanted: Stretches) -> Stretches:
    """Let the stretches of counters begin and end at a sample: their increase is spread between."""
    rows = np.flatnonzero(kind[wanted.tag] == COUNTER)
    if not len(rows):
        return wanted
    start, stop, reaches = wanted.start.copy(), wanted.stop.copy(), wanted.open.copy()
    before, after = await store.neighbours(
        wanted.tag[rows], start[rows], stop[rows], COUNTER_GAP_US
    )
    start[rows] = before // MINUTE_US * MINUTE_US
    reaches[rows] |= after >= open_us[wanted.tag[rows]]
    stop[rows] = np.where(reaches[rows], TIME_MAX_US, -(-after // MINUTE_US) * MINUTE_US)
    return Stretches(wanted.tag, start, stop, reaches)


def join(wanted: Stretches) -> Stretches:
    """Return the stretches with those of a tag that meet made one."""
    joined: list[list[int]] = []
    order = np.lexsort((wanted.start, wanted.tag))
    columns = (wanted.tag, wanted.start, wanted.stop, wanted.open)
    for tag, start, stop, reaches in zip(*(c[order].tolist() for c in columns), strict=True):
        if joined and joined[-1][0] == tag and start <= joined[-1][2]:
            joined[-1][2] = max(joined[-1][2], stop)
            joined[-1][3] |= reaches
        else:
            joined.append([tag, start, stop, reaches])
    table = np.array(joined, dtype=np.int64)
    return Stretches(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(bool))


def _within(wanted: Stretches, samples: Samples) -> tuple[Samples, I64]:
    """Return the samples that lie in stretches, and the number of the stretch of each."""
    tag = np.append(wanted.tag, samples.tag)
    # Of the same time a stretch comes first: the sort is stable.
    order = np.lexsort((np.append(wanted.start, samples.time_us), tag))
    number = (np.cumsum(order < len(wanted)) - 1)[order >= len(wanted)]
    inside = (wanted.tag[number] == samples.tag) & (samples.time_us < wanted.stop[number])
    return samples.take(inside), number[inside]


async def _read(
    store: Store, counter: BOOL, wanted: Stretches, known: Samples
) -> tuple[I64, I64, F64, U8]:
    """Return (stretch, time, value, quality) of the samples in and next to each stretch.

    `known` is all there is from the first to the last sample of each tag in it: of a stretch that
    has some of it only the two ends are read.
    """
    known, number = _within(wanted, known)
    some, first = np.unique(number, return_index=True)
    last = np.append(first[1:], len(number))[: len(some)] - 1
    at = np.append(np.arange(len(wanted)), some)
    start = np.append(wanted.start, known.time_us[last] + 1)
    stop = np.append(wanted.stop, wanted.stop[some])
    stop[some] = known.time_us[first]
    read, time_us, value, quality = await store.read_stretches(
        wanted.tag[at], counter[at], start, stop, COUNTER_GAP_US
    )
    # The sample next to an end is read as well, and it may be a known one.
    other = np.where(read < len(wanted), time_us < stop[read], time_us >= start[read])
    other |= ~np.isin(at[read], some)
    number = np.append(at[read[other]], number)
    time_us = np.append(time_us[other], known.time_us)
    value = np.append(value[other], known.value)
    quality = np.append(quality[other], known.quality)
    order = np.lexsort((time_us, number))
    return number[order], time_us[order], value[order], quality[order]


async def refold(
    store: Store, kind: I64, gap_us: I64, rollover: F64, tail: Tail, wanted: Stretches,
    known: Samples | None = None,
) -> Minutes:  # fmt: skip
    """Return the minutes of stretches, folded from the stored samples; mend `tail` in place.

    `known` need not be read: all samples there are from the first to the last of each tag in it.
    """
    counter = kind[wanted.tag] == COUNTER
    number, time_us, value, quality = await _read(store, counter, wanted, known or no_samples())
    # Each stretch is folded as a tag of its own.
    own = no_tail(len(wanted))
    close = np.where(wanted.open, tail.open_us[wanted.tag], wanted.stop)
    at = wanted.tag
    rows = fold(own, kind[at], gap_us[at], rollover[at], number, time_us, value, quality, close)
    open_rows = np.flatnonzero(wanted.open)
    np.maximum(own.open_us, wanted.start, out=own.open_us)
    tail.put(wanted.tag[open_rows], own.take(open_rows))
    inside = (rows.time_us >= wanted.start[rows.tag]) & (rows.time_us < wanted.stop[rows.tag])
    kept = rows.take(inside)
    return Minutes(wanted.tag[kept.tag], *(getattr(kept, n) for n in Minutes.__slots__[1:]))


async def renew(
    store: Store,
    kind: I64,
    gap_us: I64,
    rollover: F64,
    tail: Tail,
    added: Samples,
    late: Samples,
    close_us: int | I64,
    zone: str,
    note: Callable[[Stretches], Awaitable[None]],
    *,
    new: bool = False,
    known: Samples | None = None,
) -> Stretches:
    """Fold samples newer than the image, fold again what late ones touch, write both.

    Mends `tail` in place. `note` is told which stretches are about to be dropped; `new` says that
    no other minute can be in the way, `known` what need not be read. Returns those stretches.
    """
    # A new sample in a minute that is closed already, or before one that has stayed out of
    # the image, and everything late, is read back.
    first, _ = runs(added.tag)
    at = added.tag[first]
    closed = at[added.time_us[first] < np.maximum(tail.open_us[at], tail.time_us[at] + 1)]
    again = np.isin(added.tag, closed)
    touched = sort(concatenate(late, added.take(again))).samples
    rows: list[Minutes] = []
    also = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    unseen = tail.open_us[touched.tag] == NEVER
    seen = touched.take(~unseen)
    if unseen.any():
        added = sort(concatenate(touched.take(unseen), added)).samples
    wanted = stretches(seen.tag, seen.time_us, gap_us, tail.open_us, closed)
    if len(wanted):
        wanted = join(await widen(store, kind, tail.open_us, wanted))
        await note(wanted)
        await store.drop_minutes(wanted.tag, wanted.start, wanted.stop)
        also = hours_of(wanted, tail.open_us)
        reread = np.isin(added.tag, wanted.tag[wanted.open])
        rows.append(await refold(store, kind, gap_us, rollover, tail, wanted, known))
        added = added.take(~reread)
    columns = added.tag, added.time_us, added.value, added.quality
    rows.append(fold(tail, kind, gap_us, rollover, *columns, close_us))
    minutes = rows[0] if len(rows) == 1 else Minutes(
        *(np.concatenate([getattr(r, n) for r in rows]) for n in Minutes.__slots__)
    )  # fmt: skip
    await store.write_minutes(minutes, zone, also, new=new)
    return wanted


def hours_of(wanted: Stretches, open_us: I64) -> tuple[I64, I64]:
    """Return (tag, time) with at least one time in each hour of the stretches."""
    stop = np.where(wanted.open, np.maximum(open_us[wanted.tag], wanted.start), wanted.stop)
    count = np.maximum(-(-(stop - wanted.start) // HOUR_US), 0) + 1
    row = np.repeat(np.arange(len(wanted)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return wanted.tag[row], wanted.start[row] + nth * HOUR_US


async def resume(
    store: Store,
    kind: I64,
    gap_us: I64,
    rollover: F64,
    tail: Tail,
    newest: Samples,
    ends: I64,
) -> Minutes:
    """Rebuild the tail after a start: from the stored minutes' `ends` to the `newest` samples."""
    at = newest.tag
    start = np.where(ends[at] == NEVER, newest.time_us // MINUTE_US * MINUTE_US, ends[at])
    wanted = Stretches(at, start, np.full(len(at), TIME_MAX_US), np.ones(len(at), bool))
    tail.open_us[at] = start
    return await refold(store, kind, gap_us, rollover, tail, wanted)
