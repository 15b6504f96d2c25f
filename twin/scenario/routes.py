"""The ways an imbalance of a component can take through the lines of a park, best first.

A way begins at a node that has more than it gives on (surplus) or gives more than it has (shortage)
and changes one line after the other until something takes the difference: a tank, a plant, the
market, an absorber. Every change keeps the nodes between in balance, so mass is conserved on any
way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64, I64

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A longer way is no longer something a shift would do, and there are too many of them.
LINES_MAX = 6
# So many ways, the shortest ones, between the same two nodes to the same kind of end.
ALIKE_MAX = 12


@dataclass(frozen=True, slots=True)
class Edge:
    """A line as the graph sees it; nodes by number, -1 = not a node."""

    component: str
    origin: int
    to: int
    source: str  # node, cells, producer, market
    sink: str  # node, user, market, relief
    maker: str  # scope of the producer; empty else
    user: str  # scope that takes it, also where that relieves; empty else
    moved: bool  # by road or rail
    takes: frozenset[str] = frozenset()  # components its producer, or else its user, takes

    @property
    def ends(self) -> tuple[str, ...]:
        """The plants at its ends."""
        return tuple(name for name in (self.maker, self.user) if name)


@dataclass(frozen=True, slots=True)
class Way:
    """What one kilogram of surplus at a node changes; of shortage, with opposite signs."""

    kind: str  # meet, or one of the ends of the reference table
    lines: I64  # (P,) from the node onwards
    sign: F64  # (P,) +1 the line carries more, -1 less
    end: int  # the node where it ends
    fan: I64  # lines at the end that are cut, in proportion; empty = the end itself takes it


Ways = tuple[tuple[Way, ...], tuple[Way, ...]]


@dataclass(frozen=True, slots=True)
class _Path:
    """A way under construction."""

    node: int
    lines: tuple[int, ...]
    signs: tuple[int, ...]
    seen: frozenset[int | str]
    direct: bool  # through a user that changes from gas to vaporised liquid, or back
    ended: bool = False  # on the road: what lies beyond is not this node's business


def find_ways(
    edges: Sequence[Edge],
    nodes: int,
    holds: Sequence[bool],
    policy: Mapping[str, Mapping[str, Sequence[str]]],
) -> tuple[Ways, ...]:
    """Return the ways of every node: (M,) pairs for surplus and for shortage, best first.

    `holds` tells the nodes with tanks, `policy` the order of the ends by component.
    """
    fresh = _fresh(edges, nodes, holds)
    result = []
    for start in range(nodes):
        near = [e for e in edges if start in (e.origin, e.to)]
        rules = policy[near[0].component]
        result.append(
            (
                _sorted(_ways(edges, start, holds, fresh, rules, surplus=True), rules["surplus"]),
                _sorted(_ways(edges, start, holds, fresh, rules, surplus=False), rules["shortage"]),
            )
        )
    return tuple(result)


def _fresh(edges: Sequence[Edge], nodes: int, holds: Sequence[bool]) -> list[bool]:
    """Return which nodes get the component as it is made: only there it has to be relieved."""
    fresh = [False] * nodes
    for _ in range(nodes):
        for e in edges:
            made = e.source in ("cells", "producer") or (e.origin >= 0 and fresh[e.origin])
            if e.to >= 0 and made and not holds[e.to]:
                fresh[e.to] = True
    return fresh


def _ways(
    edges: Sequence[Edge],
    start: int,
    holds: Sequence[bool],
    fresh: Sequence[bool],
    rules: Mapping[str, Sequence[str]],
    *,
    surplus: bool,
) -> Iterator[Way]:
    """Yield every way from a node, the shortest first."""
    paths = [_Path(start, (), (), frozenset([start]), direct=False)]
    # The list grows while it is walked: breadth first.
    for path in paths:
        here = path.node
        if here != start:
            yield _way("meet", path)
            if holds[here]:
                yield _way("direct" if path.direct and surplus else "store", path)
        if path.ended:
            continue
        if surplus and fresh[here]:
            yield _way("relief", path)
        for kind, fan in _fans(edges, here, rules, surplus=surplus).items():
            yield _way(kind, path, fan)
        if len(path.lines) < LINES_MAX:
            paths.extend(_onward(edges, path, fresh, surplus=surplus))


def _fans(
    edges: Sequence[Edge], here: int, rules: Mapping[str, Sequence[str]], *, surplus: bool
) -> dict[str, list[int]]:
    """Return the lines at a node that can be cut, by what is cut with them."""
    fans: dict[str, list[int]] = {}
    for s, edge in enumerate(edges):
        if surplus and edge.to == here and edge.source != "node":
            fans.setdefault(_producer(edge, rules), []).append(s)
        if not surplus and edge.origin == here and edge.sink != "node":
            fans.setdefault(_consumer(edge, rules), []).append(s)
    return fans


def _producer(edge: Edge, rules: Mapping[str, Sequence[str]]) -> str:
    on_demand = set(rules.get("synthesis", ()))
    makes = edge.source == "producer" and on_demand and on_demand <= edge.takes
    return "synthesis" if makes else edge.source


def _consumer(edge: Edge, rules: Mapping[str, Sequence[str]]) -> str:
    kept = edge.sink == "user" and set(rules.get("last", ())) & edge.takes
    return "last" if kept else edge.sink


def _onward(
    edges: Sequence[Edge], path: _Path, fresh: Sequence[bool], *, surplus: bool
) -> Iterator[_Path]:
    """Yield the path with one more node: along a line, against one, or through a user's lines.

    Road and rail carry no more than they do: nobody is there to load it.
    """
    here = path.node
    for s, edge in enumerate(edges):
        if s in path.lines or here not in (edge.origin, edge.to):
            continue
        forward = edge.origin == here
        if edge.moved and forward == surplus:
            continue
        other = edge.to if forward else edge.origin
        if other >= 0 and other not in path.seen:
            yield _Path(
                other,
                (*path.lines, s),
                (*path.signs, 1 if forward else -1),
                path.seen | {other},
                path.direct,
                ended=edge.moved,
            )
        elif forward and edge.sink == "user" and edge.user not in path.seen:
            for r, back in enumerate(edges):
                if _replaces(edge, back, fresh, surplus=surplus) and back.origin not in path.seen:
                    yield _Path(
                        back.origin,
                        (*path.lines, s, r),
                        (*path.signs, 1, -1),
                        path.seen | {back.origin, edge.user},
                        direct=True,
                    )


def _replaces(edge: Edge, back: Edge, fresh: Sequence[bool], *, surplus: bool) -> bool:
    """Return whether a user may take more by one line and less by the other.

    One of them brings gas as it is made, the other what was vaporised. Only a shortage brings more
    of the latter.
    """
    same = (back.user, back.component, back.moved) == (edge.user, edge.component, edge.moved)
    if not same or back.origin < 0:
        return False
    gas, vapour = fresh[edge.origin], not fresh[back.origin]
    return gas and vapour if surplus else gas == vapour


def _way(kind: str, path: _Path, fan: Sequence[int] = ()) -> Way:
    return Way(
        kind,
        np.array(path.lines, dtype=np.int64),
        np.array(path.signs, dtype=np.float64),
        path.node,
        np.array(fan, dtype=np.int64),
    )


def _sorted(ways: Iterator[Way], order: Sequence[str]) -> tuple[Way, ...]:
    """Return the ways by preference, then by length; what the order does not name is no way."""
    rank = {kind: i for i, kind in enumerate(["meet", *order])}
    kept: list[Way] = []
    count: dict[tuple[str, int], int] = {}
    for way in ways:
        key = (way.kind, way.end)
        count[key] = count.get(key, 0) + 1
        if way.kind in rank and count[key] <= ALIKE_MAX:
            kept.append(way)
    return tuple(sorted(kept, key=lambda way: (rank[way.kind], len(way.lines))))
