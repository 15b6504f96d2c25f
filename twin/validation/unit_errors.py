"""Unit slips: a steady tag that jumps to its level times a factor between two units of measure.

The level of each tag is followed slowly, and by values near it only: neither a slip nor a spike
moves it. A value that stays away and is no slip is a step of the process: the level begins anew.
The level is a moving average whose weights fall geometrically [1]_, by time and not by number; its
variance is taken in the same weights.

References
----------
.. [1] S. W. Roberts, Control chart tests based on geometric moving averages, Technometrics 1 (3),
   1959, 239-250.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, I64, NEVER, runs

if TYPE_CHECKING:
    from twin.series.samples import Samples
    from twin.validation.rules import Limits

# The level remembers about ten minutes: a process moves, a change of units is over in a sample.
LEVEL_US = 600_000_000
# No sample weighs more than a sixteenth of that, however long the silence before it: what a
# gateway says first when it comes back must not be its own level.
SAMPLE_US = LEVEL_US // 16
# Steady is what has been followed for as long as the level remembers (1 - 1/e of the weight), in
# enough samples for a spread, and spreads so little that factors of 1.8 and more cannot be noise.
STEADY_WEIGHT = 0.6
STEADY_SAMPLES = 30
STEADY_SPREAD = 0.02
# Near the level is what its noise and a slow move explain; the smallest slip is far outside.
NEAR_SHARE = 0.05
NEAR_SIGMAS = 5.0
# A slip hits the level times its factor within one per cent, and within the noise of one sample:
# three deviations while it is in question, five while it lasts and nothing else is expected.
MATCH_SHARE = 0.01
MATCH_SIGMAS = 3.0
LASTING_SIGMAS = 5.0
# Inside its range one sample may be anything; three of them in a row, at the same factor, are not.
MATCHES = 3
# A value below a hundredth of the level may be the zero of an instrument at a standstill.
STANDSTILL = 0.01
# So many samples in a row away from the level, and no slip: the process runs elsewhere now.
AWAY_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Levels:
    """What is remembered of each tag's level and of the slips it has had, (T,)."""

    level: F64  # [SI] followed by values near it
    variance: F64  # [SI²] about the level
    weight: F64  # [1] how much of the level's memory is filled
    count: I64  # samples the level has followed
    time_us: I64  # last of them; NEVER before the first
    away: I64  # samples in a row away from the level that are no slip for certain
    slip: I64  # the slip that matched last; -1 = none
    matches: I64  # how many in a row
    excess: F64  # [1] sum of their deviations from it, as shares of the level
    slipped: BOOL  # the slip is certain, until the value is back
    from_us: I64  # the newest stretch of certain slips; NEVER = none
    to_us: I64
    shown: F64  # [own uom] what they showed, give or take
    room: F64

    def copy(self) -> Levels:
        """Return a draft that may be changed and thrown away."""
        return Levels(*(getattr(self, name).copy() for name in self.__slots__))


def no_levels(tags: int) -> Levels:
    """Return the levels before the first sample."""
    never, nan, zero = np.full(tags, NEVER), np.full(tags, np.nan), np.zeros(tags, np.int64)
    return Levels(
        level=nan, variance=np.zeros(tags), weight=np.zeros(tags), count=zero, time_us=never,
        away=zero, slip=zero - 1, matches=zero, excess=np.zeros(tags),
        slipped=np.zeros(tags, bool), from_us=never, to_us=never, shown=nan, room=nan,
    )  # fmt: skip


def recall(levels: Levels, tag: I64, level: F64, spread: F64, covered_s: F64, count: I64) -> Levels:
    """Return the levels with those of some tags as the past has left them.

    Parameters
    ----------
    levels : Levels
        T tags
    tag : (m,) int64
    level, spread : (m,) float64 [SI]
        what the level was, and its standard deviation
    covered_s : (m,) float64 [s]
        from how long a time
    count : (m,) int64 [1]
        and how many samples

    Returns
    -------
    Levels
    """
    levels = levels.copy()
    levels.level[tag], levels.variance[tag] = level, spread * spread
    levels.weight[tag] = 1.0 - np.exp(-covered_s / (LEVEL_US * 1e-6))
    levels.count[tag] = count
    return levels


def known_slips(levels: Levels, samples: Samples, limits: Limits) -> BOOL:
    """Return which late samples belong to the newest stretch of slips of their tag.

    What was not stored comes again after a lost connection; it is then older than what is stored.

    Parameters
    ----------
    levels : Levels
        T tags
    samples : Samples
        (n,) in any order
    limits : Limits

    Returns
    -------
    (n,) bool
    """
    at = samples.tag
    inside = samples.time_us >= levels.from_us[at]
    inside &= samples.time_us <= levels.to_us[at]
    own = (samples.value - limits.shift[at]) / limits.scale[at]
    with np.errstate(invalid="ignore"):
        return inside & (np.abs(own - levels.shown[at]) <= levels.room[at])


def steady_near(limits: Limits, levels: Levels, at: I64) -> tuple[BOOL, F64]:
    """Return whether tags are steady, and how far from the level is near it.

    Parameters
    ----------
    limits, levels
        T tags
    at : (m,) int64
        some of them

    Returns
    -------
    steady : (m,) bool
    width : (m,) float64 [SI]
    """
    level = np.abs(levels.level[at] - limits.shift[at])
    spread = np.sqrt(levels.variance[at])
    steady = (levels.weight[at] >= STEADY_WEIGHT) & (levels.count[at] >= STEADY_SAMPLES)
    steady &= limits.followed[at] & (level > 0)
    # An offset keeps a slip away from a level that is near the zero of its scale.
    steady &= spread <= STEADY_SPREAD * (level + limits.apart[at])
    return steady, NEAR_SHARE * level + NEAR_SIGMAS * spread


def learn(levels: Levels, part: Samples) -> None:
    """Let levels follow samples, in place.

    Those of one tag weigh together what the time that they took weighs.

    Parameters
    ----------
    levels : Levels
        T tags
    part : Samples
        (n,) sorted by tag, then time; good ones
    """
    if not len(part):
        return
    first, last = runs(part.tag)
    start, end = np.flatnonzero(first), np.flatnonzero(last)
    at, count = part.tag[start], end - start + 1
    passed_us = part.time_us[end] - np.maximum(levels.time_us[at], part.time_us[start] - SAMPLE_US)
    passed_us = np.minimum(passed_us, count * SAMPLE_US)
    kept = np.exp(-passed_us / LEVEL_US)
    known = levels.weight[at] > 0
    origin = np.where(known, levels.level[at], part.value[start])
    off = part.value - np.repeat(origin, count)
    old, new = np.where(known, levels.weight[at], 0.0) * kept, 1.0 - kept
    filled = old + new
    mean = new * np.add.reduceat(off, start) / count / filled
    square = new * np.add.reduceat(off * off, start) / count + old * levels.variance[at]
    levels.level[at] = origin + mean
    levels.variance[at] = np.maximum(square / filled - mean * mean, 0.0)
    levels.weight[at] = filled
    levels.count[at] += count
    levels.time_us[at] = part.time_us[end]


def match(limits: Limits, levels: Levels, part: Samples) -> tuple[BOOL, BOOL]:
    """Return which samples may be slips and which are so for certain; updates the levels.

    What is near the level moves it, what stays away and is no slip is the new one.

    Parameters
    ----------
    limits, levels
        T tags
    part : Samples
        (m,) one of each tag, none of them bad

    Returns
    -------
    slips : (m,) bool
    certain : (m,) bool   out of the tag's range, or several in a row
    """
    at, value = part.tag, part.value
    steady, width = steady_near(limits, levels, at)
    away = steady & ~(np.abs(value - levels.level[at]) <= width)
    scale = limits.scale[at]
    own, level = ((v - limits.shift[at]) / scale for v in (value, levels.level[at]))
    spread = np.sqrt(levels.variance[at]) / np.abs(scale)
    shown = level[:, None] * limits.factor + limits.offset
    sigmas = np.where(levels.slipped[at], LASTING_SIGMAS, MATCH_SIGMAS)
    room = (MATCH_SHARE * np.abs(level) + sigmas * spread)[:, None] * np.abs(limits.factor)
    # Exactly zero is a standstill, whatever slip it might be.
    hits = limits.slips[at] & (np.abs(own[:, None] - shown) <= room) & (own != 0)[:, None]
    which = np.where(away & hits.any(axis=1), hits.argmax(axis=1), -1)
    slips = which >= 0
    shown, room = (table[np.arange(len(at)), which] for table in (shown, room))
    again = slips & (which == levels.slip[at])
    matches = np.where(slips, np.where(again, levels.matches[at], 0) + 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        off = (own - shown) / (limits.factor[which] * level)
        excess = np.where(slips, np.where(again, levels.excess[at], 0.0) + off, 0.0)
        # The mean of several is known better than each of them.
        known = MATCH_SHARE + MATCH_SIGMAS * spread / np.abs(level) / np.sqrt(matches)
        in_a_row = (matches >= MATCHES) & (np.abs(excess) <= known * matches)
    outside = (value < limits.low[at]) | (value > limits.high[at])
    outside &= np.abs(own) > STANDSTILL * np.abs(level)
    goes_on = levels.slipped[at] & again
    certain = slips & (outside | in_a_row | goes_on)
    count = np.where(away & ~certain, levels.away[at] + 1, 0)
    elsewhere = count >= AWAY_SAMPLES
    # A value between two certain slips ends nothing; the way back does, and a new level.
    stays = levels.slipped[at] & away & ~slips & ~elsewhere
    begins = certain & ~goes_on
    levels.away[at] = np.where(elsewhere, 0, count)
    levels.slip[at] = np.where(stays, levels.slip[at], np.where(elsewhere, -1, which))
    levels.matches[at], levels.excess[at] = matches, excess
    levels.slipped[at] = certain | stays
    levels.from_us[at[begins]] = part.time_us[begins]
    levels.to_us[at[certain]] = part.time_us[certain]
    levels.shown[at[certain]], levels.room[at[certain]] = shown[certain], room[certain]
    levels.weight[at[elsewhere]], levels.count[at[elsewhere]] = 0.0, 0
    learn(levels, part.take((~away | elsewhere) & (part.quality < q.UNCERTAIN)))
    return slips, certain
