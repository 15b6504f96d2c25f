"""Major hazard sources: the figures S and R, and the level, by the standard.

References
----------
.. [1] GB 18218-2018, Identification of major hazard installations for hazardous chemicals: S and R;
   4.2.2: a quantity is the design maximum of a unit, not what is in it today.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import F64
from twin.model.park import inside
from twin.model.rows import RowFault, cell, table
from twin.reference import load as load_reference
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twin.model.park import Park

DIGITS = 9  # A sum of quotients that is 10 by the standard must not fall short of it by rounding.


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


@table
class Hazard:
    """A unit that holds substances of the standard, with their design maxima."""

    id: str = cell("text")
    scope: str = cell("scope")
    persons: float = cell("number")
    substances: dict[str, float] = cell("each above mass")  # [kg]
    name: dict[str, str] | None = cell("name", default=None)

    def design_maxima(self) -> F64:
        """Return the most the unit is designed to hold, (n,) float64 [kg]."""
        return np.array(list(self.substances.values()))


def check_hazards(park: Park) -> Iterator[RowFault]:
    """Yield hazards without persons, or with substances that cannot be graded."""
    for hazard in park.rows(Hazard):
        if not 0 <= hazard.persons < np.inf:
            yield RowFault(hazard, f"{hazard.persons} persons cannot be")
        if not hazard.substances:
            yield RowFault(
                hazard, "needs substances, each with the most the unit is designed to hold"
            )
        known = ", ".join(sorted(gradable()))
        for name in (name for name in hazard.substances if name not in gradable()):
            yield RowFault(
                hazard, f"{name!r} is no substance that can be graded; use one of {known}"
            )


def tanks_of(park: Park, hazard: Hazard) -> list[list[int]]:
    """Return the places of the tanks that hold each substance of a unit.

    Parameters
    ----------
    park : Park
    hazard : Hazard

    Returns
    -------
    list of list of int
        by substance; empty where no tank shows it: what is in pipes and vessels is not known
    """
    rows = load_reference("hazards")["substance"]
    return [
        [
            k
            for k, tank in enumerate(park.tanks)
            if tank.medium in rows[name]["media"] and inside(tank.scope, hazard.scope)
        ]
        for name in hazard.substances
    ]


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
    table = load_reference("hazards")["alpha"]
    alpha = _step(persons, table["persons"], table["factor"])
    return np.asarray(quotient.sum(axis=-1)), np.asarray(alpha * (quotient @ beta))


def grade(design_mass: F64, substances: Sequence[str], persons: F64) -> Grade:
    """Grade a unit as a major hazard source.

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
        S, R and level [1]; NaN where a mass is not known, or persons are not or fewer than none

    Notes
    -----
    S = Σ q/Q; a source where S >= 1. R = α·Σ β·q/Q with α by the persons; its steps give the level
    [1]_.
    """
    s, r = _sums(design_mass, substances, persons)
    table = load_reference("hazards")
    level = _step(np.round(r, DIGITS), table["level"]["r"], table["level"]["level"])
    level = np.where(np.round(s, DIGITS) < table["source"]["threshold"], 0.0, level)
    return Grade(s, r, np.asarray(np.where(np.isnan(r), np.nan, level)))


def r_equivalent(live_mass: F64, substances: Sequence[str], persons: F64) -> F64:
    """Return R of the present contents of a unit, which has no legal level.

    Parameters
    ----------
    live_mass : (..., N) float64 [kg]
        what the unit holds of each substance
    substances, persons
        as of `grade`

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
