"""Energy per mass of product, as a ratio of sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


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

    References
    ----------
    .. [1] GB/T 2589-2020, General rules for calculation of the comprehensive energy consumption.
    """
    made = mass > 0
    return np.asarray(np.where(made, energy / np.where(made, mass, 1.0), np.nan))
