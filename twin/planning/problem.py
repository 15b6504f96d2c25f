"""A load plan as arrays: units that can change their load, what they make, and what limits them.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   the line U = U0 + K j of a cell, so that its power is convex in its load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import BOOL, F64, I64

# Straight pieces of a unit's power over its load: the error falls with the square of their number.
PIECES = 6


@dataclass(frozen=True, slots=True)
class Units:
    """E electrolysers or potlines that run now; a load of 1 is the present one."""

    name: tuple[str, ...]
    low: F64  # (E,) [1] least and
    high: F64  # (E,) [1] most load of a running unit; low <= 1 <= high
    ramp: F64  # (E,) [1] most change of load from one interval to the next; inf = any
    stops: BOOL  # (E,) may be stopped
    least_up: I64  # (E,) intervals it runs at least once started, and
    least_down: I64  # (E,) stands once stopped
    start_cost: F64  # (E,) [CNY] of a start
    move_cost: F64  # (E,) [CNY] of a change of load by 1
    linear: F64  # (E,) [W] power = linear * load + square * load²
    square: F64  # (E,) [W] >= 0
    steady: BOOL  # (E,) has the present load on the mean of each period
    site: I64  # (E,) place among the sites


@dataclass(frozen=True, slots=True)
class Nodes:
    """M places where a component is balanced; those without a tank keep nothing."""

    name: tuple[tuple[str, str], ...]  # component, scope
    made: F64  # (M, E) [kg/s] that a unit at load 1 makes there
    net: F64  # (M,) [kg/s] in less out of all flows that stay as they are
    tank: BOOL  # (M,) has tanks
    stock: F64  # (M,) [kg] at the beginning
    least: F64  # (M,) [kg]
    most: F64  # (M,) [kg] at the fill limit
    reserve: F64  # (M,) [kg] headroom that stays free below it
    end: F64  # (M,) [kg] least at the end; -inf = any


@dataclass(frozen=True, slots=True)
class Lines:
    """L flows that the plan may set, from one node to another or to a user."""

    name: tuple[str, ...]
    origin: I64  # (L,) place among the nodes; -1 = outside
    to: I64  # (L,) the same
    low: F64  # (L,) [kg/s]
    high: F64  # (L,) [kg/s]
    now: F64  # (L,) [kg/s]
    energy: F64  # (L,) [J/kg] electricity it takes
    value: F64  # (L,) [CNY/kg] that it saves at its end
    group: I64  # (L,) place among the demands; -1 = none
    site: I64  # (L,) place among the sites


@dataclass(frozen=True, slots=True)
class Demands:
    """G users of a component, each served by all lines of its group together.

    One whose band is not 1 to 1 may move its use inside it, and takes as much in each period.
    """

    name: tuple[tuple[str, str], ...]  # component, plant
    total: F64  # (G,) [kg/s]
    low: F64  # (G,) [1] least and
    high: F64  # (G,) [1] most of the total; low <= 1 <= high


@dataclass(frozen=True, slots=True)
class Sites:
    """B sites that buy electricity by a meter each, over T intervals."""

    name: tuple[str, ...]
    price: F64  # (B, T) [CNY/J] >= 0
    other: F64  # (B, T) [W] bought besides that of the units and lines
    limit: F64  # (B,) [W] most power; inf = none
    least: F64  # (B,) [W] least power: own generation stays; -inf = any
    peak: F64  # (B,) [W] most power of the month so far
    demand_price: F64  # (B,) [CNY/W] of more than that
    excess_over: F64  # (B,) [W] above which a new peak costs more; inf = none
    excess_price: F64  # (B,) [CNY/W] besides `demand_price`
    green_least: F64  # (B,) [1] share of the energy that must be green
    green_share: F64  # (B,) [1] share of what is bought that is green by contract
    green: F64  # (B,) [J] green energy besides


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """What a load plan is made of: T intervals of equal length."""

    interval_s: float
    steady_intervals: int  # of a period with a mean load
    units: Units
    nodes: Nodes
    lines: Lines
    demands: Demands
    sites: Sites

    @property
    def count(self) -> int:
        """The number of intervals, T."""
        return int(self.sites.price.shape[1])


def unit_power(units: Units, load: F64) -> F64:
    """Return the power of units.

    Parameters
    ----------
    units : Units
        E of them
    load : (..., E, T) float64 [1]
        0 = stopped

    Returns
    -------
    (..., E, T) float64 [W]
        of the straight voltage line [1]_, no piece of it straightened
    """
    return np.asarray(units.linear[:, None] * load + units.square[:, None] * load**2)


def site_power(problem: LoadProblem, load: F64, flow: F64) -> F64:
    """Return the power that each site buys.

    Parameters
    ----------
    problem : LoadProblem
    load : (E, T) float64 [1]
    flow : (L, T) float64 [kg/s]

    Returns
    -------
    (B, T) float64 [W]
    """
    power = problem.sites.other.copy()
    np.add.at(power, problem.units.site, unit_power(problem.units, load))
    np.add.at(power, problem.lines.site, problem.lines.energy[:, None] * flow)
    return power


def stocks(problem: LoadProblem, load: F64, flow: F64) -> F64:
    """Return the inventories at the edges of the intervals.

    Parameters
    ----------
    problem : LoadProblem
    load : (E, T) float64 [1]
    flow : (L, T) float64 [kg/s]

    Returns
    -------
    (M, T + 1) float64 [kg]
        at a node without a tank what is left over, which is 0
    """
    nodes, lines = problem.nodes, problem.lines
    gain = nodes.made @ load + nodes.net[:, None]
    for ends, sign in ((lines.to, 1.0), (lines.origin, -1.0)):
        at = np.flatnonzero(ends >= 0)
        np.add.at(gain, ends[at], sign * flow[at])
    edges = np.concatenate([np.zeros((len(gain), 1)), np.cumsum(gain, axis=1)], axis=1)
    return np.asarray(np.where(nodes.tank, nodes.stock, 0.0)[:, None] + edges * problem.interval_s)


def plan_cost(problem: LoadProblem, load: F64, flow: F64) -> F64:
    """Return what the intervals cost each site.

    Parameters
    ----------
    problem : LoadProblem
    load : (E, T) float64 [1]
    flow : (L, T) float64 [kg/s]

    Returns
    -------
    (B,) float64 [CNY]
        electricity, new peak, starts and changes of load, less what hydrogen brings
    """
    units, sites, lines = problem.units, problem.sites, problem.lines
    power = site_power(problem, load, flow)
    cost = (sites.price * power).sum(axis=1) * problem.interval_s
    most = power.max(axis=1)
    cost += sites.demand_price * np.maximum(most - sites.peak, 0.0)
    cost += sites.excess_price * np.maximum(most - np.maximum(sites.excess_over, sites.peak), 0.0)
    before = np.concatenate([np.ones((len(load), 1)), load[:, :-1]], axis=1)
    starts = ((load > 0) & (before == 0)).sum(axis=1)
    # A stop and a start are no change of load: the start has its own cost.
    moved = np.where((load > 0) & (before > 0), np.abs(load - before), 0.0).sum(axis=1)
    np.add.at(cost, units.site, units.start_cost * starts + units.move_cost * moved)
    np.add.at(cost, lines.site, -lines.value * flow.sum(axis=1) * problem.interval_s)
    return np.asarray(cost)


def pieces(units: Units) -> tuple[F64, F64, F64]:
    """Return the straight pieces of the power of units, between their least and most load.

    Parameters
    ----------
    units : Units
        E of them, with the power of [1]_

    Returns
    -------
    width : (E, P) float64 [1]
        of each piece; the present load is an end of two of them
    slope : (E, P) float64 [W]
        chords of the convex curve, so they never fall short of it
    error : (E,) float64 [W]
        by which they exceed it at most: square * width² / 4
    """
    width = np.zeros((len(units.low), PIECES))
    for e, (low, high) in enumerate(zip(units.low.tolist(), units.high.tolist(), strict=True)):
        below = round(PIECES * (1 - low) / (high - low)) if high > low else PIECES
        below = min(max(below, int(low < 1)), PIECES - int(high > 1))
        width[e, :below] = (1 - low) / max(below, 1)
        width[e, below:] = (high - 1) / max(PIECES - below, 1)
    edges = units.low[:, None] + np.cumsum(np.concatenate([0 * width[:, :1], width], axis=1), 1)
    slope = units.linear[:, None] + units.square[:, None] * (edges[:, 1:] + edges[:, :-1])
    return width, slope, units.square * (width**2).max(axis=1) / 4
