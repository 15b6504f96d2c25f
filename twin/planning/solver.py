"""The cheapest load plan that keeps every limit, the prices of the limits, or what contradicts.

References
----------
.. [1] Q. Huangfu, J. A. J. Hall, Parallelizing the dual revised simplex method, Mathematical
   Programming Computation 10 (2018) 119-142: the solver HiGHS.
.. [2] F. S. Hillier, G. J. Lieberman, Introduction to Operations Research, 10th ed., McGraw-Hill
   2015, section 4.7 (shadow prices) and chapter 12 (integer programmes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from twin.arrays import F64
from twin.planning.problem import LoadProblem, pieces, plan_cost, site_power, stocks
from twin.planning.programme import (
    MEGAWATT,
    TONNE,
    Programme,
    compile_programme,
    elastic,
)

# What may be broken to see what contradicts itself: all that is no physics.
SOFT = frozenset(
    {
        "stock_full",
        "stock_empty",
        "stock_end",
        "power",
        "own_power",
        "green",
        "use",
        "use_low",
        "use_high",
        "use_day",
        "steady",
        "ramp",
        "balance",
    }
)
# Of these one less saves, of all others one more.
LESS = ("use", "use_day")
# A row is broken, or binds, by more than this share of its bound.
TOLERANCE = 1e-6
# The plan may be dearer than the best one by this share [1].
GAP = 1e-4
TIMED_OUT, INFEASIBLE = 1, 2
NOT_IN_TIME = "no plan was met in time"


class Limit(NamedTuple):
    """A limit that binds, or is broken, in an interval."""

    kind: str
    subject: int  # place among units, nodes, lines, demands or sites, by the kind
    interval: int
    price: float  # [CNY per kg, W, J or load] saved by one more in the interval; of `LESS` by less
    amount: float  # [SI] by which it is broken; 0 of one that binds


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A load plan; without one `reason` is not empty, and `broken` says what contradicts."""

    load: F64  # (E, T) [1]
    flow: F64  # (L, T) [kg/s]
    stock: F64  # (M, T + 1) [kg]
    power: F64  # (B, T) [W]
    cost: F64  # (B,) [CNY] by the curves, no piece straightened
    straightened: float  # [CNY] by which the straight pieces may hide a better plan
    gap: float  # [1] share by which an even better plan may be cheaper; 0 = none, NaN = not known
    binding: tuple[Limit, ...]
    given_up: tuple[Limit, ...]  # contents at the end that no plan reaches
    broken: tuple[Limit, ...]
    reason: str


def solve(problem: LoadProblem, time_limit_s: float) -> LoadPlan:
    """Return the cheapest load plan.

    Parameters
    ----------
    problem : LoadProblem
        E units, L lines, M nodes, B sites, T intervals
    time_limit_s : float [s]
        for a search over the integers; when it is over the best plan so far counts

    Returns
    -------
    LoadPlan
        NaN and a reason where no plan keeps all limits, or none was met in time

    Notes
    -----
    HiGHS [1]_ solves the mixed-integer programme, and once more with the integers fixed: the prices
    of the limits are the duals of that linear programme [2]_. Where several limits bind at once the
    price is one of several possible ones. Where nothing but the contents of tanks at the end cannot
    be reached, the plan comes as near as it can, and then costs least.
    """
    programme = compile_programme(problem)
    first = _milp(programme, time_limit_s)
    given_up: tuple[Limit, ...] = ()
    if first.status == INFEASIBLE:
        short, excess = _excess(programme, frozenset({"stock_end"}), time_limit_s)
        if short is not None:
            given_up = _broken(problem, programme, short)
            programme = replace(programme, upper=programme.upper + excess)
            first = _milp(programme, time_limit_s)
    met, gap = first.x, float(first.mip_gap or 0.0)
    if first.status == TIMED_OUT:
        met, gap = _without_stops(programme, first)
    if met is None:
        if first.status == TIMED_OUT:
            return no_plan(problem, NOT_IN_TIME, ())
        contradiction, _ = _excess(programme, SOFT, time_limit_s)
        broken = () if contradiction is None else _broken(problem, programme, contradiction)
        return no_plan(problem, "limits contradict", broken)
    second = _linear(programme, met)
    solution = second.x if second.status == 0 else met
    load, flow = _loads(problem, programme, solution)
    return LoadPlan(
        load=load,
        flow=flow,
        stock=stocks(problem, load, flow),
        power=site_power(problem, load, flow),
        cost=plan_cost(problem, load, flow),
        straightened=_straightened(problem),
        gap=gap if programme.integer.any() else 0.0,
        binding=_binding(problem, programme, second) if second.status == 0 else (),
        given_up=given_up,
        broken=(),
        reason="",
    )


def _matrix(programme: Programme) -> Any:
    row, column, coefficient = programme.entries
    shape = (len(programme.upper), len(programme.cost))
    return csr_array((coefficient, (row, column)), shape=shape)


def _milp(programme: Programme, time_limit_s: float) -> Any:
    """Return the solver's answer with integers."""
    least = np.where(programme.equal, programme.upper, -np.inf)
    return milp(
        programme.cost,
        constraints=LinearConstraint(_matrix(programme), least, programme.upper),
        bounds=Bounds(programme.low, programme.high),
        integrality=programme.integer.astype(np.int64),
        options={"time_limit": time_limit_s, "mip_rel_gap": GAP},
    )


def _linear(programme: Programme, solution: F64) -> Any:
    """Return the solver's answer with the integers of a solution; starts follow them."""
    equal, integer, matrix = programme.equal, programme.integer, _matrix(programme)
    low = np.where(integer, np.rint(solution), programme.low)
    high = np.where(integer, np.rint(solution), programme.high)
    return linprog(
        programme.cost,
        A_ub=matrix[~equal], b_ub=programme.upper[~equal],
        A_eq=matrix[equal], b_eq=programme.upper[equal],
        bounds=np.stack([low, high], axis=1), method="highs",
    )  # fmt: skip


def _without_stops(programme: Programme, answer: Any) -> tuple[F64 | None, float]:
    """Return the cheaper of what was met in time and the best plan without stops, and its gap."""
    running = _linear(programme, np.where(programme.integer, 1.0, 0.0))
    if running.status != 0 or (answer.x is not None and answer.fun <= running.fun):
        return answer.x, float(answer.mip_gap or 0.0)
    bound = answer.mip_dual_bound
    if bound is None or not np.isfinite(bound) or running.fun == 0:
        return running.x, float("nan")
    return running.x, max(float(running.fun - bound) / abs(running.fun), 0.0)


def _loads(problem: LoadProblem, programme: Programme, solution: F64) -> tuple[F64, F64]:
    """Return loads and flows in SI, without the rounding of the solver."""
    columns, units = programme.columns, problem.units
    above = np.clip(solution[columns.piece], 0.0, pieces(units)[0][:, :, None]).sum(axis=1)
    on = np.rint(solution[columns.on])
    load = on * np.minimum(units.low[:, None] + above, units.high[:, None])
    lines = problem.lines
    flow = solution[columns.flow] * TONNE / problem.interval_s
    return load, np.clip(flow, lines.low[:, None], lines.high[:, None])


def _straightened(problem: LoadProblem) -> float:
    """Return the most that straight pieces add to the cost of energy and of a peak [CNY]."""
    units, sites = problem.units, problem.sites
    error = pieces(units)[2]
    energy = float(error @ sites.price[units.site].sum(axis=1)) * problem.interval_s
    return energy + float(error @ sites.demand_price[units.site])


def _binding(problem: LoadProblem, programme: Programme, answer: Any) -> tuple[Limit, ...]:
    """Return the limits that bind with their prices."""
    price = np.zeros(len(programme.upper))
    price[programme.equal] = answer.eqlin.marginals
    price[~programme.equal] = answer.ineqlin.marginals
    scale = _scales(problem)
    limits = [
        Limit(kind, int(programme.subject[row]), int(programme.interval[row]),
              (1 if kind in LESS else -1) * float(price[row]) / scale[kind], 0.0)
        for row, kind in enumerate(programme.kind)
        if kind not in ("balance", "ramp", "switch", "high") and abs(price[row]) > TOLERANCE
    ]  # fmt: skip
    upper, lower = answer.upper.marginals, answer.lower.marginals
    columns, units = programme.columns, problem.units
    # The least load binds at the lowest piece, the most at the last; pieces between have no limit.
    for e, t in np.argwhere(lower[columns.piece[:, 0]] > TOLERANCE).tolist():
        limits.append(Limit("low", e, t, float(lower[columns.piece[e, 0, t]]), 0.0))
    for e, t in np.argwhere(upper[columns.piece[:, -1]] < -TOLERANCE).tolist():
        if not units.stops[e]:
            limits.append(Limit("high", e, t, -float(upper[columns.piece[e, -1, t]]), 0.0))
    for e, t in np.argwhere(upper[columns.move] < -TOLERANCE).tolist():
        limits.append(Limit("ramp", e, t, -float(upper[columns.move[e, t]]), 0.0))
    for i, t in np.argwhere(upper[columns.flow] < -TOLERANCE).tolist():
        limits.append(Limit("line", i, t, -float(upper[columns.flow[i, t]]) / TONNE, 0.0))
    return tuple(limits)


def _scales(problem: LoadProblem) -> dict[str, float]:
    """Return the SI units in a unit of the bound of a row, by kind."""
    return {
        **dict.fromkeys(("stock_full", "stock_empty", "stock_end", "balance"), TONNE),
        **dict.fromkeys(("use", "use_low", "use_high", "use_day"), TONNE),
        **dict.fromkeys(("power", "own_power", "peak", "excess"), MEGAWATT),
        "green": MEGAWATT * problem.interval_s,
        **dict.fromkeys(("steady", "ramp"), 1.0),
    }  # fmt: skip


def _excess(
    programme: Programme, kinds: frozenset[str], time_limit_s: float
) -> tuple[F64 | None, F64]:
    """Return by how much rows of some kinds must be broken, (R,), and the bounds that allow it.

    It is of least shares; None where breaking them helps nothing. Of equations what is missing is
    negative.
    """
    soft = elastic(programme, kinds)
    answer = _milp(soft, time_limit_s)
    if answer.x is None:
        return None, np.zeros(len(programme.upper))
    row, column, sign = soft.entries
    new = column >= len(programme.cost)
    excess = np.zeros(len(programme.upper))
    np.add.at(excess, row[new], -sign[new] * answer.x[column[new]])
    slack = TOLERANCE * np.maximum(np.abs(programme.upper), 1.0)
    excess[np.abs(excess) <= slack] = 0.0
    return excess, np.where(excess != 0, excess + slack, 0.0)


def _broken(problem: LoadProblem, programme: Programme, excess: F64) -> tuple[Limit, ...]:
    """Return the rows that are broken."""
    scale = _scales(problem)
    return tuple(
        Limit(programme.kind[row], int(programme.subject[row]), int(programme.interval[row]),
              0.0, abs(float(excess[row])) * scale[programme.kind[row]])
        for row in np.flatnonzero(excess).tolist()
    )  # fmt: skip


def no_plan(problem: LoadProblem, reason: str, broken: tuple[Limit, ...]) -> LoadPlan:
    """Return that there is no plan."""
    count, nan = problem.count, float("nan")
    lengths = [len(each.name) for each in (problem.units, problem.lines, problem.nodes)]
    return LoadPlan(
        load=np.full((lengths[0], count), nan),
        flow=np.full((lengths[1], count), nan),
        stock=np.full((lengths[2], count + 1), nan),
        power=np.full((len(problem.sites.name), count), nan),
        cost=np.full(len(problem.sites.name), nan),
        straightened=nan,
        gap=nan,
        binding=(),
        given_up=(),
        broken=broken,
        reason=reason,
    )


def broken_now(problem: LoadProblem) -> tuple[Limit, ...]:
    """Return the limits that the present loads and flows break if they go on.

    Parameters
    ----------
    problem : LoadProblem

    Returns
    -------
    tuple of Limit
        each kind and subject once: its first interval, and the most by which it is broken
    """
    if not problem.units.name:
        return ()
    programme = compile_programme(problem)
    point = _present_point(problem, programme)
    value = _matrix(programme) @ point
    excess = np.where(programme.equal, np.abs(value - programme.upper), value - programme.upper)
    row, column, coefficient = programme.entries
    size = np.zeros(len(excess))
    np.maximum.at(size, row, np.abs(coefficient * point[column]))
    over = excess > TOLERANCE * np.maximum(np.maximum(np.abs(programme.upper), size), 1.0)
    limits: dict[tuple[str, int], Limit] = {}
    for each in _broken(problem, programme, np.where(over, excess, 0.0)):
        key = each.kind, each.subject
        first = limits.setdefault(key, each)
        limits[key] = first._replace(amount=max(first.amount, each.amount))
    return tuple(limits.values())


def _present_point(problem: LoadProblem, programme: Programme) -> F64:
    """Return the unknowns of the present loads and flows, (N,)."""
    columns, units, sites = programme.columns, problem.units, problem.sites
    ones = np.ones((len(units.name), problem.count))
    flow = np.repeat(problem.lines.now[:, None], problem.count, axis=1)
    width = pieces(units)[0]
    below = units.low[:, None] + np.cumsum(width, axis=1) - width
    most = site_power(problem, ones, flow).max(axis=1)
    point = np.zeros(columns.count)
    point[columns.piece] = np.clip(1 - below, 0.0, width)[:, :, None]
    point[columns.on] = 1.0
    point[columns.flow] = flow * problem.interval_s / TONNE
    tank = problem.nodes.tank
    point[columns.stock[tank]] = stocks(problem, ones, flow)[tank, 1:] / TONNE
    point[columns.peak] = np.maximum(most, sites.peak) / MEGAWATT
    over = np.maximum(most - np.maximum(sites.excess_over, sites.peak), 0.0)
    point[columns.excess] = over / MEGAWATT
    return point
