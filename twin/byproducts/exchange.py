"""Industrial symbiosis: surplus of a by-product, its possible users, and links between them.

References
----------
.. [1] M. R. Chertow, Industrial symbiosis: literature and taxonomy, Annual Review of Energy and the
   Environment 25 (2000) 313-337.
.. [2] R. M. Felder, R. W. Rousseau, Elementary Principles of Chemical Processes, 3rd ed.,
   Wiley 2005, section 4.2: the general balance equation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.accounts import SIGNS, Account
from twin.arrays import BOOL, F64, I64
from twin.byproducts.allocation import Links, unit_cost
from twin.model.park import AMOUNTS, OUTSIDE, inside
from twin.model.rows import RowFault, cell, table
from twin.reference import load
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.accounts.network import Network
    from twin.model.park import Park, Stream

Parts = tuple[tuple[int, float], ...]  # (tag of the network, kg per SI amount of it)


@table
class Byproduct:
    """A by-product on offer: its stream, or all streams that carry it out of its scope."""

    id: str = cell("text")
    scope: str = cell("scope")
    medium: str = cell("medium")
    stream: str = cell("text", default="")
    name: dict[str, str] | None = cell("name", default=None)


@table
class Link:
    """A transport route of a medium from one scope to another."""

    id: str = cell("text")
    origin: str = cell("place", key="from")
    to: str = cell("place")
    medium: str = cell("medium")
    mode: str = cell("one pipe road rail")
    capacity: float = cell("quantity mass_flow")
    distance: float = cell("quantity length", default=np.nan)
    cost: float = cell("quantity mass_price", default=np.nan)  # NaN: that of the mode
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Sink:
    """A possible user of a medium."""

    id: str = cell("text")
    scope: str = cell("place")
    medium: str = cell("medium")
    capacity: float = cell("quantity mass_flow")
    value: float = cell("quantity mass_price", default=0.0)
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


def check_exchange(park: Park) -> Iterator[RowFault]:
    """Yield by-products without their stream, and links that nothing feeds or that end nowhere."""
    media = {stream.id: stream.medium for stream in park.streams}
    for row in park.rows(Byproduct):
        carried = media.get(row.stream, "nothing")
        if row.stream and carried != row.medium:
            yield RowFault(row, f"stream {row.stream!r} carries {carried}, not {row.medium}")
    ends: set[tuple[str, str]] = set()
    for sink in park.rows(Sink):
        if (sink.scope, sink.medium) in ends:
            yield RowFault(sink, f"{sink.scope} has a sink for {sink.medium} already")
        ends.add((sink.scope, sink.medium))
        # Not "below 0", so that a capacity of nan is a problem, too.
        if not sink.capacity >= 0:
            yield RowFault(sink, "capacity is not 0 or more")
    offers = {(row.scope, row.medium) for row in park.rows(Byproduct)}
    for link in park.rows(Link):
        for text in _link_problems(link):
            yield RowFault(link, text)
        if (link.origin, link.medium) not in offers:
            yield RowFault(link, f"{link.origin} offers no {link.medium}")
        if (link.to, link.medium) not in ends:
            yield RowFault(link, f"{link.to} has no sink for {link.medium}")


def _link_problems(link: Link) -> Iterator[str]:
    """Yield the problems between the cells of a link."""
    if not link.capacity >= 0:
        yield "capacity is not 0 or more"
    if link.distance < 0:
        yield "distance is not 0 or more"
    if link.origin == link.to:
        yield "from and to are the same"
    if np.isnan(link.distance) and np.isnan(link.cost):
        yield "needs a distance or a cost"


@dataclass(frozen=True, slots=True)
class ByproductSource:
    """A place that offers a by-product."""

    scope: str
    byproducts: tuple[str, ...]  # ids of the rows of the park model
    basis: str  # metered, balance (its stream has no meter, its place is balanced), or unknown
    parts: Parts  # that add up to the surplus


@dataclass(frozen=True, slots=True)
class Exchange:
    """P sources of a medium, Q sinks, L routes between them, and the U tags of the surplus."""

    medium: str
    sources: tuple[ByproductSource, ...]  # (P,)
    sinks: tuple[Sink, ...]  # (Q,)
    link_rows: tuple[Link, ...]  # (L,)
    links: Links
    demand: F64  # (Q,) [kg/s]
    value: F64  # (Q,) [CNY/kg]; 0 where the model names none
    cost: F64  # (L,) [CNY/kg]
    tags: I64  # (U,) of the network, that the surplus follows from
    factor: F64  # (P, U) [kg per SI amount]
    known: BOOL  # (P,) whether the meters of the model tell the surplus


def modes() -> tuple[str, ...]:
    """Return the modes of transport, in the order of `Links.mode`."""
    return tuple(load("transport"))


def offered(park: Park, scope: str) -> tuple[str, ...]:
    """Return the media of which there are by-products inside a scope."""
    rows = park.rows(Byproduct)
    return tuple(dict.fromkeys(row.medium for row in rows if inside(row.scope, scope)))


def compile_exchange(network: Network, scope: str, medium: str) -> Exchange:
    """Return the sources of a medium inside a scope, where they could send it, and how.

    A link that leaves the scope counts: the by-product of a plant may be of use to its neighbour.
    """
    park = network.park
    rows = [row for row in park.rows(Byproduct) if row.medium == medium]
    origins = list(dict.fromkeys(row.scope for row in rows if inside(row.scope, scope)))
    link_rows = tuple(
        row for row in park.rows(Link) if row.medium == medium and row.origin in origins
    )
    ends = {row.to for row in link_rows}
    sinks = tuple(
        row
        for row in park.rows(Sink)
        if row.medium == medium and (row.scope in ends or inside(row.scope, scope))
    )
    sources = tuple(
        _source(network, origin, [row for row in rows if row.scope == origin]) for origin in origins
    )
    links = _links(link_rows, origins, [row.scope for row in sinks])
    tags, factor = _matrix(sources)
    return Exchange(
        medium=medium,
        sources=sources,
        sinks=sinks,
        link_rows=link_rows,
        links=links,
        demand=np.array([row.capacity for row in sinks], np.float64),
        value=np.array([row.value for row in sinks], np.float64),
        cost=unit_cost(links, *mode_prices()),
        tags=tags,
        factor=factor,
        known=np.array([source.basis != "unknown" for source in sources], dtype=bool),
    )


def surplus_rate(exchange: Exchange, rate: F64) -> F64:
    """Return the surplus of each source.

    Parameters
    ----------
    exchange
        P sources, U tags
    rate : (..., U) float64 [SI/s]
        mean rate of each tag of the exchange, kg/s or m³/s; NaN = no value

    Returns
    -------
    (..., P) float64 [kg/s]
        what is vented or sold today, or what the balance of the place leaves [2]_; not below 0,
        NaN where a tag has no value or the model does not tell
    """
    parts = np.where(exchange.factor == 0, 0.0, rate[..., None, :] * exchange.factor)
    return np.where(exchange.known, np.maximum(parts.sum(axis=-1), 0.0), np.nan)


def _source(network: Network, scope: str, rows: list[Byproduct]) -> ByproductSource:
    """Return a place with the by-products it offers."""
    parts: Parts = ()
    basis = "metered"
    for stream in dict.fromkeys(s for row in rows for s in _streams(network.park, row)):
        if stream.flow:
            parts += (_part(network, stream),)
        else:
            basis = "balance"
    if basis == "balance":
        balance = _balance(network, scope, rows[0].medium)
        # The metered by-products of the place stand in the balance as what leaves: both add up.
        parts, basis = (parts + balance, basis) if balance else ((), "unknown")
    elif not parts:
        basis = "unknown"
    return ByproductSource(scope, tuple(row.id for row in rows), basis, parts)


def _streams(park: Park, row: Byproduct) -> list[Stream]:
    """Return the stream of a by-product, or all that carry it from its place to the outside."""
    if row.stream:
        return [s for s in park.streams if s.id == row.stream]
    return [
        s
        for s in park.streams
        if s.origin == row.scope
        and s.medium == row.medium
        and (s.to in OUTSIDE or s.mode == "vent")
    ]


def _part(network: Network, stream: Stream) -> tuple[int, float]:
    """Return the meter of a stream and the mass of the medium per SI amount of it."""
    at = network.index[stream.flow]
    quantity = network.tags[at].quantity
    if AMOUNTS.get(quantity, quantity) == "mass":
        return at, 1.0
    medium = load("media")[stream.medium]
    return at, parse_quantity(medium.get("normal_density", "nan kg/m^3"), "density")


def _balance(network: Network, scope: str, medium: str) -> Parts:
    """Return the balance of a scope, which is the flow of its one stream without a meter."""
    shares = load("media")[medium]["component"]
    open_ends = [
        s
        for s in network.park.streams
        if not s.flow
        and (inside(s.origin, scope) or inside(s.to, scope))
        and shares.keys() & load("media")[s.medium]["component"].keys()
    ]
    if len(shares) != 1 or len(open_ends) != 1:
        return ()
    (component, share), *_ = shares.items()
    if (scope, component) in network.tanks.scopes:
        return ()
    parts: list[tuple[int, float]] = []
    # What comes in on balance, and does not stay, leaves by the one stream without a meter.
    for item, sign in SIGNS.items():
        account = Account(scope, component, item)
        if account in network.accounts:
            lines = network.entries(account)
            factors = network.entry_factor[lines] * (sign / share)
            parts += zip(network.entry_tag[lines].tolist(), factors.tolist(), strict=True)
    return tuple(parts)


def _matrix(sources: tuple[ByproductSource, ...]) -> tuple[I64, F64]:
    """Return the tags of all sources (U,), sorted, and their factors (P, U)."""
    tags = np.unique(np.array([t for s in sources for t, _ in s.parts], dtype=np.int64))
    factor = np.zeros((len(sources), len(tags)))
    for p, source in enumerate(sources):
        for tag, part in source.parts:
            factor[p, np.searchsorted(tags, tag)] += part
    return tags, factor


def _links(link_rows: tuple[Link, ...], origins: list[str], ends: list[str]) -> Links:
    """Return the arrays of the links between sources and sinks."""
    return Links(
        source=np.array([origins.index(row.origin) for row in link_rows], np.int64),
        sink=np.array([ends.index(row.to) for row in link_rows], np.int64),
        mode=np.array([modes().index(row.mode) for row in link_rows], np.int64),
        capacity=np.array([row.capacity for row in link_rows], np.float64),
        distance=np.array([row.distance for row in link_rows], np.float64),
        cost=np.array([row.cost for row in link_rows], np.float64),
    )


def mode_prices() -> tuple[F64, F64]:
    """Return the default costs of the modes of transport.

    Returns
    -------
    fixed : (D,) float64 [CNY/kg]               whatever the distance
    per_distance : (D,) float64 [CNY/(kg*m)]
    """
    rows = load("transport").values()
    fixed = [parse_quantity(row["fixed"], "mass_price") for row in rows]
    per_distance = [parse_quantity(row["per_distance"], "transport_price") for row in rows]
    return np.array(fixed), np.array(per_distance)
