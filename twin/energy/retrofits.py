"""What a change to zero-gap cells can save, and has saved, against what was promised.

All of it is at equal load, temperature and strength of the liquor: the voltage is that of the line
U = U0 + K j at one current density, and the saving that of the voltage and the current efficiency.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   the line U = U0 + K j of membrane cells; energy by voltage and current efficiency.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.2 (errors that are
   independent add up in squares) and G.3 (the interval of a mean by Student's distribution).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from twin import faraday
from twin.arrays import F64
from twin.energy.electrolysis import REFUSED, check_saving, k_factor, zero_current_voltage
from twin.energy.recoating import POINTS_MIN
from twin.reconciliation.chi_square import two_sided
from twin.reference import load as load_reference
from twin.uom import parse_quantity

PLAUSIBLE, IMPLAUSIBLE, UNDECIDED = "plausible", "implausible", "undecided"
NOTHING_PROMISED = "no_promise"
NOT_OF_ITS_DROP = "not_what_its_voltage_drop_saves"
TOO_MUCH = "more_than_zero_gap_cells_can_save"
TOO_FEW, TOO_NEAR, NO_WIDTH = "too_few_days", "within_the_interval", "meter_of_unknown_error"
NAN = float("nan")


class Measured(NamedTuple):
    """A figure and half its 95 % interval; NaN = not known."""

    value: float
    width: float


class CellState(NamedTuple):
    """An electrolyser in a time of steady days."""

    days: int
    density: float  # [A/m²]
    k: Measured  # [V·m²/A] at the temperature and strength of reference
    efficiency: Measured  # [1]


class Possible(NamedTuple):
    """What zero-gap cells can save [J/kg]: the least and the most of usual ones, and a width."""

    least: float
    most: float
    width: float


def cell_state(voltage: F64, density: F64, efficiency: F64) -> CellState:
    """Return the state of a membrane electrolyser by its steady days.

    Parameters
    ----------
    voltage : (n,) float64 [V]          of one cell, at temperature and strength of reference
    density : (n,) float64 [A/m²]
    efficiency : (n,) float64 [1]       current efficiency; NaN = not known, as all of these

    Returns
    -------
    CellState
        means with Student's interval [2]_; NaN for fewer than `recoating.POINTS_MIN` days
    """
    k = k_factor(voltage, density, zero_current_voltage("membrane"))
    known = np.isfinite(k) & np.isfinite(efficiency)
    days = int(known.sum())
    if days < POINTS_MIN:
        nothing = Measured(NAN, NAN)
        return CellState(days, NAN, nothing, nothing)
    return CellState(days, float(density[known].mean()), _mean(k[known]), _mean(efficiency[known]))


def _mean(value: F64) -> Measured:
    n = len(value)
    width = two_sided(0.95, n - 1) * float(value.std(ddof=1)) / np.sqrt(n)
    return Measured(float(value.mean()), float(width))


def possible_saving(state: CellState, meters: float) -> Possible:
    """Return what new zero-gap cells would save at the load of an electrolyser.

    Parameters
    ----------
    state : CellState
    meters : float [1]
        half the relative interval of the voltage by its meter, which no mean makes smaller

    Returns
    -------
    Possible [J/kg]
        NaN where the state is not known

    Notes
    -----
    (U - U0 - K j) / (CE · mass per charge) with K of new zero-gap cells, from the highest to the
    lowest of the table [1]_. The width holds the scatter of the days, the meters and the range of
    U0 [2]_.
    """
    table = load_reference("electrolysis")
    new = [parse_quantity(table["zero_gap_cells"][name], "area_resistance")
           for name in ("high", "low")]  # fmt: skip
    standing = [parse_quantity(table["zero_current_voltage"]["membrane"][name], "voltage")
                for name in ("low", "high")]  # fmt: skip
    drops = [(state.k.value - each) * state.density for each in new]
    least, most = (_energy(drop, state.efficiency.value) for drop in drops)
    volts = zero_current_voltage("membrane") + state.k.value * state.density
    width_v = np.hypot.reduce(
        [state.k.width * state.density, meters * volts, (standing[1] - standing[0]) / 2]
    )
    relative = state.efficiency.width / state.efficiency.value
    width = np.hypot(_energy(float(width_v), state.efficiency.value), most * relative)
    return Possible(least, most, float(width))


def judge_promise(
    promised: float, voltage_drop: float, efficiency: float, possible: Possible
) -> tuple[str, str]:
    """Return whether a promised saving is plausible, and why it is not, or not certain.

    Parameters
    ----------
    promised : float [J/kg]
        NaN = nothing is promised
    voltage_drop : float [V]
        of a cell, that the promise rests on; NaN = none is stated
    efficiency : float [1]
        current efficiency, measured or of the model
    possible : Possible [J/kg]

    Returns
    -------
    str, str
        ``plausible``, ``implausible`` or ``undecided``, and the reason where it is not plausible

    Notes
    -----
    A promise has to be what its own voltage drop saves by Faraday's law, and not more than the
    best zero-gap cells save beside the cells as they are; it is undecided where that lies within
    the interval of what is possible.
    """
    if not np.isfinite(promised):
        return UNDECIDED, NOTHING_PROMISED
    claim = check_saving(
        np.array(promised), np.array(voltage_drop), np.array(efficiency), faraday.NAOH
    )
    if claim.verdict == REFUSED:
        return IMPLAUSIBLE, NOT_OF_ITS_DROP
    if not np.isfinite(possible.most + possible.width):
        return UNDECIDED, NO_WIDTH if np.isfinite(possible.most) else TOO_FEW
    if promised > possible.most + possible.width:
        return IMPLAUSIBLE, TOO_MUCH
    return (PLAUSIBLE, "") if promised <= possible.most - possible.width else (UNDECIDED, TOO_NEAR)


def saving_of_drop(voltage_drop: float, efficiency: float) -> float:
    """Return what a fall of the cell voltage saves.

    Parameters
    ----------
    voltage_drop : float [V]
    efficiency : float [1]
        current efficiency

    Returns
    -------
    float [J/kg]
        of direct current per caustic soda [1]_
    """
    return _energy(voltage_drop, efficiency)


def measured_saving(before: CellState, after: CellState) -> Measured:
    """Return the saving from a state to another, at the mean of their current densities.

    Parameters
    ----------
    before, after : CellState

    Returns
    -------
    Measured [J/kg]
        the error that meters have all the time has no part in it, their drift has; NaN where a
        state is not known
    """
    density = (before.density + after.density) / 2
    energies, widths = [], []
    for state in (before, after):
        volts = zero_current_voltage("membrane") + state.k.value * density
        energy = _energy(volts, state.efficiency.value)
        energies.append(energy)
        widths += [
            energy * state.k.width * density / volts,
            energy * state.efficiency.width / state.efficiency.value,
        ]
    return Measured(energies[0] - energies[1], float(np.hypot.reduce(widths)))


def _energy(volts: float, efficiency: float) -> float:
    return float(faraday.specific_energy(np.array(volts), np.array(efficiency), faraday.NAOH))
