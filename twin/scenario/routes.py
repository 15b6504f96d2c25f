"""The routes of an imbalance of a component through the lines of a park, best first.

A route begins at a node with a surplus or a shortage, and changes one line after the other until
something takes the difference: a tank, a plant, the market, an absorber. Every change keeps the
nodes between in balance, so every route conserves mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, I64

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A shift would not do longer routes, and there are too many of them.
LINES_MAX = 6
# Routes between the same two nodes to the same kind of end that are kept, the shortest first.
ALIKE_MAX = 12


@dataclass(frozen=True, slots=True)
class Edge:
    """A line as an arc of the graph; nodes by number, -1 = not a node."""

    component: str
    origin: int
    to: int
    source: str  # node, cells, producer, market
    sink: str  # node, user, market, relief
    maker: str  # scope of the producer; empty else
    user: str  # scope that takes it, also where it vents; empty else
    moved: bool  # by road or rail
    takes: frozenset[str] = frozenset()  # components its producer, or else its user, takes

    @property
    def ends(self) -> tuple[str, ...]:
        """Scopes of the plants at its ends."""
        return tuple(name for name in (self.maker, self.user) if name)


@dataclass(frozen=True, slots=True)
class FlowRoute:
    """The changes of lines per kilogram of surplus at a node; of shortage, with opposite signs."""

    kind: str  # net_off, or one of the ends of the reference table
    lines: I64  # (P,) from the node onwards
    sign: F64  # (P,) +1 the line carries more, -1 less
    end: int  # the node where it ends
    parallel: I64  # lines at the end that are cut in proportion; empty = the end itself takes it


FlowRoutes = tuple[tuple[FlowRoute, ...], tuple[FlowRoute, ...]]


@dataclass(frozen=True, slots=True)
class _Path:
    """A route under construction."""

    node: int
    lines: tuple[int, ...]
    signs: tuple[int, ...]
    seen: frozenset[int | str]
    direct: bool  # through a user that changes from gas to vaporised liquid, or back
    ended: bool = False  # by road: routes end there


def find_routes(
    edges: Sequence[Edge],
    nodes: int,
    holds: Sequence[bool],
    policy: Mapping[str, Mapping[str, Sequence[str]]],
) -> tuple[FlowRoutes, ...]:
    """Return the routes of every node, best first: (M,) pairs for surplus and for shortage.

    `holds` marks the nodes with tanks; `policy` is the order of the ends by component.
    """
    fresh = _fresh(edges, nodes, holds)
    result = []
    for start in range(nodes):
        near = [e for e in edges if start in (e.origin, e.to)]
        rules = policy[near[0].component]
        over, under = (
            _Search(edges, holds, fresh, rules, surplus).routes(start) for surplus in (True, False)
        )
        result.append((_sorted(over, rules["surplus"]), _sorted(under, rules["shortage"])))
    return tuple(result)


def _fresh(edges: Sequence[Edge], nodes: int, holds: Sequence[bool]) -> list[bool]:
    """Mark the nodes that get the component as it is made: only those vent it."""
    fresh = [False] * nodes
    for _ in range(nodes):
        for e in edges:
            made = e.source in ("cells", "producer") or (e.origin >= 0 and fresh[e.origin])
            if e.to >= 0 and made and not holds[e.to]:
                fresh[e.to] = True
    return fresh


@dataclass(frozen=True, slots=True)
class _Search:
    """The search for the routes of a surplus, or of a shortage, of one component."""

    edges: Sequence[Edge]
    holds: Sequence[bool]
    fresh: Sequence[bool]
    rules: Mapping[str, Sequence[str]]
    surplus: bool

    def routes(self, start: int) -> Iterator[FlowRoute]:
        """Yield every route from a node, the shortest first."""
        level = [_Path(start, (), (), frozenset([start]), direct=False)]
        while level:
            longer: list[_Path] = []
            for path in level:
                yield from self._ends(path)
                if not path.ended and len(path.lines) < LINES_MAX:
                    longer.extend(self._onward(path))
            level = longer

    def _ends(self, path: _Path) -> Iterator[FlowRoute]:
        """Yield the routes that end where a path has come to."""
        if path.lines:
            yield _route("net_off", path)
            if self.holds[path.node]:
                yield _route("direct" if path.direct and self.surplus else "store", path)
        if path.ended:
            return
        if self.surplus and self.fresh[path.node]:
            yield _route("relief", path)
        for kind, parallel in self._groups(path.node).items():
            yield _route(kind, path, parallel)

    def _groups(self, node: int) -> dict[str, list[int]]:
        """Return the lines at a node that can be cut, by the kind of plant at their ends."""
        groups: dict[str, list[int]] = {}
        for s, edge in enumerate(self.edges):
            if self.surplus and edge.to == node and edge.source != "node":
                groups.setdefault(self._producer(edge), []).append(s)
            if not self.surplus and edge.origin == node and edge.sink != "node":
                groups.setdefault(self._consumer(edge), []).append(s)
        return groups

    def _producer(self, edge: Edge) -> str:
        on_demand = set(self.rules.get("synthesis", ()))
        makes = edge.source == "producer" and on_demand and on_demand <= edge.takes
        return "synthesis" if makes else edge.source

    def _consumer(self, edge: Edge) -> str:
        kept = edge.sink == "user" and set(self.rules.get("last", ())) & edge.takes
        return "last" if kept else edge.sink

    def _onward(self, path: _Path) -> Iterator[_Path]:
        """Yield the paths with one more node: along a line, against one, or through a user's lines.

        Road and rail carry no more than at present: nobody is there to load it.
        """
        node, seen = path.node, path.seen
        for s, edge in enumerate(self.edges):
            if s in path.lines or node not in (edge.origin, edge.to):
                continue
            forward = edge.origin == node
            if edge.moved and forward == self.surplus:
                continue
            other = edge.to if forward else edge.origin
            if other >= 0 and other not in seen:
                signs = (*path.signs, 1 if forward else -1)
                lines = (*path.lines, s)
                yield _Path(other, lines, signs, seen | {other}, path.direct, ended=edge.moved)
            elif forward and edge.sink == "user" and edge.user not in seen:
                for r, back in enumerate(self.edges):
                    if self._replaces(edge, back) and back.origin not in seen:
                        lines, signs = (*path.lines, s, r), (*path.signs, 1, -1)
                        ends: set[int | str] = {back.origin, edge.user}
                        yield _Path(back.origin, lines, signs, seen | ends, direct=True)

    def _replaces(self, edge: Edge, back: Edge) -> bool:
        """Tell if a user may take more by one line and less by the other.

        One of them brings gas as it is made, the other vaporised liquid. Only a shortage brings
        more of the latter.
        """
        same = (back.user, back.component, back.moved) == (edge.user, edge.component, edge.moved)
        if not same or back.origin < 0:
            return False
        gas, vapour = self.fresh[edge.origin], not self.fresh[back.origin]
        return gas and vapour if self.surplus else gas == vapour


def _route(kind: str, path: _Path, parallel: Sequence[int] = ()) -> FlowRoute:
    return FlowRoute(
        kind,
        np.array(path.lines, dtype=np.int64),
        np.array(path.signs, dtype=np.float64),
        path.node,
        np.array(parallel, dtype=np.int64),
    )


def _sorted(routes: Iterator[FlowRoute], order: Sequence[str]) -> tuple[FlowRoute, ...]:
    """Return the routes of the kinds in the order, by preference and then by length."""
    rank = {kind: i for i, kind in enumerate(["net_off", *order])}
    kept: list[FlowRoute] = []
    count: dict[tuple[str, int], int] = {}
    for route in routes:
        key = (route.kind, route.end)
        count[key] = count.get(key, 0) + 1
        if route.kind in rank and count[key] <= ALIKE_MAX:
            kept.append(route)
    return tuple(sorted(kept, key=lambda route: (rank[route.kind], len(route.lines))))
