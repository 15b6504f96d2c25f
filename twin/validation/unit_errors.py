"""Unit errors: a steady tag that jumps to its level times a factor between two units of measure.

The level of each tag is followed slowly, and by values near it only: neither a unit error nor a
spike moves it. A value that stays away and is no unit error is a step of the process: the level
begins anew. The level is a moving average whose weights fall geometrically [1]_, by time and not by
number; its variance is taken in the same weights.

A plant does step to a third of its load, so a unit error is only suspected, and the suspicion ends
- when the values are back at the level;
- when ten in a row are elsewhere, or after a day (`LEARN_US`) without an answer inside the range of
  the tag: the level is then learnt anew, where the tag is, and its values are trusted again. The
  way back to the old level is not suspected;
- when an operator dismisses it (`dismiss`): the level is learnt anew at once, and this step is
  never suspected again, in neither direction.

References
----------
.. [1] S. W. Roberts, Control chart tests based on geometric moving averages, Technometrics 1 (3),
   1959, 239-250.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, DAY_US, F64, I64, NEVER, U8, Columns, runs

if TYPE_CHECKING:
    from twin.series.samples import Samples
    from twin.validation.rules import ValidationLimits


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
# Near the level is what its noise and a slow move explain; the smallest unit error is far outside.
NEAR_SHARE = 0.05
NEAR_SIGMAS = 5.0
# A unit error hits the level times its factor within one per cent, and within the noise of one
# sample: three deviations while it is in question, five while it lasts.
MATCH_SHARE = 0.01
MATCH_SIGMAS = 3.0
LASTING_SIGMAS = 5.0
# Inside its range one sample may be anything; three of them in a row, at the same factor, are
# suspicious.
MATCHES = 3
# A value below a hundredth of the level may be the zero of an instrument at a standstill.
STANDSTILL = 0.01
# So many samples in a row away from the level, and no unit error: the process runs elsewhere now.
AWAY_SAMPLES = 10
# A suspicion that nobody answers for a day: a gateway would have been mended.
LEARN_US = DAY_US


class Suspicion(NamedTuple):
    """A suspected unit error of one tag, from its first to its newest sample."""

    tag: int
    state: Literal["open", "ended", "learnt"]  # learnt: the level is learnt anew
    since_us: int
    last_us: int
    samples: int
    error: int  # index of F
    level: float  # [SI] expected without the error
    spread: float  # [SI] standard deviation about it


@dataclass(frozen=True, slots=True)
class Levels(Columns):
    """Levels and suspected unit errors of T tags, (T,)."""

    level: F64  # [SI] followed by values near it
    variance: F64  # [SI²] about the level
    weight: F64  # [1] how much of the level's memory is filled
    count: I64  # samples the level has followed
    time_us: I64  # last of them; NEVER before the first
    away: I64  # samples in a row away from the level that are no suspected unit error
    error: I64  # unit error that matched last; -1 = none
    matches: I64  # how many in a row
    excess: F64  # [1] sum of their deviations from it, as shares of the level
    run_us: I64  # first of them
    suspected: BOOL  # a unit error is suspected, until the suspicion ends
    first_us: I64  # first sample of the newest suspicion; NEVER = none
    since_us: I64  # first of its samples without an answer; NEVER = none
    last_us: I64  # newest of its samples
    samples: I64  # number of its samples without an answer
    expected: F64  # [SI] value the error shows, give or take
    tolerance: F64  # [SI]
    confirmed: F64  # (T, 2) [SI] levels that are no unit error; NaN = none


def no_levels(tags: int) -> Levels:
    """Return the levels before the first sample."""
    never, nan, zero = np.full(tags, NEVER), np.full(tags, np.nan), np.zeros(tags, np.int64)
    # A copy: each column is an array of its own.
    return Levels(
        level=nan, variance=np.zeros(tags), weight=np.zeros(tags), count=zero, time_us=never,
        away=zero, error=zero - 1, matches=zero, excess=np.zeros(tags), run_us=never,
        suspected=np.zeros(tags, bool), first_us=never, since_us=never, last_us=never,
        samples=zero, expected=nan, tolerance=nan, confirmed=np.full((tags, 2), np.nan),
    ).copy()  # fmt: skip


def restore(
    levels: Levels, tag: I64, level: F64, spread: F64, covered_s: F64, count: I64
) -> Levels:
    """Return the levels with those of some tags as the stored minutes have them.

    Parameters
    ----------
    levels : Levels
        T tags
    tag : (m,) int64
    level, spread : (m,) float64 [SI]
        level and its standard deviation
    covered_s : (m,) float64 [s]
        time with data
    count : (m,) int64 [1]
        samples in that time

    Returns
    -------
    Levels
    """
    levels = levels.copy()
    levels.level[tag], levels.variance[tag] = level, spread * spread
    levels.weight[tag] = 1.0 - np.exp(-covered_s / (LEVEL_US * 1e-6))
    levels.count[tag] = count
    return levels


def resume(limits: ValidationLimits, levels: Levels, suspicion: Suspicion) -> None:
    """Go on with an open suspicion after a start, in place."""
    at = np.array([suspicion.tag])
    levels.level[at], levels.variance[at] = suspicion.level, suspicion.spread**2
    levels.weight[at], levels.count[at] = 1.0, STEADY_SAMPLES
    levels.error[at], levels.suspected[at] = suspicion.error, True
    levels.matches[at] = levels.samples[at] = suspicion.samples
    levels.first_us[at] = levels.since_us[at] = suspicion.since_us
    levels.last_us[at] = suspicion.last_us
    expected, tolerance = _expected(limits, levels, at, np.array([LASTING_SIGMAS]))
    levels.expected[at] = expected[:, suspicion.error]
    levels.tolerance[at] = tolerance[:, suspicion.error]


def dismiss(levels: Levels, suspicion: Suspicion, expected: float) -> bool:
    """Never suspect a step again; learn the level anew if it is the present one. In place.

    Parameters
    ----------
    levels : Levels
    suspicion : Suspicion
    expected : float [SI]
        the level as the error shows it

    Returns
    -------
    bool   whether the level is learnt anew
    """
    at = np.array([suspicion.tag])
    levels.confirmed[at] = suspicion.level, expected
    if not _is_present(levels, suspicion):
        return False
    _learn_anew(levels, at)
    levels.suspected[at], levels.samples[at] = False, 0
    levels.first_us[at] = levels.since_us[at] = levels.last_us[at] = NEVER
    return True


def begin_anew(levels: Levels, suspicion: Suspicion) -> None:
    """Let a suspicion whose samples have been corrected go on as a new one, in place."""
    if _is_present(levels, suspicion):
        levels.since_us[suspicion.tag], levels.samples[suspicion.tag] = NEVER, 0


def _is_present(levels: Levels, suspicion: Suspicion) -> bool:
    """Return whether a suspicion is the open one of its tag."""
    same = levels.since_us[suspicion.tag] == suspicion.since_us
    return bool(levels.suspected[suspicion.tag] and same)


def suspicion_of(levels: Levels, tag: int, state: Literal["open", "ended", "learnt"]) -> Suspicion:
    """Return the newest suspicion of a tag."""
    return Suspicion(
        tag,
        state,
        int(levels.since_us[tag]),
        int(levels.last_us[tag]),
        int(levels.samples[tag]),
        int(levels.error[tag]),
        float(levels.level[tag]),
        float(np.sqrt(levels.variance[tag])),
    )


def are_late_errors(levels: Levels, samples: Samples) -> BOOL:
    """Return which late samples belong to the newest suspicion of their tag.

    Parameters
    ----------
    levels : Levels
        T tags
    samples : Samples
        (n,) in any order

    Returns
    -------
    (n,) bool
    """
    at = samples.tag
    inside = samples.time_us >= levels.first_us[at]
    inside &= samples.time_us <= levels.last_us[at]
    with np.errstate(invalid="ignore"):
        near = np.abs(samples.value - levels.expected[at]) <= levels.tolerance[at]
        return np.asarray(inside & near)


def mark(limits: ValidationLimits, samples: Samples) -> U8:
    """Return the quality of suspected samples: uncertain in the range of the tag, bad out of it.

    A value out of range that fits another unit of measure is not one to count with.

    Parameters
    ----------
    limits : ValidationLimits
        T tags
    samples : Samples
        (n,)

    Returns
    -------
    (n,) uint8   samples in range that are uncertain already keep their reason
    """
    out = (samples.value < limits.low[samples.tag]) | (samples.value > limits.high[samples.tag])
    severity = np.where(out, q.BAD, q.UNCERTAIN)
    marked = ((samples.quality & q.SIMULATED) | severity | q.UNIT_ERROR).astype(np.uint8)
    return np.where(out | (samples.quality < q.UNCERTAIN), marked, samples.quality)


def steady_near(limits: ValidationLimits, levels: Levels, at: I64) -> tuple[BOOL, F64]:
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
    # An offset keeps a unit error away from a level that is near the zero of its scale.
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


def suspect(
    limits: ValidationLimits, levels: Levels, part: Samples
) -> tuple[BOOL, BOOL, list[Suspicion]]:
    """Compare samples with the level of their tag; updates the levels.

    What is near the level moves it, what stays away and is no unit error is the new one.

    Parameters
    ----------
    limits, levels
        T tags
    part : Samples
        (m,) one of each tag, none of them bad

    Returns
    -------
    matching : (m,) bool    fits a unit error
    suspected : (m,) bool   so do several in a row, or it is out of the range of its tag
    ended : list of Suspicion
        suspicions that these samples end
    """
    at, value, zero = part.tag, part.value, limits.shift[part.tag]
    steady, width = steady_near(limits, levels, at)
    away = steady & ~(np.abs(value - levels.level[at]) <= width)
    before = levels.suspected[at]
    outside = (value < limits.low[at]) | (value > limits.high[at])
    since_us = levels.since_us[at]
    expired = before & ~outside & (since_us != NEVER) & (part.time_us - LEARN_US >= since_us)
    sigmas = np.where(before, LASTING_SIGMAS, MATCH_SIGMAS)
    expected, tolerance = _expected(limits, levels, at, sigmas)
    hits = limits.possible[at] & (np.abs(value[:, None] - expected) <= tolerance)
    # Exactly zero is a standstill, whatever unit error it might be.
    hits &= (away & ~expired & (value != zero) & ~_is_confirmed(limits, levels, part))[:, None]
    which = np.where(hits.any(axis=1), hits.argmax(axis=1), -1)
    matching = which >= 0
    expected, tolerance = (table[np.arange(len(at)), which] for table in (expected, tolerance))
    again = matching & (which == levels.error[at])
    matches = np.where(matching, np.where(again, levels.matches[at], 0) + 1, 0)
    level, spread = levels.level[at] - zero, np.sqrt(levels.variance[at])
    with np.errstate(invalid="ignore", divide="ignore"):
        off = (value - expected) / (limits.factor[which] * level)
        excess = np.where(matching, np.where(again, levels.excess[at], 0.0) + off, 0.0)
        # The mean of several is known better than each of them.
        known = MATCH_SHARE + MATCH_SIGMAS * spread / np.abs(level) / np.sqrt(matches)
        in_a_row = (matches >= MATCHES) & (np.abs(excess) <= known * matches)
    outside &= np.abs(value - zero) > STANDSTILL * np.abs(level)
    goes_on = before & again
    suspected = matching & (outside | in_a_row | goes_on)
    count = np.where(away & ~suspected, levels.away[at] + 1, 0)
    elsewhere = (count >= AWAY_SAMPLES) | (expired & away)
    # A value between two suspected ones ends nothing; the way back does, and a new level.
    stays = before & away & ~matching & ~elsewhere
    ended = _end(levels, at, before & ~goes_on & ~stays, elsewhere)
    levels.away[at] = count
    levels.error[at] = np.where(stays, levels.error[at], which)
    levels.matches[at], levels.excess[at] = matches, excess
    first = matches == 1
    levels.run_us[at[first]] = part.time_us[first]
    levels.suspected[at] = suspected | stays
    _extend(levels, part.take(suspected), ~goes_on[suspected])
    rows = at[suspected]
    levels.expected[rows], levels.tolerance[rows] = expected[suspected], tolerance[suspected]
    _learn_anew(levels, at[elsewhere])
    learn(levels, part.take((~away | elsewhere) & (part.quality < q.UNCERTAIN)))
    return matching, suspected, ended


def _expected(limits: ValidationLimits, levels: Levels, at: I64, sigmas: F64) -> tuple[F64, F64]:
    """Return the values (m, F) [SI] that unit errors make of levels, give or take."""
    zero, scale = limits.shift[at][:, None], limits.scale[at][:, None]
    level = levels.level[at][:, None] - zero
    spread = sigmas * np.sqrt(levels.variance[at])
    expected = level * limits.factor + limits.offset * scale + zero
    return expected, (MATCH_SHARE * np.abs(level) + spread[:, None]) * np.abs(limits.factor)


def _is_confirmed(limits: ValidationLimits, levels: Levels, part: Samples) -> BOOL:
    """Return which values lie near a level that is no unit error."""
    at, level = part.tag, levels.confirmed[part.tag]
    width = NEAR_SHARE * np.abs(level - limits.shift[at][:, None])
    width += NEAR_SIGMAS * np.sqrt(levels.variance[at])[:, None]
    return np.asarray((np.abs(part.value[:, None] - level) <= width).any(axis=1))


def _end(levels: Levels, at: I64, ended: BOOL, elsewhere: BOOL) -> list[Suspicion]:
    """Return the suspicions that end; the way back from a new level will not be one."""
    moved = at[ended & elsewhere]
    levels.confirmed[moved, 0], levels.confirmed[moved, 1] = levels.level[moved], np.nan
    return [
        suspicion_of(levels, tag, "learnt" if is_new else "ended")
        for tag, is_new in zip(at[ended].tolist(), elsewhere[ended].tolist(), strict=True)
        if levels.samples[tag]
    ]


def _extend(levels: Levels, part: Samples, begins: BOOL) -> None:
    """Add samples, one of each tag, to suspicions that begin or go on."""
    at, new = part.tag, part.tag[begins]
    levels.first_us[new] = levels.since_us[new] = levels.run_us[new]
    levels.samples[new] = levels.matches[new] - 1
    levels.since_us[at] = np.where(levels.since_us[at] == NEVER, part.time_us, levels.since_us[at])
    levels.last_us[at] = part.time_us
    levels.samples[at] += 1


def _learn_anew(levels: Levels, at: I64) -> None:
    """Forget the level of tags, and what matched it."""
    levels.weight[at], levels.count[at], levels.away[at] = 0.0, 0, 0
    levels.error[at], levels.matches[at] = -1, 0
