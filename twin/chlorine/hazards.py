"""Major hazard sources, and toxic gas in the air: their figures by the standards.

References
----------
.. [1] GB 18218-2018, Identification of major hazard installations for hazardous chemicals: S and R;
   4.2.2: a quantity is the design maximum of a unit, not what is in it today.
.. [2] GB/T 50493-2019, Design of combustible and toxic gas detection and alarm: alarm settings.
.. [3] GBZ 2.1-2019, Occupational exposure limits for hazardous agents: concentrations by mass;
   CODATA 2018, molar volume of an ideal gas at 273.15 K and 101,325 Pa.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import F64
from twin.errors import UomError
from twin.reference import figure
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIGITS = 9  # A sum of quotients that is 10 by the standard must not fall short of it by rounding.
IDLH = "idlh_gbt50493"
LIMITS = ("mac", "pc_twa")


@dataclass(frozen=True, slots=True)
class Grade:
    """A unit's legal figures, from design maxima."""

    s: F64  # (...) [1] sum of quantity over critical quantity
    r: F64  # (...) [1] weighted by beta and alpha
    level: F64  # (...) [1] 1 (highest) to 4; 0 = no major hazard source; NaN = not known


def gradable() -> frozenset[str]:
    """Return the substances of which critical quantity and beta are known."""
    rows = load_reference("hazards")["substance"]
    return frozenset(name for name, row in rows.items() if {"critical", "beta"} <= row.keys())


def hazard_problems(row: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a row ``[[hazard]]`` of a park model."""
    if not 0 <= row["persons"] < np.inf:
        yield f"{row['persons']} persons cannot be"
    if not row["substances"]:
        yield "needs substances, each with the most the unit is designed to hold"
    for name, text in row["substances"].items():
        if name not in gradable():
            known = ", ".join(sorted(gradable()))
            yield f"{name!r} is no substance that can be graded; use one of {known}"
        try:
            if not 0 < parse_quantity(str(text), "mass") < np.inf:
                yield f"{name}: {text!r} is not above nothing"
        except UomError as error:
            yield f"{name}: {error} ({error.hint})"


def alpha(persons: F64) -> F64:
    """Return the factor for the persons who stay near a unit.

    Parameters
    ----------
    persons : (...) float64 [1]
        who stay within 500 m of the plant's boundary

    Returns
    -------
    (...) float64 [1]
        [1]_; NaN where they are not known, or fewer than none
    """
    table = load_reference("hazards")["alpha"]
    return _step(persons, table["persons"], table["factor"])


def _step(value: F64, start: list[float], result: list[float]) -> F64:
    """Return the result of the last start a value has reached; NaN below the first."""
    at = np.searchsorted(start, value, side="right")
    # NaN sorts behind everything.
    return np.asarray(np.where(np.isnan(value), np.nan, np.array([np.nan, *result])[at]))


def _sums(mass: F64, substances: Sequence[str], persons: F64) -> tuple[F64, F64]:
    """Return S and R of masses (..., N)."""
    rows = [load_reference("hazards")["substance"][name] for name in substances]
    critical = np.array([parse_quantity(row["critical"], "mass") for row in rows])
    beta = np.array([row["beta"] for row in rows])
    quotient = mass / critical
    return np.asarray(quotient.sum(axis=-1)), np.asarray(alpha(persons) * (quotient @ beta))


def grade(design_mass: F64, substances: Sequence[str], persons: F64) -> Grade:
    """Return whether a unit is a major hazard source, and of which level.

    Parameters
    ----------
    design_mass : (..., N) float64 [kg]
        the most of each substance the unit is designed to hold, never what it holds now
    substances : N names
        of the reference table, one of `gradable`
    persons : (...) float64 [1]
        who stay within 500 m of the plant's boundary

    Returns
    -------
    Grade
        S, R and level [1]; NaN where a mass is not known

    Notes
    -----
    S = Σ q/Q; a source where S >= 1. R = α·Σ β·q/Q, whose steps give the level [1]_.
    """
    s, r = _sums(design_mass, substances, persons)
    table = load_reference("hazards")
    level = _step(np.round(r, DIGITS), table["level"]["r"], table["level"]["level"])
    level = np.where(np.round(s, DIGITS) < table["source"]["threshold"], 0.0, level)
    return Grade(s, r, np.asarray(np.where(np.isnan(r), np.nan, level)))


def r_equivalent(live_mass: F64, substances: Sequence[str], persons: F64) -> F64:
    """Return what R would be if what a unit holds now were all it may hold; no legal level.

    Parameters
    ----------
    live_mass : (..., N) float64 [kg]
        what the unit holds of each substance
    substances : N names
        of the reference table, one of `gradable`
    persons : (...) float64 [1]
        who stay within 500 m of the plant's boundary

    Returns
    -------
    (...) float64 [1]
        NaN where a mass is not known

    Notes
    -----
    For operators, to see how far stocks are from the design maximum. The level of a major hazard
    source follows from design maxima alone [1]_: see `grade`.
    """
    return _sums(live_mass, substances, persons)[1]


def _molar_volume(temperature: F64) -> F64:
    """Return the molar volume of an ideal gas at normal pressure [m^3/mol]."""
    normal = figure("constants.standard_temperature", "temperature")
    return np.asarray(figure("constants.molar_gas_volume", "molar_volume") * temperature / normal)


def mass_concentration(fraction: F64, molar_mass: float, temperature: F64) -> F64:
    """Return the mass of a gas in a volume of air, from its share.

    Parameters
    ----------
    fraction : (...) float64 [1]
        share of the air by volume; 1 ppm is a millionth
    molar_mass : float [kg/mol]
        of the gas
    temperature : (...) float64 [K]
        at which the volume of air is meant; limits are meant at 25 °C

    Returns
    -------
    (...) float64 [kg/m^3]
        at 101,325 Pa, as an ideal gas [3]_
    """
    return np.asarray(fraction * molar_mass / _molar_volume(temperature))


def volume_share(concentration: F64, molar_mass: float, temperature: F64) -> F64:
    """Return the share of a gas in air from its mass, the inverse of `mass_concentration`.

    Parameters
    ----------
    concentration : (...) float64 [kg/m^3]
        mass of the gas in a volume of air at 101,325 Pa
    molar_mass : float [kg/mol]
        of the gas
    temperature : (...) float64 [K]
        at which the volume of air is meant

    Returns
    -------
    (...) float64 [1]
        share by volume; a millionth is 1 ppm [3]_
    """
    return np.asarray(concentration / molar_mass * _molar_volume(temperature))


def detector_limits(gas: str, *, by_idlh: bool = False) -> tuple[float, float]:
    """Return the first and the second alarm of a detector of toxic gas.

    Parameters
    ----------
    gas : str
        its name in the reference table
    by_idlh : bool
        whether the detector's range cannot do with the occupational limit

    Returns
    -------
    first, second : float [kg/m^3]
        NaN where the table has no such figure

    Notes
    -----
    At most one and two times the occupational limit, the ceiling or else the mean of a shift; else
    5 % and 10 % of the concentration dangerous to life and health in the table of [2]_. The IDLH of
    NIOSH is another one (10 ppm for chlorine) and is not used here.
    """
    table = load_reference("exposure")
    keys = (IDLH,) if by_idlh else LIMITS
    row = next((table["gas"][gas][key] for key in keys if key in table["gas"][gas]), None)
    value = parse_quantity(row["value"], "concentration") if row else np.nan
    rule = table["detector"]["idlh" if by_idlh else "limit"]
    first, second = (parse_quantity(rule[key], "fraction") for key in ("first", "second"))
    return first * value, second * value


def detector_level(concentration: F64, gas: str, *, by_idlh: bool = False) -> F64:
    """Return which alarm a concentration of toxic gas has reached.

    Parameters
    ----------
    concentration : (...) float64 [kg/m^3]
        of the gas in air
    gas : str
        its name in the reference table
    by_idlh : bool
        whether the detector's range cannot do with the occupational limit

    Returns
    -------
    (...) float64 [1]
        0 below the first alarm, 1 from the first on (AL), 2 from the second on (AH); NaN where the
        concentration or the limit is not known [2]_
    """
    first, second = detector_limits(gas, by_idlh=by_idlh)
    level = 1.0 * (concentration >= np.float64(first)) + (concentration >= np.float64(second))
    unknown = np.isnan(concentration) | np.isnan(first)
    return np.asarray(np.where(unknown, np.nan, level))
