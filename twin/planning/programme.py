"""A load plan as a mixed-integer linear programme: its columns and rows.

Inside it a mass is in tonnes, a flow in tonnes an interval, a power in megawatts, so that all
numbers are of like size: the tolerances of the solver are absolute.

References
----------
.. [1] D. Rajan, S. Takriti, Minimum up/down polytopes of the unit commitment problem with start-up
   costs, IBM Research Report RC23628, 2005: the rows of least times up and down.
.. [2] F. S. Hillier, G. J. Lieberman, Introduction to Operations Research, 10th ed., McGraw-Hill
   2015, section 8.4 (elastic constraints by artificial variables), chapter 12 (integer programmes).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from twin.arrays import BOOL, F64, I64
from twin.planning.problem import PIECES, LoadProblem, pieces

TONNE, MEGAWATT = 1e3, 1e6
Term = tuple[I64, F64 | float]  # columns (n,), coefficients


@dataclass(frozen=True, slots=True)
class Unknowns:
    """Places of the unknowns; N in all."""

    piece: I64  # (E, P, T) [1] load of each piece above the least load
    on: I64  # (E, T) 1 = runs
    start: I64  # (E, T) 1 = starts
    move: I64  # (E, T) [1] change of load
    flow: I64  # (L, T) [t]
    stock: I64  # (M, T) [t] at the end of an interval; -1 without a tank
    peak: I64  # (B,) [MW]
    excess: I64  # (B,) [MW] of the peak above what is contracted

    @property
    def count(self) -> int:
        """The number of columns, N."""
        return int(sum((a >= 0).sum() for a in (self.piece, self.on, self.start, self.move,
                                                self.flow, self.stock, self.peak,
                                                self.excess)))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Programme:
    """Least cost @ x with rows @ x <= upper, or = where equal, and low <= x <= high.

    Rows and bounds have a kind, like ``stock_full``, the place of their subject and an interval.
    """

    columns: Unknowns
    cost: F64  # (N,) [CNY]
    low: F64  # (N,)
    high: F64  # (N,)
    integer: BOOL  # (N,)
    entries: tuple[I64, I64, F64]  # row, column, coefficient of what is not zero
    upper: F64  # (R,)
    equal: BOOL  # (R,)
    kind: tuple[str, ...]  # (R,)
    subject: I64  # (R,)
    interval: I64  # (R,)


@dataclass(slots=True)
class _Rows:
    """Rows in the making."""

    count: int = 0
    entries: list[tuple[I64, I64, F64]] = field(default_factory=list)
    upper: list[F64] = field(default_factory=list)
    equal: list[BOOL] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    subject: list[I64] = field(default_factory=list)
    interval: list[I64] = field(default_factory=list)

    def add(
        self, kind: str, subject: int, interval: I64, upper: F64 | float, terms: list[Term],
        *, equal: bool = False,
    ) -> None:  # fmt: skip
        """Add a row for each interval: the sum of the terms is at most, or equal to, a bound."""
        n = len(interval)
        for columns, coefficients in terms:
            row = self.count + np.arange(n)
            full = np.array(np.broadcast_to(coefficients, (n,)), np.float64)
            keep = (columns >= 0) & (full != 0)
            self.entries.append((row[keep], columns[keep], full[keep]))
        self.upper.append(np.array(np.broadcast_to(upper, (n,)), np.float64))
        self.equal.append(np.full(n, equal))
        self.kind.extend([kind] * n)
        self.subject.append(np.full(n, subject))
        self.interval.append(np.asarray(interval, np.int64))
        self.count += n

    def add_sum(self, kind: str, subject: int, first: int, upper: float, terms: list[Term],
                *, equal: bool = False) -> None:  # fmt: skip
        """Add one row, the sum over all columns of the terms; its interval is the first of them."""
        row = self.count
        self.add(kind, subject, np.array([first]), upper, [], equal=equal)
        for columns, coefficients in terms:
            full = np.array(np.broadcast_to(coefficients, columns.shape), np.float64)
            self.entries.append((np.full(columns.size, row), columns.ravel(), full.ravel()))


def compile_programme(problem: LoadProblem) -> Programme:
    """Return the programme of a load plan.

    Parameters
    ----------
    problem : LoadProblem
        E units, L lines, M nodes, B sites, T intervals

    Returns
    -------
    Programme
        N columns, R rows; a unit that may be stopped has an integer each interval, with the rows of
        its least times up and down [1]_
    """
    columns = _columns(problem)
    rows = _Rows()
    for e in range(len(problem.units.name)):
        _unit_rows(problem, columns, rows, e)
    _flow_rows(problem, columns, rows)
    _stock_rows(problem, columns, rows)
    _site_rows(problem, columns, rows)
    low, high = _bounds(problem, columns)
    integer = np.zeros(columns.count, dtype=bool)
    integer[columns.on[problem.units.stops]] = True
    row, column, coefficient = (np.concatenate(part) for part in zip(*rows.entries, strict=True))
    return Programme(
        columns=columns,
        cost=_cost(problem, columns),
        low=low,
        high=high,
        integer=integer,
        entries=(row, column, coefficient),
        upper=np.concatenate(rows.upper),
        equal=np.concatenate(rows.equal),
        kind=tuple(rows.kind),
        subject=np.concatenate(rows.subject),
        interval=np.concatenate(rows.interval),
    )


def _columns(problem: LoadProblem) -> Unknowns:
    """Return the places of the unknowns."""
    n_units, n_lines, t = len(problem.units.name), len(problem.lines.name), problem.count
    tanks = problem.nodes.tank
    shapes = [(n_units, PIECES, t), *[(n_units, t)] * 3, (n_lines, t), (int(tanks.sum()), t),
              *[(len(problem.sites.name),)] * 2]  # fmt: skip
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    parts = [
        np.arange(start, stop).reshape(shape)
        for start, stop, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
    ]
    stock = np.full((len(tanks), t), -1)
    stock[tanks] = parts[5]
    piece, on, start, move, flow, _, peak, excess = parts
    return Unknowns(piece, on, start, move, flow, stock, peak, excess)


def _load(problem: LoadProblem, columns: Unknowns, e: int, factor: F64 | float = 1.0) -> list[Term]:
    """Return the terms of a unit's load, times a factor."""
    pieces_ = [(columns.piece[e, p], factor) for p in range(PIECES)]
    return [(columns.on[e], problem.units.low[e] * factor), *pieces_]


def _power(problem: LoadProblem, columns: Unknowns, e: int) -> list[Term]:
    """Return the terms of a unit's power [MW]."""
    units = problem.units
    low, slope = units.low[e], pieces(units)[1][e] / MEGAWATT
    least = (units.linear[e] * low + units.square[e] * low**2) / MEGAWATT
    return [(columns.on[e], least), *((columns.piece[e, p], slope[p]) for p in range(PIECES))]


def _before(terms: list[Term]) -> list[Term]:
    """Return terms one interval earlier, subtracted; before the first there is no column."""
    return [(np.concatenate([[-1], at[:-1]]), -np.asarray(factor)) for at, factor in terms]


def _unit_rows(problem: LoadProblem, columns: Unknowns, rows: _Rows, e: int) -> None:
    """Add the rows of a unit: its ramp, its mean load, its starts and stops."""
    units, every = problem.units, np.arange(problem.count)
    load, on, start = _load(problem, columns, e), columns.on[e], columns.start[e]
    move, first = columns.move[e], (every == 0).astype(np.float64)
    # On a start or a stop the load may be the least, or what the ramp allows from nothing.
    step = max(units.low[e], min(units.ramp[e], units.high[e]))
    prior = _before(load)
    stopping: list[Term] = [(start, -step), (on, step), *_before([(on, step)])]
    rows.add("ramp", e, every, first, [*load, *prior, (move, -1.0), (start, -step)])
    back = [(at, -np.asarray(factor)) for at, factor in (*load, *prior)]
    rows.add("ramp", e, every, -first + first * step, [*back, (move, -1.0), *stopping])
    if units.stops[e]:
        _switch_rows(problem, columns, rows, e)
    if units.steady[e]:
        length = problem.steady_intervals
        for begin in range(0, problem.count, length):
            during = slice(begin, begin + length)
            terms = [(at[during], factor) for at, factor in load]
            rows.add_sum("steady", e, begin, float(len(every[during])), terms, equal=True)


def _switch_rows(problem: LoadProblem, columns: Unknowns, rows: _Rows, e: int) -> None:
    """Add the rows of a unit that may be stopped: it runs when the plan begins."""
    units, every = problem.units, np.arange(problem.count)
    on, start, first = columns.on[e], columns.start[e], (every == 0).astype(np.float64)
    width = pieces(units)[0][e]
    for p in range(PIECES):
        rows.add("high", e, every, 0.0, [(columns.piece[e, p], 1.0), (on, -width[p])])
    # Only a unit that ran before and runs now changes its load.
    most, move = min(units.ramp[e], units.high[e]), columns.move[e]
    rows.add("switch", e, every, most * first, [(move, 1.0), *_before([(on, most)])])
    rows.add("switch", e, every, 0.0, [(move, 1.0), (on, -most)])
    rows.add("switch", e, every, first, [(on, 1.0), (start, -1.0), *_before([(on, 1.0)])])
    rows.add("switch", e, every, 0.0, [(start, 1.0), (on, -1.0)])
    rows.add("switch", e, every, 1 - first, [(start, 1.0), *_before([(on, -1.0)])])
    up, down = int(units.least_up[e]), int(units.least_down[e])
    for at in range(problem.count):
        started = start[max(at - up + 1, 0) : at + 1]
        rows.add_sum("switch", e, at, 0.0, [(started, 1.0), (on[at : at + 1], -1.0)])
        started, since = start[max(at - down + 1, 0) : at + 1], max(at - down, -1)
        ran = [(on[since : since + 1], 1.0)] if since >= 0 else []
        rows.add_sum("switch", e, at, float(since >= 0), [(started, 1.0), *ran])


def _flow_rows(problem: LoadProblem, columns: Unknowns, rows: _Rows) -> None:
    """Add the balance of each node, and the demand of each user."""
    nodes, lines, every = problem.nodes, problem.lines, np.arange(problem.count)
    hour = problem.interval_s / TONNE
    for m in range(len(nodes.name)):
        terms: list[Term] = []
        for sign, ends in ((1.0, lines.to), (-1.0, lines.origin)):
            terms += [(columns.flow[i], sign) for i in np.flatnonzero(ends == m).tolist()]
        for e in np.flatnonzero(nodes.made[m]).tolist():
            terms += _load(problem, columns, e, nodes.made[m, e] * hour)
        bound = np.full(problem.count, -nodes.net[m] * hour)
        if nodes.tank[m]:
            terms += [(columns.stock[m], -1.0), *_before([(columns.stock[m], -1.0)])]
            bound[0] -= nodes.stock[m] / TONNE
        rows.add("balance", m, every, bound, terms, equal=True)
    demands = problem.demands
    for g in range(len(demands.name)):
        served = [columns.flow[i] for i in np.flatnonzero(lines.group == g).tolist()]
        total, low, high = demands.total[g] * hour, demands.low[g], demands.high[g]
        if low == high:
            rows.add("use", g, every, total, [(at, 1.0) for at in served], equal=True)
            continue
        rows.add("use_high", g, every, high * total, [(at, 1.0) for at in served])
        rows.add("use_low", g, every, -low * total, [(at, -1.0) for at in served])
        for begin in range(0, problem.count, problem.steady_intervals):
            during = slice(begin, begin + problem.steady_intervals)
            rows.add_sum("use_day", g, begin, total * len(every[during]),
                         [(at[during], 1.0) for at in served], equal=True)  # fmt: skip


def _stock_rows(problem: LoadProblem, columns: Unknowns, rows: _Rows) -> None:
    """Add the limits of the tanks: the headroom that stays, the least, and that at the end."""
    nodes, every = problem.nodes, np.arange(problem.count)
    for m in np.flatnonzero(nodes.tank).tolist():
        stock = columns.stock[m]
        most, least = (nodes.most[m] - nodes.reserve[m]) / TONNE, nodes.least[m] / TONNE
        rows.add("stock_full", m, every, most, [(stock, 1.0)])
        rows.add("stock_empty", m, every, -least, [(stock, -1.0)])
        if np.isfinite(nodes.end[m]):
            rows.add("stock_end", m, every[-1:], -nodes.end[m] / TONNE, [(stock[-1:], -1.0)])


def _site_rows(problem: LoadProblem, columns: Unknowns, rows: _Rows) -> None:
    """Add the limit of power, the peak, and the green share of each site."""
    sites, lines, every = problem.sites, problem.lines, np.arange(problem.count)
    for b in range(len(sites.name)):
        terms: list[Term] = []
        for e in np.flatnonzero(problem.units.site == b).tolist():
            terms += _power(problem, columns, e)
        for i in np.flatnonzero((lines.site == b) & (lines.energy != 0)).tolist():
            terms.append((columns.flow[i], lines.energy[i] * TONNE / problem.interval_s / MEGAWATT))
        other = sites.other[b] / MEGAWATT
        if np.isfinite(sites.limit[b]):
            rows.add("power", b, every, sites.limit[b] / MEGAWATT - other, terms)
        if np.isfinite(sites.least[b]):
            back: list[Term] = [(at, -np.asarray(factor)) for at, factor in terms]
            rows.add("own_power", b, every, other - sites.least[b] / MEGAWATT, back)
        if sites.demand_price[b]:
            peak = (np.full(problem.count, columns.peak[b]), -1.0)
            rows.add("peak", b, every, -other, [*terms, peak])
        if sites.excess_price[b]:
            allowed = max(sites.excess_over[b], sites.peak[b]) / MEGAWATT
            above = (np.full(problem.count, columns.excess[b]), -1.0)
            rows.add("excess", b, every, allowed - other, [*terms, above])
        # The share that the contract leaves open is for the green energy besides.
        lacking = sites.green_least[b] - sites.green_share[b]
        if lacking > 0:
            green = sites.green[b] / MEGAWATT / problem.interval_s - lacking * other.sum()
            each: list[Term] = [(at, lacking * np.asarray(factor)) for at, factor in terms]
            rows.add_sum("green", b, 0, float(green), each)


def _bounds(problem: LoadProblem, columns: Unknowns) -> tuple[F64, F64]:
    """Return the least and the most of each unknown."""
    units, lines, hour = problem.units, problem.lines, problem.interval_s / TONNE
    low, high = np.zeros(columns.count), np.full(columns.count, np.inf)
    low[columns.on[~units.stops]] = 1.0
    high[columns.on] = 1.0
    high[columns.start] = units.stops[:, None]
    high[columns.move] = np.minimum(units.ramp, units.high)[:, None]
    high[columns.piece] = pieces(units)[0][:, :, None]
    low[columns.flow], high[columns.flow] = (
        (lines.low * hour)[:, None],
        (lines.high * hour)[:, None],
    )
    low[columns.stock[problem.nodes.tank]] = -np.inf
    low[columns.peak] = problem.sites.peak / MEGAWATT
    return low, high


def _cost(problem: LoadProblem, columns: Unknowns) -> F64:
    """Return the cost of each unknown [CNY]; what does not depend on the plan is left out."""
    units, sites, lines = problem.units, problem.sites, problem.lines
    cost = np.zeros(columns.count)
    energy = sites.price * problem.interval_s  # [CNY/W]
    for e in range(len(units.name)):
        for at, power in _power(problem, columns, e):
            cost[at] += power * MEGAWATT * energy[units.site[e]]
    cost[columns.start] = units.start_cost[:, None]
    cost[columns.move] = units.move_cost[:, None]
    paid = sites.price[lines.site] * lines.energy[:, None] - lines.value[:, None]
    cost[columns.flow] = paid * TONNE
    cost[columns.peak] = sites.demand_price * MEGAWATT
    cost[columns.excess] = sites.excess_price * MEGAWATT
    return cost


def elastic(programme: Programme, kinds: frozenset[str]) -> Programme:
    """Return the programme in which rows of some kinds may be broken, at a cost of nothing else.

    Parameters
    ----------
    programme : Programme
        R rows, N columns
    kinds : set of str

    Returns
    -------
    Programme
        N + n columns: two for each row that may be broken, above its bound and, of an equation,
        below; the least sum of them, in shares of the bound, says what contradicts itself [2]_
    """
    row, column, coefficient = programme.entries
    soft = np.flatnonzero([kind in kinds for kind in programme.kind])
    both = np.concatenate([soft, soft[programme.equal[soft]]])
    sign = np.concatenate([np.full(len(soft), -1.0), np.full(len(both) - len(soft), 1.0)])
    n_old = len(programme.cost)
    weight = 1 / np.maximum(np.abs(programme.upper[both]), 1.0)
    return replace(
        programme,
        cost=np.concatenate([np.zeros(n_old), weight]),
        low=np.concatenate([programme.low, np.zeros(len(both))]),
        high=np.concatenate([programme.high, np.full(len(both), np.inf)]),
        integer=np.concatenate([programme.integer, np.zeros(len(both), dtype=bool)]),
        entries=(
            np.concatenate([row, both]),
            np.concatenate([column, n_old + np.arange(len(both))]),
            np.concatenate([coefficient, sign]),
        ),
    )
