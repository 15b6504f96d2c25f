"""Projection of unmeasured streams out of the balances."""

import numpy as np

from tests.support.small_networks import random_network
from twin.reconciliation.observability import project


def test_graph_is_projected_without_rounding():
    incidence, _ = random_network(np.random.default_rng(5), 30, 80)
    measured = np.random.default_rng(6).random(80) < 0.6
    result = project(incidence, measured, np.ones(30, bool))
    assert set(np.unique(result.combine)) <= {-1.0, 0.0, 1.0}
    assert not (result.combine @ incidence)[:, ~measured].any()
