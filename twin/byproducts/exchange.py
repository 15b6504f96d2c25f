"""Industrial symbiosis: the surplus of a by-product, who could use it, and the ways between them.

References
----------
.. [1] M. R. Chertow, Industrial symbiosis: literature and taxonomy, Annual Review of Energy and the
   Environment 25 (2000) 313-337.
.. [2] R. M. Felder, R. W. Rousseau, Elementary Principles of Chemical Processes, 3rd ed.,
   Wiley 2005, section 4.2: the general balance equation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.accounts.accounts import SIGNS, Account
from twin.arrays import BOOL, F64, I64
from twin.byproducts.allocation import Links, unit_cost
from twin.byproducts.balance import surplus
from twin.model.park import AMOUNTS, OUTSIDE, inside
from twin.reference import load
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.model.park import Park, Stream

Parts = tuple[tuple[int, float], ...]  # (tag of the network, kg per SI amount of it)


@dataclass(frozen=True, slots=True)
class ByproductSource:
    """A place that offers a by-product."""

    scope: str
    byproducts: tuple[str, ...]  # ids of the rows of the park model
    basis: str  # metered, balance (its stream has no meter, its place is balanced), or unknown
    parts: Parts  # what adds up to the surplus


@dataclass(frozen=True, slots=True)
class Exchange:
    """Who offers a medium (P), who could take it (Q), the L ways between, and U tags."""

    medium: str
    sources: tuple[ByproductSource, ...]  # (P,)
    sinks: tuple[dict[str, Any], ...]  # (Q,) rows [[sink]] of the park model
    ways: tuple[dict[str, Any], ...]  # (L,) rows [[link]]
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
    rows = park.tables.get("byproduct", ())
    return tuple(dict.fromkeys(row["medium"] for row in rows if inside(row["scope"], scope)))


def compile_exchange(network: Network, scope: str, medium: str) -> Exchange:
    """Return the sources of a medium inside a scope, where they could send it, and how.

    A way that leaves the scope counts: the by-product of a plant may be of use to its neighbour.
    """
    park = network.park
    rows = [row for row in park.tables.get("byproduct", ()) if row["medium"] == medium]
    origins = list(dict.fromkeys(row["scope"] for row in rows if inside(row["scope"], scope)))
    ways = tuple(
        row
        for row in park.tables.get("link", ())
        if row["medium"] == medium and row["from"] in origins
    )
    ends = {row["to"] for row in ways}
    sinks = tuple(
        row
        for row in park.tables.get("sink", ())
        if row["medium"] == medium and (row["scope"] in ends or inside(row["scope"], scope))
    )
    sources = tuple(
        _source(network, origin, [row for row in rows if row["scope"] == origin])
        for origin in origins
    )
    links = _links(ways, origins, [row["scope"] for row in sinks])
    tags, factor = _matrix(sources)
    return Exchange(
        medium=medium,
        sources=sources,
        sinks=sinks,
        ways=ways,
        links=links,
        demand=np.array([row["capacity"] for row in sinks], np.float64),
        value=np.array([row.get("value", 0.0) for row in sinks], np.float64),
        cost=unit_cost(links, *(_prices(k) for k in ("fixed", "per_distance"))),
        tags=tags,
        factor=factor,
        known=np.array([source.basis != "unknown" for source in sources], dtype=bool),
    )


def surplus_rate(exchange: Exchange, rate: F64) -> F64:
    """Return what each source has to spare.

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
    nothing = np.zeros(1)
    spare = surplus(parts.sum(axis=-1), nothing, nothing)
    return np.where(exchange.known, spare, np.nan)


def _source(network: Network, scope: str, rows: list[dict[str, Any]]) -> ByproductSource:
    """Return a place with the by-products it offers."""
    parts: Parts = ()
    basis = "metered"
    for stream in dict.fromkeys(s for row in rows for s in _streams(network.park, row)):
        if stream.flow:
            parts += (_part(network, stream),)
        else:
            basis = "balance"
    if basis == "balance":
        balance = _balance(network, scope, rows[0]["medium"])
        # The metered by-products of the place stand in the balance as what leaves: both add up.
        parts, basis = (parts + balance, basis) if balance else ((), "unknown")
    elif not parts:
        basis = "unknown"
    return ByproductSource(scope, tuple(row["id"] for row in rows), basis, parts)


def _streams(park: Park, row: dict[str, Any]) -> list[Stream]:
    """Return the stream of a by-product, or all that carry it from its place to the outside."""
    if "stream" in row:
        return [s for s in park.streams if s.id == row["stream"]]
    return [
        s
        for s in park.streams
        if s.origin == row["scope"]
        and s.medium == row["medium"]
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
    """Return what the balance of a place leaves for its one stream without a meter, if one."""
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


def _links(ways: tuple[dict[str, Any], ...], origins: list[str], ends: list[str]) -> Links:
    """Return the arrays of the ways between sources and sinks."""

    def column(key: str, default: float) -> F64:
        return np.array([row.get(key, default) for row in ways], np.float64)

    def index(key: str, names: list[str]) -> I64:
        return np.array([names.index(row[key]) for row in ways], np.int64)

    return Links(
        source=index("from", origins),
        sink=index("to", ends),
        mode=index("mode", list(modes())),
        capacity=column("capacity", np.inf),
        distance=column("distance", np.nan),
        cost=column("cost", np.nan),
    )


def _prices(key: str) -> F64:
    """Return the default cost of each mode of transport, (D,)."""
    quantity = {"fixed": "mass_price", "per_distance": "transport_price"}[key]
    return np.array([parse_quantity(mode[key], quantity) for mode in load("transport").values()])
