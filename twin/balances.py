"""Balances of one component over the nodes inside a scope, ready to be reconciled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.model import OUTSIDE, Stream, Tag, inside
from twin.network import Network, cell_factor, components_of, scopes_above, tank_mass
from twin.reference import load as load_reference
from twin.uom import parse_quantity

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Line:
    """A stream of a balance: one of the model, what electrolysers make, or what tanks take up."""

    id: str
    origin: str
    to: str
    tags: tuple[tuple[int, float], ...] = ()  # (tag, factor to kg); empty = not measured
    tanks: tuple[int, ...] = ()
    relative: float = 0.0  # standard uncertainty on top of that of the tags


@dataclass(frozen=True, slots=True)
class Balance:
    """M nodes and S streams of a component; incidence (M, S): +1 into the node, -1 out."""

    component: str
    nodes: tuple[str, ...]
    lines: tuple[Line, ...]
    incidence: F64

    @property
    def tags(self) -> I64:
        """The tags of all streams that are not tanks."""
        found = {tag for line in self.lines for tag, _ in line.tags}
        return np.array(sorted(found), dtype=np.int64)


def compile_balance(network: Network, scope: str, component: str) -> Balance:
    """Return the balances a component has inside a scope; without any, a balance of no nodes.

    A balance is written for each place that takes the component in and gives it away, or keeps it.
    Places that only make or only use it are where the accounts of the scope begin and end.
    """
    lines = [
        *_streams(network, scope, component),
        *_cells(network, scope, component),
        *_stocks(network, scope, component),
    ]
    takes = {line.to for line in lines}
    gives = {line.origin for line in lines}
    nodes = tuple(sorted(place for place in takes & gives if inside(place, scope)))
    lines = [line for line in lines if line.origin in nodes or line.to in nodes]
    incidence = np.zeros((len(nodes), len(lines)))
    for s, line in enumerate(lines):
        for place, sign in ((line.to, 1.0), (line.origin, -1.0)):
            if place in nodes:
                incidence[nodes.index(place), s] += sign
    return Balance(component, nodes, tuple(lines), incidence)


def _streams(network: Network, scope: str, component: str) -> list[Line]:
    """Return the model's streams of the component that touch the scope."""
    media = load_reference("media")
    lines = []
    for stream in network.park.streams:
        touches = inside(stream.origin, scope) or inside(stream.to, scope)
        if component not in media[stream.medium]["component"] or not touches:
            continue
        tags: tuple[tuple[int, float], ...] = ()
        if stream.flow:
            tag = network.index[stream.flow]
            tags = ((tag, components_of(stream, network.tags[tag])[component]),)
        lines.append(Line(stream.id, stream.origin, stream.to, tags))
    return lines


def _places(network: Network, component: str) -> set[str]:
    """Return every place a stream of the component begins or ends at."""
    media = load_reference("media")

    def carries(stream: Stream) -> bool:
        return component in media[stream.medium]["component"]

    ends = (end for s in network.park.streams if carries(s) for end in (s.origin, s.to))
    return set(ends) - set(OUTSIDE)


def _cells(network: Network, scope: str, component: str) -> list[Line]:
    """Return one stream for each place where electrolysers make the component."""
    places = _places(network, component)
    made: dict[str, list[tuple[int, float]]] = {}
    for cell in network.park.electrolysers:
        place = next((p for p in scopes_above(cell.scope) if p in places), "")
        factor = cell_factor(cell).get(component)
        if place and factor and inside(place, scope):
            made.setdefault(place, []).append((network.index[cell.current], factor))
    efficiency = load_reference("uncertainty")["current_efficiency"]["relative"]
    return [
        Line(f"{place}:faraday", "electrolysers", place, tuple(tags), relative=efficiency)
        for place, tags in made.items()
    ]


def _stocks(network: Network, scope: str, component: str) -> list[Line]:
    """Return one stream for each place with tanks: what they take up."""
    media = load_reference("media")
    held: dict[str, list[int]] = {}
    for k, tank in enumerate(network.park.tanks):
        if component in media[tank.medium]["component"] and inside(tank.scope, scope):
            held.setdefault(tank.scope, []).append(k)
    # The stock is outside, so that a tank that only fills has a balance, too.
    return [Line(f"{p}:stock", p, "stock", tanks=tuple(tanks)) for p, tanks in held.items()]


def uncertainty(tag: Tag) -> tuple[float, float]:
    """Return the standard uncertainty of a tag: absolute [SI] and relative [1]."""
    text = tag.sigma.strip()
    if text.endswith("%"):
        return 0.0, float(text[:-1]) / 100
    if text:
        return float(text) * tag.scale, 0.0
    usual = load_reference("uncertainty").get(tag.quantity, {"relative": 0.0})
    absolute = usual.get("absolute")
    return (parse_quantity(absolute, tag.quantity) if absolute else 0.0), usual.get("relative", 0.0)


def flows(
    network: Network, balance: Balance, amount: F64, covered_s: F64, level: F64
) -> tuple[F64, F64]:
    """Return the amounts of the streams of a balance in one window, and their uncertainties.

    Parameters
    ----------
    amount, covered_s : (T,) float64 [SI, s]   sums of each tag over the window; NaN = no value
    level : (2, T) float64 [SI]                values of the tags at the window's edges

    Returns
    -------
    flow, sigma : (S,) float64 [kg]            NaN where a stream is not measured

    Notes
    -----
    The uncertainty of a meter is taken as the same error over the whole window, so it adds up; that
    of a level is taken as independent at the two edges.
    """
    flow = np.full(len(balance.lines), np.nan)
    sigma = np.full(len(balance.lines), np.nan)
    mass = tank_mass(network, level)
    mass_sigma = _tank_sigma(network, level)
    for s, line in enumerate(balance.lines):
        if line.tanks:
            tanks = list(line.tanks)
            share = network.tank_share[balance.component][tanks]
            flow[s] = (mass[1] - mass[0])[tanks] @ share
            sigma[s] = np.hypot.reduce(mass_sigma[tanks] * share)
        elif line.tags:
            parts = np.array([amount[tag] * factor for tag, factor in line.tags])
            deviations = [line.relative * abs(parts.sum())]
            for (tag, factor), part in zip(line.tags, parts, strict=True):
                absolute, relative = uncertainty(network.tags[tag])
                deviations.append(np.hypot(absolute * covered_s[tag] * factor, relative * part))
            flow[s] = parts.sum()
            sigma[s] = np.hypot.reduce(deviations)
    return flow, sigma


def _tank_sigma(network: Network, level: F64) -> F64:
    """Return the standard uncertainty of each tank's mass change between two edges; (K,) [kg]."""
    tags = network.tank_tag
    pairs = [uncertainty(network.tags[tag]) for tag in tags.tolist()]
    absolute, relative = np.array(pairs).reshape(-1, 2).T
    step = absolute + relative * np.abs(level[:, tags])
    higher, lower = level.copy(), level.copy()
    higher[:, tags] += step
    lower[:, tags] -= step
    return np.asarray(np.hypot.reduce((tank_mass(network, higher) - tank_mass(network, lower)) / 2))
