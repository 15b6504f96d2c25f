"""Windows follow the park's clock, also on the days it is changed."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import quality as q
from twin.arrays import DAY_US, HOUR_US, MINUTE_US
from twin.series.windows import SHORTEST_US, completeness, edges, grade, local, shares

SHIFTS = ("00:00", "08:00", "16:00")
ZONES = ("Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata", "America/Havana", "Australia/Lord_Howe")


def us(text):
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def local_edges(window, zone, start, end, shifts=SHIFTS):
    result = edges(window, us(start), us(end), zone, shifts)
    return [local(at, ZoneInfo(zone)).isoformat() for at in result.tolist()]


@pytest.mark.parametrize(
    ("window", "start", "end", "expected"),
    [
        ("minute", "2025-06-01T08:00:30+08:00", "2025-06-01T08:02:00+08:00",
         ["2025-06-01T08:00:00+08:00", "2025-06-01T08:01:00+08:00", "2025-06-01T08:02:00+08:00"]),
        ("hour", "2025-06-01T08:00:00+08:00", "2025-06-01T08:00:01+08:00",
         ["2025-06-01T08:00:00+08:00", "2025-06-01T09:00:00+08:00"]),
        ("shift", "2025-05-31T23:59:59+08:00", "2025-06-01T08:00:00+08:00",
         ["2025-05-31T16:00:00+08:00", "2025-06-01T00:00:00+08:00", "2025-06-01T08:00:00+08:00"]),
        ("day", "2025-06-01T00:00:00+08:00", "2025-06-02T00:00:01+08:00",
         ["2025-06-01T00:00:00+08:00", "2025-06-02T00:00:00+08:00", "2025-06-03T00:00:00+08:00"]),
        ("month", "2025-01-31T23:59:59+08:00", "2025-03-01T00:00:00+08:00",
         ["2025-01-01T00:00:00+08:00", "2025-02-01T00:00:00+08:00", "2025-03-01T00:00:00+08:00"]),
        ("quarter", "2024-12-31T23:59:59+08:00", "2025-04-01T00:00:00+08:00",
         ["2024-10-01T00:00:00+08:00", "2025-01-01T00:00:00+08:00", "2025-04-01T00:00:00+08:00"]),
        ("year", "2024-12-31T23:59:59+08:00", "2025-01-01T00:00:01+08:00",
         ["2024-01-01T00:00:00+08:00", "2025-01-01T00:00:00+08:00", "2026-01-01T00:00:00+08:00"]),
    ],
)  # fmt: skip
def test_whole_windows_cover_the_stretch(window, start, end, expected):
    assert local_edges(window, "Asia/Shanghai", start, end) == expected


def test_a_day_has_23_or_25_hours_when_the_clock_is_changed():
    spring = edges("day", us("2025-03-30T12:00+02:00"), us("2025-03-30T13:00+02:00"), ZONES[1])
    autumn = edges("day", us("2025-10-26T12:00+01:00"), us("2025-10-26T13:00+01:00"), ZONES[1])
    assert np.diff(spring).tolist() == [23 * HOUR_US]
    assert np.diff(autumn).tolist() == [25 * HOUR_US]


def test_the_repeated_hour_is_an_hour_of_its_own():
    result = local_edges("hour", ZONES[1], "2025-10-26T01:30+02:00", "2025-10-26T03:00+01:00")
    assert result == ["2025-10-26T01:00:00+02:00", "2025-10-26T02:00:00+02:00",
                      "2025-10-26T02:00:00+01:00", "2025-10-26T03:00:00+01:00"]  # fmt: skip


def test_a_day_whose_midnight_is_skipped_begins_right_after_it():
    result = local_edges(
        "day", "America/Havana", "2025-03-08T12:00-05:00", "2025-03-09T12:00-04:00"
    )
    assert result == [
        "2025-03-08T00:00:00-05:00",
        "2025-03-09T01:00:00-04:00",
        "2025-03-10T00:00:00-04:00",
    ]


def test_hours_of_a_half_hour_time_zone_are_local_hours():
    result = edges("hour", us("2025-06-01T08:10+05:30"), us("2025-06-01T08:20+05:30"), ZONES[2])
    assert result.tolist() == [us("2025-06-01T08:00+05:30"), us("2025-06-01T09:00+05:30")]


@settings(max_examples=200, deadline=None)
@given(
    window=st.sampled_from(["shift", *SHORTEST_US]),
    zone=st.sampled_from(ZONES),
    start=st.integers(us("2024-01-01T00:00+00:00"), us("2026-01-01T00:00+00:00")),
    length=st.integers(1, 3 * DAY_US),
)
def test_windows_are_gapless_cover_the_stretch_and_no_more(window, zone, start, length):
    result = edges(window, start, start + length, zone, SHIFTS)
    widths = np.diff(result)
    assert result[0] <= start < result[1]
    assert result[-2] < start + length <= result[-1]
    assert (widths >= SHORTEST_US.get(window, 7 * HOUR_US)).all()
    assert (result % MINUTE_US == 0).all()
    # Asked for one of its own windows, it gives just that window.
    again = edges(window, int(result[0]), int(result[1]), zone, SHIFTS)
    assert again.tolist() == result[:2].tolist()


def test_completeness_is_the_mean_share_over_the_tags():
    covered = np.array([[3600.0, 1800.0], [4000.0, 3600.0], [0.0, 0.0]])
    share = completeness(covered, np.array([3600.0, 3600.0, 0.0]))
    assert share[:2].tolist() == [0.75, 1.0]
    assert np.isnan(share[2])
    assert np.isnan(completeness(np.zeros((1, 0)), np.array([60.0]))).all()


@pytest.mark.parametrize(
    ("quality", "share", "known", "expected"),
    [
        ([0, 0], 1.0, True, q.GOOD),
        ([0, 32], 1.0, True, q.SIMULATED),
        ([65, 32], 1.0, True, 65 | 32),
        ([32, 32], 0.98, True, q.UNCERTAIN | q.INCOMPLETE | 32),
        ([32, 0], 0.5, False, q.NO_DATA | 32),
        ([], np.nan, True, q.GOOD),
    ],
)
def test_grade_is_the_worst_part_and_not_good_when_incomplete(quality, share, known, expected):
    result = grade(np.array([quality], np.uint8), np.array([share]), np.array([known]))
    assert result.tolist() == [expected]


def test_grade_counts_the_tag_that_has_least_not_the_mean():
    covered = np.full((1, 20), 3600.0)
    covered[0, 7] = 3060.0
    elapsed = np.array([3600.0])
    quality, known = np.full((1, 20), q.SIMULATED, np.uint8), np.array([True])
    assert completeness(covered, elapsed)[0] > 0.99
    result = grade(quality, shares(covered, elapsed), known)
    assert result.tolist() == [q.UNCERTAIN | q.INCOMPLETE | q.SIMULATED]


@settings(max_examples=100, deadline=None)
@given(
    codes=st.lists(st.sampled_from([q.GOOD, q.SIMULATED, q.UNCERTAIN, q.BAD]), max_size=6),
    data=st.data(),
)
def test_no_figure_with_a_bad_or_stale_input_is_good(codes, data):
    covered = data.draw(
        st.lists(st.floats(0, 1), min_size=len(codes), max_size=len(codes)).map(np.array)
    )
    share = shares(covered.reshape(1, -1) * 3600.0, np.array([3600.0]))
    known = np.array([data.draw(st.booleans())])
    result = int(grade(np.array([codes], np.uint8).reshape(1, -1), share, known)[0])
    if not known[0]:
        assert result >= q.BAD
    if any(code >= q.BAD for code in codes):
        assert result >= q.BAD
    if (covered < 0.99).any() or any(code >= q.UNCERTAIN for code in codes):
        assert result >= q.UNCERTAIN
    elif known[0]:
        assert result < q.UNCERTAIN


def test_state_time_of_a_shift_adds_up_over_a_change_of_the_clock():
    # The night the clock goes back: the first shift of the day has nine hours.
    cut = edges(
        "shift", us("2025-10-26T00:00+02:00"), us("2025-10-27T00:00+01:00"), ZONES[1], SHIFTS
    )
    second = np.diff(cut) / 1e6
    assert (second / 3600).tolist() == [9.0, 8.0, 8.0]
