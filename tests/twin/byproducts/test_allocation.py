"""By-products go where they are of use: conserved, within limits, and never worse than by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.byproducts.allocation import Allocation, Links, allocate, unit_cost
from twin.reference import load
from twin.uom import parse_quantity

MODES = ("pipe", "rail", "road")
TIGHT = 1e-6


def links(source, sink, capacity=np.inf, distance=0.0, cost=0.0, mode=0):
    count = len(source)

    def column(value, kind=np.float64):
        return np.broadcast_to(np.asarray(value, dtype=kind), count).copy()

    ends = np.asarray(source, dtype=np.int64), np.asarray(sink, dtype=np.int64)
    return Links(*ends, column(mode, np.int64), column(capacity), column(distance), column(cost))


def solve(supply, demand, ways, value=0.0, modes=3):
    demand = np.asarray(demand, dtype=np.float64)
    worth = np.broadcast_to(np.asarray(value, dtype=np.float64), demand.shape).copy()
    return allocate(np.asarray(supply, np.float64), demand, worth, ways, ways.cost, modes)


def test_two_sources_share_sinks_as_the_exchange_of_hand_says():
    # The cheap way of the first source is narrow, so the second has to make room at the far sink.
    ways = links([0, 0, 1], [0, 1, 1], [3, np.inf, 4], [1e3, 5e3, 10e3], [0.1, 1.0, 1.5], [0, 1, 2])
    result = solve([5.0, 2.0], [4.0, 3.0], ways)
    np.testing.assert_allclose(result.flow, [3, 2, 1], atol=TIGHT)
    np.testing.assert_allclose(result.unplaced, [0, 1], atol=TIGHT)
    np.testing.assert_allclose(result.free, [1, 0], atol=TIGHT)
    assert result.placed == pytest.approx(6)
    assert result.freight == pytest.approx(0.3 + 2 + 1.5)
    assert result.gain == pytest.approx(-result.freight)
    # Per mode: 3 kg/s over 1 km, 2 over 5 km, 1 over 10 km.
    np.testing.assert_allclose(result.work, [3e3, 10e3, 10e3], rtol=TIGHT)
    # The narrow way and the full sink keep the rest from being placed, the wide ways do not.
    np.testing.assert_allclose(result.link_relief, [1, 0, 0], atol=TIGHT)
    np.testing.assert_allclose(result.sink_relief, [0, 1], atol=TIGHT)
    assert result.reason == ""


def test_use_comes_before_money_and_money_decides_between_equal_uses():
    # Using it costs more than it brings, and still it is used; of two sinks the better is taken.
    result = solve([2.0], [5.0, 5.0], links([0, 0], [0, 1], cost=[9.0, 8.0]), value=[1.0, 0.5])
    np.testing.assert_allclose(result.flow, [0, 2], atol=TIGHT)
    assert result.gain == pytest.approx(2 * (0.5 - 8.0))


def test_price_of_a_link_is_what_more_of_it_would_save():
    ways = links([0, 0], [0, 0], [1.0, np.inf], cost=[0.2, 0.9])
    result = solve([3.0], [np.inf], ways)
    np.testing.assert_allclose(result.flow, [1, 2], atol=TIGHT)
    assert result.link_price[0] == pytest.approx(0.7)
    assert result.link_relief[0] == pytest.approx(0, abs=TIGHT)
    wider = solve([3.0], [np.inf], links([0, 0], [0, 0], [1.1, np.inf], cost=[0.2, 0.9]))
    assert (wider.gain - result.gain) / 0.1 == pytest.approx(result.link_price[0])


def test_price_of_a_sink_is_what_more_of_it_would_bring():
    ways = links([0, 0], [0, 1], cost=[0.1, 0.3])
    result = solve([3.0], [1.0, np.inf], ways, value=[2.0, 1.0])
    assert result.sink_price[0] == pytest.approx(1.9 - 0.7)
    assert result.sink_price[1] == pytest.approx(0, abs=TIGHT)
    assert np.isinf(result.free[1])


def test_source_without_a_link_stays_where_it_is():
    result = solve([3.0, 1.0], [2.0], links([0], [0]))
    np.testing.assert_allclose(result.unplaced, [1, 1], atol=TIGHT)


def test_without_links_sources_or_sinks_nothing_is_placed():
    none = solve([3.0], [2.0], links([], []))
    assert none.placed == 0
    assert none.unplaced.tolist() == [3.0]
    assert none.free.tolist() == [2.0]
    empty = solve(np.zeros((4, 0)), [], links([], []))
    assert empty.placed.tolist() == [0.0] * 4
    assert empty.reason.tolist() == [""] * 4


def test_times_are_independent_of_each_other_and_of_a_time_without_data():
    ways = links([0, 1], [0, 0], [1.0, 5.0], cost=[0.0, 1.0])
    supply = np.array([[[2.0, 3.0], [np.nan, 3.0]], [[0.0, 0.0], [1.0, -1.0]]])
    result = solve(supply, [4.0], ways)
    assert result.flow.shape == (2, 2, 2)
    np.testing.assert_allclose(result.flow[0, 0], [1, 3], atol=TIGHT)
    assert np.isnan(result.flow[0, 1]).all()
    assert "not known" in result.reason[0, 1]
    np.testing.assert_array_equal(result.flow[1, 0], [0, 0])
    assert "negative" in result.reason[1, 1]
    assert np.isnan(result.work[1, 1]).all()
    alone = solve(supply[0, 0], [4.0], ways)
    np.testing.assert_allclose(result.flow[0, 0], alone.flow, atol=TIGHT)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"demand": [np.nan]}, "sink"),
        ({"demand": [-1.0]}, "sink"),
        ({"capacity": np.nan}, "capacity of a link"),
        ({"capacity": -1.0}, "capacity of a link"),
        ({"cost": np.nan}, "cost"),
        ({"value": np.nan}, "value"),
        ({"supply": [np.inf]}, "infinite"),
    ],
)
def test_data_without_sense_are_no_number_with_a_reason(change, word):
    given_ = {"supply": [1.0], "demand": [1.0], "capacity": 1.0, "cost": 0.0, "value": 0.0} | change
    ways = links([0], [0], given_["capacity"], cost=given_["cost"])
    result = solve(given_["supply"], given_["demand"], ways, value=given_["value"])
    assert np.isnan(result.placed)
    assert np.isnan(result.unplaced).all()
    assert word in str(result.reason)


def test_links_that_lead_nowhere_and_odd_shapes_are_refused():
    with pytest.raises(ValueError, match="nowhere"):
        solve([1.0], [1.0], links([0], [1]))
    with pytest.raises(ValueError, match="nowhere"):
        solve([1.0], [1.0], links([-1], [0]))
    with pytest.raises(ValueError, match="length"):
        allocate(np.ones(1), np.ones(1), np.ones(1), links([0], [0]), np.ones(2), 1)
    with pytest.raises(ValueError, match="supply"):
        allocate(np.ones(1), np.ones(1), np.ones(2), links([0], [0]), np.ones(1), 1)


def test_cost_of_a_way_is_its_own_or_that_of_its_mode_and_distance():
    table = load("transport")
    assert set(table) == set(MODES)
    fixed, haul = (
        np.array([parse_quantity(table[m][key], quantity) for m in MODES])
        for key, quantity in (("fixed", "mass_price"), ("per_distance", "transport_price"))
    )
    km = parse_quantity("60 km", "length")
    ways = links([0, 0, 0, 0], [0, 0, 0, 0], distance=[km, km, np.nan, np.nan],
                 cost=[np.nan, np.nan, 0.05, np.nan], mode=[1, 2, 2, 0])  # fmt: skip
    cost = unit_cost(ways, fixed, haul)
    assert cost[0] * 1000 == pytest.approx(30 + 0.2 * 60)
    assert cost[1] * 1000 == pytest.approx(15 + 0.5 * 60)
    assert cost[2] == 0.05
    assert np.isnan(cost[3])
    assert all(entry["confidence"] == "L" and not entry["verified"] for entry in table.values())


def test_way_of_unknown_length_hides_the_work_of_its_own_mode_only():
    ways = links([0, 0], [0, 1], distance=[np.nan, 2e3], cost=0.1, mode=[0, 2])
    result = solve([3.0], [1.0, 5.0], ways)
    np.testing.assert_allclose(result.work, [np.nan, 0, 4e3], rtol=TIGHT)
    idle = solve([3.0], [0.0, 5.0], ways)
    np.testing.assert_allclose(idle.work, [0, 0, 6e3], atol=TIGHT)


@st.composite
def problems(draw):
    """Return a random problem; numbers of a grid, so that ties and full capacities are common."""
    sources, sinks = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    count = draw(st.integers(1, 8))
    grid = st.integers(0, 6).map(float)

    def column(size, values=grid):
        return np.array(draw(st.lists(values, min_size=size, max_size=size)))

    ways = Links(
        column(count, st.integers(0, sources - 1)), column(count, st.integers(0, sinks - 1)),
        column(count, st.integers(0, 2)), column(count), column(count) * 1e4, column(count) / 10,
    )  # fmt: skip
    return column(sources), column(sinks), column(sinks) / 10, ways


def greedy(supply, demand, value, ways):
    """Place as much as goes on the best way left, one after the other."""
    remaining, room, flow = supply.copy(), demand.copy(), np.zeros(len(ways.source))
    for link in np.argsort(ways.cost - value[ways.sink], kind="stable"):
        p, q = ways.source[link], ways.sink[link]
        flow[link] = min(remaining[p], room[q], ways.capacity[link])
        remaining[p] -= flow[link]
        room[q] -= flow[link]
    return flow


@settings(deadline=None, max_examples=60)
@given(problems())
def test_mass_is_conserved_limits_hold_and_no_greedy_does_better(problem):
    supply, demand, value, ways = problem
    result = allocate(supply, demand, value, ways, ways.cost, 3)
    assert isinstance(result, Allocation)
    assert result.reason == ""
    sent = np.bincount(ways.source, result.flow, len(supply))
    taken = np.bincount(ways.sink, result.flow, len(demand))
    np.testing.assert_allclose(sent + result.unplaced, supply, atol=TIGHT)
    np.testing.assert_allclose(taken + result.free, demand, atol=TIGHT)
    assert (result.flow >= 0).all()
    assert (result.flow <= ways.capacity + TIGHT).all()
    by_hand = greedy(supply, demand, value, ways)
    assert result.placed >= by_hand.sum() - TIGHT
    if by_hand.sum() > result.placed - TIGHT:
        worth = by_hand @ (value[ways.sink] - ways.cost)
        assert result.gain >= worth - 10 * TIGHT
    # What is not placed is held by a limit: then some limit has a relief, or no way leads on.
    stuck = (result.unplaced[ways.source] > TIGHT) & (
        (result.flow < ways.capacity - TIGHT) & (result.free[ways.sink] > TIGHT)
    )
    assert not stuck.any()


@settings(deadline=None, max_examples=40)
@given(problems(), st.randoms(use_true_random=False))
def test_order_of_links_sources_and_sinks_changes_no_total(problem, random):
    supply, demand, value, ways = problem
    before = allocate(supply, demand, value, ways, ways.cost, 3)
    p, q, n = (np.array(random.sample(range(size), size), dtype=np.int64)
               for size in (len(supply), len(demand), len(ways.source)))  # fmt: skip
    mixed = Links(
        np.argsort(p)[ways.source][n], np.argsort(q)[ways.sink][n], ways.mode[n],
        ways.capacity[n], ways.distance[n], ways.cost[n],
    )  # fmt: skip
    after = allocate(supply[p], demand[q], value[q], mixed, mixed.cost, 3)
    assert after.placed == pytest.approx(before.placed, abs=TIGHT)
    assert after.gain == pytest.approx(before.gain, abs=10 * TIGHT)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_small_and_large_parks_are_solved_alike(scale):
    ways = links([0, 0, 1], [0, 1, 1], np.array([3, np.inf, 4]) * scale, cost=[0.1, 1.0, 1.5])
    result = solve(np.array([5.0, 2.0]) * scale, np.array([4.0, 3.0]) * scale, ways)
    np.testing.assert_allclose(result.flow / scale, [3, 2, 1], atol=TIGHT)
