"""The pace of a figure and what it comes to on a day: a weighted straight line.

References
----------
.. [1] JCGM 100:2008, Guide to the expression of uncertainty in measurement, H.3 (a straight line
   by least squares) and G.3 (Student's distribution where a variance is estimated).
.. [2] Birge, R. T.: The calculation of errors by the method of least squares, Physical Review 40
   (1932), 207: the errors are enlarged where the points scatter more than they say.
.. [3] Santer, B. D. et al.: Statistical significance of trends and trend differences in
   layer-average atmospheric temperature time series, Journal of Geophysical Research 105 (2000),
   7337: the effective number of points that follow each other, from their lag-1 correlation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from twin.arrays import F64

# A line through two points has no interval.
POINTS_MIN = 3
# Fewer points say nothing of how they follow each other.
FOLLOWING_MIN = 12
CORRELATION_MAX = 0.9
CONFIDENCE = 0.95
TAIL = (1 + CONFIDENCE) / 2


@dataclass(frozen=True, slots=True)
class TrendLine:
    """A straight line through the n known points of a figure."""

    points: int
    slope: float  # [u/a]
    slope_half_width: float  # [u/a] 95 %
    level: float  # [u] at `middle`
    middle: float  # [a]
    level_variance: float  # [u²]
    slope_variance: float  # [u²/a²]
    scatter: float  # [u²] of one point
    quantile: float


def fit_line(time: F64, value: F64, half_width: F64) -> TrendLine | None:
    """Return the line through points, each with the weight of its interval.

    Parameters
    ----------
    time : (n,) float64 [a]
    value : (n,) float64 [u]
        NaN = not known
    half_width : (n,) float64 [u]
        half of the 95 % intervals; where one is 0 or not known, all points weigh the same

    Returns
    -------
    TrendLine or None
        None of fewer than three points [1]_. Its variances are enlarged where the points scatter
        more than their intervals say [2]_, and where residuals follow each other [3]_.
    """
    known = np.isfinite(value)
    if np.count_nonzero(known) < POINTS_MIN:
        return None
    x, y, width = time[known], value[known], half_width[known]
    n = len(x)
    sigma = width / stdtrit(np.inf, TAIL)
    stated = bool(np.all(np.isfinite(sigma) & (sigma > 0)))
    weight = 1 / sigma**2 if stated else np.ones(n)
    total = float(np.sum(weight))
    middle, level = float(weight @ x) / total, float(weight @ y) / total
    spread = float(weight @ (x - middle) ** 2)
    slope = float(weight @ ((x - middle) * y)) / spread
    residual = y - level - slope * (x - middle)
    birge = float(weight @ residual**2) / (n - 2)
    birge = max(birge, 1.0) if stated else birge
    factor = birge * following(residual)
    quantile = student(n - 2)
    return TrendLine(
        n,
        slope,
        quantile * float(np.sqrt(factor / spread)),
        level,
        middle,
        factor / total,
        factor / spread,
        birge * n / total,
        quantile,
    )


def student(freedom: int) -> float:
    """Return how many standard deviations the half of a 95 % interval is.

    Parameters
    ----------
    freedom : int        degrees of freedom of the variance; 1 or more [1]_

    Returns
    -------
    float [1]
    """
    return float(stdtrit(freedom, TAIL))


def following(residual: F64) -> float:
    """Return by how much a variance grows because residuals follow each other.

    Parameters
    ----------
    residual : (n,) float64 [u]    in the order of time, about their mean or line

    Returns
    -------
    float [1]
        1 or more; 1 of fewer than twelve, which say nothing of it [3]_
    """
    square = float(residual @ residual)
    if len(residual) < FOLLOWING_MIN or square == 0:
        return 1.0
    lag = min(max(float(residual[1:] @ residual[:-1]) / square, 0.0), CORRELATION_MAX)
    return (1 + lag) / (1 - lag)


def forecast(line: TrendLine, time: float) -> tuple[float, float]:
    """Return what a line comes to.

    Parameters
    ----------
    line : TrendLine
    time : float [a]

    Returns
    -------
    value, half_width : float [u]
        the half of the 95 % interval of the figure of one period there: of the line and of the
        scatter about it [1]_
    """
    ahead = time - line.middle
    variance = line.level_variance + ahead**2 * line.slope_variance + line.scatter
    return line.level + line.slope * ahead, line.quantile * float(np.sqrt(variance))
