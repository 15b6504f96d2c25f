"""Electricity of cells by voltage, claims, ageing (test cases T-03 and T-08)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import faraday
from twin.arrays import DAY_S
from twin.energy import electrolysis
from twin.energy.electrolysis import ageing, check_saving, k_factor
from twin.uom import parse_quantity

KWH_PER_T = parse_quantity("1 kWh/t", "intensity")


# --- claims ------------------------------------------------------------------


def test_claim_of_twice_what_the_voltage_gives_is_refused():
    claimed = np.array([252.0, 125.6, 0.0, np.nan]) * KWH_PER_T
    result = check_saving(claimed, np.array(0.18), np.array(0.96), faraday.NAOH)
    assert result.expected / KWH_PER_T == pytest.approx(125.6410, rel=1e-6)
    assert result.verdict.tolist() == ["refused", "accepted", "refused", "unknown"]


def test_claim_needs_a_voltage_and_an_efficiency_to_be_judged():
    drop, efficiency = np.array([np.nan, 0.18, 0.18]), np.array([0.96, 0.0, np.nan])
    result = check_saving(np.full(3, 125.6 * KWH_PER_T), drop, efficiency, faraday.NAOH)
    assert result.verdict.tolist() == ["unknown"] * 3


@settings(deadline=None, max_examples=50)
@given(drop=st.floats(0.01, 0.5), share=st.floats(0.91, 1.09))
def test_claim_near_what_physics_says_is_accepted_at_any_scale(drop, share):
    expected = faraday.specific_energy(np.array(drop), np.array(0.96), faraday.NAOH)
    result = check_saving(share * expected, np.array(drop), np.array(0.96), faraday.NAOH)
    assert result.verdict == "accepted"
    twice = check_saving(2 * expected, np.array(drop), np.array(0.96), faraday.NAOH)
    assert twice.verdict == "refused"


# --- the slope of the voltage line -------------------------------------------


def test_k_does_not_move_with_the_load_but_the_voltage_does():
    density = np.array([4e3, 5e3, 6e3])
    voltage = 2.42 + 0.12e-3 * density
    assert k_factor(voltage, density, 2.42) == pytest.approx([0.12e-3] * 3)
    assert electrolysis.zero_current_voltage("membrane") == pytest.approx(2.42)
    assert np.isnan(electrolysis.zero_current_voltage("potline"))
    result = k_factor(np.array([3.0, np.nan, 3.0]), np.array([0.0, 5e3, np.nan]), 2.42)
    assert np.isnan(result).all()


def test_ageing_of_cells_is_the_slope_of_k_with_its_error():
    time_s = np.arange(5) * 30 * DAY_S
    noise = np.array([1.0, -2.0, 0.0, 2.0, -1.0]) * 1e-7
    result = ageing(time_s, 0.12e-3 + 1e-13 * time_s + noise)
    # By hand: x = -2..2 months, Σx² = 10, and this noise has no slope of its own.
    assert result.slope == pytest.approx(1e-13)
    assert result.sigma == pytest.approx(np.sqrt((noise**2).sum() / 3 / 10) / (30 * DAY_S))


def test_ageing_agrees_with_the_fit_of_numpy_and_takes_holes():
    rng = np.random.default_rng(3)
    time_s = np.sort(rng.uniform(1.7e9, 1.72e9, 40))
    value = 1e-4 + rng.normal(0, 1e-6, (2, 3, 40)) + 1e-14 * (time_s - 1.7e9)
    value[0, 1, ::3] = np.nan
    result = ageing(time_s, value)
    assert result.slope.shape == result.sigma.shape == (2, 3)
    for at in np.ndindex(2, 3):
        known = ~np.isnan(value[at])
        x = time_s[known] - time_s.mean()
        fit, covariance = np.polyfit(x, value[at][known], 1, cov=True)
        assert result.slope[at] == pytest.approx(fit[0])
        assert result.sigma[at] == pytest.approx(np.sqrt(covariance[0, 0]))


def test_ageing_needs_two_times_and_its_error_three():
    time_s = np.array([0.0, 1.0, 2.0])
    value = np.array([[1.0, 2.0, np.nan], [1.0, np.nan, np.nan], [np.nan] * 3, [1.0, 2.0, 3.0]])
    result = ageing(time_s, value)
    assert result.slope[[0, 3]] == pytest.approx([1.0, 1.0])
    assert np.isnan(result.slope[1:3]).all()
    assert np.isnan(result.sigma[:3]).all()
    assert result.sigma[3] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(ageing(np.zeros(3), np.arange(3.0)).slope)
    assert np.isnan(ageing(np.zeros(0), np.zeros(0)).slope)
