"""What a model expects, what that saves, and when the use of energy changed.

References
----------
.. [1] IPMVP, EVO 10100-1 (2018): savings are the adjusted baseline less what was used.
.. [2] ASHRAE Guideline 14-2014, annex B: uncertainty of savings, with the number n' of independent
   points in the place of n where residuals follow each other.
.. [3] N. R. Draper, H. Smith: Applied Regression Analysis, 3rd ed., 1998, 5.4: variance of what a
   regression predicts, of one value and of a sum.
.. [4] D. W. K. Andrews: Tests for parameter instability and structural change with unknown change
   point, Econometrica 61 (1993), 821-856, table I: the largest F over the inner part of a series.
.. [5] J. Bai: Estimation of a change point in multiple regression models, Review of Economics and
   Statistics 79 (1997), 551-563: the interval of the date of a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import F64
from twin.baseline.regression import dependence
from twin.reference import load as load_reference

if TYPE_CHECKING:
    from twin.baseline.model import BaselineModel

# A series is searched so many times at most: each change leaves two shorter ones.
CHANGES_MAX = 8


class EnergySaving(NamedTuple):
    """Energy saved against a model over some windows [J], and half of its interval of 95 %."""

    expected: float
    saved: float
    half_width: float


class LevelChange(NamedTuple):
    """A change of the level of a series: the window it begins with, and the interval of that."""

    at: int
    first: int
    last: int
    before: float  # mean of the stretch up to it
    after: float  # mean of the stretch from it on
    half_width: float  # of after - before, 95 %


def save(model: BaselineModel, columns: F64, actual: F64, adjustment: float = 0.0) -> EnergySaving:
    """Return what is saved against a model.

    Parameters
    ----------
    model : BaselineModel
    columns : (W, p) float64 [SI]
        windows that count: all variables are known
    actual : (W,) float64 [J]
    adjustment : float [J]
        non-routine adjustments of these windows, added to what is expected

    Returns
    -------
    EnergySaving
        [1]_; of one window its half width is that of the prediction interval [3]_. The errors of
        the coefficients are common to all windows, the scatter of the windows adds up, and both are
        enlarged where residuals follow each other [2]_. Adjustments are taken as exact
    """
    total = columns.sum(axis=0)
    expected = float(total @ np.array(model.coefficient)) + adjustment
    line = float(total @ np.array(model.covariance) @ total)
    variance = model.growth * (line + len(columns) * model.rmse**2)
    return EnergySaving(expected, expected - float(actual.sum()), model.quantile * variance**0.5)


def find_changes(series: F64) -> list[LevelChange]:
    """Return when the level of a series changed.

    Parameters
    ----------
    series : (n,) float64 [u]
        like residuals of windows that count, in time order

    Returns
    -------
    list of LevelChange
        in time order. Of each stretch the split with the largest F counts, where it is above the
        critical value of the largest of all [4]_; variances are enlarged where residuals follow
        each other, so that a slow wave is no change. The date has the interval of [5]_
    """
    table = load_reference("baselines")["change"]
    stretches, edges = [(0, len(series))], {0, len(series)}
    while stretches and len(edges) < CHANGES_MAX + 2:
        first, stop = stretches.pop()
        at = _split(series[first:stop], table)
        if at is not None:
            edges.add(first + at)
            stretches += [(first, first + at), (first + at, stop)]
    bounds = sorted(edges)
    return [
        _change(series, *three, table)
        for three in zip(bounds[:-2], bounds[1:-1], bounds[2:], strict=True)
    ]


def _split(part: F64, table: dict[str, dict[str, float]]) -> int | None:
    """Return where a stretch changes its level; None where it does not."""
    n = len(part)
    edge = max(int(np.ceil(table["trim"]["share"] * n)), int(table["trim"]["points"]))
    if n < 2 * edge + 1:
        return None
    at = np.arange(edge, n - edge + 1)
    sums = np.cumsum(part)
    before, after = sums[at - 1] / at, (sums[-1] - sums[at - 1]) / (n - at)
    between = at * (n - at) / n * (after - before) ** 2
    best = int(np.argmax(between))
    variance = _variance(part, int(at[best]))
    return int(at[best]) if between[best] > table["critical"]["f"] * variance else None


def _variance(part: F64, at: int) -> float:
    """Return the variance of residuals about the levels on both sides, as of independent ones."""
    residual = np.concatenate([part[:at] - part[:at].mean(), part[at:] - part[at:].mean()])
    squares = float(residual @ residual)
    if squares == 0:
        return 0.0
    return squares / (len(part) - 2) * dependence(float(residual[1:] @ residual[:-1]) / squares)


def _change(
    series: F64, first: int, at: int, stop: int, table: dict[str, dict[str, float]]
) -> LevelChange:
    part, inner = series[first:stop], at - first
    before, after = float(part[:inner].mean()), float(part[inner:].mean())
    variance = _variance(part, inner)
    room = int(np.ceil(table["interval"]["quantile"] * variance / (after - before) ** 2))
    half_width = table["interval"]["normal"] * (variance / inner + variance / (stop - at)) ** 0.5
    return LevelChange(
        at, max(at - room, first), min(at + room, stop - 1), before, after, half_width
    )
