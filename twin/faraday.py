"""Faraday's law: products of a current in electrolysis cells.

References
----------
.. [1] CODATA 2018: the Faraday constant, exact by the definition of e and N_A.
.. [2] J. S. Newman, N. P. Balsara, Electrochemical Systems, 4th ed., Wiley 2021, chapter 1:
   Faraday's law, current efficiency, specific energy.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64
from twin.reference import figure
from twin.stoichiometry import molar_mass

FARADAY = figure("constants.faraday", "charge")  # C/mol
# molar mass [kg/mol], electrons per molecule
CL2 = (molar_mass("Cl2"), 2)
NAOH = (molar_mass("NaOH"), 1)
H2 = (molar_mass("H2"), 2)
AL = (molar_mass("Al"), 3)
SALT = (molar_mass("NaCl"), 1)  # used, not made: one ion of sodium for each electron


def mass_per_charge(species: tuple[float, int]) -> float:
    """Return the mass made per charge at 100 % current efficiency.

    Parameters
    ----------
    species : (float [kg/mol], int)
        molar mass and electrons per molecule, like `CL2`

    Returns
    -------
    float [kg/C]
        M / (z F) [1]_ [2]_
    """
    mass, electrons = species
    return mass / (electrons * FARADAY)


def specific_energy(cell_voltage: F64, current_efficiency: F64, species: tuple[float, int]) -> F64:
    """Return the direct-current energy per mass of product.

    Parameters
    ----------
    cell_voltage : (...) float64 [V]          voltage of one cell
    current_efficiency : (...) float64 [1]    share of the current that makes the product
    species : (float [kg/mol], int)           molar mass and electrons per molecule, like `CL2`

    Returns
    -------
    (...) float64 [J/kg]                      U / (CE M / (z F)) [2]_; NaN where nothing is made
    """
    efficiency = np.where(np.asarray(current_efficiency) > 0, current_efficiency, np.nan)
    return np.asarray(cell_voltage / (efficiency * mass_per_charge(species)))
