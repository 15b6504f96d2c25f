"""Coverage of the truth by the intervals of the twin, and the errors of its figures.

References
----------
.. [1] W. G. Cochran, Sampling Techniques, 3rd ed., Wiley 1977, chapter 9A: clusters of unequal
   sizes. All intervals of a park share the errors that stay, so a park is one cluster.
.. [2] E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal
   of the American Statistical Association 22, 1927, 209-212, doi:10.1080/01621459.1927.10502953.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from twin.arrays import F64
from twin.reconciliation.chi_square import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulators.scoring.figures import StatedFigure

CONFIDENCE = 0.95


class Coverage(NamedTuple):
    """The coverage of one kind of figure over all parks."""

    kpi: str
    intervals: int
    share: float  # [1] of the intervals that hold the truth
    low: float  # of the interval of that share
    high: float
    raw: float  # median of |value - truth| / |truth| by the meters alone; NaN where truth is zero
    reconciled: float  # the same of the reconciled value


def coverage(parks: Sequence[Sequence[StatedFigure]]) -> list[Coverage]:
    """Return the coverage of each kind of figure, and of all together as the last row."""
    names = dict.fromkeys(s.kpi for park in parks for s in park)
    rows = [(s.kpi, number, *s[1:]) for number, park in enumerate(parks) for s in park]
    kpi = np.array([row[0] for row in rows])
    table = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 6)
    return [_covered(name, table[kpi == name]) for name in names] + [_covered("all", table)]


def _covered(kpi: str, table: F64) -> Coverage:
    """Return the coverage of rows of park, value, width, truth, raw and reconciled, (n, 6)."""
    table = table[np.isfinite(table[:, 1:4]).all(axis=1) & (table[:, 2] > 0)]
    park, value, width, truth, raw, reconciled = table.T
    inside = np.abs(value - truth) <= width
    some = np.abs(truth) > width
    return Coverage(
        kpi,
        len(table),
        *_share(park, inside),
        *(_median(np.abs(each[some] / truth[some] - 1)) for each in (raw, reconciled)),
    )


def _median(error: F64) -> float:
    known = error[np.isfinite(error)]
    return float(np.median(known)) if len(known) else np.nan


def _share(park: F64, inside: F64) -> tuple[float, float, float]:
    """Return a share and its interval [2]_ at the effective number of samples of parks [1]_."""
    if not len(park):
        return np.nan, np.nan, np.nan
    _, cluster = np.unique(park, return_inverse=True)
    size, held = np.bincount(cluster), np.bincount(cluster, inside)
    share, parks = float(inside.mean()), len(size)
    variance = ((held - share * size) ** 2).sum() / len(park) ** 2 * parks / max(parks - 1, 1)
    worth = share * (1 - share) / variance if variance > 0 else float(parks)
    worth = min(worth, float(len(park)))
    z2 = float(quantile(CONFIDENCE, 1)) / worth
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
    return share, float(middle - half), float(middle + half)
