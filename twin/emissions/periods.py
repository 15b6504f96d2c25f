"""Days of a year unlike the others: planned production, and special periods of permits (重点时段).

A row of ``[[campaign]]`` says what sources will send out in some days, as a share of their mean
rate: nothing while they stand, more in a campaign. A row of ``[[permit_period]]`` says what a
permit allows in some days: a forecast goes no higher there.

References
----------
.. [1] HJ 942-2018, Technical specification for application and issuance of pollutant permit,
   general programme: permitted emissions of special periods.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import DAY_S, F64, ratio
from twin.emissions.outlets import OutletSpec
from twin.emissions.permits import Permit, permits_of
from twin.model.park import inside
from twin.model.rows import RowFault, cell, guess, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from twin.model.park import Park


@table
class Campaign:
    """What sources of a scope are planned to send out in some days, over their mean rate."""

    id: str = cell("text")
    scope: str = cell("scope")
    load: float = cell("quantity fraction")  # 0 = they stand still
    since: date = cell("date")
    until: date = cell("date")  # no longer from this day on
    outlets: tuple[str, ...] = cell("texts", default=())  # empty: all sources of the scope
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")
    verified: bool = cell("flag", default=False)

    def covers(self, scope: str, outlet: str) -> bool:
        """Tell whether a source belongs to it; `outlet` is empty for one without."""
        return outlet in self.outlets if self.outlets else inside(scope, self.scope)


@table
class PermitPeriod:
    """What a permit allows in a special period: mass by the day, or a share of an even use."""

    id: str = cell("text")
    permit: str = cell("text")  # that of an outlet is ``outlet/pollutant``
    since: date = cell("date")
    until: date = cell("date")  # no longer from this day on
    daily: float = cell("above mass", default=np.nan)  # [kg]
    factor: float = cell("quantity fraction", default=np.nan)
    name: dict[str, str] | None = cell("name", default=None)
    source: str = cell("any", default="")
    note: str = cell("any", default="")
    verified: bool = cell("flag", default=False)

    def rate(self, permit: Permit, year_s: float) -> float:
        """Return what it allows [kg/s], of a permit for a year of so many seconds."""
        if np.isnan(self.daily):
            return self.factor * permit.amount / year_s
        return self.daily / DAY_S


def days_of(row: Campaign | PermitPeriod, first: date, count: int) -> slice:
    """Return which of so many days in a row belong to a campaign or period."""
    return _within(row.since, row.until, first, count)


def _within(since: date, until: date, first: date, count: int) -> slice:
    begin, end = ((each - first).days for each in (since, until))
    return slice(min(max(begin, 0), count), min(max(end, 0), count))


def planned_load(rows: Iterable[Campaign], first: date, count: int) -> F64:
    """Return what goes out in days to come over the mean rate.

    Parameters
    ----------
    rows : iterable of Campaign
        those of one source; where several hold, they multiply
    first : date
    count : int

    Returns
    -------
    (count,) float64 [1]
        1 where nothing is planned
    """
    load = np.ones(count)
    for row in rows:
        load[days_of(row, first, count)] *= row.load
    return load


def period_rate(
    rows: Iterable[PermitPeriod], permit: Permit, first: date, count: int, year_s: float
) -> F64:
    """Return what special periods of a permit allow in days.

    Parameters
    ----------
    rows : iterable of PermitPeriod
        those of the permit; where several hold, the least counts
    permit : Permit
    first : date
    count : int
    year_s : float [s]
        length of the year that the permit is of

    Returns
    -------
    (count,) float64 [kg/s]
        infinite where none holds, and where the permit is not in force [1]_
    """
    most = np.full(count, np.inf)
    for row in rows:
        days = days_of(row, first, count)
        most[days] = np.minimum(most[days], row.rate(permit, year_s))
    held = np.zeros(count, bool)
    held[_within(permit.since or date.min, permit.until or date.max, first, count)] = True
    return np.where(held, most, np.inf)


def curbed_load(rate: F64, load: F64, most: F64) -> F64:
    """Return the load of sources that together keep a limit.

    Parameters
    ----------
    rate : (S,) float64 [kg/s]
        mean rate of each source; where one is not known, nothing is curbed
    load : (S, D) float64 [1]
        planned load of each source in each day
    most : (D,) float64 [kg/s]
        what all of them may send out; infinite = no limit

    Returns
    -------
    (S, D) float64 [1]
        all sources of a day are curbed by one factor, none is raised
    """
    factor = ratio(most, rate @ load)
    return load * np.where(factor < 1, factor, 1.0)


def check_periods(park: Park) -> Iterator[RowFault]:
    """Yield campaigns of no outlet, periods of no permit, and rows that say nothing or too much."""
    rows: Sequence[Campaign | PermitPeriod] = [*park.rows(Campaign), *park.rows(PermitPeriod)]
    for row in rows:
        if row.since >= row.until:
            yield RowFault(row, "is not after `since`", "until")
        column = "load" if isinstance(row, Campaign) else "factor"
        if getattr(row, column) < 0:
            yield RowFault(row, "is below 0", column)
    outlets = {row.id: row.scope for row in park.rows(OutletSpec)}
    for campaign in park.rows(Campaign):
        own = {name for name, scope in outlets.items() if inside(scope, campaign.scope)}
        for name in set(campaign.outlets) - own:
            text = f"{campaign.scope} has no outlet {name!r}{guess(name, own)}"
            yield RowFault(campaign, text, "outlets")
    permits = {row.id for row in permits_of(park)}
    for period in park.rows(PermitPeriod):
        if period.permit not in permits:
            text = f"there is no permit {period.permit!r}{guess(period.permit, permits)}"
            yield RowFault(period, text, "permit")
        if np.isnan(period.daily) == np.isnan(period.factor):
            yield RowFault(period, "needs either `daily` or `factor`")
