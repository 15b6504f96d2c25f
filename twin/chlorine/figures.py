"""Chlorine: soft sensors of the cells and the liquefaction, its balance and where it is used.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer 2005,
   chapter 4 (current efficiency) and chapter 9 (liquefaction, hydrogen in the tail gas).
.. [2] GB 11984-2008, safety code for chlorine: hydrogen in the header and in the tail gas.
.. [3] JCGM 100:2008 (GUM), 5.1.2 (combined standard uncertainty) and 6.2 (expanded uncertainty).
.. [4] 聊政字〔2019〕6号, 一（八）: local use of liquid chlorine of at least 85 %; 二（十二）:
   balance of chlorine and alkali. Neither is defined there: both readings of the first are
   computed, and the second is judged with its uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin import faraday
from twin.arrays import BOOL, F64, I8
from twin.reconciliation.uncertainty import half_width
from twin.targets import verdict


@dataclass(frozen=True, slots=True)
class Imbalance:
    """What a header's flows leave over, and whether it is more than the meters' uncertainty."""

    residual: F64  # (...) [kg or kg/s]
    half_width: F64  # (...) [as residual] of the confidence interval
    significant: BOOL  # (...) False where something is not known


@dataclass(frozen=True, slots=True)
class Verdict:
    """A balance over a period, judged against a tolerance."""

    share: F64  # (...) [1] unaccounted over made
    half_width: F64  # (...) [1] of the confidence interval
    verdict: I8  # (...) MET, NOT_MET or UNDECIDED of `twin.targets`


def ratio(part: F64, whole: F64) -> F64:
    """Return a part of a whole, or an amount over a rate.

    Parameters
    ----------
    part, whole : (...) float64 [SI]

    Returns
    -------
    (...) float64 [SI]
        part / whole; NaN where there is no whole, or next to none
    """
    some = np.asarray(whole) > 0
    with np.errstate(over="ignore"):
        found = part / np.where(some, whole, 1.0)
    return np.asarray(np.where(some & np.isfinite(found), found, np.nan))


def anode_efficiency(oxygen: F64, chlorine: F64) -> F64:
    """Return the share of the current that makes chlorine, from the analysis of the cell gas.

    Parameters
    ----------
    oxygen, chlorine : (...) float64 [1]
        their shares of the cell gas by volume; any common scale will do

    Returns
    -------
    (...) float64 [1]
        NaN without chlorine

    Notes
    -----
    1 / (1 + 2·O2/Cl2): a mole of oxygen takes four electrons, one of chlorine two [1]_. Chlorine
    that leaves as hypochlorite or chlorate is neglected.
    """
    return ratio(np.ones(()), 1 + 2 * ratio(oxygen, chlorine))


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


def tail_hydrogen(hydrogen: F64, chlorine: F64, liquefied: F64) -> F64:
    """Return the share of hydrogen in the gas that liquefaction leaves.

    Parameters
    ----------
    hydrogen, chlorine : (...) float64 [1]
        their shares of the gas that enters, by volume
    liquefied : (...) float64 [1]
        share of the chlorine that becomes liquid

    Returns
    -------
    (...) float64 [1]
        share of the tail gas by volume; NaN where no gas is left

    Notes
    -----
    Only chlorine leaves the gas, so hydrogen is in a smaller rest [1]_.
    """
    return ratio(hydrogen, 1 - np.asarray(liquefied) * chlorine)


def greatest_liquefied(hydrogen: F64, chlorine: F64, limit: F64) -> F64:
    """Return how much of the chlorine may be liquefied before the tail gas has too much hydrogen.

    Parameters
    ----------
    hydrogen, chlorine : (...) float64 [1]
        their shares of the gas that enters, by volume
    limit : (...) float64 [1]
        greatest share of hydrogen in the tail gas, ``chlorine.hydrogen_tail_gas`` [2]_

    Returns
    -------
    (...) float64 [1]
        between 0 (the gas is beyond the limit as it comes) and 1; NaN without chlorine
    """
    return np.asarray(np.clip(ratio(1 - ratio(hydrogen, limit), chlorine), 0.0, 1.0))


def header_imbalance(
    production: F64,
    outflow: F64,
    production_sigma: F64,
    outflow_sigma: F64,
    *,
    confidence: float = 0.95,
) -> Imbalance:
    """Return what the header's flows leave over, with its confidence interval.

    Parameters
    ----------
    production : (...) float64 [kg/s]
        chlorine made, or its mass [kg] over a period
    outflow : (..., S) float64 [kg/s]
        each flow out of the header: users and liquefaction
    production_sigma : (...) float64 [kg/s]
        standard uncertainty of ``production``
    outflow_sigma : (..., S) float64 [kg/s]
        standard uncertainty of each flow
    confidence : float [1]
        probability the interval stands for

    Returns
    -------
    Imbalance
        residual [kg/s], positive = lost or not measured; NaN where a flow is not known

    Notes
    -----
    Errors of the meters are independent and normal: their variances add up [3]_.
    """
    residual = production - np.sum(outflow, axis=-1)
    width = half_width(np.hypot(production_sigma, np.hypot.reduce(outflow_sigma, -1)), confidence)
    width = np.where(np.isnan(residual), np.nan, width)
    return Imbalance(np.asarray(residual), width, np.asarray(np.abs(residual) > width))


def closure(chlorine: F64, caustic: F64, hydrogen: F64) -> F64:
    """Return how well three products of the same cells agree in the ratio 1 Cl2 : 2 NaOH : 1 H2.

    Parameters
    ----------
    chlorine, caustic, hydrogen : (...) float64 [kg]
        mass of each over a period, or its flow [kg/s]; caustic as 100 % NaOH

    Returns
    -------
    (..., 3) float64 [1]
        the charge each of them stands for over the mean of the three: 1, 1, 1 when they close. NaN
        where one is not known or nothing was made.

    Notes
    -----
    2 NaCl + 2 H2O → 2 NaOH + Cl2 + H2 [1]_. With the current itself there are four witnesses; what
    the current efficiencies differ by, some per cent, is in the numbers.
    """
    species = (faraday.CL2, faraday.NAOH, faraday.H2)
    masses = np.broadcast_arrays(chlorine, caustic, hydrogen)
    charge = np.stack(
        [m / faraday.mass_per_charge(s) for m, s in zip(masses, species, strict=True)], axis=-1
    )
    return ratio(charge, charge.mean(axis=-1, keepdims=True))


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
    The first reading (K1) of the local use of liquid chlorine [4]_. Transfers between tanks inside
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
    The second reading (K2) [4]_: 1 - exported / made. Far above the first where most chlorine is
    used as a gas.
    """
    return 1 - ratio(np.sum(exported, axis=-1), made)


def judge_balance(
    unaccounted: F64, sigma: F64, made: F64, tolerance: float, *, confidence: float = 0.95
) -> Verdict:
    """Return whether a chlorine balance is met within a tolerance, as far as the meters can tell.

    Parameters
    ----------
    unaccounted : (...) float64 [kg]
        made - used - exported - kept in a period
    sigma : (...) float64 [kg]
        its standard uncertainty
    made : (...) float64 [kg]
        chlorine made in the period
    tolerance : float [1]
        greatest share of what was made that may be unaccounted for
    confidence : float [1]
        probability the interval stands for

    Returns
    -------
    Verdict
        met: the whole interval lies within the tolerance; not met: all of it lies outside; else,
        and where something is not known or nothing was made, undecided

    Notes
    -----
    The order asks for balance and states neither period nor tolerance [4]_; the interval is that of
    a normal error [3]_.
    """
    share = ratio(unaccounted, made)
    width = ratio(half_width(sigma, confidence), made)
    at_most = np.ones(share.shape, bool)
    return Verdict(share, width, verdict(np.abs(share), np.array(tolerance), at_most, width))
