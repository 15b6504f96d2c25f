"""Targets of policy: a figure against a goal with a date, and the certainty of the verdict.

References
----------
.. [1] 聊政字〔2019〕6号 (Liaocheng municipal government, 2019): dated targets for electricity per
   tonne of aluminium, local use of liquid chlorine, zero-gap conversion and others.
.. [2] JCGM 106:2012, Evaluation of measurement data: the role of measurement uncertainty in
   conformity assessment, section 8: a decision needs the whole coverage interval on one side.
.. [3] 聊政字〔2019〕6号, rates of conversion (膜极距改造率): read here as shares of capacity, not
   of the number of electrolysers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from twin.arrays import BOOL, F64, I8
from twin.errors import UomError
from twin.model.rows import RowFault, cell, sentence, table
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park

NOT_MET, MET, UNDECIDED = 0, 1, 2
WORDS = ("not_met", "met", "undecided")
# The figures a target may be about, and the quantity of each.
KPIS = {
    "electricity_intensity": "intensity",
    "energy_intensity": "intensity",
    "local_share_of_liquid": "fraction",
    "local_share_of_chlorine": "fraction",
    "unaccounted_share": "fraction",
    "chlor_alkali_balance": "fraction",
    "zero_gap_share": "fraction",
    "capacity": "mass_flow",
}
# A measured figure of these never reaches 0 exactly: the goal needs room.
OF_CLOSURE = ("unaccounted_share",)
# Of these the scope makes several products: the target must say which.
OF_PRODUCT = ("electricity_intensity", "energy_intensity", "capacity")


@table
class Target:
    """A goal of a scope; without `kpi`, one that no tag can show."""

    id: str = cell("text")
    scope: str = cell("scope")
    value: float = cell("number")
    uom: str = cell("text")
    tolerance: float = cell("number", default=0.0)
    name: dict[str, str] | None = cell("name", default=None)
    year: int | None = cell("number", default=None)
    kpi: str = cell("one " + " ".join(KPIS), default="")
    product: str = cell("text", default="")
    sense: str = cell("one at_most at_least", default="")
    confidence: str = cell("text", default="")
    verified: bool = cell("flag", default=False)
    source: str = cell("any", default="")
    note: str = cell("any", default="")

    @property
    def limit(self) -> float:
        """What a figure is compared with, in `uom`: the goal and its tolerance."""
        return self.value + (-self.tolerance if self.sense == "at_least" else self.tolerance)


def check_targets(park: Park) -> Iterator[RowFault]:
    """Yield targets that need a sense, a product, a tolerance or another uom."""
    for target in park.rows(Target):
        if target.tolerance < 0:
            yield RowFault(target, "is below 0", "tolerance")
        if not target.kpi:
            continue
        if not target.sense:
            yield RowFault(target, "a kpi needs sense = at_most or at_least")
        if target.kpi in OF_PRODUCT and not target.product:
            yield RowFault(target, f"{target.kpi} needs product")
        if target.kpi in OF_CLOSURE and target.sense == "at_most" and target.limit <= 0:
            yield RowFault(target, f"{target.kpi} is never 0 when it is measured; give tolerance")
        try:
            parse_quantity(f"{target.value} {target.uom}", KPIS[target.kpi])
        except UomError as error:
            yield RowFault(target, sentence(error), "uom")


def verdict(
    value: F64,
    goal: F64,
    at_most: BOOL,
    half_width: F64 | float = 0.0,
    *,
    decisive: ArrayLike = True,
) -> I8:
    """Judge if goals are met.

    Parameters
    ----------
    value : (...) float64 [u]
        figure that was reached; NaN = not known
    goal : (...) float64 [u]
        goal with its tolerance, in the unit of the value
    at_most : (...) bool
        whether the goal is a cap; else it is a floor
    half_width : (...) float64 [u], optional
        half of the value's confidence interval; 0 = taken as exact
    decisive : (...) bool, optional
        whether enough of the time is covered for a verdict

    Returns
    -------
    (...) int8
        MET, NOT_MET, or UNDECIDED where the value is not known, too little of the time is covered
        or the goal lies inside the interval of the value [2]_. A value that equals the goal and is
        exact meets it.
    """
    room = np.where(at_most, goal - value, value - goal)
    clear = np.where(room >= half_width, MET, np.where(room < -half_width, NOT_MET, UNDECIDED))
    known = ~(np.isnan(room) | np.isnan(half_width)) & np.asarray(decisive, dtype=bool)
    return np.where(known, clear, UNDECIDED).astype(np.int8)


def shortfall(value: F64, goal: F64, at_most: BOOL) -> F64:
    """Return the distance of a figure from its goal, on the wrong side.

    Parameters
    ----------
    value, goal, at_most
        as of `verdict`

    Returns
    -------
    (...) float64 [u]
        0 where the goal is met, NaN where the value is not known [1]_
    """
    return np.asarray(np.maximum(np.where(at_most, value - goal, goal - value), 0.0))


def capacity_share(capacity: F64, counted: BOOL) -> float:
    """Return the share of the capacity that has a property: zero-gap cells, clean gasification.

    Parameters
    ----------
    capacity : (n,) float64 [kg/s]
        capacity of each asset; one that is not known makes the share unknown
    counted : (n,) bool
        whether the asset has the property

    Returns
    -------
    float [1]
        weighted by capacity, not by count [3]_; NaN without capacity
    """
    total = float(np.sum(capacity))
    return float(np.sum(np.where(counted, capacity, 0.0))) / total if total > 0 else float("nan")
