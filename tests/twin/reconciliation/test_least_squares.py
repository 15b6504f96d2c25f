"""Least squares under balances: done another way, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_networks import (
    A_PARK,
    BIASED,
    PARK_TRUTH,
    S_PARK,
    Y_PARK,
    random_network,
    without,
)
from twin.reconciliation.linear import UNCHECKED, reconcile


def test_correlated_meters_give_the_generalised_least_squares_solution():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(10, 10)) * 0.2
    covariance = root @ root.T + np.diag(S_PARK**2)
    result = reconcile(A_PARK, Y_PARK, covariance)
    # Free parameters of all flows that close, fitted by whitened ordinary least squares.
    basis = np.linalg.svd(A_PARK)[2][3:].T
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    free, misfit, *_ = np.linalg.lstsq(whiten @ basis, whiten @ Y_PARK)
    assert result.estimate == pytest.approx(basis @ free, rel=1e-9)
    assert result.chi2 == pytest.approx(misfit[0])
    after = basis @ np.linalg.inv(basis.T @ np.linalg.inv(covariance) @ basis) @ basis.T
    assert result.sigma == pytest.approx(np.sqrt(np.diag(after)))
    # The measurement test is of the adjustments, Mah & Tamhane's, of greatest power, of Σ⁻¹ times.
    change, spread = Y_PARK - result.estimate, covariance - after
    assert result.adjustment == pytest.approx(np.abs(change) / np.sqrt(np.diag(spread)))
    inverse = np.linalg.inv(covariance)
    power = np.sqrt(np.diag(inverse @ spread @ inverse))
    assert result.bias_test == pytest.approx(np.abs(inverse @ change) / power)


def test_exact_meter_among_correlated_ones_has_the_test_of_a_nearly_exact_one():
    covariance = np.array([[0.0, 0, 0], [0, 1, 0.5], [0, 0.5, 2]])
    nearly = covariance + np.diag([1e-12, 0, 0])
    first, second = (reconcile([[1, -1, -1]], [10, 6, 5.5], c) for c in (covariance, nearly))
    assert first.estimate[0] == 10
    assert first.adjustment == pytest.approx(second.adjustment, rel=1e-6)


def test_diagonal_covariance_is_the_same_as_uncertainties():
    for flow in (Y_PARK, without(Y_PARK, 5), without(Y_PARK, 8, 10)):
        plain = reconcile(A_PARK, flow, S_PARK)
        full = reconcile(A_PARK, flow, np.diag(S_PARK**2))
        for name in ("estimate", "sigma", "adjustment", "bias_test", "nodal", "detectable"):
            first, second = getattr(plain, name), getattr(full, name)
            assert first == pytest.approx(second, rel=1e-9, nan_ok=True), name


def test_unmeasured_streams_follow_the_same_law_as_very_uncertain_ones():
    rng = np.random.default_rng(2)
    for _ in range(20):
        incidence, truth = random_network(rng, 8, 20)
        flow = truth + rng.normal(size=20)
        gone = rng.choice(20, 4, replace=False)
        exact = reconcile(incidence, without(flow, *(gone + 1)), np.ones(20))
        loose = reconcile(incidence, flow, np.where(np.isin(np.arange(20), gone), 1e5, 1.0))
        seen = exact.observable
        assert exact.estimate[seen] == pytest.approx(loose.estimate[seen], abs=1e-4)
        assert exact.sigma[seen] == pytest.approx(loose.sigma[seen], abs=1e-4)


def test_likelihood_ratio_of_a_bias_is_what_taking_it_off_gains():
    root = np.random.default_rng(6).normal(size=(10, 10)) * 0.2
    for sigma in (S_PARK, root @ root.T + np.diag(S_PARK**2)):
        result = reconcile(A_PARK, BIASED["flow"], sigma)
        gain = []
        for stream in range(10):
            flow = np.array(BIASED["flow"])
            flow[stream] -= result.bias[stream]
            gain.append(result.chi2 - reconcile(A_PARK, flow, sigma).chi2)
        assert gain == pytest.approx(result.bias_test**2)
        ratio = result.adjustment / result.bias_test
        assert (ratio == pytest.approx(np.ones(10))) == (sigma.ndim == 1)


@st.composite
def problems(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes, streams = draw(st.integers(1, 8)), draw(st.integers(8, 24))
    incidence, truth = random_network(rng, nodes, streams)
    if draw(st.booleans()):  # a component balance: any real coefficients
        incidence = incidence * 10.0 ** rng.uniform(-3, 3, streams)
        truth = truth - np.linalg.pinv(incidence) @ (incidence @ truth)
    sigma = np.abs(truth) * 10.0 ** rng.uniform(-3, -1, streams) + 1e-3
    flow = truth + sigma * rng.normal(size=streams)
    flow[rng.random(streams) < draw(st.sampled_from([0, 0.2, 0.5, 0.9]))] = np.nan
    return incidence, flow, sigma


def scale_of(incidence, estimate):
    return 1 + np.abs(incidence) @ np.abs(np.nan_to_num(estimate))


@settings(deadline=None, max_examples=150)
@given(problems())
def test_estimates_close_every_balance_that_is_observable(problem):
    incidence, flow, sigma = problem
    result = reconcile(incidence, flow, sigma)
    assert result.reason in {"", UNCHECKED}
    remaining = incidence @ np.where(result.observable, result.estimate, 0)
    closed = ~(incidence[:, ~result.observable] != 0).any(axis=1)
    assert (np.abs(remaining) / scale_of(incidence, result.estimate))[closed] == pytest.approx(
        0, abs=1e-9
    )


@settings(deadline=None, max_examples=150)
@given(problems())
def test_measured_streams_are_redundant_exactly_if_observable_without_their_meter(problem):
    incidence, flow, sigma = problem
    result = reconcile(incidence, flow, sigma)
    for stream in np.flatnonzero(np.isfinite(flow)):
        assert result.observable[stream]
        alone = reconcile(incidence, without(flow, stream + 1), sigma)
        assert alone.observable[stream] == result.redundant[stream]
        if result.redundant[stream]:
            assert alone.dof == result.dof - 1
    assert not result.redundant[np.isnan(flow)].any()
    assert (np.isnan(result.estimate) == ~result.observable).all()


@settings(deadline=None, max_examples=100)
@given(problems())
def test_rank_and_observability_agree_with_singular_values(problem):
    incidence, flow, sigma = problem
    missing = np.isnan(flow)
    unit = incidence / np.maximum(np.linalg.norm(incidence, axis=0), 1e-300)
    result = reconcile(incidence, flow, sigma)
    rank = np.linalg.matrix_rank
    assert result.dof == rank(unit, tol=1e-8) - rank(unit[:, missing], tol=1e-8)


@settings(deadline=None, max_examples=100)
@given(problems(), st.randoms(use_true_random=False))
def test_order_of_streams_and_nodes_does_not_matter(problem, random):
    incidence, flow, sigma = problem
    streams, nodes = list(range(len(flow))), list(range(len(incidence)))
    random.shuffle(streams)
    random.shuffle(nodes)
    first = reconcile(incidence, flow, sigma)
    second = reconcile(incidence[nodes][:, streams], flow[streams], sigma[streams])
    for name in ("estimate", "sigma", "adjustment", "bias", "detectable"):
        expected, result = getattr(first, name)[streams], getattr(second, name)
        assert result == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True), name
    assert second.leak == pytest.approx(first.leak[nodes], rel=1e-5, abs=1e-6, nan_ok=True)
    assert second.residual == pytest.approx(first.residual[nodes], abs=1e-6, nan_ok=True)
    assert second.redundant.tolist() == first.redundant[streams].tolist()
    assert second.chi2 == pytest.approx(first.chi2, rel=1e-6, abs=1e-9)
    assert second.dof == first.dof


@pytest.mark.parametrize("factor", [1e-6, 1 / 3.6, 1.0, 1e9])
def test_what_the_balances_fix_exactly_is_certain_in_every_uom(factor):
    # The second balance says that nothing flows in the second stream, so nothing does in the first.
    incidence = np.array([[1.14363868e-3, -595.654464], [0.0, 595.654464]])
    result = reconcile(incidence, factor * np.array([np.nan, 0.00159]), factor * np.full(2, 1e-3))
    assert result.sigma.tolist() == [0.0, 0.0]
    assert result.estimate == pytest.approx(0.0, abs=1e-9 * factor)


@settings(deadline=None, max_examples=100)
@given(problems(), st.sampled_from([1e-6, 1 / 3.6, 1e3, 1e9]))
def test_results_scale_with_the_uom(problem, factor):
    incidence, flow, sigma = problem
    first = reconcile(incidence, flow, sigma)
    second = reconcile(incidence, factor * flow, factor * sigma)
    for name in ("estimate", "sigma", "residual", "bias", "leak", "detectable"):
        expected, result = getattr(first, name), getattr(second, name) / factor
        assert result == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True), name
    assert second.adjustment == pytest.approx(first.adjustment, rel=1e-5, abs=1e-6, nan_ok=True)
    assert second.chi2 == pytest.approx(first.chi2, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=100)
@given(problems(), st.integers(0, 2**32 - 1))
def test_scaling_a_balance_changes_nothing_but_its_residual(problem, seed):
    incidence, flow, sigma = problem
    factor = 10.0 ** np.random.default_rng(seed).uniform(-6, 6, len(incidence))
    first = reconcile(incidence, flow, sigma)
    second = reconcile(incidence * factor[:, None], flow, sigma)
    assert second.estimate == pytest.approx(first.estimate, rel=1e-6, abs=1e-6, nan_ok=True)
    assert second.nodal == pytest.approx(first.nodal, rel=1e-6, abs=1e-6, nan_ok=True)
    assert second.dof == first.dof


@settings(deadline=None, max_examples=100)
@given(problems())
def test_estimates_are_never_less_certain_than_the_meters(problem):
    incidence, flow, sigma = problem
    result = reconcile(incidence, flow, sigma)
    measured = np.isfinite(flow)
    assert (result.sigma[measured] <= sigma[measured] * (1 + 1e-12)).all()
    assert (result.detectable[result.redundant] >= 1.9599 * sigma[result.redundant]).all()
    assert (result.suspects == []) or not result.consistent


def test_reconciled_flows_are_nearer_to_the_truth_than_raw_ones():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        incidence, truth = random_network(rng, 6, 15)
        sigma = rng.uniform(0.1, 2, 15)
        flow = truth + sigma * rng.normal(size=(20, 15))
        estimate = reconcile(incidence, flow, sigma).estimate
        # In units of the meters' uncertainty this holds for every single draw.
        raw, reconciled = (np.mean(((x - truth) / sigma) ** 2) ** 0.5 for x in (flow, estimate))
        assert reconciled <= raw
        assert np.mean((estimate - truth) ** 2) ** 0.5 <= np.mean((flow - truth) ** 2) ** 0.5


def test_global_test_rejects_as_often_as_it_says():
    rng = np.random.default_rng(3)
    flow = PARK_TRUTH + S_PARK * rng.normal(size=(20_000, 10))
    result = reconcile(A_PARK, flow, S_PARK)
    assert np.mean(result.chi2 > result.chi2_critical) == pytest.approx(0.05, abs=0.005)
    assert np.mean(result.adjustment.max(axis=1) > result.adjustment_critical) < 0.05
    assert np.std(result.estimate, axis=0) == pytest.approx(result.sigma[0], rel=0.03)
