"""Load plans: a case solved by hand, an exhaustive search, and limits that contradict."""

import itertools

import numpy as np
import pytest

from tests.support.small_plan import HOUR, T_H, broken, problem_of
from twin.planning.problem import plan_cost, site_power
from twin.planning.solver import solve

DEAR = [200.0, 800.0, 800.0, 200.0]
SECONDS = 5.0
STEP = 0.25
LEVELS = [0.0, *np.arange(0.5, 2.01, STEP)]


def flows_of(problem):
    return np.full((1, problem.count), problem.lines.now[0])


def price_of(plan, kind):
    return {limit.interval: limit.price for limit in plan.binding if limit.kind == kind}


def test_two_cells_over_four_hours_are_as_solved_by_hand():
    """Cells of 2.4 and 2.6 MWh/t, each 0.5 to 1.5 t/h; 2 t/h are used; the tank holds 2 of 2.5 t.

    Hour 1 (200 CNY/MWh): the tank takes 0.5 t, so 2.5 t are made: A all it can, 1.5, B 1.0.
    Hour 4 (200): 3 t, the most. Hours 2 and 3 (800): the other 8 - 2.5 - 3 = 2.5 t, that is 0.5 of
    each cell in each hour, and 0.5 t more by A, which takes less.
    Cost: 200 * (1.5*2.4 + 1.0*2.6 + 1.5*2.4 + 1.5*2.6) + 800 * (1.5*2.4 + 1.0*2.6)
        = 200 * 13.7 + 800 * 6.2 = 2740 + 4960 = 7700 CNY. As now: 5 MWh * 2000 = 10 000 CNY.
    A tonne more of room: B makes it in hour 1, A makes less at 800: 2.4*800 - 2.6*200 = 1400 CNY.
    A tonne less at the end: A makes less at 800: 1920 CNY.
    """
    problem = problem_of(DEAR)
    plan = solve(problem, SECONDS)
    assert plan.reason == ""
    assert plan.load[:, 0] == pytest.approx([1.5, 1.0])
    assert plan.load[:, 3] == pytest.approx([1.5, 1.5])
    assert plan.load[1, 1:3] == pytest.approx([0.5, 0.5])
    assert plan.load[0, 1:3].sum() == pytest.approx(1.5)
    assert plan.cost[0] == pytest.approx(7700)
    assert plan.stock[0, [0, 1, 3, 4]] == pytest.approx([2000, 2500, 1000, 2000])
    now = np.ones((2, 4))
    assert plan_cost(problem, now, flows_of(problem))[0] == pytest.approx(10_000)
    assert price_of(plan, "stock_full")[0] * 1000 == pytest.approx(1400)
    assert price_of(plan, "stock_end")[3] * 1000 == pytest.approx(1920)
    # A tonne less used in hour 1 is not made by B there; in hour 4 not by A at 800.
    assert price_of(plan, "use")[0] * 1000 == pytest.approx(520)
    assert price_of(plan, "use")[3] * 1000 == pytest.approx(1920)
    # B at its least load in hour 2: 1 t less would let A make it for 0.2 MWh less.
    assert price_of(plan, "low")[1] == pytest.approx(0.2 * 800)
    assert broken(problem, plan.load, plan.flow) == []
    assert plan.power[0] == pytest.approx(site_power(problem, plan.load, plan.flow)[0])


def test_limit_of_power_and_charge_of_the_peak_are_as_solved_by_hand():
    """Without a price over the day only the peak counts: constant load is the least of it.

    At most 4.9 MW: A takes over from B, 1 MW per 2.4 or 2.6: x + y = 2, 2.4 x + 2.6 y = 4.9 gives
    x = 1.5, y = 0.5 at least. A new peak costs 40 CNY/kW above 4 MW: 0.9 MW more are 36 000 CNY.
    """
    flat = problem_of([500.0] * 4, limit=4.9e6, peak=4e6, demand_price=0.04, most=2.0)
    plan = solve(flat, SECONDS)
    assert plan.load == pytest.approx(np.array([[1.5] * 4, [0.5] * 4]))
    assert plan.cost[0] == pytest.approx(4.9 * 4 * 500 + 36_000)


def test_a_user_with_a_band_moves_its_use_as_solved_by_hand():
    """The tank can give and take nothing: what is made is what is used, 2 t/h and 1 to 3 in a band.

    Without a band each hour makes 2 t: 5 MWh by both cells at 1, or 2.4*1.5 + 2.6*0.5 = 4.9 MWh.
    With it 3 t in the cheap hours (all that is made, 1.5 each: 7.5 MWh) and 1 t in the dear ones
    (0.5 each: 2.5 MWh): 200 * 15 + 800 * 5 = 7000 CNY, against 2000 * 4.9 = 9800.
    """
    rigid = solve(problem_of(DEAR, most=2.0, least=2000.0), SECONDS)
    assert rigid.cost[0] == pytest.approx(9800)
    problem = problem_of(DEAR, most=2.0, least=2000.0, band=(0.5, 1.5))
    plan = solve(problem, SECONDS)
    assert plan.flow[0] / T_H == pytest.approx([3, 1, 1, 3])
    assert plan.cost[0] == pytest.approx(7000)
    assert broken(problem, plan.load, plan.flow) == []
    assert {limit.kind for limit in plan.binding} & {"use_day", "use_low", "use_high"}


def test_a_peak_above_the_contract_costs_its_factor_as_solved_by_hand():
    """Flat prices, and 2 t/h with no room in the tank: 4.9 MW at least, by A at 1.5.

    A new peak costs 40 CNY/kW above 4 MW, and 40 more above the 4.5 MW that are allowed:
    0.9 * 40 000 + 0.4 * 40 000 = 52 000 CNY.
    """
    problem = problem_of(
        [500.0] * 4, peak=4e6, demand_price=0.04, excess_over=4.5e6, excess_price=0.04, most=2.0
    )
    plan = solve(problem, SECONDS)
    assert plan.load == pytest.approx(np.array([[1.5] * 4, [0.5] * 4]))
    assert plan.cost[0] == pytest.approx(4.9 * 4 * 500 + 52_000)


def test_contents_at_the_end_that_nothing_reaches_are_given_up_as_little_as_can_be():
    """4.8 MW: B at its least, 0.5 t/h, takes 1.3; A makes 3.5 / 2.4 = 1.4583 t/h, 1.9583 together.

    So 4 * 0.04167 = 0.16667 t are missing at the end. With 0.1 t in the tank the user goes short.
    """
    plan = solve(problem_of([500.0] * 4, limit=4.8e6, most=2.0), SECONDS)
    ((kind, _, interval, _, amount),) = plan.given_up
    assert (kind, interval) == ("stock_end", 3)
    assert amount == pytest.approx(1000 / 6, rel=1e-4)
    assert plan.stock[0, -1] == pytest.approx(2000 - 1000 / 6, rel=1e-4)
    none = solve(problem_of([500.0] * 4, limit=4.8e6, stock=0.1, most=2.0), SECONDS)
    assert none.reason == "limits contradict"
    assert {limit.kind for limit in none.broken} & {"power", "stock_empty", "use", "balance"}
    assert np.isnan(none.load).all()


def random_problem(seed, *, whole):
    """Return a case whose loads are multiples of 0.25, one tonne each; and a peak if not whole."""
    rng = np.random.default_rng(seed)
    demand = 4 * rng.integers(2, 8, endpoint=True)
    stock = rng.integers(0, 6)
    problem = problem_of(
        rng.integers(1, 20, 3) * 50.0, square=rng.uniform(0.05, 0.4), made=np.array([4.0, 4.0]),
        stock=float(stock), most=float(stock + rng.integers(1, 8)), use=float(min(demand / 2, 10)),
        high=2.0, stops=[False, True], start_cost=float(rng.integers(0, 5) * 1000),
        least_up=rng.integers(1, 3), least_down=rng.integers(1, 3),
    )  # fmt: skip
    if not whole:
        power = float(np.sum(problem.units.linear + problem.units.square))
        problem.sites.limit[:] = power * rng.uniform(0.9, 1.6)
        problem.sites.demand_price[:] = rng.uniform(0, 0.01)
        problem.units.ramp[:] = rng.integers(1, 5) * STEP
        problem.units.move_cost[:] = rng.uniform(0, 500)
    return problem


def courses(problem, e, levels):
    """Return all courses of a cell over three hours, their power [W] and their own cost [CNY]."""
    units = problem.units
    load = np.array(list(itertools.product(levels, repeat=3)))
    power = units.linear[e] * load + units.square[e] * load**2
    before = np.concatenate([np.ones((len(load), 1)), load[:, :-1]], axis=1)
    starts = ((load > 0) & (before == 0)).sum(axis=1)
    moved = (np.abs(load - before) * ((load > 0) & (before > 0))).sum(axis=1)
    return load, power, starts * units.start_cost[e] + moved * units.move_cost[e]


def search(problem):
    """Return the least cost of all plans on the grid that keep every limit; inf without one."""
    (a, power_a, own_a), (b, power_b, own_b) = (
        courses(problem, e, levels) for e, levels in enumerate((LEVELS[1:], LEVELS))
    )
    power = power_a[:, None] + power_b
    made = problem.nodes.made[0] / T_H
    gain = np.cumsum(a[:, None] * made[0] + b * made[1] - problem.lines.now[0] / T_H, axis=-1)
    stock = problem.nodes.stock[0] / 1e3 + gain
    fits = (stock > -1e-9).all(-1) & (stock < problem.nodes.most[0] / 1e3 + 1e-9).all(-1)
    fits &= (gain[..., -1] > -1e-9) & (power.max(axis=-1) < problem.sites.limit[0] * (1 + 1e-9))
    cost = (power @ problem.sites.price[0]) * HOUR + own_a[:, None] + own_b
    cost += problem.sites.demand_price[0] * np.maximum(power.max(axis=-1) - problem.sites.peak, 0)
    cost = np.where(fits, cost, np.inf)
    # The cheapest first: the checker tells of ramps, starts and stops.
    for at in np.argsort(cost, axis=None)[: fits.sum()]:
        i, j = np.unravel_index(at, cost.shape)
        if not broken(problem, np.array([a[i], b[j]]), flows_of(problem)):
            return cost[i, j]
    return np.inf


@pytest.mark.parametrize("seed", range(20))
def test_plan_is_the_best_of_an_exhaustive_search(seed):
    """All amounts are whole tonnes, so the best plan of all is one of the grid."""
    problem = random_problem(seed, whole=True)
    best, plan = search(problem), solve(problem, SECONDS)
    if np.isinf(best):
        assert plan.reason == "limits contradict"
        return
    assert broken(problem, plan.load, plan.flow) == []
    assert plan.cost[0] == pytest.approx(best, rel=2e-4)


@pytest.mark.parametrize("seed", range(20, 32))
def test_plan_between_the_points_of_a_grid_is_no_dearer_than_any_on_it(seed):
    """With a ramp and a peak the best plan lies off the grid: it beats every plan on it."""
    problem = random_problem(seed, whole=False)
    best, plan = search(problem), solve(problem, SECONDS)
    if plan.reason:
        assert np.isinf(best)
        return
    assert broken(problem, plan.load, plan.flow) == []
    # The search counts by the curves, which chords exceed between the points of the grid only.
    assert plan.cost[0] <= best * (1 + 2e-4)
