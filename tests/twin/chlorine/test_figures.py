"""Soft sensors of chlorine, its balance and its local use (cases T-01, T-02, T-04, T-05, T-09)."""

import numpy as np
import pytest

from twin import faraday
from twin.chlorine.figures import (
    anode_efficiency,
    cathode_efficiency,
    chlor_alkali_balance,
    local_share_of_liquid,
    local_share_of_made,
)
from twin.reference import figure

TRUE = np.array([50, 14, 12, 9, 15, 13.5, 1.5, 9.5, 3, 1])
ESTIMATE = np.array(
    [50.206420, 14.223427, 11.990681, 9.101008, 14.891304, 13.444405, 1.446899, 9.457149, 3.021425,
     0.965831]
)  # fmt: skip


def near(value, rel=1e-6):
    return pytest.approx(value, rel=rel)


@pytest.mark.parametrize(
    ("oxygen", "efficiency"),
    [(0.005, 0.9900498), (0.01, 0.9801980), (0.02, 0.9607843), (0.03, 0.9417476)],
)
def test_anode_efficiency_of_a_gas_analysis_is_the_published_one(oxygen, efficiency):
    assert anode_efficiency(np.array(oxygen), np.array(1 - oxygen)) == near(efficiency)
    # Only the ratio counts: per cent will do.
    assert anode_efficiency(100 * oxygen, 100 - 100 * oxygen) == near(efficiency)


def test_anode_efficiency_without_chlorine_or_analysis_is_unknown():
    result = anode_efficiency(
        np.array([[0.02, np.nan], [0.02, 0.0]]), np.array([[0, 0.98], [1, 1]])
    )
    assert np.isnan(result).tolist() == [[True, True], [False, False]]
    assert result[1, 1] == 1.0


def test_cathode_efficiency_undoes_faradays_law():
    made = np.array([13.5e3, 0.0]) * 160 * 0.96 * faraday.mass_per_charge(faraday.NAOH)
    result = cathode_efficiency(made, np.array([13.5e3, 0.0]), np.array(160))
    assert result[0] == near(0.96)
    assert np.isnan(result[1])
    assert np.isnan(cathode_efficiency(np.nan, 13.5e3, 160))


@pytest.mark.parametrize(
    ("flows", "liquid", "made", "stored", "rel"),
    [
        (TRUE, 0.76, 0.94, 1 - 3 / 13.5, 1e-6),
        (ESTIMATE, 0.757871, 0.939820, 0.775266, 2e-6),
    ],
)
def test_local_shares_of_the_published_network_are_the_published_ones(
    flows, liquid, made, stored, rel
):
    taken = flows[[7, 8]]
    assert local_share_of_liquid(taken, np.array([True, False])) == near(liquid, rel)
    assert local_share_of_made(flows[0], flows[[8]]) == near(made, rel)
    assert local_share_of_made(flows[5], flows[[8]]) == near(stored, rel)


def test_the_two_readings_fall_on_both_sides_of_the_goal():
    goal = figure("chlorine.local_share", "fraction")
    assert local_share_of_liquid(TRUE[[7, 8]], np.array([True, False])) < goal
    assert local_share_of_made(TRUE[0], TRUE[[8]]) > goal


def test_local_share_of_nothing_or_of_unknown_streams_is_unknown():
    flow = np.array([[0.0, 0.0], [1.0, np.nan], [3.0, 1.0]])
    result = local_share_of_liquid(flow, np.array([True, False]))
    assert np.isnan(result[:2]).all()
    assert result[2] == 0.75
    assert np.isnan(local_share_of_liquid(np.zeros((3, 0)), np.zeros(0, bool))).all()
    made = local_share_of_made(np.array([0.0, np.nan, 5.0]), np.zeros((3, 0)))
    assert np.isnan(made[:2]).all()
    assert made[2] == 1.0


def test_chlorine_is_balanced_when_all_that_comes_with_the_caustic_soda_finds_an_outlet():
    # 2 NaCl + 2 H2O: 70.906 kg of chlorine for 2 x 39.997 kg of caustic soda.
    outlets, caustic = np.array([70.906, 35.453, 0.0, 70.906]), np.array([79.994, 79.994, 1, 0.0])
    result = chlor_alkali_balance(outlets, caustic)
    assert result == pytest.approx([1.0, 0.5, 0.0, np.nan], rel=1e-4, nan_ok=True)
