"""Permits by the year (table ``[[permit]]``), their use, and the straight forecast of the year.

References
----------
.. [1] HJ 942-2018, Technical specification for application and issuance of pollutant permit,
   general programme: permitted emission of a year, compared with what was emitted.
.. [2] HJ 944-2018, ledgers and compliance reports of pollutant permits: actual emissions of the
   year so far, with measured and other amounts kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from twin.arrays import F64, SECOND_US, ratio
from twin.emissions.outlets import OutletSpec, outlets_of
from twin.emissions.releases import ManualAnalysis, calculated
from twin.model.park import inside
from twin.model.rows import RowFault, cell, guess, table
from twin.series.windows import local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twin.model.park import Park


@table
class Permit:
    """A mass of one pollutant that a scope, or some of its outlets, may emit in a calendar year.

    It is in force from `since` to the day before `until`.
    """

    id: str = cell("text")
    scope: str = cell("scope")
    pollutant: str = cell("text")
    amount: float = cell("above mass")  # [kg] of a whole year
    outlets: tuple[str, ...] = cell("texts", default=())  # empty: all of the scope
    number: str = cell("any", default="")
    since: date | None = cell("date", default=None)
    until: date | None = cell("date", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")
    verified: bool = cell("flag", default=False)

    @property
    def subject(self) -> tuple[str, str, tuple[str, ...]]:
        """What the permit is of: of one subject one is in force at a time."""
        return self.scope, self.pollutant, tuple(sorted(self.outlets))


def permits_of(park: Park) -> list[Permit]:
    """Return the permits of a model, those of outlets (`annual`) last."""
    rows = list(park.rows(Permit))
    subjects = {row.subject for row in rows}
    of_outlets = [
        Permit(
            id=f"{outlet.id}/{name}",
            scope=outlet.scope,
            pollutant=name,
            amount=amount,
            outlets=(outlet.id,),
            source=outlet.source,
            verified=outlet.verified,
        )
        for outlet in park.rows(OutletSpec)
        for name, amount in outlet.annual.items()
    ]
    return [*rows, *(each for each in of_outlets if each.subject not in subjects)]


def in_force(permit: Permit, day: date) -> bool:
    """Tell whether a permit is in force on a day."""
    begun = permit.since is None or permit.since <= day
    return begun and (permit.until is None or day < permit.until)


def check_permits(park: Park) -> Iterator[RowFault]:
    """Yield permits of nothing that goes out, and those in force at the same time as another."""
    outlets = {row.id: row.scope for row in park.rows(OutletSpec)}
    emitted = {(o.scope, o.id, name) for o in outlets_of(park) for name in o.names}
    emitted |= {
        (outlets.get(row.outlet, ""), row.outlet, row.pollutant)
        for row in park.rows(ManualAnalysis)
    }
    emitted |= {(row.scope, row.outlet, row.pollutant) for row in calculated(park)}
    others: list[Permit] = []
    for row in park.rows(Permit):
        for name in row.outlets:
            if name not in outlets:
                yield RowFault(row, f"there is no outlet {name!r}{guess(name, outlets)}", "outlets")
        covered = {
            name
            for scope, outlet, name in emitted
            if (outlet in row.outlets if row.outlets else inside(scope, row.scope))
        }
        if row.pollutant not in covered:
            text = f"nothing in it emits {row.pollutant!r}{guess(row.pollutant, covered)}"
            yield RowFault(row, text, "pollutant")
        if row.since and row.until and row.since >= row.until:
            yield RowFault(row, "is not after `since`", "until")
        for other in others:
            if other.subject == row.subject and _overlap(other, row):
                yield RowFault(row, f"{other.id!r} is in force at the same time", "since")
        others.append(row)


def _overlap(first: Permit, second: Permit) -> bool:
    start = max(first.since or date.min, second.since or date.min)
    return start < min(first.until or date.max, second.until or date.max)


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
