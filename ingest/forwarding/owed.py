"""Which time is owed to an authority: disjoint pieces in their order, and the next interval.

The newest interval goes first, so that what is live stays live after an outage; then the oldest.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from twin.arrays import MINUTE_US
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Piece = tuple[int, int]
# Windows of the commands whose intervals are those of the calendar.
CALENDAR = {"2061": "hour", "2031": "day"}


class Interval(NamedTuple):
    """An interval of a command that is owed, [start, stop) [µs]."""

    cn: str
    start_us: int
    stop_us: int


def add(owed: Sequence[Piece], piece: Piece) -> list[Piece]:
    """Return what is owed with one more piece; pieces that touch become one."""
    start, stop = piece
    if start >= stop:
        return list(owed)
    apart = [each for each in owed if each[1] < start or each[0] > stop]
    merged = [each for each in owed if each not in apart]
    start = min([start, *(each[0] for each in merged)])
    stop = max([stop, *(each[1] for each in merged)])
    return sorted([*apart, (start, stop)])


def remove(owed: Sequence[Piece], piece: Piece) -> list[Piece]:
    """Return what is owed without a piece."""
    start, stop = piece
    parts = [(a, min(b, start)) for a, b in owed] + [(max(a, stop), b) for a, b in owed]
    return sorted({(a, b) for a, b in parts if a < b})


def begin(cn: str, minutes: int, time_us: int, zone: str) -> int:
    """Return the begin of the interval of a command that a time lies in [µs]."""
    if cn in CALENDAR:
        return int(w.edges(CALENDAR[cn], time_us, time_us + 1, zone)[0])
    step_us = minutes * MINUTE_US
    hour = int(w.edges("hour", time_us, time_us + 1, zone)[0])
    return hour + (time_us - hour) // step_us * step_us


def intervals(cn: str, minutes: int, piece: Piece, zone: str) -> list[Interval]:
    """Return the intervals of a piece, the oldest first."""
    start, stop = piece
    if cn in CALENDAR:
        edges = w.edges(CALENDAR[cn], start, stop, zone).tolist()
    else:
        edges = [*range(start, stop, minutes * MINUTE_US), stop]
    return [Interval(cn, a, b) for a, b in pairwise(edges)]


def choose(
    owed: Mapping[str, Sequence[Piece]],
    until: Mapping[str, int],
    minutes: int,
    zone: str,
    is_free: Callable[[Interval], bool],
) -> tuple[Interval, bool] | None:
    """Return the interval to send next, and whether it is live: the newest of its command.

    The newest one ends at `until` [µs]. `is_free` tells those that may be tried now. None = there
    is nothing to do.
    """
    for cn, pieces in owed.items():
        if pieces and pieces[-1][1] == until[cn]:
            newest = intervals(cn, minutes, pieces[-1], zone)[-1]
            if is_free(newest):
                return newest, True
    # Of each command they come in order.
    heads = [
        next((each for each in _each(cn, minutes, pieces, zone) if is_free(each)), None)
        for cn, pieces in owed.items()
    ]
    oldest = min(filter(None, heads), key=lambda each: each.start_us, default=None)
    return None if oldest is None else (oldest, False)


def _each(cn: str, minutes: int, pieces: Sequence[Piece], zone: str) -> Iterator[Interval]:
    for piece in pieces:
        yield from intervals(cn, minutes, piece, zone)
