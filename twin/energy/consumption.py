"""Energy accounts: what carriers are worth in coal equivalent, and energy per mass of product.

References
----------
.. [1] GB/T 2589-2020, General rules for calculation of the comprehensive energy consumption.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from twin.accounts.carriers import carrier_factor, reference_enthalpy, steam_factor
from twin.arrays import F64, ratio
from twin.reference import load as load_reference
from twin.uom import parse_quantity

__all__ = [
    "Basis", "coal_equivalent", "electricity_row", "intensity", "reference_enthalpy",
    "steam_factor",
]  # fmt: skip
Basis = Literal["equivalent", "equal"]


def intensity(energy: F64, mass: F64) -> F64:
    """Return the energy per mass of product.

    Parameters
    ----------
    energy : (...) float64 [J]   energy of a window; NaN = not known
    mass : (...) float64 [kg]    product of the same window; NaN = not known

    Returns
    -------
    (...) float64 [J/kg]         NaN where nothing was made or something is not known

    Notes
    -----
    Comprehensive energy consumption per unit of product, e = E / P [1]_. Without production there
    is no intensity: not zero, and not infinity.
    """
    return ratio(energy, mass)


def electricity_row(basis: Basis, year: int) -> dict[str, Any]:
    """Return the factor of electricity on a basis in a year, with its provenance.

    Parameters
    ----------
    basis : str   ``equivalent`` (当量, calorific) or ``equal`` (等价, coal burnt to make it)
    year : int    of the consumption; the equivalent value has none

    Returns
    -------
    dict          the row of the reference table; ``factor`` is a text like ``0.1229 kgce/kWh``

    Raises
    ------
    ValueError    the basis is neither

    Notes
    -----
    The equal value is the coal rate of thermal plants and set by year; the table's ``usual`` row
    holds for a year that has none [1]_.
    """
    if basis == "equivalent":
        return dict(load_reference("energy")["electricity"])
    if basis != "equal":
        raise ValueError(f"the basis {basis!r} is neither 'equivalent' nor 'equal'")
    rows = load_reference("equal_value")
    return dict(rows.get(str(year)) or rows["usual"])


def coal_equivalent(energy: F64, electricity: F64, basis: Basis, year: ArrayLike) -> F64:
    """Return a comprehensive energy with all its electricity on one basis.

    Parameters
    ----------
    energy : (...) float64 [J]        comprehensive energy, electricity at its equivalent value
    electricity : (...) float64 [J]   the electricity in it, what leaves taken off
    basis : str                       ``equivalent`` or ``equal``
    year : (...) int                  year of each value, for the equal value

    Returns
    -------
    (...) float64 [J]                 NaN where a part is not known

    Raises
    ------
    ValueError                        the basis is neither

    Notes
    -----
    Both bases are defined by [1]_ and never mixed: the equal value replaces the equivalent one in
    all the electricity of the sum, bought, used and sold.
    """
    years, row_of = np.unique(np.asarray(year), return_inverse=True)
    rows = (electricity_row(basis, each) for each in years.tolist())
    factors = np.array([parse_quantity(row["factor"], "fraction") for row in rows])
    added = factors[row_of].reshape(np.shape(year)) - carrier_factor("electricity")
    return np.asarray(energy + electricity * added)
