"""Targets: verdicts with and without uncertainty, pace, shares of capacity."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.targets import MET, NOT_MET, UNDECIDED, shortfall, verdict
from twin.targets.assets import capacities
from twin.targets.decomposition import explain_change
from twin.targets.model import Asset, Target
from twin.targets.trend import fit_line, forecast


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


DAYS = [date(2021, 12, 31), date(2022, 12, 31), date(2026, 1, 1)]
PLANTS = [
    Asset(id="a", scope="p", kind="steel", capacity=7.0, until=date(2022, 6, 30)),
    Asset(id="b", scope="p", kind="steel", capacity=3.0, has=("electric",)),
    Asset(id="c", scope="p", kind="steel", capacity=5.0, since=date(2025, 5, 1)),
]


def shares(assets, has):
    part, whole = (each.sum(axis=1) for each in capacities(assets, has, DAYS))
    return (part / whole).tolist()


def test_share_of_a_register_is_weighted_by_the_capacity_that_stands_that_day():
    assert shares(PLANTS, "electric") == pytest.approx([0.3, 1.0, 3 / 8])


def test_share_that_left_counts_all_that_ever_stood():
    assert shares(PLANTS, "retired") == pytest.approx([0.0, 0.7, 7 / 15])


def test_capacity_that_is_not_known_leaves_the_share_unknown():
    unknown = Asset(id="d", scope="p", kind="steel", capacity=float("nan"))
    assert np.isnan(shares([*PLANTS, unknown], "electric")).all()


def test_line_through_monthly_values_has_the_slope_and_interval_of_hand():
    # y = 1, 2, 4 at 0, 1, 2: slope 1.5, level 7/3, residuals 1/6, -1/3, 1/6; s² = 1/6.
    line = fit_line(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 4.0]), np.zeros(3))
    t = 12.7062047364
    assert (line.points, line.slope) == (3, pytest.approx(1.5))
    assert line.slope_half_width == pytest.approx(t * (1 / 6 / 2) ** 0.5)
    value, half = forecast(line, 3.0)
    assert value == pytest.approx(7 / 3 + 1.5 * 2)
    assert half == pytest.approx(t * (1 / 6 * (1 + 1 / 3 + 4 / 2)) ** 0.5)


def test_more_certain_months_weigh_more_and_small_scatter_does_not_narrow_the_interval():
    x, width = np.arange(4.0), 1.959963985 * np.array([1.0, 1.0, 1.0, 3.0])
    exact = fit_line(x, 2 * x, width)
    weight = np.array([1, 1, 1, 1 / 9])
    spread = weight @ (x - weight @ x / weight.sum()) ** 2
    assert exact.slope == pytest.approx(2)
    assert exact.slope_half_width == pytest.approx(4.30265273 * spread**-0.5)
    bent = fit_line(x, np.array([0, 2, 4, 9.0]), width)
    assert 2 < bent.slope < fit_line(x, np.array([0, 2, 4, 9.0]), np.zeros(4)).slope


def test_months_without_a_value_do_not_count_and_two_make_no_line():
    x, gap = np.arange(4.0), np.array([1.0, np.nan, 3.0, 4.0])
    assert fit_line(x, gap, np.zeros(4)).slope == pytest.approx(1)
    assert fit_line(x[:3], gap[:3], np.zeros(3)) is None


def test_residuals_that_follow_each_other_widen_the_interval():
    x = np.arange(24.0)
    wave = np.sin(x / 2)
    mixed = wave[np.random.default_rng(1).permutation(24)]
    slow, fast = (fit_line(x, each, np.zeros(24)) for each in (wave, mixed))
    assert slow.slope_half_width > 2 * fast.slope_half_width


def test_change_of_a_ratio_is_the_sum_of_what_each_enterprise_did():
    # 100/50 = 2 to 150/60 = 2.5: the numerator 50 * (1/50 + 1/60) / 2 = 11/12 of it.
    over, under = explain_change(
        (np.array([60.0, 40.0]), np.array([30.0, 20.0])),
        (np.array([110.0, 40.0]), np.array([30.0, 30.0])),
    )
    assert over.tolist() == pytest.approx([11 / 12, 0.0])
    assert under.tolist() == pytest.approx([0.0, -5 / 12])
    assert over.sum() + under.sum() == pytest.approx(0.5)


@given(st.lists(st.tuples(*[st.floats(0.1, 1e6)] * 4), min_size=1, max_size=6))
def test_parts_of_a_change_always_add_up_to_it(members):
    n0, d0, n1, d1 = np.array(members).T
    over, under = explain_change((n0, d0), (n1, d1))
    change = n1.sum() / d1.sum() - n0.sum() / d0.sum()
    largest = np.abs(over).sum() + np.abs(under).sum() + abs(change)
    assert over.sum() + under.sum() == pytest.approx(change, abs=1e-9 * max(largest, 1e-12))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.booleans())
def test_exact_value_is_met_exactly_when_nothing_is_short(value, goal, at_most):
    met = verdict(np.float64(value), np.float64(goal), np.bool_(at_most)) == MET
    assert met == (shortfall(np.float64(value), np.float64(goal), np.bool_(at_most)) == 0)
