"""Quantiles of the chi-square distribution."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from twin.reconciliation.chi_square import quantile


def test_quantiles_are_the_published_ones():
    assert [quantile(0.95, dof) for dof in (1, 2, 3, 4, 6, 8, 10, 11)] == pytest.approx(
        [3.8415, 5.9915, 7.8147, 9.4877, 12.5916, 15.5073, 18.3070, 19.6751], abs=5e-5
    )
    sidak = [quantile(0.95 ** (1 / n), 1) ** 0.5 for n in (4, 6, 8, 10, 11, 12, 28)]
    assert sidak == pytest.approx(
        [2.4909, 2.6310, 2.7270, 2.7996, 2.8302, 2.8578, 3.1165], abs=5e-5
    )
    assert quantile(0.95, 0) == 0


@settings(deadline=None)
@given(st.floats(0.001, 0.9999), st.integers(1, 600))
def test_quantile_is_the_inverse_of_the_probability(confidence, dof):
    value = quantile(confidence, dof)
    assert chi2.cdf(value, dof) == pytest.approx(confidence, rel=1e-9)
