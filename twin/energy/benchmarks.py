"""The position of an intensity between benchmark (标杆) and baseline (基准).

References
----------
.. [1] 工业重点领域能效标杆水平和基准水平（2023年版）, 发改产业〔2023〕723号.
.. [2] JCGM 106:2012, Evaluation of measurement data: the role of measurement uncertainty in
   conformity assessment, section 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twin.arrays import F64
from twin.reference import load as load_reference
from twin.uom import parse_quantity

BETTER, BETWEEN, WORSE = "better_than_benchmark", "between", "worse_than_baseline"
UNKNOWN, UNDECIDED = "unknown", "undecided"
UOM = {"kgce_per_t": "kgce/t", "kgoe_per_t": "kgoe/t", "kwh_per_t": "kWh/t"}
# What differs from a benchmark in the last bits of a sum only is at it.
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Marks:
    """The figures an intensity is compared with."""

    benchmark: float  # [J/kg]
    baseline: float  # [J/kg]


def find_row(product: str, index: str, grade: float = float("nan")) -> dict[str, Any] | None:
    """Return the row of benchmark and baseline of a product.

    Parameters
    ----------
    product : str   like ``caustic``
    index : str     ``kgce_per_t``, ``kgoe_per_t`` or ``kwh_per_t``
    grade : float [1]
        mass fraction it is sold with; NaN = not stated

    Returns
    -------
    dict or None    of those whose figures are known the one for the highest grade that it reaches,
                    else the first [1]_
    """
    rows = [
        row
        for row in load_reference("benchmarks")["benchmark"]
        if (row["product"], row["index"]) == (product, index) and "benchmark" in row
    ]
    reached = [row for row in rows if row.get("grade", np.inf) <= grade]
    return max(reached, key=lambda row: float(row["grade"]), default=next(iter(rows), None))


def find_marks(product: str, index: str, grade: float = float("nan")) -> Marks | None:
    """Return the benchmark and baseline of a product.

    Parameters
    ----------
    product, index, grade
        as of `find_row`; float [1]

    Returns
    -------
    Marks or None
    """
    row = find_row(product, index, grade)
    if row is None:
        return None
    uom = UOM[index]
    return Marks(
        benchmark=parse_quantity(f"{row['benchmark']} {uom}", "intensity"),
        baseline=parse_quantity(f"{row['baseline']} {uom}", "intensity"),
    )


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a product: a benchmark, a baseline, or one of a quota standard."""

    goal: float  # [J/kg] NaN = its figure is not known
    index: str
    standard: str


def find_level(product: str, level: str, grade: float = float("nan")) -> Level | None:
    """Return the level of a product.

    Parameters
    ----------
    product : str
    level : str         ``benchmark``, ``baseline`` or ``quota_1`` to ``quota_3``
    grade : float [1]   as of `find_row`

    Returns
    -------
    Level or None       None where no standard is named for the product [1]_
    """
    table = "quota" if level.startswith("quota") else "benchmark"
    rows = [row for row in load_reference("benchmarks")[table] if row["product"] == product]
    known = [row for row in rows if level in row]
    reached = [row for row in known if row.get("grade", np.inf) <= grade]
    row = max(reached, key=lambda row: float(row["grade"]), default=next(iter(known or rows), None))
    if row is None:
        return None
    text = f"{row.get(level, 'nan')} {UOM[row['index']]}"
    return Level(parse_quantity(text, "intensity"), row["index"], row["standard"])


def position(
    intensity: ArrayLike, marks: Marks, half_width: ArrayLike = 0.0, *, decisive: ArrayLike = True
) -> NDArray[np.str_]:
    """Return the positions of intensities, where their intervals leave no doubt.

    Parameters
    ----------
    intensity : (...) float64 [J/kg]   NaN = not known
    marks : Marks [J/kg]
    half_width : (...) float64 [J/kg]  half of their intervals; 0 = exact, NaN = not known
    decisive : (...) bool              whether enough of the time is covered

    Returns
    -------
    (...) str                          ``better_than_benchmark`` (at it or below), ``between``,
                                       ``worse_than_baseline`` (above it), ``undecided`` (one of
                                       both lies inside the interval, or it is not known, or too
                                       little is covered), ``unknown`` (no value)

    Notes
    -----
    Both are met at their very value [1]_. A decision needs the whole interval on one side [2]_.
    """
    value, width = np.broadcast_arrays(
        np.asarray(intensity, dtype=np.float64), np.asarray(half_width, dtype=np.float64)
    )
    best, worst = (_side(value + sign * width, marks) for sign in (-1.0, 1.0))
    decided = np.where(best == worst, best, UNDECIDED)
    decided = np.where(np.isnan(width), UNDECIDED, decided)
    decided = np.where(np.isnan(value), UNKNOWN, decided)
    return np.asarray(np.where(decisive, decided, UNDECIDED))


def _side(value: F64, marks: Marks) -> NDArray[np.str_]:
    """Return the positions of exact values."""
    slack = SAME * np.abs(value)
    result = np.where(value <= marks.baseline + slack, BETWEEN, WORSE)
    return np.where(value <= marks.benchmark + slack, BETTER, result)
