"""What stands for missing hours: every capture band, both lengths of a gap, many stacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.emissions.substitution import substitute
from twin.emissions.validity import capture_rate

HOURS = 3000


def one_gap(length, capture, peaks, begin=2500):
    """Return a substitution of one gap; `peaks` are emissions so many hours before it."""
    emission = np.full(HOURS, 1.0)
    for back, value in peaks.items():
        emission[begin - back] = value
    missing = np.zeros(HOURS, bool)
    missing[begin : begin + length] = True
    emission[missing] = np.nan
    return substitute(emission, ~missing, missing, np.full(HOURS, capture)), missing


@pytest.mark.parametrize(
    ("capture", "length", "previous_h"),
    [(1.0, 1, 180), (0.90, 24, 180), (0.90, 25, 720), (0.95, 200, 720), (0.8999, 1, 2160),
     (0.75, 100, 2160)],
)  # fmt: skip
def test_the_largest_of_the_hours_the_rule_names_stands_for_each_hour(capture, length, previous_h):
    result, missing = one_gap(length, capture, {previous_h: 7.0, previous_h + 1: 99.0})
    assert (result.emission[missing] == 7.0).all()
    assert (result.previous_h[missing] == previous_h).all()
    assert np.isnan(result.emission[~missing]).all()
    assert (result.previous_h[~missing] == 0).all()


@pytest.mark.parametrize("capture", [0.7499, 0.0, np.nan])
def test_below_three_quarters_nothing_may_stand_for_the_data(capture):
    result, missing = one_gap(10, capture, {1: 7.0})
    assert np.isnan(result.emission).all()
    assert (result.previous_h == 0).all()
    assert missing.any()


def test_only_valid_hours_are_counted_back():
    emission = np.full(400, 1.0)
    emission[10], emission[100] = 50.0, 9.0
    valid = np.ones(400, bool)
    valid[100] = False
    valid[150:250] = False  # stood still: neither valid nor missing
    missing = np.zeros(400, bool)
    missing[300] = True
    result = substitute(emission, valid, missing, np.ones(400))
    assert result.emission[300] == 1.0
    emission[20] = 8.0  # 180 valid hours back from 300 is hour 19
    assert substitute(emission, valid, missing, np.ones(400)).emission[300] == 8.0


def test_a_gap_before_any_valid_hour_stays_empty():
    emission = np.array([np.nan, np.nan, 3.0, np.nan])
    missing = np.isnan(emission)
    result = substitute(emission, ~missing, missing, np.ones(4))
    np.testing.assert_array_equal(result.emission, [np.nan, np.nan, np.nan, 3.0])
    assert result.previous_h.tolist() == [0, 0, 0, 180]


def test_stacks_do_not_borrow_from_each_other():
    emission = np.array([[[5.0, 1.0, np.nan]], [[np.nan, 2.0, np.nan]]])
    missing = np.isnan(emission)
    result = substitute(emission, ~missing, missing, np.ones(emission.shape))
    np.testing.assert_array_equal(
        result.emission, [[[np.nan, np.nan, 5.0]], [[np.nan, np.nan, 2.0]]]
    )


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 5), (3, 5)])
def test_nothing_missing_gives_nothing(shape):
    nothing = np.zeros(shape, bool)
    result = substitute(np.ones(shape), ~nothing, nothing, np.ones(shape))
    assert result.emission.shape == shape
    assert np.isnan(result.emission).all()


def test_measured_and_substituted_totals_stay_apart():
    emission = np.tile([2.0, 3.0], 500)
    missing = np.zeros(1000, bool)
    missing[[400, 401, 402]] = True
    emission[missing] = np.nan
    rate = capture_rate(~missing, np.ones(1000, bool), np.zeros(1000, np.int64))
    assert rate[0] == pytest.approx(0.997)
    result = substitute(emission, ~missing, missing, rate)
    assert np.nansum(emission) == pytest.approx(2500 - 2 - 3 - 2)
    assert np.nansum(result.emission) == pytest.approx(9.0)
    assert not (np.isfinite(emission) & np.isfinite(result.emission)).any()


def by_hand(emission, missing, capture):
    """Return the same hour by hour."""
    out = np.full(len(emission), np.nan)
    for at in np.flatnonzero(missing):
        begin = end = at
        while begin > 0 and missing[begin - 1]:
            begin -= 1
        while end < len(emission) and missing[end]:
            end += 1
        back = 180 if end - begin <= 24 else 720
        back = back if capture >= 0.9 else 2160 if capture >= 0.75 else 0
        before = [emission[i] for i in range(begin) if not missing[i]][-back:] if back else []
        out[at] = max(before, default=np.nan)
    return out


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.95]), st.floats(0, 0.9))
def test_any_pattern_of_gaps_is_filled_as_by_hand(seed, capture, share):
    rng = np.random.default_rng(seed)
    emission = rng.uniform(0, 1, (2, 300))
    missing = rng.uniform(size=(2, 300)) < share
    missing[0, 150 : 150 + rng.integers(0, 60)] = True
    result = substitute(emission, ~missing, missing, np.full((2, 300), capture))
    expected = [by_hand(e, m, capture) for e, m in zip(emission, missing, strict=True)]
    np.testing.assert_array_equal(result.emission, expected)
