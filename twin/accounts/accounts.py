"""Bookkeeping of a park model: entries of tags in the accounts of scopes.

An account is one additive quantity of one scope: the chlorine a park made, the electricity its
caustic used. Every account is a linear function of the tags.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from twin import faraday
from twin.accounts.carriers import carrier_factor
from twin.accounts.heat import Heats, heat_entry, is_steam
from twin.model.junctions import meter_flows
from twin.model.meters import counts
from twin.model.park import (
    AMOUNTS,
    TOTAL,
    Electrolyser,
    Meter,
    Park,
    Stream,
    Tag,
    inside,
    scopes_above,
)
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from twin.model.junctions import Junction, MeterFlow
    from twin.model.meters import MeterTrees

# How the items of a balance count in the amount it leaves unexplained.
SIGNS = {"make": 1.0, "use": -1.0, "import": 1.0, "export": -1.0, "vent": -1.0}
FLOW_ITEMS = tuple(SIGNS)
# A carrier, an item of the energy accounts, and a component whose balances are of energy, not mass.
ELECTRICITY = "electricity"


class Account(NamedTuple):
    """One additive quantity: of a scope, about a component or product, in SI (kg, energy J)."""

    scope: str
    subject: str
    item: str


Book = dict[Account, list[tuple[int, float]]]


def book_park(
    park: Park,
    trees: MeterTrees,
    junctions: Sequence[Junction],
    index: dict[str, int],
    effective: Mapping[str, int],
    heats: Heats,
) -> Book:
    """Return the (tag, factor) entries of every account of a park and its energy meters.

    `index` has the positions of measured tags by address, `effective` those of the effective
    currents by electrolyser.
    """
    book: Book = {}
    _book_electrolysers(park, index, effective, book)
    _book_streams(park, index, book)
    _book_electricity(trees, junctions, index, book)
    _book_energy(park, trees, index, heats, book)
    return book


def cell_factor(cell: Electrolyser) -> dict[str, float]:
    """Return the products of cells in series per charge, by Faraday's law.

    Parameters
    ----------
    cell : Electrolyser

    Returns
    -------
    dict of float [kg/C]   by component: mass per charge of the line current; < 0 = used
    """
    ampere = cell.cells * cell.current_efficiency
    if cell.kind == "membrane":
        return {
            "chlorine": ampere * faraday.mass_per_charge(faraday.CL2),
            "caustic": ampere * faraday.mass_per_charge(faraday.NAOH),
            "hydrogen": cell.cells * faraday.mass_per_charge(faraday.H2),
            # Two sodium chloride for each chlorine.
            "sodium_chloride": -ampere * faraday.mass_per_charge(faraday.SALT),
        }
    return {"aluminium": ampere * faraday.mass_per_charge(faraday.AL)}


def cell_entries(
    cell: Electrolyser, index: Mapping[str, int], effective: Mapping[str, int]
) -> dict[str, tuple[int, float]]:
    """Return what cells in series make as tags with factors.

    Parameters
    ----------
    cell : Electrolyser
    index, effective : mapping of str to int
        positions of measured tags by address, of effective currents by electrolyser

    Returns
    -------
    dict of (int, float [kg/C])
        by component: the tag whose charge makes it, and the mass per charge; < 0 = used. That is
        the line current with the current efficiency of the model, or the effective current
    """
    line = index[cell.current]
    if cell.id not in effective:
        return {name: (line, factor) for name, factor in cell_factor(cell).items()}
    whole = cell_factor(replace(cell, current_efficiency=1.0))
    tag = effective[cell.id]
    return {name: (line if name == "hydrogen" else tag, factor) for name, factor in whole.items()}


def components_of(stream: Stream, meter: Tag) -> dict[str, float]:
    """Return the components of a stream per amount of its meter.

    Parameters
    ----------
    stream : Stream
    meter : Tag               of its flow

    Returns
    -------
    dict of float [kg/kg]     by component; [kg/m³] for a volume: NaN without a density
    """
    mass = mass_of(stream, meter)
    shares = load_reference("media")[stream.medium]["component"]
    return {name: share * mass for name, share in shares.items()}


def mass_of(stream: Stream, meter: Tag) -> float:
    """Return the mass of a stream per amount of its meter.

    Parameters
    ----------
    stream : Stream
    meter : Tag               of its flow

    Returns
    -------
    float [kg/SI]             1 of a mass; of a volume that of the medium, NaN where it has none
    """
    if AMOUNTS.get(meter.quantity, meter.quantity) == "mass":
        return 1.0
    medium = load_reference("media")[stream.medium]
    return parse_quantity(
        medium.get("normal_density", medium.get("density", "nan kg/m^3")), "density"
    )


def _add(book: Book, account: Account, tag: int, factor: float) -> None:
    book.setdefault(account, []).append((tag, factor))


def _book_electrolysers(
    park: Park, index: dict[str, int], effective: Mapping[str, int], book: Book
) -> None:
    """Book products and salt of the cells, by Faraday's law on their current."""
    for cell in park.electrolysers:
        for component, (tag, factor) in cell_entries(cell, index, effective).items():
            item = "make" if factor > 0 else "use"
            for scope in scopes_above(cell.scope):
                _add(book, Account(scope, component, item), tag, abs(factor))


def stream_accounts(park: Park) -> Iterator[tuple[Stream, Account]]:
    """Yield the accounts that streams belong to, those without a meter as well.

    A stream is made, used, imported, exported or vented, as seen from each scope above its ends.
    """
    media = load_reference("media")
    sources: set[tuple[str, str]] = set()
    sinks: set[tuple[str, str]] = set()
    for stream in park.streams:
        for component in media[stream.medium]["component"]:
            sources.add((stream.origin, component))
            sinks.add((stream.to, component))
    held = {(t.scope, c) for t in park.tanks for c in media[t.medium]["component"]}
    for stream in park.streams:
        for component in media[stream.medium]["component"]:
            origin, to = (stream.origin, component), (stream.to, component)
            makes = origin not in sinks and origin not in held and not _is_cell(park, *origin)
            uses = to not in sources and to not in held
            for scope in dict.fromkeys([*scopes_above(stream.origin), *scopes_above(stream.to)]):
                for item in _items(stream, scope, makes=makes, uses=uses):
                    yield stream, Account(scope, component, item)


def _book_streams(park: Park, index: dict[str, int], book: Book) -> None:
    """Book the streams that have a meter."""
    for stream, account in stream_accounts(park):
        if stream.flow:
            meter = park.tags[index[stream.flow]]
            factor = components_of(stream, meter)[account.subject]
            _add(book, account, index[stream.flow], factor)


def _is_cell(park: Park, scope: str, component: str) -> bool:
    """Return whether cells inside the scope make the component: Faraday's law books it then."""
    cells = [cell_factor(e) for e in park.electrolysers if inside(e.scope, scope)]
    return any(factor.get(component, 0.0) > 0 for factor in cells)


def _items(stream: Stream | MeterFlow, scope: str, *, makes: bool, uses: bool) -> Iterable[str]:
    """Yield the items that a stream, or the flow of a meter, is booked under in a scope."""
    leaves, enters = inside(stream.origin, scope), inside(stream.to, scope)
    if leaves and makes:
        yield "make"
    if enters and uses:
        yield "use"
    if leaves and not enters:
        yield "vent" if stream.to == "atmosphere" or stream.mode == "vent" else "export"
    if enters and not leaves:
        yield "import"


def _book_electricity(
    trees: MeterTrees, junctions: Sequence[Junction], index: dict[str, int], book: Book
) -> None:
    """Book electricity as a component: made, used, bought and sold over meters with a relation."""
    for flow in meter_flows(trees, junctions, ELECTRICITY):
        meter = trees.meters[flow.meter]
        if meter.basis == "DC":
            continue
        for scope in dict.fromkeys([*scopes_above(flow.origin), *scopes_above(flow.to)]):
            for item in _items(flow, scope, makes=flow.makes, uses=flow.uses):
                _add(book, Account(scope, ELECTRICITY, item), index[meter.tag], 1.0)


def coal_entry(
    park: Park, index: Mapping[str, int], heats: Heats, meter: Meter
) -> tuple[int, float]:
    """Return the tag and the factor that give the coal equivalent of a meter.

    Parameters
    ----------
    park : Park
    index : mapping of str to int   places of the tags
    heats : Heats                   of the park
    meter : Meter

    Returns
    -------
    (int, float)                    [J] of coal equivalent per SI amount of the tag

    Notes
    -----
    The coal equivalent of a fuel is its heat; that of steam has the rounded factor of heat.
    """
    heat = heat_entry(park, index, heats, meter)
    if heat is None:
        return index[meter.tag], carrier_factor(meter.carrier)
    return heat[0], heat[1] * (carrier_factor("heat") if is_steam(meter.carrier) else 1.0)


def _book_energy(
    park: Park, trees: MeterTrees, index: dict[str, int], heats: Heats, book: Book
) -> None:
    """Book products by mass; energy meters by their product and in total, as coal equivalent.

    Only the top of each tree of meters counts, in each scope and product by itself. Energy of a
    captive plant goes out there and comes in at its users: inside a scope that has both it cancels,
    and only fuel and sold energy remain (GB/T 2589-2020).
    """
    for product in park.products:
        for scope in scopes_above(product.scope):
            _add(book, Account(scope, product.id, "mass"), index[product.tag], 1.0)
    for at, meter in enumerate(trees.meters):
        made = trees.products[at]
        tag, factor = coal_entry(park, index, heats, meter)
        for scope in scopes_above(meter.scope):
            subjects = [TOTAL] if counts(trees, at, scope) else []
            if made and counts(trees, at, scope, made):
                subjects.insert(0, made)
            for subject in subjects:
                _add(book, Account(scope, subject, "coal_equivalent"), tag, meter.sign * factor)
                if meter.carrier == ELECTRICITY:
                    _add(book, Account(scope, subject, ELECTRICITY), tag, meter.sign)
