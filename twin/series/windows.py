"""Windows of time on the clock of the park: edges, coverage and quality of sums."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, DAY_US, F64, HOUR_US, I64, MINUTE_US, SECOND_US, U8
from twin.series.coverage import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

QUARTER_US = 15 * MINUTE_US
# The shortest each kind of window can be, shifts apart: a limit on their number needs no calendar.
SHORTEST_US = {
    "minute": MINUTE_US,
    "quarter_hour": QUARTER_US,
    "hour": HOUR_US,
    "day": 23 * HOUR_US,
    "month": 28 * DAY_US - HOUR_US,
    "quarter": 90 * DAY_US - HOUR_US,
    "year": 365 * DAY_US,
}
DAY_QUARTERS = DAY_US // QUARTER_US
# Months of the windows that have whole ones.
MONTHS = {"month": 1, "quarter": 3, "year": 12}


def edges(window: str, from_us: int, to_us: int, timezone: str, shifts: Sequence[str] = ()) -> I64:
    """Return the edges of the whole windows that cover an interval.

    Parameters
    ----------
    window
        minute, quarter_hour, hour, shift, day, month, quarter or year, on the local clock of
        `timezone`
    from_us, to_us : int [µs]
        the interval, half-open, UTC; to_us > from_us
    timezone
        IANA name
    shifts
        local starts of the shifts, like ``08:00``; needed for window ``shift``

    Returns
    -------
    (W+1,) int64 [µs]
        window w is ``[edges[w], edges[w+1])``; ``edges[0] <= from_us`` and ``edges[-1] >= to_us``

    Notes
    -----
    On the day the clock goes forward a day has 23 hours and a window that would begin in the
    missing hour begins right after it; on the day it goes back the repeated hour is an hour of its
    own, and a day or a shift begins when the clock first reads its time.
    """
    assert to_us > from_us, "an empty interval has no windows"
    zone = ZoneInfo(timezone)
    if window in ("minute", "quarter_hour"):
        # Clocks differ by quarters of an hour.
        step_us = SHORTEST_US[window]
        edges_us = np.arange(from_us // step_us, -(-to_us // step_us) + 1) * step_us
    elif window == "hour":
        edges_us = _hours(from_us, to_us, zone)
    else:
        times = [time.fromisoformat(start) for start in shifts] if window == "shift" else [time()]
        assert times, "a park without shifts has no such window"
        starts = [
            round(datetime.combine(day, start, zone).timestamp() * SECOND_US)
            for day in _days(window, from_us, to_us, zone)
            for start in times
        ]
        edges_us = np.unique(np.array(starts, dtype=np.int64))
    first = int(np.searchsorted(edges_us, from_us, "right")) - 1
    last = int(np.searchsorted(edges_us, to_us, "left"))
    return edges_us[first : last + 1]


def local(time_us: int, zone: ZoneInfo) -> datetime:
    """Return a time on the clock of a zone."""
    seconds, rest_us = divmod(time_us, SECOND_US)
    return datetime.fromtimestamp(seconds, zone).replace(microsecond=rest_us)


def _hours(from_us: int, to_us: int, zone: ZoneInfo) -> I64:
    """Return the full local hours around an interval: clocks differ by quarters of an hour."""
    first, stop = from_us // QUARTER_US - 8, to_us // QUARTER_US + 9
    quarter = np.arange(first, stop) * QUARTER_US
    # A clock that shows the same offset on both ends of a day has not been changed in between.
    shift_us = np.empty(len(quarter), np.int64)
    for at in range(0, len(quarter), DAY_QUARTERS):
        day = quarter[at : at + DAY_QUARTERS].tolist()
        ends = _offset(day[0], zone), _offset(day[-1], zone)
        alike = ends[0] == ends[1]
        shift_us[at : at + len(day)] = ends[0] if alike else [_offset(each, zone) for each in day]
    return np.asarray(quarter[(quarter + shift_us) % HOUR_US == 0])


def _offset(time_us: int, zone: ZoneInfo) -> int:
    """Return how far the clock of a zone is before UTC [µs]."""
    offset = local(time_us, zone).utcoffset() or timedelta()
    return round(offset.total_seconds()) * SECOND_US


def _days(window: str, from_us: int, to_us: int, zone: ZoneInfo) -> Iterator[date]:
    """Yield the local days on which windows begin, from before an interval to after it."""
    day = local(from_us, zone).date() - timedelta(days=1)
    end = local(to_us, zone).date() + timedelta(days=2)
    if window not in MONTHS:
        yield from (day + timedelta(days=n) for n in range((end - day).days + 1))
        return
    months = MONTHS[window]
    first = (day.year * 12 + day.month - 1) // months
    last = (end.year * 12 + end.month - 1) // months + 1
    for begun in range(first * months, last * months + 1, months):
        yield date(begun // 12, begun % 12 + 1, 1)


def shares(covered_s: F64, elapsed_s: F64) -> F64:
    """Return the share of the elapsed time for which each tag had usable data.

    Parameters
    ----------
    covered_s : (W, U) float64 [s]   time with usable data of each tag in each window
    elapsed_s : (W,) float64 [s]     time of the window that has passed; 0 or less = not begun

    Returns
    -------
    (W, U) float64 [1]               0..1; NaN where nothing is expected
    """
    expected = np.where(elapsed_s > 0, elapsed_s, np.nan)
    return np.asarray(np.minimum(covered_s / expected[..., None], 1.0))


def completeness(covered_s: F64, elapsed_s: F64) -> F64:
    """Return the share of the elapsed time for which there was usable data, mean over the tags.

    Parameters
    ----------
    covered_s, elapsed_s
        as of `shares`

    Returns
    -------
    (W,) float64 [1]                 0..1; NaN where nothing is expected
    """
    if covered_s.shape[-1] == 0:
        return np.full(elapsed_s.shape, np.nan)
    return np.asarray(shares(covered_s, elapsed_s).mean(axis=-1))


def grade(quality: U8, share: F64, known: BOOL) -> U8:
    """Return the quality of sums: the worst of their parts, not good when incomplete.

    Parameters
    ----------
    quality : (W, U) uint8   worst quality of each tag in each window; 0 where it has no data
    share : (W, U) or (W,) float64 [1]
        share of the time each tag has data for, of which the least counts: a mean over many tags
        hides the one that was silent. A figure of one tag may give its completeness.
    known : (W,) bool        whether every sum has a value

    Returns
    -------
    (W,) uint8               never good where an input is bad, stale or missing
    """
    least = share if share.ndim == known.ndim else share.min(axis=-1, initial=1.0)
    worst = np.zeros(known.shape, np.uint8)
    if quality.shape[-1]:
        # One run over everything, so that the simulated flag of any part stays.
        starts = np.zeros(1, np.intp)
        worst = q.worst_of(quality, starts)[..., 0]
    hole = np.full(known.shape, q.UNCERTAIN | q.INCOMPLETE, np.uint8)
    lost = np.full(known.shape, q.NO_DATA, np.uint8)
    worst = np.where(least < COMPLETE, q.worse(worst, hole), worst)
    return np.asarray(np.where(known, worst, q.worse(worst, lost)), dtype=np.uint8)
