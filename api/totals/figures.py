"""Totals of permits and of scopes in a year: booked, estimated, forecast, and their state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from api.answers import record
from api.encode import DAY, TONNE, number, out, rfc3339
from api.totals.answer import MethodShare, MonthColumns, PeriodRow, PermitTotal, SourceRow, TotalRow
from api.totals.plans import YearPlan, curb, period_rows, plan_year
from api.totals.sources import (
    METHODS,
    SUBSTITUTED,
    TotalSource,
    Year,
    read_sources,
    span_query,
    worst,
)
from twin.arrays import BOOL, F64, SECOND_US, ratio
from twin.emissions.permits import Permit, in_force, permits_of
from twin.emissions.totals import (
    BLOCKS_MIN,
    EXCEEDED,
    BlockRate,
    YearTotal,
    judge,
    pace_of,
    year_total,
)
from twin.model.park import inside, scopes_above
from twin.series import windows as w

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.context import Context
    from api.settings import ApiSettings
    from api.windows import WindowQuery
    from twin.model.park import Park

NEWEST = 3  # blocks of the rate that is asked for as the newest
TOO_LITTLE = "too little of the year so far is known of: {}"
NO_USUAL = "no whole day without a campaign or special period is known of: there is no rate"
TOO_FEW = "fewer than three months or days are known of: the rate has no interval"
NO_UNCERTAINTY = "the uncertainty of a meter, an analysis or a factor is not known: {}"
OVERLAP = "the permit lies inside the interval of the forecast"
NO_PERMIT = "no permit says what is allowed"
OVER = "what is booked is above it by its whole interval"
# What a total of a scope has in place of the words of a permit.
NO_PERMIT_FIELDS: dict[str, Any] = {
    "permit": None, "number": "", "outlets": [], "since": None, "until": None,
    "source": "", "note": "",
}  # fmt: skip


class Allowed(NamedTuple):
    """What may be emitted in a year [kg], NaN = nothing says so; and whether all of it is law."""

    amount: float
    verified: bool


class Blocks(NamedTuple):
    """Months or days of S sources."""

    kind: str
    mass: F64  # (S, B) [kg]
    known_s: F64  # (S, B)
    elapsed_s: F64  # (B,)
    usable: BOOL  # (B,)


class MemberPace(NamedTuple):
    """The mean rate of some sources, what blocks it is of, and which sources are not known of."""

    rate: BlockRate
    kind: str
    silent: list[TotalSource]


@dataclass(frozen=True, slots=True)
class TotalYear:
    """A year of a scope: its sources, its plan, and how rates are asked for."""

    park: Park
    year: Year
    sources: list[TotalSource]
    plan: YearPlan
    enough: float  # share of the time so far from which on a source is known
    rate: str

    def pace(self, members: Sequence[TotalSource]) -> MemberPace:
        """Return the mean rate of the days without campaign and special period."""
        year = self.year
        elapsed_s = year.elapsed_s.sum()
        silent = [e for e in members if e.known_s.sum() < self.enough * elapsed_s or not elapsed_s]
        blocks = _blocks(year, members, self.plan, self.enough)
        if self.rate == "newest":
            blocks = blocks._replace(usable=_last(blocks.usable))
        rate = pace_of(*blocks[1:])
        if silent or not members:
            rate = BlockRate(np.full(len(members), np.nan), 0, np.nan, np.nan)
        return MemberPace(rate, blocks.kind, silent)


def total_year(
    park: Park, year: Year, sources: list[TotalSource], settings: ApiSettings, rate: str
) -> TotalYear:
    """Return a year with its days as they are planned and as permits let them be."""
    plan = plan_year(park, year, sources)
    result = TotalYear(park, year, sources, plan, settings.value_completeness, rate)
    members = [(each, [s for s in sources if covers(each, s)]) for each in _in_force(park, year)]
    curb(plan, park, members, lambda some: result.pace(some).rate)
    return result


def permit_rows(total: TotalYear) -> list[PermitTotal]:
    """Return the permits at and below the scope of a year, in force on its last counted day."""
    rows, year = [], total.year
    for permit in _in_force(total.park, year):
        if inside(permit.scope, year.query.scope):
            members = [each for each in total.sources if covers(permit, each)]
            allowed = Allowed(permit.amount, permit.verified)
            pace = total.pace(members)
            periods: list[PeriodRow] = period_rows(
                total.plan, total.park, permit, members, pace.rate, total.enough
            )
            named: dict[str, Any] = {
                "permit": permit.id, "number": permit.number, "outlets": list(permit.outlets),
                "since": str(permit.since) if permit.since else None,
                "until": str(permit.until) if permit.until else None,
                "source": permit.source, "note": permit.note, "periods": periods,
            }  # fmt: skip
            subject = permit.scope, permit.pollutant
            fields = _row(total, subject, members, allowed, pace)
            rows.append(record(PermitTotal, fields | named))
    return rows


def scope_rows(total: TotalYear) -> list[TotalRow]:
    """Return the totals of the scope of a year and of the enterprises below it, by pollutant."""
    park, year, sources = total.park, total.year, total.sources
    path = year.query.scope
    below = [each.id for each in park.scopes if each.kind in ("park", "enterprise")]
    scopes = [path, *(each for each in below if each != path and inside(each, path))]
    permits = _in_force(park, year)
    rows = []
    for scope in scopes:
        for pollutant in sorted({each.pollutant for each in sources if inside(each.scope, scope)}):
            members = [s for s in sources if s.pollutant == pollutant and inside(s.scope, scope)]
            allowed = allowed_in(permits, scope, pollutant, members)
            fields = _row(total, (scope, pollutant), members, allowed, total.pace(members))
            rows.append(record(TotalRow, fields | NO_PERMIT_FIELDS))
    return rows


def _in_force(park: Park, year: Year) -> list[Permit]:
    """Return the permits in force on the last day that is counted."""
    day = w.local(max(year.until_us - SECOND_US, year.begin_us), year.query.zone).date()
    return [permit for permit in permits_of(park) if in_force(permit, day)]


def covers(permit: Permit, source: TotalSource) -> bool:
    """Tell whether a permit is about a source."""
    if permit.pollutant != source.pollutant:
        return False
    return source.outlet in permit.outlets if permit.outlets else inside(source.scope, permit.scope)


class PermitPace(NamedTuple):
    """The mean rate of the sources of a permit in W windows of whole days."""

    rate: F64  # (W,) [kg/s]; NaN = nothing is known
    half_width: F64  # (W,) by meters, analyses and factors; NaN = not known
    share: F64  # (W,) of the time, of the source that is known of least
    quality: int
    missing: list[str]


async def read_pace(context: Context, query: WindowQuery, permit: Permit) -> PermitPace:
    """Return the pace of a permit in windows, each begun with its first day; raises StoreError."""
    zone, last = query.zone, int(query.edges[-1])
    (begin_us, *_) = w.edges("day", int(query.edges[0]), last, zone.key).tolist()
    span = span_query(context, permit.scope, begin_us, last)
    sources = [
        each for each in await read_sources(context, span, permit.outlets) if covers(permit, each)
    ]
    count = len(query.edges) - 1
    at = np.clip(np.searchsorted(query.edges, span.days[:-1], "right") - 1, 0, count - 1)

    def sums(column: F64) -> F64:
        return np.bincount(at, column, count).astype(np.float64)

    known_s = np.array([sums(each.known_s) for each in sources]).reshape(-1, count)
    rates = ratio(np.array([sums(each.booked) for each in sources]).reshape(-1, count), known_s)
    width = np.full(count, np.nan)
    if count == 1:
        of_sum = np.hypot.reduce([each.half_width[-1] for each in sources], initial=0.0)
        booked = sum(float(each.booked.sum()) for each in sources)
        width = np.array([ratio(of_sum * rates.sum(), booked)])
    return PermitPace(
        rates.sum(axis=0) if sources else np.full(count, np.nan),
        width,
        ratio(known_s.min(axis=0, initial=np.inf), sums(span.elapsed_s)),
        worst(each.quality for each in sources),
        list(dict.fromkeys(name for each in sources for name in each.missing)),
    )


def allowed_in(
    permits: Sequence[Permit], scope: str, pollutant: str, members: Sequence[TotalSource]
) -> Allowed:
    """Return what a scope may emit: its own permit, else the sum of those of all its sources.

    Of several permits that cover a source the one of the widest scope counts.
    """
    mine = [each for each in permits if each.pollutant == pollutant]
    own = [each for each in mine if each.scope == scope and not each.outlets]
    if own:
        return Allowed(own[0].amount, own[0].verified)
    mine = [each for each in mine if inside(each.scope, scope)]
    wide = [each for each in mine if not each.outlets]
    used: dict[str, Permit] = {}
    for source in members:
        above = {source.scope, *scopes_above(source.scope)}
        best = sorted((e for e in wide if e.scope in above), key=lambda e: len(e.scope))
        best += [e for e in mine if e.outlets and covers(e, source)]
        if not best:
            return Allowed(np.nan, verified=False)
        used[best[0].id] = best[0]
    amount = sum(each.amount for each in used.values())
    return Allowed(amount, all(each.verified for each in used.values()))


def _row(
    of: TotalYear, subject: tuple[str, str], members: Sequence[TotalSource], allowed: Allowed,
    pace: MemberPace,
) -> dict[str, Any]:  # fmt: skip
    """Return the fields of a total, without those of a permit."""
    year, silent = of.year, pace.silent
    elapsed_s = year.elapsed_s.sum()
    is_known = bool(members) and not silent
    booked = np.array([each.booked.sum() for each in members])
    width = float(np.hypot.reduce([each.half_width[-1] for each in members], initial=0.0))
    days = of.plan.days_of(members)
    total = year_total(booked, width, of.plan.missing_s(members), days, pace.rate, allowed.amount)
    state = judge(total, allowed.amount, known=is_known) if allowed.amount > 0 else None
    known_s = np.array([each.known_s.sum() for each in members])
    completeness = min(known_s.mean() / elapsed_s, 1.0) if members and elapsed_s > 0 else np.nan
    return {
        "scope": subject[0], "pollutant": subject[1],
        "year": w.local(year.begin_us, year.query.zone).year,
        "permit_t": _t(allowed.amount), "legal": bool(allowed.verified),
        **_so_far(year, total, allowed, members, is_known=is_known or state == EXCEEDED),
        **_ahead(total, pace),
        "curbed_t": _t(days.curbed(pace.rate.rate)),
        "state": state,
        "reason": _reason(total, pace.rate, state, allowed, silent, members),
        "no_data": [name for each in silent for name in each.missing or [each.id]],
        "completeness": number(completeness),
        "quality": worst(each.quality for each in members),
        "missing": list(dict.fromkeys(name for each in members for name in each.missing)),
        "months": _months(of, members, allowed.amount),
        "sources": [_source(year, each) for each in members],
    }  # fmt: skip


def _t(mass: float) -> float:
    return number(mass, TONNE)


def _so_far(
    year: Year,
    total: YearTotal,
    allowed: Allowed,
    members: Sequence[TotalSource],
    *,
    is_known: bool,
) -> dict[str, Any]:
    """Return what was emitted so far; nothing of it where nothing is known."""
    nothing = not any(each.known_s.any() for each in members)
    booked = np.nan if nothing else total.booked
    by_method = [(name, sum(float(s.mass[name].sum()) for s in members if name in s.mass))
                 for name in METHODS if any(name in s.mass for s in members)]  # fmt: skip
    methods: list[MethodShare] = [
        {"method": name, "emitted_t": _t(mass), "share": number(ratio(mass, booked))}
        for name, mass in by_method
    ]
    elapsed = (year.until_us - year.begin_us) / (year.end_us - year.begin_us)
    return {
        "emitted_t": _t(booked),
        "emitted_half_width_t": _t(np.nan if nothing else total.booked_half_width),
        "methods": methods,
        "substituted_share": number(ratio(dict(by_method).get(SUBSTITUTED, 0.0), booked)),
        "share": number(booked / allowed.amount if is_known else np.nan),
        "allowance_t": _t(allowed.amount * elapsed),
    }


def _ahead(total: YearTotal, pace: MemberPace) -> dict[str, Any]:
    """Return the estimate of what nothing is known of, and the forecast."""
    middle, first, last = total.exhausted_in_s
    return {
        "estimated_t": _t(total.estimated),
        "estimated_half_width_t": _t(total.estimated_half_width),
        "forecast_t": _t(total.forecast),
        "forecast_half_width_t": _t(total.forecast_half_width),
        "rate_t_per_day": _t(total.rate * DAY[0]),
        "forecast_by": pace.kind if pace.rate.blocks else None,
        "forecast_blocks": pace.rate.blocks,
        "days_to_exhaustion": number(middle, DAY),
        "days_to_exhaustion_first": number(first, DAY),
        "days_to_exhaustion_last": number(last, DAY),
    }


def _reason(
    total: YearTotal, pace: BlockRate, state: str | None, allowed: Allowed,
    silent: Sequence[TotalSource], members: Sequence[TotalSource],
) -> str:  # fmt: skip
    """Return why the state is what it is, where that is not the forecast's interval alone."""
    if state == EXCEEDED:
        return OVER
    no_rate = not pace.blocks and np.isnan(total.forecast)
    if silent or not members or no_rate:
        little = TOO_LITTLE.format(", ".join(each.id for each in silent))
        return little if silent or not members else NO_USUAL
    if np.isnan(total.booked_half_width):
        unknown = [each.id for each in members if np.isnan(each.half_width[-1])]
        return NO_UNCERTAINTY.format(", ".join(unknown))
    if pace.blocks < BLOCKS_MIN and np.isnan(total.forecast_half_width):
        return TOO_FEW
    if np.isnan(allowed.amount):
        return NO_PERMIT
    return OVERLAP if state == "undecided" else ""


def _blocks(year: Year, members: Sequence[TotalSource], plan: YearPlan, enough: float) -> Blocks:
    """Return the months of sources; their days where fewer than three months are usable.

    Days of campaigns and special periods are no part of them.
    """
    days = len(year.days) - 1
    usual = np.array([plan.usual[each.id] for each in members]).reshape(-1, days)
    mass = np.array([each.booked for each in members]).reshape(-1, days) * usual
    known_s = np.array([each.known_s for each in members]).reshape(-1, days) * usual
    for kind, edges, at in (
        ("months", year.query.edges, year.month),
        ("days", year.days, np.arange(days)),
    ):
        start = np.searchsorted(at, np.arange(len(edges) - 1))
        each, known, elapsed_s = (
            np.add.reduceat(column, start, axis=-1) for column in (mass, known_s, year.elapsed_s)
        )
        over = elapsed_s >= np.diff(edges) / SECOND_US
        usable = over & (known >= enough * elapsed_s).all(axis=0)
        blocks = Blocks(kind, each, known, elapsed_s, usable)
        if np.count_nonzero(usable) >= BLOCKS_MIN:
            break
    return blocks


def _last(usable: BOOL) -> BOOL:
    """Return the newest of usable blocks."""
    return np.asarray(usable & (np.cumsum(usable[::-1])[::-1] <= NEWEST))


def _months(of: TotalYear, members: Sequence[TotalSource], allowed: float) -> MonthColumns:
    """Return the burn-down by the month; no use where too little since the year began is known."""
    year = of.year
    edges, count = year.query.edges, year.months

    def sums(columns: list[F64]) -> F64:
        return np.bincount(year.month, np.sum(columns, axis=0), count).astype(np.float64)

    none = [np.zeros(len(year.days) - 1)]
    emitted = sums([each.booked for each in members] or none)
    known_s = sums([each.known_s for each in members] or none)
    substituted = sums([each.mass[SUBSTITUTED] for each in members if SUBSTITUTED in each.mass]
                       or none)  # fmt: skip
    expected_s = sums([year.elapsed_s] * max(len(members), 1))
    width = np.hypot.reduce([each.half_width[:-1] for each in members] or np.zeros((1, count)))
    dark = known_s == 0
    passed_s = np.cumsum(sums([year.elapsed_s]))
    since = [np.cumsum(sums([each.known_s])) for each in members] or [np.zeros(count)]
    share = np.minimum(ratio(np.min(since, axis=0), passed_s), 1.0)
    used = np.where((share >= of.enough) & (share > 0), np.cumsum(emitted), np.nan)
    until = np.minimum(edges[1:], year.until_us)
    even = allowed * (until - year.begin_us) / (year.end_us - year.begin_us)
    return {
        "start": [rfc3339(edge, year.query.zone) for edge in edges[:-1].tolist()],
        "emitted_t": out(np.where(dark, np.nan, emitted), TONNE).tolist(),
        "half_width_t": out(np.where(dark, np.nan, width), TONNE).tolist(),
        "substituted_t": out(substituted, TONNE).tolist(),
        "used_t": out(used, TONNE).tolist(),
        "remaining_t": out(allowed - used, TONNE).tolist(),
        "allowance_t": out(even, TONNE).tolist(),
        "completeness": out(np.minimum(ratio(known_s, expected_s), 1.0)).tolist(),
        "known": out(share).tolist(),
        "quality": [worst(e.qualities[0, at] for e in members) for at in range(count)],
        "used_quality": [worst(e.qualities[1, at] for e in members) for at in range(count)],
    }


def _source(year: Year, source: TotalSource) -> SourceRow:
    """Return one source of a total."""
    dark = not source.known_s.any()
    return {
        "id": source.id,
        "scope": source.scope,
        "outlet": source.outlet or None,
        "methods": [name for name, mass in source.mass.items() if mass.any()],
        "emitted_t": _t(np.nan if dark else float(source.booked.sum())),
        "half_width_t": _t(np.nan if dark else float(source.half_width[-1])),
        "completeness": number(np.minimum(ratio(source.known_s.sum(), year.elapsed_s.sum()), 1.0)),
        "quality": source.quality,
        "missing": source.missing,
    }
