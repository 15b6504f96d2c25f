"""Validity of the data of monitors: valid periods, flags, and stacks that stand still.

References
----------
.. [1] HJ 76-2017, Specifications and test procedures for continuous emission monitoring systems,
   Appendix B: valid minutes, hours, days and months.
.. [2] HJ 212-2017, data flags.
.. [3] HJ 75-2017, Specifications for continuous emissions monitoring of SO2, NOx and particulate
   matter: capture rate of a quarter.
.. [4] Ministry of Ecology and Environment, announcement 2022 no. 21: rules for marking monitoring
   data, with the mark of a source that stands still.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from twin import quality as q
from twin.arrays import BOOL, F64, I64, MINUTE_S, U8, ratio
from twin.reference import load as load_reference
from twin.uom import parse_quantity

FLAGS = NDArray[np.str_]

FEBRUARY = 2
# A minute of these qualities is normal: its monitor flags nothing but N. Our own doubt takes none
# away, because a person decides about it; nor does a part of the minute without a normal value.
NORMAL = (
    q.GOOD,
    *(
        q.UNCERTAIN | reason
        for reason in (q.INCOMPLETE, q.RATE_OF_CHANGE, q.STUCK, q.UNIT_ERROR, q.CLOCK_SKEW)
    ),
)
# What a stack does in an hour: it works, it stands still, or its flow meter cannot be right.
WORKING, STOPPED, SUSPECT = 0, 1, 2


def needed(period: Literal["minute", "hour", "day", "month", "february", "shift"]) -> int:
    """Return the number of valid parts that make a period valid: 45 [valid minutes] an hour.

    Parameters
    ----------
    period
        ``minute`` of values, ``hour`` of minutes, ``day`` and ``shift`` of hours (of 24), ``month``
        and ``february`` of days

    Returns
    -------
    int
        the least number [1]_
    """
    return int(load_reference("cems")["validity"][period]["needed"])


def normal_s() -> float:
    """Return the least time with normal data of a minute that is valid.

    Returns
    -------
    float [s]
        the share of normal values of a valid interval, of a minute [2]_ (Annex C)
    """
    return float(load_reference("cems")["interval"]["gas"]["normal_share"]) * MINUTE_S


def valid_time(measured: F64, covered_s: F64, interval_s: float) -> F64:
    """Return the time of an hour that the data of a monitor are valid for.

    Parameters
    ----------
    measured : (...) float64 [min]    minutes with a normal sample of their own
    covered_s : (...) float64 [s]     time with a value, held ones included
    interval_s : float [s]            how long a sample is the mean of; a minute, usually

    Returns
    -------
    (...) float64 [s]
        a held value is not measured: a minute without a sample of its own counts only where a
        sample is the mean of several, and no further than there is a value [1]_
    """
    own_s = measured * MINUTE_S
    several = np.minimum(measured * max(interval_s, MINUTE_S), covered_s)
    return np.asarray(np.maximum(own_s, several))


def month_valid(days: I64, month: I64) -> BOOL:
    """Tell the valid months.

    Parameters
    ----------
    days : (...) int64 [d]    valid days
    month : (...) int64       month of the year, 1..12

    Returns
    -------
    (...) bool                25 days, in February 23, of leap years too [1]_
    """
    return np.asarray(days >= np.where(month == FEBRUARY, needed("february"), needed("month")))


@cache
def _qualities() -> U8:
    """Return the quality of each ASCII letter."""
    quality = np.full(128, q.BAD | q.FAULT, np.uint8)
    for flag, row in load_reference("cems")["flag"].items():
        reason = getattr(q, row["reason"].upper()) if row["reason"] else 0
        quality[ord(flag)] = q.WORDS[row["severity"]] | reason
    return quality


def quality_of_flag(flag: FLAGS) -> U8:
    """Return the quality of values with an HJ 212 data flag.

    Parameters
    ----------
    flag : (...) str     N, F, M, S, D, C, T or B, P and 0 to 3 of 2005; any other counts as D

    Returns
    -------
    (...) uint8          quality [code]; see twin/quality.py [2]_
    """
    first = np.asarray(flag).astype("U1")
    code = np.ascontiguousarray(first).view(np.uint32).reshape(first.shape)
    table = _qualities()
    return np.asarray(table[np.minimum(code, len(table) - 1)])


def operation(flow: F64, full_scale: F64 | float, running: F64) -> U8:
    """Tell a stack that stands still from a flow meter that has failed.

    Parameters
    ----------
    flow : (...) float64 [m^3/s]         mean of an hour; NaN = not known
    full_scale : (...) float64 [m^3/s]   of the flow meter; NaN = not known
    running : (...) float64 [1]          share of the hour the plant ran; NaN = not known

    Returns
    -------
    (...) uint8
        STOPPED: no flow (below 3 % of full scale) and a plant that did not run [4]_. SUSPECT: no
        flow, from a plant that ran or of which it is not known. WORKING: everything else.
    """
    floor = parse_quantity(load_reference("cems")["low_flow"]["share"], "fraction") * full_scale
    idle = np.asarray(running) == 0
    # A plant that ran for a tenth of the hour sends a tenth of its flow.
    low = np.asarray(flow) < floor * np.where(idle | np.isnan(running), 1.0, running)
    return np.where(low, np.where(idle, STOPPED, SUSPECT), WORKING).astype(np.uint8)


def booked(emission: F64, state: U8) -> F64:
    """Return the emissions that may be booked.

    Parameters
    ----------
    emission : (...) float64 [kg]   as computed from concentration and flow
    state : (...) uint8             of `operation`

    Returns
    -------
    (...) float64 [kg]
        0 where the plant stands still, however dead its analysers are, and NaN, never 0, where
        the flow meter is suspect [4]_
    """
    return np.select([state == STOPPED, state == SUSPECT], [0.0, np.nan], emission)


def capture_rate(valid: BOOL, operating: BOOL, period: I64) -> F64:
    """Return the share of the operating hours with valid data, of the quarter each hour is in.

    Parameters
    ----------
    valid : (..., H) bool        hours with valid data
    operating : (..., H) bool    hours that count: over, and the source did not stand still
    period : (H,) int64          number of the quarter of each hour, from 0

    Returns
    -------
    (..., H) float64 [1]         NaN where the quarter has no operating hour

    Notes
    -----
    α = (hours - invalid - stopped) / (hours - stopped) [3]_, so far when the quarter still runs.
    """
    member = (period[:, None] == np.arange(period.max(initial=0) + 1)).astype(np.float64)
    hours = operating.astype(np.float64) @ member
    good = (operating & valid).astype(np.float64) @ member
    return np.asarray(ratio(good, hours)[..., period])
