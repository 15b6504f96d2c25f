"""A yearly permit: what is used, what an even use allows, where it leads."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.arrays import DAY_S
from twin.emissions.permits import permit_outlook, year_of

ZONE = "Asia/Shanghai"


def at(text):
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("moment", "days"),
    [("2024-02-29T12:00:00+08:00", 366), ("2025-06-01T00:00:00+08:00", 365),
     ("2100-06-01T00:00:00+08:00", 365)],
)  # fmt: skip
def test_a_leap_year_has_a_day_more(moment, days):
    begin, end = year_of(at(moment), ZONE)
    assert (end - begin) / 1e6 == days * DAY_S


def test_the_year_begins_on_the_clock_of_the_park():
    begin, _ = year_of(at("2024-12-31T16:00:00+00:00"), ZONE)
    assert begin == at("2025-01-01T00:00:00+08:00")
    assert year_of(begin - 1, ZONE)[1] == begin


def test_an_even_year_uses_its_permit_to_the_day():
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    now = begin + 73 * DAY_S * 1_000_000  # a fifth of the year
    result = permit_outlook(18e3, 2e3, 100e3, 73.0 * DAY_S, begin, end, now)
    assert result.emitted == 20e3
    assert result.share == pytest.approx(0.2)
    assert result.allowance == pytest.approx(20e3)
    assert result.forecast == pytest.approx(100e3)
    assert result.exhausted_in_s == pytest.approx(292 * DAY_S)
    assert result.substituted_share == pytest.approx(0.1)
    assert result.completeness == pytest.approx(1.0)


def test_a_leap_year_allows_less_by_the_same_day():
    shares = []
    for year in (2024, 2025):
        begin, end = year_of(at(f"{year}-06-01T00:00:00+08:00"), ZONE)
        now = at(f"{year}-03-01T00:00:00+08:00")
        shares.append(permit_outlook(0.0, 0.0, 366.0, 1.0, begin, end, now).allowance)
    assert shares == pytest.approx([60.0, 59 / 365 * 366])


def test_what_is_ahead_of_the_line_runs_out_before_the_year_does():
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    now = begin + 73 * DAY_S * 1_000_000
    used = np.array([40e3, 100e3, 130e3, 0.0])
    result = permit_outlook(
        used, np.zeros(4), np.full(4, 100e3), np.full(4, 73.0 * DAY_S), begin, end, now
    )
    assert result.exhausted_in_s / DAY_S == pytest.approx([109.5, 0.0, 0.0, np.inf])
    assert result.forecast == pytest.approx([200e3, 500e3, 650e3, 0.0])
    assert np.isnan(result.substituted_share[-1])


def test_time_nothing_is_known_of_is_shown_and_not_made_up():
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    now = begin + 100 * DAY_S * 1_000_000
    result = permit_outlook(10e3, 0.0, 100e3, 10.0 * DAY_S, begin, end, now)
    assert result.completeness == pytest.approx(0.1)
    assert result.rate == pytest.approx(1e3 / DAY_S)
    assert result.forecast == pytest.approx(10e3 + 265e3)


@pytest.mark.parametrize("permit", [np.nan, 0.0, -1.0])
def test_without_a_permit_there_is_no_share_but_a_forecast(permit):
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    result = permit_outlook(10.0, 0.0, permit, 10.0, begin, end, begin + 10_000_000)
    assert np.isnan([result.share, result.allowance, result.exhausted_in_s]).all()
    assert result.forecast > 10


def test_at_the_first_moment_of_the_year_nothing_is_known_yet():
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    result = permit_outlook(np.zeros(2), np.zeros(2), np.ones(2), np.zeros(2), begin, end, begin)
    assert np.isnan([result.completeness, result.rate, result.forecast]).all()
    assert result.share.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shift", [-1, 366 * DAY_S * 1_000_000])
def test_a_moment_of_another_year_is_refused(shift):
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    with pytest.raises(ValueError, match="not inside the year"):
        permit_outlook(1.0, 0.0, 1.0, 1.0, begin, end, begin + shift)


@settings(deadline=None, max_examples=100)
@given(st.floats(1, 1e9), st.floats(1, 1e9), st.integers(1, 364))
def test_at_the_moment_of_exhaustion_the_straight_line_meets_the_permit(used, permit, days):
    begin, end = year_of(at("2025-06-01T00:00:00+08:00"), ZONE)
    result = permit_outlook(
        used, 0.0, permit, days * 86_400.0, begin, end, begin + days * 86_400_000_000
    )
    if used < permit:
        assert used + result.rate * result.exhausted_in_s == pytest.approx(permit, rel=1e-9)
    else:
        assert result.exhausted_in_s == 0
