"""Alarm floods, and the figures that say whether an operator can cope with the alarms.

An annunciation is an alarm becoming unacknowledged. Thresholds are in ``reference/alarms.toml``.

References
----------
.. [1] ANSI/ISA-18.2-2016, Management of Alarm Systems for the Process Industries, alarm system
   performance metrics; the same figures in EEMUA Publication 191.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.alarms.rules import PRIORITIES
from twin.arrays import BOOL, F64, I64, NEVER, latest
from twin.reference import load as load_reference
from twin.uom import parse_quantity


@dataclass(frozen=True, slots=True)
class FloodState:
    """The state of flood detection: the annunciations that still count, and the flood."""

    time_us: I64  # (n,) sorted
    now_us: int
    since_us: int  # NEVER when there is no flood

    @property
    def count(self) -> int:
        """The annunciations of the last window."""
        return len(self.time_us)


@dataclass(frozen=True, slots=True)
class AlarmLoad:
    """The load of a period on its operator."""

    count: int
    rate: float  # [1] annunciations per window of the flood, mean
    busy_share: float  # [1] share of such windows, one after the other, with more than a flood has
    flood_share: float  # [1] share of the time in flood
    by_alarm: I64  # (Al,) annunciations
    top: I64  # (k,) the alarms with the most, most first
    top_share: float  # [1] their share of all
    chattering: BOOL  # (Al,) whether it was ever annunciated so often within the short window
    mix: F64  # (4,) [1] share of each priority, in the order of PRIORITIES


def no_flood() -> FloodState:
    """Return the detection before the first annunciation."""
    return FloodState(np.zeros(0, np.int64), NEVER, NEVER)


def advance_flood(flood: FloodState, time_us: I64, now_us: int) -> tuple[FloodState, I64]:
    """Return the detection at `now_us` after some annunciations, and the floods that ended.

    Parameters
    ----------
    flood
        what the call before returned
    time_us : (n,) int64 [µs]
        annunciations since then, in any order; one of before then counts from then
    now_us : int [µs]

    Returns
    -------
    flood : Flood
    ended : (W, 2) int64 [µs]   start and end of each flood that is over

    Notes
    -----
    At time t those in (t - window, t] count. A flood begins when more than `above` do and ends when
    fewer than `below` do [1]_, which can only be when one comes or one is a window old.
    """
    table = load_reference("alarms")["flood"]
    window_us = round(parse_quantity(table["window"], "time") * 1e6)
    came_us = np.sort(np.maximum(time_us, flood.now_us))
    all_us = np.sort(np.concatenate([flood.time_us, came_us]))
    at_us = np.unique(np.concatenate([came_us, all_us + window_us]))
    at_us = at_us[at_us <= now_us]
    count = np.searchsorted(all_us, at_us, "right")
    count = count - np.searchsorted(all_us, at_us - window_us, "right")
    # A latch: the threshold that was crossed last.
    crossed = np.where(count > table["above"], 1, np.where(count < table["below"], -1, 0))
    crossed = np.append(1 if flood.since_us != NEVER else -1, crossed)
    on = crossed[latest(crossed != 0)] > 0
    turned = np.flatnonzero(on[1:] != on[:-1])
    starts, stops = at_us[turned[on[1:][turned]]], at_us[turned[~on[1:][turned]]]
    if flood.since_us != NEVER:
        starts = np.append(flood.since_us, starts)
    ended = np.stack([starts[: len(stops)], stops], axis=1)
    since_us = int(starts[-1]) if len(starts) > len(stops) else NEVER
    return FloodState(all_us[all_us > now_us - window_us], now_us, since_us), ended


def alarm_load(time_us: I64, alarm: I64, priority: I64, start_us: int, stop_us: int) -> AlarmLoad:
    """Return the load of a period.

    Parameters
    ----------
    time_us, alarm : (n,) int64 [µs], [1]
        annunciations and their alarms; those of one flood window before `start_us` decide whether
        the period begins in a flood
    priority : (Al,) int64 [1]
        index in PRIORITIES of each alarm
    start_us, stop_us : int [µs]
        the period, half-open; stop_us > start_us

    Returns
    -------
    Load
        shares [1] of nothing are NaN
    """
    table = load_reference("alarms")
    window_us = round(parse_quantity(table["flood"]["window"], "time") * 1e6)
    inside = (time_us >= start_us) & (time_us < stop_us)
    flood, ended = advance_flood(no_flood(), time_us[time_us < stop_us], stop_us)
    if flood.since_us != NEVER:
        ended = np.concatenate([ended, [[flood.since_us, stop_us]]])
    flooded_us = np.diff(np.clip(ended, start_us, stop_us), axis=1).sum()
    bins = np.bincount(
        (time_us[inside] - start_us) // window_us, minlength=-(-(stop_us - start_us) // window_us)
    )
    count = int(inside.sum())
    by_alarm = np.bincount(alarm[inside], minlength=len(priority))
    top = np.argsort(-by_alarm, kind="stable")[: table["top"]["count"]]
    top = top[by_alarm[top] > 0]
    mix = np.bincount(priority, by_alarm, minlength=len(PRIORITIES))
    share = 1 / count if count else np.nan
    return AlarmLoad(
        count=count,
        rate=count * window_us / (stop_us - start_us),
        busy_share=float((bins > table["flood"]["above"]).mean()),
        flood_share=float(flooded_us / (stop_us - start_us)),
        by_alarm=by_alarm,
        top=top,
        top_share=float(by_alarm[top].sum() * share),
        chattering=_chattering(time_us[inside], alarm[inside], len(priority)),
        mix=np.asarray(mix * share),
    )


def stale(active_us: I64, now_us: int) -> BOOL:
    """Mark the stale alarms: on for so long that they tell nothing any more.

    Parameters
    ----------
    active_us : (Al,) int64 [µs]
        since when the condition is on; NEVER when it is off
    now_us : int [µs]

    Returns
    -------
    (Al,) bool [1]
    """
    age_us = round(parse_quantity(load_reference("alarms")["stale"]["age"], "time") * 1e6)
    return np.asarray((active_us != NEVER) & (active_us < now_us - age_us))


def _chattering(time_us: I64, alarm: I64, alarms: int) -> BOOL:
    """Mark the alarms that chattered: annunciated so often in one sliding window."""
    table = load_reference("alarms")["chattering"]
    window_us = round(parse_quantity(table["window"], "time") * 1e6)
    by = np.lexsort((time_us, alarm))
    time_us, alarm = time_us[by], alarm[by]
    back = table["count"] - 1
    often = (alarm[back:] == alarm[:-back]) & (time_us[back:] - time_us[:-back] < window_us)
    chattering = np.zeros(alarms, bool)
    chattering[alarm[back:][often]] = True
    return chattering
