"""The exchange ledger: what was agreed each month against what meters saw.

References
----------
.. [1] JCGM 106:2012, Evaluation of measurement data: the role of measurement uncertainty in
   conformity assessment, 8.3: decisions with guard bands.
.. [2] JCGM 100:2008, Guide to the expression of uncertainty in measurement, 5.1.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from twin.arrays import BOOL, F64, I64, SECOND_US

if TYPE_CHECKING:
    from twin.byproducts.catalogue import Transfer

MET, SHORT, OVER, UNDECIDED = "met", "short", "over", "undecided"


def agreed_share(transfer: Transfer, edges: I64, elapsed_s: F64, timezone: str) -> F64:
    """Return which part of its monthly amount an agreement asks for.

    Parameters
    ----------
    transfer
        its first and last day count
    edges : (W+1,) int64 [µs]       of W months
    elapsed_s : (W,) float64 [s]    of each month
    timezone
        IANA name

    Returns
    -------
    (W,) float64 [1]
        of the time that has passed and lies in the agreement, by the day [1]_
    """
    zone = ZoneInfo(timezone)

    def begin_us(day: date) -> int:
        return round(datetime.combine(day, time(), zone).timestamp() * SECOND_US)

    first_us = begin_us(transfer.first)
    last_us = begin_us(transfer.last + timedelta(days=1)) if transfer.last else int(edges[-1])
    stop = np.minimum(edges[:-1] + elapsed_s * SECOND_US, last_us)
    inner = np.maximum(stop - np.maximum(edges[:-1], first_us), 0)
    return np.asarray(inner / np.diff(edges))


def judge(share: F64, width: F64, tolerance: float, decisive: BOOL) -> NDArray[np.str_]:
    """Return the verdicts on what was delivered of what was agreed.

    Parameters
    ----------
    share, width : (W,) float64 [1]     delivered over agreed, and half its interval; NaN = unknown
    tolerance : float [1]               of the agreement, to both sides
    decisive : (W,) bool                whether enough of the time is covered

    Returns
    -------
    (W,) str
        met, short or over where the whole interval lies on one side of a limit, else undecided [1]_
    """
    low, high = share - width, share + width
    verdict = np.full(share.shape, UNDECIDED, "U9")
    verdict[(low >= 1 - tolerance) & (high <= 1 + tolerance)] = MET
    verdict[high < 1 - tolerance] = SHORT
    verdict[low > 1 + tolerance] = OVER
    verdict[~decisive] = UNDECIDED
    return verdict


def disputed(difference: F64, width: F64) -> BOOL:
    """Return whether two meters of one transfer disagree beyond their intervals.

    Parameters
    ----------
    difference, width : (W,) float64 [SI]
        sent minus received over the time both are covered, and half the interval of it; NaN = not
        known

    Returns
    -------
    (W,) bool
        the interval of the difference, with the errors of both meters [2]_, does not hold 0
    """
    return np.asarray(np.abs(difference) > width)
