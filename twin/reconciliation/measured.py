"""What counts as measured: numbers that calculate, with an uncertainty that is known."""

from __future__ import annotations

import numpy as np

from twin.arrays import BOOL, F64
from twin.reconciliation.observability import NOTHING

# Uncertainties that differ by more have no common arithmetic; such values are no measurements.
EXTREME = 1e100

UNFIT = "covariance is not symmetric and positive semi-definite"


def missing(values: F64) -> BOOL:
    """Return what is no number to calculate with.

    Parameters
    ----------
    values : (...) float64 [u]

    Returns
    -------
    (...) bool
        NaN, infinite or beyond 1e100; a comparison with NaN is false
    """
    return np.asarray(~(np.abs(values) < EXTREME))


def spread(sigma: F64, count: int) -> tuple[F64, BOOL, str]:
    """Return variances or covariance, what they are known of, and what is wrong with them.

    Parameters
    ----------
    sigma : (S,) float64 [u] or (S, S) float64 [u^2]
        standard uncertainty or covariance; NaN, infinite, negative or beyond 1e100 = not known
    count : int
        S

    Returns
    -------
    spread : (S,) or (S, S) float64 [u^2]   0 where not known
    known : (S,) bool
    problem : str                           empty, or why it is no covariance

    Raises
    ------
    ValueError
        it has another shape
    """
    if sigma.shape == (count,):
        known = ~missing(sigma) & (sigma >= 0)
        return np.where(known & (sigma > 1 / EXTREME), sigma, 0.0) ** 2, known, ""
    if sigma.shape != (count, count):
        raise ValueError(f"sigma must have shape ({count},) or ({count}, {count}), "
                         f"not {sigma.shape}")  # fmt: skip
    sound = ~missing(sigma)
    known = np.diag(sound) & (np.diag(sigma) >= 0)
    known = known & sound[:, known].all(axis=1) & sound[known].all(axis=0)
    some = known & ((np.diag(sigma) == 0) | (np.diag(sigma) > EXTREME**-2))
    covariance = np.where(np.outer(some, some), sigma, 0.0)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(*[np.where(scale > 0, scale, 1.0)] * 2)
    fit = np.allclose(correlation, correlation.T, rtol=0, atol=NOTHING)
    if not fit or np.linalg.eigvalsh(correlation).min(initial=0.0) < -NOTHING:
        return np.zeros(count), np.zeros(count, bool), UNFIT
    return (covariance + covariance.T) / 2, known, ""
