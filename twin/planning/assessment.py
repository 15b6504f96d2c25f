"""What a load plan is worth against the present loads, how sure that is, and what breaks it.

References
----------
.. [1] JCGM 101:2008, Supplement 1 to the GUM: propagation of distributions by a Monte Carlo method.
.. [2] F. S. Hillier, G. J. Lieberman, Introduction to Operations Research, 10th ed., McGraw-Hill
   2015, section 4.7: shadow prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, ratio
from twin.chlorine.headroom import absorber_time, time_left, user_trip
from twin.planning.problem import LoadProblem, plan_cost, site_power, stocks, unit_power
from twin.planning.solver import TOLERANCE, Limit, LoadPlan, broken_now
from twin.reference import figure

if TYPE_CHECKING:
    from twin.planning.present import Doubts, Present

# Part of the draws of the Monte Carlo that the interval holds, and their number.
LEVEL = 0.95
DRAWS = 500


@dataclass(frozen=True, slots=True)
class Course:
    """The present loads and flows going on."""

    stock: F64  # (M, T + 1) [kg]
    power: F64  # (B, T) [W]
    cost: F64  # (B,) [CNY]
    broken: tuple[Limit, ...]  # of each kind and subject the first interval; of all that plans keep


@dataclass(frozen=True, slots=True)
class Trip:
    """The largest user of gas at a tank farm trips: the worst interval of a plan."""

    node: int
    user: str
    interval: int
    full_s: float  # [s] until the tanks are full if its chlorine is liquefied; inf = never
    absorber_s: float  # [s] the caustic soda lasts if it is absorbed; NaN = no absorber


@dataclass(frozen=True, slots=True)
class Margin:
    """How far the flows of a tank may be off for all of a plan, before it is empty or full."""

    node: int
    more: float  # [kg/s] taken, or not made
    more_interval: int  # in which it is empty then
    less: float  # [kg/s]
    less_interval: int  # in which it is full then


def as_now(problem: LoadProblem) -> Course:
    """Return the course of the present loads and flows."""
    load = np.ones((len(problem.units.name), problem.count))
    flow = np.repeat(problem.lines.now[:, None], problem.count, axis=1)
    stock, power = stocks(problem, load, flow), site_power(problem, load, flow)
    return Course(stock, power, plan_cost(problem, load, flow), broken_now(problem))


def saving_interval(
    present: Present, plan: LoadPlan, course: Course, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the 95 % interval of the saving of a plan against the present loads.

    Parameters
    ----------
    present : Present
    plan : LoadPlan
    course : Course
        of `as_now`
    rng : numpy.random.Generator

    Returns
    -------
    low, high : float [CNY]

    Notes
    -----
    A Monte Carlo [1]_ of what the plan rests on, the loads of the plan kept: the split of the power
    into its linear and its square part and the meters of power change the cost of both courses;
    current efficiencies, contents of tanks and flows that stay change how much is in the tanks at
    each time, which costs its shadow price [2]_. Prices of electricity are taken as exact.
    """
    problem, doubts = present.problem, present.doubts
    units, sites = problem.units, problem.sites
    ones = np.ones((len(units.name), problem.count))
    paid = sites.price[units.site] * problem.interval_s
    # One voltage at no current for all cells, one meter each.
    common, own, made = (
        rng.standard_normal(size)
        for size in ((DRAWS, 1), (DRAWS, len(units.name)), (DRAWS, len(units.name)))
    )
    energy = ((unit_power(units, ones) - unit_power(units, plan.load)) * paid).sum(axis=1)
    split = ((plan.load**2 - plan.load) * paid).sum(axis=1) * doubts.straight
    saving = (
        (course.cost - plan.cost).sum() + own @ (doubts.gain * energy) + common[:, 0] * split.sum()
    )
    price = _stock_prices(problem, plan)
    gained = np.cumsum(plan.load - 1, axis=1) * problem.interval_s
    made_price = np.einsum("mt,me,et->e", price, problem.nodes.made, gained)
    saving += made @ (made_price * doubts.made)
    saving += _tank_doubts(problem, doubts, price, rng)
    low, high = np.quantile(saving, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _stock_prices(problem: LoadProblem, plan: LoadPlan) -> F64:
    """Return what a kilogram more in a tank after each interval would save, (M, T) [CNY/kg]."""
    price = np.zeros((len(problem.nodes.name), problem.count))
    for limit in plan.binding:
        if limit.kind in ("stock_empty", "stock_end"):
            price[limit.subject, limit.interval] += limit.price
        elif limit.kind == "stock_full":
            price[limit.subject, limit.interval] -= limit.price
    return price


def _tank_doubts(problem: LoadProblem, doubts: Doubts, price: F64, rng: np.random.Generator) -> F64:
    """Return what tanks and flows that are not known well change in the saving, (n,) [CNY]."""
    nodes = problem.nodes
    first = np.where(nodes.tank, doubts.stock, 0.0)
    drift = np.where(nodes.tank, doubts.drift, 0.0)
    time_s = (np.arange(problem.count) + 1) * problem.interval_s
    # At the end the present course is off by as much.
    inner = price.copy()
    inner[:, -1] = 0.0
    held = rng.standard_normal((DRAWS, len(first))) @ (first * inner.sum(axis=1))
    return np.asarray(held + rng.standard_normal((DRAWS, len(first))) @ (drift * (inner @ time_s)))


def break_even(problem: LoadProblem, plan: LoadPlan, course: Course) -> float:
    """Return the share of the spread of the prices at which a plan saves nothing any more.

    Parameters
    ----------
    problem : LoadProblem
    plan : LoadPlan
    course : Course

    Returns
    -------
    float [1]
        with all prices drawn towards their mean: cost is linear in prices; NaN where the plan pays
        at one price as well, or at none
    """
    mean = problem.sites.price.mean(axis=1, keepdims=True)
    energy = (course.power - plan.power) * problem.interval_s
    spread = float((energy * (problem.sites.price - mean)).sum())
    saving = float((course.cost - plan.cost).sum())
    flat = saving - spread
    return float(-flat / spread) if spread > 0 and flat < 0 < saving else float("nan")


@dataclass(frozen=True, slots=True)
class Delay:
    """The least time by which a plan that begins later breaks a limit, or saves nothing."""

    intervals: int  # 0 = none up to its own length
    kind: str  # the limit, or ``saving``
    subject: int


@dataclass(frozen=True, slots=True)
class Drop:
    """The least share by which a user may take less for all of a plan before a tank is full."""

    line: int
    node: int
    share: float  # [1] inf = it may stop
    interval: int


def least_delay(problem: LoadProblem, plan: LoadPlan, course: Course) -> Delay:
    """Return the least delay that breaks a plan.

    Parameters
    ----------
    problem : LoadProblem
    plan : LoadPlan
    course : Course
        of `as_now`

    Returns
    -------
    Delay
        loads and flows stay as now for so many intervals, and then follow the plan as it was made;
        limits of tanks and of power, and the saving, are looked at to the end of the plan
    """
    load = np.ones_like(plan.load)
    flow = np.repeat(problem.lines.now[:, None], problem.count, axis=1)
    nodes, sites = problem.nodes, problem.sites
    scale = TOLERANCE * np.maximum(nodes.most, 1.0)[:, None]
    for k in range(1, problem.count):
        late_load = np.concatenate([load[:, :k], plan.load[:, k:]], axis=1)
        late_flow = np.concatenate([flow[:, :k], plan.flow[:, k:]], axis=1)
        stock = stocks(problem, late_load, late_flow)[:, 1:]
        power = site_power(problem, late_load, late_flow)
        for kind, over in (
            ("stock_full", stock > (nodes.most - nodes.reserve)[:, None] + scale),
            ("stock_empty", stock < nodes.least[:, None] - scale),
            ("stock_end", stock[:, -1:] < nodes.end[:, None] - scale),
        ):
            wrong = np.flatnonzero((over & nodes.tank[:, None]).any(axis=1))
            if len(wrong):
                return Delay(k, kind, int(wrong[0]))
        wrong = np.flatnonzero((power > sites.limit[:, None] * (1 + TOLERANCE)).any(axis=1))
        if len(wrong):
            return Delay(k, "power", int(wrong[0]))
        if float((course.cost - plan_cost(problem, late_load, late_flow)).sum()) <= 0:
            return Delay(k, "saving", 0)
    return Delay(0, "", 0)


def price_rise(problem: LoadProblem, plan: LoadPlan, course: Course) -> float:
    """Return by how much the hours a plan moves to must become dearer before it saves nothing.

    Parameters
    ----------
    problem : LoadProblem
    plan : LoadPlan
    course : Course

    Returns
    -------
    float [CNY/J]
        saving over the energy that is taken more in these intervals: cost is linear in prices; NaN
        where there is no saving, or nothing is moved
    """
    more = float(np.maximum(plan.power - course.power, 0.0).sum()) * problem.interval_s
    saving = float((course.cost - plan.cost).sum())
    return saving / more if more > 0 and saving > 0 else float("nan")


def least_drops(present: Present, plan: LoadPlan) -> list[Drop]:
    """Return how much less each largest user may take before the tanks it draws from are full.

    Notes
    -----
    The loads of the plan are kept, so that what is not taken is liquefied: its sum over time meets
    the room to the fill limit first in the interval that is told.
    """
    problem, rows = present.problem, []
    nodes = problem.nodes
    for node, line, flow in zip(
        present.trips.node.tolist(), present.trips.line.tolist(), present.trips.flow.tolist(),
        strict=True,
    ):  # fmt: skip
        taken = plan.flow[line] if line >= 0 else np.full(problem.count, flow)
        used = np.cumsum(taken) * problem.interval_s
        room = np.maximum(nodes.most[node] - plan.stock[node, 1:], 0.0)
        share = np.where(used > 0, room / np.where(used > 0, used, 1.0), np.inf)
        at = int(np.argmin(share))
        least = float(share[at])
        rows.append(Drop(line, node, least if least <= 1 else float("inf"), at))
    return rows


def trips(present: Present, plan: LoadPlan) -> list[Trip]:
    """Return for each tank farm the worst interval of a plan for a trip of its largest user.

    Notes
    -----
    The formula is that of the present headroom, `twin.chlorine.headroom`: with no limit of the
    liquefaction times are the shortest. Absorbed is the whole flow of the user.
    """
    problem, rows = present.problem, []
    nodes, lines = problem.nodes, problem.lines
    excess = np.asarray(figure("chlorine.absorber_excess", "fraction"))
    for node, line, user, flow, caustic in zip(
        present.trips.node.tolist(), present.trips.line.tolist(), present.trips.user,
        present.trips.flow.tolist(), present.trips.caustic.tolist(), strict=True,
    ):  # fmt: skip
        stock = plan.stock[:, :-1]
        taken = plan.flow[line] if line >= 0 else np.full(problem.count, flow)
        inflow = plan.flow[lines.to == node].sum(axis=0) + max(nodes.net[node], 0.0)
        draw = plan.flow[lines.origin == node].sum(axis=0) + max(-nodes.net[node], 0.0)
        full_s = user_trip(nodes.most[node] - stock[node], inflow, draw, taken, np.array(np.inf))
        lasting = absorber_time(stock[caustic], taken, excess) if caustic >= 0 else full_s * np.nan
        worst = int(np.argmin(full_s))
        rows.append(Trip(node, user, worst, float(full_s[worst]), float(lasting[worst])))
    return rows


def margins(problem: LoadProblem, plan: LoadPlan) -> list[Margin]:
    """Return how far the flows of each tank may be off, with the loads of the plan kept."""
    nodes, rows = problem.nodes, []
    time_s = (np.arange(problem.count) + 1) * problem.interval_s
    for m in np.flatnonzero(nodes.tank).tolist():
        above = (plan.stock[m, 1:] - nodes.least[m]) / time_s
        below = (nodes.most[m] - plan.stock[m, 1:]) / time_s
        more, less = int(np.argmin(above)), int(np.argmin(below))
        rows.append(Margin(m, float(above[more]), more, float(below[less]), less))
    return rows


def time_to_full(problem: LoadProblem, stock: F64) -> F64:
    """Return when the tanks of each node are at their fill limit first.

    Parameters
    ----------
    problem : LoadProblem
    stock : (M, T + 1) float64 [kg]
        of a plan, or of the present course

    Returns
    -------
    (M,) float64 [s]
        from the beginning, inside an interval by its constant rate; inf = never in the plan's time
    """
    most = problem.nodes.most[:, None]
    room = most - stock
    # A plan that fills a tank meets the limit but for the rounding of the solver.
    full = room[:, 1:] <= TOLERANCE * most
    first = np.argmax(full, axis=1)
    at = np.arange(len(stock))
    rate = ratio(room[at, first] - room[at, first + 1], np.full(len(at), problem.interval_s))
    within = np.nan_to_num(time_left(np.maximum(room[at, first], 0.0), rate))
    return np.where(full.any(axis=1), first * problem.interval_s + within, np.inf)
