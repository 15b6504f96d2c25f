"""Load plans of the demonstration park on random days: every limit is kept, by the checker."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from simulators.process.process import state
from tests.support.demo_park import PARK, process_of
from tests.support.small_plan import MWH, broken
from twin.accounts.cells import effective_current
from twin.accounts.network import compile_network
from twin.arrays import DAY_US
from twin.planning.assessment import as_now
from twin.planning.present import compile_present, incomers_of, plannable, sites_of
from twin.planning.problem import Sites
from twin.planning.solver import NOT_IN_TIME, solve
from twin.scenario.initial_state import find_initial_state
from twin.scenario.network import compile_supply

LUXI, HUAXIANG = "liaocheng/gaoxin/luxi", "liaocheng/shenxian/huaxiang"
BEGIN_US = 1_760_000_400_000_000
SECONDS = 5.0
HOURS = 48


@cache
def supply_of_demo():
    return compile_supply(compile_network(PARK))


def random_day(scope, seed):
    """Return the problem of a day: its flows by the process; stocks, users, prices by chance."""
    rng, supply = np.random.default_rng(seed), supply_of_demo()
    network = supply.network
    at_us = BEGIN_US + int(rng.uniform(0, 365) * DAY_US)
    displayed = state(process_of(7), np.array([at_us, at_us + 1_000_000])).values
    counters = np.array([tag.kind == "counter" for tag in PARK.tags])
    value, rate = np.full((2, len(network.tags)), np.nan)
    value[: len(counters)] = displayed[0]
    rate[: len(counters)] = np.where(counters, displayed[1] - displayed[0], displayed[0])
    rate[network.cells.effective] = effective_current(network.cells, value)[0]
    cells, _ = plannable(network, scope, value)
    names = sites_of(network, scope, cells)
    bought = [sum(rate[network.index[m.tag]] for m in incomers_of(network, n)) for n in names]
    sites = Sites(
        name=names,
        price=np.tile(rng.uniform(200, 1200, 24), (len(names), HOURS // 24)) / MWH,
        other=np.repeat(np.array(bought)[:, None], HOURS, axis=1),
        limit=np.array(bought) * rng.uniform(1.0, 1.2) + 5e6,
        least=np.full(len(names), -np.inf),
        peak=np.array(bought),
        demand_price=np.full(len(names), rng.choice([0.0, 0.04])),
        excess_over=np.array(bought) * 1.02,
        excess_price=np.full(len(names), 0.02),
        green_least=np.full(len(names), 0.1 * rng.integers(0, 2)),
        green_share=np.full(len(names), 0.1),
        green=np.zeros(len(names)),
    )  # fmt: skip
    start = find_initial_state(supply, rate, value)
    present = compile_present(supply, start, scope, cells, sites, interval_s=3600.0)
    problem = present.problem
    nodes, demands = problem.nodes, problem.demands
    stock = nodes.least + rng.uniform(0.05, 0.9, len(nodes.least)) * (
        nodes.most - nodes.reserve - nodes.least
    )
    stock = np.where(nodes.tank, stock, nodes.stock)
    drift = (nodes.end - nodes.stock) / HOURS
    end = np.clip(stock + drift * HOURS, nodes.least, nodes.most - nodes.reserve)
    # On odd days users want something else than they take now.
    wanted = rng.uniform(0.9, 1.05, len(demands.total)) if seed % 2 else 1.0
    total = demands.total * wanted
    # Some users may move their use, each by its own band.
    band = rng.integers(0, 2, len(total)) * rng.uniform(0.05, 0.2, len(total))
    return replace(
        problem,
        nodes=replace(nodes, stock=stock, end=np.where(nodes.tank, end, nodes.end)),
        demands=replace(demands, total=total, low=1 - band, high=1 + band),
    )


def check_day(scope, seed):
    """Assert that the plan of a random day keeps every limit; returns its saving as a share.

    It is NaN without a plan, and where the present course makes something else than the plan has
    to: only a course that keeps all limits is dearer than the plan.
    """
    problem = random_day(scope, seed)
    plan = solve(problem, SECONDS)
    if plan.reason:
        assert plan.broken or plan.reason == NOT_IN_TIME, "a plan that cannot be names why"
        return np.nan
    end = problem.nodes.end.copy()
    for limit in plan.given_up:
        end[limit.subject] -= limit.amount * (1 + 1e-4)
    allowed = replace(problem, nodes=replace(problem.nodes, end=end))
    assert broken(allowed, plan.load, plan.flow) == []
    now = as_now(problem)
    if now.broken:
        return np.nan
    saving = (now.cost - plan.cost).sum()
    assert saving >= -1e-6 * np.abs(now.cost).sum(), "a plan is no dearer than what it may stay at"
    return saving / np.abs(now.cost).sum()


@pytest.mark.parametrize("scope", [LUXI, HUAXIANG])
def test_plans_of_random_days_keep_every_limit(scope):
    savings = [check_day(scope, seed) for seed in range(3)]
    assert np.isfinite(savings).any()


@pytest.mark.long
def test_plans_of_a_hundred_random_days_of_the_whole_park_keep_every_limit():
    savings = [check_day("liaocheng", seed) for seed in range(100)]
    # Half of the days compare like with like, but for those whose tanks run full or empty.
    assert np.isfinite(savings).mean() > 0.2
