"""Greenhouse gases of an enterprise: what it burns and makes (scope 1), what it buys (scope 2).

References
----------
.. [1] GB/T 32150-2015, General guideline of the greenhouse gas emissions accounting and reporting
   for industrial enterprises.
.. [2] GB/T 32151.10-2015, the same for chemical production: fuel, processes, carbon dioxide that
   is recovered and sold, net purchased electricity and heat.
.. [3] GB/T 32151.4-2015, the same for electrolytic aluminium: anodes and anode effects.
.. [4] WRI and WBCSD, GHG Protocol Scope 2 Guidance, 2015: location-based and market-based factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin.accounts.carriers import carrier_factor
from twin.arrays import F64
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTRY = "CN"
# What the figures of the table are.
_QUANTITY = {
    "carbon_content": "emission_factor",
    "oxidation": "fraction",
    "net_consumption": "fraction",
    "sulphur": "fraction",
    "ash": "fraction",
    "tetrafluoromethane": "fraction",
    "hexafluoroethane": "fraction",
    "warming_tetrafluoromethane": "fraction",
    "warming_hexafluoroethane": "fraction",
}


@dataclass(frozen=True, slots=True)
class GridFactor:
    """The emission factor of bought electricity, with its provenance."""

    value: float  # [kg/J] NaN = there is none
    reason: str  # why there is none, or which year stands in; empty when it is that of the year
    row: dict[str, Any]  # year, region, method, factor as text, and its provenance

    @property
    def stands_in(self) -> bool:
        """Whether the factor is of another year than the consumption."""
        return bool(self.row) and bool(self.reason)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Emissions of a boundary; all (...) [kg] of carbon-dioxide equivalent."""

    scope1: F64  # of fuels and processes here, less the carbon dioxide captured and sold
    scope2: F64  # bought electricity and heat
    total: F64


def parameters(kind: str, name: str) -> dict[str, float]:
    """Return the default figures of a fuel or a process, in SI, by the arguments they are for.

    Parameters
    ----------
    kind, name
        tables of ``carbon.toml``: ``fuel`` and ``coal``, ``process`` and ``anode``

    Returns
    -------
    dict of float [SI]
        the keyword arguments of `fuel`, `anode` or `perfluorocarbons` [1]_; the heating value of a
        fuel is that of the energy accounts
    """
    row = load_reference("carbon")[kind][name]
    figures = {
        key: parse_quantity(str(row[key]), _QUANTITY[key]) for key in row if key in _QUANTITY
    }
    return figures | ({"heating_value": carrier_factor(name)} if kind == "fuel" else {})


def source_of(carrier: str) -> Literal["fuel", "electricity", "heat", "nothing", "unknown"]:
    """Return the kind of emission source that a carrier of energy is.

    Parameters
    ----------
    carrier
        a table of ``energy.toml``

    Returns
    -------
    str
        ``unknown`` is a fuel the table has no carbon content of: what it emits is not zero [1]_
    """
    table = load_reference("carbon")
    if carrier == "electricity":
        return "electricity"
    if carrier in table["heat"]["carriers"]:
        return "heat"
    if carrier in table["nothing"]["carriers"]:
        return "nothing"
    return "fuel" if carrier in table["fuel"] else "unknown"


def _dioxide_per_carbon() -> float:
    masses = load_reference("carbon")["conversion"]
    return parse_quantity(masses["carbon_dioxide"], "molar_mass") / parse_quantity(
        masses["carbon"], "molar_mass"
    )


def fuel(
    amount: F64, heating_value: F64 | float, carbon_content: F64 | float, oxidation: F64 | float
) -> F64:
    """Return the carbon dioxide of a fuel that was burned.

    Parameters
    ----------
    amount : (...) float64 [kg or m^3]                 burned; a gas in the reference state
    heating_value : (...) float64 [J/kg or J/m^3]      net
    carbon_content : (...) float64 [kg/J]              carbon per heat
    oxidation : (...) float64 [1]                      share of the carbon that burns

    Returns
    -------
    (...) float64 [kg]

    Notes
    -----
    AD · NCV · CC · OF · 44/12 [1]_.
    """
    carbon = amount * heating_value * carbon_content * oxidation
    return np.asarray(carbon * _dioxide_per_carbon())


def material(row: Mapping[str, Any]) -> float:
    """Return the carbon dioxide of a material whose carbon is emitted, or bound in it.

    Parameters
    ----------
    row : mapping
        of a table ``[material]`` in ``carbon.toml``: `factor`, or `carbon_content`

    Returns
    -------
    float [kg/kg]
        carbon dioxide per mass; of a carbon content CC · 44/12 [2]_
    """
    if "factor" in row:
        return parse_quantity(row["factor"], "fraction")
    return parse_quantity(row["carbon_content"], "fraction") * _dioxide_per_carbon()


def anode(
    aluminium: F64, net_consumption: F64 | float, sulphur: F64 | float, ash: F64 | float
) -> F64:
    """Return the carbon dioxide of the anodes that aluminium uses up.

    Parameters
    ----------
    aluminium : (...) float64 [kg]           made
    net_consumption : (...) float64 [1]      anode per aluminium by mass
    sulphur, ash : (...) float64 [1]         mass shares of the anode that are not carbon

    Returns
    -------
    (...) float64 [kg]

    Notes
    -----
    Al · NC · (1 - S - A) · 44/12 [3]_.
    """
    return np.asarray(aluminium * net_consumption * (1 - sulphur - ash) * _dioxide_per_carbon())


def perfluorocarbons(
    aluminium: F64,
    tetrafluoromethane: F64 | float,
    hexafluoroethane: F64 | float,
    warming_tetrafluoromethane: F64 | float,
    warming_hexafluoroethane: F64 | float,
) -> F64:
    """Return the emission of anode effects of aluminium, as carbon dioxide.

    Parameters
    ----------
    aluminium : (...) float64 [kg]                          made
    tetrafluoromethane, hexafluoroethane : (...) float64 [1]
        emitted per aluminium by mass
    warming_tetrafluoromethane, warming_hexafluoroethane : (...) float64 [1]
        warming potential, carbon dioxide = 1

    Returns
    -------
    (...) float64 [kg]                                      carbon-dioxide equivalent [3]_
    """
    per_mass = (
        tetrafluoromethane * warming_tetrafluoromethane
        + hexafluoroethane * warming_hexafluoroethane
    )
    return np.asarray(aluminium * per_mass)


def grid_factor(year: int, region: str, method: str) -> GridFactor:
    """Return the factor of bought electricity of a year, region and method.

    Parameters
    ----------
    year : int
        calendar year of the consumption
    region
        ``CN``, or a province by ISO 3166-2 like ``CN-SD``
    method
        ``location``, ``market``, ``fossil`` or ``ets``

    Returns
    -------
    GridFactor
        [kg/J]; where none is published for the year, the newest before it stands in (else the
        oldest), with the reason; NaN where region and method have none for any year [4]_
    """
    rows = load_reference("carbon")["grid"]
    alike = {row["year"]: row for row in rows if (row["region"], row["method"]) == (region, method)}
    reason = f"no {method} factor of {region} is published for {year}"
    if not alike:
        return GridFactor(float("nan"), f"{reason}, nor for any other year", {})
    nearest = max((each for each in alike if each <= year), default=min(alike))
    row = alike[nearest]
    reason = "" if nearest == year else f"{reason}: that of {nearest} stands in"
    return GridFactor(parse_quantity(row["factor"], "emission_factor"), reason, row)


def market_factor(year: int, region: str) -> GridFactor:
    """Return the factor of electricity that no green power covers, of a year and region.

    Parameters
    ----------
    year, region
        as of `grid_factor`

    Returns
    -------
    GridFactor
        [kg/J]; of the whole country where the region has none: the factor without the non-fossil
        electricity that was traded is published for the country only [4]_
    """
    own = grid_factor(year, region, "market")
    return own if own.row else grid_factor(year, COUNTRY, "market")


def footprint(fuels: F64, processes: F64, electricity: F64, heat: F64, captured: F64) -> Footprint:
    """Return the emissions of a boundary by scope.

    Parameters
    ----------
    fuels, processes : (...) float64 [kg]       emitted here
    electricity, heat : (...) float64 [kg]      emitted where what was bought is made
    captured : (...) float64 [kg]               carbon dioxide that was recovered and sold

    Returns
    -------
    Footprint
        [kg]; a term that is not known (NaN) makes its scope and the total not known

    Notes
    -----
    E = E_fuel + E_process + E_electricity + E_heat - R_CO2 [2]_.
    """
    scope1 = np.asarray(fuels + processes - captured)
    scope2 = np.asarray(electricity + heat)
    return Footprint(scope1, scope2, np.asarray(scope1 + scope2))
