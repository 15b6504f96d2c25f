"""By-products: what the balance of a component leaves unexplained.

References
----------
.. [1] R. M. Felder, R. W. Rousseau, Elementary Principles of Chemical Processes, 3rd ed.,
   Wiley 2005, section 4.2: the general balance equation.
"""

from __future__ import annotations

import numpy as np

from twin.arrays import F64


def unaccounted(
    make: F64, use: F64, imported: F64, exported: F64, vented: F64, inventory_change: F64
) -> F64:
    """Return the unexplained amount of a balance.

    Parameters
    ----------
    make, use, imported, exported, vented : (...) float64 [kg]
        amounts of a window; 0 where the scope has no such stream, NaN = not known
    inventory_change : (...) float64 [kg]
        inventory at the end minus inventory at the start; 0 without tanks

    Returns
    -------
    (...) float64 [kg]
        make + imported - use - exported - vented - inventory_change; positive = lost or not
        measured. NaN where a term is not known.

    Notes
    -----
    Conservation of mass, in minus out minus accumulation, over a closed boundary [1]_.
    """
    return np.asarray(make + imported - use - exported - vented - inventory_change)
