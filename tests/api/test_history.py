"""Buckets of a history say what the samples said; values leave as they were typed in."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.encode import out, rounded
from api.history import ARROW, MEDIA_TYPES, bucket_rollups, bucket_samples, step
from api.table import CSV, JSON, preferred
from twin import quality as q
from twin.uom import compile_uom

S = 1_000_000
MINUTE = 60 * S


def samples(times_s, values, quality=None):
    return {
        "time_us": np.array(times_s, np.int64) * S,
        "value": np.array(values, np.float64),
        "quality": np.array(quality if quality is not None else [0] * len(values), np.uint8),
    }


def rollups(times_min, mean, covered_s=None, quality=None):
    covered = np.array(covered_s if covered_s is not None else [60.0] * len(mean))
    mean = np.array(mean, np.float64)
    return {
        "time_us": np.array(times_min, np.int64) * MINUTE,
        "amount": np.where(covered > 0, mean * covered, 0.0),
        "covered_s": covered,
        "min": mean - 1,
        "max": mean + 1,
        "last": mean + 0.5,
        "quality": np.array(quality if quality is not None else [32] * len(mean), np.uint8),
    }


def test_the_mean_of_a_gauge_is_weighted_with_time():
    answer = bucket_samples(
        samples([0, 1, 10, 25], [10, 20, 30, 5]), 30 * S, 10 * S, 300 * S, gauge=True
    )
    assert answer.time_us.tolist() == [0, 10 * S, 20 * S]
    # 1 s of 10 and 9 s of 20; 10 s of 30; 5 s of the held 30 and 5 s of 5.
    assert answer.value.tolist() == pytest.approx([19.0, 30.0, 17.5])
    assert answer.min.tolist() == [10.0, 30.0, 5.0]
    assert answer.max.tolist() == [20.0, 30.0, 30.0]


def test_a_value_holds_no_longer_than_its_gap():
    answer = bucket_samples(samples([0, 100], [10, 20]), 200 * S, 100 * S, 30 * S, gauge=True)
    assert answer.value.tolist() == [10.0, 20.0]
    assert answer.max.tolist() == [10.0, 20.0]


def test_a_constant_stays_exactly_what_it_is():
    times = np.arange(50_000)
    answer = bucket_samples(
        samples(times, np.full(50_000, 36.4 / 3.6)), 50_000 * S, 37 * S, 300 * S, gauge=True
    )
    assert set(answer.value.tolist()) == {36.4 / 3.6}


def test_bad_samples_are_not_used_and_leave_a_mark():
    rows = samples([0, 5, 10, 15, 20], [1, np.nan, 3, 99, 98], [32, 133, 32, 129, 129])
    answer = bucket_samples(rows, 25 * S, 10 * S, 300 * S, gauge=True)
    assert answer.value.tolist()[:2] == [1.0, 3.0]
    assert math.isnan(answer.value[2])
    hole = q.UNCERTAIN | q.INCOMPLETE | 32
    assert answer.quality.tolist() == [hole, hole, q.NO_DATA]


def test_counters_and_states_show_their_last_value():
    rows = samples([0, 5, 9, 12], [1, 2, 3, np.nan], [0, 0, 0, 133])
    answer = bucket_samples(rows, 20 * S, 10 * S, 300 * S, gauge=False)
    assert answer.value[0] == 3.0
    assert math.isnan(answer.value[1])


def test_minutes_make_buckets_on_the_grid():
    answer = bucket_rollups(
        rollups([4, 5, 6, 7, 9], [1, 2, 3, 4, 5]), 5 * MINUTE, MINUTE, gauge=True
    )
    assert answer.time_us.tolist() == [0, 5 * MINUTE]
    assert answer.value.tolist() == [1.0, 3.5]
    assert (answer.min.tolist(), answer.max.tolist()) == ([0.0, 1.0], [2.0, 6.0])
    # Minute 8 is missing between 7 and 9; that the first bucket begins late is no hole.
    assert answer.quality.tolist() == [32, q.UNCERTAIN | q.INCOMPLETE | 32]


def test_a_minute_without_coverage_gives_no_value():
    answer = bucket_rollups(
        rollups([0, 1], [np.nan, 2.0], [0.0, 60.0], [164, 32]), MINUTE, MINUTE, gauge=True
    )
    assert math.isnan(answer.value[0])
    assert answer.value[1] == 2.0
    assert answer.quality.tolist() == [164, 32]
    last = bucket_rollups(rollups([0, 1], [1, 2]), 5 * MINUTE, MINUTE, gauge=False)
    assert last.value.tolist() == [2.5]


@given(
    span=st.integers(1, 10**15), points=st.integers(10, 10_000), start=st.integers(0, 10**15),
    base=st.sampled_from([1000, S, MINUTE, 60 * MINUTE]),
)  # fmt: skip
def test_there_are_never_more_points_than_asked_for(span, points, start, base):
    width = step(span, points, base)
    assert width % base == 0
    assert (start + span - 1) // width - start // width + 1 <= points


@given(st.decimals("-1e9", "1e9", places=4), st.sampled_from(["t/h", "kWh", "degC", "%", "kg/h"]))
def test_a_value_comes_back_from_si_as_it_was_typed(number, uom):
    quantity = {"t/h": "mass_flow", "kWh": "energy", "degC": "temperature", "%": "fraction"}
    scale, shift = compile_uom(uom, quantity.get(uom, "mass_flow"))
    typed = float(number)
    answer = out(np.array([typed * scale + shift]), (scale, shift))[0]
    if abs(typed) < 1e7 and shift == 0:
        assert answer == typed
    assert answer == pytest.approx(typed, rel=1e-9, abs=1e-9)


def test_rounding_leaves_what_has_no_digits():
    given_values = np.array([0.0, np.nan, np.inf, -36.400000000000006, 1e300, 1e-300, 1.5e15])
    answer = rounded(given_values)
    assert answer[0] == 0
    assert np.isnan(answer[1])
    assert answer[2] == np.inf
    assert answer[3] == -36.4
    assert answer[4:].tolist() == [1e300, 1e-300, 1.5e15]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("application/json;q=0.5, text/csv", CSV),
        (ARROW, ARROW),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("image/png", None),
        ("text/csv;q=0", None),
    ],
)
def test_the_client_chooses_the_format(accept, expected):
    assert preferred(accept, MEDIA_TYPES) == expected
