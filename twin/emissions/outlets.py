"""Outlets of the park model: what each hour sends out of a stack or a drain.

A concentration tag of a stack shows dry gas in the reference state, as a monitor's data system
reports it. A flow tag is `normal_volume_flow` when it is that of the same gas, and `volume_flow`
when it is that of the wet gas in the stack. What the data system reports of whole hours has tags of
its own: no figure of ours rests on it, it only stands next to ours.

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
from twin.model.rows import RowFault, cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twin.model.park import Park, Tag
    from twin.reconciliation.uncertainty import Errors

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
    # Name -> address of its concentration tag.
    pollutants: dict[str, str] = cell("each tag concentration", default_factory=dict)
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
    # [kg/m^3] limit of the hourly mean, and [kg] permitted in a year.
    permit: dict[str, float] = cell("each above concentration", default_factory=dict)
    annual: dict[str, float] = cell("each above mass", default_factory=dict)
    # Name -> tag of the hour's mean concentration, and of the hour's mass, by the data logger.
    reported: dict[str, str] = cell("each tag concentration", default_factory=dict)
    reported_mass: dict[str, str] = cell("each tag mass", default_factory=dict)
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")


@dataclass(frozen=True, slots=True)
class Outlet(OutletSpec):
    """A stack or a drain, with what its tags say of its flow."""

    normal: bool = False  # the flow tag shows dry gas in the reference state
    full_scale: float = np.nan  # [SI] of the flow tag, or of the velocity tag; NaN = not known

    @property
    def tags(self) -> dict[str, str]:
        """Addresses of the tags it has of `TAGS`, by column."""
        return {name: getattr(self, name) for name in TAGS if getattr(self, name)}

    @property
    def measured_by(self) -> tuple[str, ...]:
        """Addresses of all tags that concentrations and masses are made of."""
        oxygen = () if np.isnan(self.oxygen_reference) else ("oxygen",)
        aired = [self.tags[name] for name in oxygen if name in self.tags]
        return tuple(dict.fromkeys([*self.pollutants.values(), *self.flow_tags, *aired]))

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
    return tuple(_outlet(row, tags.get(row.flow or row.velocity)) for row in park.rows(OutletSpec))


def _outlet(row: OutletSpec, flow: Tag | None) -> Outlet:
    return Outlet(
        **{column.name: getattr(row, column.name) for column in fields(OutletSpec)},
        normal=flow is not None and flow.quantity == "normal_volume_flow",
        full_scale=flow.high if flow else np.nan,
    )


def check_outlets(park: Park) -> Iterator[RowFault]:
    """Yield outlets with limits or reports of no pollutant, or reports that are not of an hour."""
    tags = {tag.address: tag for tag in park.tags}
    for outlet in park.rows(OutletSpec):
        for column in ("permit", "annual", *REPORTED):
            for name, value in getattr(outlet, column).items():
                if name not in outlet.pollutants:
                    yield RowFault(outlet, f"{name} is not one of the pollutants", column)
                problem = _report_problem(tags[value]) if column in REPORTED else ""
                if problem:
                    yield RowFault(outlet, f"{name}: {problem}", column)
        pressure = tags.get(outlet.pressure)
        if pressure is not None and pressure.low < 0 and np.isnan(outlet.barometric):
            text = "it goes below 0, so it counts from the atmosphere: add barometric = ..."
            yield RowFault(outlet, text, "pressure")


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
        how much of the hour these are means of
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
        return np.asarray(np.all([each >= needed("hour") for each in minutes], axis=0))

    unknown = np.full(duration_s.shape, np.nan)
    moved, running = (
        mean[outlet.tags[name]] if name in outlet.tags else unknown
        for name in ("flow" if "flow" in outlet.tags else "velocity", "running")
    )
    state = operation(moved, outlet.full_scale, running)
    flow, measured, corrected = _gas(outlet, mean, unknown)
    good = np.array([enough(a) for a in outlet.pollutants.values()], bool).reshape(measured.shape)
    if not np.isnan(outlet.oxygen_reference) and "oxygen" in outlet.tags:
        corrected = np.where(enough(outlet.tags["oxygen"]), corrected, np.nan)
    emission = booked(flue_gas.mass_emitted(measured, flow, duration_s), state)
    valid = good & enough(*outlet.flow_tags) & ~np.isnan(emission) & (state != STOPPED)
    return Hours(flow, state, measured, good & (state != STOPPED), corrected, emission, valid)


def _gas(outlet: Outlet, mean: Mapping[str, F64], unknown: F64) -> tuple[F64, F64, F64]:
    """Return the flow (H,), and concentrations as shown and as corrected (P, H)."""

    def tag(name: str) -> F64:
        return mean[outlet.tags[name]] if name in outlet.tags else unknown

    flow = tag("flow") if "flow" in outlet.tags else tag("velocity") * outlet.area
    if outlet.kind == "stack" and not outlet.normal:
        # Without a moisture tag the gas is taken as dry, which books more, not less.
        moisture = tag("moisture") if "moisture" in outlet.tags else np.zeros_like(unknown)
        pressure = tag("pressure") + np.nan_to_num(outlet.barometric)
        flow = flue_gas.standard_dry_flow(flow, tag("temperature"), pressure, moisture)
    addresses = tuple(outlet.pollutants.values())
    measured = np.array([mean[a] for a in addresses]).reshape(len(addresses), *unknown.shape)
    corrected, reference = measured, outlet.oxygen_reference
    if not np.isnan(reference):
        corrected = flue_gas.oxygen_corrected(measured, tag("oxygen"), reference)
    return flow, measured, corrected


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
