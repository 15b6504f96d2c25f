"""Energy carriers: the coal equivalent of an amount of each.

References
----------
.. [1] GB/T 2589-2020, General rules for calculation of the comprehensive energy consumption.
.. [2] GB/T 50441-2016, Standard for calculation of energy consumption in petrochemical design.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64
from twin.reference import load as load_reference
from twin.uom import parse_quantity

# Coefficient of a carrier's amount in coal-equivalent energy, by what it is accounted by.
FACTOR_QUANTITY = {"energy": "fraction", "mass": "intensity", "normal_volume": "energy_density"}


def carrier_factor(carrier: str) -> float:
    """Return the coal equivalent of a carrier, equivalent calorific value (当量值).

    Parameters
    ----------
    carrier : str   a table of ``reference/energy.toml``

    Returns
    -------
    float           coal-equivalent energy [J] per SI amount: J/J, J/kg or J/m³ by the carrier

    Raises
    ------
    KeyError        there is no such carrier

    Notes
    -----
    Annex A (fuels) and annex B (energy-carrying media) of [1]_, steam by pressure class of [2]_.
    """
    row = load_reference("energy")[carrier]
    return parse_quantity(row["factor"], FACTOR_QUANTITY[row["quantity"]])


def steam_factor(enthalpy: F64 | float, reference: F64 | float) -> F64:
    """Return the coal equivalent of steam by its enthalpy.

    Parameters
    ----------
    enthalpy : (...) float64 [J/kg]    specific enthalpy of the steam
    reference : (...) float64 [J/kg]   what it counts from, declared with the result: water at
                                       20 °C (`reference_enthalpy`), less what condensate brings
                                       back

    Returns
    -------
    (...) float64 [J/kg]               NaN where an enthalpy is not known

    Notes
    -----
    The heat above the reference at the factor of heat [1]_; it wins over the pressure class [2]_.
    """
    return np.asarray((enthalpy - reference) * carrier_factor("heat"))


def reference_enthalpy(name: str) -> float:
    """Return the enthalpy of a declared reference of steam.

    Parameters
    ----------
    name : str      a table of ``reference/steam.toml``, like ``water_20c``

    Returns
    -------
    float [J/kg]

    Raises
    ------
    KeyError        there is no such reference
    """
    return parse_quantity(load_reference("steam")[name]["enthalpy"], "intensity")
