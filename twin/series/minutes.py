"""Amounts per tag and minute: aggregation as a left fold over samples in time order.

A minute is a pure function of the samples around it: gauges hold their value until the next sample
or the gap limit, counters spread their increase evenly between two samples, states count the time
they are not zero. Contributions are added strictly in time order, so that samples that come in one
by one, in blocks or all at once give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, HOUR_US, I64, MINUTE_US, NEVER, U8, Columns, last_known, runs
from twin.series.counters import is_shown, settle

if TYPE_CHECKING:
    from twin.series.counters import Findings, Readings
    from twin.series.samples import Samples
    from twin.series.traits import SeriesTraits

# The increase of a counter over a longer silence is known for all of it, and of a minute only by
# spreading it; where the model gives the counter a longer gap, that is the limit.
SPREAD_US = 2 * HOUR_US
_GOOD = np.uint8(q.GOOD)
_SPREAD = np.uint8(q.UNCERTAIN | q.SPREAD)
_RESET = np.uint8(q.UNCERTAIN | q.RESET)


@dataclass(frozen=True, slots=True)
class Minutes(Columns):
    """Columns of minutes, (r,): sorted by tag, then time."""

    tag: I64
    time_us: I64
    n: I64
    amount: F64  # [SI] integral of a gauge, increase of a counter, seconds of a state
    covered_us: I64
    min: F64
    max: F64
    last: F64
    quality: U8


_NONE_I = np.zeros(0, np.int64)
_NONE_F = np.zeros(0)
NO_MINUTES = Minutes(
    _NONE_I, _NONE_I, _NONE_I, _NONE_F, _NONE_I, _NONE_F, _NONE_F, _NONE_F, np.zeros(0, np.uint8)
)


@dataclass(frozen=True, slots=True)
class OpenMinutes(Columns):
    """State of the aggregation of T tags, (T,): the last sample and the open minute of each.

    Of a counter the last sample is its last true reading; a doubtful one after it waits.
    """

    time_us: I64  # last sample; NEVER before the first
    value: F64
    quality: U8
    from_us: I64  # its contribution is booked up to here
    open_us: I64  # minute that is being filled; all before are closed
    n: I64
    amount: F64
    covered_us: I64
    min: F64
    max: F64
    last: F64
    worst: U8
    doubt: F64  # [SI] doubtful reading of a counter; NaN = none
    doubt_from_us: I64  # when it was read first, and last: it has not moved since
    doubt_us: I64
    doubt_quality: U8

    def put(self, rows: I64, other: OpenMinutes) -> None:
        """Replace some tags by the rows of `other`."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(other, name)


def no_open_minutes(tags: int) -> OpenMinutes:
    """Return the state of the aggregation before the first sample of each tag."""
    never = np.full(tags, NEVER)
    nan = np.full(tags, np.nan)
    zero = np.zeros(tags, np.int64)
    return OpenMinutes(
        never, nan, np.full(tags, q.NO_DATA, np.uint8), never.copy(), never.copy(),
        zero, np.zeros(tags), zero.copy(), nan.copy(), nan.copy(), nan.copy(),
        np.zeros(tags, np.uint8), nan.copy(), never.copy(), never.copy(),
        np.zeros(tags, np.uint8),
    )  # fmt: skip


def aggregate(
    open_minutes: OpenMinutes,
    traits: SeriesTraits,
    samples: Samples,
    close_us: int | I64,
    findings: Findings | None = None,
) -> Minutes:
    """Add samples to the open minutes, in place, and return the minutes that are complete now.

    Parameters
    ----------
    open_minutes : OpenMinutes
        one row per tag
    traits : SeriesTraits
        of the same tags
    samples : Samples
        (n,) sorted by tag, then time; each later than the last sample of its tag, and not before
        its open minute
    close_us : int or (T,) int64 [µs]
        every minute before this is complete, whatever comes; on the minute. NEVER closes nothing,
        and is right for a counter that goes on: its next sample spreads over the time before.
    findings : Findings
        where to add the falls and the doubtful readings of counters

    Returns
    -------
    Minutes
        sorted by tag, then time; a minute without a sample and without a held value has no row
    """
    samples = _usable(traits, samples)
    close = np.broadcast_to(np.asarray(close_us, dtype=np.int64), open_minutes.time_us.shape)
    readings = settle(open_minutes, traits, samples, close, findings)
    pieces = _pieces(open_minutes, traits, readings, close)
    end_us = np.full(len(open_minutes.time_us), NEVER)
    np.maximum.at(end_us, pieces.tag, pieces.end_us)
    complete = _accumulate(open_minutes, _split(pieces), end_us)
    _advance(open_minutes, readings.samples, end_us)
    return complete


def are_doubtful(traits: SeriesTraits, samples: Samples) -> BOOL:
    """Return whether the last of the samples of each counter waits for the next.

    Parameters
    ----------
    traits : SeriesTraits    T tags
    samples : Samples        (n,) sorted by tag, then time

    Returns
    -------
    (T,) bool
    """
    own = no_open_minutes(len(traits))
    settle(own, traits, _usable(traits, samples), np.full(len(traits), NEVER))
    return ~np.isnan(own.doubt)


def _usable(traits: SeriesTraits, samples: Samples) -> Samples:
    """Return samples without the bad ones of counters: they count nothing and end nothing."""
    counts = traits.counter[samples.tag]
    if not counts.any():
        return samples
    usable = q.usable(samples.quality) & ~np.isnan(samples.value)
    usable &= is_shown(traits, samples.tag, samples.value)
    return samples.take(usable | ~counts)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Intervals of time in which a tag has one value, (p,): sorted by tag, then time."""

    tag: I64
    start_us: I64
    stop_us: I64  # where the value stops to hold; not before start
    end_us: I64  # where the next sample is; from stop to end there is nothing
    rate: F64  # [SI/s]; NaN = no value
    value: F64
    n: I64
    quality: U8


def _pieces(
    open_minutes: OpenMinutes, traits: SeriesTraits, readings: Readings, close_us: I64
) -> _Pieces:
    """Return a piece of time for each sample, also the held ones: to the next, or to the close."""
    samples = readings.samples
    # Every tag with new samples or with a minute to close begins with the sample it holds.
    touched = np.zeros(len(open_minutes.time_us), bool)
    touched[samples.tag] = True
    known = open_minutes.time_us != NEVER
    touched |= known & (open_minutes.from_us < close_us)
    head = np.flatnonzero(touched & known)
    at = np.searchsorted(samples.tag, head)
    tags = np.insert(samples.tag, at, head)
    times = np.insert(samples.time_us, at, open_minutes.time_us[head])
    values = np.insert(samples.value, at, open_minutes.value[head])
    qualities = np.insert(samples.quality, at, open_minutes.quality[head])
    start = times.copy()
    start[at + np.arange(len(at))] = open_minutes.from_us[head]
    _, last = runs(tags)
    # The last sample of a tag waits for its successor, or runs up to the close.
    end = np.where(last, np.maximum(close_us[tags], start), np.append(times[1:], 0))
    hold = np.minimum(end, times + traits.gap_us[tags])
    rate = np.where(traits.state[tags], values != 0, values)
    worst = qualities.copy()
    rows = np.flatnonzero(traits.counter[tags])
    if len(rows):
        hold[rows] = end[rows]
        rise = np.append(np.insert(readings.rise, at, np.nan), np.nan)[rows + 1]
        grade = np.append(np.insert(readings.grade, at, 0), 0).astype(np.uint8)[rows + 1]
        following = np.append(qualities[1:], _GOOD)[rows]
        ends = last[rows]
        span_us = (end - times)[rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            rate[rows] = np.where(ends, np.nan, rise / (span_us * 1e-6))
        # An increase is as good as the worse of its two readings, and what lies between them.
        both = q.worse(qualities[rows], np.where(ends, _GOOD, q.worse(following, grade)))
        long = ~ends & (span_us > np.maximum(traits.gap_us[tags[rows]], SPREAD_US))
        worst[rows] = np.where(long, q.worse(both, np.full(len(rows), _SPREAD)), both)
    rate[~q.usable(qualities) | np.isnan(values)] = np.nan
    return _Pieces(
        tag=tags,
        start_us=start,
        stop_us=np.where(np.isnan(rate), start, np.maximum(start, hold)),
        end_us=end,
        rate=rate,
        value=values,
        n=((start == times) & (end > start)).astype(np.int64),
        quality=worst,
    )


def _split(whole: _Pieces) -> _Pieces:
    """Cut pieces at every full minute, as far as they hold; pieces of no time at all vanish."""
    first = whole.start_us // MINUTE_US
    count = np.maximum(-(-whole.stop_us // MINUTE_US) - first, 1)
    count = np.where(whole.end_us > whole.start_us, count, 0)
    row = np.repeat(np.arange(len(first)), count)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    begin = (first[row] + nth) * MINUTE_US
    start = np.maximum(whole.start_us[row], begin)
    return _Pieces(
        tag=whole.tag[row],
        start_us=start,
        stop_us=np.clip(whole.stop_us[row], start, begin + MINUTE_US),
        end_us=begin + MINUTE_US,
        rate=whole.rate[row],
        value=whole.value[row],
        n=np.where(nth == 0, whole.n[row], 0),
        quality=whole.quality[row],
    )


def _accumulate(open_minutes: OpenMinutes, pieces: _Pieces, end_us: I64) -> Minutes:
    """Add pieces to the open minutes; return those that are complete, keep the others open."""
    if not len(pieces.tag):
        return NO_MINUTES
    minute = pieces.start_us // MINUTE_US * MINUTE_US
    first, _ = runs(pieces.tag, minute)
    start, group = np.flatnonzero(first), np.cumsum(first) - 1
    tag, minute = pieces.tag[start], minute[start]
    # The rows that go on with an open minute, and their tags.
    going = np.flatnonzero(open_minutes.open_us[tag] == minute)
    held = open_minutes.take(tag[going])
    used_us = pieces.stop_us - pieces.start_us
    value = np.where(used_us > 0, pieces.value, np.nan)
    # A product of a missing rate and no time is no amount; a value that was not used only counts.
    part = np.where(used_us > 0, pieces.rate * (used_us * 1e-6), 0.0)
    flag = pieces.quality & np.uint8(q.SIMULATED)
    # A rise that is not known shows in the minute in which it begins.
    counts = (used_us > 0) | ((pieces.quality ^ flag) == _RESET)
    worst = np.where(counts, pieces.quality, flag)
    # bincount adds in order of appearance, one by one, and the amount of an open minute goes first:
    # that is what makes the sums exact.
    amount = np.bincount(np.append(going, group), np.append(held.amount, part))
    rows = Minutes(
        tag=tag,
        time_us=minute,
        n=np.add.reduceat(pieces.n, start),
        amount=amount.astype(np.float64),
        covered_us=np.add.reduceat(used_us, start),
        # Plus zero: which of two zeros of different sign is the smaller would depend on the blocks.
        min=np.fmin.reduceat(value, start) + 0.0,
        max=np.fmax.reduceat(value, start) + 0.0,
        last=last_known(value, start),
        quality=q.worst_of(worst, start),
    )
    rows.n[going] += held.n
    rows.covered_us[going] += held.covered_us
    rows.min[going] = np.fmin(held.min, rows.min[going])
    rows.max[going] = np.fmax(held.max, rows.max[going])
    rows.last[going] = np.where(np.isnan(rows.last[going]), held.last, rows.last[going])
    rows.quality[going] = q.worse(held.worst, rows.quality[going])
    _, final = runs(rows.tag)
    full = end_us[rows.tag] >= rows.time_us + MINUTE_US
    _reopen(open_minutes, rows.tag[final], end_us)
    _keep(open_minutes, rows.take(final & ~full))
    return _graded(rows.take(full))


def _reopen(open_minutes: OpenMinutes, at: I64, end_us: I64) -> None:
    """Open an empty minute where the last piece of each tag ended."""
    open_minutes.from_us[at] = end_us[at]
    open_minutes.open_us[at] = end_us[at] // MINUTE_US * MINUTE_US
    open_minutes.n[at] = 0
    open_minutes.amount[at] = 0.0
    open_minutes.covered_us[at] = 0
    for column in (open_minutes.min, open_minutes.max, open_minutes.last):
        column[at] = np.nan
    open_minutes.worst[at] = 0


def _keep(open_minutes: OpenMinutes, stay: Minutes) -> None:
    """Keep minutes that are not complete open."""
    at = stay.tag
    open_minutes.open_us[at] = stay.time_us
    for name in ("n", "amount", "covered_us", "min", "max", "last"):
        getattr(open_minutes, name)[at] = getattr(stay, name)
    open_minutes.worst[at] = stay.quality


def _graded(rows: Minutes) -> Minutes:
    """Grade minutes with a hole uncertain and those without a value bad; drop empty ones."""
    rows = rows.take((rows.covered_us > 0) | (rows.n > 0))
    flag = rows.quality & np.uint8(q.SIMULATED)
    hole = q.worse(rows.quality, np.full(len(rows), q.UNCERTAIN | q.INCOMPLETE, np.uint8))
    quality = np.where(rows.covered_us < MINUTE_US, hole, rows.quality)
    quality = np.where(rows.covered_us == 0, np.uint8(q.NO_DATA) | flag, quality)
    return replace(rows, quality=quality)


def _advance(open_minutes: OpenMinutes, samples: Samples, end_us: I64) -> None:
    """Hold the newest sample of each tag."""
    newest = samples.take(runs(samples.tag)[1])
    at = newest.tag
    open_minutes.time_us[at] = newest.time_us
    open_minutes.value[at] = newest.value
    open_minutes.quality[at] = newest.quality
    open_minutes.from_us[at] = np.maximum(newest.time_us, end_us[at])
    first = at[open_minutes.open_us[at] == NEVER]
    open_minutes.open_us[first] = open_minutes.time_us[first] // MINUTE_US * MINUTE_US
