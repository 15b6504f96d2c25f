"""Junctions of energy: where meters feed others, and what flows over each meter.

A junction is a busbar, a transformer or a header: what its sources give is what its users take,
what is lost, and what has no meter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from twin.model.meters import MARKET
from twin.model.park import scopes_above

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twin.model.meters import MeterTrees

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Junction:
    """Meters that feed together, and those behind them, by their positions."""

    name: str  # scope:meter, of the first source
    scope: str
    carrier: str
    sources: tuple[int, ...]
    users: tuple[int, ...]
    loss: float  # [1] stated share that is lost; NaN = there may be users without a meter
    direct: bool  # a rectifier: the meters behind are of direct current


class MeterFlow(NamedTuple):
    """The flow that a meter shows, between two scopes; `start` and `stop` are junctions or -1."""

    meter: int
    origin: str
    to: str
    start: int
    stop: int
    makes: bool  # it comes from a generator
    uses: bool  # no meter but those of direct current is behind it
    mode: str = "internal"


def find_junctions(trees: MeterTrees) -> tuple[Junction, ...]:
    """Return the junctions of all carriers, in the order of their first sources."""
    starts, stops = _ends(trees)
    sources: dict[int, list[int]] = {}
    users: dict[int, list[int]] = {}
    for at, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        sources.setdefault(stop, []).append(at)
        users.setdefault(start, []).append(at)
    junctions = (_junction(trees, feeding, users.get(k, [])) for k, feeding in sources.items())
    return tuple(junction for junction in junctions if junction.users)


def _junction(trees: MeterTrees, sources: list[int], users: list[int]) -> Junction:
    """Return a junction; it lies in the scope of what comes in, generation apart."""
    meters = [trees.meters[at] for at in sources]
    incoming = [meter.scope for meter in meters if meter.role != "generation"]
    members = [trees.meters[at].scope for at in (*sources, *users)]
    scope = incoming[0] if incoming else _common(members)
    return Junction(
        name=f"{scope}:{meters[0].label}",
        scope=scope,
        carrier=meters[0].carrier,
        sources=tuple(sources),
        users=tuple(users),
        loss=next((meter.loss for meter in meters if meter.loss >= 0), NAN),
        direct=all(trees.meters[at].basis == "DC" for at in users),
    )


def meter_flows(
    trees: MeterTrees, junctions: Sequence[Junction], carrier: str
) -> tuple[MeterFlow, ...]:
    """Return the flows of a carrier that its junctions join; others have no known way."""
    start = {at: j for j, junction in enumerate(junctions) for at in junction.users}
    stop = {at: j for j, junction in enumerate(junctions) for at in junction.sources}
    flows = []
    for at, meter in enumerate(trees.meters):
        begin, end = start.get(at, -1), stop.get(at, -1)
        if meter.carrier != carrier or max(begin, end) < 0:
            continue
        made, sold = meter.role == "generation", meter.role == "sold"
        before = junctions[begin].scope if begin >= 0 else MARKET
        beyond = junctions[end].scope if end >= 0 else MARKET
        last = end < 0 or junctions[end].direct
        flows.append(
            MeterFlow(
                meter=at,
                origin=meter.scope if made else before,
                to=MARKET if sold else beyond if made else meter.scope,
                start=begin,
                stop=end,
                makes=made and begin < 0,
                uses=last and not (made or sold),
            )
        )
    return tuple(flows)


def _ends(trees: MeterTrees) -> tuple[list[int], list[int]]:
    """Return the keys of the junctions that each meter takes from and feeds.

    Behind meter n lies junction n, before it N + n where generators make what it shows. Meters
    named together, or beside generation, feed one junction: they are the same key.
    """
    count = len(trees.meters)
    same = list(range(2 * count))

    def key(end: int) -> int:
        while same[end] != end:
            end = same[end]
        return end

    starts, stops = [-1] * count, list(range(count))
    for at, meter in enumerate(trees.meters):
        parents = trees.parents[at]
        makers = [p for p in parents if trees.meters[p].role == "generation"]
        if meter.role == "generation" and makers:
            stops[at] = count + makers[0]
            for parent in makers:
                starts[parent] = count + parent
                same[key(count + parent)] = key(count + makers[0])
            continue
        if meter.role != "generation" and parents:
            starts[at] = parents[0]
        united = (at, *parents) if meter.role == "generation" else parents
        for end in united:
            same[key(end)] = key(united[0])
    return [key(end) if end >= 0 else -1 for end in starts], [key(end) for end in stops]


def _common(scopes: Iterable[str]) -> str:
    """Return the deepest scope above all of some."""
    paths = [list(scopes_above(scope)) for scope in scopes]
    return next(scope for scope in paths[0] if all(scope in path for path in paths))
