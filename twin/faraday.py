"""Faraday's law: products of a current in electrolysis cells.

References
----------
.. [1] CODATA 2018: the Faraday constant, exact by the definition of e and N_A.
.. [2] J. S. Newman, N. P. Balsara, Electrochemical Systems, 4th ed., Wiley 2021, chapter 1:
   Faraday's law, current efficiency, specific energy.
.. [3] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer 2005,
   chapter 4: current efficiency of membrane cells by the analysis of gas and anolyte.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64, ratio
from twin.reference import figure
from twin.stoichiometry import molar_mass

FARADAY = figure("constants.faraday", "charge")  # C/mol
# molar mass [kg/mol], electrons per molecule
CL2 = (molar_mass("Cl2"), 2)
NAOH = (molar_mass("NaOH"), 1)
H2 = (molar_mass("H2"), 2)
AL = (molar_mass("Al"), 3)
SALT = (molar_mass("NaCl"), 1)  # used, not made: one ion of sodium for each electron
CHLORATE = (molar_mass("NaClO3"), 6)  # three molecules of chlorine are lost for each


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


def anode_efficiency(oxygen: F64, chlorine: F64, chlorate: F64 | float = 0.0) -> F64:
    """Return the share of the current that makes chlorine, from the analysis of the cell gas.

    Parameters
    ----------
    oxygen, chlorine : (...) float64 [1]
        their shares of the cell gas by volume; any common scale will do
    chlorate : (...) float64 [1], optional
        share of the current that makes chlorate: its mass per time over `mass_per_charge` of
        `CHLORATE` and the current through all cells; by default it is neglected

    Returns
    -------
    (...) float64 [1]
        NaN without chlorine

    Notes
    -----
    The charge of the anode makes chlorine, oxygen and chlorate. A mole of oxygen takes four
    electrons, one of chlorine two: (1 - chlorate) / (1 + 2·O2/Cl2) [3]_. Chlorine that leaves as
    hypochlorite is neglected.
    """
    return ratio(np.asarray(1.0 - np.asarray(chlorate)), 1 + 2 * ratio(oxygen, chlorine))
