"""Values of the books against the meters that measure the same."""

from __future__ import annotations

import math
from typing import NamedTuple

from twin.book.model import limits

WITHIN, BEYOND, UNDECIDED = "within", "beyond", "undecided"


class Comparison(NamedTuple):
    """How far a value is from what the meter says of the same time; NaN = not known."""

    share: float  # [1] of the period that the meter covers
    deviation: float  # [1] of the metered amount; above 0: the books say more
    verdict: str  # within, beyond, or undecided where the meter covers too little


def compare(value: float, metered: float, covered_s: float, period_s: float) -> Comparison:
    """Return how an amount of the books compares with a metered one.

    Parameters
    ----------
    value, metered : float [u]
        amounts of the same period; NaN or 0 metered = nothing to compare with
    covered_s, period_s : float [s]
        time the meter covers, and the length of the period; > 0

    Returns
    -------
    Comparison
        beyond the limit of `twin.reference`, whatever is verified of it
    """
    limit = limits()
    share = min(covered_s / period_s, 1.0)
    if math.isnan(metered) or metered == 0:
        return Comparison(share, math.nan, UNDECIDED)
    deviation = (value - metered) / metered
    if share < limit["completeness"]:
        return Comparison(share, deviation, UNDECIDED)
    verdict = BEYOND if abs(deviation) > limit["deviation"] else WITHIN
    return Comparison(share, deviation, verdict)
