"""The by-product resource catalogue: what is on offer, what is needed, hauls, agreed transfers.

References
----------
.. [1] GB 34330-2017, Identification standards for solid wastes, general rules: product or waste.
.. [2] R. W. Sinnott, Virtues of the haversine, Sky and Telescope 68 (1984) 159.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.disclosure import LEVELS
from twin.model.park import AMOUNTS, FLOWS, OUTSIDE, inside
from twin.model.rows import MONTHS, RowFault, cell, guess, table
from twin.reference import figure, load
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import date

    from twin.accounts.network import Network
    from twin.model.park import Park, Stream

Shares = tuple[float, float, float]  # least, usual, most

PHASES = "gas liquid slurry solid"
MODES = "pipe road rail"
DESTINATIONS = "use sale vent treat landfill store"
WASTE_CODE = re.compile(r"HW\d\d( \d{3}-\d{3}-\d\d)?\Z")
NAN = float("nan")
ALL_YEAR = (1.0,) * MONTHS


@table
class Resource:
    """What a scope has to give: composition by mass, status, quantities, how it is measured.

    `status` is that of GB 34330 [1]_. `measured`, `used` and `destinations` name streams by their
    ids, or tags: what is available is the sum of the first minus that of the second; destinations
    are those of `disposition`, of what was measured.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    name: dict[str, str] = cell("name")
    category: str = cell("one by_product waste waste_heat waste_water waste_gas")
    phase: str = cell("one " + PHASES)
    composition: dict[str, Shares] = cell("each range fraction")
    typical: float = cell("quantity mass_flow")
    status: str = cell("one product waste")
    disposition: str = cell("one " + DESTINATIONS)
    modes: tuple[str, ...] = cell("some " + MODES)
    design: float = cell("quantity mass_flow", default=NAN)
    months: tuple[float, ...] = cell("months", default=ALL_YEAR)  # shares of `typical`
    cas: str = cell("text", default="")
    code: str = cell("text", default="")  # of the product or industry
    waste_code: str = cell("text", default="")  # of hazardous waste
    hazards: tuple[str, ...] = cell("texts", default=())  # GHS
    approvals: tuple[str, ...] = cell("texts", default=())
    temperature: float = cell("quantity temperature", default=NAN)
    pressure: float = cell("quantity pressure", default=NAN)
    heating_value: float = cell("quantity intensity", default=NAN)
    density: float = cell("quantity density", default=NAN)  # of normal cubic metres where a gas
    storage: float = cell("quantity mass", default=NAN)
    price: float = cell("quantity mass_price", default=0.0)  # asked
    disposal_cost: float = cell("quantity mass_price", default=0.0)  # of what finds no user
    first: date | None = cell("date", key="from", default=None)
    last: date | None = cell("date", key="to", default=None)
    measured: tuple[str, ...] = cell("texts", default=())
    used: tuple[str, ...] = cell("texts", default=())
    destinations: dict[str, tuple[str, ...]] = cell("each texts", default_factory=dict)
    location: tuple[float, ...] = cell("point", default=())
    contact: str = cell("text", default="")
    confidentiality: str = cell("one " + " ".join(LEVELS), default="park")
    standard: str = cell("text", default="")
    evidence: str = cell("text", default="")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Need:
    """What somebody could take: a component, how pure, how much, by which modes, under which terms.

    A `firm` minimum is taken whatever it costs; another one only says below what it is no use.
    Without `mixtures` each resource has to fit by itself: a waste is not diluted until it fits.
    `waste_codes` are those its hazardous-waste licence names, `approvals` those it asks for.
    """

    id: str = cell("text")
    name: dict[str, str] = cell("name")
    industry: str = cell(
        "one chemistry metals steel building_materials textiles power agriculture heating food"
        " water other"
    )
    component: str = cell("text")
    phases: tuple[str, ...] = cell("some " + PHASES)
    most: float = cell("quantity mass_flow", key="max")
    modes: tuple[str, ...] = cell("some " + MODES)
    scope: str = cell("place", default=OUTSIDE[0])
    least: float = cell("quantity mass_flow", key="min", default=0.0)
    firm: bool = cell("flag", default=False)
    mixtures: bool = cell("flag", default=True)  # whether others may make up for one
    months: tuple[float, ...] = cell("months", default=ALL_YEAR)  # shares of `most`
    purity: float = cell("quantity fraction", default=0.0)
    impurities: dict[str, float] = cell("each quantity fraction", default_factory=dict)
    temperature: float = cell("quantity temperature", default=NAN)  # at least
    pressure: float = cell("quantity pressure", default=NAN)  # at least
    accepts: tuple[str, ...] = cell("some product waste", default=("product",))
    waste_codes: tuple[str, ...] = cell("texts", default=())
    approvals: tuple[str, ...] = cell("texts", default=())
    distance: float = cell("quantity length", key="distance_max", default=float("inf"))
    price: float = cell("quantity mass_price", default=0.0)  # paid
    replaces: str = cell("replaced_material", default="")  # row of avoided.toml
    first: date | None = cell("date", key="from", default=None)
    last: date | None = cell("date", key="to", default=None)
    location: tuple[float, ...] = cell("point", default=())
    contact: str = cell("text", default="")
    confidentiality: str = cell("one " + " ".join(LEVELS), default="park")
    source: str = cell("any", default="")
    note: str = cell("any", default="")


@table
class Haul:
    """How a resource gets to a need by one mode, where coordinates do not tell, as for a pipe."""

    id: str = cell("text")
    origin: str = cell("text", key="from")
    to: str = cell("text")
    mode: str = cell("one " + MODES)
    distance: float = cell("quantity length")
    capacity: float = cell("quantity mass_flow", default=float("inf"))
    cost: float = cell("quantity mass_price", default=NAN)  # NaN: that of the mode
    investment: float = cell("quantity money", default=NAN)  # to build it; NaN: it is there


@table
class Transfer:
    """What was agreed to go from a resource to a need each month, and the meters of both sides."""

    id: str = cell("text")
    resource: str = cell("text")
    need: str = cell("text")
    amount: float = cell("above mass")  # of a whole month
    first: date = cell("date", key="from")
    last: date | None = cell("date", key="to", default=None)
    tolerance: float = cell("share", default=0.05)
    sent: tuple[str, ...] = cell("texts", default=())
    received: tuple[str, ...] = cell("texts", default=())
    contract: str = cell("text", default="")
    evidence: str = cell("text", default="")
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")


def check_catalogue(park: Park) -> Iterator[RowFault]:
    """Yield resources, needs, hauls and transfers that contradict themselves or each other."""
    resources = {row.id: row for row in park.rows(Resource)}
    needs = {row.id: row for row in park.rows(Need)}
    components = {name for row in resources.values() for name in row.composition}
    for row in resources.values():
        yield from _check_resource(park, row)
    for need in needs.values():
        yield from _check_need(need, components)
    for haul in park.rows(Haul):
        yield from _check_end(haul, "from", haul.origin, "resource", resources)
        yield from _check_end(haul, "to", haul.to, "need", needs)
        if not (haul.distance >= 0 and haul.capacity >= 0) or haul.investment < 0:
            yield RowFault(haul, "distance, capacity and investment are 0 or more")
        yield from _check_finite(haul, "distance", *(["cost"] if np.isinf(haul.cost) else []))
    for transfer in park.rows(Transfer):
        yield from _check_end(transfer, "resource", transfer.resource, "resource", resources)
        yield from _check_end(transfer, "need", transfer.need, "need", needs)
        yield from _check_transfer(park, transfer, resources.get(transfer.resource))


def _check_end(
    row: Haul | Transfer, column: str, end: str, kind: str, known: Collection[str]
) -> Iterator[RowFault]:
    if end not in known:
        yield RowFault(row, f"there is no [[{kind}]] {end!r}{guess(end, known)}", column)


def _check_resource(park: Park, row: Resource) -> Iterator[RowFault]:
    """Yield the contradictions in the cells of a resource."""
    shares = np.array(list(row.composition.values())).reshape(-1, 3)
    if not len(shares) or (shares < 0).any() or (shares > 1).any():
        yield RowFault(row, "needs components, each with 0 to 100 % by mass", "composition")
    elif shares[:, 0].sum() > 1 or round(shares[:, 1].sum(), 6) > 1:
        yield RowFault(row, "its components add up to more than 100 %", "composition")
    if not row.typical >= 0 or row.design < row.typical:
        yield RowFault(row, "typical is not 0 or more, or above design", "typical")
    if row.waste_code and not WASTE_CODE.match(row.waste_code):
        yield RowFault(row, "write it like HW34 or HW34 261-057-34", "waste_code")
    if row.waste_code and row.status == "product":
        yield RowFault(row, "a product (GB 34330) has no code of hazardous waste", "waste_code")
    yield from _check_finite(row, "typical", "price", "disposal_cost")
    yield from _check_period(row)
    yield from _check_meters(park, row)


def _check_meters(park: Park, row: Resource) -> Iterator[RowFault]:
    """Yield meters of a resource that tell no mass of it, and destinations that are none."""
    named = {"measured": row.measured, "used": row.used}
    for column, names in (named | row.destinations).items():
        for name in names:
            for text in _meter_problems(park, row, name):
                yield RowFault(row, text, column if column in named else "destinations")
    for word in row.destinations:
        if word not in DESTINATIONS.split():
            known = guess(word, DESTINATIONS.split()) or f", use one of {DESTINATIONS}"
            yield RowFault(row, f"{word!r} is no destination{known}", "destinations")
    if row.destinations and not row.measured:
        yield RowFault(row, "nothing measured that could go there", "destinations")
    if row.used and not row.measured:
        yield RowFault(row, "nothing measured it could be taken off", "used")


def _check_finite(row: Resource | Need | Haul, *columns: str) -> Iterator[RowFault]:
    """Yield figures that a sum cannot be made of."""
    for column in columns:
        if not np.isfinite(getattr(row, column)):
            yield RowFault(row, "it is no finite number", column)


def _check_period(row: Resource | Need | Transfer) -> Iterator[RowFault]:
    if row.first and row.last and row.last < row.first:
        yield RowFault(row, "it ends before it begins", "to")


def _meter_problems(park: Park, row: Resource, name: str) -> Iterator[str]:
    """Yield why a stream or tag does not tell a mass flow of a resource."""
    tags = {tag.address: tag for tag in park.tags}
    streams = {stream.id: stream for stream in park.streams}
    stream = streams.get(name)
    if stream is None and name not in tags:
        yield f"{name!r} is neither a stream nor a tag{guess(name, (*streams, *tags))}"
        return
    if stream is not None and not stream.flow:
        yield f"stream {name!r} has no meter"
        return
    tag = tags[stream.flow if stream else name]
    quantities = FLOWS.split()
    if tag.quantity not in quantities and not (
        f"{tag.quantity}*" in quantities and tag.kind in ("counter", "amount")
    ):
        yield f"{tag.address!r} measures {tag.quantity} as a {tag.kind}, which is no flow"
    elif np.isnan(_density(row, stream, AMOUNTS.get(tag.quantity, tag.quantity))):
        yield f"{tag.address!r} measures a volume: give the resource its density"


def _check_need(need: Need, components: set[str]) -> Iterator[RowFault]:
    """Yield the contradictions in the cells of a need, and components written otherwise."""
    if not 0 <= need.least <= need.most or need.least == np.inf:
        yield RowFault(need, "min is not 0 or more, or above max", "min")
    if need.firm and not need.least:
        yield RowFault(need, "a firm need has a min", "firm")
    limits = [need.purity, *need.impurities.values()]
    if not all(0 <= limit <= 1 for limit in limits):
        yield RowFault(need, "purity and impurities lie between 0 and 100 %")
    yield from _check_finite(need, "price")
    yield from _check_period(need)
    replaced = load("avoided").get(need.replaces, {}).get("component", need.component)
    if replaced != need.component:
        yield RowFault(need, f"{need.replaces} is about {replaced}", "replaces")
    for column, names in (("component", [need.component]), ("impurities", list(need.impurities))):
        for name in names:
            close = "" if name in components else guess(name, components)
            if close:
                yield RowFault(need, f"no resource states {name!r}{close}", column)


def _check_transfer(park: Park, row: Transfer, resource: Resource | None) -> Iterator[RowFault]:
    """Yield the contradictions of an agreement, and its meters that tell no mass."""
    yield from _check_period(row)
    if not row.sent and not row.received:
        yield RowFault(row, "needs meters: sent, received or both")
    if resource is None:
        return
    for column, names in (("sent", row.sent), ("received", row.received)):
        for name in names:
            for text in _meter_problems(park, resource, name):
                yield RowFault(row, text, column)


def _density(resource: Resource, stream: Stream | None, amount: str) -> float:
    """Return the mass of an SI amount [kg/SI]: 1 of a mass; NaN where nothing tells it."""
    if amount == "mass":
        return 1.0
    medium = load("media")[stream.medium] if stream and amount == "normal_volume" else {}
    stated = parse_quantity(medium.get("normal_density", "nan kg/m^3"), "density")
    return resource.density if np.isnan(stated) else stated


def meter_weight(
    network: Network, resource: Resource, names: Iterable[str], taken_off: Iterable[str] = ()
) -> F64:
    """Return the weights that make the mass of a resource of the amounts of tags.

    Parameters
    ----------
    network : Network
        T tags
    resource : Resource
    names, taken_off : iterable of str
        ids of streams, or addresses of tags; the latter count as negative

    Returns
    -------
    (T,) float64 [kg/SI]
        0 throughout where nothing is named
    """
    streams = {stream.id: stream for stream in network.park.streams}
    weight = np.zeros(len(network.tags))
    for sign, each in ((1.0, names), (-1.0, taken_off)):
        for name in each:
            stream = streams.get(name)
            at = network.index[stream.flow if stream else name]
            quantity = network.tags[at].quantity
            weight[at] += sign * _density(resource, stream, AMOUNTS.get(quantity, quantity))
    return weight


def resources_of(park: Park, scope: str) -> tuple[Resource, ...]:
    """Return the resources inside a scope."""
    return tuple(row for row in park.rows(Resource) if inside(row.scope, scope))


def open_share(rows: Iterable[Resource | Need], day: date) -> F64:
    """Return which share of its usual quantity each row has on a day.

    Parameters
    ----------
    rows : iterable of Resource or Need
        R of them
    day : date

    Returns
    -------
    (R,) float64 [1]
        that of the month; 0 before the first and after the last day of the row
    """
    return np.array(
        [
            row.months[day.month - 1] if (row.first or day) <= day <= (row.last or day) else 0.0
            for row in rows
        ],
        np.float64,
    )


def crow_distance(one: F64, other: F64) -> F64:
    """Return the distances between places on the Earth.

    Parameters
    ----------
    one, other : (..., 2) float64 [degrees]
        longitude and latitude; NaN = not known

    Returns
    -------
    (...) float64 [m]
        along a great circle, by the haversine [2]_
    """
    x, y = np.moveaxis(np.radians(one), -1, 0), np.moveaxis(np.radians(other), -1, 0)
    half = np.sin((y - x) / 2) ** 2
    haversine = half[1] + np.cos(x[1]) * np.cos(y[1]) * half[0]
    return np.asarray(2 * figure("constants.earth_radius", "length") * np.arcsin(haversine**0.5))
