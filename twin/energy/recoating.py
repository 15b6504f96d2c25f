"""Ageing of electrolysers, and the date at which new coatings pay.

Membranes and coatings age: the current efficiency falls, the voltage rises. Both go into the direct
current per tonne, taken at one current density, temperature and strength of the liquor, so that its
rise is that of the cells. What it costs grows with their age, and there is an age at which the mean
cost of a coating over its life is least.

References
----------
.. [1] T. F. O'Brien, T. V. Bommaraju, F. Hine, Handbook of Chlor-Alkali Technology, Springer, 2005:
   the line U = U0 + K j, and its shift with temperature and strength of the caustic soda.
.. [2] A. K. S. Jardine, A. H. C. Tsang, Maintenance, Replacement, and Reliability, 2nd ed., CRC
   Press 2013, chapter 2: the economic life of equipment whose operating cost rises with use.
.. [3] N. R. Draper, H. Smith, Applied Regression Analysis, 3rd ed., Wiley, 1998, chapter 1: the
   interval of a slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from twin import faraday
from twin.arrays import DAY_S, F64
from twin.energy.electrolysis import ageing, k_factor, zero_current_voltage
from twin.reconciliation.chi_square import two_sided
from twin.reference import load as load_reference
from twin.uom import parse_quantity

# Fewer points than these say nothing of a year.
POINTS_MIN = 14
NO_DATE, NO_COST, NO_PRICE = "no_coating_date", "no_recoating_cost", "no_energy_price"
TOO_FEW, NO_RISE = "too_few_days", "no_rise_of_the_energy"


class Slope(NamedTuple):
    """A slope per second and the half width of its interval of 95 %; NaN = not known."""

    value: float
    width: float


@dataclass(frozen=True, slots=True)
class Ageings:
    """How an electrolyser ages, and at which specific energy."""

    points: int
    efficiency: Slope  # [1/s] of the current efficiency
    k: Slope  # [V·m²/A/s] of K at the temperature and strength of reference
    energy: Slope  # [J/kg/s] of the direct current per caustic soda, at the mean current density


@dataclass(frozen=True, slots=True)
class Life:
    """The economic life of a coating [s] and its interval of 95 %; inf = no end, NaN = not known.

    `reason` says why there is none.
    """

    value: float
    low: float
    high: float
    reason: str = ""


def reference_voltage(voltage: F64, temperature: F64 | None, strength: F64 | None) -> F64:
    """Return the voltage of cells at the temperature and strength of reference.

    Parameters
    ----------
    voltage : (...) float64 [V]      of one cell; NaN = not known
    temperature : (...) float64 [K]  of the cells; None = not corrected for
    strength : (...) float64 [1]     caustic soda in the liquor by mass; None = not corrected for

    Returns
    -------
    (...) float64 [V]                NaN where one of them is not known

    Notes
    -----
    Linear in both, with the coefficients of the reference table [1]_.
    """
    table = load_reference("electrolysis")["voltage_correction"]
    corrected = np.asarray(voltage, dtype=np.float64)
    if temperature is not None:
        usual = parse_quantity(table["temperature"], "temperature")
        corrected = corrected - table["v_per_k"] * (temperature - usual)
    if strength is not None:
        corrected = corrected - table["v_per_strength"] * (strength - table["strength"])
    return corrected


def age(time_s: F64, voltage: F64, density: F64, efficiency: F64) -> Ageings:
    """Return how a membrane electrolyser ages.

    Parameters
    ----------
    time_s : (n,) float64 [s]           any origin
    voltage : (n,) float64 [V]          of one cell, at temperature and strength of reference
    density : (n,) float64 [A/m²]
    efficiency : (n,) float64 [1]       current efficiency; NaN = not known, as all of these

    Returns
    -------
    Ageings
        slopes of straight lines with Student's interval [3]_: what meters and analysers have in
        error all the time has no part in a slope, their drift has
    """
    zero = zero_current_voltage("membrane")
    k = k_factor(voltage, density, zero)
    known = np.isfinite(k) & np.isfinite(efficiency)
    mean = float(np.mean(density[known])) if known.any() else float("nan")
    energy = faraday.specific_energy(zero + k * mean, efficiency, faraday.NAOH)
    return Ageings(
        int(known.sum()),
        *(_slope(time_s, np.where(known, each, np.nan)) for each in (efficiency, k, energy)),
    )


def _slope(time_s: F64, value: F64) -> Slope:
    line = ageing(time_s, value)
    points = int(np.isfinite(value).sum())
    if points < POINTS_MIN:
        return Slope(float("nan"), float("nan"))
    return Slope(float(line.slope), float(line.sigma) * two_sided(0.95, points - 2))


def economic_life(energy: Slope, rate: float, price: float, cost: float) -> Life:
    """Return the age at which the mean cost of a coating over its life is least.

    Parameters
    ----------
    energy : Slope [J/kg/s]
        rise of the specific energy since the coating was new
    rate : float [kg/s]
        production of caustic soda
    price : float [CNY/J]
        of the direct current
    cost : float [CNY]
        of the new coatings, with what they stand for in lost production

    Returns
    -------
    Life [s]

    Notes
    -----
    What ageing costs per time grows as a·t with a = energy · rate · price. The mean cost per time
    of a life T, cost / T + a T / 2, is least at T = √(2 cost / a) [2]_. The interval is that of the
    slope; costs and price are taken as exact.
    """
    nothing = float("nan")
    for missing, reason in (
        (cost, NO_COST), (price, NO_PRICE), (energy.value, TOO_FEW), (rate, TOO_FEW),
    ):  # fmt: skip
        if not np.isfinite(missing):
            return Life(nothing, nothing, nothing, reason)
    slopes = np.array([energy.value, energy.value + energy.width, energy.value - energy.width])
    growth = slopes * rate * price
    some = growth > 0
    life = np.where(some, np.sqrt(2 * cost / np.where(some, growth, 1.0)), np.inf)
    value, low, high = life.tolist()
    if not some[0]:
        return Life(nothing, low, nothing, NO_RISE)
    return Life(value, low, high)


def steady_days(density: F64, covered_s: F64) -> F64:
    """Return which days count: (n,) 1 or NaN.

    Parameters
    ----------
    density : (n,) float64 [A/m²]     mean of each day; NaN = not known
    covered_s : (n,) float64 [s]      of the tag with the least data

    Returns
    -------
    (n,) float64 [1]
        1 where three quarters are covered and the load is near the usual one: the mean of a day
        with a shutdown is on no line
    """
    table = load_reference("electrolysis")["steady_day"]
    known = np.isfinite(density) & (covered_s >= table["covered"] * DAY_S)
    usual = np.median(density[known]) if known.any() else np.nan
    near = known & (np.abs(density - usual) <= table["load"] * usual)
    return np.where(near, 1.0, np.nan)
