"""Quantiles of the chi-square distribution, which are all that the tests of a balance need.

References
----------
.. [1] Abramowitz, Stegun: Handbook of Mathematical Functions, 1964, 26.4.4 and 26.4.5: the
   probability of a greater value as a finite sum, for odd and for even degrees of freedom.
"""

from __future__ import annotations

import math
from functools import lru_cache


def exceedance(value: float, dof: int) -> float:
    """Return the probability of a greater `value` (≥ 0) with `dof` (≥ 1) degrees of freedom."""
    half = value / 2
    if half <= 0:
        return 1.0
    odd = dof % 2
    terms = (
        math.exp(power * math.log(half) - half - math.lgamma(power + 1))
        for power in (k + odd / 2 for k in range(dof // 2))
    )
    return math.fsum(terms) + (math.erfc(math.sqrt(half)) if odd else 0.0)


@lru_cache(maxsize=1024)
def quantile(confidence: float, dof: int) -> float:
    """Return the value that is not exceeded with probability `confidence`; 0 without freedom.

    The square root of a quantile with one degree of freedom is the two-sided one of the normal
    distribution.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    if dof < 1:
        return 0.0
    low, high = 0.0, float(dof)
    while exceedance(high, dof) > 1 - confidence:
        low, high = high, 2 * high
    # Halving always arrives; it stops where float64 has nothing between.
    while low < (middle := (low + high) / 2) < high:
        if exceedance(middle, dof) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high
