"""Amounts per tag and minute, as a left fold over samples in time order.

A minute is a pure function of the samples around it: gauges hold their value until the next sample
or the gap limit, counters spread their increase evenly between two samples, states count the time
they are not zero. Contributions are added strictly in time order, so that samples that come in one
by one, in blocks or all at once give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, DAY_US, F64, I64, INTP, MINUTE_US, NEVER, U8, last_known, runs
from twin.series.counters import increase

GAUGE, COUNTER, STATE = 0, 1, 2
KIND_CODES = {"gauge": GAUGE, "counter": COUNTER, "state": STATE}
# The increase of a counter over a longer silence belongs to no minute in particular.
COUNTER_GAP_US = DAY_US
_RESET = np.array([q.UNCERTAIN | q.RESET], np.uint8)


@dataclass(frozen=True, slots=True)
class Minutes:
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

    def __len__(self) -> int:
        return len(self.tag)

    def take(self, rows: INTP | BOOL) -> Minutes:
        """Return some of the rows."""
        return Minutes(*(getattr(self, name)[rows] for name in self.__slots__))


_NONE_I = np.zeros(0, np.int64)
_NONE_F = np.zeros(0)
_NOTHING = Minutes(
    _NONE_I, _NONE_I, _NONE_I, _NONE_F, _NONE_I, _NONE_F, _NONE_F, _NONE_F, np.zeros(0, np.uint8)
)


@dataclass(frozen=True, slots=True)
class Tail:
    """Where the fold of each tag stands, (T,): its last sample and its open minute."""

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

    def copy(self) -> Tail:
        """Return a draft that may be changed and thrown away."""
        return Tail(*(getattr(self, name).copy() for name in self.__slots__))

    def take(self, rows: INTP) -> Tail:
        """Return some of the tags."""
        return Tail(*(getattr(self, name)[rows] for name in self.__slots__))

    def put(self, rows: I64, other: Tail) -> None:
        """Replace some tags by the rows of another tail."""
        for name in self.__slots__:
            getattr(self, name)[rows] = getattr(other, name)


def no_tail(tags: int) -> Tail:
    """Return the tail before the first sample of each tag."""
    never = np.full(tags, NEVER)
    nan = np.full(tags, np.nan)
    zero = np.zeros(tags, np.int64)
    return Tail(
        never, nan, np.full(tags, q.NO_DATA, np.uint8), never.copy(), never.copy(),
        zero, np.zeros(tags), zero.copy(), nan.copy(), nan.copy(), nan.copy(),
        np.zeros(tags, np.uint8),
    )  # fmt: skip


def fold(
    tail: Tail,
    kind: I64,
    gap_us: I64,
    rollover: F64,
    tag: I64,
    time_us: I64,
    value: F64,
    quality: U8,
    close_us: int | I64,
) -> Minutes:
    """Add samples to the tail, in place, and return the minutes that are complete now.

    Parameters
    ----------
    tail
        one row per tag
    kind, gap_us : (T,) int64
        kind code of each tag, and how long its value holds [µs]
    rollover : (T,) float64 [SI]
        where the register of a counter starts again at zero; NaN = it never does
    tag, time_us, value, quality : (n,)
        samples sorted by tag, then time; each later than the last sample of its tag, and not before
        its open minute
    close_us : int or (T,) int64
        every minute before this is complete, whatever comes; on the minute. NEVER closes nothing,
        and is right for a counter that goes on: its next sample spreads over the time before.

    Returns
    -------
    Minutes
        sorted by tag, then time; a minute without a sample and without a held value has no row
    """
    if len(tag):
        usable = q.usable(quality) & ~np.isnan(value)
        counting = (kind[tag] != COUNTER) | usable  # a counter's bad value says nothing at all
        tag, time_us, value, quality = (
            column[counting] for column in (tag, time_us, value, quality)
        )
    close = np.broadcast_to(np.asarray(close_us, dtype=np.int64), tail.time_us.shape)
    pieces = _pieces(tail, kind, gap_us, rollover, tag, time_us, value, quality, close)
    end_us = np.full(len(tail.time_us), NEVER)
    np.maximum.at(end_us, pieces.tag, pieces.end_us)
    complete = _accumulate(tail, _split(pieces), end_us)
    _advance(tail, tag, time_us, value, quality, end_us)
    return complete


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Stretches of time in which a tag has one value, (p,): sorted by tag, then time."""

    tag: I64
    start_us: I64
    stop_us: I64  # where the value stops to hold; not before start
    end_us: I64  # where the next sample is; from stop to end there is nothing
    rate: F64  # [SI/s]; NaN = no value
    value: F64
    n: I64
    quality: U8


def _pieces(
    tail: Tail,
    kind: I64,
    gap_us: I64,
    rollover: F64,
    tag: I64,
    time_us: I64,
    value: F64,
    quality: U8,
    close_us: I64,
) -> _Pieces:
    """Return one piece for each sample: from it (or the tail) to the next, or to the close."""
    # Every tag with new samples or with a minute to close begins with the sample of its tail.
    touched = np.zeros(len(tail.time_us), bool)
    touched[tag] = True
    known = tail.time_us != NEVER
    touched |= known & (tail.from_us < close_us)
    head = np.flatnonzero(touched & known)
    order = np.argsort(np.concatenate([head, tag]), kind="stable")
    tags = np.concatenate([head, tag])[order]
    times = np.concatenate([tail.time_us[head], time_us])[order]
    values = np.concatenate([tail.value[head], value])[order]
    qualities = np.concatenate([tail.quality[head], quality])[order]
    start = np.concatenate([tail.from_us[head], time_us])[order]
    _, last = runs(tags)
    # The last sample of a tag waits for its successor, or runs up to the close.
    end = np.where(last, np.maximum(close_us[tags], start), np.append(times[1:], 0))
    counter = kind[tags] == COUNTER
    hold = np.where(counter, end, np.minimum(end, times + gap_us[tags]))
    following = np.where(last, np.nan, np.append(values[1:], np.nan))
    rise, reset = increase(values, following, rollover[tags])
    with np.errstate(invalid="ignore", divide="ignore"):
        per_s = np.where(end - times <= COUNTER_GAP_US, rise / ((end - times) * 1e-6), np.nan)
    rate = np.where(counter, per_s, np.where(kind[tags] == STATE, values != 0, values))
    rate = np.where(q.usable(qualities) & ~np.isnan(values), rate, np.nan)
    # An increase is as good as the worse of its two readings.
    second = np.where(last, np.uint8(q.GOOD), np.append(qualities[1:], np.uint8(q.GOOD)))
    both = q.worse(qualities, second)
    both = np.where(reset, q.worse(both, _RESET), both)
    return _Pieces(
        tag=tags,
        start_us=start,
        stop_us=np.where(np.isnan(rate), start, np.maximum(start, hold)),
        end_us=end,
        rate=rate,
        value=values,
        n=((start == times) & (end > start)).astype(np.int64),
        quality=np.where(counter, both, qualities),
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


def _accumulate(tail: Tail, pieces: _Pieces, end_us: I64) -> Minutes:
    """Fold pieces into the open minutes; return those that are complete, keep the others open."""
    held = np.unique(pieces.tag)
    held = held[tail.open_us[held] != NEVER]
    # What an open minute has so far goes first: the sum goes on where it stopped.
    tag = np.concatenate([held, pieces.tag])
    order = np.argsort(tag, kind="stable")
    tag = tag[order]

    def column(open_minute: Any, parts: Any) -> Any:
        return np.concatenate([open_minute[held], parts])[order]

    minute = column(tail.open_us, pieces.start_us // MINUTE_US * MINUTE_US)
    first, _ = runs(tag, minute)
    start = np.flatnonzero(first)
    if not len(start):
        return _NOTHING
    used_us = pieces.stop_us - pieces.start_us
    value = np.where(used_us > 0, pieces.value, np.nan)
    # A product of a missing rate and no time is no amount; a value that was not used only counts.
    part = np.where(used_us > 0, pieces.rate * (used_us * 1e-6), 0.0)
    worst = np.where(used_us > 0, pieces.quality, pieces.quality & np.uint8(q.SIMULATED))
    group = np.cumsum(first) - 1
    rows = Minutes(
        tag=tag[start],
        time_us=minute[start],
        n=np.add.reduceat(column(tail.n, pieces.n), start),
        # bincount adds in order of appearance, one by one: that is what makes the fold exact.
        amount=np.bincount(group, column(tail.amount, part), len(start)).astype(np.float64),
        covered_us=np.add.reduceat(column(tail.covered_us, used_us), start),
        min=np.fmin.reduceat(column(tail.min, value), start),
        max=np.fmax.reduceat(column(tail.max, value), start),
        last=last_known(column(tail.last, value), start),
        quality=q.worst_of(column(tail.worst, worst).astype(np.uint8), start),
    )
    _, final = runs(rows.tag)
    full = end_us[rows.tag] >= rows.time_us + MINUTE_US
    _reopen(tail, rows.tag[final], end_us)
    _keep(tail, rows.take(final & ~full))
    return _graded(rows.take(full))


def _reopen(tail: Tail, at: I64, end_us: I64) -> None:
    """Open the minute in which the last piece of each tag ended, empty."""
    tail.from_us[at] = end_us[at]
    tail.open_us[at] = end_us[at] // MINUTE_US * MINUTE_US
    tail.n[at] = 0
    tail.amount[at] = 0.0
    tail.covered_us[at] = 0
    for column in (tail.min, tail.max, tail.last):
        column[at] = np.nan
    tail.worst[at] = 0


def _keep(tail: Tail, stay: Minutes) -> None:
    """Put the minutes that are not complete back."""
    at = stay.tag
    tail.open_us[at] = stay.time_us
    tail.n[at], tail.amount[at], tail.covered_us[at] = stay.n, stay.amount, stay.covered_us
    tail.min[at], tail.max[at], tail.last[at] = stay.min, stay.max, stay.last
    tail.worst[at] = stay.quality


def _graded(rows: Minutes) -> Minutes:
    """Give minutes with a hole at least uncertain, those without value bad; drop empty ones."""
    rows = rows.take((rows.covered_us > 0) | (rows.n > 0))
    flag = rows.quality & np.uint8(q.SIMULATED)
    hole = q.worse(rows.quality, np.full(len(rows), q.UNCERTAIN | q.INCOMPLETE, np.uint8))
    quality = np.where(rows.covered_us < MINUTE_US, hole, rows.quality)
    quality = np.where(rows.covered_us == 0, np.uint8(q.NO_DATA) | flag, quality)
    return replace(rows, quality=quality)


def _advance(tail: Tail, tag: I64, time_us: I64, value: F64, quality: U8, end_us: I64) -> None:
    """Make the newest sample of each tag the one that is held."""
    if not len(tag):
        return
    _, last = runs(tag)
    at = tag[last]
    tail.time_us[at] = time_us[last]
    tail.value[at] = value[last]
    tail.quality[at] = quality[last]
    tail.from_us[at] = np.maximum(time_us[last], end_us[at])
    first = at[tail.open_us[at] == NEVER]
    tail.open_us[first] = tail.time_us[first] // MINUTE_US * MINUTE_US
