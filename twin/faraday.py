"""Faraday's law: what a current makes in electrolysis cells in series.

References
----------
.. [1] CODATA 2018: F = 96485.33212 C/mol (exact by the definition of e and N_A).
.. [2] IUPAC standard atomic weights (abridged): H 1.00794, O 15.9994, Na 22.98976928, Cl 35.453,
   Al 26.9815385; the molar masses below are the sums used by the published test values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

FARADAY = 96485.33212  # C/mol
# molar mass [kg/mol], electrons per molecule
CL2 = (70.906e-3, 2)
NAOH = (39.99711e-3, 1)
H2 = (2.01588e-3, 2)
AL = (26.9815385e-3, 3)


def mass_per_charge(species: tuple[float, int]) -> float:
    """Return the mass made per charge at 100 % current efficiency [kg/C]."""
    molar_mass, electrons = species
    return molar_mass / (electrons * FARADAY)


def chlorine(current: F64, cells: F64, current_efficiency: F64) -> F64:
    """Return the chlorine made [kg/s].

    Parameters
    ----------
    current : (...) float64 [A]               current through the series of cells
    cells : (...) float64 [1]                 cells in series
    current_efficiency : (...) float64 [1]    share of the current that makes the product
    """
    return np.asarray(current * cells * current_efficiency * mass_per_charge(CL2))


def caustic(current: F64, cells: F64, current_efficiency: F64) -> F64:
    """Return the caustic soda made, as 100 % NaOH [kg/s]; arguments as `chlorine`."""
    return np.asarray(current * cells * current_efficiency * mass_per_charge(NAOH))


def hydrogen(current: F64, cells: F64) -> F64:
    """Return the hydrogen made [kg/s], at a current efficiency of 1; arguments as `chlorine`."""
    return np.asarray(current * cells * mass_per_charge(H2))


def aluminium(current: F64, cells: F64, current_efficiency: F64) -> F64:
    """Return the aluminium made [kg/s]; arguments as `chlorine`."""
    return np.asarray(current * cells * current_efficiency * mass_per_charge(AL))


def specific_energy(cell_voltage: F64, current_efficiency: F64, species: tuple[float, int]) -> F64:
    """Return the direct-current energy per mass of product [J/kg].

    Parameters
    ----------
    cell_voltage : (...) float64 [V]          voltage of one cell
    current_efficiency : (...) float64 [1]
    species                                   one of the species of this module
    """
    return np.asarray(cell_voltage / (current_efficiency * mass_per_charge(species)))
