"""Targets: verdicts with and without uncertainty, pace, shares of capacity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.targets import MET, NOT_MET, UNDECIDED, Target, capacity_share, shortfall, verdict


def test_value_on_the_right_side_of_its_goal_meets_it():
    value = np.array([12_800.0, 12_801.0, 12_799.0, np.nan])
    assert verdict(value, np.float64(12_800), np.True_).tolist() == [
        MET, NOT_MET, MET, UNDECIDED,
    ]  # fmt: skip
    share = np.array([0.85, 0.76, 0.94])
    assert verdict(share, np.float64(0.85), np.False_).tolist() == [MET, NOT_MET, MET]


def test_goal_inside_the_confidence_interval_is_undecided():
    value = np.array([0.86, 0.86, 0.84, 0.80])
    half = np.array([0.02, 0.005, 0.02, 0.02])
    assert verdict(value, np.float64(0.85), np.False_, half).tolist() == [
        UNDECIDED, MET, UNDECIDED, NOT_MET,
    ]  # fmt: skip
    assert verdict(np.float64(0.9), np.float64(0.85), np.False_, np.nan) == UNDECIDED


def test_tolerance_moves_the_limit_to_the_side_of_the_sense_and_the_interval_decides():
    goal = {"id": "x", "scope": "p", "uom": "%", "tolerance": 5}
    floor = Target(**goal, value=100, sense="at_least")
    assert floor.limit == 95
    value, half = np.array([97.0, 97.0, 95.0, 93.0]), np.array([1.0, 3.0, 1.0, 1.0])
    assert verdict(value, np.float64(floor.limit), np.False_, half).tolist() == [
        MET, UNDECIDED, UNDECIDED, NOT_MET,
    ]  # fmt: skip
    cap = Target(**goal, value=0, sense="at_most")
    assert cap.limit == 5
    assert verdict(np.array([3.0, 4.5]), np.float64(cap.limit), np.True_, 1.0).tolist() == [
        MET, UNDECIDED,
    ]  # fmt: skip


def test_shortfall_is_zero_when_met_and_unknown_without_value():
    gap = shortfall(np.array([12_900.0, 12_700.0, np.nan]), np.float64(12_800), np.True_)
    assert gap.tolist() == pytest.approx([100.0, 0.0, np.nan], nan_ok=True)


def test_zero_gap_share_is_weighted_by_capacity():
    share = capacity_share(np.array([90.0, 10.0]), np.array([True, False]))
    assert share == pytest.approx(0.9)
    assert np.isnan(capacity_share(np.array([]), np.array([], bool)))
    assert np.isnan(capacity_share(np.array([np.nan, 1.0]), np.array([True, True])))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.booleans())
def test_exact_value_is_met_exactly_when_nothing_is_short(value, goal, at_most):
    met = verdict(np.float64(value), np.float64(goal), np.bool_(at_most)) == MET
    assert met == (shortfall(np.float64(value), np.float64(goal), np.bool_(at_most)) == 0)
