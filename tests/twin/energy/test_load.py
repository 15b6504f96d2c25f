"""Load: the largest demand, the duration curve, idle hours, two periods at equal production."""

import numpy as np
import pytest

from twin.energy.load import compare_at_equal_load, duration_curve, is_idle, largest_at


def test_largest_interval_of_a_window_is_the_first_of_the_largest():
    power = np.array([3.0, 5.0, 5.0, np.nan, np.nan, 7.0])
    window = np.array([0, 0, 0, 1, 2, 2])
    assert largest_at(power, window, 3).tolist() == [1, -1, 5]


def test_duration_curve_falls_from_the_largest_to_the_least():
    power = np.array([1.0, 4.0, np.nan, 2.0, 3.0])
    shares = np.array([0.0, 0.25, 0.26, 0.75, 1.0])
    assert duration_curve(power, shares).tolist() == [4.0, 4.0, 3.0, 2.0, 1.0]
    assert np.isnan(duration_curve(np.full(3, np.nan), shares)).all()


def test_hour_of_unknown_production_is_not_idle():
    rate = np.array([0.0, 0.4, 10.0, np.nan])
    assert is_idle(rate, 0.05).tolist() == [True, True, False, False]


def test_saving_is_found_although_the_second_period_makes_more():
    # 2 MW and 3 MW per kg/s before; a tenth less of it after, at a higher production.
    rng = np.random.default_rng(3)
    day = np.repeat(np.arange(20), 24)
    before, after = rng.uniform(2, 8, 480), rng.uniform(4, 9.9, 480)
    power = 2e6 + 3e6 * before, 0.9 * (2e6 + 3e6 * after)
    noise = rng.normal(0, 2e5, (2, 480))
    result = compare_at_equal_load(
        (before, after), (power[0] + noise[0], power[1] + noise[1]), (day, day), 20
    )
    # The class that ends beyond 8 kg/s has hours of both.
    assert result.share == pytest.approx((after < 8.4).mean(), abs=0.02)
    saved = result.after / result.before - 1
    assert saved == pytest.approx(-0.1, abs=0.01)
    assert result.before - result.after > 3 * result.sigma > 0


def test_two_single_days_have_a_difference_without_an_interval():
    one, hours = np.full(24, 5.0), np.zeros(24, np.int64)
    result = compare_at_equal_load((one, one), (one * 2e6, one * 1e6), (hours, hours), 20)
    assert (result.before, result.after) == (pytest.approx(1e7), pytest.approx(5e6))
    assert np.isnan(result.sigma)
    nothing = compare_at_equal_load((one * 0, one * 0), (one, one), (hours, hours), 20)
    assert np.isnan(nothing.before)
