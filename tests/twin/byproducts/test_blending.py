"""Mixtures go where they gain most, as a hand says, and what stands against a minimum is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.byproducts.allocation import Links
from twin.byproducts.blending import Qualities, mix

# Three sources of 99, 90 and 80 %, four sinks of which two ask for 95 and 85 %.
SUPPLY = np.array([[3.0, 10.0, 6.0]])
MOST = np.array([[8.0, 6.0, 5.0, 20.0]])
PURITY = np.array([0.99, 0.90, 0.80])
ASKED = {0: 0.95, 1: 0.85}
PRICE = np.array([100.0, 70.0, 40.0, 10.0])
COST = np.array([[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 3.0], [5.0, 5.0, 4.0, 8.0]])
SOURCE, SINK = (axis.ravel() for axis in np.indices((3, 4)))
GAIN = PRICE[SINK] - COST.ravel()
TIGHT = 1e-6


def links(capacity=np.inf):
    nothing = np.zeros(12)
    return Links(SOURCE, SINK, np.zeros(12, np.int64), nothing + capacity, nothing, nothing)


def qualities():
    excess = [np.where(q == SINK, purity - PURITY[SOURCE], 0.0) for q, purity in ASKED.items()]
    return Qualities(np.array(list(ASKED)), np.array(excess))


def solve(supply=SUPPLY, most=MOST, firm=(0.0, 0.0, 0.0, 0.0), capacity=np.inf):
    must = np.broadcast_to(np.asarray(firm, np.float64), most.shape)
    return mix(supply, most, must, GAIN, links(capacity), qualities())


def test_three_sources_share_four_sinks_as_a_hand_says():
    # The 3 of 99 % carry 2.4 of 90 % into the first sink: 3 * 0.04 = 2.4 * 0.05. The 80 % fill the
    # third sink, their cheapest way, and 1 goes into the second; 90 % go on to the fourth.
    result = solve()
    flow = result.flow.reshape(3, 4)
    np.testing.assert_allclose(flow, [[3, 0, 0, 0], [2.4, 5, 0, 2.6], [0, 1, 5, 0]], atol=TIGHT)
    assert (result.flow @ GAIN).tolist() == [pytest.approx(1101.2)]
    assert result.feasible.all()
    # One more of 99 % takes 0.8 of 90 % along, which the fourth sink loses.
    np.testing.assert_allclose(result.source_price, [[1.8 * 95 - 0.8 * 7, 7, 7]], atol=1e-4)
    np.testing.assert_allclose(result.sink_price, [[0, 58, 29, 0]], atol=1e-4)
    # A unit of excess let in is 20 of 90 %, which gain 95 and not 7.
    np.testing.assert_allclose(result.quality_price, [[88 / 0.05, 0]], atol=1e-3)
    assert not result.source_held.any()


def test_price_of_a_purity_is_what_less_of_it_gains():
    looser = Qualities(qualities().sink, qualities().excess.copy())
    looser.excess[0] -= np.where(SINK == 0, 1e-3, 0.0)
    nothing = np.zeros((1, 4))
    wider = mix(SUPPLY, MOST, nothing, GAIN, links(), looser).flow @ GAIN
    base = solve()
    taken = base.flow[0, SINK == 0].sum()
    # The price at the old limit; the slope rises as more comes in.
    gained = float(wider[0] - (base.flow @ GAIN)[0])
    assert gained == pytest.approx(base.quality_price[0, 0] * taken * 1e-3, rel=0.03)


def test_firm_minimum_that_cannot_be_met_names_what_stands_against_it():
    result = solve(firm=(7.0, 0.0, 0.0, 0.0))
    assert result.feasible.tolist() == [False]
    np.testing.assert_allclose(result.shortfall, [[7 - 5.4, 0, 0, 0]], atol=1e-5)
    # It lacks 99 %, and the purity of the mixture forbids more of the others.
    assert result.source_held.tolist() == [[True, False, False]]
    assert result.quality_held.tolist() == [[True, False]]
    assert not result.sink_held.any()
    assert np.isnan(result.flow).all()


def test_firm_minimum_that_a_way_is_too_narrow_for_names_the_way():
    capacity = np.where((SINK == 3), 1.0, np.inf)
    result = solve(firm=(0.0, 0.0, 0.0, 5.0), capacity=capacity)
    np.testing.assert_allclose(result.shortfall, [[0, 0, 0, 2.0]], atol=1e-5)
    assert result.link_held.tolist() == [(SINK == 3).tolist()]
    assert not result.source_held.any()


def test_firm_minimum_is_met_although_it_costs_and_has_a_price():
    result = solve(firm=(0.0, 0.0, 0.0, 6.0))
    assert result.feasible.all()
    assert result.flow[0, SINK == 3].sum() == pytest.approx(6.0, abs=1e-5)
    # 2 of 80 % move from the third sink into the second and free 90 %, then 1.4 go there.
    loss = 1101.2 - (result.flow @ GAIN)[0]
    assert loss == pytest.approx(2 * 29 + 1.4 * 34, rel=1e-5)
    assert result.firm_price[0, 3] == pytest.approx(34)


def test_windows_are_independent_of_each_other():
    supply = np.array([[3.0, 10.0, 6.0], [0.0, 0.0, 0.0], [1.0, 10.0, 6.0]])
    result = solve(supply, np.repeat(MOST, 3, axis=0), firm=(5.0, 0.0, 0.0, 0.0))
    assert result.feasible.tolist() == [True, False, False]
    np.testing.assert_allclose(result.shortfall[:, 0], [0, 5, 5 - 1.8], atol=1e-5)
    np.testing.assert_allclose(result.flow[0], solve().flow[0], atol=1e-5)


def test_without_ways_nothing_flows():
    empty = np.zeros(0)
    none = Links(*np.zeros((3, 0), np.int64), empty, empty, empty)
    limits = Qualities(np.zeros(0, np.int64), np.zeros((0, 0)))
    result = mix(SUPPLY, MOST, np.zeros((1, 4)), empty, none, limits)
    assert result.flow.shape == (1, 0)
    assert result.feasible.all()
    assert (result.source_price.tolist(), result.firm_price.tolist()) == ([[0] * 3], [[0] * 4])
    lacks = mix(SUPPLY, MOST, np.ones((1, 4)), empty, none, limits)
    assert lacks.shortfall.tolist() == [[1.0] * 4]


def test_what_is_not_known_is_refused():
    with pytest.raises(ValueError, match="not known"):
        solve(np.array([[np.nan, 1.0, 1.0]]))
    with pytest.raises(ValueError, match="do not agree"):
        mix(SUPPLY, MOST, np.zeros((1, 3)), GAIN, links(), qualities())


@given(
    st.lists(st.floats(0, 50), min_size=3, max_size=3),
    st.lists(st.floats(0, 50), min_size=4, max_size=4),
)
def test_mixtures_are_within_all_limits(supply, most):
    result = solve(np.array([supply]), np.array([most]))
    flow = result.flow.reshape(3, 4)
    slack = 1e-5 * max(sum(supply), 1.0)
    assert (flow.sum(axis=1) <= np.array(supply) + slack).all()
    assert (flow.sum(axis=0) <= np.array(most) + slack).all()
    assert (flow[:, 0] @ (0.95 - PURITY)) <= slack
    assert (flow[:, 1] @ (0.85 - PURITY)) <= slack
