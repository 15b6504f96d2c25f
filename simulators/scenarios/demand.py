"""Distribution of chlorine between users and tanks when loads change.

Users take chlorine in proportion to their load, as far as there is any. The surplus of a header is
liquefied; the surplus of a full tank farm goes from liquefaction to the absorber.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.chlorine.headroom import AbsorberSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.process.flows import ComponentNetwork
    from simulators.process.plant import Plant
    from simulators.process.process import ProcessState

CHLORINE = "chlorine"
Fixed = dict[str, dict[int, "F64"]]


@dataclass(frozen=True, slots=True)
class FarmNode:
    """A tank farm of the chlorine network; streams by their index in the network."""

    scope: str
    node: int
    tanks: tuple[int, ...]  # spares apart
    pipes: tuple[int, ...]  # inflows from liquefaction
    other: tuple[int, ...]  # inflows from other farms
    out: tuple[int, ...]
    export: int  # the outflow that brings the farm back to its usual inventory


def chlorine_of(plant: Plant) -> ComponentNetwork:
    """Return the chlorine network of a park that has one."""
    return next(network for network in plant.networks if network.component == CHLORINE)


def find_farm_nodes(plant: Plant) -> tuple[FarmNode, ...]:
    """Return the tank farms of the chlorine network."""
    tanks: dict[int, list[int]] = {}
    for k, at in enumerate(plant.vessels.balance_node):
        if at is not None and at.component == CHLORINE and plant.vessels.group_size[k]:
            tanks.setdefault(at.node, []).append(k)
    farms = []
    for node, mine in tanks.items():
        network = chlorine_of(plant)
        into = [s for s, to in enumerate(network.to) if to == node]
        pipes = [s for s in into if network.origin[s] not in tanks and network.free[s]]
        out = [s for s, origin in enumerate(network.origin) if origin == node]
        # Road tankers can be sent to the market more or less at will.
        export = max(out, key=lambda s: (network.to[s] < 0, network.nominal[s]))
        other = tuple(s for s in into if s not in pipes)
        name = network.nodes[node]
        farms.append(FarmNode(name, node, tuple(mine), tuple(pipes), other, tuple(out), export))
    return tuple(farms)


def component_flow(network: ComponentNetwork, state: ProcessState) -> F64:
    """Return the flows of the component of a network, (n, s) [kg/s]."""
    return np.asarray(state.flow[:, list(network.streams)] * network.fraction)


def demands(plant: Plant, usual: ProcessState, load: Callable[[str], F64 | None]) -> Fixed:
    """Return the flows set by the loads of their users, by component and stream, (n,) [kg/s].

    `load` returns the load of a scope relative to the usual one, (n,) [1], None where unchanged.
    """
    fixed: Fixed = {}
    burnt: dict[str, F64] = {}
    for other in plant.networks:
        if other.component != CHLORINE:
            fixed[other.component] = _cut(plant, other, usual, load, burnt)
    network = chlorine_of(plant)
    sinks = {"atmosphere", *(row.scope for row in plant.park.rows(AbsorberSpec))}
    relief = {s for s, i in enumerate(network.streams) if plant.park.streams[i].to in sinks}
    flow = component_flow(network, usual)
    chlorine: dict[int, F64] = {}
    for s, to in enumerate(network.to):
        if to < 0 or network.gives(to) or s in relief:
            continue
        factor = load(network.nodes[to])
        part = burnt.get(network.nodes[to], np.ones(len(flow)))
        chlorine[s] = flow[:, s] * (part if factor is None else np.minimum(part, factor))
    farms = {farm.node for farm in find_farm_nodes(plant)}
    for s, origin in enumerate(network.origin):
        if origin in farms and s not in chlorine:
            chlorine[s] = _withdrawal(network, s, flow, chlorine, farms)
    fixed[CHLORINE] = chlorine
    return fixed


def _cut(
    plant: Plant,
    network: ComponentNetwork,
    usual: ProcessState,
    load: Callable[[str], F64 | None],
    burnt: dict[str, F64],
) -> dict[int, F64]:
    """Return the flows of another component to users whose load changes, (n,) [kg/s] by stream.

    `burnt` gets the relative load of the burners that make it, (n,) [1] by scope.
    """
    flow = component_flow(network, usual)
    fixed, less = {}, np.zeros((len(flow), len(network.nodes)))
    for s, to in enumerate(network.to):
        if to < 0 or network.gives(to) or network.free[s] == network.demand_driven:
            continue
        factor = load(network.nodes[to])
        if factor is not None:
            fixed[s] = flow[:, s] * factor
            if network.origin[s] >= 0:
                less[:, network.origin[s]] += flow[:, s] - fixed[s]
    burners = {
        r.scope for r in plant.reactions if (r.component, r.driver) == ("hydrogen", CHLORINE)
    }
    for s, origin in enumerate(network.origin):
        scope = network.nodes[origin] if origin >= 0 else ""
        makes = any(r.makes and (r.scope, r.component) == (scope, network.component)
                    for r in plant.reactions)  # fmt: skip
        if scope in burners and makes and network.to[s] >= 0 and less[:, network.to[s]].any():
            burnt[scope] = np.clip(1 - less[:, network.to[s]] / flow[:, s], 0.0, 1.0)
    return fixed


def _withdrawal(
    network: ComponentNetwork, s: int, flow: F64, fixed: Mapping[int, F64], farms: set[int]
) -> F64:
    """Return the outflow of a farm in a stream, (n,) [kg/s].

    That to a vaporiser is the demand of its users, any other as usual.
    """
    to = network.to[s]
    out = [i for i, origin in enumerate(network.origin) if origin == to]
    if to < 0 or to in farms or not all(i in fixed for i in out):
        return np.asarray(flow[:, s])
    into = [i for i, end in enumerate(network.to) if end == to]
    share = flow[:, s] / flow[:, into].sum(axis=1)
    return np.asarray(share * np.sum([fixed[i] for i in out], axis=0))


def limit_to_supply(plant: Plant, fixed: Mapping[int, F64], state: ProcessState) -> dict[int, F64]:
    """Return the fixed flows, reduced where a header has less chlorine than they need."""
    network = chlorine_of(plant)
    throughput = state.throughput[CHLORINE]
    given = dict(fixed)
    free = {origin for s, origin in enumerate(network.origin) if s not in fixed}
    for node in free - {-1}:
        mine = [s for s in fixed if network.origin[s] == node]
        need = np.sum([fixed[s] for s in mine], axis=0)
        part = np.clip(throughput[:, node] / np.where(need > 0, need, 1.0), 0.0, 1.0)
        given.update({s: fixed[s] * part for s in mine})
    return given


def surplus(plant: Plant, farm: FarmNode, state: ProcessState) -> F64:
    """Return the surplus of a farm over the usual accumulation in its tanks, (n,) [kg/s]."""
    flow = component_flow(chlorine_of(plant), state)
    return np.asarray(
        state.throughput[CHLORINE][:, farm.node] - flow[:, list(farm.out)].sum(axis=1)
    )
