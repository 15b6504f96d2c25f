"""The stream graph of one component: flows that close every node exactly.

What a node takes in it gives out by shares, less what its tanks keep; so the flows are the solution
of one small linear system per time, whatever the shape of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.model import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from twin.model import Park, Stream

F64 = NDArray[np.float64]
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


def make_network(
    park: Park,
    component: str,
    fractions: Mapping[str, float],
    nominal: Mapping[str, float],
    makers: Collection[str],
) -> Network:
    """Return the network of one component.

    `fractions` is its mass fraction by medium, `nominal` the measured streams' usual flow [kg/s] by
    stream id, `makers` the scopes whose production is known from elsewhere. The streams out of any
    other node without inflow are given like those from outside, not solved for.
    """
    streams = [(i, s) for i, s in enumerate(park.streams) if fractions.get(s.medium)]
    nodes = sorted({p for _, s in streams for p in (s.origin, s.to)} - set(OUTSIDE))
    fed = {s.to for _, s in streams} | set(makers)
    fraction = np.array([fractions[s.medium] for _, s in streams])
    position = {node: m for m, node in enumerate(nodes)}
    return Network(
        component,
        tuple(nodes),
        tuple(i for i, _ in streams),
        fraction,
        tuple(position.get(s.origin, -1) for _, s in streams),
        tuple(position.get(s.to, -1) for _, s in streams),
        _nominal([s for _, s in streams], fraction, nominal),
        tuple(s.origin in fed and s.origin not in OUTSIDE for _, s in streams),
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

    A stream that is the only way out of its origin stays free: it has to take what comes.
    """
    flows: dict[int, F64] = {}
    for node, need in needs.items():
        into = [
            s
            for s, to in enumerate(network.to)
            if to == node and network.free[s] and network.origin.count(network.origin[s]) > 1
        ]
        total = network.nominal[into].sum()
        flows.update({s: need * (network.nominal[s] / total) for s in into})
    return flows


def solve(
    network: Network, made: F64, kept: F64, given: F64, swing: F64, fixed: Mapping[int, F64]
) -> tuple[F64, F64]:
    """Return the flows that close every node.

    Parameters
    ----------
    made : (n, m) float64 [kg/s]     production of each node
    kept : (n, m) float64 [kg/s]     accumulation in its tanks
    given : (n, s) float64 [1]       size of the streams that are not free, over nominal
    swing : (n, s) float64 [1]       weight of a stream's share over nominal; > 0
    fixed : {stream: (n,) float64 [kg/s]}   flows that a node's need fixes

    Returns
    -------
    flow : (n, s) float64 [kg/s]     of the component
    through : (n, m) float64 [kg/s]  inflow + production - accumulation of each node
    """
    times, nodes = made.shape
    flow = given * network.nominal
    for s, wanted in fixed.items():
        flow[:, s] = wanted
    share = swing * network.nominal
    released = np.zeros((times, nodes))
    weight = np.zeros((times, nodes))
    solved = [s for s, free in enumerate(network.free) if free and s not in fixed]
    for s in fixed:
        released[:, network.origin[s]] += flow[:, s]
    for s in solved:
        weight[:, network.origin[s]] += share[:, s]
    matrix = np.broadcast_to(np.eye(nodes), (times, nodes, nodes)).copy()
    right = made - kept
    for s, to in enumerate(network.to):
        if to >= 0 and s not in solved:
            right[:, to] += flow[:, s]
    for s in solved:
        origin, to = network.origin[s], network.to[s]
        share[:, s] /= weight[:, origin]
        if to >= 0:
            matrix[:, to, origin] -= share[:, s]
            right[:, to] -= share[:, s] * released[:, origin]
    through = np.asarray(np.linalg.solve(matrix, right[..., None])[..., 0], dtype=np.float64)
    for s in solved:
        origin = network.origin[s]
        flow[:, s] = share[:, s] * (through[:, origin] - released[:, origin])
    return flow, through
