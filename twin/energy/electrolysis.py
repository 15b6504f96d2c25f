"""Electrolysis: claimed savings against physics, the slope K of the voltage line, its ageing.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   energy by voltage and current efficiency; the line U = U0 + K j of membrane cells.
.. [2] N. R. Draper, H. Smith, Applied Regression Analysis, 3rd ed., Wiley, 1998, chapter 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twin.arrays import BOOL, F64, I64, ratio
from twin.faraday import specific_energy
from twin.reference import load as load_reference
from twin.uom import parse_quantity

ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"


@dataclass(frozen=True, slots=True)
class Saving:
    """The saving expected by physics, and the verdict on a claim."""

    expected: F64  # (...) [J/kg]
    verdict: NDArray[np.str_]  # (...) accepted, refused, unknown


@dataclass(frozen=True, slots=True)
class Ageing:
    """The drift of a figure."""

    slope: F64  # (...) of the value per second
    sigma: F64  # (...) standard error of the slope


def check_saving(
    claimed: F64, voltage_drop: F64, current_efficiency: F64, species: tuple[float, int]
) -> Saving:
    """Check a claimed saving against the fall of the cell voltage.

    Parameters
    ----------
    claimed : (...) float64 [J/kg]           saving per mass of product; NaN = not known
    voltage_drop : (...) float64 [V]         by how much the voltage of a cell fell
    current_efficiency : (...) float64 [1]   of the cells
    species : tuple                          one of the species of `twin.faraday`

    Returns
    -------
    Saving                                   arrays (...)

    Notes
    -----
    At the same current efficiency the saving is that of the voltage alone, ΔU / (CE · mass per
    charge) [1]_; a claim that is off by more than the tolerance of the table is refused.
    """
    expected = specific_energy(voltage_drop, current_efficiency, species)
    tolerance = load_reference("electrolysis")["saving_tolerance"]["relative"]
    close = np.abs(claimed - expected) <= tolerance * np.abs(expected)
    verdict = np.where(close, ACCEPTED, REFUSED)
    lost = np.isnan(claimed) | np.isnan(expected)
    return Saving(expected, np.asarray(np.where(lost, UNKNOWN, verdict)))


def zero_current_voltage(kind: str) -> float:
    """Return the usual voltage U0 of a cell at no current.

    Parameters
    ----------
    kind : str     ``membrane`` or ``potline``

    Returns
    -------
    float [V]      NaN where none is known

    Notes
    -----
    Where the straight line of voltage over current density begins [1]_.
    """
    row = load_reference("electrolysis")["zero_current_voltage"].get(kind)
    return parse_quantity(row["value"], "voltage") if row else float("nan")


def k_factor(cell_voltage: F64, current_density: F64, zero_current: F64 | float) -> F64:
    """Return the slope K of the voltage line of a cell.

    Parameters
    ----------
    cell_voltage : (...) float64 [V]         NaN = not known
    current_density : (...) float64 [A/m²]   NaN = not known
    standing : (...) float64 [V]             U0, the line's voltage at no current

    Returns
    -------
    (...) float64 [V·m²/A]                   NaN without a current

    Notes
    -----
    K = (U - U0) / j [1]_. The voltage moves with the load, K with membrane and coating.
    """
    return ratio(cell_voltage - zero_current, current_density)


def ageing(time_s: F64, value: F64) -> Ageing:
    """Return the straight line's slope through values over time.

    Parameters
    ----------
    time_s : (..., n) float64 [s]   any origin
    value : (..., n) float64        for example K; NaN = not known

    Returns
    -------
    Ageing                          arrays (...); slope NaN for less than two times, its standard
                                    error for less than three

    Notes
    -----
    Least squares; the standard error comes from what the line leaves over [2]_.
    """
    known = ~(np.isnan(value) | np.isnan(time_s))
    count = known.sum(axis=-1)
    time = _centred(np.broadcast_to(time_s, known.shape), known, count)
    deviation = _centred(np.broadcast_to(value, known.shape), known, count)
    square = (time**2).sum(axis=-1)
    slope = ratio((time * deviation).sum(axis=-1), square)
    residual = (np.where(known, deviation - slope[..., None] * time, 0.0) ** 2).sum(axis=-1)
    return Ageing(slope, np.sqrt(ratio(ratio(residual, count - 2.0), square)))


def _centred(value: F64, known: BOOL, count: I64) -> F64:
    """Return values less their mean; 0 where not known."""
    mean = np.where(known, value, 0.0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(known, value - mean[..., None], 0.0)
