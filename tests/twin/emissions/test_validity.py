"""What counts as valid, what the flags say, and whether a silent stack stands still."""

import numpy as np
import pytest

from twin import quality as q
from twin.emissions import validity as c
from twin.reference import load


@pytest.mark.parametrize(
    ("period", "least"),
    [("minute", 12), ("hour", 45), ("day", 20), ("month", 25), ("february", 23), ("shift", 20)],
)
def test_every_period_needs_as_many_parts_as_the_standard_says(period, least):
    assert c.needed(period) == least


def test_february_is_shorter_and_no_longer_in_a_leap_year():
    days = np.array([22, 23, 24, 25, 29])
    assert c.month_valid(days, np.array(2)).tolist() == [False, True, True, True, True]
    assert c.month_valid(days, np.array(3)).tolist() == [False, False, False, True, True]


def test_only_normal_is_good_and_faults_are_never_used():
    quality = c.quality_of_flag(np.array(list("NFMSDCTB")))
    assert (quality < q.UNCERTAIN).tolist() == [True] + [False] * 7
    bad = c.quality_of_flag(np.array(list("FMDCB")))
    assert not q.usable(bad).any()


def test_an_unknown_flag_is_a_fault_and_raises_nothing():
    odd = np.array(["X", "", "z", "中", "NN"])
    assert c.quality_of_flag(odd).tolist() == [q.BAD | q.FAULT] * 4 + [q.GOOD]
    assert int(c.quality_of_flag(np.array("M"))) == q.BAD | q.MAINTENANCE


def test_a_dead_flow_meter_of_a_running_plant_is_suspect_and_books_no_zero():
    flow = np.array([2.9, 2.9, 3.0, 50.0, np.nan])
    running = np.array([0.0, 1.0, 0.0, 1.0, 0.0])
    state = c.operation(flow, 100.0, running)
    assert state.tolist() == [c.STOPPED, c.SUSPECT, c.WORKING, c.WORKING, c.WORKING]
    emission = np.array([0.4, 0.4, 0.4, 8.0, np.nan])
    np.testing.assert_array_equal(c.booked(emission, state), [0.0, np.nan, 0.4, 8.0, np.nan])


def test_a_stopped_plant_with_dead_analysers_still_books_zero():
    state = c.operation(np.array([0.0]), 100.0, np.array([0.0]))
    np.testing.assert_array_equal(c.booked(np.array([np.nan]), state), [0.0])


def test_without_a_running_state_no_flow_is_never_a_zero():
    assert c.operation(np.array([0.0]), 100.0, np.array([np.nan])).tolist() == [c.SUSPECT]


def test_without_a_full_scale_nothing_is_told_of_the_flow():
    assert c.operation(np.array([0.0]), np.nan, np.array([0.0])).tolist() == [c.WORKING]


def test_a_plant_that_ran_for_a_tenth_of_the_hour_may_send_a_tenth_of_its_flow():
    assert c.operation(np.array([0.5]), 100.0, np.array([0.1])).tolist() == [c.WORKING]
    assert c.operation(np.array([0.2]), 100.0, np.array([0.1])).tolist() == [c.SUSPECT]


def test_hours_that_stood_still_do_not_count_in_the_capture_rate():
    period = np.repeat([0, 1], 100)
    valid = np.ones((2, 200), bool)
    operating = np.ones((2, 200), bool)
    operating[0, :50], valid[0, :60] = False, False
    operating[1, 100:] = False
    rate = c.capture_rate(valid, operating, period)
    assert rate.shape == (2, 200)
    np.testing.assert_allclose(rate[:, 0], [0.8, 1.0])
    np.testing.assert_array_equal(rate[:, -1], [1.0, np.nan])


def test_every_flag_names_a_severity_and_a_reason_we_have():
    for row in load("cems")["flag"].values():
        assert row["severity"] in q.WORDS
        assert not row["reason"] or isinstance(getattr(q, row["reason"].upper()), int)


def test_a_minute_is_normal_by_its_flag_and_our_doubt_takes_nothing_away():
    normal = [int(q) in c.NORMAL for q in c.quality_of_flag(np.array(list("NFMSDCTB")))]
    assert normal == [True] + [False] * 7
    assert q.UNCERTAIN | q.STUCK in c.NORMAL
    assert q.UNCERTAIN not in c.NORMAL
    # Annex C: three quarters of the values, of a minute.
    assert c.normal_s() == 45


def test_only_minutes_with_a_sample_of_their_own_are_valid():
    """44 minutes with samples and 5 held: 44 valid. Means of ten minutes stand for ten each."""
    measured, covered_s = np.array([44.0, 45.0, 6.0, 4.0]), np.array([49, 50, 60, 40]) * 60.0
    assert (c.valid_time(measured, covered_s, 60) / 60).tolist() == [44, 45, 6, 4]
    assert (c.valid_time(measured, covered_s, 600) / 60).tolist() == [49, 50, 60, 40]
    # A minute needs 45 s of normal values, not 60.
    assert c.valid_time(np.array(45.0), np.array(45 * 50.0), 60) == 45 * 60
    assert c.valid_time(np.array(45.0), np.array(45 * 50.0), 1) == 45 * 60
