"""Heat in what meters count: of steam by its enthalpy, of fuels by their heating value.

Where both are nominal, the heat of an amount is a constant factor of it. Where a tag or a calendar
says otherwise, it is a tag of its own: the flow times what a unit of it holds at the time.

References
----------
.. [1] GB/T 2589-2020, General rules for calculation of the comprehensive energy consumption:
   measured heating values before those of the table, steam by its enthalpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from math import isnan
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from twin import quality as q
from twin.accounts.carriers import FACTOR_QUANTITY, carrier_factor, reference_enthalpy
from twin.accounts.waste_heat import WarmContent, WasteHeat, warm_content
from twin.arrays import BOOL, F64, FOREVER, I64, NEVER, U8
from twin.errors import UomError
from twin.model.park import Meter, Stream, inside
from twin.model.rows import RowFault, cell, guess, table
from twin.reference import figure
from twin.reference import load as load_reference
from twin.uom import parse_quantity
from twin.water import steam_enthalpy, water_enthalpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from twin.model.park import Park

NAN = float("nan")
STEAM = "steam"
_DOUBT = np.uint8(q.UNCERTAIN | q.INCOMPLETE)


@table
class SteamState:
    """The table ``[[steam]]``: the state of steam of one level, or of the water that comes back.

    It holds for steam meters and streams inside its scope that name no other.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    pressure: float = cell("quantity pressure", default=NAN)  # nominal, above the atmosphere
    pressure_tag: str = cell("tag pressure", default="")
    temperature: float = cell("quantity temperature", default=NAN)  # nominal; none = saturated
    temperature_tag: str = cell("tag temperature", default="")
    absolute: bool = cell("flag", default=False)  # the pressures are
    dryness: float = cell("share", default=1.0)  # of saturated steam
    liquid: bool = cell("flag", default=False)  # it is water
    reference: str = cell("text", default="water_20c")
    returned: float = cell("share", default=0.0)  # share that comes back as condensate, unmetered,
    return_temperature: float = cell("quantity temperature", default=NAN)  # of this temperature


@table
class HeatingValue:
    """The table ``[[heating_value]]``: the measured net heating value of a fuel in a scope.

    It is that of a tag, or one entered by hand for some days, both ends included.
    """

    carrier: str = cell("carrier")
    scope: str = cell("scope")
    tag: str = cell("tag intensity energy_density", default="")
    value: str = cell("text", default="")
    first: date | None = cell("date", key="from", default=None)
    last: date | None = cell("date", key="to", default=None)


@dataclass(frozen=True, slots=True)
class SteamContent:
    """Heat in a kilogram of steam of a state; places of its tags, -1 = none."""

    state: SteamState
    pressure: int
    temperature: int

    @property
    def tags(self) -> tuple[int, ...]:
        """The places of its tags."""
        return tuple(tag for tag in (self.pressure, self.temperature) if tag >= 0)

    def moved(self, column_of: Mapping[int, int]) -> SteamContent:
        """Return the same where its tags have other places."""
        pressure = column_of.get(self.pressure, -1)
        return SteamContent(self.state, pressure, column_of.get(self.temperature, -1))

    @property
    def edges_us(self) -> tuple[int, ...]:
        """When it changes by itself: never."""
        return ()

    def at(self, time_us: I64, mean: F64) -> tuple[F64, BOOL]:
        """Return heat [J/kg] above what it counts from, (...), and where a nominal value is in it.

        `mean` (..., T) [SI] has the values of the tags, NaN = not known; the time is indifferent.
        """
        pressure, cold = _measured(mean, self.pressure, self.state.pressure)
        temperature, lost = _measured(mean, self.temperature, self.state.temperature)
        value = enthalpy(self.state, pressure, temperature) - base_enthalpy(self.state)
        return np.broadcast_to(value, np.shape(time_us)), cold | lost


@dataclass(frozen=True, slots=True)
class FuelContent:
    """Heat in a unit of a fuel: of the tag, else of the period, else of the table."""

    default: float  # [J/kg or J/m³]
    tag: int  # -1 = none
    periods: tuple[tuple[int, int, float], ...]  # [µs, µs, J/kg or J/m³] half-open

    @property
    def tags(self) -> tuple[int, ...]:
        """The places of its tags."""
        return (self.tag,) if self.tag >= 0 else ()

    def moved(self, column_of: Mapping[int, int]) -> FuelContent:
        """Return the same where its tag has another place."""
        return FuelContent(self.default, column_of.get(self.tag, -1), self.periods)

    @property
    def edges_us(self) -> tuple[int, ...]:
        """When it changes by itself: at the ends of the periods."""
        ends = {edge for start, stop, _ in self.periods for edge in (start, stop)}
        return tuple(sorted(ends - {NEVER, FOREVER}))

    def at(self, time_us: I64, mean: F64) -> tuple[F64, BOOL]:
        """Return heat [J/kg or J/m³], (...), and where it is that of the table.

        `time_us` (...) [µs], `mean` as of `SteamContent`.
        """
        known = np.full(np.shape(time_us), NAN)
        for start, stop, value in self.periods:
            known = np.where((start <= time_us) & (time_us < stop), value, known)
        if self.tag >= 0:
            reading = mean[..., self.tag]
            known = np.where(np.isnan(reading), known, reading)
        lost = np.isnan(known)
        return np.where(lost, self.default, known), lost


Content = SteamContent | FuelContent | WarmContent
User = Meter | Stream | WasteHeat


@dataclass(frozen=True, slots=True)
class Heats:
    """The heat tags of a park, (H,): the rate of a flow times what a unit of it holds."""

    tag: I64  # the heat tag itself
    flow: I64  # tag of the flow
    content: I64  # place in `contents`
    contents: tuple[Content, ...]
    nominal: F64  # [J/SI] heat in a unit where no tag says otherwise

    @property
    def edges_us(self) -> I64:
        """The times at which a heat changes without a sample [µs], sorted."""
        return np.unique(np.array([e for c in self.contents for e in c.edges_us], np.int64))

    def inputs(self, tags: I64) -> I64:
        """Return the places of the tags that some heat tags, of those given, follow from."""
        rows = np.flatnonzero(np.isin(self.tag, tags))
        contents = [self.contents[c] for c in self.content[rows].tolist()]
        inner = [*self.flow[rows].tolist(), *(tag for each in contents for tag in each.tags)]
        return np.unique(np.array(inner, np.int64))

    def among(self, tags: I64, columns: I64) -> Heats:
        """Return the heat tags that are among some tags, over fewer columns.

        `columns` (c,) are the places of the tags that arrays have columns of, sorted.
        """
        rows = np.flatnonzero(np.isin(self.tag, tags))
        column_of = {tag: column for column, tag in enumerate(columns.tolist())}
        return Heats(
            tag=self.tag[rows],
            flow=np.searchsorted(columns, self.flow[rows]),
            content=self.content[rows],
            contents=tuple(content.moved(column_of) for content in self.contents),
            nominal=self.nominal[rows],
        )


def enthalpy(state: SteamState, pressure: F64, temperature: F64) -> F64:
    """Return the specific enthalpy of a state of steam.

    Parameters
    ----------
    state : SteamState
    pressure : (...) float64 [Pa]      as its tag shows it: above the atmosphere, or absolute
    temperature : (...) float64 [K]    NaN = saturated

    Returns
    -------
    (...) float64 [J/kg]
    """
    if state.liquid:
        return water_enthalpy(temperature)
    atmosphere = 0.0 if state.absolute else figure("steam.atmosphere", "pressure")
    return steam_enthalpy(pressure + atmosphere, temperature, state.dryness)


def base_enthalpy(state: SteamState) -> float:
    """Return the enthalpy that the heat of a state counts from.

    Parameters
    ----------
    state : SteamState

    Returns
    -------
    float [J/kg]
        that of its reference; what comes back as condensate takes its heat along
    """
    base = reference_enthalpy(state.reference)
    if not state.returned:
        return base
    back = float(water_enthalpy(np.asarray(state.return_temperature)))
    return base + state.returned * (back - base)


def state_heat(state: SteamState) -> float:
    """Return the heat of a state at its nominal pressure and temperature.

    Parameters
    ----------
    state : SteamState

    Returns
    -------
    float [J/kg]
    """
    nominal = np.asarray(state.pressure), np.asarray(state.temperature)
    return float(enthalpy(state, *nominal)) - base_enthalpy(state)


def compile_heats(park: Park, index: Mapping[str, int], first: int) -> Heats:
    """Return the heat tags of a park.

    Parameters
    ----------
    park : Park
    index : mapping of str to int   places of the measured tags
    first : int                     place of the first heat tag

    Returns
    -------
    Heats
    """
    heats: dict[int, Content] = {}
    for user in _users(park):
        content = content_of(park, index, user)
        if content is not None and (content.tags or content.edges_us):
            heats.setdefault(index[_flow_of(user)], content)
    contents = tuple(dict.fromkeys(heats.values()))
    flows = list(heats)
    nominal = [_nominal(content) for content in heats.values()]
    return Heats(
        tag=np.arange(first, first + len(flows)),
        flow=np.array(flows, np.int64),
        content=np.array([contents.index(each) for each in heats.values()], np.int64),
        contents=contents,
        nominal=np.array(nominal, np.float64),
    )


def _users(park: Park) -> list[User]:
    """Return what counts heat: meters, streams of steam with a meter, and waste heat."""
    meters = [meter for meter in park.meters if meter.basis != "DC"]
    steam = [s for s in park.streams if s.flow and s.medium == STEAM]
    return [*meters, *steam, *park.rows(WasteHeat)]


def _flow_of(user: User) -> str:
    """Return the address of the tag that measures the amount."""
    return user.tag if isinstance(user, Meter) else user.flow


def _scopes_of(user: Meter | Stream) -> tuple[str, ...]:
    return (user.scope,) if isinstance(user, Meter) else (user.origin, user.to)


def _nominal(content: Content) -> float:
    """Return the heat in a unit [J/SI] without any tag, long ago."""
    nothing = np.full(max((*content.tags, 0)) + 1, NAN)
    return float(content.at(np.zeros((), np.int64), nothing)[0])


def content_of(park: Park, index: Mapping[str, int], user: User) -> Content | None:
    """Return the heat in a unit of what a meter counts, of a stream of steam or of waste heat.

    Parameters
    ----------
    park : Park
    index : mapping of str to int   places of the tags
    user : Meter, Stream or WasteHeat

    Returns
    -------
    Content or None                 None: the model says nothing of it, the table of carriers holds
    """
    if isinstance(user, WasteHeat):
        return warm_content(park, index, user)
    if _carries_steam(user):
        state = state_of(park, user.steam, _scopes_of(user))
        if state is None:
            return None
        return SteamContent(
            state, index.get(state.pressure_tag, -1), index.get(state.temperature_tag, -1)
        )
    if isinstance(user, Stream):
        return None
    rows = [row for row in park.rows(HeatingValue)
            if row.carrier == user.carrier and inside(user.scope, row.scope)]  # fmt: skip
    if not rows:
        return None
    innermost = max(len(row.scope) for row in rows)
    rows = [row for row in rows if len(row.scope) == innermost]
    tag = next((index[row.tag] for row in rows if row.tag), -1)
    zone = ZoneInfo(park.timezone)
    periods = tuple((*_period(row, zone), _value(row)) for row in rows if row.value)
    return FuelContent(carrier_factor(user.carrier), tag, periods)


def is_steam(carrier: str) -> bool:
    """Return whether a carrier is steam or its condensate: its heat follows from its state."""
    return bool(load_reference("energy")[carrier].get("enthalpy", False))


def state_of(park: Park, name: str, scopes: tuple[str, ...]) -> SteamState | None:
    """Return the state of that name; without one, that of the innermost scope around some scopes.

    Of equally deep ones the first counts: steam that goes from header to header is that it leaves.
    """
    states = park.rows(SteamState)
    if name:
        return next((state for state in states if state.id == name), None)
    around = [s for scope in scopes for s in states if inside(scope, s.scope) and not s.liquid]
    return max(around, key=lambda state: state.scope.count("/"), default=None)


def heat_entry(
    park: Park, index: Mapping[str, int], heats: Heats, user: User
) -> tuple[int, float] | None:
    """Return the tag and the factor [J/SI] that give the heat of what counts some.

    Parameters
    ----------
    park : Park
    index : mapping of str to int   places of the tags
    heats : Heats                   of the park
    user : Meter, Stream or WasteHeat

    Returns
    -------
    (int, float) or None            None as of `content_of`
    """
    content = content_of(park, index, user)
    if content is None:
        return None
    at = index[_flow_of(user)]
    rows = np.flatnonzero(heats.flow == at)
    return (int(heats.tag[rows[0]]), 1.0) if len(rows) else (at, _nominal(content))


def heat_amounts(heats: Heats, time_us: I64, amount: F64, mean: F64) -> tuple[F64, BOOL]:
    """Return the heat in amounts, or heat flows of rates.

    Parameters
    ----------
    heats : Heats
        H heat tags
    time_us : (...) int64 [µs]
        of each row
    amount : (..., T) float64 [SI]
        amounts, or rates, of the tags; NaN = no value
    mean : (..., T) float64 [SI]
        values of the tags at the time, or their means; NaN = no value

    Returns
    -------
    heat : (..., H) float64 [J or W]
        NaN where the flow has no value
    doubtful : (..., H) bool
        where a nominal value stands in for a tag
    """
    units = [content.at(time_us, mean) for content in heats.contents]
    shape = (*np.shape(time_us), len(units))
    value, doubt = np.empty(shape), np.zeros(shape, bool)
    for c, (each, lost) in enumerate(units):
        value[..., c], doubt[..., c] = each, lost
    heat = amount[..., heats.flow] * value[..., heats.content]
    return np.asarray(heat), np.asarray(doubt[..., heats.content])


def heat_quality(heats: Heats, quality: U8, doubtful: BOOL) -> U8:
    """Return the quality of heats.

    Parameters
    ----------
    heats : Heats
        H heat tags
    quality : (..., T) uint8
        of the tags
    doubtful : (..., H) bool
        as of `heat_amounts`

    Returns
    -------
    (..., H) uint8
        the worst of its tags; no better than uncertain where a nominal value stands in for one
    """
    result = quality[..., heats.flow]
    for h, c in enumerate(heats.content.tolist()):
        for tag in heats.contents[c].tags:
            # What stands in has its own mark; a bad reading takes no part.
            other = np.where(q.usable(quality[..., tag]), quality[..., tag], _DOUBT)
            result[..., h] = q.worse(result[..., h], other)
    mark = np.where(doubtful, _DOUBT, np.uint8(0)).astype(np.uint8)
    return q.worse(result, mark)


def check_heat(park: Park) -> Iterator[RowFault]:
    """Yield the faults of states of steam and of heating values, and of what refers to them."""
    states = {state.id: state for state in park.rows(SteamState)}
    references = [name for name, row in load_reference("steam").items() if "enthalpy" in row]
    for state in states.values():
        yield from _check_state(state, references)
    users: list[Meter | Stream] = [*park.meters, *park.streams]
    for user in users:
        if user.steam and user.steam not in states:
            close = guess(user.steam, states)
            yield RowFault(user, f"there is no [[steam]] {user.steam!r}{close}", "steam")
        elif user.steam and not _carries_steam(user):
            yield RowFault(user, "only steam and condensate have a state", "steam")
        elif isinstance(user, Meter) and user.carrier == "condensate" and not user.steam:
            yield RowFault(user, "condensate needs steam = the id of a liquid [[steam]]", "steam")
        yield from _check_choice(park, user)
    for row in park.rows(HeatingValue):
        yield from _check_value(park, row)
    yield from _check_one_content(park)


def unstated_steam(park: Park) -> Iterator[RowFault]:
    """Yield meters of steam whose state the model does not say: a warning."""
    for meter in park.meters:
        if is_steam(meter.carrier) and state_of(park, meter.steam, (meter.scope,)) is None:
            row = load_reference("energy")[meter.carrier]
            yield RowFault(
                meter,
                f"its steam counts by the table, {row['factor']}, which has the losses of a boiler"
                " in it; say its state in [[steam]]",
            )


def _check_state(state: SteamState, references: list[str]) -> Iterator[RowFault]:
    """Yield what a state lacks, or has outside of what steam can be."""
    if state.reference not in references:
        known = ", ".join(references)
        yield RowFault(state, f"{state.reference!r} is not one of {known}", "reference")
        return
    if state.liquid and isnan(state.temperature):
        yield RowFault(state, "water needs temperature, that of its tag is usual")
    elif not state.liquid and isnan(state.pressure):
        yield RowFault(state, "steam needs pressure: it counts while a tag is silent")
    elif state.temperature_tag and isnan(state.temperature):
        yield RowFault(state, "needs temperature: it counts while the tag is silent")
    elif state.returned and isnan(state.return_temperature):
        yield RowFault(state, "returned needs return_temperature")
    elif not state_heat(state) > 0:
        yield RowFault(state, "IAPWS-IF97 has no such state with heat above its reference")


def _carries_steam(user: Meter | Stream) -> bool:
    return is_steam(user.carrier) if isinstance(user, Meter) else user.medium == STEAM


def _check_choice(park: Park, user: Meter | Stream) -> Iterator[RowFault]:
    """Yield a user of steam for whom two states stand at the same scope."""
    if user.steam or not _carries_steam(user):
        return
    state = state_of(park, "", _scopes_of(user))
    same = [s.id for s in park.rows(SteamState)
            if state and s.scope == state.scope and not s.liquid]  # fmt: skip
    if len(same) > 1:
        yield RowFault(user, f"{', '.join(same)} stand at one scope; say which with steam = ...")


def _check_value(park: Park, row: HeatingValue) -> Iterator[RowFault]:
    """Yield what is wrong in one heating value."""
    quantity = FACTOR_QUANTITY[load_reference("energy")[row.carrier]["quantity"]]
    measured = next((tag.quantity for tag in park.tags if tag.address == row.tag), quantity)
    if is_steam(row.carrier) or quantity == "fraction":
        yield RowFault(row, f"{row.carrier} is no fuel: it has no heating value", "carrier")
    elif bool(row.tag) == bool(row.value):
        yield RowFault(row, "needs either tag or value")
    elif measured != quantity:
        yield RowFault(
            row, f"{row.carrier} is counted by {quantity}, the tag gives {measured}", "tag"
        )
    elif row.value:
        try:
            if not _value(row) > 0:
                yield RowFault(row, "is not above 0", "value")
        except UomError as error:
            yield RowFault(row, f"{error} ({error.hint})", "value")
    if row.first and row.last and row.last < row.first:
        yield RowFault(row, "to is before from", "to")


def _check_one_content(park: Park) -> Iterator[RowFault]:
    """Yield meters and streams of one tag that say different things of its heat."""
    stated: dict[str, SteamState | None] = {}
    users: list[Meter | Stream] = [*park.meters, *(s for s in park.streams if s.flow)]
    for user in filter(_carries_steam, users):
        state, address = state_of(park, user.steam, _scopes_of(user)), _flow_of(user)
        if stated.setdefault(address, state) is not state:
            yield RowFault(user, f"the steam of {address!r} has another state elsewhere", "steam")


def _measured(mean: F64, tag: int, nominal: float) -> tuple[F64, BOOL]:
    """Return a state variable by its tag, else the nominal one, and where that stands in."""
    if tag < 0:
        return np.asarray(nominal), np.asarray(False)
    reading = mean[..., tag]
    lost = np.isnan(reading)
    return np.where(lost, nominal, reading), lost


def _value(row: HeatingValue) -> float:
    """Return the heating value of a row [J/kg or J/m³]; raises UomError."""
    quantity = FACTOR_QUANTITY[load_reference("energy")[row.carrier]["quantity"]]
    return parse_quantity(row.value, quantity)


def _period(row: HeatingValue, zone: ZoneInfo) -> tuple[int, int]:
    """Return the time a row holds, half-open [µs]: its days on the clock of the park."""

    def begin(day: date | None, otherwise: int) -> int:
        if day is None:
            return otherwise
        return round(datetime.combine(day, time(), zone).timestamp() * 1_000_000)

    after = row.last + timedelta(days=1) if row.last else None
    return begin(row.first, NEVER), begin(after, FOREVER)
