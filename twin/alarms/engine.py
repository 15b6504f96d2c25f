"""The alarm engine: limits, deadbands and delays on samples, and the states an alarm goes through.

A left fold over the samples of each alarm's tag in event time, with `AlarmState` as its state:
samples that come one by one, in blocks or all at once make the same changes. There are two layers.
The *condition* comes on when the value has been at or beyond the limit for the on-delay, and goes
off when it has been back by more than the deadband for the off-delay. The *state* is shown to the
operator, and follows from the condition and the commands of operators [1]_.

A delay counts only while the value is known: a bad value and a silence longer than the gap limit
of the tag begin it anew, so neither can raise or clear an alarm.

References
----------
.. [1] ANSI/ISA-18.2-2016 (IEC 62682), Management of Alarm Systems for the Process Industries: alarm
   state transition diagram; deadband, on-delay and off-delay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin import quality as q
from twin.arrays import BOOL, F64, I8, I64, NEVER, U8, Columns, latest, runs

if TYPE_CHECKING:
    from twin.alarms.rules import Rules
    from twin.series.samples import Samples

STATES = (
    "normal",
    "unacknowledged",
    "acknowledged",
    "returned",  # back to normal, not acknowledged
    "shelved",  # by an operator, for a time
    "suppressed",  # by design
    "out_of_service",  # for maintenance
)
NORMAL, UNACKNOWLEDGED, ACKNOWLEDGED, RETURNED, SHELVED, SUPPRESSED, OUT_OF_SERVICE = range(7)


@dataclass(frozen=True, slots=True)
class AlarmState:
    """The condition and state of each alarm, (Al,)."""

    time_us: I64  # newest sample of the tag; NEVER before the first
    value: F64  # [SI]
    quality: U8
    run_us: I64  # since when the value is on this side of the limit
    active: BOOL  # the condition
    active_us: I64  # since when it is on; NEVER when it is off
    state: I8  # index in STATES
    since_us: I64  # since when the state is what it is
    until_us: I64  # end of the shelving; NEVER when it is not shelved


@dataclass(frozen=True, slots=True)
class AlarmChanges(Columns):
    """Changes of states, (c,): by alarm, then time."""

    alarm: I64
    time_us: I64
    before: I8
    after: I8
    value: F64  # [SI] of the tag at that time
    quality: U8


@dataclass(frozen=True, slots=True)
class _Rows:
    """Samples by alarm, then time: of each alarm first the one it remembers, then the new ones."""

    alarm: I64
    start: I64  # (Al,) first row of each alarm
    head: BOOL  # whether it is the first row of its alarm
    time_us: I64
    value: F64
    quality: U8
    since_us: I64  # since when the value is on this side
    side: I8  # 1 at or beyond the limit, -1 back by more than the deadband, else 0
    end_us: I64  # until when the value is known to hold


def initial_alarm_state(alarms: int) -> AlarmState:
    """Return the state of alarms before the first sample."""
    never = np.full(alarms, NEVER)
    return AlarmState(
        time_us=never,
        value=np.full(alarms, np.nan),
        quality=np.full(alarms, q.NO_DATA, np.uint8),
        run_us=never,
        active=np.zeros(alarms, bool),
        active_us=never,
        state=np.zeros(alarms, np.int8),
        since_us=never,
        until_us=never,
    )


def evaluate(
    rules: Rules, memory: AlarmState, samples: Samples, known_us: I64, now_us: int
) -> tuple[AlarmState, AlarmChanges]:
    """Return the state after some samples, and the changes they make.

    Parameters
    ----------
    rules
        Al alarms
    memory
        returned by the call before
    samples
        n samples [SI], sorted by tag, then time; of each tag later than those before
    known_us : (T,) int64 [µs]
        all samples of the tag up to here have come: its last value holds up to here, but no longer
        than the tag's gap limit; NEVER = the tag's own next sample tells
    now_us : int [µs]
        shelves that end by now are opened

    Returns
    -------
    memory : AlarmState
    changes : AlarmChanges
        in event time: an alarm with a delay changes when the delay is over, whenever that is seen
    """
    if not len(rules.tag):
        nothing = np.zeros(0, np.int64)
        states = nothing.astype(np.int8)
        return memory, AlarmChanges(
            nothing, nothing, states, states, np.zeros(0), np.zeros(0, np.uint8)
        )
    rows = _rows(rules, memory, samples, known_us)
    delay_us = np.where(
        rows.side > 0, rules.on_delay_us[rows.alarm], rules.off_delay_us[rows.alarm]
    )
    due_us = rows.since_us + delay_us
    settled = (rows.side != 0) & (due_us <= rows.end_us)
    # The condition is the side that settled last.
    latest = _latest(settled, rows.start[rows.alarm])
    active = np.where(latest >= 0, rows.side[latest] > 0, memory.active[rows.alarm])
    turned = active != np.where(rows.head, memory.active[rows.alarm], np.roll(active, 1))
    turn = np.flatnonzero(turned)
    last = np.append(rows.start[1:], len(rows.alarm)) - 1
    active_us = memory.active_us.copy()
    active_us[rows.alarm[turn]] = due_us[turn]
    changes = _changes(memory, rows, turn, due_us[turn], active, now_us)
    memory = replace(
        memory,
        time_us=rows.time_us[last],
        value=rows.value[last],
        quality=rows.quality[last],
        run_us=rows.since_us[last],
        active=active[last],
        active_us=np.where(active[last], active_us, NEVER),
    )
    return after(memory, changes), changes


def after(memory: AlarmState, changes: AlarmChanges) -> AlarmState:
    """Return the memory with the states of some changes; of one alarm's changes the last stays."""
    if not len(changes):
        return memory
    state, since_us, until_us = memory.state.copy(), memory.since_us.copy(), memory.until_us.copy()
    state[changes.alarm] = changes.after
    since_us[changes.alarm] = changes.time_us
    until_us[changes.alarm] = NEVER
    return replace(memory, state=state, since_us=since_us, until_us=until_us)


def input_quality(rules: Rules, memory: AlarmState, now_us: int) -> U8:
    """Return the quality each alarm is marked with: its input's, bad when that is stale.

    Parameters
    ----------
    rules, memory
        Al alarms
    now_us : int [µs]

    Returns
    -------
    (Al,) uint8 [1]
    """
    stale = (memory.time_us != NEVER) & (now_us > memory.time_us + rules.gap_us)
    mark = np.where(stale, np.uint8(q.BAD | q.STALE), np.uint8(q.GOOD))
    return q.worse(memory.quality, mark)


def _rows(rules: Rules, memory: AlarmState, samples: Samples, known_us: I64) -> _Rows:
    """Return the samples of each alarm: the remembered one, then the new ones of its tag."""
    low = np.searchsorted(samples.tag, rules.tag, "left")
    count = np.searchsorted(samples.tag, rules.tag, "right") - low + 1
    start = np.cumsum(count) - count
    alarm = np.repeat(np.arange(len(count)), count)
    head = np.zeros(len(alarm), bool)
    head[start] = True
    source = (np.arange(len(alarm)) - start[alarm] - 1 + low[alarm])[~head]

    def column(name: str) -> NDArray[np.generic]:
        old = getattr(memory, name)
        values = np.empty(len(alarm), old.dtype)
        values[start], values[~head] = old, getattr(samples, name)[source]
        return values

    time_us, value, quality = (np.asarray(column(n)) for n in ("time_us", "value", "quality"))
    beyond = rules.sign[alarm] * (value - rules.limit[alarm])
    side = np.where(beyond >= 0, 1, np.where(beyond < -rules.deadband[alarm], -1, 0)).astype(
        np.int8
    )
    side[~q.usable(quality) | np.isnan(value) | (time_us == NEVER)] = 0
    held_us = time_us + rules.gap_us[alarm]
    goes_on = ~head & (side == np.roll(side, 1)) & (time_us <= np.roll(held_us, 1))
    begun_us = np.where(head, memory.run_us[alarm], time_us)
    since_us = begun_us[_latest(~goes_on, start[alarm])]
    next_us = np.where(np.roll(head, -1), known_us[rules.tag[alarm]], np.roll(time_us, -1))
    end_us = np.maximum(np.minimum(next_us, held_us), time_us)
    return _Rows(alarm, start, head, time_us, value, quality, since_us, side, end_us)


def _latest(marked: BOOL, start: I64) -> I64:
    """Return for each row the last marked one up to it, not before `start`; -1 where none is."""
    at = latest(marked)
    return np.where(at >= start, at, -1)


def _changes(
    memory: AlarmState, rows: _Rows, turn: I64, turn_us: I64, active: BOOL, now_us: int
) -> AlarmChanges:
    """Return the changes of state that turns of the condition and ends of shelving make."""
    ended = np.flatnonzero((memory.state == SHELVED) & (memory.until_us <= now_us))
    alarm = np.concatenate([rows.alarm[turn], ended])
    time_us = np.concatenate([turn_us, memory.until_us[ended]])
    opens = np.arange(len(alarm)) >= len(turn)
    # The value when a shelving ends is that of the last sample before it.
    before = rows.time_us <= memory.until_us[rows.alarm]
    seen = np.bincount(rows.alarm, before, len(rows.start)).astype(np.int64)
    row = np.concatenate([turn, rows.start[ended] + np.maximum(seen[ended] - 1, 0)])
    by = np.lexsort((opens, time_us, alarm))
    alarm, time_us, opens, row = alarm[by], time_us[by], opens[by], row[by]
    first = np.searchsorted(alarm, alarm, "left")
    turned = _latest(~opens, first)
    on = np.where(turned >= 0, active[row[turned]], memory.active[alarm]) if len(row) else opens
    was = memory.state[alarm]
    # Nobody hears an alarm that is suppressed or out of service, or shelved and not opened yet.
    heard = (was < SHELVED) | ((was == SHELVED) & (_latest(opens, first) >= 0))
    alarm, time_us, opens, row, on = (c[heard] for c in (alarm, time_us, opens, row, on))
    head, _ = runs(alarm)
    was = memory.state[alarm]
    quiet = opens | (head & (was == ACKNOWLEDGED))
    after = np.where(on, UNACKNOWLEDGED, np.where(quiet, NORMAL, RETURNED)).astype(np.int8)
    return AlarmChanges(
        alarm=alarm,
        time_us=time_us,
        before=np.where(head, was, np.roll(after, 1)).astype(np.int8),
        after=after,
        value=rows.value[row],
        quality=rows.quality[row],
    )
