"""The stream graph of one component: flows that close every node exactly.

A node passes its inflow on by shares, less the accumulation in its tanks; so the flows solve one
small linear system per time, whatever the shape of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process.recipes import DEMAND_DRIVEN, UsualFlows
from twin.arrays import F64
from twin.model.park import OUTSIDE, scopes_above

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from twin.model.park import Park, Stream

UNMEASURED_SHARE = 0.1  # of a stream without a meter, relative to the other flows of its node


@dataclass(frozen=True, slots=True)
class ComponentNetwork:
    """The streams that carry one component; arrays over its own streams (s) and nodes (m)."""

    component: str
    nodes: tuple[str, ...]
    streams: tuple[int, ...]
    fraction: F64
    origin: tuple[int, ...]
    to: tuple[int, ...]
    nominal: F64
    free: tuple[bool, ...]
    demand_driven: bool  # inflow follows outflow

    def index(self, scope: str) -> int | None:
        """Return the node at `scope` or at the nearest scope above it, None without one."""
        return next((self.nodes.index(s) for s in scopes_above(scope) if s in self.nodes), None)

    def takes(self, node: int) -> bool:
        """Return whether something flows into `node`."""
        return node in self.to

    def gives(self, node: int) -> bool:
        """Return whether something flows out of `node`."""
        return node in self.origin


def usual_flows(
    park: Park, fractions: Mapping[str, float], known: Mapping[str, float]
) -> tuple[F64, UsualFlows]:
    """Return the usual flows [kg/s] of a component in its streams, (s,), and at their ends.

    `fractions` has its mass fraction by medium, `known` the usual flow [kg/s] of measured streams.
    """
    streams = [s for s in park.streams if fractions.get(s.medium)]
    flow = _nominal(streams, np.array([fractions[s.medium] for s in streams]), known)
    into, out = dict[str, float](), dict[str, float]()
    for stream, size in zip(streams, flow.tolist(), strict=True):
        for ends, scope in ((into, stream.to), (out, stream.origin)):
            ends[scope] = ends.get(scope, 0.0) + size
    return flow, UsualFlows(into, out)


def make_component_network(
    park: Park, component: str, fractions: Mapping[str, float], nominal: F64, known: Collection[str]
) -> ComponentNetwork:
    """Compile the network of one component.

    Parameters
    ----------
    fractions : {medium: float [kg/kg]}      mass fraction of the component
    nominal : (s,) float64 [kg/s]            usual flows of its streams
    known : scopes with a known production, or need if the component is demand-driven

    Notes
    -----
    Streams out of any other node without inflow are given, like those from outside, and not solved
    for; of a demand-driven component those into any other node without outflow.
    """
    streams = [(i, s) for i, s in enumerate(park.streams) if fractions.get(s.medium)]
    nodes = sorted({p for _, s in streams for p in (s.origin, s.to)} - set(OUTSIDE))
    position = {node: m for m, node in enumerate(nodes)}
    demand_driven = component in DEMAND_DRIVEN
    ends = [(s.to, s.origin) if demand_driven else (s.origin, s.to) for _, s in streams]
    fed = {end for _, end in ends} | set(known)
    return ComponentNetwork(
        component,
        tuple(nodes),
        tuple(i for i, _ in streams),
        np.array([fractions[s.medium] for _, s in streams]),
        tuple(position.get(s.origin, -1) for _, s in streams),
        tuple(position.get(s.to, -1) for _, s in streams),
        nominal,
        tuple(begin in fed and begin not in OUTSIDE for begin, _ in ends),
        demand_driven,
    )


def _nominal(streams: list[Stream], fraction: F64, known: Mapping[str, float]) -> F64:
    """Return usual component flows [kg/s]; one without a meter closes the balance of a node."""
    flow = np.array([known.get(s.id, np.nan) for s in streams]) * fraction
    for k in np.flatnonzero(np.isnan(flow)):
        sizes = [1.0]
        for node, sign in ((streams[k].origin, 1.0), (streams[k].to, -1.0)):
            into = np.nansum([f for f, s in zip(flow, streams, strict=True) if s.to == node])
            out = np.nansum([f for f, s in zip(flow, streams, strict=True) if s.origin == node])
            if node not in OUTSIDE and into + out > 0:
                sizes.append(max(sign * (into - out), UNMEASURED_SHARE * max(into, out)))
        flow[k] = sizes[1] if len(sizes) > 1 else sizes[0]
    return flow


def demand_flows(network: ComponentNetwork, needs: Mapping[int, F64]) -> dict[int, F64]:
    """Return the flows [kg/s] by stream that cover needs [kg/s] by node, split by usual size.

    A stream that is the only one out of its origin stays free. Streams from outside cover any need.
    """
    flows: dict[int, F64] = {}
    origins = list(enumerate(network.origin))
    fit = [s for s, at in origins if at < 0 or (network.free[s] and network.origin.count(at) > 1)]
    for node, need in needs.items():
        into = [s for s in fit if network.to[s] == node]
        total = network.nominal[into].sum()
        flows.update({s: need * (network.nominal[s] / total) for s in into})
    return flows


def unconverted_flows(network: ComponentNetwork, used: F64, split_weight: F64) -> dict[int, F64]:
    """Return the flows [kg/s] by stream that leave cells unconverted, in proportion to their use.

    `used` (n, m) [kg/s] is the use at each node, `split_weight` (n, s) [1] a factor on each flow.
    """
    flows = {}
    for node in np.flatnonzero(used.any(axis=0)).tolist():
        size = sum(network.nominal[s] * ((network.to[s] == node) - (network.origin[s] == node))
                   for s in range(len(network.streams)))  # fmt: skip
        for s, origin in enumerate(network.origin):
            if origin == node:
                flows[s] = used[:, node] * split_weight[:, s] * (network.nominal[s] / size)
    return flows


def solve(
    network: ComponentNetwork,
    made: F64,
    kept: F64,
    given: F64,
    split_weight: F64,
    fixed: Mapping[int, F64],
    returned: Collection[tuple[int, int, float]] = (),
) -> tuple[F64, F64]:
    """Return the flows that close every node.

    Parameters
    ----------
    made : (n, m) float64 [kg/s]     production of each node, less its use
    kept : (n, m) float64 [kg/s]     accumulation in its tanks
    given : (n, s) float64 [1]       size of the streams that are not free, over nominal
    split_weight : (n, s) float64 [1]   weight of a stream's share over nominal; > 0
    fixed : {stream: (n,) float64 [kg/s]}   flows that are set by a need
    returned : of (user, node, [1])  production of a node from the throughput of a user

    Returns
    -------
    flow : (n, s) float64 [kg/s]     of the component
    through : (n, m) float64 [kg/s]  inflow + production - accumulation of each node; of a
                                     demand-driven component the inflow it needs
    """
    # A demand-driven component is solved upstream: outflow and accumulation make the inflow.
    begins, ends = (network.origin, network.to)[:: -1 if network.demand_driven else 1]
    # Index -1 is the outside, a node without a balance.
    right = np.pad(kept - made if network.demand_driven else made - kept, ((0, 0), (0, 1)))
    flow = given * network.nominal
    for s, size in fixed.items():
        flow[:, s] = size
    share = split_weight * network.nominal
    released, weight = np.zeros_like(right), np.zeros_like(right)
    solved = [s for s, free in enumerate(network.free) if free and s not in fixed]
    for s in fixed:
        released[:, begins[s]] += flow[:, s]
    for s in solved:
        weight[:, begins[s]] += share[:, s]
    matrix = np.broadcast_to(np.eye(right.shape[1]), (*right.shape, right.shape[1])).copy()
    for user, node, ratio in returned:
        matrix[:, node, user] -= ratio
    for s in set(range(len(ends))) - set(solved):
        right[:, ends[s]] += flow[:, s]
    for s in solved:
        share[:, s] /= weight[:, begins[s]]
        matrix[:, ends[s], begins[s]] -= share[:, s]
        right[:, ends[s]] -= share[:, s] * released[:, begins[s]]
    throughput = np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0], dtype=np.float64)
    for s in solved:
        flow[:, s] = share[:, s] * (throughput[:, begins[s]] - released[:, begins[s]])
    return flow, throughput[:, :-1]
