"""What campaigns and special periods of permits make of the days of a year, source by source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from api.answers import record
from api.encode import DAY, TONNE, number
from api.totals.answer import CampaignRow, PeriodRow
from twin.arrays import BOOL, DAY_US, F64, SECOND_US
from twin.emissions.periods import (
    Campaign,
    PermitPeriod,
    curbed_load,
    days_of,
    period_rate,
    planned_load,
)
from twin.emissions.totals import (
    AHEAD_DAYS,
    BLOCKS_MIN,
    BlockRate,
    DaysAhead,
    judge,
    pace_of,
    year_total,
)
from twin.model.park import inside
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from api.totals.sources import TotalSource, Year
    from twin.emissions.permits import Permit
    from twin.model.park import Park


@dataclass(slots=True)
class YearPlan:
    """The D days of a year so far and those to come, as they are planned, by source."""

    year: Year
    first: date  # day of the year's beginning
    ahead: date  # day of its end so far: the first to come
    edge_s: F64  # of the days to come, from now on
    of_year: int  # how many of them are of the year
    past: dict[str, F64]  # (D,) planned load
    usual: dict[str, BOOL]  # (D,) days without campaign and special period: the mean rate's
    planned: dict[str, F64]  # of the days to come
    load: dict[str, F64]  # the same, as far as permits let it

    def days_of(self, members: Sequence[TotalSource]) -> DaysAhead:
        """Return the days to come of some sources."""
        columns = [
            np.array([loads[each.id] for each in members]).reshape(-1, len(self.edge_s) - 1)
            for loads in (self.planned, self.load)
        ]
        return DaysAhead(self.edge_s, columns[0], columns[1], self.of_year)

    def missing_s(self, members: Sequence[TotalSource], days: slice = slice(None)) -> F64:
        """Return the time so far nothing is known of, as time at the mean rate, (S,)."""
        missing = [np.maximum(self.year.elapsed_s - each.known_s, 0.0) for each in members]
        parts = [(m * self.past[s.id])[days] for m, s in zip(missing, members, strict=True)]
        return np.array([part.sum() for part in parts])


def plan_year(park: Park, year: Year, sources: Sequence[TotalSource]) -> YearPlan:
    """Return the days of a year by the campaigns of the model; permits curb nothing yet."""
    zone, count = year.query.zone, len(year.days) - 1
    first = w.local(year.begin_us, zone).date()
    edges = w.edges("day", year.until_us, year.until_us + AHEAD_DAYS * DAY_US, zone.key)
    edge_s = np.maximum(edges - year.until_us, 0) / SECOND_US
    of_year = int(np.count_nonzero(edges[1:] <= year.end_us)) if year.until_us < year.end_us else 0
    ahead = w.local(year.until_us, zone).date()
    rows = {
        each.id: [row for row in park.rows(Campaign) if row.covers(each.scope, each.outlet)]
        for each in sources
    }
    past = {id_: planned_load(own, first, count) for id_, own in rows.items()}
    usual = {id_: np.ones(count, bool) for id_ in rows}
    for id_, own in rows.items():
        for row in own:
            usual[id_][days_of(row, first, count)] = False
    planned = {id_: planned_load(own, ahead, len(edge_s) - 1) for id_, own in rows.items()}
    return YearPlan(year, first, ahead, edge_s, of_year, past, usual, planned, dict(planned))


def curb(
    plan: YearPlan,
    park: Park,
    permits: Sequence[tuple[Permit, Sequence[TotalSource]]],
    pace: Callable[[Sequence[TotalSource]], BlockRate],
) -> None:
    """Hold the days to come to the special periods of permits, and the mean rate to other days."""
    pairs = [(permit, members, _periods_of(park, permit)) for permit, members in permits]
    pairs = [each for each in pairs if each[2] and each[1]]
    for _, members, rows in pairs:
        for each in members:
            for row in rows:
                plan.usual[each.id][days_of(row, plan.first, len(plan.usual[each.id]))] = False
    year_s = (plan.year.end_us - plan.year.begin_us) / SECOND_US
    for permit, members, rows in pairs:
        days = plan.days_of(members)
        most = period_rate(rows, permit, plan.ahead, len(plan.edge_s) - 1, year_s)
        load = curbed_load(pace(members).rate, days.load, most)
        plan.load |= {each.id: column for each, column in zip(members, load, strict=True)}


def _periods_of(park: Park, permit: Permit) -> list[PermitPeriod]:
    return [row for row in park.rows(PermitPeriod) if row.permit == permit.id]


def period_rows(
    plan: YearPlan, park: Park, permit: Permit, members: Sequence[TotalSource], pace: BlockRate,
    enough: float,
) -> list[PeriodRow]:  # fmt: skip
    """Return the special periods of a permit that reach into a year, each against its limit."""
    last = plan.ahead + timedelta(days=plan.of_year)
    return [
        _period(plan, permit, row, members, pace, enough)
        for row in sorted(_periods_of(park, permit), key=lambda row: row.since)
        if row.since < last and plan.first < row.until
    ]


def _period(
    plan: YearPlan, permit: Permit, row: PermitPeriod, members: Sequence[TotalSource],
    pace: BlockRate, enough: float,
) -> PeriodRow:  # fmt: skip
    """Return a special period: the days of it that are of this year.

    Once three of its days are over, they tell its rate; before, that of the year does.
    """
    year = plan.year
    past = days_of(row, plan.first, len(year.days) - 1)
    ahead = days_of(row, plan.ahead, plan.of_year)
    elapsed_s = year.elapsed_s[past]
    known_s = np.array([each.known_s[past] for each in members])
    mass = np.array([each.booked[past] for each in members])
    own = _own_pace(plan, past, mass, known_s, enough)
    begun, left_s = elapsed_s.sum(), np.diff(plan.edge_s)[ahead].sum()
    rate = own if own.blocks else pace
    covered = (known_s.sum(axis=1) >= enough * begun).all()
    is_known = bool(members) and bool(covered) and not np.isnan(rate.rate).any()
    days = plan.days_of(members)
    planned = np.zeros_like(days.planned)
    planned[:, ahead] = days.planned[:, ahead]
    allowed = row.rate(permit, (year.end_us - year.begin_us) / SECOND_US)
    limit = allowed * (begun + left_s)
    half = float(np.hypot.reduce([each.half_width[-1] for each in members], initial=0.0))
    booked = sum(float(each.booked.sum()) for each in members)
    share = half / booked if booked > 0 else np.nan
    total = year_total(
        mass.sum(axis=1), share * float(mass.sum()), plan.missing_s(members, past),
        DaysAhead(plan.edge_s, planned, planned, plan.of_year), rate, limit,
    )  # fmt: skip
    dark = not known_s.any()
    return record(
        PeriodRow,
        row,
        since=str(row.since),
        until=str(row.until),
        limit_t=number(limit, TONNE),
        limit_t_per_day=number(allowed * DAY[0], TONNE),
        legal=row.verified and permit.verified,
        emitted_t=number(np.nan if dark else total.booked, TONNE),
        emitted_half_width_t=number(np.nan if dark else total.booked_half_width, TONNE),
        forecast_t=number(total.forecast if is_known else np.nan, TONNE),
        forecast_half_width_t=number(total.forecast_half_width if is_known else np.nan, TONNE),
        completeness=number(known_s.sum() / (begun * len(members)) if begun else np.nan),
        state=judge(total, limit, known=is_known),
    )


def _own_pace(plan: YearPlan, past: slice, mass: F64, known_s: F64, enough: float) -> BlockRate:
    """Return the rate of the days of a period that are over and known well enough."""
    year = plan.year
    elapsed_s = year.elapsed_s[past]
    over = elapsed_s >= (np.diff(year.days)[past] / SECOND_US)
    usable = over & (known_s >= enough * elapsed_s).all(axis=0)
    own = pace_of(mass, known_s, elapsed_s, np.asarray(usable))
    if own.blocks >= BLOCKS_MIN:
        return own
    return BlockRate(np.full(len(mass), np.nan), 0, np.nan, np.nan)


def campaign_rows(plan: YearPlan, park: Park, scope: str) -> list[CampaignRow]:
    """Return the campaigns in a scope, or above it, that reach into a year."""
    last = plan.ahead + timedelta(days=plan.of_year)
    return [
        record(
            CampaignRow, row, outlets=list(row.outlets), since=str(row.since),
            until=str(row.until), load=number(row.load),
        )
        for row in sorted(park.rows(Campaign), key=lambda row: row.since)
        if row.since < last and plan.first < row.until
        and (inside(row.scope, scope) or inside(scope, row.scope))
    ]  # fmt: skip
