"""Who takes how much chlorine when loads change, and what is left for the tanks.

Users take what their load asks for, the cells give what theirs allows. What is left over in a
header is liquefied; what a tank farm cannot take goes from liquefaction to the absorber.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from simulators.process.flows import Network
    from simulators.process.plant import Plant
    from simulators.process.process import State

CHLORINE = "chlorine"
Fixed = dict[str, dict[int, "F64"]]


@dataclass(frozen=True, slots=True)
class Farm:
    """The tanks of a node of the chlorine network; streams by their place in the network."""

    scope: str
    node: int
    tanks: tuple[int, ...]  # spares apart
    pipes: tuple[int, ...]  # what liquefaction sends
    other: tuple[int, ...]  # what comes in from other farms
    out: tuple[int, ...]
    export: int  # of `out`, what takes more or less when the farm goes back to its usual course


def chlorine_of(plant: Plant) -> Network | None:
    """Return the network of chlorine, None in a park without."""
    return next((n for n in plant.networks if n.component == CHLORINE), None)


def find_farms(plant: Plant) -> tuple[Farm, ...]:
    """Return the tank farms of the chlorine network."""
    network = chlorine_of(plant)
    if network is None:
        return ()
    tanks: dict[int, list[int]] = {}
    for k, place in enumerate(plant.vessels.place):
        if place is not None and place[0] == CHLORINE and plant.vessels.mates[k]:
            tanks.setdefault(place[1], []).append(k)
    found = []
    for node, mine in tanks.items():
        into = [s for s, to in enumerate(network.to) if to == node]
        pipes = [s for s in into if network.origin[s] not in tanks and network.free[s]]
        out = [s for s, origin in enumerate(network.origin) if origin == node]
        # Road tankers can be sent to the market more or less at will.
        export = max(out, key=lambda s: (network.to[s] < 0, network.nominal[s]))
        found.append(
            Farm(
                network.nodes[node],
                node,
                tuple(mine),
                tuple(pipes),
                tuple(s for s in into if s not in pipes),
                tuple(out),
                export,
            )
        )
    return tuple(found)


def component_flow(network: Network, state: State) -> F64:
    """Return the flows of a network's component, (n, s) [kg/s]."""
    return np.asarray(state.flow[:, list(network.streams)] * network.fraction)


def demands(plant: Plant, usual: State, load: Callable[[str], F64 | None]) -> Fixed:
    """Return the flows that the loads of their users fix, by component and stream.

    `load` tells the load of a scope on top of the usual one, (n,) [1], None where it is that.
    """
    fixed: Fixed = {}
    burnt: dict[str, F64] = {}
    for other in plant.networks:
        if other.component != CHLORINE:
            fixed[other.component] = _cut(plant, other, usual, load, burnt)
    network = chlorine_of(plant)
    if network is None:
        return fixed
    relief = reliefs(plant, network)
    flow = component_flow(network, usual)
    chlorine: dict[int, F64] = {}
    for s, to in enumerate(network.to):
        if to < 0 or network.gives(to) or s in relief:
            continue
        asked = load(network.nodes[to])
        part = burnt.get(network.nodes[to], np.ones(len(flow)))
        chlorine[s] = flow[:, s] * (part if asked is None else np.minimum(part, asked))
    farms = {farm.node for farm in find_farms(plant)}
    for s, origin in enumerate(network.origin):
        if origin in farms and s not in chlorine:
            chlorine[s] = _drawn(network, s, flow, chlorine, farms)
    fixed[CHLORINE] = chlorine
    return fixed


def reliefs(plant: Plant, network: Network) -> set[int]:
    """Return the streams into absorbers and into the air."""
    absorbers = {row["scope"] for row in plant.park.tables.get("absorber", ())}
    streams = [plant.park.streams[i] for i in network.streams]
    return {s for s, stream in enumerate(streams) if stream.to in (*absorbers, "atmosphere")}


def _cut(
    plant: Plant,
    network: Network,
    usual: State,
    load: Callable[[str], F64 | None],
    burnt: dict[str, F64],
) -> dict[int, F64]:
    """Return what users take of another component, and note how much less is burnt to make it."""
    flow = component_flow(network, usual)
    fixed, less = {}, np.zeros((len(flow), len(network.nodes)))
    for s, to in enumerate(network.to):
        if to < 0 or network.gives(to) or network.free[s] == network.drawn:
            continue
        asked = load(network.nodes[to])
        if asked is not None:
            fixed[s] = flow[:, s] * asked
            if network.origin[s] >= 0:
                less[:, network.origin[s]] += flow[:, s] - fixed[s]
    burners = {
        r.scope for r in plant.reactions if (r.component, r.driver) == ("hydrogen", CHLORINE)
    }
    for s, origin in enumerate(network.origin):
        place = network.nodes[origin] if origin >= 0 else ""
        makes = any(r.makes and (r.scope, r.component) == (place, network.component)
                    for r in plant.reactions)  # fmt: skip
        if place in burners and makes and network.to[s] >= 0 and less[:, network.to[s]].any():
            burnt[place] = np.clip(1 - less[:, network.to[s]] / flow[:, s], 0.0, 1.0)
    return fixed


def _drawn(network: Network, s: int, flow: F64, fixed: Mapping[int, F64], farms: set[int]) -> F64:
    """Return what is drawn from a farm: for a vaporiser what its users take, else as usual."""
    to = network.to[s]
    out = [i for i, origin in enumerate(network.origin) if origin == to]
    if to < 0 or to in farms or not all(i in fixed for i in out):
        return np.asarray(flow[:, s])
    into = [i for i, end in enumerate(network.to) if end == to]
    share = flow[:, s] / flow[:, into].sum(axis=1)
    return np.asarray(share * np.sum([fixed[i] for i in out], axis=0))


def granted(plant: Plant, fixed: Mapping[int, F64], state: State) -> dict[int, F64]:
    """Return the fixed flows as far as there is chlorine for them: a header gives what it has."""
    network = chlorine_of(plant)
    if network is None:
        return {}
    through = state.through[CHLORINE]
    given = dict(fixed)
    free = {origin for s, origin in enumerate(network.origin) if s not in fixed}
    for node in free - {-1}:
        mine = [s for s in fixed if network.origin[s] == node]
        asked = np.sum([fixed[s] for s in mine], axis=0)
        part = np.clip(through[:, node] / np.where(asked > 0, asked, 1.0), 0.0, 1.0)
        given.update({s: fixed[s] * part for s in mine})
    return given


def left_over(plant: Plant, farm: Farm, state: State) -> F64:
    """Return what is left at a farm beyond what its tanks usually keep, (n,) [kg/s]."""
    network = chlorine_of(plant)
    assert network is not None, "a farm is a node of the chlorine network"
    flow = component_flow(network, state)
    return np.asarray(state.through[CHLORINE][:, farm.node] - flow[:, list(farm.out)].sum(axis=1))
