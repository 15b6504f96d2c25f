"""Assessment of new samples: too fast a change, stuck, sent in another unit of measure.

A sample that cannot be right is marked, never mended. Three doubts:

- *rate of change*: further from the last unsuspected value than the tag can move in the time
  between, so that the return from a spike is not suspect [1]_;
- *stuck*: samples come and come, and not a bit of them changes [1]_;
- *unit slip*: a steady tag jumps by a factor between two units of measure
  (`twin.validation.unit_errors`).

A left fold over the samples of each tag in time order, with `Memory` as its state. Whether a tag is
steady is asked once for a block, and again for each sample of a tag that leaves its level.

References
----------
.. [1] U.S. Integrated Ocean Observing System, Manual for Real-Time Quality Control of In-situ
   Temperature and Salinity Data (QARTOD), version 2.1, 2020: tests 6 (spike), 7 (rate of change)
   and 8 (flat line). The spike is found here without a look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, FOREVER, I64, INTP, NEVER, U8, runs
from twin.validation.unit_errors import Levels, learn, match, no_levels, steady_near

if TYPE_CHECKING:
    from twin.series.samples import Samples
    from twin.validation.rules import Limits

# Two values of a tag that stands still differ by no more than so many of their deviations.
RATE_SIGMAS = 4.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of each tag, (T,)."""

    levels: Levels
    good_us: I64  # last unsuspected value; NEVER before the first
    good: F64  # [SI]
    fast: F64  # [SI] last value that changed too fast, until the next unsuspected one; NaN = none
    held_us: I64  # since when the value has not changed
    held: F64  # [SI] last value
    seen_us: I64  # when it came; NEVER before the first

    def copy(self) -> Memory:
        """Return a draft that may be changed and thrown away."""
        return Memory(*(getattr(self, name).copy() for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the samples are found to be."""

    memory: Memory
    quality: U8  # (n,) never better than it was
    slip: BOOL  # (n,) in another unit of measure for certain: not to be stored
    spikes: int  # values that changed too fast and were back with the next


def no_memory(tags: int) -> Memory:
    """Return the memory before the first sample."""
    never, nan = np.full(tags, NEVER), np.full(tags, np.nan)
    return Memory(
        no_levels(tags), good_us=never, good=nan, fast=nan, held_us=never, held=nan, seen_us=never
    )


def assess(limits: Limits, memory: Memory, samples: Samples) -> Assessment:
    """Return how far samples can be trusted, and what is remembered of them.

    Parameters
    ----------
    limits : Limits
        T tags
    memory : Memory
        what the call before returned; it stays as it is
    samples : Samples
        (n,) sorted by tag, then time; of each tag later than those before

    Returns
    -------
    Assessment
        bad samples are neither judged nor remembered; samples that are uncertain already keep their
        reason, and neither the level nor the last unsuspected value follows them

    Notes
    -----
    The cost is that of a few passes over the samples while each lies near its level. The samples of
    a tag that leaves its level, or changes too fast, are taken one after the other, those of all
    such tags side by side.
    """
    quality = samples.quality.copy()
    slip = np.zeros(len(samples), bool)
    judged = limits.judged[samples.tag] & q.usable(quality) & ~np.isnan(samples.value)
    if not judged.any():
        return Assessment(memory, quality, slip, 0)
    memory = memory.copy()
    rows, part = np.flatnonzero(judged), _where(judged, samples)
    doubt = np.where(_stuck(limits, memory, part), q.STUCK, 0)
    apart = np.zeros(len(memory.good), bool)
    apart[part.tag[_uneasy(limits, memory, part)]] = True
    apart = apart[part.tag]
    calm = _where(~apart & (part.quality < q.UNCERTAIN), part)
    learn(memory.levels, calm)
    _pass(memory, calm)
    slow = np.flatnonzero(apart)
    spikes = 0
    for nth in _side_by_side(part.tag[slow]):
        now = slow[nth]
        slips, certain = match(limits, memory.levels, part.take(now))
        fast, ended = _pace(limits, memory, part.take(now), slips)
        doubt[now] = np.where(slips, q.UNIT_SLIP, np.where(fast, q.RATE_OF_CHANGE, doubt[now]))
        slip[rows[now]] = certain
        spikes += ended
    marked = (doubt > 0) & (part.quality < q.UNCERTAIN)
    flag = part.quality[marked] & q.SIMULATED
    quality[rows[marked]] = (flag | q.UNCERTAIN | doubt[marked]).astype(np.uint8)
    return Assessment(memory, quality, slip, spikes)


def _stuck(limits: Limits, memory: Memory, part: Samples) -> BOOL:
    """Return which samples have not changed for too long; updates the memory."""
    found = np.zeros(len(part), bool)
    rows = np.flatnonzero(limits.stuck_us[part.tag] < FOREVER)
    if not len(rows):
        return found
    at, time_us, value = part.tag[rows], part.time_us[rows], part.value[rows]
    first, last = runs(at)
    before = np.where(first, memory.held[at], np.append(np.nan, value[:-1]))
    before_us = np.where(first, memory.seen_us[at], np.append(NEVER, time_us[:-1]))
    silent = (before_us == NEVER) | (time_us - before_us > limits.gap_us[at])
    changed = silent | (value != before)
    since = np.where(changed, time_us, memory.held_us[at])
    since = since[np.maximum.accumulate(np.where(changed | first, np.arange(len(at)), 0))]
    found[rows] = time_us - since >= limits.stuck_us[at]
    memory.held_us[at[last]] = since[last]
    memory.held[at[last]], memory.seen_us[at[last]] = value[last], time_us[last]
    return found


def _uneasy(limits: Limits, memory: Memory, part: Samples) -> BOOL:
    """Return which samples need a closer look, or follow one that did."""
    at = part.tag
    levels = memory.levels
    steady, width = steady_near(limits, levels, np.arange(len(levels.level)))
    found = steady[at] & ~(np.abs(part.value - levels.level[at]) <= width[at])
    found |= (levels.away > 0)[at] | ~np.isnan(memory.fast)[at]
    rows = np.flatnonzero((limits.rate[at] < np.inf) & (part.quality < q.UNCERTAIN))
    if len(rows):
        at, time_us, value = at[rows], part.time_us[rows], part.value[rows]
        first, _ = runs(at)
        before = np.where(first, memory.good[at], np.append(np.nan, value[:-1]))
        before_us = np.where(first, memory.good_us[at], np.append(NEVER, time_us[:-1]))
        found[rows] |= _too_fast(limits, at, before_us, before, time_us, value)
    return found


def _pass(memory: Memory, part: Samples) -> None:
    """Make the newest samples the last unsuspected ones."""
    _, last = runs(part.tag)
    memory.good_us[part.tag[last]] = part.time_us[last]
    memory.good[part.tag[last]] = part.value[last]


def _pace(limits: Limits, memory: Memory, part: Samples, suspect: BOOL) -> tuple[BOOL, int]:
    """Return which samples, one of each tag, changed too fast, and how many spikes ended there."""
    at, value = part.tag, part.value
    good = memory.good[at]
    judged = (part.quality < q.UNCERTAIN) & ~suspect
    fast = judged & _too_fast(limits, at, memory.good_us[at], good, part.time_us, value)
    back = judged & ~fast
    spike = back & (np.abs(value - good) < np.abs(value - memory.fast[at]))
    memory.fast[at[fast]], memory.fast[at[back]] = value[fast], np.nan
    _pass(memory, part.take(back))
    return fast, int(spike.sum())


def _too_fast(
    limits: Limits, at: I64, before_us: I64, before: F64, time_us: I64, value: F64
) -> BOOL:
    """Return which values are further from another than the tag can move in the time between."""
    noise = RATE_SIGMAS * np.sqrt(2.0) * (limits.sigma[at] + limits.share[at] * np.abs(before))
    with np.errstate(invalid="ignore"):
        room = limits.rate[at] * ((time_us - before_us) * 1e-6) + noise
        return np.asarray((before_us != NEVER) & (np.abs(value - before) > room))


def _where(wanted: BOOL, samples: Samples) -> Samples:
    """Return the wanted samples; all of them without a copy."""
    return samples if wanted.all() else samples.take(wanted)


def _side_by_side(at: I64) -> list[INTP]:
    """Return the first rows of all tags, then the second ones, and so on."""
    if not len(at):
        return []
    start = np.flatnonzero(runs(at)[0])
    rank = np.arange(len(at)) - np.repeat(start, np.diff(np.append(start, len(at))))
    return np.split(np.argsort(rank, kind="stable"), np.cumsum(np.bincount(rank))[:-1])
