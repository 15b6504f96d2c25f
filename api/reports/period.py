"""The time of a report: a day, month, quarter or year, or a shift like 2026-10-05/2."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from api.encode import rfc3339
from api.problems import invalid
from twin.arrays import DAY_US
from twin.book.periods import FORMS, Period, label, parse_period
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Sequence

HINT = "write it like 2026, 2026-Q4, 2026-10, 2026-10-05, or 2026-10-05/2 of a shift"
LONGEST_US = 740 * DAY_US
# The windows of the charts of a report, by the window of the report.
FINER = {"shift": "hour", "day": "hour", "month": "day", "quarter": "month", "year": "month"}


class Span(NamedTuple):
    """The period of a report."""

    text: str
    window: str
    start_us: int
    stop_us: int
    zone: ZoneInfo

    @property
    def start(self) -> str:
        """Its start, RFC 3339."""
        return rfc3339(self.start_us, self.zone)

    @property
    def end(self) -> str:
        """Its end, RFC 3339."""
        return rfc3339(self.stop_us, self.zone)


def parse_span(text: str, timezone: str, shifts: Sequence[str]) -> Span:
    """Return the period of a text; raises Problem 422."""
    zone = ZoneInfo(timezone)
    day, slash, number = text.partition("/")
    try:
        if not slash:
            return _whole(text, zone)
        start_us, stop_us = parse_period(day, "day", zone)
    except ValueError as error:
        raise invalid("period", str(error), hint=HINT) from None
    if not shifts:
        raise invalid("period", "this park has no shifts", hint="add `shifts` to [park]")
    if number not in map(str, range(1, len(shifts) + 1)):
        raise invalid("period", f"a day has shifts 1 to {len(shifts)}", hint=HINT)
    edges = w.edges("shift", start_us, stop_us + DAY_US, timezone, shifts)
    # The first shift of a day is the first that begins on it.
    at = int(np.searchsorted(edges, start_us)) + int(number) - 1
    return Span(text, "shift", int(edges[at]), int(edges[at + 1]), zone)


def span_before(span: Span) -> Span:
    """Return the period of the same kind before a period of the calendar."""
    edges = w.edges(span.window, span.start_us - 1, span.start_us, span.zone.key)
    start_us, stop_us = int(edges[0]), int(edges[1])
    return Span(label(Period(start_us, stop_us), span.zone), span.window, start_us, stop_us,
                span.zone)  # fmt: skip


def _whole(text: str, zone: ZoneInfo) -> Span:
    """Return a period of the calendar; raises ValueError."""
    for window in FORMS:
        try:
            start_us, stop_us = parse_period(text, window, zone)
        except ValueError:
            continue
        return Span(text, window, start_us, stop_us, zone)
    raise ValueError(f"{text!r} is no period")


def last_span(window: str, timezone: str, shifts: Sequence[str], now_us: int) -> Span:
    """Return the newest period of a kind that is over."""
    zone = ZoneInfo(timezone)
    edges = w.edges(window, now_us - LONGEST_US, now_us, timezone, shifts)
    at = int(np.searchsorted(edges, now_us, "right")) - 1
    start_us, stop_us = int(edges[at - 1]), int(edges[at])
    text = label(Period(start_us, stop_us), zone)
    if window == "shift":
        day = w.local(start_us, zone).date()
        first_us = int(w.edges("day", start_us, start_us + 1, timezone)[0])
        text = f"{day}/{at - int(np.searchsorted(edges, first_us))}"
    return Span(text, window, start_us, stop_us, zone)
