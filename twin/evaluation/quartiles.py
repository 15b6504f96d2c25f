"""Quartiles of a figure over the members of an industry."""

from __future__ import annotations

import numpy as np

from twin.arrays import F64

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
NAMES = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")


def quartiles(value: F64, half_width: F64) -> tuple[F64, F64]:
    """Return minimum, lower quartile, median, upper quartile and maximum, and their half widths.

    Parameters
    ----------
    value : (n,) float64 [any]        one figure of each member, n > 0
    half_width : (n,) float64 [same]  of its interval; NaN = not known

    Returns
    -------
    (5,) and (5,) float64
        between two members linear [1]_, definition 7, in the uom of the members; NaN half widths
        where one of the members has none

    Notes
    -----
    A quantile never falls when a member rises: with all members inside their intervals it lies
    between that of all lower ends and that of all upper ends.

    References
    ----------
    .. [1] R. J. Hyndman, Y. Fan, Sample Quantiles in Statistical Packages, The American
       Statistician 50 (1996) 361-365.
    """
    middle, low, high = (
        np.quantile(value + sign * half_width if sign else value, SHARES) for sign in (0, -1, 1)
    )
    return middle, np.maximum(high - middle, middle - low)
