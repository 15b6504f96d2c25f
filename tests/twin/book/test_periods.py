"""Periods as people write them, on the clock of the park."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from twin.book.periods import Period, label, parse_period, text_of_day

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def span(start, stop, zone=SHANGHAI):
    """Return a period between two local times."""
    times = (datetime.fromisoformat(each).replace(tzinfo=zone) for each in (start, stop))
    return Period(*(round(time.timestamp() * 1e6) for time in times))


@pytest.mark.parametrize(
    ("text", "kind", "start", "stop"),
    [
        ("2026", "year", "2026-01-01", "2027-01-01"),
        ("2026年", "year", "2026-01-01", "2027-01-01"),
        ("2026-Q4", "quarter", "2026-10-01", "2027-01-01"),
        ("2026q1", "quarter", "2026-01-01", "2026-04-01"),
        ("2026年第2季度", "quarter", "2026-04-01", "2026-07-01"),
        ("2026-10", "month", "2026-10-01", "2026-11-01"),
        (" 2026/2 ", "month", "2026-02-01", "2026-03-01"),
        ("2026年12月", "month", "2026-12-01", "2027-01-01"),
        ("2024-02-29", "day", "2024-02-29", "2024-03-01"),
        ("2026年1月31日", "day", "2026-01-31", "2026-02-01"),
        ("2026-10-05T08:30", "instant", "2026-10-05T08:30", "2026-10-05T08:30"),
    ],
)
def test_period_is_whole_on_the_clock_of_the_park(text, kind, start, stop):
    assert parse_period(text, kind, SHANGHAI) == span(start, stop)


def test_month_in_which_the_clocks_change_has_an_hour_more():
    period = parse_period("2026-10", "month", BERLIN)
    assert period == span("2026-10-01", "2026-11-01", BERLIN)
    assert (period.stop_us - period.start_us) / 3.6e9 == 31 * 24 + 1


@pytest.mark.parametrize(
    ("text", "kind", "wrong"),
    [
        (
            "2026-10-05",
            "month",
            "is a day, and the tag has one value a month: write it like 2026-10",
        ),
        ("2026", "month", "is a year, and the tag has one value a month"),
        ("10/2026", "month", "is no month: write it like 2026-10"),
        ("2026-13", "month", "not in the calendar"),
        ("2025-02-29", "day", "not in the calendar"),
        ("2026-105", "day", "is no day"),
        ("1700-01", "month", "the year 1700 is not between 1971 and 2199"),
        ("yesterday", "instant", "is no instant"),
        ("", "year", "is no year"),
    ],
)
def test_text_that_is_no_such_period_is_refused_with_a_sentence(text, kind, wrong):
    with pytest.raises(ValueError, match=wrong):
        parse_period(text, kind, SHANGHAI)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("year", "2026"), ("quarter", "2026-Q3"), ("month", "2026-03"), ("day", "2026-10-25"),
     ("instant", "2026-10-05T08:30:00+02:00")],
)  # fmt: skip
def test_label_of_a_period_is_read_as_the_same_period(kind, text):
    assert label(parse_period(text, kind, BERLIN), BERLIN) == text


@pytest.mark.parametrize(
    ("day", "kind", "text"),
    [
        ("2026-10-01", "month", "2026-10"),
        ("2026-10-01", "quarter", "2026-Q4"),
        ("2026-11-01", "quarter", "2026-11-01"),
        ("2026-01-01", "year", "2026"),
        ("2026-10-02", "month", "2026-10-02"),
        ("2026-10-01", "day", "2026-10-01"),
    ],
)
def test_date_that_a_spreadsheet_made_is_the_period_that_begins_with_it(day, kind, text):
    assert text_of_day(date.fromisoformat(day), kind) == text


def test_period_of_another_clock_is_labelled_by_its_ends():
    period = parse_period("2026-03", "month", SHANGHAI)
    assert label(period, BERLIN) == "2026-02-28T17:00+01:00 – 2026-03-31T18:00+02:00"
