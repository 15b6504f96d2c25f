"""The gate: how often a sound meter is named, and how surely a wrong one is."""

import numpy as np
import pytest

from tests.support.small_networks import A_PARK, N7, S_PARK, arrays, random_network
from twin.reconciliation.linear import reconcile, reconcile_each

SEEDS = 4_000


def region(nodes, streams):
    """Return the incidence of a random network with many streams from and to the outside."""
    rng = np.random.default_rng(1)
    ends = np.array([rng.choice(nodes + 20, 2, replace=False) for _ in range(streams)])
    incidence = np.zeros((nodes + 20, streams))
    incidence[ends[:, 0], np.arange(streams)] = -1
    incidence[ends[:, 1], np.arange(streams)] = 1
    return incidence[:nodes]


NETWORKS = {
    "park": (A_PARK, S_PARK),
    "N7": (arrays(N7)[0], np.ones(7)),
    "network": (random_network(np.random.default_rng(2), 12, 30)[0], np.ones(30)),
    "region": (region(300, 1000), np.ones(1000)),
}


def noise(sigma, count, seed=3):
    return sigma * np.random.default_rng(seed).normal(size=(count, len(sigma)))


@pytest.mark.parametrize("name", NETWORKS)
def test_sound_meters_are_named_as_rarely_as_promised(name):
    incidence, sigma = NETWORKS[name]
    result = reconcile(incidence, noise(sigma, SEEDS), sigma)
    named = np.array([s + k != [] for s, k in zip(result.suspects, result.leaks, strict=True)])
    assert (named == ~result.consistent).all()
    assert 0.02 <= named.mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / SEEDS)
    # Of all of these the global test alone takes its whole level.
    assert (result.chi2 > result.chi2_critical).mean() == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_detectable_bias_is_named_in_nine_of_ten_cases(name):
    incidence, sigma = NETWORKS[name]
    checked = np.flatnonzero(np.isfinite(reconcile(incidence, 0 * sigma, sigma).detectable))
    for stream in checked[:: max(len(checked) // 4, 1)].tolist():
        flow = noise(sigma, SEEDS // 2, stream)
        flow[:, stream] += reconcile(incidence, 0 * sigma, sigma).detectable[stream]
        result = reconcile(incidence, flow, sigma)
        named = [stream in set().union(*sets) for sets in result.suspects]
        assert np.mean(named) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("name", NETWORKS)
def test_gate_loses_little_to_the_best_test_alone(name):
    incidence, sigma = NETWORKS[name]
    flow = noise(sigma, SEEDS // 2)
    flow[:, 5] += reconcile(incidence, 0 * sigma, sigma).detectable[5]
    result = reconcile(incidence, flow, sigma)
    chi2 = np.mean(result.chi2 > result.chi2_critical)
    single = np.mean(np.nanmax(result.bias_test, axis=1) > result.adjustment_critical)
    assert np.mean(~result.consistent) > max(chi2, single) - 0.05


def test_large_error_in_a_large_network_is_named_though_chi2_sees_nothing():
    incidence, sigma = NETWORKS["region"]
    flow = noise(sigma, 200)
    # A bias of 12 standard uncertainties that is 7.3 standard deviations of its test.
    detectable = reconcile(incidence, flow[0], sigma)
    wanted = 12 / 7.3 * (detectable.test_limit + 1.2816)
    stream = int(np.argmin(np.abs(detectable.detectable - wanted)))
    flow[:, stream] += 12
    result = reconcile(incidence, flow, sigma)
    assert result.bias_test[:, stream].mean() == pytest.approx(7.3, abs=0.2)
    hidden = result.chi2 < result.chi2_critical
    assert hidden.mean() > 0.1
    named = [stream in set().union(*sets) for sets in result.suspects]
    assert np.mean(named) > 0.98
    assert np.mean(result.consistent) < 0.02


def test_many_small_errors_show_in_chi2_alone():
    incidence, sigma = NETWORKS["region"]
    flow = 1.3 * noise(sigma, 100)
    result = reconcile(incidence, flow, sigma)
    assert (result.test < result.test_limit).any()
    assert not result.consistent.any()
    assert all(result.suspects)


@pytest.mark.parametrize("factor", [1.0, 1e-6, 1e6])
def test_streams_with_the_same_effect_have_one_test(factor):
    # Two streams into a node and one out of it: whatever errs, one residual shows it.
    incidence = factor * np.array([[1.0, 1.0, -1.0]])
    result = reconcile(incidence, np.array([1.0, 1, 2]), np.ones(3))
    assert result.test_limit == pytest.approx(np.sqrt(result.chi2_limit))
    assert result.test_limit == pytest.approx(2.2365, abs=1e-3)


def missing_stream(nodes=40, streams=150):
    """Return incidence, uncertainties, two nodes without a stream, and flows as of one of 1."""
    incidence = region(nodes, streams)
    apart = np.abs(incidence) @ np.abs(incidence).T == 0
    lively = np.abs(incidence).sum(axis=1) > 4
    ends = tuple(np.argwhere(apart & lively & lively[:, None])[0].tolist())
    carried = np.zeros(nodes)
    carried[list(ends)] = 1.0, -1.0
    return incidence, np.ones(streams), ends, np.linalg.pinv(incidence) @ carried


def test_stream_that_the_model_lacks_is_named_with_its_ends_and_its_flow():
    incidence, sigma, ends, shift = missing_stream()
    least = 6.5 / reconcile(incidence, shift, sigma).chi2 ** 0.5
    flow = noise(sigma, SEEDS // 8) + least * shift
    result = reconcile(incidence, flow, sigma)
    first = [pairs[0] if pairs else (-1, -1, 0.0) for pairs in result.missing]
    right = np.array([pair[:2] == ends for pair in first])
    each = reconcile_each(incidence, flow[:20], np.tile(sigma, (20, 1)))
    assert [[pair[:2] for pair in pairs] for pairs in each.missing] == [
        [pair[:2] for pair in pairs] for pairs in result.missing[:20]
    ]
    # A test value of 6.5: over the limit of 780 pairs in 98 % of cases, and the best of all.
    assert right.mean() > 0.9
    carried = np.array([pair[2] for pair in first])[right]
    assert carried.mean() == pytest.approx(least, rel=0.1)


def test_stream_that_nobody_lacks_is_named_as_rarely_as_promised():
    incidence, sigma, *_ = missing_stream()
    result = reconcile(incidence, noise(sigma, SEEDS // 2), sigma)
    assert np.mean([pairs != [] for pairs in result.missing]) < 0.02
    # Nor is one that would do what a biased meter does.
    flow = noise(sigma, SEEDS // 8)
    flow[:, 7] += 8.0
    named = [pairs != [] for pairs in reconcile(incidence, flow, sigma).missing]
    assert np.mean(named) < 0.05
