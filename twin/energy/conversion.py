"""Conversion of energy: what a boiler house or a power plant delivers of what it takes.

References
----------
.. [1] First law of thermodynamics; GB/T 2588-2000, General principles for calculation of thermal
   efficiency of equipment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.arrays import F64

PLAUSIBLE, CREATES, UNDECIDED = "plausible", "creates_energy", "undecided"


def judge(efficiency: F64, half_width: F64) -> NDArray[np.str_]:
    """Return verdicts on efficiencies: no plant delivers more energy than it takes [1]_.

    Parameters
    ----------
    efficiency : (...) float64 [1]    delivered over supplied; NaN = not known
    half_width : (...) float64 [1]    of its interval

    Returns
    -------
    (...) str                         ``plausible``, ``creates_energy`` where all of the interval is
                                      above 1, ``undecided``
    """
    verdict = np.where(efficiency - np.nan_to_num(half_width) > 1, CREATES, PLAUSIBLE)
    return np.asarray(np.where(np.isnan(efficiency), UNDECIDED, verdict))
