"""From times as they are written to UTC, by the clock of a zone and the order of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ingest.file_import.time_forms import NO_TIME, read_times
from ingest.wire import TIME_MS_MAX
from twin.arrays import BOOL, DAY_US, I64
from twin.series.windows import QUARTER_US

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo


SeriesOf = Callable[[], I64]


@dataclass(frozen=True, slots=True)
class Clock:
    """The form of the times of a file."""

    columns: tuple[str, ...]
    form: str
    zone: ZoneInfo
    back_us: int = 0  # from the stamp to the start of its interval
    midnight_ends: bool = False
    range_end: bool = False  # of a range in one cell the end is read
    serial: bool = False  # a number in place of a date is a serial number of a spreadsheet


class Offsets(NamedTuple):
    """Offsets to UTC of local times [µs], (n,); they differ on the nights clocks are set."""

    first: I64  # NO_TIME outside of what can be stored
    second: I64

    @property
    def repeated(self) -> BOOL:
        """Where the clock shows a time twice."""
        return self.first > self.second


def times(
    columns: Sequence[Any], clock: Clock, series: SeriesOf | None = None, after_us: int = 0
) -> I64:
    """Return the time of each row [µs], at the start of its interval; NO_TIME where it has none.

    A time that the clock of the zone never shows is none. One that it shows twice, on the night it
    is set back, is the first or the second by the order of the rows of its series; none where
    that order does not tell. `series` returns the number of the series of each row; `after_us` is
    the time from the written one to that of the value.
    """
    written_us, absolute = read_times(columns, clock.form, end=clock.range_end, serial=clock.serial)
    known = written_us != NO_TIME
    local_us = np.where(known, written_us + after_us, NO_TIME)
    time_us = local_us
    if not absolute.all():
        if clock.midnight_ends:
            local_us = np.where(known & (local_us % DAY_US == 0), local_us + DAY_US, local_us)
        utc_us = to_utc(local_us, clock.zone, series)
        if clock.back_us and (known & (utc_us == NO_TIME)).any():
            # Some programs number the intervals by their starts and then write down the ends.
            start_us = np.where(known, local_us - clock.back_us, NO_TIME)
            by_start = to_utc(start_us, clock.zone, series)
            by_start = np.where(by_start == NO_TIME, NO_TIME, by_start + clock.back_us)
            if (by_start != NO_TIME).sum() > (utc_us != NO_TIME).sum():
                utc_us = by_start
        time_us = np.where(absolute, time_us, utc_us)
    known &= time_us != NO_TIME
    time_us = time_us - clock.back_us
    known &= (time_us >= 0) & (time_us <= TIME_MS_MAX * 1000)
    return np.where(known, time_us, NO_TIME)


def to_utc(local_us: I64, zone: ZoneInfo, series: SeriesOf | None = None) -> I64:
    """Return local times as UTC [µs]; NO_TIME where the clock never shows them, or twice.

    Twice is told apart by the order of the rows, if they have one.
    """
    first, second = offsets = offsets_of(local_us, zone)
    skipped = (first == NO_TIME) | (first < second)
    time_us = np.where(skipped, NO_TIME, local_us - np.where(skipped, 0, first))
    repeated = offsets.repeated
    if repeated.any():
        again = pass_of(local_us, repeated, series() if series else np.zeros_like(local_us))
        time_us = np.where(repeated & (again == 1), local_us - second, time_us)
        time_us = np.where(repeated & (again < 0), NO_TIME, time_us)
    return time_us


def offsets_of(local_us: I64, zone: ZoneInfo) -> Offsets:
    """Return the offsets of local times, of both times where the clock shows one twice."""
    # Clocks are set by whole quarters of an hour: one look at the zone for each quarter will do.
    quarter, at = np.unique(local_us // QUARTER_US, return_inverse=True)
    both = [_offsets(int(n) * QUARTER_US, zone) for n in quarter]
    first, second = np.array(both, dtype=np.int64).reshape(-1, 2)[at].T
    return Offsets(first, second)


def _offsets(local_us: int, zone: ZoneInfo) -> tuple[int, int]:
    if not 0 <= local_us <= TIME_MS_MAX * 1000:
        return NO_TIME, NO_TIME
    naive = datetime(1970, 1, 1) + timedelta(microseconds=local_us)  # noqa: DTZ001
    first, second = (
        (naive.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()) // timedelta.resolution
        for fold in (0, 1)
    )
    return first, second


def pass_of(local_us: I64, repeated: BOOL, series: I64) -> I64:
    """Return 0 for the first, 1 for the second passage of repeated times, -1 where none can tell.

    Parameters
    ----------
    local_us, series : (n,) int64 [µs], number of the series a row belongs to
    repeated : (n,) bool   the clock shows this time twice

    Notes
    -----
    The rows of a series must be in order, up or down, but for the one step by which the clock was
    set back. Without that step, nothing says which passage is missing.
    """
    result = np.where(repeated, -1, 0)
    order = np.argsort(series, kind="stable")
    order = order[local_us[order] != NO_TIME]
    starts = np.flatnonzero(np.diff(series[order], prepend=-1))
    concerned = set(series[repeated].tolist())
    for rows in np.split(order, starts[1:]):
        if len(rows) and int(series[rows[0]]) in concerned:
            result[rows] = _passes(local_us[rows], repeated[rows])
    return result


def _passes(local_us: I64, repeated: BOOL) -> I64:
    """Return the passages of the rows of one series, see `pass_of`."""
    result = np.where(repeated, -1, 0)
    steps = np.diff(local_us)
    ordinary = steps[~(repeated[1:] & repeated[:-1])]
    if not len(ordinary) or ((ordinary > 0).any() and (ordinary < 0).any()):
        return result
    down = bool((ordinary < 0).any())
    edges = np.flatnonzero(np.diff(repeated.astype(np.int8), prepend=0, append=0))
    for start, stop in edges.reshape(-1, 2):
        inner = steps[start : stop - 1] * (-1 if down else 1)
        back = np.flatnonzero(inner <= 0)
        # Two equal times in a row are two passages only where each has one row.
        if len(back) == 1 and (inner[back[0]] < 0 or stop - start == 2):
            passage = np.arange(stop - start) > back[0]
            result[start:stop] = ~passage if down else passage
    return result
