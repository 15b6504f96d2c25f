"""Forecasts by simulation: shown where they win, with intervals that hold what they say."""

import numpy as np
import pytest

from twin.baseline.forecast import NAIVE, PROFILE, SEASONAL, forecast_value

WEEK, DAY = 21, 3


def plant(rng, weeks, *, noise=4.0, wave=0.0):
    """Return shifts with a profile of day and week, a slow wave, and noise."""
    at = np.arange(weeks * WEEK)
    profile = np.array([10.0, -4.0, -6.0])[at % DAY] - 15.0 * (at % WEEK >= 15)
    slow = np.cumsum(rng.normal(0, wave, len(at)))
    return 300 + profile + slow + rng.normal(0, noise, len(at))


def test_model_of_a_week_beats_both_naive_methods_and_says_by_how_much():
    result = forecast_value(plant(np.random.default_rng(1), 12), WEEK, DAY, 1)
    assert (result.method, result.reason, result.points) == (PROFILE, "", 4 * WEEK)
    assert result.error[PROFILE] < 0.85 * result.error[SEASONAL]
    assert result.error[PROFILE] < 0.5 * result.error[NAIVE]
    assert 1.0 < result.half_95 / result.half_80 < 3.0


def test_intervals_hold_the_true_value_as_often_as_they_say():
    rng, inner, outer, plants = np.random.default_rng(6), 0, 0, 0
    for nth in range(60):
        series, lead = plant(rng, 9, wave=0.4), 1 + nth % 2
        result = forecast_value(series[: -WEEK + 1 - lead], WEEK, DAY, lead)
        if result.method != PROFILE:
            continue
        plants += 1
        miss = abs(result.value - series[-WEEK])
        inner += miss <= result.half_80
        outer += miss <= result.half_95
    assert plants >= 40
    assert 0.65 <= inner / plants <= 0.92
    assert 0.88 <= outer / plants <= 1.0


def test_random_walk_has_no_forecast_where_the_last_value_does_as_well():
    chosen = []
    for seed in range(8):
        walk = 500 + np.cumsum(np.random.default_rng(seed).normal(0, 5, 10 * WEEK))
        result = forecast_value(walk, WEEK, DAY, 1)
        chosen.append(result.method)
        if result.method == NAIVE:
            assert np.isnan(result[:3]).all()
            assert result.reason == "the model does not beat naive on the held-out weeks"
        # Where it is shown it is no worse than the last value.
        assert result.error[result.method] <= result.error[NAIVE]
    assert NAIVE in chosen


def test_a_series_that_repeats_its_last_week_has_no_forecast_and_says_why():
    # Each week is the one before it, but for a step now and then: means of weeks lag behind it.
    rng = np.random.default_rng(5)
    weeks = [rng.normal(300, 60, WEEK)]
    for nth in range(11):
        weeks.append(weeks[-1] + rng.normal(0, 0.5, WEEK))
        if nth % 3 == 0:
            weeks[-1] = rng.normal(300, 60, WEEK)
    result = forecast_value(np.concatenate(weeks), WEEK, DAY, 1)
    assert result.error[PROFILE] > result.error[SEASONAL]
    assert result.method == SEASONAL
    assert np.isnan([result.value, result.half_80, result.half_95]).all()
    assert result.reason == "the model does not beat seasonal_naive on the held-out weeks"
    assert result.points == 4 * WEEK


def test_unknown_steps_are_left_out_and_a_short_history_has_no_forecast():
    series = plant(np.random.default_rng(2), 10)
    series[[5, 40, 190, 205]] = np.nan
    result = forecast_value(series, WEEK, DAY, 1)
    assert result.method == PROFILE
    # A hole takes its own step, the naive one after it counts by the value before.
    assert 4 * WEEK - 6 <= result.points < 4 * WEEK
    short = forecast_value(series[: 3 * WEEK], WEEK, DAY, 1)
    assert (short.method, np.isnan(short.value)) == ("", True)
    assert short.reason == "5 weeks of history are needed, 3 are there"
    empty = forecast_value(np.full(300, np.nan), WEEK, DAY, 1)
    assert "0 are there" in empty.reason


def test_days_have_a_profile_of_the_week_alone():
    rng = np.random.default_rng(3)
    series = 100 - 20.0 * (np.arange(84) % 7 >= 5) + rng.normal(0, 2, 84)
    result = forecast_value(series, 7, 1, 1)
    assert result.method == PROFILE
    # Step 84 is the first of a week.
    assert result.value == pytest.approx(100, abs=3)
    assert result.points == 28
    assert np.isfinite(result.half_95)
    assert np.isnan(forecast_value(series[:35], 7, 1, 1).half_95)
