"""Linear regression of energy on its variables: coefficients, tests and what it expects.

References
----------
.. [1] N. R. Draper, H. Smith: Applied Regression Analysis, 3rd ed., Wiley, 1998, chapters 1, 5, 7.
.. [2] ASHRAE Guideline 14-2014: CV(RMSE), NMBE, and the number of independent points n' of points
   that follow each other (4.2.11, annex B).
.. [3] NIST Statistical Reference Datasets, linear regression: Norris, Longley (tests).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from twin.arrays import F64

CONFIDENCE = 0.95
TAIL = (1 + CONFIDENCE) / 2
# Residuals that follow each other more than this are a trend, not a scatter.
CORRELATION_MAX = 0.9


@dataclass(frozen=True, slots=True)
class Regression:
    """A least-squares fit of n values by p columns, and how good it is."""

    coefficient: F64  # (p,) [y/x]
    covariance: F64  # (p, p) of independent residuals
    points: int
    rmse: float  # [y] √(squares / (n − p))
    r2: float  # [1] about the mean, with a constant or without
    adjusted_r2: float  # [1]
    cv_rmse: float  # [1] rmse / mean
    nmbe: float  # [1] sum of residuals / (n − p) / mean
    p_value: F64  # (p,) [1] two-sided, that a coefficient is 0
    f_p_value: float  # [1] that the variables beside the constant explain nothing
    durbin_watson: float  # [1] about 2 where residuals are independent
    correlation: float  # [1] of a residual with the one before it

    @property
    def sigma(self) -> F64:
        """Standard errors of the coefficients, (p,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))


def fit_linear(x: F64, y: F64) -> Regression | None:
    """Return the least-squares fit of values.

    Parameters
    ----------
    x : (n, p) float64 [x]
        columns, in time order; a constant is a column of ones
    y : (n,) float64 [y]
        in time order; mean above 0

    Returns
    -------
    Regression or None
        None where the values do not decide the coefficients: too few, or one column is made of the
        others [1]_

    Notes
    -----
    Columns are brought to one length before the QR decomposition, so that their units do not
    matter; the certified values of [3]_ are met.
    """
    n, p = x.shape
    length = np.linalg.norm(x, axis=0) if n else np.zeros(p)
    if n <= p or p == 0 or not (length > 0).all():
        return None
    q, r = np.linalg.qr(x / length)
    diagonal = np.abs(np.diag(r))
    if diagonal.min() <= n * np.finfo(np.float64).eps * diagonal.max():
        return None
    inverse = np.linalg.inv(r) / length[:, None]
    coefficient = inverse @ (q.T @ y)
    residual = y - x @ coefficient
    squares, about_mean = float(residual @ residual), float(((y - y.mean()) ** 2).sum())
    if about_mean == 0 or squares <= 0:
        return None
    variance = squares / (n - p)
    covariance = variance * inverse @ inverse.T
    t = coefficient / np.sqrt(np.diag(covariance))
    others = p - int((np.ptp(x, axis=0) == 0).any())
    explained = (about_mean - squares) / max(others, 1)
    step = np.diff(residual)
    return Regression(
        coefficient=coefficient,
        covariance=covariance,
        points=n,
        rmse=variance**0.5,
        r2=1 - squares / about_mean,
        adjusted_r2=1 - variance / (about_mean / (n - 1)),
        cv_rmse=variance**0.5 / float(y.mean()),
        nmbe=float(residual.sum()) / (n - p) / float(y.mean()),
        p_value=np.asarray(2 * stdtr(n - p, -np.abs(t))),
        f_p_value=float(fdtrc(max(others, 1), n - p, max(explained / variance, 0.0))),
        durbin_watson=float(step @ step) / squares,
        correlation=float(residual[1:] @ residual[:-1]) / squares,
    )


def inflation_factors(x: F64) -> F64:
    """Return by how much the variance of each coefficient grows because columns are alike.

    Parameters
    ----------
    x : (n, v) float64 [x]   variables, without the constant; each one varies

    Returns
    -------
    (v,) float64 [1]         1 where a column is like no other; inf where the others make it
    """
    factors = []
    for at in range(x.shape[1]):
        others = np.column_stack([np.ones(len(x)), np.delete(x, at, axis=1)])
        fit = fit_linear(others, x[:, at] - x[:, at].min() + np.ptp(x[:, at]))
        alone = x.shape[1] == 1
        factors.append(1.0 if alone else np.inf if fit is None else 1 / max(1 - fit.r2, 1e-300))
    return np.array(factors)


def dependent_p_values(fit: Regression) -> F64:
    """Return the p-values of coefficients where residuals follow each other.

    Parameters
    ----------
    fit : Regression

    Returns
    -------
    (p,) float64 [1]   two-sided; those of independent points n' [2]_, so that they agree with the
                       intervals that are stated
    """
    growth = dependence(fit.correlation)
    dof = max(fit.points / growth - len(fit.coefficient), 1.0)
    return np.asarray(2 * stdtr(dof, -np.abs(fit.coefficient / fit.sigma) / growth**0.5))


def dependence(correlation: float) -> float:
    """Return by how much the variance of a sum grows because residuals follow each other.

    Parameters
    ----------
    correlation : float [1]   of a residual with the one before it

    Returns
    -------
    float [1]                 n / n' = (1 + ρ) / (1 − ρ) of [2]_; 1 where they do not
    """
    rho = min(max(correlation, 0.0), CORRELATION_MAX)
    return (1 + rho) / (1 - rho)


def quantile(points: int, columns: int, correlation: float) -> float:
    """Return Student's two-sided quantile of 95 % of a model.

    Parameters
    ----------
    points, columns : int
        windows and coefficients of the fit
    correlation : float [1]
        of residuals that follow each other: as many degrees of freedom as independent points leave

    Returns
    -------
    float [1]
    """
    dof = max(points / dependence(correlation) - columns, 1.0)
    return float(stdtrit(dof, TAIL))
