"""Savings with their interval, what breaks a plan, and the present course, by hand."""

import numpy as np
import pytest

from tests.support.small_plan import HOUR, MWH, T_H, problem_of
from twin.planning.assessment import (
    as_now,
    break_even,
    least_delay,
    least_drops,
    margins,
    price_rise,
    saving_interval,
    time_to_full,
    trips,
)
from twin.planning.present import Doubts, Present, Trips
from twin.planning.solver import solve

DEAR = [200.0, 800.0, 800.0, 200.0]
NONE = np.zeros(0, np.int64)


def present_of(problem, **sigma):
    doubts = {"straight": 0, "gain": 0, "made": 0, "stock": 0, "drift": 0} | sigma
    counts = {"stock": 1, "drift": 1}
    arrays = {n: np.full(counts.get(n, 2), v, float) for n, v in doubts.items()}
    farm = Trips(np.zeros(1, np.int64), np.full(1, -1), ("gas",), np.array([T_H]), np.full(1, -1))
    return Present(problem, (), Doubts(**arrays), farm, NONE, ())


def half_width(problem, **sigma):
    plan, course = solve(problem, 5), as_now(problem)
    rng = np.random.default_rng(1)
    low, high = saving_interval(present_of(problem, **sigma), plan, course, rng)
    return (high - low) / 2


def test_present_course_breaks_a_limit_in_the_hour_it_is_met():
    """1 t/h too much fills 2 of 2.5 t half an hour later; 5 MW are above 4.5."""
    course = as_now(problem_of(DEAR, use=1.0, limit=4.5e6))
    assert [(each.kind, each.interval) for each in course.broken] == [
        ("stock_full", 0),
        ("power", 0),
    ]
    assert course.broken[0].amount == pytest.approx(3500)
    assert course.cost == pytest.approx([10_000])
    assert time_to_full(problem_of(DEAR, use=1.0), course.stock) == pytest.approx([HOUR / 2])
    steady = as_now(problem_of(DEAR))
    assert steady.broken == ()
    assert np.isinf(time_to_full(problem_of(DEAR), steady.stock)).all()
    # The rounding of the solver does not keep a plan from filling a tank.
    filled = np.array([[2000.0, 2500 - 1e-4, 2500.0, 2500.0, 2500.0]])
    assert time_to_full(problem_of(DEAR), filled) == pytest.approx([HOUR])


def test_interval_of_the_saving_is_that_of_the_hand_calculation():
    """The saving is 2300 CNY; power meters off by 1 % each, and the contents of the tank by 0.1 t.

    A saves (1 - 1.5)*2.4*200*2 + (1 - 0.75)*2.4*800*2 = 480, B (1 - 1.5)*2.6*200 + 0.5*2.6*800*2 =
    1820 CNY. So the standard deviation is 0.01 * hypot(480, 1820) = 18.8 CNY. A tonne of room in
    hour 1 is worth 1400 CNY: 0.1 t are 140.
    """
    problem = problem_of(DEAR)
    assert half_width(problem) == pytest.approx(0, abs=1e-6)
    assert half_width(problem, gain=0.01) == pytest.approx(1.96 * 18.8, rel=0.15)
    assert half_width(problem, stock=100) == pytest.approx(1.96 * 140, rel=0.15)


def test_plan_pays_until_the_spread_of_the_prices_is_too_small():
    """A change of load by 1 costs 100 CNY: it pays while the prices of the hours differ enough.

    With the prices drawn together to the share that comes out, the plan costs what now costs.
    """
    problem = problem_of(DEAR, move_cost=100.0)
    plan, course = solve(problem, 5), as_now(problem)
    share = break_even(problem, plan, course)
    price = np.array(DEAR)
    drawn = problem_of(price.mean() + share * (price - price.mean()), move_cost=100.0)
    energy = ((course.power - plan.power) * drawn.sites.price).sum() * HOUR
    moved = (course.cost - plan.cost)[0] - (
        (course.power - plan.power) * problem.sites.price
    ).sum() * HOUR
    assert 0 < share < 1
    assert energy + moved == pytest.approx(0, abs=1e-6)


def test_margins_and_trips_are_those_of_the_worst_hour():
    """After hour 3 there is 1 t: 1/3 t/h more may be taken. After hour 1 the tank is full.

    A user of 1 t/h trips: 0.5 t of room when hour 1 begins, none when hour 2 does.
    """
    problem = problem_of(DEAR)
    plan = solve(problem, 5)
    (margin,) = margins(problem, plan)
    assert (margin.more_interval, margin.less_interval) == (2, 0)
    assert margin.more == pytest.approx(T_H / 3)
    assert margin.less == pytest.approx(0, abs=1e-9)
    (trip,) = trips(present_of(problem), plan)
    assert (trip.user, trip.interval) == ("gas", 1)
    assert trip.full_s == pytest.approx(0, abs=1e-3)
    assert np.isnan(trip.absorber_s)


def test_what_breaks_a_plan_is_as_solved_by_hand():
    """The plan is that of the first case: 2.5 t in hour 1, 2.5 t in hours 2 and 3, 3 t in hour 4.

    An hour late the 0.5 t more of hour 1 are not made: 1.5 of the 2 t are left at the end. Its
    saving of 2300 CNY is by 6.2 - 5 in hour 1 and 7.5 - 5 in hour 4: 3.7 MWh more.
    """
    problem = problem_of(DEAR)
    plan, course = solve(problem, 5), as_now(problem)
    assert price_rise(problem, plan, course) * MWH == pytest.approx(2300 / 3.7)
    delay = least_delay(problem, plan, course)
    assert (delay.intervals, delay.kind) == (1, "stock_end")
    # Of 2 t an hour nothing may stay: the tank is full after hour 1.
    present = present_of(problem)
    (drop,) = least_drops(present, plan)
    assert (drop.share, drop.interval) == (pytest.approx(0, abs=1e-9), 0)


def test_a_plan_that_begins_too_late_overfills_a_tank():
    """Dear hours first: 1 t in each, and then 3 t in each, as 2 t are used: the tank ends at 2 t.

    An hour late that is 2, 1, 3 and 3 t: 9 less 8 used are 1 t more, and the tank holds 2.5.
    """
    problem = problem_of([800.0, 800.0, 200.0, 200.0], most=2.5)
    plan, course = solve(problem, 5), as_now(problem)
    assert plan.load.sum(axis=0) == pytest.approx([1, 1, 3, 3], abs=0.01)
    delay = least_delay(problem, plan, course)
    assert (delay.intervals, delay.kind) == (1, "stock_full")
