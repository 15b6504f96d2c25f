"""Soft sensors of chlorine, its balance and its local use (cases T-01, T-02, T-04, T-05, T-09)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin import faraday
from twin.chlorine.figures import (
    anode_efficiency,
    cathode_efficiency,
    closure,
    greatest_liquefied,
    header_imbalance,
    judge_balance,
    local_share_of_liquid,
    local_share_of_made,
    tail_hydrogen,
)
from twin.reference import figure
from twin.targets import MET, NOT_MET, UNDECIDED

GRAM_PER_AMPERE_HOUR = 3.6e6
TRUE = np.array([50, 14, 12, 9, 15, 13.5, 1.5, 9.5, 3, 1])
ESTIMATE = np.array(
    [50.206420, 14.223427, 11.990681, 9.101008, 14.891304, 13.444405, 1.446899, 9.457149, 3.021425,
     0.965831]
)  # fmt: skip


def near(value, rel=1e-6):
    return pytest.approx(value, rel=rel)


@pytest.mark.parametrize(
    ("species", "grams", "kwh"),
    [
        (faraday.NAOH, 1.4923470, 670.08544),
        (faraday.CL2, 1.3228000, None),
        (faraday.H2, 0.03760762, None),
        (faraday.AL, 0.33557273, 2979.97994),
    ],
)
def test_mass_per_charge_is_the_published_one(species, grams, kwh):
    assert faraday.mass_per_charge(species) * GRAM_PER_AMPERE_HOUR == near(grams)
    if kwh:
        assert faraday.specific_energy(1.0, 1.0, species) / 3.6e3 == near(kwh)


def test_production_of_a_circuit_is_the_published_one():
    current, cells, share = np.array(13.5e3), np.array(160), np.array(0.96)
    hour = 3.6  # t/h for kg/s
    assert faraday.caustic(current, cells, share) * hour == near(3.0945307)
    assert faraday.chlorine(current, cells, share) * hour == near(2.7429581)
    assert faraday.hydrogen(current, cells) * hour * 1000 == near(81.232466)
    assert 3.0 * current * cells == near(6.480e6)
    assert faraday.specific_energy(3.0, share, faraday.NAOH) / 3.6e3 == near(2094.0170)


@pytest.mark.parametrize(
    ("oxygen", "efficiency"),
    [(0.005, 0.9900498), (0.01, 0.9801980), (0.02, 0.9607843), (0.03, 0.9417476)],
)
def test_anode_efficiency_of_a_gas_analysis_is_the_published_one(oxygen, efficiency):
    assert anode_efficiency(np.array(oxygen), np.array(1 - oxygen)) == near(efficiency)
    # Only the ratio counts: per cent will do.
    assert anode_efficiency(100 * oxygen, 100 - 100 * oxygen) == near(efficiency)


def test_anode_efficiency_without_chlorine_or_analysis_is_unknown():
    found = anode_efficiency(np.array([[0.02, np.nan], [0.02, 0.0]]), np.array([[0, 0.98], [1, 1]]))
    assert np.isnan(found).tolist() == [[True, True], [False, False]]
    assert found[1, 1] == 1.0


def test_cathode_efficiency_undoes_faradays_law():
    made = faraday.caustic(np.array([13.5e3, 0.0]), np.array(160), np.array([0.96, 0.96]))
    found = cathode_efficiency(made, np.array([13.5e3, 0.0]), np.array(160))
    assert found[0] == near(0.96)
    assert np.isnan(found[1])
    assert np.isnan(cathode_efficiency(np.nan, 13.5e3, 160))


def test_liquefied_share_at_the_limit_of_the_tail_gas_is_the_published_one():
    limit = figure("chlorine.hydrogen_tail_gas", "fraction")
    assert limit == near(0.04)
    share = greatest_liquefied(np.array(0.003), np.array(0.975), np.array(limit))
    assert share == near(0.9487179)
    assert tail_hydrogen(np.array(0.003), np.array(0.975), share) == near(0.04)


def test_liquefied_share_stays_between_nothing_and_all():
    found = greatest_liquefied(
        np.array([0.0, 0.05, np.nan, 0.003]), np.array([0.9, 0.9, 0.9, 0]), 0.04
    )
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2:]).all()
    assert np.isnan(tail_hydrogen(0.0, 1.0, 1.0))


@settings(deadline=None, max_examples=50)
@given(st.floats(0.0005, 0.03), st.floats(0.5, 0.96), st.floats(0, 0.99))
def test_more_liquefied_is_never_less_hydrogen_in_the_tail_gas(hydrogen, chlorine, share):
    less, more = tail_hydrogen(hydrogen, chlorine, np.array([share, share + 0.01]))
    assert less < more
    assert less >= hydrogen


def test_header_imbalance_is_judged_by_the_uncertainty_of_its_meters():
    found = header_imbalance(
        np.array([50.6, 50.6, 50.6]),
        np.array([[14.1, 11.9, 9.05, 14.7], [14.1, 11.9, 9.05, 13.7], [14.1, np.nan, 9.05, 14.7]]),
        np.array(0.5),
        np.array([0.28, 0.24, 0.18, 0.30]),
    )
    assert found.residual[:2] == near([0.85, 1.85])
    width = 1.959963984540054 * np.sqrt(0.25 + 0.0784 + 0.0576 + 0.0324 + 0.09)
    assert found.half_width[:2] == near([width, width])
    assert found.significant.tolist() == [False, True, False]
    assert np.isnan([found.residual[2], found.half_width[2]]).all()


def test_a_surer_interval_is_wider():
    arrays = np.array(10.0), np.array([4.0, 5.5]), np.array(0.1), np.array([0.05, 0.05])
    likely, sure = (header_imbalance(*arrays, confidence=c) for c in (0.95, 0.99))
    assert likely.residual == sure.residual == near(0.5)
    assert likely.half_width < sure.half_width
    with pytest.raises(ValueError, match="confidence"):
        header_imbalance(*arrays, confidence=1.0)


def test_products_of_the_same_charge_close_and_a_wrong_meter_stands_out():
    charge = np.array([1e6, 2e6])
    masses = [charge * faraday.mass_per_charge(s) for s in (faraday.CL2, faraday.NAOH, faraday.H2)]
    assert closure(*masses) == near(np.ones((2, 3)))
    off = closure(masses[0], masses[1] * 1.3, masses[2])
    assert off[0] == near([1 / 1.1, 1.3 / 1.1, 1 / 1.1])
    assert np.isnan(closure(masses[0], masses[1], np.nan)).all()
    assert np.isnan(closure(0.0, 0.0, 0.0)).all()


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
    found = local_share_of_liquid(flow, np.array([True, False]))
    assert np.isnan(found[:2]).all()
    assert found[2] == 0.75
    assert np.isnan(local_share_of_liquid(np.zeros((3, 0)), np.zeros(0, bool))).all()
    made = local_share_of_made(np.array([0.0, np.nan, 5.0]), np.zeros((3, 0)))
    assert np.isnan(made[:2]).all()
    assert made[2] == 1.0


def test_balance_is_met_not_met_or_open():
    found = judge_balance(
        np.array([0.5, -0.5, 3.0, 1.0, np.nan, 0.5]),
        np.array([0.1, 0.1, 0.1, 0.5, 0.1, 0.1]),
        np.array([100.0, 100, 100, 100, 100, 0]),
        0.01,
    )
    assert found.verdict.tolist() == [MET, MET, NOT_MET, UNDECIDED, UNDECIDED, UNDECIDED]
    assert found.share[:4] == near([0.005, -0.005, 0.03, 0.01])
    assert found.half_width[0] == near(0.00195996398454)
    assert np.isnan(found.share[4:]).all()


@settings(deadline=None, max_examples=50)
@given(st.floats(-50, 50), st.floats(0.001, 20), st.floats(0, 0.3))
def test_a_verdict_is_never_given_against_the_interval(rest, sigma, tolerance):
    found = judge_balance(np.array(rest), np.array(sigma), np.array(100.0), tolerance)
    low, high = abs(found.share) - found.half_width, abs(found.share) + found.half_width
    expected = MET if high <= tolerance else NOT_MET if low > tolerance else UNDECIDED
    assert found.verdict == expected
