"""Loops of a scope: what is made, goes round, comes in and goes out of energy, water and matter.

A loop is a few weighted sums of tags: the terms of its balance, and the two sums of its rate.

References
----------
.. [1] R. M. Felder, R. W. Rousseau, Elementary Principles of Chemical Processes, 3rd ed.,
   Wiley 2005, section 4.2: the general balance equation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from twin.accounts.accounts import ELECTRICITY, FLOW_ITEMS, Account, mass_of, stream_accounts
from twin.accounts.heat import content_of, heat_entry
from twin.accounts.network import Network, remembered
from twin.accounts.waste_heat import HeatCutOff, WasteHeat, cut_off_of, level_of
from twin.arrays import F64
from twin.byproducts.catalogue import Resource, meter_weight
from twin.model.park import AMOUNTS, Stream, inside
from twin.model.rows import RowFault, guess
from twin.reconciliation.uncertainty import weights
from twin.reference import load
from twin.targets.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twin.model.park import Park

WATER, STEAM, SALT = "water", "steam", "sodium_chloride"
CONDENSATE, WASTE_HEAT = "condensate", "waste_heat"
SOLID, HAZARDOUS = "solid_waste", "hazardous_waste"
# What kinds of water count as used again.
REUSED = ("reused", CONDENSATE)
# The terms of a balance, and how each counts in what it leaves unaccounted.
TERMS = {
    "made": 1.0, "imported": 1.0, "used": -1.0, "sent_out": -1.0, "vented": -1.0, "stored": -1.0,
}  # fmt: skip
TERM_OF = dict(zip(FLOW_ITEMS, ("made", "used", "imported", "sent_out", "vented"), strict=True))
# The term of what goes to each destination of a waste.
DESTINATION_TERM = {
    "use": "used", "sale": "used", "store": "stored", "treat": "sent_out", "landfill": "sent_out",
    "vent": "vented",
}  # fmt: skip
NAMES = {
    CONDENSATE: {"zh": "凝结水", "en": "Condensate"},
    WATER: {"zh": "水", "en": "Water"},
    SOLID: {"zh": "一般工业固体废物", "en": "Industrial solid waste"},
    HAZARDOUS: {"zh": "危险废物", "en": "Hazardous waste"},
    WASTE_HEAT: {"zh": "余热", "en": "Waste heat"},
    SALT: {"zh": "氯化钠（原盐）", "en": "Sodium chloride (salt)"},
    ELECTRICITY: {"zh": "电力", "en": "Electricity"},
}


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of a scope: weights (T,) [SI] of its terms and of both sums of its rate.

    `component` has a balance with tanks. `unmetered` has by term the streams without a meter, or
    what a waste lacks: such a term is not known. `lacking` names what the rate lacks of these.
    """

    id: str
    kind: str
    name: dict[str, str]
    rate: str  # row of loops.toml
    terms: dict[str, F64]
    over: F64
    under: F64
    component: str = ""
    energy: bool = False
    code: str = ""
    level: str = ""
    cut_off: HeatCutOff | None = None
    destinations: dict[str, F64] = field(default_factory=dict)
    unmetered: dict[str, list[str]] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @property
    def balance(self) -> F64:
        """The weights (T,) of what the balance leaves unaccounted, without what tanks take up."""
        return add_up([TERMS[name] * weight for name, weight in self.terms.items()], self.over)


@remembered
def compile_loops(network: Network, scope: str) -> tuple[Loop, ...]:
    """Return the loops of a scope.

    Parameters
    ----------
    network : Network
        T tags
    scope : str

    Returns
    -------
    tuple of Loop
        of carriers of energy, water, condensate, salt and by-products by their streams, of waste by
        code and of waste heat by temperature level, with a total of each
    """
    return (
        *_component_loops(network, scope),
        *_water_loops(network, scope),
        *_waste_loops(network, scope),
        *_heat_loops(network, scope),
    )


def add_up(parts: Iterable[F64], like: F64) -> F64:
    """Return the sum of some weights, which is that of a sum of amounts [1]_.

    Parameters
    ----------
    parts : iterable of (T,) float64 [1]
    like : (T,) float64 [1]     zeros of its shape begin the sum

    Returns
    -------
    (T,) float64 [1]
    """
    return np.asarray(sum(parts, np.zeros_like(like)))


def _component_loops(network: Network, scope: str) -> Iterator[Loop]:
    """Yield the loops of what goes round in streams, and of electricity; water apart."""
    products = {product.id for product in network.park.products}
    flowing = dict.fromkeys(
        a.subject for a in network.accounts if a.scope == scope and a.item in FLOW_ITEMS
    )
    made = {a.subject for a in network.accounts if a.item == "make"}
    for component in flowing:
        kind = _kind_of(component, made=component in made, product=component in products)
        if kind:
            yield _component_loop(network, scope, component, kind)


def _kind_of(component: str, *, made: bool, product: bool) -> str:
    """Return the kind of the loop of a component; empty where it has none of its own."""
    if component == SALT:
        return "salt"
    if component in (ELECTRICITY, STEAM) or (component in load("energy") and not made):
        return "energy"
    return "by_product" if made and not product and component != WATER else ""


def _component_loop(network: Network, scope: str, component: str, kind: str) -> Loop:
    """Return the loop of one component."""
    terms, unmetered = _flows(network, scope, component)
    nothing = np.zeros(len(network.tags))
    over = terms.get("used", nothing)
    under = add_up([terms[name] for name in ("made", "imported") if name in terms], nothing)
    needed = [name for term in ("made", "imported", "used") for name in unmetered.get(term, ())]
    return Loop(
        component,
        kind,
        _name_of(component),
        "used_of_available",
        terms,
        over,
        under,
        component=component,
        energy=component == ELECTRICITY,
        unmetered=unmetered,
        lacking=tuple(dict.fromkeys(needed)),
    )


def _flows(
    network: Network, scope: str, component: str
) -> tuple[dict[str, F64], dict[str, list[str]]]:
    """Return the weights (T,) of a component's flows by term, and its streams without a meter."""
    terms = {
        term: weights(network, {Account(scope, component, item): 1.0})
        for item, term in TERM_OF.items()
        if Account(scope, component, item) in network.accounts
    }
    return terms, _unmetered(network).get((scope, component), {})


@remembered
def _unmetered(network: Network) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Return the streams without a meter, by scope and component, and then by term."""
    streams: dict[tuple[str, str], dict[str, list[str]]] = {}
    for stream, account in stream_accounts(network.park):
        if not stream.flow:
            by_term = streams.setdefault((account.scope, account.subject), {})
            by_term.setdefault(TERM_OF[account.item], []).append(stream.id)
    return streams


def _name_of(component: str) -> dict[str, str]:
    """Return the name of a component: that of the medium that is nothing else."""
    media = load("media")
    own: dict[str, str] = media.get(component, {}).get("name", {})
    return NAMES.get(component) or own or {"zh": component, "en": component}


def _water_loops(network: Network, scope: str) -> Iterator[Loop]:
    """Yield the loops of water and of condensate."""
    media = load("media")
    streams = [s for s in network.park.streams if "water" in media[s.medium]]
    touching = [s for s in streams if inside(s.origin, scope) or inside(s.to, scope)]
    if not touching:
        return
    terms, unmetered = _flows(network, scope, WATER)
    again = [s for s in touching if media[s.medium]["water"] in REUSED and inside(s.to, scope)]
    taken = {
        stream.id: stream
        for stream, account in stream_accounts(network.park)
        if account.scope == scope and account.item in ("make", "import")
        and media[stream.medium].get("water") == "fresh"
    }  # fmt: skip
    over, fresh = (_metered(network, some) for some in (again, [*taken.values()]))
    yield Loop(
        WATER,
        WATER,
        NAMES[WATER],
        "water_reuse",
        terms,
        over,
        over + fresh,
        component=WATER,
        unmetered=unmetered,
        lacking=tuple(dict.fromkeys(s.id for s in (*again, *taken.values()) if not s.flow)),
    )
    returned = [s for s in touching if media[s.medium]["water"] == CONDENSATE]
    if returned:
        yield _condensate_loop(network, scope, returned)


def _condensate_loop(network: Network, scope: str, streams: Sequence[Stream]) -> Loop:
    """Return the loop of the condensate of the steam that is used in a scope."""
    of_steam, unmetered = _flows(network, scope, STEAM)
    steam = of_steam.get("used", np.zeros(len(network.tags)))
    sides = {
        "imported": [s for s in streams if not inside(s.origin, scope)],
        "used": [s for s in streams if inside(s.to, scope)],
        "sent_out": [s for s in streams if not inside(s.to, scope)],
    }
    terms = {"made": steam} | {
        term: _metered(network, some) for term, some in sides.items() if some
    }
    own = [s for s in streams if inside(s.origin, scope)]
    lost = {term: [s.id for s in some if not s.flow] for term, some in sides.items()}
    lost["made"] = unmetered.get("used", [])
    lacking = [s.id for s in own if not s.flow] + lost["made"]
    return Loop(
        CONDENSATE,
        CONDENSATE,
        NAMES[CONDENSATE],
        "condensate_return",
        terms,
        _metered(network, own),
        steam,
        unmetered={term: names for term, names in lost.items() if names},
        lacking=tuple(lacking),
    )


def _metered(network: Network, streams: Iterable[Stream]) -> F64:
    """Return the weights (T,) [kg/SI] of the streams that have a meter."""
    weight = np.zeros(len(network.tags))
    for stream in streams:
        if stream.flow:
            at = network.index[stream.flow]
            weight[at] += mass_of(stream, network.tags[at])
    return weight


def _waste_loops(network: Network, scope: str) -> Iterator[Loop]:
    """Yield the loops of waste by code, and the total of each kind."""
    for kind in (SOLID, HAZARDOUS):
        rows = [row for row in network.park.rows(Resource)
                if inside(row.scope, scope) and row.category == "waste"
                and bool(row.waste_code) == (kind == HAZARDOUS)]  # fmt: skip
        if not rows:
            continue
        by_code: dict[str, list[Resource]] = {}
        for row in rows:
            by_code.setdefault(row.waste_code or row.code or row.id, []).append(row)
        for code, group in by_code.items():
            name = group[0].name
            yield _waste_loop(network, f"{kind}.{code}", kind, name, group)
        yield _waste_loop(network, kind, kind, NAMES[kind], rows)


def _waste_loop(
    network: Network, id_: str, kind: str, name: dict[str, str], rows: Sequence[Resource]
) -> Loop:
    """Return the loop of some wastes."""
    nothing = np.zeros(len(network.tags))
    destinations: dict[str, F64] = {}
    for row in rows:
        for word, names in _destinations(row).items():
            weight = meter_weight(network, row, names)
            destinations[word] = destinations.get(word, nothing) + weight
    terms = {"made": add_up((meter_weight(network, row, row.measured) for row in rows), nothing)}
    for word, weight in destinations.items():
        term = DESTINATION_TERM[word]
        terms[term] = terms.get(term, nothing) + weight
    codes = dict.fromkeys(row.waste_code or row.code for row in rows)
    bare = [f"measured of {row.id}" for row in rows if not row.measured]
    lost = [f"destinations of {row.id}" for row in rows if not _destinations(row)]
    unmetered = dict.fromkeys(DESTINATION_TERM.values(), lost) if lost else {}
    return Loop(
        id_,
        kind,
        name,
        "waste_use",
        terms,
        terms.get("used", nothing),
        terms["made"],
        code=next(iter(codes)) if len(codes) == 1 else "",
        destinations=destinations,
        unmetered=unmetered | ({"made": bare} if bare else {}),
        lacking=(*bare, *lost),
    )


def _destinations(row: Resource) -> dict[str, tuple[str, ...]]:
    """Return the meters of what goes where; without any, what is taken off is used."""
    return row.destinations or ({"use": row.used} if row.used else {})


def _heat_loops(network: Network, scope: str) -> Iterator[Loop]:
    """Yield the loops of waste heat by level, the hottest last, and their total."""
    rows = [row for row in network.park.rows(WasteHeat) if inside(row.scope, scope)]
    if not rows:
        return
    for level, stated in load("waste_heat")["level"].items():
        mine = [row for row in rows if level_of(row.temperature) == level]
        if mine:
            yield _heat_loop(network, f"{WASTE_HEAT}.{level}", stated["name"], mine, level)
    yield _heat_loop(network, WASTE_HEAT, NAMES[WASTE_HEAT], rows, "")


def _heat_loop(
    network: Network, id_: str, name: dict[str, str], rows: Sequence[WasteHeat], level: str
) -> Loop:
    """Return the loop of some waste heat."""
    available, recovered = np.zeros((2, len(network.tags)))
    streams = {stream.id: stream for stream in network.park.streams}
    for row in rows:
        at, factor = _heat_of(network, row) or (network.index[row.flow], 1.0)
        available[at] += factor
        for each in row.recovered:
            entry = _heat_of(network, streams[each]) if each in streams else None
            at, factor = entry or (network.index[each], 1.0)
            recovered[at] += factor
    cut_offs = dict.fromkeys(cut_off_of(network.park, row.scope) for row in rows)
    return Loop(
        id_,
        WASTE_HEAT,
        name,
        "heat_recovery",
        {"made": available, "used": recovered},
        recovered,
        available,
        energy=True,
        level=level,
        cut_off=next(iter(cut_offs)) if len(cut_offs) == 1 else None,
    )


def _heat_of(network: Network, user: WasteHeat | Stream) -> tuple[int, float] | None:
    return heat_entry(network.park, network.index, network.heats, user)


def loop_names(park: Park) -> set[str]:
    """Return the names of loops that some scope of a park may have."""
    media = load("media")
    names = {component for s in park.streams for component in media[s.medium]["component"]}
    names |= {ELECTRICITY} if any(m.carrier == ELECTRICITY for m in park.meters) else set()
    water = {media[s.medium].get("water") for s in park.streams} - {None}
    names |= {WATER} if water else set()
    names |= {CONDENSATE} if CONDENSATE in water else set()
    for row in park.rows(Resource):
        if row.category == "waste":
            kind = HAZARDOUS if row.waste_code else SOLID
            names |= {kind, f"{kind}.{row.waste_code or row.code or row.id}"}
    heats = park.rows(WasteHeat)
    names |= {WASTE_HEAT} if heats else set()
    return names | {f"{WASTE_HEAT}.{level_of(row.temperature)}" for row in heats}


def check_loops(park: Park) -> Iterator[RowFault]:
    """Yield waste heat that is recovered by what is no heat, and targets of loops that are none."""
    tags = {tag.address: tag for tag in park.tags}
    streams = {stream.id: stream for stream in park.streams}
    index = {address: at for at, address in enumerate(tags)}
    for row in park.rows(WasteHeat):
        for name in row.recovered:
            if name in streams:
                stream = streams[name]
                if not stream.flow or content_of(park, index, stream) is None:
                    yield RowFault(row, f"stream {name!r} is no metered steam", "recovered")
            elif name not in tags:
                close = guess(name, (*streams, *tags))
                yield RowFault(row, f"{name!r} is neither a stream nor a tag{close}", "recovered")
            elif AMOUNTS.get(tags[name].quantity) != "energy" and not (
                tags[name].quantity == "energy" and tags[name].kind in ("counter", "amount")
            ):
                yield RowFault(row, f"{name!r} measures no power and counts no energy", "recovered")
    names = loop_names(park)
    for target in park.rows(Target):
        if target.loop and target.loop not in names:
            close = guess(target.loop, names) or f", use one of {', '.join(sorted(names))}"
            yield RowFault(target, f"the park has no loop {target.loop!r}{close}", "loop")
