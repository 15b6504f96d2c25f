"""The stream graph of one component: flows that close every node exactly.

What a node takes in it gives out by shares, less what its tanks keep; so the flows are the solution
of one small linear system per time, whatever the shape of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process.recipes import DRAWN, Usual
from twin.arrays import F64
from twin.model.park import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from twin.model.park import Park, Stream

UNMEASURED_SHARE = 0.1  # of the other flows of its node, where nothing tells the size of a stream


@dataclass(frozen=True, slots=True)
class Network:
    """The streams that carry one component; arrays over its own streams (s) and nodes (m)."""

    component: str
    nodes: tuple[str, ...]
    streams: tuple[int, ...]
    fraction: F64
    origin: tuple[int, ...]
    to: tuple[int, ...]
    nominal: F64
    free: tuple[bool, ...]
    drawn: bool  # what flows in follows what flows out

    def index(self, scope: str) -> int | None:
        """Return the node at `scope` or at the nearest scope above it, None without one."""
        while scope:
            if scope in self.nodes:
                return self.nodes.index(scope)
            scope = scope.rpartition("/")[0]
        return None

    def takes(self, node: int) -> bool:
        """Return whether something flows into `node`."""
        return node in self.to

    def gives(self, node: int) -> bool:
        """Return whether something flows out of `node`."""
        return node in self.origin


def usual_flows(
    park: Park, fractions: Mapping[str, float], known: Mapping[str, float]
) -> tuple[F64, Usual]:
    """Return the usual flows [kg/s] of a component in its streams, (s,), and at their ends.

    `fractions` is its mass fraction by medium, `known` the usual flow of measured streams by id.
    """
    streams = [s for s in park.streams if fractions.get(s.medium)]
    flow = _nominal(streams, np.array([fractions[s.medium] for s in streams]), known)
    into, out = dict[str, float](), dict[str, float]()
    for stream, size in zip(streams, flow.tolist(), strict=True):
        for ends, scope in ((into, stream.to), (out, stream.origin)):
            ends[scope] = ends.get(scope, 0.0) + size
    return flow, Usual(into, out)


def make_network(
    park: Park, component: str, fractions: Mapping[str, float], nominal: F64, known: Collection[str]
) -> Network:
    """Return the network of one component.

    `fractions` is its mass fraction by medium, `nominal` the usual flows of its streams, `known`
    the scopes whose production, or need where it is drawn, is known from elsewhere. The streams out
    of any other node without inflow are given like those from outside, not solved for; where it is
    drawn, those into any other node without outflow.
    """
    streams = [(i, s) for i, s in enumerate(park.streams) if fractions.get(s.medium)]
    nodes = sorted({p for _, s in streams for p in (s.origin, s.to)} - set(OUTSIDE))
    position = {node: m for m, node in enumerate(nodes)}
    drawn = component in DRAWN
    ends = [(s.to, s.origin) if drawn else (s.origin, s.to) for _, s in streams]
    fed = {end for _, end in ends} | set(known)
    return Network(
        component,
        tuple(nodes),
        tuple(i for i, _ in streams),
        np.array([fractions[s.medium] for _, s in streams]),
        tuple(position.get(s.origin, -1) for _, s in streams),
        tuple(position.get(s.to, -1) for _, s in streams),
        nominal,
        tuple(begin in fed and begin not in OUTSIDE for begin, _ in ends),
        drawn,
    )


def _nominal(streams: list[Stream], fraction: F64, known: Mapping[str, float]) -> F64:
    """Return usual component flows; a stream without a meter gets what its neighbours leave."""
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


def demanded(network: Network, needs: Mapping[int, F64]) -> dict[int, F64]:
    """Return the flows [kg/s] that needs fix: by stream, split over a node's inflows by size.

    A stream that is the only way out of its origin stays free: it has to take what comes. From
    outside there comes what is needed.
    """
    flows: dict[int, F64] = {}
    for node, need in needs.items():
        into = [
            s
            for s, to in enumerate(network.to)
            if to == node
            and (
                network.origin[s] < 0
                or (network.free[s] and network.origin.count(network.origin[s]) > 1)
            )
        ]
        total = network.nominal[into].sum()
        flows.update({s: need * (network.nominal[s] / total) for s in into})
    return flows


def undecomposed(network: Network, used: F64, swing: F64) -> dict[int, F64]:
    """Return the flows [kg/s] of what cells do not use, by stream: in proportion to their use.

    `used` (n, m) [kg/s] is their use at each node, `swing` (n, s) [1] their restlessness.
    """
    flows = {}
    for node in np.flatnonzero(used.any(axis=0)).tolist():
        size = sum(network.nominal[s] * ((network.to[s] == node) - (network.origin[s] == node))
                   for s in range(len(network.streams)))  # fmt: skip
        for s, origin in enumerate(network.origin):
            if origin == node:
                flows[s] = used[:, node] * swing[:, s] * (network.nominal[s] / size)
    return flows


def solve(
    network: Network,
    made: F64,
    kept: F64,
    given: F64,
    swing: F64,
    fixed: Mapping[int, F64],
    returned: Collection[tuple[int, int, float]] = (),
) -> tuple[F64, F64]:
    """Return the flows that close every node.

    Parameters
    ----------
    made : (n, m) float64 [kg/s]     production of each node, less its use
    kept : (n, m) float64 [kg/s]     accumulation in its tanks
    given : (n, s) float64 [1]       size of the streams that are not free, over nominal
    swing : (n, s) float64 [1]       weight of a stream's share over nominal; > 0
    fixed : {stream: (n,) float64 [kg/s]}   flows that a node's need fixes
    returned : of (user, node, [1])  what a node makes of what goes through a user

    Returns
    -------
    flow : (n, s) float64 [kg/s]     of the component
    through : (n, m) float64 [kg/s]  inflow + production - accumulation of each node; where the
                                     component is drawn, what has to flow in
    """
    # What is drawn is solved against the stream: then outflow and accumulation make the inflow.
    begins, ends = (network.origin, network.to)[:: -1 if network.drawn else 1]
    # The place -1 is the outside, a node of which nothing is asked.
    right = np.pad(kept - made if network.drawn else made - kept, ((0, 0), (0, 1)))
    flow = given * network.nominal
    for s, wanted in fixed.items():
        flow[:, s] = wanted
    share = swing * network.nominal
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
    through = np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0], dtype=np.float64)
    for s in solved:
        flow[:, s] = share[:, s] * (through[:, begins[s]] - released[:, begins[s]])
    return flow, through[:, :-1]
