"""Reconciliation: published networks, gross errors, several times, tanks."""

import numpy as np
import pytest

from tests.support.small_networks import (
    A_PARK,
    BIASED,
    CASES,
    N1,
    N7,
    PARK_TRUTH,
    S_PARK,
    Y_PARK,
    arrays,
    numbered,
    without,
)
from twin.reconciliation.linear import reconcile


@pytest.mark.parametrize("name", CASES)
def test_published_network_gives_the_published_numbers(name):
    case = CASES[name]
    result = reconcile(*arrays(case))
    assert result.estimate == pytest.approx(case["estimate"], abs=1e-6)
    assert result.chi2 == pytest.approx(case["chi2"], abs=5e-6)
    assert result.dof == case["dof"]
    assert result.chi2_critical == pytest.approx(case["critical"], abs=1e-6)
    assert result.adjustment == pytest.approx(case["adjustment"], abs=1e-6)
    assert result.sigma == pytest.approx(case["after"], abs=1e-6)
    assert result.adjustment_critical == pytest.approx(case["single"], abs=5e-5)
    assert result.consistent == (name != "BIASED")
    assert result.reason == ""


@pytest.mark.parametrize(
    ("meters", "observable", "redundant", "dof", "estimate"),
    [
        ({1, 2, 5, 6}, {1, 2, 3, 4, 5, 6}, {1, 2, 5, 6}, 2,
         [100.494, 64.252, 36.242, 64.252, 36.242, 100.494]),
        ({1, 2, 6}, {1, 2, 3, 4, 5, 6}, {1, 6}, 1,
         [100.395, 64.45, 35.945, 64.45, 35.945, 100.395]),
        ({1, 6}, {1, 6}, {1, 6}, 1, [100.395, *[np.nan] * 4, 100.395]),
        ({1, 2}, {1, 2, 3, 4, 5, 6}, set(), 0, [101.91, 64.45, 37.46, 64.45, 37.46, 101.91]),
    ],
)  # fmt: skip
def test_partly_measured_network_is_classified_as_published(
    meters, observable, redundant, dof, estimate
):
    incidence, flow, sigma = arrays(N1)
    result = reconcile(incidence, without(flow, *({1, 2, 3, 4, 5, 6} - meters)), sigma)
    assert numbered(result.observable) == observable
    assert numbered(result.redundant) == redundant
    assert result.dof == dof
    assert result.estimate == pytest.approx(estimate, abs=1e-9, nan_ok=True)
    assert np.isnan(result.sigma).tolist() == np.isnan(result.estimate).tolist()


def test_partly_measured_network_has_the_published_global_test():
    incidence, flow, sigma = arrays(N1)
    assert reconcile(incidence, without(flow, 3, 4), sigma).chi2 == pytest.approx(4.68846, abs=1e-9)


@pytest.mark.parametrize(
    ("missing", "unobservable", "not_redundant", "dof"),
    [({5}, set(), {5}, 2), ({2}, set(), {1, 2, 3, 4}, 2), ({2, 3}, {2, 3}, {1, 2, 3, 4}, 2),
     ({8, 10}, {8, 10}, {8, 9, 10}, 2), ({8}, set(), {8, 9, 10}, 2), ({5, 6}, set(), {5, 6}, 1)],
)  # fmt: skip
def test_streams_of_the_park_are_observable_or_redundant_as_published(
    missing, unobservable, not_redundant, dof
):
    result = reconcile(A_PARK, without(Y_PARK, *missing), S_PARK)
    assert numbered(~result.observable) == unobservable
    assert numbered(~result.redundant) == not_redundant
    assert result.dof == dof
    assert isinstance(result.dof, int)


def test_residuals_of_the_park_are_the_published_ones():
    result = reconcile(A_PARK, Y_PARK, S_PARK)
    assert result.residual == pytest.approx([0.85, -0.35, 0.23], abs=1e-9)
    deviation = np.sqrt(np.abs(A_PARK) @ S_PARK**2)
    assert result.nodal == pytest.approx(np.array([0.85, 0.35, 0.23]) / deviation)


def test_users_shares_of_the_park_from_estimates_are_the_published_ones():
    made, exported, liquid, evaporated = (
        reconcile(A_PARK, Y_PARK, S_PARK).estimate[k] for k in (0, 8, 5, 7)
    )
    shares = [1 - exported / made, evaporated / (evaporated + exported), 1 - exported / liquid]
    assert shares == pytest.approx([0.939820, 0.757871, 0.775266], abs=1e-6)


def test_biased_meter_is_found_sized_and_eliminated_as_published():
    incidence, flow, sigma = arrays(BIASED)
    result = reconcile(incidence, flow, sigma)
    assert result.suspects == [{4}, {6}, {7, 8, 9}]
    assert result.bias[4] == pytest.approx(1.741491, abs=1e-6)
    without_it = reconcile(incidence, without(flow, 5), sigma)
    assert without_it.chi2 == pytest.approx(1.345744, abs=1e-6)
    assert without_it.dof == 2
    assert without_it.estimate[[4, 0]] == pytest.approx([14.958509, 50.246576], abs=1e-6)
    assert without_it.consistent
    assert without_it.suspects == []


def test_streams_that_meet_in_one_balance_only_are_one_suspect_set():
    flow = Y_PARK.copy()
    flow[1] += 6
    result = reconcile(A_PARK, flow, S_PARK)
    assert result.suspects[0] == {0, 1, 2, 3}
    assert np.ptp(result.adjustment[:4]) == pytest.approx(0, abs=1e-9)
    assert result.leaks == [{0}]  # of their header: nothing tells it from their meters


def test_leak_is_found_sized_and_told_apart_from_a_bias():
    incidence, _, sigma = arrays(N7)
    truth = np.array([17.0, 27, 15, 5, 10, 5, 5])  # 12 leave node 2 unseen
    result = reconcile(incidence, truth, sigma)
    assert result.leaks[0] == {1}
    assert result.leak[1] == pytest.approx(12)
    assert result.leak_test[1] > result.adjustment.max() * 1.01
    assert result.leak_test[1] ** 2 == pytest.approx(result.chi2)


def test_bias_explains_better_than_any_leak_where_columns_differ():
    incidence, _, sigma = arrays(N7)
    flow = np.array([5.0, 15, 15 + 10, 5, 10, 5, 5])
    result = reconcile(incidence, flow, sigma)
    assert result.suspects[0] == {2}
    assert result.leaks == []
    assert result.bias[2] == pytest.approx(10)


def test_meter_that_nothing_checks_has_no_detectable_bias():
    result = reconcile(A_PARK, without(Y_PARK, 8), S_PARK)
    assert np.isinf(result.detectable[[8, 9]]).all()
    assert np.isnan(result.detectable[7])
    assert np.isnan(result.adjustment[[7, 8, 9]]).all()
    assert result.estimate[[8, 9]].tolist() == Y_PARK[[8, 9]].tolist()
    assert result.adjustability[[8, 9]] == pytest.approx([0, 0], abs=1e-12)


def test_adjustability_is_the_share_of_uncertainty_taken_away():
    result = reconcile(A_PARK, Y_PARK, S_PARK)
    assert result.adjustability == pytest.approx(1 - result.sigma / S_PARK)


def test_times_with_several_patterns_are_those_of_each_alone():
    rng = np.random.default_rng(4)
    flow = PARK_TRUTH + S_PARK * rng.normal(size=(4, 6, 10)) * 3
    flow[rng.random(flow.shape) < 0.15] = np.nan
    accumulation = rng.normal(size=(6, 3)) * 0.1
    accumulation[2, 1] = np.nan
    whole = reconcile(A_PARK, flow, S_PARK, accumulation=accumulation)
    assert whole.dof.shape == whole.chi2_critical.shape == (4, 6)
    assert whole.observable.shape == whole.redundant.shape == (4, 6, 10)
    assert whole.sigma.shape == whole.estimate.shape == flow.shape
    for time, at in enumerate(np.ndindex(4, 6)):
        alone = reconcile(A_PARK, flow[at], S_PARK, accumulation=accumulation[at[1]])
        assert whole.suspects[time] == alone.suspects
        assert whole.leaks[time] == alone.leaks
        assert whole.reason[at] == alone.reason
        for name in (
            "estimate", "sigma", "adjustment", "residual", "chi2", "dof", "chi2_critical",
            "consistent", "observable", "redundant", "bias", "leak", "nodal", "detectable",
            "adjustability", "adjustment_critical",
        ):  # fmt: skip
            result, expected = np.asarray(getattr(whole, name)[at]), getattr(alone, name)
            assert result == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), name


def test_times_with_one_pattern_share_its_structure():
    flow = without(np.array([Y_PARK, BIASED["flow"], Y_PARK]), 2)
    result = reconcile(A_PARK, flow, S_PARK)
    assert result.dof == 2
    assert isinstance(result.dof, int)
    assert result.observable.shape == (10,)
    assert result.chi2.shape == result.consistent.shape == (3,)
    assert result.sigma.shape == (3, 10)
    assert [bool(sets) for sets in result.suspects] == [False, True, False]


def test_no_time_at_all_gives_empty_columns():
    result = reconcile(A_PARK, np.zeros((0, 10)), S_PARK)
    assert result.estimate.shape == (0, 10)
    assert result.chi2.shape == (0,)
    assert result.suspects == []
    assert result.dof == 3


def test_accumulation_of_a_tank_is_part_of_its_balance():
    incidence = A_PARK[:, :9]
    stored = np.array([0, 0, 1.0])
    truth = PARK_TRUTH[:9]
    result = reconcile(incidence, truth, S_PARK[:9], accumulation=stored)
    assert result.estimate == pytest.approx(truth)
    assert result.chi2 == pytest.approx(0, abs=1e-9)
    ignored = reconcile(incidence, truth, S_PARK[:9])
    assert ignored.residual == pytest.approx([0, 0, 1], abs=1e-9)
    assert not reconcile(incidence, truth, S_PARK[:9] / 10).consistent


def test_accumulation_as_an_exact_stream_gives_the_same_estimates():
    exact = S_PARK.copy()
    exact[9] = 0
    stream = reconcile(A_PARK, Y_PARK, exact)
    booked = reconcile(A_PARK[:, :9], Y_PARK[:9], S_PARK[:9], accumulation=[0, 0, Y_PARK[9]])
    assert stream.estimate[:9] == pytest.approx(booked.estimate)
    assert stream.chi2 == pytest.approx(booked.chi2)
    assert stream.estimate[9] == Y_PARK[9]
    assert stream.sigma[9] == 0


def test_unmeasured_stream_of_a_tank_follows_its_accumulation():
    incidence = A_PARK[:, :9]
    result = reconcile(
        incidence, without(PARK_TRUTH[:9], 8), S_PARK[:9], accumulation=np.array([0, 0, 1.0])
    )
    assert result.estimate[7] == pytest.approx(9.5)


def test_node_with_unknown_accumulation_has_no_balance():
    result = reconcile(A_PARK, Y_PARK, S_PARK, accumulation=[0, 0, np.nan])
    shorter = reconcile(A_PARK[:2], Y_PARK, S_PARK)
    assert result.estimate == pytest.approx(shorter.estimate)
    assert result.dof == 2
    assert np.isnan(result.residual).tolist() == [False, False, True]
