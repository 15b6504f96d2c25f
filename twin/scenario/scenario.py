"""What-if: a park with plants tripped or re-rated for hours, from its live state on.

When are the tanks full, what goes to the absorber or the vent, how much power is shed, how many
road tankers would it take? `twin.scenario.initial_state` gives the live state, `run` the courses
of all scenarios at once, the other functions what a shift wants to know of a course.

References
----------
.. [1] JCGM 100:2008 (GUM), 5.1.2: first-order propagation of standard uncertainties.
.. [2] Perry's Chemical Engineers' Handbook, 8th ed., McGraw-Hill 2008, section 2: material
   balances with accumulation, in - out = accumulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.model.park import inside
from twin.reference import figure
from twin.reference import load as load_reference
from twin.scenario.network import loads_of
from twin.scenario.simulation import Course, March, Policy
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.scenario.initial_state import Start
    from twin.scenario.network import Supply


@dataclass(frozen=True, slots=True)
class Action:
    """A load from one time on until another: 0 is a trip, 0.7 a re-rate.

    `scope` is a plant, a unit or the id of an electrolyser.
    """

    scope: str
    load: float
    start_s: float = 0.0
    stop_s: float = np.inf


def run(
    supply: Supply,
    start: Start,
    scenarios: Sequence[Sequence[Action]],
    policies: Sequence[Policy],
    *,
    horizon_s: float,
    step_s: float,
) -> Course:
    """Return what happens in each scenario.

    Parameters
    ----------
    supply : Supply
        S lines, L loads, M nodes, K tanks
    start : Start
        the present state
    scenarios : N sequences of Action
        the least load counts where several actions are about the same plant; actions begin and
        end with a step
    policies : N Policy
        what is done about a surplus with nowhere to go
    horizon_s, step_s : float [s]
        how far to look, and the length of a step; n = horizon / step, rounded up

    Returns
    -------
    Course
        NaN where a flow that is needed is unknown

    Raises
    ------
    ValueError
        there is nothing to compute, or an action is about nothing that has a load

    Notes
    -----
    Mass is conserved in every step [2]_: in - out = stock + relief + absorbed at every node, and
    the tanks change by exactly their stock. The uncertainty of the time a tank is full or empty is
    first order [1]_: that of the inventory at this time, over the rate at which it moves.
    """
    # A whole number of steps but for rounding is that number.
    steps = int(np.ceil(horizon_s / step_s - 1e-9)) if step_s > 0 else 0
    if not scenarios or len(scenarios) != len(policies) or steps < 1:
        raise ValueError("a what-if needs scenarios, a policy for each, and at least one step")
    time_s = np.arange(steps, dtype=np.float64) * step_s
    asked = np.stack([_asked(supply, actions, time_s) for actions in scenarios])
    march = March(supply, start, policies, asked, step_s)
    for k in range(steps):
        march.step(k)
    return march.course()


def _asked(supply: Supply, actions: Sequence[Action], time_s: F64) -> F64:
    """Return the loads that actions ask for, (n, L) [1]."""
    loads = np.full((len(time_s), len(supply.loads)), np.nan)
    for action in actions:
        chosen = loads_of(supply, action.scope)
        if not chosen:
            raise ValueError(f"nothing in {action.scope!r} has a load")
        during = (time_s >= action.start_s) & (time_s < action.stop_s)
        at = np.ix_(during, np.array(chosen))
        loads[at] = np.fmin(loads[at], action.load)
    return np.where(np.isnan(loads), 1.0, loads)


def accumulated(course: Course, rate: F64) -> F64:
    """Return the amount of a rate since the beginning.

    Parameters
    ----------
    course : Course
        n steps
    rate : (..., n) float64 [kg/s]
        constant in each step; or a power [W]

    Returns
    -------
    (..., n + 1) float64 [kg]
        at the edges of the steps, 0 at first; or an energy [J]
    """
    amount = np.cumsum(rate * np.diff(course.time_s), axis=-1)
    return np.concatenate([np.zeros((*amount.shape[:-1], 1)), amount], axis=-1)


def made(supply: Supply, line: F64, component: str, scope: str) -> F64:
    """Return what the electrolysers inside a scope make of a component.

    Parameters
    ----------
    supply : Supply
        S lines
    line : (..., S) float64 [kg/s]
        flows of a course, or of its start
    component, scope : str
        of which component, and where

    Returns
    -------
    (...) float64 [kg/s]
        Faraday's law, so the products of a cell fall together
    """
    chosen = [
        s
        for s, edge in enumerate(supply.edges)
        if edge.source == "cells"
        and edge.component == component
        and inside(supply.lines[s].to, scope)
    ]
    return np.asarray(line[..., chosen].sum(axis=-1))


def relieved(supply: Supply, course: Course, component: str, scope: str) -> F64:
    """Return what a scope gives to absorbers and vents.

    Parameters
    ----------
    supply : Supply
        S lines, M nodes
    course : Course
        N scenarios, n steps
    component, scope : str
        of which component, and where

    Returns
    -------
    (N, n) float64 [kg/s]
        what goes there now and goes on, and the surplus that has nowhere else to go
    """
    lines = [
        s
        for s, edge in enumerate(supply.edges)
        if edge.sink == "relief"
        and edge.component == component
        and inside(supply.lines[s].origin, scope)
    ]
    nodes = [
        m for m, (c, place) in enumerate(supply.nodes) if c == component and inside(place, scope)
    ]
    surplus = np.maximum(course.relief[..., nodes], 0.0)
    return np.asarray(course.line[..., lines].sum(axis=-1) + surplus.sum(axis=-1))


def power(supply: Supply, start: Start, course: Course) -> F64:
    """Return the power of each electricity meter.

    Parameters
    ----------
    supply : Supply
        Q meters
    start : Start
        what they show now
    course : Course
        N scenarios, n steps

    Returns
    -------
    (N, n, Q) float64 [W]
        linear in the load of what the meter stands for, around the present; electrolysers by what
        they make, other plants by what flows through them
    """
    fixed = figure("scenario.policy.fixed_power", "fraction")
    result = np.empty((*course.load.shape[:2], len(supply.meters)))
    for number, scope in enumerate(supply.metered):
        weight = _weights(supply, start, scope)
        load = np.ones(course.load.shape[:2])
        for i, part in weight.items():
            load = load + part * (course.load[..., i] - 1)
        result[..., number] = start.power[number] * (fixed + (1 - fixed) * load)
    return result


def _weights(supply: Supply, start: Start, scope: str) -> dict[int, float]:
    """Return the loads a meter of a scope stands for, and their shares."""
    cells = {e.id for e in supply.network.park.electrolysers}
    chosen = loads_of(supply, scope)
    electric = [i for i in chosen if supply.loads[i] in cells]
    weight = dict.fromkeys(electric or chosen, 0.0)
    for s in range(len(supply.lines)):
        for maker, part in zip(supply.makers[s].tolist(), start.parts[s], strict=True):
            if maker in weight:
                weight[maker] += abs(start.flow[0, s] * part)
        if supply.users[s] in weight:
            weight[int(supply.users[s])] += abs(start.flow[0, s])
    total = sum(weight.values())
    if not total > 0:
        return {i: 1 / len(weight) for i in weight}
    return {i: part / total for i, part in weight.items()}


def tankers(supply: Supply, course: Course, m: int) -> F64:
    """Return how many road tankers would keep the tanks of a node at their limit, all going on.

    Parameters
    ----------
    supply : Supply
        M nodes
    course : Course
        N scenarios, n steps
    m : int
        the node

    Returns
    -------
    (N, n + 1) float64 [1]
        whole tankers since the beginning; NaN for a medium whose payload is not known
    """
    media = {supply.network.park.tanks[k].medium for k in supply.tanks[m].tolist()}
    known = load_reference("logistics")["tanker"]
    payload = np.nan
    if len(media) == 1 and (row := known.get(media.pop())):
        payload = parse_quantity(row["payload"], "mass")
    # A tanker more than full by rounding is no second tanker.
    return np.asarray(np.ceil(accumulated(course, course.excess[..., m]) / payload - 1e-9))


def assumptions(supply: Supply, policies: Sequence[Policy]) -> list[str]:
    """Return the keys of what a result rests on; the texts stand in the reference table.

    `policies` are those of the scenarios.
    """
    moved = any(edge.moved for edge in supply.edges)
    chlorine = any(component == "chlorine" for component, _ in supply.nodes)
    said = {
        "present_flows": True,
        "load": True,
        "capacity": bool(np.isfinite(supply.capacity).any()),
        "unlimited": bool(np.isinf(supply.capacity).any()),
        "road": moved,
        "spare": bool(supply.spare.any()),
        "liquefaction": chlorine,
        "power": len(supply.meters) > 0,
        "tanker": chlorine,
        "absorber": chlorine and not supply.absorbers,
        "response": any(policy.cut for policy in policies),
    }
    return [key for key, holds in said.items() if holds]
