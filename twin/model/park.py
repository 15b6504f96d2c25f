"""The park model: its scopes, tags and the tables that all subjects need, with their checks.

A park is a folder with ``park.toml`` and ``tags.csv``, read by `twin.loading`. The tables of one
subject (alarms, outlets, …) have their columns and checks in its package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from math import isnan
from typing import TYPE_CHECKING, Any, TypeVar

from twin.errors import UomError
from twin.model.rows import RowFault, cell, sentence, table
from twin.reference import load as load_reference
from twin.uom import parse_quantity, parse_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from zoneinfo import ZoneInfo

T = TypeVar("T")
NAN = float("nan")

KINDS = ("region", "park", "enterprise", "plant", "unit")
OUTSIDE = ("market", "atmosphere")
# What is held for longer has a level, or is a stock nobody knows.
HOLD_UP_MAX_S = 1800.0
# A star asks for a counter: the increase of a mass is an amount, the mass in a tank is not.
FLOWS = "mass_flow volume_flow normal_volume_flow mass* normal_volume*"
ENERGY = "power energy* mass_flow mass* normal_volume_flow normal_volume*"
# Columns of an electrolyser that its current efficiency follows from.
ANALYSED = ("oxygen", "hydrogen", "chlorate", "chlorate_fed", "anolyte")
ID_IN_NAME = re.compile(r"[\w.-]{1,64}\Z")
# The product of the accounts of all energy meters of a scope; no product has this name.
TOTAL = "total"
# The quantity of the time integral of a gauge; a counter counts that amount itself.
AMOUNTS = {
    "power": "energy",
    "reactive_power": "reactive_energy",
    "mass_flow": "mass",
    "volume_flow": "volume",
    "normal_volume_flow": "normal_volume",
}


@table
class Head:
    """The table ``[park]``: the root scope, the clock and how long a gauge value holds [s]."""

    id: str = cell("path")
    kind: str = cell("one " + " ".join(KINDS))
    name: dict[str, str] = cell("name")
    timezone: ZoneInfo = cell("zone")
    gap_s: float = cell("quantity time", key="gap", default=300.0)
    shifts: tuple[str, ...] = cell("times", default=())


@table
class Scope:
    """A node of the one tree region, park, enterprise, plant, unit; `id` is its path."""

    id: str = cell("path")
    kind: str = cell("one " + " ".join(KINDS))
    name: dict[str, str] = cell("name")

    @property
    def parent(self) -> str:
        """The path of the scope above; empty at the root."""
        return self.id.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Tag:
    """A named series of values; all numbers SI."""

    tag: str
    owner: str
    scope: str
    quantity: str
    uom: str
    kind: str
    scale: float
    shift: float
    low: float = float("nan")
    high: float = float("nan")
    sigma: str = ""
    description: str = ""
    source: str = "measured"
    gap_s: float = 300.0
    resolution: float = 0.0  # of a counter's register
    rate: float = float("inf")  # [SI/s] a counter's register moves no faster

    @property
    def address(self) -> str:
        """``owner/tag``, unique in the model."""
        return f"{self.owner}/{self.tag}"


@table
class Electrolyser:
    """Cells in series: a membrane electrolyser (Cl2, H2, NaOH) or a potline (Al)."""

    id: str = cell("text")
    scope: str = cell("scope")
    kind: str = cell("one membrane potline")
    cells: float = cell("number")
    current: str = cell("tag current")
    current_efficiency: float = cell("share")
    name: dict[str, str] | None = cell("name", default=None)
    voltage: str = cell("tag voltage", default="")
    zero_gap: bool = cell("flag", default=False)
    area: float = cell("quantity area", default=NAN)
    capacity: float = cell("quantity mass_flow", default=NAN)
    commissioned: date | None = cell("date", default=None)
    # Analysis: gases in the dry chlorine by volume, sodium chlorate in the anolyte that leaves and
    # in the brine that comes, volume flow of the anolyte.
    oxygen: str = cell("tag fraction", default="")
    hydrogen: str = cell("tag fraction", default="")
    chlorate: str = cell("tag concentration", default="")
    chlorate_fed: str = cell("tag concentration", default="")
    anolyte: str = cell("tag volume_flow", default="")
    temperature: str = cell("tag temperature", default="")  # of the cells
    strength: str = cell("tag fraction", default="")  # of the caustic soda in the liquor, by mass
    coated: date | None = cell("date", default=None)  # when the electrodes last were
    recoating_cost: float = cell("quantity money", default=NAN)  # of all its cells
    energy_price: float = cell("quantity energy_price", default=NAN)


@table
class Stream:
    """A flow from one scope to another; `flow` is the address of its meter or empty."""

    id: str = cell("text")
    origin: str = cell("place", key="from")
    to: str = cell("place")
    medium: str = cell("medium")
    mode: str = cell("one pipe road rail vent internal")
    flow: str = cell("tag " + FLOWS, default="")
    fraction: str = cell("tag fraction", default="")
    steam: str = cell("text", default="")  # id of its [[steam]], if it is not the nearest
    # For which pipes and vessels without a level at either end hold what it carries.
    hold_up_s: float = cell("quantity time", key="hold_up", default=NAN)
    name: dict[str, str] | None = cell("name", default=None)


@table
class Tank:
    """A vessel; its inventory [kg] follows from a level or a mass tag."""

    id: str = cell("text")
    scope: str = cell("scope")
    medium: str = cell("medium")
    level: str = cell("tag level fraction", default="")
    mass: str = cell("tag mass", default="")
    temperature: str = cell("tag temperature", default="")
    shape: str = cell(
        "one horizontal_cylinder vertical_cylinder sphere", default="vertical_cylinder"
    )
    heads: str = cell("one flat elliptical torispherical hemispherical", default="flat")
    diameter: float = cell("quantity length", default=NAN)
    length: float = cell("quantity length", default=NAN)  # of the shell, without heads
    density: float = cell("quantity density", default=NAN)
    density_sigma: float = cell("share", default=0.0)
    fill_limit: float = cell("share", default=1.0)
    spare: bool = cell("flag", default=False)


@table
class Meter:
    """An energy meter of a scope; basis ``DC`` is never summed.

    `parent` has the ids or tags of the meters it is fed through; `twin.model.meters` has the trees.
    `loss` says that behind it all users have meters, and which share is lost on the way to them.
    """

    scope: str = cell("scope")
    carrier: str = cell("carrier")
    tag: str = cell("tag " + ENERGY)
    id: str = cell("text", default="")
    stated_direction: str = cell("one in out", key="direction", default="")
    stated_role: str = cell("one incomer feeder generation sold", key="role", default="")
    parent: tuple[str, ...] = cell("texts", default=())
    loss: float = cell("share", default=NAN)
    basis: str = cell("one AC DC", default="AC")
    product: str = cell("text", default="")
    steam: str = cell("text", default="")  # id of its [[steam]], if it is not the nearest
    # Reactive energy over the same terminals, of alternating current.
    reactive: str = cell("tag reactive_power reactive_energy*", default="")

    @property
    def label(self) -> str:
        """The id, or else the tag."""
        return self.id or self.tag

    @property
    def role(self) -> str:
        """incomer, feeder, generation or sold; unstated: what comes in is a feeder's."""
        return self.stated_role or ("generation" if self.stated_direction == "out" else "feeder")

    @property
    def direction(self) -> str:
        """``in``, or ``out``: that is taken off; unstated it follows from the role."""
        outgoing = self.stated_role in ("generation", "sold")
        return self.stated_direction or ("out" if outgoing else "in")

    @property
    def sign(self) -> float:
        """1, or -1 of energy that leaves."""
        return 1.0 if self.direction == "in" else -1.0


@table
class Product:
    """A product of a plant, measured as 100 % product."""

    id: str = cell("text")
    scope: str = cell("scope")
    tag: str = cell("tag mass_flow mass*")
    grade: float = cell("share", default=NAN)  # mass fraction it is sold with: 0.32, 0.5, 0.99


@table
class Gap:
    """The time [s] a value of one tag holds without a new sample, instead of the park's."""

    tag: str = cell("tag")
    gap_s: float = cell("quantity time", key="gap")


@table
class Register:
    """What the register of one counter can show: texts, in units of measure of its tag."""

    tag: str = cell("tag")
    resolution: str = cell("text", default="")  # it steps back so far by jitter
    rate: str = cell("text", default="")  # it moves no faster

    def applied_to(self, tag: Tag) -> Tag:
        """Return a tag with these limits; raises UomError for a text that is none of it."""
        resolution, rate = tag.resolution, tag.rate
        if self.resolution:
            resolution = parse_quantity(self.resolution, tag.quantity, difference=True)
        if self.rate:
            rate = parse_rate(self.rate, tag.quantity)
        return replace(tag, resolution=resolution, rate=rate)


@dataclass(frozen=True, slots=True)
class Park:
    """A valid park model; `rows` returns those of the tables that belong to one subject.

    `strapping` has of each tank with a strapping table its rows of level [m] and volume [m³].
    """

    id: str
    kind: str
    name: dict[str, str]
    timezone: str
    gap_s: float
    shifts: tuple[str, ...]
    scopes: tuple[Scope, ...]
    tags: tuple[Tag, ...]
    electrolysers: tuple[Electrolyser, ...] = ()
    streams: tuple[Stream, ...] = ()
    tanks: tuple[Tank, ...] = ()
    meters: tuple[Meter, ...] = ()
    products: tuple[Product, ...] = ()
    strapping: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    tables: Mapping[type[Any], tuple[Any, ...]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    warnings: tuple[str, ...] = ()  # each with its file and line: what is allowed, but doubtful

    def rows(self, table: type[T]) -> tuple[T, ...]:
        """Return the rows of a table by their class, in the order of the file."""
        return self.tables.get(table, ())

    def scope(self, path: str) -> Scope | None:
        """Return the scope at `path`, or None."""
        return next((s for s in self.scopes if s.id == path), None)


def scopes_above(path: str) -> Iterator[str]:
    """Yield a scope and all above it; the outside has none."""
    while path and path not in OUTSIDE:
        yield path
        path = path.rpartition("/")[0]


def owner_of(scope: str, kinds: Mapping[str, str]) -> str:
    """Return the last segment of the nearest enterprise at or above `scope`, else of `scope`."""
    owner = next((path for path in scopes_above(scope) if kinds.get(path) == "enterprise"), scope)
    return owner.rpartition("/")[2]


def park_of(scope: str, kinds: Mapping[str, str]) -> str:
    """Return the last segment of the nearest park at or above `scope`, else of the root."""
    root = scope.partition("/")[0]
    park = next((path for path in scopes_above(scope) if kinds.get(path) == "park"), root)
    return park.rpartition("/")[2]


def inside(scope: str, boundary: str) -> bool:
    """Return whether `scope` is `boundary` or below it."""
    return scope == boundary or scope.startswith(boundary + "/")


def products_near(park: Park, scope: str) -> list[str]:
    """Return the products made at, above or below a scope."""
    return [p.id for p in park.products if inside(p.scope, scope) or inside(scope, p.scope)]


def check_park(park: Park) -> Iterator[RowFault]:
    """Yield the faults of streams, tanks and products."""
    for stream in park.streams:
        if stream.origin == stream.to:
            yield RowFault(stream, "from and to are the same")
        if stream.origin in OUTSIDE and stream.to in OUTSIDE:
            yield RowFault(stream, "both ends are outside the park")
        if not (isnan(stream.hold_up_s) or 0 <= stream.hold_up_s <= HOLD_UP_MAX_S):
            yield RowFault(stream, f"must be within 0 and {HOLD_UP_MAX_S:.0f} s", "hold_up")
    for tank in park.tanks:
        if bool(tank.level) == bool(tank.mass):
            yield RowFault(tank, "needs either level or mass")
        yield from _check_vessel(park, tank)
    for product in park.products:
        if product.id == TOTAL:
            yield RowFault(product, "the name stands for all energy of a scope; call it otherwise")
    yield from _check_electrolysers(park)
    yield from _check_registers(park)


def _check_electrolysers(park: Park) -> Iterator[RowFault]:
    """Yield analyses that cannot be used: of other cells, in part, or of a gauge only now and then.

    The id of an analysed electrolyser is in the names of its derived tags.
    """
    gauges = {tag.address for tag in park.tags if tag.kind == "gauge"}
    for each in park.electrolysers:
        tags = {name: getattr(each, name) for name in ANALYSED}
        given = [name for name, tag in tags.items() if tag]
        if given and each.kind != "membrane":
            yield RowFault(each, "the analysis of chlorine belongs to membrane cells", given[0])
        elif given and not each.oxygen:
            yield RowFault(each, "an analysis needs oxygen", given[0])
        elif given and not ID_IN_NAME.match(each.id):
            yield RowFault(each, "its derived tags need an id without blanks, commas and /", "id")
        if bool(each.chlorate) != bool(each.anolyte) or (each.chlorate_fed and not each.chlorate):
            yield RowFault(each, "chlorate needs anolyte, the flow it leaves with, and the reverse")
        for name in given:
            if tags[name] not in gauges:
                yield RowFault(each, "needs a gauge", name)


def _check_registers(park: Park) -> Iterator[RowFault]:
    """Yield registers of tags that have none, and limits that are none."""
    tags = {tag.address: tag for tag in park.tags}
    for row in park.rows(Register):
        tag = tags[row.tag]
        if tag.kind != "counter":
            yield RowFault(row, f"it is a {tag.kind}; only a counter has a register", "tag")
        if not row.resolution and not row.rate:
            yield RowFault(row, "needs resolution or rate")
        try:
            limited = row.applied_to(tag)
        except UomError as error:
            yield RowFault(row, sentence(error))
            continue
        if limited.resolution < 0 or not limited.rate > 0:
            yield RowFault(row, "resolution is below 0, or rate not above it")


def _check_vessel(park: Park, tank: Tank) -> Iterator[RowFault]:
    """Yield what is missing to make a mass of a tank's level, or stands twice."""
    strapped, sphere = tank.id in park.strapping, tank.shape == "sphere"
    sizes = [tank.diameter] if sphere else [tank.diameter, tank.length]
    if strapped and not all(map(isnan, (tank.diameter, tank.length))):
        yield RowFault(tank, "strapping.csv has its volume; diameter and length say it again")
    if tank.level and isnan(tank.density):
        yield RowFault(tank, "a level needs density")
    if tank.level and not strapped and any(map(isnan, sizes)):
        needed = "diameter" if sphere else "diameter and length"
        yield RowFault(tank, f"a level needs {needed}, or rows in strapping.csv")
    if tank.heads != "flat" and (strapped or tank.shape != "horizontal_cylinder"):
        yield RowFault(tank, "heads belong to a horizontal cylinder", "heads")
    if tank.temperature and tank.medium not in load_reference("saturation"):
        known = ", ".join(load_reference("saturation"))
        yield RowFault(tank, f"the density by temperature is known of {known} only", "temperature")
