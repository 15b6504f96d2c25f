"""Validation of new samples: rate of change, standstill, unit errors.

A sample that cannot be right is marked, never mended and never withheld. Three checks:

- *rate of change*: further from the last trusted value than the tag can move in the time between,
  so that the return from a spike is not suspect [1]_;
- *stuck*: samples come and come, and not a bit of them changes [1]_;
- *unit error*: a steady tag jumps by a factor between two units of measure
  (`twin.validation.unit_errors`); uncertain inside the range of the tag, bad outside.

A left fold over the samples of each tag in time order, with `ValidationState` as its state. Whether
a tag is steady is computed once for a block, and again for each sample of a tag that leaves its
level.

References
----------
.. [1] U.S. Integrated Ocean Observing System, Manual for Real-Time Quality Control of In-situ
   Temperature and Salinity Data (QARTOD), version 2.1, 2020: tests 6 (spike), 7 (rate of change)
   and 8 (flat line). The spike is recognised without a look ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, FOREVER, I64, INTP, NEVER, U8, Columns, latest, runs
from twin.validation.unit_errors import (
    Levels,
    Suspicion,
    learn,
    mark,
    no_levels,
    steady_near,
    suspect,
    suspicion_of,
)

if TYPE_CHECKING:
    from twin.series.samples import Samples
    from twin.validation.rules import ValidationLimits


# Two values of a tag that stands still differ by no more than so many of their deviations.
RATE_SIGMAS = 4.0


@dataclass(frozen=True, slots=True)
class ValidationState(Columns):
    """State of the validation of T tags, (T,)."""

    levels: Levels
    good_us: I64  # last trusted value; NEVER before the first
    good: F64  # [SI]
    fast: F64  # [SI] last value that changed too fast, until the next trusted one; NaN = none
    held_us: I64  # since when the value has not changed
    held: F64  # [SI] last value
    seen_us: I64  # its time; NEVER before the first


@dataclass(frozen=True, slots=True)
class Assessment:
    """Qualities of samples, and the state after them."""

    state: ValidationState
    quality: U8  # (n,) never better than it was
    suspicions: tuple[Suspicion, ...]  # unit errors that these samples begin, extend or end
    spikes: int  # values that changed too fast and were back with the next


def no_state(tags: int) -> ValidationState:
    """Return the state before the first sample."""
    never, nan = np.full(tags, NEVER), np.full(tags, np.nan)
    return ValidationState(
        no_levels(tags), good_us=never, good=nan, fast=nan, held_us=never, held=nan, seen_us=never
    )


def assess(limits: ValidationLimits, state: ValidationState, samples: Samples) -> Assessment:
    """Return the qualities of samples, and the state after them.

    Parameters
    ----------
    limits : ValidationLimits
        T tags
    state : ValidationState
        the one returned by the call before; it stays as it is
    samples : Samples
        (n,) sorted by tag, then time; of each tag later than those before

    Returns
    -------
    Assessment
        bad samples are neither checked nor remembered; samples that are uncertain already keep
        their reason, and neither the level nor the last trusted value follows them

    Notes
    -----
    The cost is that of a few passes over the samples while each lies near its level. The samples of
    a tag that leaves its level, or changes too fast, are taken one after the other, those of all
    such tags side by side.
    """
    quality = samples.quality.copy()
    checked = limits.validated[samples.tag] & q.usable(quality) & ~np.isnan(samples.value)
    if not checked.any():
        return Assessment(state, quality, (), 0)
    before, state = state, state.copy()
    rows, part = np.flatnonzero(checked), _where(checked, samples)
    reason = np.where(_stuck(limits, state, part), q.STUCK, 0)
    apart = np.zeros(len(state.good), bool)
    apart[part.tag[_outliers(limits, state, part)]] = True
    apart = apart[part.tag]
    calm = _where(~apart & (part.quality < q.UNCERTAIN), part)
    learn(state.levels, calm)
    _pass(state, calm)
    errors = np.zeros(len(part), bool)
    slow = np.flatnonzero(apart)
    spikes, suspicions = 0, list[Suspicion]()
    for nth in _side_by_side(part.tag[slow]):
        now = slow[nth]
        matching, suspected, ended = suspect(limits, state.levels, part.take(now))
        fast, ended_spikes = _check_rate(limits, state, part.take(now), matching)
        reason[now] = np.where(fast, q.RATE_OF_CHANGE, reason[now])
        errors[now] = suspected | (matching & (part.quality[now] < q.UNCERTAIN))
        suspicions += ended
        spikes += ended_spikes
    marked = (reason > 0) & (part.quality < q.UNCERTAIN)
    flag = part.quality[marked] & q.SIMULATED
    quality[rows[marked]] = (flag | q.UNCERTAIN | reason[marked]).astype(np.uint8)
    quality[rows[errors]] = mark(limits, part.take(errors))
    old, new = before.levels, state.levels
    extended = np.flatnonzero(new.suspected & (new.last_us != old.last_us)) if len(slow) else ()
    suspicions += [suspicion_of(new, int(tag), "open") for tag in extended]
    return Assessment(state, quality, tuple(suspicions), spikes)


def _stuck(limits: ValidationLimits, state: ValidationState, part: Samples) -> BOOL:
    """Return which samples have not changed for too long; updates the state."""
    stuck = np.zeros(len(part), bool)
    rows = np.flatnonzero(limits.stuck_us[part.tag] < FOREVER)
    if not len(rows):
        return stuck
    at, time_us, value = part.tag[rows], part.time_us[rows], part.value[rows]
    first, last = runs(at)
    before = np.where(first, state.held[at], np.append(np.nan, value[:-1]))
    before_us = np.where(first, state.seen_us[at], np.append(NEVER, time_us[:-1]))
    silent = (before_us == NEVER) | (time_us - before_us > limits.gap_us[at])
    changed = silent | (value != before)
    since = np.where(changed, time_us, state.held_us[at])
    since = since[latest(changed | first)]
    stuck[rows] = time_us - since >= limits.stuck_us[at]
    state.held_us[at[last]] = since[last]
    state.held[at[last]], state.seen_us[at[last]] = value[last], time_us[last]
    return stuck


def _outliers(limits: ValidationLimits, state: ValidationState, part: Samples) -> BOOL:
    """Return which samples may leave the level of their tag, or follow one that did."""
    at = part.tag
    levels = state.levels
    steady, width = steady_near(limits, levels, np.arange(len(levels.level)))
    outlier = steady[at] & ~(np.abs(part.value - levels.level[at]) <= width[at])
    outlier |= (levels.suspected | (levels.away > 0))[at] | ~np.isnan(state.fast)[at]
    rows = np.flatnonzero((limits.rate[at] < np.inf) & (part.quality < q.UNCERTAIN))
    if len(rows):
        at, time_us, value = at[rows], part.time_us[rows], part.value[rows]
        first, _ = runs(at)
        before = np.where(first, state.good[at], np.append(np.nan, value[:-1]))
        before_us = np.where(first, state.good_us[at], np.append(NEVER, time_us[:-1]))
        outlier[rows] |= _too_fast(limits, at, before_us, before, time_us, value)
    return outlier


def _pass(state: ValidationState, part: Samples) -> None:
    """Make the newest samples the last trusted ones."""
    _, last = runs(part.tag)
    state.good_us[part.tag[last]] = part.time_us[last]
    state.good[part.tag[last]] = part.value[last]


def _check_rate(
    limits: ValidationLimits, state: ValidationState, part: Samples, matching: BOOL
) -> tuple[BOOL, int]:
    """Return which samples, one of each tag, changed too fast, and how many spikes ended there."""
    at, value = part.tag, part.value
    good = state.good[at]
    checked = (part.quality < q.UNCERTAIN) & ~matching
    fast = checked & _too_fast(limits, at, state.good_us[at], good, part.time_us, value)
    back = checked & ~fast
    spike = back & (np.abs(value - good) < np.abs(value - state.fast[at]))
    state.fast[at[fast]], state.fast[at[back]] = value[fast], np.nan
    _pass(state, part.take(back))
    return fast, int(spike.sum())


def _too_fast(
    limits: ValidationLimits, at: I64, before_us: I64, before: F64, time_us: I64, value: F64
) -> BOOL:
    """Return which values are further from another than the tag can move in the time between."""
    noise = RATE_SIGMAS * np.sqrt(2.0) * (limits.sigma[at] + limits.share[at] * np.abs(before))
    with np.errstate(invalid="ignore"):
        reach = limits.rate[at] * ((time_us - before_us) * 1e-6) + noise
        return np.asarray((before_us != NEVER) & (np.abs(value - before) > reach))


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
