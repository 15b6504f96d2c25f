"""Odd and empty balances give no number and say why; wrong shapes are refused."""

import numpy as np
import pytest

from tests.support.small_networks import A_PARK, S_PARK, Y_PARK, without
from twin.reconciliation.least_squares import CONTRADICTORY, UNFIT
from twin.reconciliation.linear import UNCHECKED, reconcile


def test_nothing_measured_gives_no_number_and_says_why():
    result = reconcile(A_PARK, np.full(10, np.nan), S_PARK)
    assert np.isnan(result.estimate).all()
    assert not result.observable.any()
    assert (result.dof, result.chi2, result.suspects) == (0, 0, [])
    assert result.reason == UNCHECKED


@pytest.mark.parametrize(("nodes", "streams"), [(0, 4), (3, 0), (0, 0)])
def test_park_without_nodes_or_streams_is_no_error(nodes, streams):
    for lead in ((), (5,)):
        flow = np.ones((*lead, streams))
        result = reconcile(np.zeros((nodes, streams)), flow, np.ones(streams))
        assert result.estimate.tolist() == flow.tolist()
        assert result.dof == 0
        assert np.all(result.reason == UNCHECKED)


def test_known_exactly_is_never_adjusted_but_tested():
    exact = S_PARK.copy()
    exact[0] = 0
    result = reconcile(A_PARK, Y_PARK, exact)
    assert result.estimate[0] == Y_PARK[0]
    assert result.sigma[0] == 0
    assert result.adjustability[0] == 0
    assert A_PARK @ result.estimate == pytest.approx(0, abs=1e-9)
    assert result.adjustment[0] == pytest.approx(result.adjustment[1])


def test_variance_too_small_to_calculate_with_is_none():
    for tiny in (1e-320, 1e-250):
        result = reconcile([[1, -1]], [3, 4], [[tiny, 0], [0, 1]])
        assert result.estimate.tolist() == [3, 3]
        assert result.adjustment.tolist() == [1, 1]


def test_exact_flows_that_do_not_close_contradict_each_other():
    result = reconcile(np.array([[1.0, -1.0]]), np.array([[5.0, 5], [5, 6]]), np.zeros(2))
    assert result.estimate[0].tolist() == [5, 5]
    assert np.isnan(result.estimate[1]).all()
    assert np.isnan(result.chi2).tolist() == [False, True]
    assert result.consistent.tolist() == [True, False]
    assert result.reason.tolist() == [UNCHECKED, CONTRADICTORY]
    assert result.suspects == [[], []]


def test_closed_network_has_one_degree_of_freedom_less():
    incidence = np.vstack([A_PARK, -A_PARK.sum(axis=0)])
    open_, closed = (reconcile(a, Y_PARK, S_PARK) for a in (A_PARK, incidence))
    assert closed.dof == open_.dof
    assert closed.estimate == pytest.approx(open_.estimate)
    assert closed.chi2 == pytest.approx(open_.chi2)
    impossible = reconcile(incidence, Y_PARK, S_PARK, accumulation=[0, 0, 0, 1.0])
    assert impossible.reason == CONTRADICTORY
    assert np.isnan(impossible.estimate).all()


@pytest.mark.parametrize("at", range(4))
def test_node_without_streams_changes_nothing(at):
    incidence = np.insert(A_PARK, at, 0.0, axis=0)
    expected, result = reconcile(A_PARK, Y_PARK, S_PARK), reconcile(incidence, Y_PARK, S_PARK)
    assert result.estimate == pytest.approx(expected.estimate)
    assert (result.dof, result.reason) == (3, "")
    stored = np.insert(np.zeros(3), at, 1.0)
    assert reconcile(incidence, Y_PARK, S_PARK, accumulation=stored).reason == CONTRADICTORY


def test_loops_and_idle_nodes_in_random_networks_contradict_nothing():
    rng = np.random.default_rng(8)
    for _ in range(60):
        nodes, streams = rng.integers(2, 12), rng.integers(2, 28)
        ends = rng.integers(0, nodes + 1, (2, streams))
        incidence = np.zeros((nodes + 1, streams))
        for sign, end in zip((-1, 1), ends, strict=True):
            np.add.at(incidence, (end, np.arange(streams)), sign)
        flow, sigma = rng.normal(0, 9, streams), rng.uniform(0.2, 3, streams)
        flow[rng.random(streams) < 0.2] = np.nan
        assert reconcile(incidence[1:], flow, sigma).reason in {"", UNCHECKED}


def test_nearly_dependent_balances_keep_their_rank():
    # Two nodes around a great recycle: their sum knows the small streams a million times better.
    incidence = np.array([[1.0, -1, 1, 0], [-1, 1, 0, -1]])
    flow = np.array([1000.0, 1010, 10.01, 9.99])
    result = reconcile(incidence, flow, np.array([100, 100, 1e-4, 1e-4]))
    assert result.dof == 2
    assert result.estimate[2:] == pytest.approx([10, 10], abs=1e-6)
    assert incidence @ result.estimate == pytest.approx(0, abs=1e-9)
    assert result.chi2 == pytest.approx((0.02 / 1e-4) ** 2 / 2, rel=1e-6)


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -1.0, 1e120])
def test_meter_of_unknown_uncertainty_counts_as_not_measured(unknown):
    sigma = S_PARK.copy()
    sigma[4] = unknown
    expected = reconcile(A_PARK, without(Y_PARK, 5), S_PARK)
    for spread in (sigma, np.diag(np.sign(sigma) * sigma**2)):
        result = reconcile(A_PARK, Y_PARK, spread)
        assert result.estimate == pytest.approx(expected.estimate)
        assert result.redundant.tolist() == expected.redundant.tolist()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_flow_that_is_no_number_counts_as_not_measured(value):
    flow = Y_PARK.copy()
    flow[4] = value
    expected = reconcile(A_PARK, without(Y_PARK, 5), S_PARK)
    assert reconcile(A_PARK, flow, S_PARK).estimate == pytest.approx(expected.estimate)


def test_uncertainty_below_all_measure_counts_as_exact():
    assert reconcile(A_PARK, Y_PARK, S_PARK * 1e-200).reason == CONTRADICTORY


@pytest.mark.parametrize(
    "covariance", [np.ones((10, 10)) - 0.5 * np.eye(10), np.triu(np.ones((10, 10)))]
)
def test_matrix_that_is_no_covariance_gives_no_number_and_says_why(covariance):
    result = reconcile(A_PARK, Y_PARK, covariance)
    assert result.reason == UNFIT
    assert np.isnan(result.estimate).all()
    assert np.isnan(result.chi2)
    assert not result.consistent
    assert result.suspects == []


def test_fully_correlated_meters_have_no_uncertainty_in_their_difference():
    incidence, covariance = np.array([[1.0, -1.0]]), np.ones((2, 2))
    assert reconcile(incidence, np.array([5.0, 5.0]), covariance).reason == UNCHECKED
    assert reconcile(incidence, np.array([5.0, 6.0]), covariance).reason == CONTRADICTORY


@pytest.mark.parametrize(
    ("incidence", "flow", "sigma", "accumulation"),
    [
        (A_PARK[0], Y_PARK, S_PARK, None),
        (A_PARK, Y_PARK[:9], S_PARK, None),
        (A_PARK, np.float64(1), S_PARK, None),
        (A_PARK, Y_PARK, S_PARK[:9], None),
        (A_PARK, Y_PARK, np.ones((10, 9)), None),
        (A_PARK, Y_PARK, S_PARK, np.zeros(2)),
        (A_PARK, np.ones((4, 10)), S_PARK, np.zeros((5, 3))),
        (A_PARK * np.nan, Y_PARK, S_PARK, None),
    ],
)
def test_wrong_shapes_are_refused_at_once(incidence, flow, sigma, accumulation):
    with pytest.raises(ValueError, match=r"incidence|flow|sigma|accumulation|broadcast"):
        reconcile(incidence, flow, sigma, accumulation=accumulation)


def test_inputs_are_not_changed():
    given_ = [A_PARK.copy(), without(Y_PARK, 5), S_PARK.copy(), np.array([0, 0.1, np.nan])]
    before = [array.copy() for array in given_]
    reconcile(*given_[:3], accumulation=given_[3])

    for array, copy in zip(given_, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("confidence", [0, 1, -0.1, 2])
def test_confidence_outside_of_0_and_1_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        reconcile(A_PARK, Y_PARK, S_PARK, confidence=confidence)
