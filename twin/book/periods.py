"""Periods of book data, as people write them: 2026, 2026-Q4, 2026-10, 2026-10-05, an instant."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from twin.arrays import SECOND_US
from twin.book.model import INSTANT
from twin.series.windows import local

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MONTHS_OF_QUARTER = 3
YEARS = range(1971, 2200)
# Numbers of year, quarter or month, and day: with hyphens or other marks, or in Chinese.
FORMS = {
    "year": (r"(\d{4})", r"(\d{4})年"),
    "quarter": (r"(\d{4})-?[Qq]([1-4])", r"(\d{4})年第?([1-4])季度?"),
    "month": (r"(\d{4})[-/.](\d{1,2})", r"(\d{4})年(\d{1,2})月"),
    "day": (r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", r"(\d{4})年(\d{1,2})月(\d{1,2})日"),
}
EXAMPLES = {
    "year": "2026",
    "quarter": "2026-Q4",
    "month": "2026-10",
    "day": "2026-10-05",
    INSTANT: "2026-10-05T08:30",
}


class Period(NamedTuple):
    """A span of time [µs], half-open; start = stop is an instant."""

    start_us: int
    stop_us: int


def parse_period(text: str, kind: str, zone: ZoneInfo) -> Period:
    """Return a period of one kind on the clock of a zone; raises ValueError with what is wrong."""
    text = text.strip()
    if kind == INSTANT:
        return _parse_instant(text, zone)
    numbers = _numbers(text, kind)
    if not numbers:
        other = next((name for name in FORMS if _numbers(text, name)), "")
        what = f"is a {other}, and the tag has one value a {kind}" if other else f"is no {kind}"
        raise ValueError(f"{text!r} {what}: write it like {EXAMPLES[kind]}")
    year, part, day = (*numbers, 1, 1)[:3]
    month = (part - 1) * MONTHS_OF_QUARTER + 1 if kind == "quarter" else part
    try:
        start = datetime(year, month, day, tzinfo=zone)
    except ValueError as error:
        raise ValueError(f"{text!r} is not in the calendar: {error}") from error
    if year not in YEARS:
        raise ValueError(f"the year {year} is not between {YEARS[0]} and {YEARS[-1]}")
    return Period(_us(start), _us(_next(start, kind)))


def _numbers(text: str, kind: str) -> list[int]:
    """Return the numbers of a text that is a period of one kind; none where it is not."""
    matches = (re.fullmatch(form, text) for form in FORMS[kind])
    return next(([int(n) for n in match.groups()] for match in matches if match), [])


def text_of_day(day: date, kind: str) -> str:
    """Return the period of one kind that begins on a day, as people write it; else the day.

    Spreadsheets make the first of October of what was typed as 2026-10.
    """
    quarter, month_of_quarter = divmod(day.month - 1, MONTHS_OF_QUARTER)
    begun = {
        "month": (f"{day:%Y-%m}", True),
        "quarter": (f"{day:%Y}-Q{quarter + 1}", month_of_quarter == 0),
        "year": (f"{day:%Y}", day.month == 1),
    }
    text, begins = begun.get(kind, ("", False))
    return text if begins and day.day == 1 else str(day)


def label(period: Period, zone: ZoneInfo) -> str:
    """Return a period as people write it."""
    start = local(period.start_us, zone)
    day = start.date()
    for kind in ("day", "month", "quarter", "year"):
        begin = datetime(day.year, day.month, day.day, tzinfo=zone)
        if begin == start and _us(_next(begin, kind)) == period.stop_us:
            quarter = (day.month - 1) // MONTHS_OF_QUARTER + 1
            texts = {"day": f"{day}", "month": f"{day:%Y-%m}", "year": f"{day:%Y}"}
            return texts.get(kind, f"{day:%Y}-Q{quarter}")
    if period.start_us == period.stop_us:
        return start.isoformat(timespec="seconds")
    stop = local(period.stop_us, zone)
    return f"{start.isoformat(timespec='minutes')} – {stop.isoformat(timespec='minutes')}"


def _next(start: datetime, kind: str) -> datetime:
    """Return the local midnight at which the period that begins at another ends."""
    if kind == "day":
        return datetime.combine(start.date() + timedelta(days=1), start.time(), start.tzinfo)
    months = {"month": 1, "quarter": MONTHS_OF_QUARTER, "year": 12}[kind]
    years, month = divmod(start.month - 1 + months, 12)
    return start.replace(year=start.year + years, month=month + 1)


def _parse_instant(text: str, zone: ZoneInfo) -> Period:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no instant: write it like {EXAMPLES[INSTANT]}") from error
    if time.year not in YEARS:
        raise ValueError(f"the year {time.year} is not between {YEARS[0]} and {YEARS[-1]}")
    at_us = _us(time if time.tzinfo else time.replace(tzinfo=zone))
    return Period(at_us, at_us)


def _us(time: datetime) -> int:
    return round(time.timestamp() * SECOND_US)
