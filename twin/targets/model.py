"""Tables ``[[target]]`` and ``[[asset]]``: goals by figure of a closed list, and what stands where.

A figure has a quantity; ``money/area`` is that of a ratio of tags, in a unit like ``万元/亩``.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from twin.errors import UomError
from twin.model.park import AMOUNTS
from twin.model.rows import RowFault, cell, guess, sentence, table
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twin.model.park import Park, Tag

NAN = float("nan")
NUMBER = "number"  # of things, whatever they are called
# The figures a target may be about, and the quantity of each; "" = that of its tags.
KPIS = {
    "electricity_intensity": "intensity",
    "energy_intensity": "intensity",
    "local_share_of_liquid": "fraction",
    "local_share_of_chlorine": "fraction",
    "unaccounted_share": "fraction",
    "chlor_alkali_balance": "fraction",
    "zero_gap_share": "fraction",
    "capacity": "mass_flow",
    "ratio": "",
    "rise": "fraction",
    "amount": "",
    "count": NUMBER,
    "asset_share": "fraction",
    "asset_capacity": "mass_flow",
    "carbon_per_energy": "emission_factor",
    "clean_energy_share": "fraction",
    "products_at_level": "fraction",
    "loop_rate": "fraction",
    "data_availability": "fraction",
    "chlorine_tank_room": "fraction",
    "hazard_equivalent": "fraction",
    "permit_pace": "fraction",
    "off_road_share": "fraction",
}
# What each needs besides its goal.
NEEDS = {
    "electricity_intensity": ("product",),
    "energy_intensity": ("product",),
    "capacity": ("product",),
    "ratio": ("part", "whole"),
    "rise": ("part", "whole", "base_year"),
    "amount": ("part",),
    "count": ("part", "above"),
    "asset_share": ("asset", "has"),
    "asset_capacity": ("asset",),
    "products_at_level": ("level",),
    "loop_rate": ("loop",),
    "permit_pace": ("permit",),
}
# A measured figure of these never reaches 0 exactly: the goal needs room.
OF_CLOSURE = ("unaccounted_share",)
OF_INTENSITY = ("electricity_intensity", "energy_intensity")
OF_TAGS = ("ratio", "rise", "amount", "count")
LEVELS = ("benchmark", "baseline", "quota_1", "quota_2", "quota_3")


@table
class Asset:
    """A part of the asset register: it counts from `since` to the day before `until`."""

    id: str = cell("text")
    scope: str = cell("scope")
    kind: str = cell("text")
    capacity: float = cell("above mass_flow")
    has: tuple[str, ...] = cell("texts", default=())
    name: dict[str, str] | None = cell("name", default=None)
    since: date | None = cell("date", default=None)
    until: date | None = cell("date", default=None)


@table
class Target:
    """A goal of a scope; without `kpi`, one that no figure can show."""

    id: str = cell("text")
    scope: str = cell("scope")
    uom: str = cell("text")
    value: float = cell("number", default=NAN)
    tolerance: float = cell("number", default=0.0)
    name: dict[str, str] | None = cell("name", default=None)
    year: int | None = cell("number", default=None)
    due: date | None = cell("date", default=None)
    kpi: str = cell("one " + " ".join(KPIS), default="")
    product: str = cell("text", default="")
    level: str = cell("one " + " ".join(LEVELS), default="")
    part: tuple[str, ...] = cell("texts", default=())
    whole: tuple[str, ...] = cell("texts", default=())
    above: str = cell("text", default="")
    loop: str = cell("text", default="")
    asset: str = cell("text", default="")
    has: str = cell("text", default="")
    base_year: int | None = cell("number", default=None)
    permit: str = cell("text", default="")
    sense: str = cell("one at_most at_least", default="")
    clause: str = cell("any", default="")
    basis: str = cell("any", default="")
    boundary: str = cell("any", default="")
    confidence: str = cell("text", default="")
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")
    note: str = cell("any", default="")

    @property
    def due_on(self) -> date | None:
        """The day by which the goal is to be reached; without one, the end of its year."""
        return self.due or (date(self.year, 12, 31) if self.year else None)

    def limit_of(self, goal: float) -> float:
        """Return what a figure is compared with: the goal and its tolerance, in its `uom`."""
        return goal + (-self.tolerance if self.sense == "at_least" else self.tolerance)

    @property
    def limit(self) -> float:
        """What a figure is compared with where the goal is a value, in `uom`."""
        return self.limit_of(self.value)


def summed_quantity(tag: Tag) -> str:
    """Return the quantity of what a tag adds up to: that of a flow is an amount."""
    return tag.quantity if tag.kind != "gauge" else AMOUNTS.get(tag.quantity, tag.quantity)


def is_held(tag: Tag) -> bool:
    """Tell whether a tag has a state (land, staff), which adds up to nothing."""
    return tag.kind == "gauge" and tag.quantity not in AMOUNTS


def quantity_of_target(tags: Mapping[str, Tag], target: Target) -> str:
    """Return the quantity of the figure of a target, of tags by their addresses."""
    if target.kpi not in OF_TAGS or KPIS[target.kpi]:
        return KPIS[target.kpi]
    part = summed_quantity(tags[target.part[0]])
    if target.kpi == "amount":
        return part if is_held(tags[target.part[0]]) else f"{part}/time"
    whole = summed_quantity(tags[target.whole[0]])
    return "fraction" if part == whole else f"{part}/{whole}"


def scale_of(uom: str, quantity: str) -> float:
    """Return the size of a unit of measure.

    Parameters
    ----------
    uom : str
    quantity : str
        one of `twin.uom.QUANTITIES`, two of them as a ratio, or ``number``

    Returns
    -------
    float [SI]

    Raises
    ------
    UomError
        the unit is not one of the quantity
    """
    if quantity == NUMBER:
        return 1.0
    over, _, under = quantity.partition("/")
    if not under:
        return compile_uom(uom, quantity)[0]
    upper, _, lower = uom.rpartition("/")
    return compile_uom(upper, over)[0] / compile_uom(lower, under)[0]


def check_targets(park: Park) -> Iterator[RowFault]:
    """Yield targets that lack something, name what is not there or have an unfit unit."""
    tags = {tag.address: tag for tag in park.tags}
    for asset in park.rows(Asset):
        if asset.since and asset.until and asset.since >= asset.until:
            yield RowFault(asset, "is not after `since`", "until")
    for target in park.rows(Target):
        if target.tolerance < 0:
            yield RowFault(target, "is below 0", "tolerance")
        if target.value != target.value and not target.level:
            yield RowFault(target, "needs value, or level")
        if target.kpi:
            yield from check_figure(target, tags)


def check_figure(target: Target, tags: Mapping[str, Tag]) -> Iterator[RowFault]:
    """Yield what is wrong with the figure a target names, of tags by their addresses."""
    lacking = [name for name in NEEDS.get(target.kpi, ()) if not getattr(target, name)]
    if not target.sense:
        yield RowFault(target, "a kpi needs sense = at_most or at_least")
    for name in lacking:
        yield RowFault(target, f"{target.kpi} needs {name}")
    if target.kpi in OF_CLOSURE and target.sense == "at_most" and target.limit <= 0:
        yield RowFault(target, f"{target.kpi} is never 0 when it is measured; give tolerance")
    if target.level and target.kpi not in (*OF_INTENSITY, "products_at_level"):
        yield RowFault(target, "is a goal of energy per product only", "level")
    faults = list(_check_tags(target, tags))
    yield from faults
    if lacking or faults:
        return
    try:
        scale_of(target.uom, quantity_of_target(tags, target))
    except UomError as error:
        yield RowFault(target, sentence(error), "uom")
    if target.above:
        try:
            parse_quantity(target.above, summed_quantity(tags[target.part[0]]))
        except UomError as error:
            yield RowFault(target, sentence(error), "above")


def _check_tags(target: Target, tags: Mapping[str, Tag]) -> Iterator[RowFault]:
    """Yield tags that do not exist, and those that cannot be added to the others."""
    for column in ("part", "whole"):
        named = getattr(target, column)
        for address in named:
            if address not in tags:
                close = guess(address, tags)
                yield RowFault(target, f"there is no tag {address!r} in tags.csv{close}", column)
        kinds = {(summed_quantity(tags[a]), is_held(tags[a])) for a in named if a in tags}
        if len(kinds) > 1:
            each = " and ".join(sorted(quantity for quantity, _ in kinds))
            yield RowFault(target, f"its tags cannot be added: {each}", column)
