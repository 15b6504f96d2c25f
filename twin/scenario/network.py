"""The park as a what-if sees it: lines between nodes for each component, tanks, and loads.

A line is a stream of one component, or the product of the electrolysers of a place. A load can be
tripped or re-rated: that of an electrolyser by its id, of a plant or unit by its scope; 1 is the
present.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.accounts import ELECTRICITY, cell_entries
from twin.arrays import BOOL, F64, I64
from twin.chlorine.headroom import AbsorberSpec
from twin.model.park import Electrolyser, Meter, Park, inside, scopes_above
from twin.reconciliation.balances import Balance, Line, compile_balance
from twin.reference import load as load_reference
from twin.scenario.feeds import OtherFeed, find_feeds
from twin.scenario.routes import Edge, FlowRoutes, find_routes

if TYPE_CHECKING:
    from twin.accounts.network import Network


@dataclass(frozen=True, slots=True)
class AbsorberNode:
    """The absorber of vented chlorine, and the node that keeps its caustic."""

    id: str
    scope: str
    caustic: int


@dataclass(frozen=True, slots=True)
class Supply:
    """The compiled what-if model: S lines and M nodes of all components, L loads, K tanks."""

    network: Network
    balances: tuple[Balance, ...]  # one for each component, in the order of their resolution
    columns: tuple[I64, ...]  # by component: (streams of the balance,) its line; -1 for a stock
    lines: tuple[Line, ...]
    edges: tuple[Edge, ...]  # the same lines as a graph
    nodes: tuple[tuple[str, str], ...]  # component, place
    capacity: F64  # (S,) [kg/s] most a line can carry; inf where not known
    loads: tuple[str, ...]
    makers: tuple[I64, ...]  # (S,) loads that supply a line; else empty
    users: I64  # (S,) load that a line supplies; -1 for none
    same: tuple[I64, ...]  # (S,) lines of its component at the same plant, itself among them
    feeds: tuple[OtherFeed, ...]  # what plants take or give away besides their lines
    node_loads: I64  # (S,) load of the node a line leads into; -1 for none
    routes: tuple[FlowRoutes, ...]  # (M,) of surplus, of shortage
    tanks: tuple[I64, ...]  # (M,) tanks at each node
    share: F64  # (K,) kg of component per kg in the tank
    limit: F64  # (K,) [kg] of medium at the fill limit
    spare: BOOL  # (K,) kept empty: neither filled nor emptied
    absorbers: tuple[AbsorberNode, ...]
    absorber_of: I64  # (M,) absorber of the vented chlorine of a node; -1 for none
    meters: tuple[int, ...]  # (Q,) tags of the electricity meters
    metered: tuple[str, ...]  # (Q,) their scopes


def compile_supply(network: Network) -> Supply:
    """Compile a park to the arrays of a what-if."""
    park = network.park
    policy: dict[str, dict[str, list[str]]] = load_reference("scenario")["component"]
    compiled = [compile_balance(network, park.id, component) for component in policy]
    balances = tuple(balance for balance in compiled if balance.nodes)
    nodes = tuple((b.component, scope) for b in balances for scope in b.nodes)
    lines, columns = _lines(balances)
    edges = _edges(park, balances, columns, lines, nodes)
    cells = [_cells_of(network, edge, line) for edge, line in zip(edges, lines, strict=True)]
    # Meters of users: what one with others behind it shows is theirs as well.
    passing = {at for j in network.junctions if not j.direct for at in j.sources}
    metered = [
        m
        for at, m in enumerate(park.meters)
        if (m.carrier, m.direction) == (ELECTRICITY, "in") and m.basis != "DC" and at not in passing
    ]
    loads = _loads(park, edges, lines, nodes, metered)
    at = {name: i for i, name in enumerate(loads)}
    tanks = _tanks(balances, nodes)
    absorbers = _absorbers(park, nodes, tanks)
    return Supply(
        network=network,
        balances=balances,
        columns=columns,
        lines=lines,
        edges=edges,
        nodes=nodes,
        capacity=np.array([_capacity(network, line) for line in lines], np.float64),
        loads=loads,
        makers=tuple(
            _ints([at[c.id] for c in some] or ([at[e.maker]] if e.maker else []))
            for e, some in zip(edges, cells, strict=True)
        ),
        users=_ints([at[e.user] if e.user else -1 for e in edges]),
        same=tuple(_same(edges, s) for s in range(len(edges))),
        feeds=find_feeds(network, edges, lines),
        node_loads=_ints([at[nodes[e.to][1]] if e.to >= 0 else -1 for e in edges]),
        routes=find_routes(edges, len(nodes), [len(t) > 0 for t in tanks], policy),
        tanks=tanks,
        share=_shares(network, balances),
        limit=network.tanks.limit,
        spare=np.array([tank.spare for tank in park.tanks], dtype=bool),
        absorbers=absorbers,
        absorber_of=_absorber_of(nodes, absorbers, park),
        meters=tuple(network.index[m.tag] for m in metered),
        metered=tuple(m.scope for m in metered),
    )


def loads_of(supply: Supply, scope: str) -> list[int]:
    """Return the loads of an electrolyser or a scope; empty if it has none.

    A plant's scope stands for its electrolysers and for the units that make or use a component, not
    for the headers, liquefaction or vaporiser that only pass it on: those have scopes of their own.
    """
    passing = {node for _, node in supply.nodes} - {n for e in supply.edges for n in e.ends}
    relief = {e.user for e in supply.edges if e.sink == "relief"}
    scopes = {e.id: e.scope for e in supply.network.park.electrolysers}
    chosen = [
        i
        for i, name in enumerate(supply.loads)
        if name == scope
        or (inside(scopes.get(name, name), scope) and name not in passing and name not in relief)
    ]
    # A maker that feeds only a stopped unit has no outlet: it stops, too.
    for i, name in enumerate(supply.loads):
        ends = [e for e in supply.edges if e.maker == name]
        if ends and all(e.to >= 0 and supply.nodes[e.to][1] == scope for e in ends):
            chosen.append(i)
    return sorted(set(chosen))


def _lines(balances: tuple[Balance, ...]) -> tuple[tuple[Line, ...], tuple[I64, ...]]:
    """Return the lines of all balances, stocks apart, and where the streams of each are."""
    lines: list[Line] = []
    columns = []
    for balance in balances:
        column = []
        for line in balance.lines:
            column.append(-1 if line.tanks else len(lines))
            if not line.tanks:
                lines.append(line)
        columns.append(_ints(column))
    return tuple(lines), tuple(columns)


def _edges(
    park: Park,
    balances: tuple[Balance, ...],
    columns: tuple[I64, ...],
    lines: tuple[Line, ...],
    nodes: tuple[tuple[str, str], ...],
) -> tuple[Edge, ...]:
    """Return the lines as edges between nodes, makers and users."""
    node = {name: m for m, name in enumerate(nodes)}
    modes = {stream.id: stream.mode for stream in park.streams}
    scrubs = {row.scope for row in park.rows(AbsorberSpec)}
    of_line = {int(s): b.component for b, c in zip(balances, columns, strict=True) for s in c}
    edges = []
    for s, line in enumerate(lines):
        component = of_line[s]
        origin, to = node.get((component, line.origin), -1), node.get((component, line.to), -1)
        cells = line.origin == "electrolysers"
        source = "node" if origin >= 0 else "cells" if cells else "producer"
        source = "market" if line.origin == "market" else source
        mode = modes.get(line.id, "internal")
        scrubbed = component == "chlorine" and line.to in scrubs
        vents = line.to == "atmosphere" or mode == "vent" or scrubbed
        sink = "node" if to >= 0 else "relief" if vents else "user"
        sink = "market" if line.to == "market" else sink
        inner = line.to in ("market", "atmosphere")
        edges.append(
            Edge(
                component=component,
                origin=origin,
                to=to,
                source=source,
                sink=sink,
                maker=line.origin if source == "producer" else "",
                user="" if to >= 0 or inner else line.to,
                moved=mode in ("road", "rail"),
            )
        )
    takes: dict[str, set[str]] = {}
    for edge in edges:
        takes.setdefault(edge.user, set()).add(edge.component)
    return tuple(replace(e, takes=frozenset(takes.get(e.maker or e.user, ()))) for e in edges)


def _same(edges: tuple[Edge, ...], s: int) -> I64:
    """Return the lines that bring to, or take from, the plant of a line the same component."""
    mine = (edges[s].component, edges[s].ends)
    return _ints(
        [r for r, e in enumerate(edges) if r == s or (e.ends and (e.component, e.ends) == mine)]
    )


def _cells_of(network: Network, edge: Edge, line: Line) -> list[Electrolyser]:
    """Return the electrolysers of a line, in the order of its tags; none for a stream."""
    if edge.source != "cells":
        return []
    remaining = list(network.park.electrolysers)
    cells = []
    for tag, factor in line.tags:
        cell = next(
            c
            for c in remaining
            if cell_entries(c, network.index, network.effective).get(edge.component)
            == (tag, factor)
        )
        remaining.remove(cell)
        cells.append(cell)
    return cells


def _loads(
    park: Park,
    edges: tuple[Edge, ...],
    lines: tuple[Line, ...],
    nodes: tuple[tuple[str, str], ...],
    metered: list[Meter],
) -> tuple[str, ...]:
    """Return the names of all loads; a metered scope has its own where nothing in it has one."""
    names = [e.id for e in park.electrolysers]
    names += [n for e in edges for n in (e.maker, e.user) if n]
    names += [scope for _, scope in nodes]
    scopes = [line.origin for line in lines] + [e.scope for e in park.electrolysers] + names
    names += [m.scope for m in metered if not any(inside(p, m.scope) for p in scopes)]
    return tuple(dict.fromkeys(names))


def _capacity(network: Network, line: Line) -> float:
    """Return the most a line can carry: the range of its meter [kg/s]."""
    if len(line.tags) != 1 or line.origin == "electrolysers":
        return np.inf
    tag = network.tags[line.tags[0][0]]
    most = tag.high * line.tags[0][1]
    return most if np.isfinite(most) and tag.kind == "gauge" else np.inf


def _tanks(balances: tuple[Balance, ...], nodes: tuple[tuple[str, str], ...]) -> tuple[I64, ...]:
    """Return the tanks at each node."""
    kept = {(b.component, line.origin): line.tanks for b in balances for line in b.lines}
    return tuple(_ints(list(kept.get(node, ()))) for node in nodes)


def _shares(network: Network, balances: tuple[Balance, ...]) -> F64:
    """Return the share of its component in each tank; 0 for tanks at no node."""
    share = np.zeros(len(network.park.tanks))
    for balance in balances:
        share = np.maximum(share, network.tanks.share.get(balance.component, 0.0))
    return share


def _absorbers(
    park: Park, nodes: tuple[tuple[str, str], ...], tanks: tuple[I64, ...]
) -> tuple[AbsorberNode, ...]:
    """Return the absorbers whose caustic stands at a node."""
    ids = [tank.id for tank in park.tanks]
    return tuple(
        AbsorberNode(row.id, row.scope, m)
        for row in park.rows(AbsorberSpec)
        for m in range(len(nodes))
        if row.tank in ids and ids.index(row.tank) in tanks[m]
    )


def _absorber_of(
    nodes: tuple[tuple[str, str], ...], absorbers: tuple[AbsorberNode, ...], park: Park
) -> I64:
    """Return the nearest absorber of the same enterprise for the chlorine of each node."""
    kinds = {scope.id: scope.kind for scope in park.scopes}
    nearest = []
    for component, node in nodes:
        above = [p for p in scopes_above(node) if kinds.get(p) not in ("park", "region")]
        depth = [max((len(p) for p in above if inside(a.scope, p)), default=0) for a in absorbers]
        best = int(np.argmax(depth)) if depth and component == "chlorine" else -1
        nearest.append(best if best >= 0 and depth[best] else -1)
    return _ints(nearest)


def _ints(values: list[int]) -> I64:
    return np.array(values, dtype=np.int64)
