"""Carbon footprints of products: what their plants emit, and what comes with energy and materials.

The plants of a boundary and their pools of electricity and heat are the nodes of a linear system:
what a node gives out carries what it emits and what comes in with its inputs. A pool is all that
the plants of one enterprise make of a carrier, and what they use beyond that is bought.

References
----------
.. [1] ISO 14067:2018 and GB/T 24067-2024, carbon footprint of products: cradle to gate, allocation
   among co-products by a physical relation; carbon that stays in a product is no emission.
.. [2] R. Heijungs, S. Suh, The Computational Structure of Life Cycle Assessment, Springer 2002,
   chapter 2: footprints as the solution of a linear system; chapter 6: its derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.accounts.accounts import Account, components_of
from twin.arrays import F64, ratio
from twin.emissions import carbon
from twin.emissions.sources import CarbonFlow, carbon_source, emission_sources
from twin.model.park import inside, scopes_above
from twin.reconciliation.uncertainty import weights
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.accounts.network import Network
    from twin.model.park import Park, Stream

# The row of a term whose emission is no share of another node's, and the state of one that always
# counts.
NONE = -1
CARRIERS = ("electricity", "heat")


class Term(NamedTuple):
    """A part of the system: a weighted sum of tags at a row and a column."""

    row: int  # node
    column: int  # node; NONE = emitted, as the weights say
    weight: F64  # (T,) [kg/SI or J/SI]; with `bought` [J/SI]
    switch: int = NONE  # place of the switch that decides if the term counts; NONE = always
    on: bool = True  # whether it counts where that is positive
    bought: str = ""  # carrier whose factor the weights take


@dataclass(frozen=True, slots=True)
class ProductSystem:
    """The nodes of a boundary with T tags, and the products they make."""

    nodes: tuple[str, ...]  # scopes of plants, and pools as ``scope:carrier``
    terms: tuple[Term, ...]
    switches: tuple[F64, ...]  # (T,) weights of sums whose sign decides
    products: tuple[tuple[str, int], ...]  # id and node
    outputs: dict[int, tuple[str, ...]]  # by node: what shares its emissions by mass
    brought_in: tuple[str, ...]  # media from outside: what was emitted for them is not counted


@dataclass(frozen=True, slots=True)
class ProductFootprint:
    """The footprint of a product in W windows, all (W,) [kg/kg]; NaN = not known."""

    value: F64
    direct: F64  # emitted at the plant itself
    energy: F64  # with electricity and heat
    materials: F64  # with what other plants of the boundary supply
    weight: F64  # (W, T) derivative of the value by each amount


def compile_products(network: Network, boundary: str) -> ProductSystem:
    """Return the system of a boundary.

    Parameters
    ----------
    network : Network
        T tags
    boundary : str
        scope; what is outside of it is bought

    Returns
    -------
    ProductSystem
        plants that give out energy and no product share their emissions by heat, others by the mass
        of what leaves them, without vents [1]_
    """
    plants = _plants(network.park, boundary)
    homes = [(p.id, _plant_of(network.park, p.scope, boundary)) for p in network.park.products]
    products = tuple(dict.fromkeys((id_, plants.index(at)) for id_, at in homes if at in plants))
    outputs = {
        n: _outputs(network, plant, [id_ for id_, at in products if at == n])
        for n, plant in enumerate(plants)
    }
    energy = _Energy(network, boundary, plants, {at for _, at in products})
    outputs |= dict.fromkeys(energy.sources, ())
    terms = [*energy.terms, *_emitted(network, boundary, plants)]
    switches = list(energy.switches)
    for n, plant in enumerate(plants):
        if n not in energy.sources:
            terms += _given_out(network, plant, n, outputs[n], products, switches)
    terms += _supplied(network, boundary, plants, outputs)
    return ProductSystem(
        nodes=(*plants, *(f"{scope}:{carrier}" for scope, carrier in energy.pools)),
        terms=tuple(term for term in terms if np.any(term.weight)),
        switches=tuple(switches),
        products=products,
        outputs=outputs,
        brought_in=tuple(sorted(_brought_in(network, boundary))),
    )


def _plants(park: Park, boundary: str) -> list[str]:
    """Return the plants inside a boundary; what has none above it is one with its enterprise."""
    scopes = [
        *(meter.scope for meter in park.meters),
        *(product.scope for product in park.products),
        *(end for stream in park.streams for end in (stream.origin, stream.to)),
    ]
    homes = (_plant_of(park, scope, boundary) for scope in scopes)
    return sorted({home for home in homes if home})


def _plant_of(park: Park, scope: str, boundary: str) -> str:
    """Return the plant of a scope; empty outside, and where several plants share it."""
    kinds = {s.id: s.kind for s in park.scopes}
    above = [path for path in scopes_above(scope) if inside(path, boundary)]
    plant = next((path for path in above if kinds[path] == "plant"), "")
    if plant or not above:
        return plant
    home = next((path for path in above if kinds[path] == "enterprise"), above[-1])
    shared = any(kind == "plant" and inside(path, home) for path, kind in kinds.items())
    return "" if shared else home


class _Energy:
    """The pools of a boundary: their terms, switches, and the plants that feed them."""

    def __init__(
        self, network: Network, boundary: str, plants: list[str], makers: set[int]
    ) -> None:
        self.pools: list[tuple[str, str]] = []
        self.terms: list[Term] = []
        self.switches: list[F64] = []
        self.sources: set[int] = set()
        nothing = np.zeros(len(network.tags))
        uses: dict[tuple[str, str], F64] = {}
        given: dict[tuple[str, str], F64] = {}
        for n, plant in enumerate(plants):
            home = _home(network.park, plant, boundary)
            for source in emission_sources(network, plant):
                if source.kind not in CARRIERS:
                    continue
                key, net = (home, str(source.kind)), source.activity + source.sold
                node = len(plants) + self._place(key)
                gives = np.maximum(-net, 0.0) if n not in makers else nothing
                self.terms.append(Term(n, node, -(net + gives)))
                uses[key] = uses.get(key, nothing) + net + gives
                given[key] = given.get(key, nothing) + gives
                if np.any(gives):
                    self.sources.add(n)
                    self.terms += [Term(node, n, -gives), Term(n, n, gives)]
        for key, used in uses.items():
            node, switch = len(plants) + self._place(key), len(self.switches)
            self.switches.append(used - given[key])
            self.terms += [
                Term(node, node, used, switch),
                Term(node, node, given[key], switch, on=False),
                Term(node, NONE, used - given[key], switch, bought=key[1]),
            ]

    def _place(self, key: tuple[str, str]) -> int:
        if key not in self.pools:
            self.pools.append(key)
        return self.pools.index(key)


def _home(park: Park, plant: str, boundary: str) -> str:
    """Return the enterprise of a plant, or the boundary below one."""
    kinds = {s.id: s.kind for s in park.scopes}
    above = (path for path in scopes_above(plant) if inside(path, boundary))
    return next((path for path in above if kinds[path] == "enterprise"), boundary)


def _emitted(network: Network, boundary: str, plants: list[str]) -> Iterator[Term]:
    """Yield what plants emit themselves; carbon in materials counts where it is weighed."""
    flows = network.park.rows(CarbonFlow)
    tags = {tag.address: tag for tag in network.park.tags}
    for n, plant in enumerate(plants):
        for source in emission_sources(network, plant):
            if source.kind not in CARRIERS and source.name not in {flow.id for flow in flows}:
                yield Term(n, NONE, source.weight)
    for flow in flows:
        plant = _plant_of(network.park, tags[flow.tag].scope, boundary)
        if plant in plants:
            yield Term(plants.index(plant), NONE, carbon_source(network, flow).weight)


def _outputs(network: Network, plant: str, products: list[str]) -> tuple[str, ...]:
    """Return what leaves a plant by mass: its products, and components that cross its fence."""
    exported = [a.subject for a in network.accounts if a.scope == plant and a.item == "export"]
    return tuple(dict.fromkeys([*products, *(c for c in exported if _is_material(c))]))


def _is_material(component: str) -> bool:
    """Return whether a component is no carrier of energy and no carbon dioxide."""
    if component not in load_reference("energy"):
        return True
    burned = carbon.source_of(component) in ("fuel", *CARRIERS)
    return not burned and component != "carbon_dioxide"


def _given_out(
    network: Network,
    plant: str,
    n: int,
    outputs: tuple[str, ...],
    products: tuple[tuple[str, int], ...],
    switches: list[F64],
) -> Iterator[Term]:
    """Yield the mass that shares the emissions of a plant.

    A plant without a product shares them by what comes in, where that is more: what else it makes
    has no meter.
    """
    out = np.zeros(len(network.tags))
    for name in outputs:
        item = "mass" if (name, n) in products else "export"
        out += weights(network, {Account(plant, name, item): 1.0})
    if any(at == n for _, at in products):
        yield Term(n, n, out)
        return
    came = [a for a in network.accounts if a.scope == plant and a.item == "import"]
    into = weights(network, {a: 1.0 for a in came if _is_material(a.subject)})
    switch = len(switches)
    switches.append(into - out)
    yield Term(n, n, into, switch)
    yield Term(n, n, out, switch, on=False)


def _supplied(
    network: Network, boundary: str, plants: list[str], outputs: dict[int, tuple[str, ...]]
) -> Iterator[Term]:
    """Yield what plants of the boundary supply to each other."""
    for stream, origin, to in _crossings(network.park, boundary):
        if origin not in plants or to not in plants or not stream.flow:
            continue
        at = network.index[stream.flow]
        weight = np.zeros(len(network.tags))
        for component, factor in components_of(stream, network.tags[at]).items():
            if component in outputs[plants.index(origin)]:
                weight[at] += factor
        yield Term(plants.index(to), plants.index(origin), -weight)


def _crossings(park: Park, boundary: str) -> Iterator[tuple[Stream, str, str]]:
    """Yield the streams from one plant to another, or across the boundary."""
    for stream in park.streams:
        origin, to = (_plant_of(park, scope, boundary) for scope in (stream.origin, stream.to))
        if origin != to:
            yield stream, origin, to


def _brought_in(network: Network, boundary: str) -> set[str]:
    """Return the media that come in from outside the boundary."""
    media = load_reference("media")
    return {
        stream.medium
        for stream, origin, to in _crossings(network.park, boundary)
        if to and not origin and any(map(_is_material, media[stream.medium]["component"]))
    }


def product_terms(system: ProductSystem, node: int) -> list[Term]:
    """Return the terms that the footprint of a node's products rests on.

    Parameters
    ----------
    system : ProductSystem
    node : int

    Returns
    -------
    list of Term
        of the node and of all that supply it, directly or not
    """
    met, new = set[int](), {node}
    while new:
        met |= new
        new = {t.column for t in system.terms if t.row in met and t.column != NONE} - met
    return [term for term in system.terms if term.row in met]


def product_footprint(
    system: ProductSystem, node: int, amount: F64, factors: dict[str, F64]
) -> ProductFootprint:
    """Return the footprint of what a node makes.

    Parameters
    ----------
    system : ProductSystem
        T tags
    node : int
    amount : (W, T) float64 [SI]
        sums of each tag over a window; NaN = no value
    factors : dict of (W,) float64 [kg/J]
        of what is bought, by carrier

    Returns
    -------
    ProductFootprint
        NaN where nothing was made, or an amount it rests on is not known [2]_
    """
    terms = product_terms(system, node)
    rows = sorted({term.row for term in terms})
    at = {row: n for n, row in enumerate(rows)}
    counts = [_counts(system, term, amount) for term in terms]
    sums = [_sum(term.weight, amount) * count for term, count in zip(terms, counts, strict=True)]
    windows, size = len(amount), len(rows)
    matrix, emitted = np.zeros((windows, size, size)), np.zeros((windows, size))
    scale = [factors[t.bought] if t.bought else np.ones(windows) for t in terms]
    for term, total, by in zip(terms, sums, scale, strict=True):
        if term.column == NONE:
            emitted[:, at[term.row]] += np.where(total != 0, total * by, 0.0)
        else:
            matrix[:, at[term.row], at[term.column]] += total
    # What gave nothing out passes nothing on.
    idle = np.einsum("wnn->wn", matrix) <= 0
    matrix[idle] = np.eye(size)[np.nonzero(idle)[1]]
    emitted[idle] = 0.0
    intensity, slope = _solve(matrix, emitted, at[node])
    idler = idle[:, at[node]]
    made = np.where(idler, np.nan, matrix[:, at[node], at[node]])
    # What a unit of each term adds: emission, or less of what another node shares out.
    unit = [by if t.column == NONE else -intensity[:, at[t.column]]
            for t, by in zip(terms, scale, strict=True)]  # fmt: skip
    parts = {name: np.zeros(windows) for name in ("direct", "energy", "materials")}
    change = np.zeros((windows, len(terms)))
    for k, term in enumerate(terms):
        acts = ~idle[:, at[term.row]] & (counts[k] != 0)
        change[:, k] = np.where(acts, slope[:, at[term.row]] * counts[k] * unit[k], 0.0)
        if term.row == node and term.column != node:
            parts[_part_of(system, term)] += sums[k] * unit[k]
    return ProductFootprint(
        value=np.where(idler, np.nan, intensity[:, at[node]]),
        weight=change @ np.stack([term.weight for term in terms]),
        **{name: ratio(part, made) for name, part in parts.items()},
    )


def _part_of(system: ProductSystem, term: Term) -> str:
    """Return the part of a footprint that a term of its node belongs to."""
    if term.column == NONE:
        return "direct"
    return "energy" if ":" in system.nodes[term.column] else "materials"


def _sum(weight: F64, amount: F64) -> F64:
    """Return a weighted sum of tags, (T,) and (W, T) to (W,)."""
    return np.asarray(np.where(weight != 0, weight * amount, 0.0).sum(axis=-1))


def _counts(system: ProductSystem, term: Term, amount: F64) -> F64:
    """Return in which windows a term counts, 1 or 0, (W,); NaN where that is not known."""
    if term.switch == NONE:
        return np.ones(len(amount))
    total = _sum(system.switches[term.switch], amount)
    return np.where(np.isnan(total), np.nan, (total > 0) == term.on)


def _solve(matrix: F64, emitted: F64, node: int) -> tuple[F64, F64]:
    """Return the intensities (W, n), and the derivative of one by what each node emits (W, n)."""
    unit = np.zeros_like(emitted)
    unit[:, node] = 1.0
    try:
        intensity = np.linalg.solve(matrix, emitted[..., None])[..., 0]
        slope = np.linalg.solve(matrix.transpose(0, 2, 1), unit[..., None])[..., 0]
    except np.linalg.LinAlgError:
        # Plants that only pass things round among each other.
        return np.full_like(emitted, np.nan), np.full_like(emitted, np.nan)
    return np.asarray(intensity, np.float64), np.asarray(slope, np.float64)
