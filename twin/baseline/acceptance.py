"""Rules by which a baseline is accepted: limits of its statistics, with their provenance.

References
----------
.. [1] ASHRAE Guideline 14-2014, CV(RMSE) and NMBE.
.. [2] ISO 50006:2014, energy baselines and indicators.
.. [3] IPMVP, EVO 10100-1 (2018), uncertainty assessment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from twin.baseline.model import CONSTANT
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from twin.baseline.model import BaselineModel

AT_MOST = "at_most"


class Judged(NamedTuple):
    """A statistic against its limit."""

    statistic: str
    value: float
    met: bool
    rule: dict[str, Any]  # row of the reference table: limit, sense, provenance


def judge(model: BaselineModel, frequency: str) -> list[Judged]:
    """Return each rule of a model.

    Parameters
    ----------
    model : BaselineModel
    frequency : str           hour, day or month: some limits depend on it

    Returns
    -------
    list of Judged            a model is accepted when all are met
    """
    own = [p for name, p in zip(model.variables, model.p_value, strict=True) if name != CONSTANT]
    values = {
        "cv_rmse": model.cv_rmse,
        "nmbe": abs(model.nmbe),
        "r2": model.r2,
        # Without a variable that stays nothing is explained.
        "p_value": max([*own, model.f_p_value]) if own else 1.0,
        "points": float(model.points),
    }
    judged = []
    for statistic, value in values.items():
        rules = load_reference("baselines")["rule"][statistic]
        rule = rules.get(frequency) or rules["any"]
        met = value <= rule["limit"] if rule["sense"] == AT_MOST else value >= rule["limit"]
        judged.append(Judged(statistic, value, met, rule))
    return judged
