"""Quantiles of the chi-square distribution, and of Student's for slopes of few points.

References
----------
.. [1] Abramowitz, Stegun: Handbook of Mathematical Functions, 1964, 26.4 and 26.7.
"""

from __future__ import annotations

from functools import lru_cache

from scipy.special import chdtri, stdtrit


@lru_cache(maxsize=1024)
def quantile(confidence: float, dof: int) -> float:
    """Return the value that is not exceeded with probability `confidence`; 0 without freedom.

    Parameters
    ----------
    confidence : float [1]
        probability, between 0 and 1
    dof : int [1]
        degrees of freedom

    Returns
    -------
    float [1]
        quantile of the distribution [1]_. The square root of one with one degree of freedom is the
        two-sided quantile of the normal distribution.

    Raises
    ------
    ValueError
        confidence is not between 0 and 1
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    return float(chdtri(dof, 1 - confidence)) if dof >= 1 else 0.0


def two_sided(confidence: float, dof: int) -> float:
    """Return the two-sided quantile of Student's distribution [1]_.

    Parameters
    ----------
    confidence : float [1]
        probability, between 0 and 1
    dof : int [1]
        degrees of freedom

    Returns
    -------
    float [1]
        NaN without freedom
    """
    return float(stdtrit(dof, (1 + confidence) / 2)) if dof >= 1 else float("nan")
