"""Outlets of the park model: what each hour sends out of a stack or a drain.

A concentration tag of a stack shows dry gas in the reference state, as a monitor's data system
reports it, unless `basis` says wet or `state` says actual; a tag of a fraction shows a share by
volume. A flow tag is `normal_volume_flow` when it is that of dry gas in the reference state, and
`volume_flow` when it is that of the wet gas in the stack. What the data system reports of whole
hours has tags of its own: no figure of ours rests on it, it only stands next to ours.

References
----------
.. [1] HJ 212-2017, Annex D: computation of flue-gas data.
.. [2] HJ 76-2017, Appendix B: valid hours.
.. [3] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.3 (sensitivities,
   also found numerically).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import BOOL, F64, HOUR_US, MINUTE_S, SECOND_US, U8
from twin.emissions import flue_gas
from twin.emissions.validity import STOPPED, booked, needed, operation
from twin.model.rows import FOR_ALL, RowFault, cell, table
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twin.model.park import Park, Tag
    from twin.reconciliation.uncertainty import Errors

NO_MOISTURE = 'wet gas needs its moisture: add moisture = "enterprise/TAG", or basis = "dry"'
OXIDES = "NOx"  # what the analysers of NO and NO2 show together
# Columns of an outlet that name a tag, besides its pollutants.
TAGS = ("flow", "velocity", "temperature", "pressure", "moisture", "oxygen", "running")
REPORTED = ("reported", "reported_mass")
REPORTED_S = HOUR_US / SECOND_US
STEP = 1e-3  # of a standard uncertainty; a step so small leaves no guard of the formulas


@table
class OutletSpec:
    """An outlet as the model declares it."""

    id: str = cell("text")
    scope: str = cell("scope")
    kind: str = cell("one stack drain")
    name: dict[str, str] | None = cell("name", default=None)
    # Name -> address of the tag of its concentration, or of its share by volume.
    pollutants: dict[str, str] = cell("each tag concentration fraction", default_factory=dict)
    # The analysers of nitrogen oxides, where they are two.
    no: str = cell("tag concentration fraction", default="")
    no2: str = cell("tag concentration fraction", default="")
    # What the analysers show, of all or by pollutant; the basis of oxygen by the name oxygen.
    basis: dict[str, str] = cell("shared one dry wet", default_factory=dict)
    state: dict[str, str] = cell("shared one normal actual", default_factory=dict)
    # [kg/mol] of pollutants shown by volume that `pollutants.toml` has no molar mass of.
    molar_mass: dict[str, float] = cell("each above molar_mass", default_factory=dict)
    flow: str = cell("tag volume_flow normal_volume_flow", default="")
    velocity: str = cell("tag speed", default="")
    area: float = cell("quantity area", default=np.nan)
    temperature: str = cell("tag temperature", default="")
    pressure: str = cell("tag pressure", default="")
    # Added to the pressure tag; NaN: that is absolute.
    barometric: float = cell("quantity pressure", default=np.nan)
    moisture: str = cell("tag fraction", default="")
    oxygen: str = cell("tag fraction", default="")
    oxygen_reference: float = cell("share", default=np.nan)  # NaN: the standard prescribes none
    running: str = cell("tag state", default="")
    # [s] how long a value of its monitors is the mean of, where its data system sends such.
    interval_s: float = cell("duration", key="interval", default=MINUTE_S)
    # [kg/m^3] limit of the hourly mean, and [kg] permitted in a year.
    permit: dict[str, float] = cell("each above concentration", default_factory=dict)
    annual: dict[str, float] = cell("each above mass", default_factory=dict)
    # Name -> tag of the hour's mean concentration, and of the hour's mass, by the data logger.
    reported: dict[str, str] = cell("each tag concentration", default_factory=dict)
    reported_mass: dict[str, str] = cell("each tag mass", default_factory=dict)
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class Analyser:
    """What shows the concentration of one pollutant: one tag, or those of NO and NO2."""

    name: str
    tags: tuple[str, ...]
    molar_mass: tuple[float, ...]  # [kg/mol] by tag; NaN = it shows a concentration
    wet: bool = False
    actual: bool = False  # concentrations are of the gas as it is in the stack

    @property
    def plain(self) -> bool:
        """Whether it shows the concentration of dry gas in the reference state."""
        return np.isnan(self.molar_mass[0]) and not self.wet and not self.actual

    @property
    def gas(self) -> tuple[str, ...]:
        """The columns of an outlet whose tags the conversion needs."""
        state = ("temperature", "pressure") if self.actual else ()
        return (*state, "moisture") if self.wet else state


@dataclass(frozen=True, slots=True)
class Outlet(OutletSpec):
    """A stack or a drain, with what its tags say of its flow."""

    normal: bool = False  # the flow tag shows dry gas in the reference state
    full_scale: float = np.nan  # [SI] of the flow tag, or of the velocity tag; NaN = not known
    analysers: tuple[Analyser, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The pollutants, in the order of all arrays of them."""
        return tuple(analyser.name for analyser in self.analysers)

    @property
    def tags(self) -> dict[str, str]:
        """Addresses of the tags it has of `TAGS`, by column."""
        return {name: getattr(self, name) for name in TAGS if getattr(self, name)}

    @property
    def measured_by(self) -> tuple[str, ...]:
        """Addresses of all tags that concentrations and masses are made of."""
        analysed = [address for name in self.names for address in self.shown_by(name)]
        return tuple(dict.fromkeys([*analysed, *self.flow_tags, *self.oxygen_tags]))

    def shown_by(self, name: str) -> tuple[str, ...]:
        """Return the addresses of the tags that the concentration of a pollutant is made of."""
        analyser = self.analysers[self.names.index(name)]
        return (*analyser.tags, *(self.tags[each] for each in analyser.gas if each in self.tags))

    def corrected_by(self, name: str) -> tuple[str, ...]:
        """Return the addresses of the tags of the concentration at the reference oxygen."""
        return tuple(dict.fromkeys([*self.shown_by(name), *self.oxygen_tags]))

    @property
    def oxygen_tags(self) -> tuple[str, ...]:
        """Addresses of the tags the correction to the reference oxygen is made of."""
        if np.isnan(self.oxygen_reference):
            return ()
        columns = ("oxygen", "moisture") if self.wet_oxygen else ("oxygen",)
        return tuple(self.tags[name] for name in columns if name in self.tags)

    @property
    def wet_oxygen(self) -> bool:
        """Whether the analyser of oxygen shows wet gas."""
        return _said(self.basis, "oxygen", "dry") == "wet"

    @property
    def flow_tags(self) -> tuple[str, ...]:
        """Addresses of the tags the flow is made of."""
        raw = ("flow",) if "flow" in self.tags else ("velocity",)
        gas = () if self.kind == "drain" or self.normal else ("temperature", "pressure", "moisture")
        return tuple(self.tags[name] for name in (*raw, *gas) if name in self.tags)


@dataclass(frozen=True, slots=True)
class Hours:
    """Flow, concentrations and emissions by the hour; P pollutants as in `Outlet.pollutants`."""

    flow: F64  # (H,) [m^3/s] dry gas in the reference state, or water
    state: U8  # (H,) of `twin.emissions.validity.operation`
    concentration: F64  # (P, H) [kg/m^3] as measured
    measured: BOOL  # (P, H) the mean concentration is valid; not where it stood still
    corrected: F64  # (P, H) [kg/m^3] at the reference oxygen, where there is one
    emission: F64  # (P, H) [kg] by the measured concentration; 0 where it stood still
    valid: BOOL  # (P, H) the emission is valid; not where it stood still
    valid_minutes: F64  # (P, H) [min] of that tag of an emission that has the fewest


@dataclass(frozen=True, slots=True)
class HourErrors:
    """The effect of the standard uncertainty of each of U tags on the columns of `Hours`."""

    flow: F64  # (U, H) [m^3/s]
    concentration: F64  # (U, P, H) [kg/m^3]
    corrected: F64  # (U, P, H) [kg/m^3]
    emission: F64  # (U, P, H) [kg] as if it did not stand still


def outlets_of(park: Park) -> tuple[Outlet, ...]:
    """Return the outlets of a model."""
    tags = {tag.address: tag for tag in park.tags}
    return tuple(_outlet(row, tags) for row in park.rows(OutletSpec))


def _outlet(row: OutletSpec, tags: Mapping[str, Tag]) -> Outlet:
    flow = tags.get(row.flow or row.velocity)
    return Outlet(
        **{column.name: getattr(row, column.name) for column in fields(OutletSpec)},
        normal=flow is not None and flow.quantity == "normal_volume_flow",
        full_scale=flow.high if flow else np.nan,
        analysers=tuple(_analysers(row, tags)),
    )


def _analysers(row: OutletSpec, tags: Mapping[str, Tag]) -> Iterator[Analyser]:
    """Yield the analysers of a row, that of NO and NO2 last."""
    given: dict[str, tuple[tuple[str, str], ...]]
    given = {name: ((address, name),) for name, address in row.pollutants.items()}
    if row.no and row.no2:
        given[OXIDES] = ((row.no, "monoxide"), (row.no2, "dioxide"))
    for name, parts in given.items():
        shares = [tags[address].quantity == "fraction" for address, _ in parts]
        yield Analyser(
            name,
            tuple(address for address, _ in parts),
            tuple(
                _molar_mass(row, part) if share else np.nan
                for share, (_, part) in zip(shares, parts, strict=True)
            ),
            wet=_said(row.basis, name, "dry") == "wet",
            # A share by volume is the same in every state.
            actual=_said(row.state, name, "normal") == "actual" and not all(shares),
        )


def _said(cells: Mapping[str, str], name: str, usual: str) -> str:
    """Return what a shared cell says of a name."""
    return cells.get(name, cells.get(FOR_ALL, usual))


def _molar_mass(row: OutletSpec, name: str) -> float:
    """Return the molar mass of a pollutant, of monoxide or dioxide [kg/mol]; NaN = not known."""
    if name in row.molar_mass:
        return row.molar_mass[name]
    oxides = load_reference("cems")["nitrogen_oxides"]
    known = {part: oxides[part] for part in ("monoxide", "dioxide")}
    for code, each in load_reference("pollutants").items():
        if code.startswith("a") and "molar_mass" in each:
            known |= dict.fromkeys((code, *each.get("symbols", ())), each["molar_mass"])
    return parse_quantity(known[name], "molar_mass") if name in known else np.nan


def check_outlets(park: Park) -> Iterator[RowFault]:
    """Yield outlets with limits or reports of no pollutant, or analysers without what they need."""
    tags = {tag.address: tag for tag in park.tags}
    for row, outlet in zip(park.rows(OutletSpec), outlets_of(park), strict=True):
        names = {*outlet.names, FOR_ALL}
        for column in ("permit", "annual", "molar_mass", "state", "basis", *REPORTED):
            for name, value in getattr(outlet, column).items():
                if name not in names and (column, name) != ("basis", "oxygen"):
                    yield RowFault(row, f"{name} is not one of the pollutants", column)
                problem = _report_problem(tags[value]) if column in REPORTED else ""
                if problem:
                    yield RowFault(row, f"{name}: {problem}", column)
        pressure = tags.get(outlet.pressure)
        if pressure is not None and pressure.low < 0 and np.isnan(outlet.barometric):
            text = "it goes below 0, so it counts from the atmosphere: add barometric = ..."
            yield RowFault(row, text, "pressure")
        for column, text in _analyser_problems(outlet, tags):
            yield RowFault(row, text, column)


def _analyser_problems(outlet: Outlet, tags: Mapping[str, Tag]) -> Iterator[tuple[str, str]]:
    """Yield (column, problem) of what the analysers of an outlet show."""
    if outlet.kind == "drain":
        for column in ("no", "no2", "basis", "state", "molar_mass"):
            if getattr(outlet, column):
                yield column, "is of gas, and a drain is water: leave it out"
        for name, address in outlet.pollutants.items():
            if tags[address].quantity == "fraction":
                yield "pollutants", f"{name}: {address!r} shows a share; water has concentrations"
        return
    if bool(outlet.no) != bool(outlet.no2):
        column, other = ("no", "no2") if outlet.no else ("no2", "no")
        text = f'NOx is the sum of NO and NO2: add {other} = "enterprise/TAG", or name one tag'
        yield column, f"{text} of NOx in pollutants"
    elif outlet.no and OXIDES in outlet.pollutants:
        yield "no", "NOx is in pollutants as well: leave one of them out"
    for analyser in outlet.analysers:
        yield from _needs(outlet, analyser, tags)
    if outlet.wet_oxygen and "oxygen" in outlet.tags and "moisture" not in outlet.tags:
        yield "basis", f"oxygen: {NO_MOISTURE}"


def _needs(
    outlet: Outlet, analyser: Analyser, tags: Mapping[str, Tag]
) -> Iterator[tuple[str, str]]:
    """Yield (column, problem) of an analyser whose conversion lacks something."""
    name = analyser.name
    if analyser.wet and "moisture" not in outlet.tags:
        yield "basis", f"{name}: {NO_MOISTURE}"
    for column in ("temperature", "pressure") if analyser.actual else ():
        if column not in outlet.tags:
            text = f'an actual state needs the {column} of the gas: add {column} = "enterprise/TAG"'
            yield "state", f"{name}: {text}"
    shares = [tags[address].quantity == "fraction" for address in analyser.tags]
    if all(shares) and outlet.state.get(name) == "actual":
        yield "state", f"{name} is shown as a share by volume, which has no state: leave it out"
    if any(share and np.isnan(m) for share, m in zip(shares, analyser.molar_mass, strict=True)):
        mend = f'add molar_mass = {{ {name} = "... g/mol" }}'
        yield "pollutants", f"{name}: a share by volume needs a molar mass: {mend}"


def _report_problem(tag: Tag) -> str:
    """Return the fault of a tag of what is reported of an hour; empty if it has none."""
    if tag.kind != "gauge":
        return f"{tag.address!r} is a {tag.kind}; what is said of each hour is a gauge"
    # Shorter, and an hour has gaps; longer, and it stands for the next one that is missing.
    if tag.gap_s != REPORTED_S:
        return (
            f"a value of {tag.address!r} holds for {tag.gap_s / 60:g} min and is said of an hour;"
            f' add to park.toml: [[gap]] tag = "{tag.address}" gap = "{REPORTED_S / 60:g} min"'
        )
    return ""


def evaluate(
    outlet: Outlet, mean: Mapping[str, F64], covered_s: Mapping[str, F64], duration_s: F64
) -> Hours:
    """Return flow, concentrations and emissions of an outlet in each hour.

    Parameters
    ----------
    outlet
        with P pollutants
    mean : (H,) float64 [SI] by address
        means of the tags over each hour, of a state the share it was on; NaN = not known
    covered_s : (H,) float64 [s] by address
        how much of the hour these are valid for; of a stack by `validity.valid_time`
    duration_s : (H,) float64 [s]
        how much of the hour has passed

    Returns
    -------
    Hours
        of concentrations [kg/m^3] and emissions [kg]; an hour with less than 45 minutes of good
        data of what a figure needs is not valid [2]_

    Notes
    -----
    The product of concentration and flow is taken hour by hour [1]_.
    """

    def enough(*addresses: str) -> BOOL:
        minutes = [covered_s[address] / MINUTE_S for address in addresses]
        both = [np.ones(duration_s.shape, bool), *(each >= needed("hour") for each in minutes)]
        return np.asarray(np.all(both, axis=0))

    unknown = np.full(duration_s.shape, np.nan)
    moved, running = (
        mean[outlet.tags[name]] if name in outlet.tags else unknown
        for name in ("flow" if "flow" in outlet.tags else "velocity", "running")
    )
    state = operation(moved, outlet.full_scale, running)
    flow, measured, corrected = _gas(outlet, mean, unknown)
    good = np.array([enough(*outlet.shown_by(name)) for name in outlet.names], bool)
    good = good.reshape(measured.shape)
    corrected = np.where(enough(*outlet.oxygen_tags), corrected, np.nan)
    emission = booked(flue_gas.mass_emitted(measured, flow, duration_s), state)
    valid = good & enough(*outlet.flow_tags) & ~np.isnan(emission) & (state != STOPPED)
    minutes = [
        np.min([covered_s[a] for a in (*outlet.shown_by(name), *outlet.flow_tags)], axis=0)
        for name in outlet.names
    ]
    return Hours(
        flow, state, measured, good & (state != STOPPED), corrected, emission, valid,
        np.array(minutes).reshape(measured.shape) / MINUTE_S,
    )  # fmt: skip


def _gas(outlet: Outlet, mean: Mapping[str, F64], unknown: F64) -> tuple[F64, F64, F64]:
    """Return the flow (H,), and concentrations of dry gas, measured and corrected (P, H)."""

    def tag(name: str) -> F64:
        return mean[outlet.tags[name]] if name in outlet.tags else unknown

    flow = tag("flow") if "flow" in outlet.tags else tag("velocity") * outlet.area
    pressure = tag("pressure") + np.nan_to_num(outlet.barometric)
    if outlet.kind == "stack" and not outlet.normal:
        # Without a moisture tag the gas is taken as dry, which books more, not less.
        moisture = tag("moisture") if "moisture" in outlet.tags else np.zeros_like(unknown)
        flow = flue_gas.standard_dry_flow(flow, tag("temperature"), pressure, moisture)
    gas = _Gas(tag("temperature"), pressure, tag("moisture"))
    measured = np.array([_shown(analyser, mean, gas) for analyser in outlet.analysers])
    measured = measured.reshape(len(outlet.analysers), *unknown.shape)
    corrected, reference = measured, outlet.oxygen_reference
    if not np.isnan(reference):
        oxygen = flue_gas.dry(tag("oxygen"), gas.moisture) if outlet.wet_oxygen else tag("oxygen")
        corrected = flue_gas.oxygen_corrected(measured, oxygen, reference)
    return flow, measured, corrected


@dataclass(frozen=True, slots=True)
class _Gas:
    """The gas in the stack by the hour, (H,)."""

    temperature: F64  # [K]
    pressure: F64  # [Pa] absolute
    moisture: F64  # [1] volume share of water vapour


def _shown(analyser: Analyser, mean: Mapping[str, F64], gas: _Gas) -> F64:
    """Return the concentration of dry gas in the reference state that an analyser shows [1]_."""
    parts = []
    for address, mass in zip(analyser.tags, analyser.molar_mass, strict=True):
        if not np.isnan(mass):
            parts.append(flue_gas.mass_concentration(mean[address], mass))
        elif analyser.actual:
            normal = flue_gas.at_standard_state(mean[address], gas.temperature, gas.pressure)
            parts.append(normal)
        else:
            parts.append(mean[address])
    # NO and NO2 are counted as NO2.
    total = flue_gas.nitrogen_oxides(*parts) if len(parts) > 1 else parts[0]
    return flue_gas.dry(total, gas.moisture) if analyser.wet else total


def hour_errors(
    outlet: Outlet, error: Errors, mean: Mapping[str, F64], duration_s: F64
) -> HourErrors:
    """Return the effect of the errors of its tags on the hours of an outlet.

    Parameters
    ----------
    outlet
        with P pollutants and U tags, `Outlet.measured_by`
    error
        of these tags
    mean : (H,) float64 [SI] by address
        as of `evaluate`
    duration_s : (H,) float64 [s]
        as of `evaluate`

    Returns
    -------
    HourErrors
        of flows [m^3/s], concentrations [kg/m^3] and emissions [kg]; NaN where nothing is known of
        the uncertainty of a tag: it is not exact

    Notes
    -----
    First order: the formulas are taken once more a small step aside of each tag [3]_, so a tag that
    stands in several of them has one error.
    """
    unknown = np.full(duration_s.shape, np.nan)

    def figures(means: Mapping[str, F64]) -> tuple[F64, ...]:
        flow, concentration, corrected = _gas(outlet, means, unknown)
        mass = flue_gas.mass_emitted(concentration, flow, duration_s)
        return flow, concentration, corrected, mass

    usual = figures(mean)
    effects = [np.empty((len(outlet.measured_by), *column.shape)) for column in usual]
    for u, address in enumerate(outlet.measured_by):
        sigma = np.hypot(error.absolute[u], error.relative[u] * mean[address])
        sigma = np.where(error.absolute[u] + error.relative[u] > 0, sigma, np.nan)
        perturbed = figures({**mean, address: mean[address] + STEP * sigma})
        for column, moved, still in zip(effects, perturbed, usual, strict=True):
            column[u] = (moved - still) / STEP
    return HourErrors(*effects)
