"""Large networks: by sparse matrices, with the numbers of dense ones."""

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from tests.support.networks import random_network
from twin.reconciliation import linear
from twin.reconciliation.fronts import factorise, inverse_entries, weighted, whitened
from twin.reconciliation.least_squares import CONTRADICTORY
from twin.reconciliation.linear import (
    LARGE,
    LISTS,
    UNBOUNDED,
    Reconciliation,
    reconcile,
    reconcile_each,
)
from twin.reconciliation.observability import project, project_sparse
from twin.reconciliation.sparse import sparse_plan


def both(monkeypatch, *arguments, of=reconcile, **options):
    """Return the results by sparse and by dense matrices."""
    results = []
    for large in (0, 10**9):
        monkeypatch.setattr(linear, "LARGE", large)
        results.append(of(*arguments, **options))
    return results


def ends(sets):
    """Return the sets of suspects; of missing streams without their flows."""
    if isinstance(sets, list):
        parts = [ends(each) for each in sets]
        # Two that explain the residuals equally well come in either order.
        return sorted(parts) if all(isinstance(each, tuple) for each in parts) else parts
    return sets[:2] if isinstance(sets, tuple) else sets


def assert_same(sparse, dense, tolerance=1e-10):
    for name in Reconciliation.__slots__:
        one, two = getattr(sparse, name), getattr(dense, name)
        if name in LISTS:
            assert ends(one) == ends(two), name
        elif np.asarray(two).dtype.kind == "f":
            size = np.abs(np.where(np.isfinite(two), two, 0.0)).max(initial=1e-300)
            np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * size, err_msg=name)
        else:
            assert np.array_equal(one, two), name


def test_large_network_has_the_numbers_of_dense_matrices(monkeypatch):
    incidence, flow, sigma = random_network(300, 100)
    flow[17] += 12 * sigma[17]
    sparse, dense = both(monkeypatch, incidence, flow, sigma)
    assert not sparse.consistent
    assert sparse.suspects[0] == {17}
    assert sparse.missing == []
    assert_same(sparse, dense)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_streams_and_balances_without_a_value_have_the_numbers_of_dense_matrices(
    monkeypatch, share
):
    rng = np.random.default_rng(3)
    incidence, flow, sigma = random_network(300, 100)
    incidence.data *= rng.choice([1.0, 1.0, 2.5], incidence.nnz)
    flow = np.where(rng.random((4, 300)) < share, np.nan, flow)
    taken_up = rng.normal(size=(4, 300)) @ incidence.T
    booked = np.where(rng.random((4, 100)) < 0.05, np.nan, taken_up)
    sigma[::29] = 0.0
    sparse, dense = both(monkeypatch, incidence, flow, sigma, accumulation=booked)
    assert not dense.observable.all()
    assert np.isfinite(dense.chi2).any()
    assert_same(sparse, dense, 1e-7)


def test_meters_that_differ_each_time_are_solved_time_by_time(monkeypatch):
    incidence, flow, sigma = random_network(60, 20)
    sigmas = sigma * np.random.default_rng(1).uniform(0.5, 2.0, (5, 60))
    sparse, dense = both(monkeypatch, incidence, np.tile(flow, (5, 1)), sigmas, of=reconcile_each)
    assert_same(sparse, dense)


@pytest.mark.parametrize("taken_up", [0.0, 1.0])
def test_closed_network_has_one_balance_less_and_says_what_contradicts_it(monkeypatch, taken_up):
    incidence, flow, sigma = random_network(60, 20)
    closed = np.vstack([incidence.toarray(), -incidence.toarray().sum(axis=0)])
    booked = np.zeros(21)
    booked[3] = taken_up
    sparse, dense = both(monkeypatch, closed, flow, sigma, accumulation=booked)
    assert sparse.dof == 20
    assert sparse.reason == (CONTRADICTORY if taken_up else "")
    # A leak of one node alone has nowhere to come from.
    assert np.isnan(sparse.leak_test).all()
    assert_same(sparse, dense)


def test_uncertainties_too_different_for_sparse_matrices_are_solved_by_dense_ones(monkeypatch):
    # Two nodes with a stream between them that nobody knows well: the sum of both is what counts.
    incidence = np.array([[1.0, -1, 0, 1], [0, 1, -1, 0]])
    flow, sigma = np.array([10.0, 3.0, 10.2, 0.0]), np.array([1e-3, 1e2, 1e-3, 1e-3])
    assert sparse_plan(csr_array(incidence), sigma**2, np.ones(4, bool), np.ones(2, bool)) is None
    sparse, dense = both(monkeypatch, incidence, flow, sigma)
    assert_same(sparse, dense)
    assert sparse.estimate[1] == pytest.approx(10.2 - 0.2 / 3)


def test_bounds_of_a_large_network_are_those_of_a_small_one(monkeypatch):
    incidence, flow, sigma = random_network(120, 40)
    flow = flow - 60 + np.random.default_rng(5).normal(size=(3, 120)) * sigma
    lower = flow.mean(axis=0) - 0.5 * sigma
    sparse, dense = both(monkeypatch, incidence, flow, sigma, lower=lower)
    assert (dense.bounded != 0).sum() > 20
    assert (dense.reason == "").all()
    assert_same(sparse, dense, 1e-8)


def test_bounds_that_the_flows_of_a_large_network_cannot_meet_are_said(monkeypatch):
    incidence, flow, sigma = random_network(60, 20)
    row = incidence[[4]].toarray()[0]
    lower = np.where(row > 0, 200.0, -np.inf)
    upper = np.where(row < 0, 10.0, np.inf)
    for result in both(monkeypatch, incidence, flow, sigma, lower=lower, upper=upper):
        assert result.reason == UNBOUNDED
        assert np.isnan(result.estimate).all()


def test_region_of_six_thousand_streams_takes_less_than_200_mb():
    incidence, flow, sigma = random_network(6_000, 2_000)
    assert incidence.shape[0] >= LARGE
    flow[100] += 20 * sigma[100]
    tracemalloc.start()
    result = reconcile(incidence, flow, sigma)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6
    assert np.abs(incidence @ result.estimate).max() < 1e-9 * np.abs(flow).max()
    assert result.sigma.shape == (6_000,)
    assert result.suspects[0] == {100}
    # One column of the covariance, by a solution of its own.
    unit = np.zeros(6_000)
    unit[5] = 1.0
    solved = reconcile(incidence, unit, sigma).estimate
    assert result.sigma[5] ** 2 == pytest.approx(sigma[5] ** 2 * solved[5], rel=1e-9)


def test_inverse_where_a_matrix_has_entries_is_that_of_the_dense_matrix():
    root = random_array((80, 200), density=0.02, rng=np.random.default_rng(2))
    gram = csr_array(root @ root.T) + 0.1 * csr_array(np.eye(80))
    scale = 1 / np.sqrt(gram.diagonal())
    gram = csr_array(scale[:, None] * gram.toarray() * scale)
    factor = factorise(gram, 1e-8)
    inverse = np.linalg.inv(gram.toarray())
    entries = inverse_entries(factor).toarray()
    assert np.allclose(entries, np.where(gram.toarray() != 0, inverse, 0.0), atol=1e-12)
    residual = np.random.default_rng(1).normal(size=(80, 3))
    deviate = whitened(factor, residual)
    assert np.allclose(weighted(factor, deviate), inverse @ residual, atol=1e-12)
    assert np.allclose(deviate.T @ deviate, residual.T @ inverse @ residual)


def test_row_that_follows_from_others_is_spare():
    root = np.array([[1.0, -1, 0], [0, 1, -1], [-1, 0, 1]])
    factor = factorise(csr_array(root @ root.T / 2), 1e-8)
    assert factor.spare.sum() == 1
    assert factorise(csr_array((0, 0)), 1e-8).spare.size == 0


def test_unmeasured_streams_of_a_large_network_are_eliminated_as_those_of_a_small_one():
    rng = np.random.default_rng(4)
    incidence, _, _ = random_network(200, 70)
    measured, balanced = rng.random(200) > 0.25, rng.random(70) > 0.1
    sparse = project_sparse(incidence, measured, balanced)
    dense = project(incidence.toarray(), measured, balanced)
    assert np.array_equal(sparse.observable, dense.observable)
    assert np.array_equal(sparse.redundant, dense.redundant)
    order = np.argsort(sparse.solved), np.argsort(dense.solved)
    assert np.array_equal(sparse.solved[order[0]], dense.solved[order[1]])
    assert np.allclose(sparse.solve.toarray()[order[0]], dense.solve[order[1]])
    # The same combinations, in another basis.
    one, two = (np.linalg.pinv(each) @ each for each in (sparse.columns.toarray(), dense.columns))
    assert np.allclose(one, two, atol=1e-9)
