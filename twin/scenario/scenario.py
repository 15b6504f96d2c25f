"""What-if: a park with plants tripped or re-rated for hours, from its live state on.

When are the tanks full, how much goes to the absorber or the vent, how much power is shed, how many
road tankers would it take? `twin.scenario.initial_state` gives the live state, `run` simulates all
scenarios at once, and the other functions evaluate the trajectory.

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
from twin.scenario.simulation import Policy, Simulation, Trajectory
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.scenario.initial_state import InitialState
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
    start: InitialState,
    scenarios: Sequence[Sequence[Action]],
    policies: Sequence[Policy],
    *,
    horizon_s: float,
    step_s: float,
) -> Trajectory:
    """Simulate scenarios.

    Parameters
    ----------
    supply : Supply
    start : InitialState
        the present state
    scenarios : N sequences of Action
        of several actions on a plant the least load counts; actions begin and end with a step
    policies : N Policy
        the reaction to a surplus without a route
    horizon_s, step_s : float [s]
        simulated time, and the length of a step; n = horizon / step, rounded up

    Returns
    -------
    Trajectory
        NaN where a flow that is needed is unknown

    Raises
    ------
    ValueError
        there is nothing to compute, or an action is on a scope without a load

    Notes
    -----
    Mass is conserved in every step [2]_: in - out = stock + vented + absorbed at every node, and
    the tanks change by exactly their stock. The uncertainty of the time a tank is full or empty is
    first order [1]_: that of the inventory at this time, over the rate at which it moves.
    """
    # Rounding must not add a step to a whole number of them.
    steps = int(np.ceil(horizon_s / step_s - 1e-9)) if step_s > 0 else 0
    if not scenarios or len(scenarios) != len(policies) or steps < 1:
        raise ValueError("a what-if needs scenarios, a policy for each, and at least one step")
    time_s = np.arange(steps, dtype=np.float64) * step_s
    demanded = np.stack([_demanded(supply, actions, time_s) for actions in scenarios])
    simulation = Simulation(supply, start, policies, demanded, step_s)
    for k in range(steps):
        simulation.step(k)
    return simulation.trajectory()


def _demanded(supply: Supply, actions: Sequence[Action], time_s: F64) -> F64:
    """Return the demanded loads, (n, L) [1]."""
    loads = np.full((len(time_s), len(supply.loads)), np.nan)
    for action in actions:
        chosen = loads_of(supply, action.scope)
        if not chosen:
            raise ValueError(f"nothing in {action.scope!r} has a load")
        during = (time_s >= action.start_s) & (time_s < action.stop_s)
        at = np.ix_(during, np.array(chosen))
        loads[at] = np.fmin(loads[at], action.load)
    return np.where(np.isnan(loads), 1.0, loads)


def accumulated(trajectory: Trajectory, rate: F64) -> F64:
    """Return the amount of a rate since the beginning.

    Parameters
    ----------
    trajectory : Trajectory
        n steps
    rate : (..., n) float64 [kg/s]
        constant in each step; or a power [W]

    Returns
    -------
    (..., n + 1) float64 [kg]
        at the edges of the steps, 0 at first; or an energy [J]
    """
    amount = np.cumsum(rate * np.diff(trajectory.time_s), axis=-1)
    return np.concatenate([np.zeros((*amount.shape[:-1], 1)), amount], axis=-1)


def made(supply: Supply, line: F64, component: str, scope: str) -> F64:
    """Return the production of a component by the electrolysers inside a scope.

    Parameters
    ----------
    supply : Supply
        S lines
    line : (..., S) float64 [kg/s]
        flows of a trajectory, or of its start
    component, scope : str

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


def vent_rate(supply: Supply, trajectory: Trajectory, component: str, scope: str) -> F64:
    """Return the flow of a component from a scope to absorbers and vents.

    Parameters
    ----------
    supply, trajectory : Supply, Trajectory
        N scenarios, n steps
    component, scope : str

    Returns
    -------
    (N, n) float64 [kg/s]
        flow of the lines to vents, and the surplus without another route
    """
    lines = [
        s
        for s, edge in enumerate(supply.edges)
        if edge.sink == "relief"
        and edge.component == component
        and inside(supply.lines[s].origin, scope)
    ]
    nodes = [
        m
        for m, (c, node_scope) in enumerate(supply.nodes)
        if c == component and inside(node_scope, scope)
    ]
    surplus = np.maximum(trajectory.vented[..., nodes], 0.0)
    return np.asarray(trajectory.line[..., lines].sum(axis=-1) + surplus.sum(axis=-1))


def power(supply: Supply, start: InitialState, trajectory: Trajectory) -> F64:
    """Return the power of each electricity meter.

    Parameters
    ----------
    supply, start, trajectory : Supply, InitialState, Trajectory
        Q meters, N scenarios, n steps

    Returns
    -------
    (N, n, Q) float64 [W]
        linear in the loads that the meter covers, around the present; electrolysers weighted by
        their production, other plants by their flow
    """
    fixed = figure("scenario.policy.fixed_power", "fraction")
    result = np.empty((*trajectory.load.shape[:2], len(supply.meters)))
    for number, scope in enumerate(supply.metered):
        weight = _weights(supply, start, scope)
        load = np.ones(trajectory.load.shape[:2])
        for i, part in weight.items():
            load = load + part * (trajectory.load[..., i] - 1)
        result[..., number] = start.power[number] * (fixed + (1 - fixed) * load)
    return result


def _weights(supply: Supply, start: InitialState, scope: str) -> dict[int, float]:
    """Return the loads that a meter of a scope covers, and their shares."""
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


def tankers(supply: Supply, trajectory: Trajectory, m: int) -> F64:
    """Return the number of road tankers that would keep the tanks of a node at their limit.

    Parameters
    ----------
    supply, trajectory : Supply, Trajectory
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
    return np.asarray(np.ceil(accumulated(trajectory, trajectory.excess[..., m]) / payload - 1e-9))


def assumptions(supply: Supply, policies: Sequence[Policy]) -> list[str]:
    """Return the keys of the assumptions of a result; their texts stand in the reference table."""
    moved = any(edge.moved for edge in supply.edges)
    chlorine = any(component == "chlorine" for component, _ in supply.nodes)
    holds = {
        "present_flows": True,
        "load": True,
        "share": len(supply.feeds) > 0 or any(len(lines) > 1 for lines in supply.same),
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
    return [key for key, valid in holds.items() if valid]
