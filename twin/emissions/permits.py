"""The use of a yearly permit, and the forecast of the year.

References
----------
.. [1] HJ 942-2018, Technical specification for application and issuance of pollutant permit,
   general programme: permitted emission of a year, compared with what was emitted.
.. [2] HJ 944-2018, ledgers and compliance reports of pollutant permits: actual emissions of the
   year so far, with measured and other amounts kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from twin.arrays import F64, SECOND_US, ratio
from twin.series.windows import local


@dataclass(frozen=True, slots=True)
class PermitOutlook:
    """A permit in the running year; all (...)."""

    emitted: F64  # [kg] this year so far, measured and substituted
    share: F64  # [1] of the permit
    allowance: F64  # [kg] what an even use of the permit allows until now
    rate: F64  # [kg/s] mean over the time the emission is known of
    forecast: F64  # [kg] at the end of the year, if it goes on at this rate
    exhausted_in_s: F64  # [s] until the permit is used up; 0 = it is, infinite = never
    substituted_share: F64  # [1] of the emission; NaN where there is none
    completeness: F64  # [1] share of the time so far the emission is known of


def year_of(now_us: int, timezone: str) -> tuple[int, int]:
    """Return begin and end of the calendar year of a moment.

    Parameters
    ----------
    now_us : int [µs]        the moment, UTC
    timezone                 IANA name of the park's clock

    Returns
    -------
    begin_us, end_us : int [µs]
        first moments of this year and of the next; 366 days apart in a leap year
    """
    zone = ZoneInfo(timezone)
    year = local(now_us, zone).year
    begin, end = (
        round(datetime(y, 1, 1, tzinfo=zone).timestamp()) * SECOND_US for y in (year, year + 1)
    )
    return begin, end


def permit_outlook(
    measured: F64 | float,
    substituted: F64 | float,
    permit: F64 | float,
    known_s: F64 | float,
    begin_us: int,
    end_us: int,
    now_us: int,
) -> PermitOutlook:
    """Return the use of permits and the forecast of the year.

    Parameters
    ----------
    measured : (...) float64 [kg]       emitted since the year began, by measurement
    substituted : (...) float64 [kg]    what stands for missing hours of the same time; 0 = none
    permit : (...) float64 [kg]         allowed in the whole year
    known_s : (...) float64 [s]         time both masses together tell of, standing still included
    begin_us, end_us : int [µs]         the year, see `year_of`
    now_us : int [µs]                   until when emissions are counted

    Returns
    -------
    Outlook
        [kg], [s] and [1]; NaN where something is not known

    Raises
    ------
    ValueError
        The moment is not inside the year.

    Notes
    -----
    A straight line through what is known [1]_ [2]_: nothing is added for the time nothing is known
    of, which the completeness shows.
    """
    if not begin_us <= now_us <= end_us or begin_us == end_us:
        raise ValueError("now_us is not inside the year")
    elapsed_s, remaining_s = (now_us - begin_us) / SECOND_US, (end_us - now_us) / SECOND_US
    emitted = np.asarray(measured + substituted, dtype=np.float64)
    known = np.asarray(known_s, dtype=np.float64)
    allowed = np.where(np.asarray(permit) > 0, permit, np.nan)
    rate = ratio(emitted, known)
    remaining = np.maximum(allowed - emitted, 0.0)
    goes_on = rate > 0
    exhausted_in_s = np.where(
        goes_on | np.isnan(rate), remaining / np.where(goes_on, rate, np.nan), np.inf
    )
    return PermitOutlook(
        emitted=emitted,
        share=np.asarray(emitted / allowed),
        allowance=np.asarray(allowed * (elapsed_s / (elapsed_s + remaining_s))),
        rate=rate,
        forecast=np.asarray(emitted + rate * remaining_s),
        exhausted_in_s=np.where(
            remaining > 0, exhausted_in_s, np.where(np.isnan(remaining), np.nan, 0.0)
        ),
        substituted_share=ratio(substituted, emitted),
        completeness=np.minimum(known / elapsed_s, 1.0)
        if elapsed_s
        else np.full(known.shape, np.nan),
    )
