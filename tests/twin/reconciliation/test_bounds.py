"""Bounds of flows: the bounded solution, its conditions, its tests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from tests.support.small_networks import A_PARK, PARK_TRUTH, S_PARK, Y_PARK, random_network
from twin.reconciliation.linear import UNBOUNDED, Reconciliation, reconcile, reconcile_each

SPLIT = np.array([[1.0, -1.0, -1.0]])


def optimality(incidence, flow, sigma, result, lower, upper):
    """Return by how much the conditions of Karush, Kuhn and Tucker fail, in standard deviations."""
    seen = ~np.isnan(flow)
    pull = np.where(seen, (result.estimate - np.where(seen, flow, 0)) / sigma**2, 0.0) * sigma
    columns = np.hstack([incidence.T * sigma[:, None], np.diag(sigma)])
    nodes, at = len(incidence), result.bounded
    fixed = lower == upper
    least = np.concatenate([np.full(nodes, -np.inf), np.where((at > 0) | fixed, -np.inf, -1e-12)])
    most = np.concatenate([np.full(nodes, np.inf), np.where((at < 0) | fixed, np.inf, 1e-12)])
    forces = lsq_linear(columns, pull, (least, most), method="bvls", tol=1e-14)
    return np.abs(forces.fun).max() / (1 + np.abs(pull).max())


@st.composite
def bounded_problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    incidence, truth = random_network(rng, draw(st.integers(1, 8)), draw(st.integers(8, 20)))
    truth = np.where(rng.random(len(truth)) < 0.3, 0.0, np.abs(truth))
    sigma = rng.uniform(0.1, 5, len(truth))
    flow = truth + 3 * sigma * rng.normal(size=len(truth))
    flow[rng.random(len(truth)) < draw(st.sampled_from([0, 0.2, 0.5]))] = np.nan
    upper = np.where(rng.random(len(truth)) < 0.3, rng.uniform(0, 60, len(truth)), np.inf)
    return incidence, flow, sigma, np.zeros(len(truth)), upper


@settings(deadline=None, max_examples=150)
@given(bounded_problems())
def test_bounded_flows_meet_all_conditions_of_a_minimum(problem):
    incidence, flow, sigma, lower, upper = problem
    result = reconcile(incidence, flow, sigma, lower=lower, upper=upper)
    assert result.reason != UNBOUNDED  # No flow at all is within all bounds.
    seen = ~np.isnan(result.estimate)
    size = np.nanmax(np.abs(flow), initial=1.0)
    assert (result.estimate[seen] >= lower[seen] - 1e-9 * size).all()
    assert (result.estimate[seen] <= upper[seen] + 1e-9 * size).all()
    closed = ~(incidence[:, ~seen] != 0).any(axis=1)
    remaining = incidence @ np.where(seen, result.estimate, 0.0)
    assert remaining[closed] == pytest.approx(0, abs=1e-9 * size)
    at = result.bounded != 0
    assert (result.estimate[at] == np.where(result.bounded < 0, lower, upper)[at]).all()
    if seen.all():
        assert optimality(incidence, flow, sigma, result, lower, upper) < 1e-6
    free = reconcile(incidence, flow, sigma)
    assert result.chi2 >= free.chi2 * (1 - 1e-9) - 1e-9
    assert result.sigma == pytest.approx(free.sigma, nan_ok=True)


def test_flow_that_cannot_be_negative_is_a_balance_more():
    # 10 enter and 30 leave by one of two meters: the third stream cannot make up for it.
    result = reconcile(SPLIT, [10, 30, np.nan], np.full(3, 0.1), lower=0)
    assert result.estimate == pytest.approx([20, 20, 0])
    assert result.bounded.tolist() == [0, 0, -1]
    assert (result.dof, result.consistent, result.suspects) == (1, False, [{0, 1}])
    assert result.residual.shape == result.leak.shape == (1,)
    # Without bounds nothing checks the two meters.
    assert reconcile(SPLIT, [10, 30, np.nan], np.full(3, 0.1)).dof == 0


def test_meter_that_shows_a_negative_flow_is_suspect():
    result = reconcile(SPLIT, [10, 9.5, -1], [0.1, 0.1, 0.1], lower=[0, 0, 0], upper=np.inf)
    assert result.estimate == pytest.approx([9.75, 9.75, 0])
    assert result.suspects[0] == {2}
    assert result.leaks == []


def test_streams_that_are_not_observable_have_bounds_too():
    incidence = np.array([[1.0, -1, -1, -1]])
    result = reconcile(incidence, [10, 12, np.nan, np.nan], np.full(4, 0.1), lower=0)
    assert result.estimate == pytest.approx([11, 11, 0, 0])
    assert np.isnan(result.sigma[2:]).all()
    within = reconcile(incidence, [12, 10, np.nan, np.nan], np.full(4, 0.1), lower=0)
    assert within.bounded.tolist() == [0, 0, 0, 0]
    assert np.isnan(within.estimate[2:]).all()


def test_bounds_that_no_flow_meets_give_no_number_and_say_so():
    flow = np.array([[1.0, 2, 3], [5, 2, 3]])
    result = reconcile(SPLIT, flow, [0.1, 0.0, 0.1], upper=[1.5, np.nan, 9], lower=0)
    assert result.reason.tolist() == [UNBOUNDED, UNBOUNDED]
    assert np.isnan(result.estimate).all()
    assert not result.consistent.any()
    crossed = reconcile(SPLIT, flow[1], np.ones(3), lower=[6, 0, 0], upper=[5, 9, 9])
    assert crossed.reason == UNBOUNDED


def test_bounds_that_nothing_reaches_change_nothing():
    free = reconcile(A_PARK, Y_PARK, S_PARK)
    result = reconcile(A_PARK, Y_PARK, S_PARK, lower=0, upper=1000)
    for name in Reconciliation.__slots__:
        assert np.array_equal(getattr(result, name), getattr(free, name)), name


def test_each_time_has_its_own_bounds_whatever_its_uncertainties():
    rng = np.random.default_rng(5)
    flow = PARK_TRUTH + 3 * S_PARK * rng.normal(size=(6, 10))
    lower = PARK_TRUTH - np.array([[0.2], [1], [9], [0.3], [0.1], [np.nan]])
    together = reconcile(A_PARK, flow, S_PARK, lower=lower)
    varied = reconcile_each(A_PARK, flow, np.broadcast_to(S_PARK, flow.shape), lower=lower)
    for n in range(6):
        alone = reconcile(A_PARK, flow[n], S_PARK, lower=lower[n])
        for result in (together, varied):
            assert result.estimate[n] == pytest.approx(alone.estimate, rel=1e-9)
            assert result.bounded[n].tolist() == alone.bounded.tolist()
            assert result.chi2[n] == pytest.approx(float(alone.chi2), rel=1e-9, abs=1e-9)
            assert result.suspects[n] == alone.suspects
    assert (together.bounded < 0).any()
    assert together.dof.tolist() == [3 + int((row != 0).sum()) for row in together.bounded]


def test_correlated_meters_are_bounded_with_their_covariance():
    covariance = np.array([[1.0, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    result = reconcile(SPLIT, [10, 12, -0.5], covariance, lower=0)
    inner = np.linalg.inv(covariance)
    # With the third at zero the first two are one flow.
    weight = inner[:2, :2].sum()
    expected = (inner[:2] @ [10, 12, -0.5]).sum() / weight
    assert result.estimate == pytest.approx([expected, expected, 0])


@pytest.mark.parametrize("idle", [2, 5, 8])
def test_sound_meters_are_named_no_more_often_where_the_truth_is_at_its_bounds(idle):
    rng = np.random.default_rng(idle)
    incidence, _ = random_network(np.random.default_rng(2), 8, 20)
    truth = np.ones(20)
    truth[rng.choice(20, idle, replace=False)] = 0.0
    # Streams that close: what the balances make of these.
    truth = np.maximum(reconcile(incidence, truth, np.ones(20), lower=0).estimate, 0)
    flow = truth + 0.1 * rng.normal(size=(2000, 20))
    result = reconcile(incidence, flow, np.full(20, 0.1), lower=0)
    assert (result.bounded != 0).any(axis=1).mean() > 0.2
    assert (~result.consistent).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)
    error = np.abs(result.estimate - truth)
    assert (error <= 1.96 * result.sigma + 1e-9).mean() >= 0.95
    free = reconcile(incidence, flow, np.full(20, 0.1))
    assert np.mean((result.estimate - truth) ** 2) < np.mean((free.estimate - truth) ** 2)
