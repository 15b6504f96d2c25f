"""Readings of counters: which of them are true, and how far the register has moved between them.

Registers jitter by a hair, roll over, are reset or replaced, and read zero or the sentinel of a
driver for a while. A fold over the readings of a tag in time order tells them apart. A doubtful
reading, a fall that is no rollover or a jump that is none of the register's, waits for the next one
that moves: a return to the level before makes it false, whatever else makes it the beginning of
another register. Of the rise over such a fall only what was counted since a reset is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, I64, NEVER, U8, runs
from twin.series.samples import Samples
from twin.series.sentinels import is_sentinel

if TYPE_CHECKING:
    from twin.series.image import Image
    from twin.series.minutes import OpenMinutes
    from twin.series.traits import SeriesTraits

# A full register starts again at zero. Read often enough, it is then seen close below its top and
# next close above zero; a fall from or to anywhere else means a meter that was reset or replaced.
# A tenth of the range on both sides is far more than a register moves between two readings, and
# leaves four fifths of it in which a reset cannot be taken for a rollover.
NEAR_TOP = 0.9
NEAR_ZERO = 0.1
# A step back by less than this share of a reading is jitter: a float32 loses 6e-8 of it, drivers
# that scale and round some 1e-5. A register that is reset or replaced falls by far more.
HAIR = 1e-4
# A register that was reset counts from zero, until its next reading as fast as after that one, or
# so many times as fast.
RESET_RATES = 2.0
_RESET = np.uint8(q.UNCERTAIN | q.RESET)
_FALSE = np.uint8(q.UNCERTAIN | q.FALSE_READING)
_NAN = float("nan")


class Fall(NamedTuple):
    """A fall of a register between two readings [SI], over which not all of the rise is known."""

    tag: int
    since_us: int
    before: float
    time_us: int
    after: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What is noticed about readings of counters, to be written down."""

    falls: list[Fall] = field(default_factory=list)
    # Tag and time of readings that were doubtful, and are not marked so yet.
    doubted: list[tuple[int, int]] = field(default_factory=list)


class Readings(NamedTuple):
    """True readings, with what lies between each and the one before it."""

    samples: Samples  # (n,) by tag, then time; of other kinds all samples
    rise: F64  # (n,) [SI] of counters; NaN = not known
    grade: U8  # (n,) quality of that span besides that of the two readings


def step_back(last: F64, resolution: F64) -> F64:
    """Return how far a register can step back by jitter alone.

    Parameters
    ----------
    last : (...) float64 [SI]         reading before
    resolution : (...) float64 [SI]   of the register, or its noise; 0 = not known

    Returns
    -------
    (...) float64 [SI]
    """
    return np.asarray(np.maximum(resolution, HAIR * np.abs(last)))


def increase(last: F64, new: F64, rollover: F64, resolution: F64 | float = 0.0) -> tuple[F64, BOOL]:
    """Return the increase of counters between two readings, and mark falls of their registers.

    Parameters
    ----------
    last, new : (...) float64 [SI]   two readings, the older one first; NaN = no value
    rollover : (...) float64 [SI]    the register starts again at zero here; NaN = never
    resolution : (...) float64 [SI]  of the register; 0 = not known

    Returns
    -------
    rise : (...) float64 [SI]   new − last; over a rollover to the top of the register, and `new`; 0
        over jitter; NaN over any other fall and where a reading is missing
    fallen : (...) bool         the register was reset or replaced, or one reading is false
    """
    falls = new < last
    full = (last >= NEAR_TOP * rollover) & (last <= rollover)
    over = falls & full & (new <= NEAR_ZERO * rollover) & (new >= 0)
    back = falls & (last - new <= step_back(last, np.asarray(resolution)))
    fallen = falls & ~over & ~back
    rise = np.where(over, rollover - last + new, np.where(back, 0.0, new - last))
    return np.where(fallen, np.nan, rise), fallen


def is_shown(traits: SeriesTraits, tag: I64, value: F64) -> BOOL:
    """Return whether the registers of counters can show some values.

    Parameters
    ----------
    traits : SeriesTraits      T tags
    tag : (n,) int64           which of them
    value : (n,) float64 [SI]

    Returns
    -------
    (n,) bool
    """
    return np.asarray(~((value < traits.low[tag]) | (value > traits.rollover[tag])))


def mark_falls(image: Image, traits: SeriesTraits, samples: Samples) -> Samples:
    """Return samples newer than the image with the falls of counters marked as uncertain.

    So are jumps to a sentinel, and what stays at the reading after either. What is marked yields no
    rate, and nobody takes it for the neighbour of a late sample.

    Parameters
    ----------
    image : Image              before these samples
    traits : SeriesTraits      T tags
    samples : Samples          (n,) sorted by tag, then time

    Returns
    -------
    Samples                    (n,)
    """
    rows = np.flatnonzero(traits.counter[samples.tag] & q.usable(samples.quality))
    if not len(rows):
        return samples
    tag, value = samples.tag[rows], samples.value[rows]
    first, _ = runs(tag)
    before = np.where(first, image.value[tag], np.append(np.nan, value[:-1]))
    _, fallen = increase(before, value, traits.rollover[tag], traits.resolution[tag])
    # A jump to a sentinel waits for the next reading like a fall.
    for row in np.flatnonzero(value > 2 * before).tolist():
        scale, shift = traits.scale[tag[row]], traits.shift[tag[row]]
        fallen[row] |= is_sentinel(float((value[row] - shift) / scale))
    same = value == before
    held = first & same & is_reset(image.quality[tag])
    if not (fallen | held).any():
        return samples
    # What does not move since a fall is marked like the fall itself.
    run = np.cumsum(first | ~same) - 1
    begins = np.flatnonzero(first | ~same)
    marked = rows[(fallen | held)[begins][run]]
    quality = samples.quality.copy()
    quality[marked] = q.worse(quality[marked], np.full(len(marked), _RESET))
    return replace(samples, quality=quality)


def is_reset(quality: U8) -> BOOL:
    """Return whether samples are marked as the fall of a counter.

    Parameters
    ----------
    quality : (...) uint8

    Returns
    -------
    (...) bool
    """
    return np.asarray((quality & ~np.uint8(q.SIMULATED)) == _RESET)


def settle(
    held: OpenMinutes,
    traits: SeriesTraits,
    samples: Samples,
    close_us: I64,
    findings: Findings | None = None,
) -> Readings:
    """Return the true readings among samples; a doubtful last one stays in `held`, in place.

    Parameters
    ----------
    held : OpenMinutes
        one row per tag: the last true reading, and the doubtful one after it
    traits : SeriesTraits
        of the same tags
    samples : Samples
        (n,) usable values of counters and all samples of other kinds, sorted by tag, then time
    close_us : (T,) int64 [µs]
        a doubtful reading before this is true: nothing more comes that could tell
    findings : Findings
        where to add falls and doubtful readings

    Returns
    -------
    Readings
        those of counters with their rises; samples of other kinds as they are
    """
    rise, grade = np.full(len(samples), np.nan), np.zeros(len(samples), np.uint8)
    rows = np.flatnonzero(traits.counter[samples.tag])
    doubtful = ~np.isnan(held.doubt)
    ending = doubtful & (held.doubt_us < close_us)
    if not len(rows) and not ending.any():
        return Readings(samples, rise, grade)
    tag, value, time_us = samples.tag[rows], samples.value[rows], samples.time_us[rows]
    first, _ = runs(tag)
    before = np.where(first, held.value[tag], np.append(np.nan, value[:-1]))
    before_us = np.where(first, held.time_us[tag], np.append(NEVER, time_us[:-1]))
    rise[rows] = value - before
    # Plain readings go up, not to more than twice the register, and not too fast; the others are
    # followed one by one.
    plain = np.isnan(before) | (
        (value >= before)
        & (value <= 2 * before)
        & (rise[rows] <= traits.rate[tag] * ((time_us - before_us) * 1e-6))
    )
    plain &= samples.quality[rows] & 31 != q.REPLACED
    slow = ending
    slow[tag[~plain]] = True
    slow[tag] |= doubtful[tag]
    readings = Readings(samples, rise, grade)
    if slow.any():
        readings = _insert(held, traits, readings, slow, close_us, findings)
    # Whether a reading is a fall is told here, and not by the mark it was stored with.
    marked = traits.counter[readings.samples.tag] & is_reset(readings.samples.quality)
    if not marked.any():
        return readings
    quality = readings.samples.quality.copy()
    quality[marked] &= np.uint8(q.SIMULATED)
    return readings._replace(samples=replace(readings.samples, quality=quality))


def _insert(
    held: OpenMinutes,
    traits: SeriesTraits,
    plain: Readings,
    slow: BOOL,
    close_us: I64,
    findings: Findings | None,
) -> Readings:
    """Return readings with those of some tags followed one by one."""
    samples = plain.samples
    lines: list[tuple[int, _Step]] = []
    for tag in np.flatnonzero(slow).tolist():
        start, stop = np.searchsorted(samples.tag, [tag, tag + 1]).tolist()
        register = _Register(held, traits, tag, findings)
        own = samples.take(slice(start, stop))
        columns = (own.time_us.tolist(), own.value.tolist(), own.quality.tolist())
        for reading in zip(*columns, strict=True):
            register.read(_Reading(*reading))
        if register.doubt and register.doubt[-1].time_us < close_us[tag]:
            register.accept_doubt()
        register.keep(held)
        lines += [(tag, step) for step in register.steps]
    stay = ~slow[samples.tag]
    tags = np.array([tag for tag, _ in lines], np.int64)
    times, values, qualities, rises, grades = (
        np.array([getattr(step, name) for _, step in lines], kind)
        for name, kind in (("time_us", np.int64), ("value", np.float64), ("quality", np.uint8),
                           ("rise", np.float64), ("grade", np.uint8))
    )  # fmt: skip
    merged = np.append(samples.tag[stay], tags)
    # Stable: rows of one tag come in order from one side or the other.
    order = np.argsort(merged, kind="stable")
    time_us = np.append(samples.time_us[stay], times)[order]
    readings = Samples(
        merged[order],
        time_us,
        np.append(samples.value[stay], values)[order],
        np.append(samples.quality[stay], qualities)[order],
        time_us,
    )
    rise = np.append(plain.rise[stay], rises)[order]
    return Readings(readings, rise, np.append(plain.grade[stay], grades)[order])


class _Reading(NamedTuple):
    """One reading of a register [SI]."""

    time_us: int
    value: float
    quality: int


class _Step(NamedTuple):
    """A true reading: the rise since the one before it, and the grade of that span."""

    time_us: int
    value: float
    quality: int
    rise: float
    grade: int


class _Move(NamedTuple):
    """The rise to a reading, and where the register stands then [SI]."""

    rise: float
    level: float


@dataclass(frozen=True, slots=True)
class _Limits:
    """Traits of one counter."""

    rollover: float
    resolution: float
    rate: float
    scale: float
    shift: float


class _Register:
    """The register of one counter, followed reading by reading."""

    def __init__(
        self, held: OpenMinutes, traits: SeriesTraits, tag: int, findings: Findings | None
    ) -> None:
        self.steps: list[_Step] = []
        # The first and the last reading of a doubtful value that has not moved.
        self.doubt: list[_Reading] = []
        self._tag = tag
        self._findings = findings or Findings()
        columns = traits.rollover, traits.resolution, traits.rate, traits.scale, traits.shift
        self._limits = _Limits(*(float(column[tag]) for column in columns))
        self._last: _Reading | None = None
        if held.time_us[tag] != NEVER and not np.isnan(held.value[tag]):
            self._last = _Reading(int(held.time_us[tag]), float(held.value[tag]), 0)
        if not np.isnan(held.doubt[tag]):
            value, code = float(held.doubt[tag]), int(held.doubt_quality[tag])
            times = (held.doubt_from_us[tag], held.doubt_us[tag])
            self.doubt = [_Reading(int(time_us), value, code) for time_us in times]

    def keep(self, held: OpenMinutes) -> None:
        """Leave the doubtful reading where the next samples are awaited."""
        tag, doubt = self._tag, self.doubt
        held.doubt[tag] = doubt[0].value if doubt else _NAN
        held.doubt_from_us[tag] = doubt[0].time_us if doubt else NEVER
        held.doubt_us[tag] = doubt[-1].time_us if doubt else NEVER
        held.doubt_quality[tag] = doubt[0].quality if doubt else 0

    def read(self, new: _Reading) -> None:
        """Follow one reading."""
        if new.quality & 31 == q.REPLACED:
            if self.doubt:
                self.accept_doubt()
            self._accept(new, 0.0, new.value)
        elif self._last is None:
            self._accept(new, _NAN, new.value)
        elif self.doubt:
            self._decide(self._last, new)
        else:
            move = self._move(self._last, new)
            if move is None:
                self._put_in_doubt(new, new)
            else:
                self._accept(new, *move)

    def _put_in_doubt(self, begin: _Reading, new: _Reading) -> None:
        """Let the newest reading be doubtful, since the one that began it."""
        self.doubt = [begin, new]
        if new.quality & ~q.SIMULATED != _RESET:
            self._findings.doubted.append((self._tag, new.time_us))

    def _decide(self, last: _Reading, new: _Reading) -> None:
        """Take the doubtful reading for false or true, as far as the next one tells."""
        doubtful = self.doubt[0]
        if new.value == doubtful.value:
            self._put_in_doubt(doubtful, new)
            return
        back, onward = self._move(last, new), self._move(doubtful, new)
        # After a jump the nearer level is that of the doubtful reading; a register that has turned
        # is not back.
        jumped = doubtful.value > last.value and onward is not None
        if back is not None and not jumped and back.level >= last.value:
            self.doubt = []
            self._accept(new, back.rise, back.level, int(_FALSE))
        elif onward is None:
            self._put_in_doubt(new, new)
        else:
            self.accept_doubt(onward.rise / (new.time_us - self.doubt[1].time_us))
            self._accept(new, *onward)

    def accept_doubt(self, rate: float = 0.0) -> None:
        """Take the doubtful reading for the beginning of another register.

        Where it can have counted up to there from zero, at its `rate` [SI/µs] from then on, it was
        reset, and so much of the rise is known.
        """
        begin, end = self.doubt
        self.doubt = []
        last = self._last
        assert last is not None, "a first reading is not doubted"
        rise, grade = begin.value - last.value, 0
        if rise < 0:
            rise = self._over(last, begin)
        if np.isnan(rise) or self._is_too_fast(last, begin, rise):
            counted = RESET_RATES * rate * (begin.time_us - last.time_us)
            is_known = begin.value < last.value and 0 < begin.value <= counted
            rise, grade = begin.value if is_known else _NAN, int(_RESET)
            fall = Fall(self._tag, last.time_us, last.value, begin.time_us, begin.value)
            self._findings.falls.append(fall)
        self._accept(begin, rise, begin.value, grade)
        if end.time_us > begin.time_us:
            self._accept(end, 0.0, end.value)

    def _accept(self, new: _Reading, rise: float, level: float, grade: int = 0) -> None:
        """Add a true reading, at which the register stands at a level."""
        self.steps.append(_Step(new.time_us, level, new.quality, rise, grade))
        self._last = _Reading(new.time_us, level, new.quality)

    def _over(self, last: _Reading, new: _Reading) -> float:
        """Return the rise over a rollover; NaN when there was none."""
        top = self._limits.rollover
        full = NEAR_TOP * top <= last.value <= top
        return top - last.value + new.value if full and 0 <= new.value <= NEAR_ZERO * top else _NAN

    def _is_too_fast(self, last: _Reading, new: _Reading, rise: float) -> bool:
        """Return whether the register cannot have moved so far in the time."""
        return rise > self._limits.rate * ((new.time_us - last.time_us) * 1e-6)

    def _move(self, last: _Reading, new: _Reading) -> _Move | None:
        """Return what lies between two readings; None where the new one is doubtful."""
        limits = self._limits
        rise, level = new.value - last.value, new.value
        if rise < 0 and -rise <= max(limits.resolution, HAIR * abs(last.value)):
            # Jitter: the register stands at the greatest reading.
            rise, level = 0.0, last.value
        elif rise < 0:
            rise = self._over(last, new)
            # A register that has turned shows more than zero next, or was full before.
            if np.isnan(rise) or (new.value == 0 and rise > 0):
                return None
        elif new.value > 2 * last.value and is_sentinel((new.value - limits.shift) / limits.scale):
            return None
        return None if self._is_too_fast(last, new, rise) else _Move(rise, level)
