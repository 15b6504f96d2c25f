"""Chlorine: current efficiency of the cells, and the share of chlorine that is used locally.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer 2005,
   chapter 4 (current efficiency).
.. [2] 聊政字〔2019〕6号, 一（八）: local use of liquid chlorine of at least 85 %, which is not
   defined there: both readings are computed.
.. [3] 聊政字〔2019〕6号, 二（十二）: the chlor-alkali balance (氯碱平衡) of enterprises by 2022,
   and less transport of liquid chlorine by road; it gives neither formula nor period.
"""

from __future__ import annotations

import numpy as np

from twin import faraday
from twin.arrays import BOOL, F64, ratio
from twin.faraday import anode_efficiency

__all__ = [
    "anode_efficiency", "cathode_efficiency", "local_share_of_liquid", "local_share_of_made",
]  # fmt: skip

# [kg/kg] Both are made by the same current.
CHLORINE_PER_CAUSTIC = faraday.mass_per_charge(faraday.CL2) / faraday.mass_per_charge(faraday.NAOH)


def cathode_efficiency(caustic: F64, current: F64, cells: F64) -> F64:
    """Return the share of the current that made caustic soda, from its measured mass.

    Parameters
    ----------
    caustic : (...) float64 [kg/s]
        caustic soda made, as 100 % NaOH; or its mass [kg] with the charge [C] for the current
    current : (...) float64 [A]
        current through the series of cells
    cells : (...) float64 [1]
        cells in series

    Returns
    -------
    (...) float64 [1]
        NaN without current

    Notes
    -----
    Faraday's law solved for the efficiency [1]_. A mean over hours: the liquor takes its time.
    """
    return ratio(caustic, current * cells * faraday.mass_per_charge(faraday.NAOH))


def local_share_of_liquid(flow: F64, local: BOOL) -> F64:
    """Return the share of the liquid chlorine taken out of storage that is used inside a boundary.

    Parameters
    ----------
    flow : (..., S) float64 [kg]
        liquid chlorine each stream took out of storage in a period
    local : (S,) bool
        whether the stream ends inside the boundary

    Returns
    -------
    (...) float64 [1]
        NaN where a stream is not known or nothing was taken

    Notes
    -----
    The first reading (K1) of the local use of liquid chlorine [2]_. Transfers between tanks inside
    the boundary are no use: leave them out.
    """
    return ratio(np.sum(flow * local, axis=-1), np.sum(flow, axis=-1))


def local_share_of_made(made: F64, exported: F64) -> F64:
    """Return the share of the chlorine made inside a boundary that did not leave it as liquid.

    Parameters
    ----------
    made : (...) float64 [kg]
        chlorine made in a period
    exported : (..., S) float64 [kg]
        liquid chlorine each stream took out of the boundary

    Returns
    -------
    (...) float64 [1]
        NaN where a stream is not known or nothing was made

    Notes
    -----
    The second reading (K2) [2]_: 1 - exported / made. Far above the first where most chlorine is
    used as a gas.
    """
    return 1 - ratio(np.sum(exported, axis=-1), made)


def chlor_alkali_balance(outlets: F64, caustic: F64) -> F64:
    """Return the share of the chlorine that comes with caustic soda which finds an outlet.

    Parameters
    ----------
    outlets : (...) float64 [kg]
        chlorine that went to users in a period: used inside the boundary, or sent on by pipe; what
        road and rail carry away, what is vented and what tanks keep is no outlet
    caustic : (...) float64 [kg]
        caustic soda made in the period, as 100 % NaOH

    Returns
    -------
    (...) float64 [1]
        NaN where nothing was made; 1 = balanced, above it chlorine is brought in

    Notes
    -----
    Our reading of the policy [3]_. A mole of chlorine comes with two of caustic soda.
    """
    return ratio(outlets, caustic * CHLORINE_PER_CAUSTIC)
