"""Small load plans: two cells, a tank of chlorine and a user, and a checker that shares no code."""

from dataclasses import replace

import numpy as np

from twin.planning.problem import Demands, Lines, LoadProblem, Nodes, Sites, Units

HOUR = 3600.0
T_H = 1000 / HOUR  # kg/s
MWH = 3.6e9  # J
MADE = np.array([1.0, 1.0])  # t/h of each cell at load 1
SPECIFIC = np.array([2.4, 2.6])  # MWh/t


def problem_of(
    prices, *, square=0.0, made=MADE, stock=2.0, most=2.5, use=2.0, band=(1.0, 1.0), **changes
):
    """Return a problem of two cells, hourly prices in CNY/MWh, masses in t, powers in MW."""
    count, power = len(prices), SPECIFIC * made * 1e6
    units = Units(
        name=("A", "B"), low=np.full(2, 0.5), high=np.full(2, 1.5), ramp=np.full(2, np.inf),
        stops=np.zeros(2, bool), least_up=np.ones(2, np.int64), least_down=np.ones(2, np.int64),
        start_cost=np.zeros(2), move_cost=np.zeros(2), linear=power * (1 - square),
        square=power * square, steady=np.zeros(2, bool),
        site=np.zeros(2, np.int64),
    )  # fmt: skip
    nodes = Nodes(
        name=(("chlorine", "farm"),), made=made[None] * T_H, net=np.zeros(1),
        tank=np.ones(1, bool), stock=np.array([stock * 1e3]), least=np.zeros(1),
        most=np.array([most * 1e3]), reserve=np.zeros(1), end=np.array([stock * 1e3]),
    )  # fmt: skip
    lines = Lines(
        name=("pipe",), origin=np.zeros(1, np.int64), to=np.full(1, -1), low=np.zeros(1),
        high=np.full(1, 1e3), now=np.array([use * T_H]), energy=np.zeros(1), value=np.zeros(1),
        group=np.zeros(1, np.int64), site=np.zeros(1, np.int64),
    )  # fmt: skip
    demands = Demands((("chlorine", "user"),), np.array([use * T_H]), *np.array([band]).T)
    sites = Sites(
        name=("site",), price=np.array([prices], float) / MWH, other=np.zeros((1, count)),
        limit=np.full(1, np.inf), least=np.full(1, -np.inf), peak=np.zeros(1),
        demand_price=np.zeros(1), excess_over=np.full(1, np.inf), excess_price=np.zeros(1),
        green_least=np.zeros(1), green_share=np.zeros(1), green=np.zeros(1),
    )  # fmt: skip
    for name, value in changes.items():
        for part in (units, nodes, sites):
            if hasattr(part, name):
                old = getattr(part, name)
                new = np.array(np.broadcast_to(value, old.shape), old.dtype)
                units, nodes, sites = (
                    replace(each, **{name: new}) if each is part else each
                    for each in (units, nodes, sites)
                )
    return LoadProblem(HOUR, 24, units, nodes, lines, demands, sites)


def broken(problem, load, flow, slack=1e-6):
    """Return the limits that loads and flows break, interval by interval, in plain loops."""
    wrong = []

    def check(name, value, bound, scale=1.0):
        if value > bound + slack * max(abs(bound), scale):
            wrong.append((name, value, bound))

    for e in range(len(problem.units.name)):
        _check_unit(problem, load[e], e, check)
    _check_stocks(problem, load, flow, check)
    _check_flows(problem, load, flow, check)
    _check_power(problem, load, flow, check)
    return wrong


def _check_unit(problem, load, e, check):
    u, name = problem.units, problem.units.name[e]
    # It has run for long when the plan begins.
    before, since = 1.0, -1e9
    step = max(u.low[e], min(u.ramp[e], u.high[e]))
    for t, at in enumerate(load.tolist()):
        runs, ran = at > 1e-6, before > 1e-6
        check(f"{name} low {t}", u.low[e], at if runs else np.inf)
        check(f"{name} high {t}", at, u.high[e])
        check(f"{name} stops {t}", float(not runs), float(u.stops[e]))
        check(f"{name} ramp {t}", abs(at - before), u.ramp[e] if runs and ran else step)
        if runs != ran:
            check(f"{name} switches {t}", u.least_up[e] if ran else u.least_down[e], t - since)
            since = t
        before = at
    if u.steady[e]:
        for begin in range(0, problem.count, problem.steady_intervals):
            mean = load[begin : begin + problem.steady_intervals].mean()
            check(f"{name} steady {begin}", abs(mean - 1), 0)


def _check_stocks(problem, load, flow, check):
    n, ln = problem.nodes, problem.lines
    for m, name in enumerate(n.name):
        stock = n.stock[m]
        through = np.abs(n.made[m]).sum() + abs(n.net[m]) + 1e-3
        for t in range(problem.count):
            gain = n.net[m] + n.made[m] @ load[:, t]
            gain += flow[ln.to == m, t].sum() - flow[ln.origin == m, t].sum()
            stock += gain * problem.interval_s
            if n.tank[m]:
                check(f"{name} full {t}", stock, n.most[m] - n.reserve[m], 1e3)
                check(f"{name} empty {t}", n.least[m], stock, 1e3)
            else:
                check(f"{name} balance {t}", abs(gain), 0, through)
        if n.tank[m]:
            check(f"{name} end", n.end[m], stock, 1e3)


def _check_flows(problem, load, flow, check):
    ln = problem.lines
    for t in range(problem.count):
        for i, name in enumerate(ln.name):
            check(f"{name} low {t}", ln.low[i], flow[i, t])
            check(f"{name} high {t}", flow[i, t], ln.high[i])
        for g, name in enumerate(problem.demands.name):
            wanted, taken = problem.demands.total[g], flow[ln.group == g, t].sum()
            check(f"{name} least {t}", problem.demands.low[g] * wanted, taken, abs(wanted))
            check(f"{name} most {t}", taken, problem.demands.high[g] * wanted, abs(wanted))
    for g, name in enumerate(problem.demands.name):
        for begin in range(0, problem.count, problem.steady_intervals):
            taken = flow[ln.group == g, begin : begin + problem.steady_intervals].sum(axis=0)
            wanted = problem.demands.total[g] * len(taken)
            check(f"{name} day {begin}", abs(taken.sum() - wanted), 0, abs(wanted))


def _check_power(problem, load, flow, check):
    u, ln, s = problem.units, problem.lines, problem.sites
    # Limits hold for the chords, so that the curves may fall short by their error.
    error = u.square * (u.high - u.low) ** 2 / 4
    for b, name in enumerate(s.name):
        power = s.other[b].copy()
        for e in np.flatnonzero(u.site == b):
            power += u.linear[e] * load[e] + u.square[e] * load[e] ** 2
        for i in np.flatnonzero(ln.site == b):
            power += ln.energy[i] * flow[i]
        check(f"{name} power", power.max(), s.limit[b], 1e6)
        check(f"{name} own power", s.least[b], power.min() + error[u.site == b].sum(), 1e6)
        energy = power.sum() * problem.interval_s
        green = s.green[b] + s.green_share[b] * energy
        check(f"{name} green", s.green_least[b] * energy, green, 1e6)
