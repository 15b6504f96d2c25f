"""What each source of a pollutant sent out in a year, day by day and by method.

A source is a pollutant of an outlet that a monitor measures or people analyse, a factor, or a
report. A report of an outlet stands only for the days that nothing else is known of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from api.emissions.outlets import mass_ci, outlet_hours, outlets_in, positions, read_ledger
from api.problems import invalid
from api.sums import read_sums, tag_ids
from api.totals.answer import Method
from api.windows import WindowQuery, parse_query
from twin.arrays import BOOL, F64, HOUR_S, I64, MINUTE_S, MINUTE_US, SECOND_US, U8, ratio
from twin.emissions.permits import year_of
from twin.emissions.releases import (
    EmissionFactor,
    EmissionReport,
    ManualAnalysis,
    calculated,
    mass_per_amount,
    scatter_half_width,
    standing,
)
from twin.emissions.validity import needed
from twin.model.park import inside
from twin.quality import BAD, NO_DATA, worst_of
from twin.reconciliation.uncertainty import errors_of, half_width, parts_sigma
from twin.series import windows as w
from twin.series.coverage import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from api.context import Context
    from api.emissions.outlets import Ledger, OutletHours
    from api.sums import Sums
    from twin.emissions.outlets import Outlet

MEASURED: Method = "measured"
SUBSTITUTED: Method = "substituted"
ANALYSED: Method = "analysed"
FACTOR: Method = "factor"
REPORTED: Method = "reported"
METHODS = (MEASURED, SUBSTITUTED, ANALYSED, FACTOR, REPORTED)
# Analyses of one tag in a year and before it; by hand nobody makes more.
ANALYSES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Year:
    """A calendar year, or another time, of a scope until a moment: D days and M months."""

    query: WindowQuery  # by the month
    begin_us: int
    end_us: int
    until_us: int  # what was sent out before this is counted
    days: I64  # (D+1,) [µs]

    @property
    def months(self) -> int:
        """How many months have begun."""
        return len(self.query.edges) - 1

    @property
    def daily(self) -> WindowQuery:
        """The query by the day."""
        return replace(self.query, window="day", edges=self.days)

    @property
    def elapsed_s(self) -> F64:
        """The time of each day that has passed, (D,)."""
        return self.daily.elapsed_s

    @property
    def month(self) -> I64:
        """The month of each day, from 0, (D,)."""
        return np.searchsorted(self.query.edges, self.days[:-1], "right") - 1

    def by_day(self, day: I64, column: F64) -> F64:
        """Return what columns of shorter times add up to by their days, (D,); -1 = none."""
        within = day >= 0
        added = np.bincount(day[within], column[within], len(self.days) - 1)
        return added.astype(np.float64)


@dataclass(frozen=True, slots=True)
class TotalSource:
    """What one pollutant of one outlet, or one factor, sent out in a year."""

    id: str
    scope: str
    outlet: str  # empty: a source without an outlet
    pollutant: str
    mass: dict[Method, F64]  # by method, (D,) [kg]
    known_s: F64  # (D,) [s]
    half_width: F64  # (M+1,) [kg] of each month and of the year; NaN = not known
    qualities: U8  # (2, M) of each month, and of the year up to its end
    missing: list[str]  # tags with gaps, the least covered first

    @property
    def booked(self) -> F64:
        """What is booked by all methods, (D,) [kg]."""
        return np.asarray(sum(self.mass.values(), np.zeros(len(self.known_s))))

    @property
    def quality(self) -> int:
        """The quality of the year."""
        return int(self.qualities[1, -1])


def worst(qualities: Iterable[int]) -> int:
    """Return the worst of some qualities; without any there are no data."""
    each = np.array([*qualities], np.uint8)
    return int(worst_of(each, np.zeros(1, np.intp))[0]) if len(each) else NO_DATA


def year_query(context: Context, path: str, year: int | None) -> Year:
    """Return the year that is wanted, of a scope; raises Problem 404 and 422."""
    now_us, zone = context.now_us(), context.zone
    of = w.local(now_us, zone).year if year is None else year
    begin_us, end_us = year_of(round(datetime(of, 7, 1, tzinfo=zone).timestamp()) * SECOND_US,
                               zone.key)  # fmt: skip
    if begin_us >= now_us:
        raise invalid("year", f"{of} has not begun")
    return span_query(context, path, begin_us, end_us)


def span_query(context: Context, path: str, begin_us: int, end_us: int) -> Year:
    """Return a span of time that has begun as if it were a year; raises Problem 404 and 422."""
    zone = context.zone
    until_us = min(context.now_us(), end_us)
    query = parse_query(
        context, path, "month", *(w.local(each, zone) for each in (begin_us, until_us))
    )
    counted_us = max(min(until_us, query.expected_us // MINUTE_US * MINUTE_US), begin_us)
    days = w.edges("day", begin_us, until_us, zone.key)
    return Year(query, begin_us, end_us, counted_us, days)


async def read_sources(
    context: Context, year: Year, only: Collection[str] = ()
) -> list[TotalSource]:
    """Return the sources of a scope in a year, or those of some outlets; raises StoreError."""
    network, scope = year.query.network, year.query.scope
    outlets = {o.id: o for o in outlets_in(network, scope) if not only or o.id in only}
    analyses = [row for row in network.park.rows(ManualAnalysis) if row.outlet in outlets]
    stated = [row for row in calculated(network.park)
              if inside(row.scope, scope) and (not only or row.outlet in only)]  # fmt: skip
    sources = await _monitored(context, year, [o for o in outlets.values() if o.names])
    sources += await _analysed(context, year, outlets, analyses)
    own = await _calculated(context, year, stated)
    at = {(each.outlet, each.pollutant): n for n, each in enumerate(sources) if each.outlet}
    for source in own:
        n = at.get((source.outlet, source.pollutant))
        if n is None or REPORTED not in source.mass:
            sources.append(source)
        else:
            sources[n] = _filled(year, sources[n], source)
    return sources


def _filled(year: Year, source: TotalSource, report: TotalSource) -> TotalSource:
    """Return a source with a report for the days that nothing else is known of."""
    silent = source.known_s == 0
    stands = np.where(silent, report.mass[REPORTED], 0.0)
    part = ratio(_sums(year, stands), _sums(year, report.mass[REPORTED]))
    width = np.where(part > 0, part * report.half_width, 0.0)
    known_s = np.where(silent, report.known_s, source.known_s)
    covered = known_s.sum() >= year.elapsed_s.sum()
    qualities = [
        own if not stands[days].any() else instead if silent[days].all() else worst((own, instead))
        for days, own, instead in zip(
            _spans(year),
            source.qualities.ravel().tolist(),
            report.qualities.ravel().tolist(),
            strict=True,
        )
    ]
    return replace(
        source,
        mass=source.mass | {REPORTED: stands},
        known_s=known_s,
        half_width=np.hypot(source.half_width, width),
        qualities=np.array(qualities, np.uint8).reshape(2, -1),
        missing=[] if covered else [*source.missing, *report.missing],
    )


def _spans(year: Year) -> list[BOOL]:
    """Return which days are in each month, and in the year up to its end, 2M of (D,)."""
    months = range(year.months)
    return [year.month == at for at in months] + [year.month <= at for at in months]


def _sums(year: Year, column: F64) -> F64:
    """Return sums of days by the month, and of the year, (M+1,)."""
    return np.append(np.bincount(year.month, column, year.months), column.sum())


def _widths(year: Year, day: I64, width: Callable[[I64, int], F64]) -> F64:
    """Return half widths by the month and of the year, (M+1,), of parts by their days."""
    month = np.where(day >= 0, year.month[day], -1)
    whole = np.where(day >= 0, 0, -1)
    return np.append(width(month, year.months), width(whole, 1))


def _day_of(year: Year, start_us: I64, elapsed_s: F64) -> I64:
    """Return the day of parts of time, -1 outside of the year and where none of it has passed."""
    inner = (start_us >= year.begin_us) & (start_us < year.until_us) & (elapsed_s > 0)
    return np.where(inner, np.searchsorted(year.days, start_us, "right") - 1, -1)


def _trust(year: Year, sums: Sums, columns: I64, day: I64, known_s: F64) -> tuple[U8, list[str]]:
    """Return qualities and missing tags of a source made of some columns, over rows of its time."""
    rows = day >= 0
    qualities = []
    for days in _spans(year):
        quality = sums.quality[rows & days[day]][:, columns].reshape(1, -1)
        share = ratio(known_s[days].sum(), year.elapsed_s[days].sum())
        qualities.append(w.grade(quality, np.array([share]), np.array([known_s[days].any()]))[0])
    covered = sums.covered_s[rows][:, columns].sum(axis=0, keepdims=True)
    names = [sums.network.tags[tag].address for tag in sums.tags[columns].tolist()]
    shares = w.shares(covered, np.array([year.elapsed_s.sum()]))
    return np.reshape(qualities, (2, -1)), missing(shares, names)[0]


async def _monitored(context: Context, year: Year, outlets: list[Outlet]) -> list[TotalSource]:
    """Return the pollutants that monitors measure, hour by hour, with substitutes."""
    if not outlets:
        return []
    ledger = await read_ledger(context, year.query, outlets)
    day = _day_of(year, ledger.edges[:-1], ledger.elapsed_s)
    return [
        _of_monitor(year, ledger, outlet, hours, p, day)
        for outlet in outlets
        for hours in [outlet_hours(ledger, outlet)]
        for p in range(len(outlet.names))
    ]


def _of_monitor(
    year: Year, ledger: Ledger, outlet: Outlet, hours: OutletHours, p: int, day: I64
) -> TotalSource:
    """Return the p-th pollutant of an outlet; `day` is that of each hour, (H,)."""
    name, instead, known = outlet.names[p], hours.substitution.emission[p], hours.known[p]
    stands = ~np.isnan(instead)
    mass = {
        MEASURED: year.by_day(day, np.where(known, hours.hours.emission[p], 0.0)),
        SUBSTITUTED: year.by_day(day, np.where(stands, instead, 0.0)),
    }
    known_s = year.by_day(day, (known | stands) * ledger.elapsed_s)
    tags = positions(ledger.sums.network, [*outlet.shown_by(name), *outlet.flow_tags])
    columns = np.searchsorted(ledger.sums.tags, tags)

    def width(window: I64, count: int) -> F64:
        return mass_ci(hours, p, window, count)

    return TotalSource(
        f"{outlet.id}/{name}", outlet.scope, outlet.id, name, mass, known_s,
        _widths(year, day, width), *_trust(year, ledger.sums, columns, day, known_s),
    )  # fmt: skip


async def _analysed(
    context: Context, year: Year, outlets: dict[str, Outlet], rows: list[ManualAnalysis]
) -> list[TotalSource]:
    """Return the pollutants that people analyse: concentration times metered flow by the hour."""
    if not rows:
        return []
    network, zone = year.query.network, year.query.zone
    edges = w.edges("hour", year.begin_us, int(year.days[-1]), zone.key)
    hours = replace(year.query, window="hour", edges=edges)
    flows = positions(network, (outlets[row.outlet].flow for row in rows))
    sums = await read_sums(context, hours, flows)
    return [await _of_analyses(context, year, sums, outlets[row.outlet], row) for row in rows]


async def _of_analyses(
    context: Context, year: Year, sums: Sums, outlet: Outlet, row: ManualAnalysis
) -> TotalSource:
    network, start_us, elapsed_s = sums.network, sums.query.edges[:-1], sums.query.elapsed_s
    time_us, value = await _read_analyses(context, year, row)
    at = standing(time_us, row.holds_s, start_us)
    u = int(np.searchsorted(sums.tags, network.index[outlet.flow]))
    covered_s = sums.covered_s[:, u]
    enough = covered_s >= needed("hour") * MINUTE_S / HOUR_S * elapsed_s
    known = (at >= 0) & enough & (elapsed_s > 0)
    volume = np.where(known, ratio(sums.amount[:, u], covered_s) * elapsed_s, 0.0)
    concentration = np.where(known, np.append(value, 0.0)[at], 0.0)
    day = _day_of(year, start_us, elapsed_s)
    meter = errors_of(network, np.array([network.index[outlet.flow]]))
    size = np.hypot(meter.absolute * elapsed_s, meter.relative * volume)
    effect = np.where(known, concentration * size, 0.0)[None]
    method = errors_of(network, np.array([network.index[row.concentration]]))
    sigma = np.hypot(method.absolute, method.relative * value)
    sigma = np.where(sigma > 0, sigma, np.nan)
    used = np.unique(at[known])

    def width(window: I64, count: int) -> F64:
        """Return half the intervals: of the flow, of the method (it stays), of the samples."""
        load = np.zeros((count, len(value)))
        inner = known & (window >= 0)
        np.add.at(load, (window[inner], at[inner]), volume[inner])
        load, bias = load[:, used], load[:, used] @ sigma[used]
        flow = parts_sigma(meter, effect, covered_s[None], window, count)
        scatter = np.where(load.any(axis=1), scatter_half_width(value[used], load), 0.0)
        return np.hypot(half_width(np.hypot(flow, bias)), scatter)

    mass = {ANALYSED: year.by_day(day, concentration * volume)}
    known_s = year.by_day(day, known * elapsed_s)
    qualities, lacking = _trust(year, sums, np.array([u]), day, known_s)
    if (standing(time_us, row.holds_s, start_us[day >= 0]) < 0).any():
        lacking = [row.concentration, *lacking]
    return TotalSource(
        f"{outlet.id}/{row.pollutant}", outlet.scope, outlet.id, row.pollutant, mass, known_s,
        _widths(year, day, width), qualities, lacking,
    )  # fmt: skip


async def _read_analyses(context: Context, year: Year, row: ManualAnalysis) -> tuple[I64, F64]:
    """Return times and usable values of the analyses of a year, and those that reach into it."""
    network = year.query.network
    (tag,) = tag_ids(context, network, np.array([network.index[row.concentration]])).tolist()
    since_us = year.begin_us - round(row.holds_s * SECOND_US)
    samples = await context.store.samples(tag, since_us, year.until_us, ANALYSES_MAX)
    usable = samples["quality"] < BAD
    return samples["time_us"][usable], samples["value"][usable]


async def _calculated(
    context: Context, year: Year, rows: Iterable[EmissionFactor | EmissionReport]
) -> list[TotalSource]:
    """Return what factors make of activities, and what reports say, by the day."""
    rows, network = list(rows), year.query.network
    if not rows:
        return []
    names = [row.activity if isinstance(row, EmissionFactor) else row.tag for row in rows]
    sums = await read_sums(context, year.daily, positions(network, names))
    return [_of_amounts(year, sums, row, name) for row, name in zip(rows, names, strict=True)]


def _of_amounts(
    year: Year, sums: Sums, row: EmissionFactor | EmissionReport, address: str
) -> TotalSource:
    network, tag = sums.network, sums.network.index[address]
    is_factor = isinstance(row, EmissionFactor)
    per = mass_per_amount(row, network.tags[tag]) if isinstance(row, EmissionFactor) else 1.0
    sigma = row.sigma if isinstance(row, EmissionFactor) else 0.0
    u = int(np.searchsorted(sums.tags, tag))
    covered_s = sums.covered_s[:, u]
    mass = per * np.nan_to_num(sums.amount[:, u])
    meter = errors_of(network, np.array([tag]))
    size = np.hypot(per * meter.absolute * covered_s, meter.relative * mass)
    day = np.arange(len(mass))

    def width(window: I64, count: int) -> F64:
        whole = np.bincount(window, mass, count)
        metered = parts_sigma(meter, size[None], covered_s[None], window, count)
        return half_width(np.hypot(metered, sigma * whole))

    known_s = np.minimum(covered_s, year.elapsed_s)
    return TotalSource(
        row.id, row.scope, row.outlet, row.pollutant, {FACTOR if is_factor else REPORTED: mass},
        known_s, _widths(year, day, width), *_trust(year, sums, np.array([u]), day, known_s),
    )  # fmt: skip
