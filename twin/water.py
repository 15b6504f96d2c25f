"""Enthalpy of water and steam by IAPWS-IF97.

References
----------
.. [1] IAPWS R7-97(2012), Revised release on the IAPWS industrial formulation 1997 for the
   thermodynamic properties of water and steam; as computed by the library SEUIF97.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import seuif97

from twin.arrays import F64
from twin.reference import load as load_reference
from twin.uom import compile_uom, parse_quantity

# What the library takes and gives.
MEGAPASCAL, _ = compile_uom("MPa", "pressure")
KILOJOULE, _ = compile_uom("kJ/kg", "intensity")
CELSIUS, FREEZING = compile_uom("degC", "temperature")


def steam_enthalpy(pressure: F64, temperature: F64, dryness: float = 1.0) -> F64:
    """Return the specific enthalpy of steam.

    Parameters
    ----------
    pressure : (...) float64 [Pa]      absolute; NaN = not known
    temperature : (...) float64 [K]    NaN = that of the boiling curve
    dryness : float, optional [1]      share of vapour where the steam is not superheated

    Returns
    -------
    (...) float64 [J/kg]               NaN outside of what the formulation covers

    Notes
    -----
    Steam that seems colder than it boils is saturated: so near the boiling curve a thermometer is
    off by more than that, and water of this temperature would have a third of the enthalpy [1]_.
    """
    with np.errstate(invalid="ignore"):
        each = np.vectorize(_steam, otypes=[np.float64], excluded=[2])
        return np.asarray(each(pressure, temperature, dryness) * KILOJOULE)


def water_enthalpy(temperature: F64) -> F64:
    """Return the specific enthalpy of liquid water at its boiling pressure.

    Parameters
    ----------
    temperature : (...) float64 [K]   NaN = not known

    Returns
    -------
    (...) float64 [J/kg]              NaN outside of the boiling curve [1]_
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(np.vectorize(_water, otypes=[np.float64])(temperature) * KILOJOULE)


@cache
def _limit(name: str) -> float:
    """Return a limit of the formulation [Pa or K]."""
    return parse_quantity(load_reference("steam")["formulation"][name], name.rpartition("_")[2])


def _steam(pressure: float, temperature: float, dryness: float) -> float:
    """Return the enthalpy of steam [kJ/kg] at a pressure [Pa] and a temperature [K]."""
    if not _limit("low_pressure") <= pressure <= _limit("high_pressure"):
        return float("nan")
    megapascal, celsius = pressure / MEGAPASCAL, (temperature - FREEZING) / CELSIUS
    boils = pressure <= _limit("critical_pressure")
    if boils and not celsius > seuif97.px2t(megapascal, 1.0):
        return float(seuif97.px2h(megapascal, dryness))
    if not _limit("low_temperature") <= temperature <= _limit("high_temperature"):
        return float("nan")
    return float(seuif97.pt2h(megapascal, celsius))


def _water(temperature: float) -> float:
    """Return the enthalpy of liquid water [kJ/kg] at a temperature [K]."""
    if not _limit("low_temperature") <= temperature <= _limit("critical_temperature"):
        return float("nan")
    return float(seuif97.tx2h((temperature - FREEZING) / CELSIUS, 0.0))
