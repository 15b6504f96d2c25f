"""What outlets sent out hour by hour: measured, substituted or not known; summed by windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from api.encode import out
from api.problems import invalid
from api.sums import column_of, read_sums, tag_ids
from twin.arrays import BOOL, DAY_US, F64, HOUR_US, I64, SECOND_US, ratio
from twin.emissions.outlets import HourErrors, Hours, Outlet, evaluate, hour_errors, outlets_of
from twin.emissions.permits import year_of
from twin.emissions.substitution import Substitution, lookback_h, substitute
from twin.emissions.validity import (
    STOPPED,
    SUSPECT,
    capture_rate,
    month_valid,
    needed,
    valid_time,
)
from twin.model.park import inside
from twin.reconciliation.uncertainty import Errors, errors_of, half_width, parts_sigma
from twin.series import windows as w
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.context import Context
    from api.sums import Sums
    from api.windows import WindowQuery
    from twin.accounts.network import Network


MG_PER_M3 = compile_uom("mg/m^3", "concentration")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The hours of some outlets: from the begin of the year, or further back, to the end."""

    window: I64  # (H,) window of the query each hour lies in, -1 or W outside of them
    quarter: I64  # (H,)
    sums: Sums  # of all tags of the outlets, by the hour
    measured: F64  # (H, U) [min] minutes with a normal sample of their own
    mean: F64  # (H, U) [SI] of these minutes; NaN = not known

    @property
    def edges(self) -> I64:
        """The edges of the hours, (H+1,) [µs]."""
        return self.sums.query.edges

    @property
    def elapsed_s(self) -> F64:
        """The part of each hour that is expected in the database, (H,) [s]."""
        return self.sums.query.elapsed_s


@dataclass(frozen=True, slots=True)
class OutletHours:
    """The hours of one outlet with P pollutants, (P, H)."""

    hours: Hours
    error: Errors  # of the U tags the figures are made of
    covered_s: F64  # (U, H) of these tags
    hour_errors: HourErrors
    operating: BOOL  # hours that are over and count in the capture rate
    known: BOOL  # the emission is measured, or the source stood still
    substitution: Substitution
    reported: F64  # [kg/m^3] mean of the hour, by the data logger; NaN = it has not said
    reported_mass: F64  # [kg] of the hour, by the data logger; NaN = it has not said


def outlets_in(network: Network, scope: str) -> list[Outlet]:
    """Return the outlets at and below a scope."""
    return [outlet for outlet in outlets_of(network.park) if inside(outlet.scope, scope)]


def positions(network: Network, addresses: Iterable[str]) -> I64:
    """Return the positions in the network of some tags, sorted."""
    return np.unique(np.array([network.index[a] for a in addresses], dtype=np.int64))


def addresses_of(outlet: Outlet) -> set[str]:
    """Return the addresses of all tags of an outlet."""
    given = (outlet.tags, outlet.reported, outlet.reported_mass)
    return {*outlet.measured_by, *(address for tags in given for address in tags.values())}


async def read_ledger(context: Context, query: WindowQuery, outlets: list[Outlet]) -> Ledger:
    """Return the hours of some outlets; hours, because a mass is a product of hourly means."""
    first_us, last_us = int(query.edges[0]), int(query.edges[-1])
    days = (last_us - first_us) / DAY_US
    context.require_limit("from", days, "windows_max", "days", "a shorter range")
    back_us = round(lookback_h() * HOUR_US)
    year_us = year_of(counted_until(query), query.zone.key)[0]
    edges = w.edges("hour", min(first_us - back_us, year_us), last_us, query.zone.key)
    if not np.isin(query.edges, edges).all():
        raise invalid("window", "shifts that do not begin at full hours", hint="hour, day or month")
    tags = positions(query.network, (a for outlet in outlets for a in addresses_of(outlet)))
    sums = await read_sums(context, replace(query, window="hour", edges=edges), tags)
    window = np.searchsorted(query.edges, edges[:-1], "right") - 1
    return Ledger(window, _quarters(edges, query.zone), sums, *await _measured(context, sums))


async def _measured(context: Context, sums: Sums) -> tuple[F64, F64]:
    """Return the measured minutes of the hours of sums, and their means, (H, U)."""
    edges, ids = sums.query.edges, tag_ids(context, sums.network, sums.tags)
    minutes, mean = np.zeros(sums.amount.shape), np.full(sums.amount.shape, np.nan)
    rows = await context.store.measured(ids, int(edges[0]), int(edges[-1]))
    at = np.searchsorted(edges, rows["time_us"], "right") - 1, column_of(ids, rows)
    minutes[at], mean[at] = rows["measured"], rows["mean"]
    return minutes, mean


def counted_until(query: WindowQuery) -> int:
    """Return until when emissions are counted [µs]: the end of what was query, or now."""
    return max(min(int(query.edges[-1]), query.expected_us), int(query.edges[0]))


def _quarters(edges: I64, zone: ZoneInfo) -> I64:
    """Return the number of the quarter of each hour, from 0."""
    months = w.edges("month", int(edges[0]), int(edges[-1]), zone.key)
    dates = [w.local(month, zone) for month in months.tolist()]
    quarter = np.array([date.year * 4 + (date.month - 1) // 3 for date in dates], dtype=np.int64)
    return np.asarray((quarter - quarter[0])[np.searchsorted(months, edges[:-1], "right") - 1])


def outlet_hours(ledger: Ledger, outlet: Outlet) -> OutletHours:
    """Return the hours of an outlet, with substitutes for those that are missing."""
    sums = ledger.sums
    mean, covered, valid_s = {}, {}, {}
    monitors = set(outlet.measured_by) if outlet.kind == "stack" else set()
    for address in addresses_of(outlet):
        u = np.searchsorted(sums.tags, sums.network.index[address])
        covered[address] = valid_s[address] = sums.covered_s[:, u]
        mean[address] = ratio(sums.amount[:, u], covered[address])
        if address in monitors:
            own = ledger.mean[:, u]
            valid_s[address] = valid_time(
                ledger.measured[:, u], covered[address], outlet.interval_s
            )
            mean[address] = np.where(np.isnan(own), mean[address], own)
    unknown = np.full(ledger.elapsed_s.shape, np.nan)
    reported, reported_mass = (
        np.array([mean[tags[name]] if name in tags else unknown for name in outlet.names])
        for tags in (outlet.reported, outlet.reported_mass)
    )
    hours = evaluate(outlet, mean, valid_s, ledger.elapsed_s)
    at = np.array([sums.network.index[address] for address in outlet.measured_by], dtype=np.int64)
    error = errors_of(sums.network, at)
    covered_s = np.array([covered[address] for address in outlet.measured_by])
    changed = hour_errors(outlet, error, mean, ledger.elapsed_s)
    over = ledger.elapsed_s >= np.diff(ledger.edges) / SECOND_US
    # A monitor does not owe data from before its first valid hour.
    begun = np.logical_or.accumulate(hours.valid, axis=-1)
    operating = begun & over & (hours.state != STOPPED)
    rate = capture_rate(hours.valid, operating, ledger.quarter)
    substituted = substitute(hours.emission, hours.valid, operating & ~hours.valid, rate)
    known = hours.valid | (hours.state == STOPPED)
    return OutletHours(
        hours, error, covered_s, changed, operating, known, substituted, reported, reported_mass
    )


@dataclass(frozen=True, slots=True)
class _WindowSum:
    """Adds columns of hours (H,) up to windows (W,)."""

    window: I64  # (H,) of each hour; -1 outside of all, or not begun
    count: int

    def __call__(self, column: NDArray[np.generic]) -> F64:
        inside_ = self.window >= 0
        added = np.bincount(self.window[inside_], column[inside_].astype(np.float64), self.count)
        return added.astype(np.float64)

    def each(self, column: F64) -> F64:
        """Return the figure of the window of each hour; NaN outside of all."""
        return np.where(self.window >= 0, column[self.window], np.nan)


def by_window(
    query: WindowQuery, ledger: Ledger, outlet: Outlet, record: OutletHours, p: int
) -> dict[str, NDArray[Any]]:
    """Return the windows of the p-th pollutant of an outlet: columns (W,) of their answer."""
    count = len(query.edges) - 1
    begun = (ledger.window < count) & (ledger.elapsed_s > 0)
    total = _WindowSum(np.where(begun, ledger.window, -1), count)
    hours, known, valid = record.hours, record.known[p], record.hours.valid[p]
    instead = record.substitution.emission[p]
    limit = outlet.permit.get(outlet.names[p], np.nan)
    previous = np.zeros(count)
    inner = total.window >= 0
    np.maximum.at(previous, total.window[inner], record.substitution.previous_h[p][inner])
    operating = total(record.operating[p])
    reported, reported_mass = record.reported[p], record.reported_mass[p]
    measured = np.where(hours.measured[p], hours.concentration[p], np.nan)
    emitted = np.where(known, hours.emission[p], np.nan)
    concentration, concentration_ci = _mean(total, record, outlet, "concentration", p)
    corrected, corrected_ci = _mean(total, record, outlet, "corrected", p)
    mass = _some(total, hours.emission[p], known)
    mass_ci_kg = np.where(np.isnan(mass), np.nan, mass_ci(record, p, total.window, count))
    above = total(hours.measured[p] & (hours.corrected[p] > limit))
    return {
        "concentration_mg_m3": out(concentration, MG_PER_M3),
        "concentration_ci_mg_m3": out(concentration_ci, MG_PER_M3),
        "corrected_mg_m3": out(corrected, MG_PER_M3),
        "corrected_ci_mg_m3": out(corrected_ci, MG_PER_M3),
        "mass_kg": out(mass),
        "mass_ci_kg": out(mass_ci_kg),
        "substituted_kg": out(_some(total, instead, ~np.isnan(instead))),
        "substituted_h": total(~np.isnan(instead)),
        "substituted_from_h": previous,
        "stopped_h": total(hours.state == STOPPED),
        "suspect_h": total(hours.state == SUSPECT),
        "hours_above": np.where(np.isnan(limit), np.nan, above),
        "valid": _valid(query, ledger, total, known),
        "valid_minutes": out(total(hours.valid_minutes[p])),
        "capture": out(ratio(total(valid & record.operating[p]), operating)),
        "reported_mg_m3": out(_total_ratio(total, reported, np.ones_like(reported)), MG_PER_M3),
        "reported_kg": out(_some(total, reported_mass, ~np.isnan(reported_mass))),
        "reported_difference": out(_total_ratio(total, reported, measured) - 1),
        "reported_mass_difference": out(_total_ratio(total, reported_mass, emitted) - 1),
        "share_of_limit": out(corrected / limit),
    }


def _some(total: _WindowSum, column: F64, where: BOOL) -> F64:
    """Return sums of the hours of a condition; NaN where no hour meets it."""
    return np.where(total(where) > 0, total(np.where(where, column, 0.0)), np.nan)


def _total_ratio(total: _WindowSum, upper: F64, lower: F64) -> F64:
    """Return the ratio of two sums over the hours that have both; NaN without any, or over 0."""
    both = ~np.isnan(upper + lower)
    return ratio(total(np.where(both, upper, 0.0)), total(np.where(both, lower, 0.0)))


def mass_ci(record: OutletHours, p: int, window: I64, count: int) -> F64:
    """Return half the intervals of the masses measured in windows; hours outside have -1, (W,)."""
    # What stood still sent out nothing, whatever its meters say.
    change = np.where(record.hours.valid[p], record.hour_errors.emission[:, p], 0.0)
    return half_width(parts_sigma(record.error, change, record.covered_s, window, count))


def _mean(
    total: _WindowSum, record: OutletHours, outlet: Outlet, name: str, p: int
) -> tuple[F64, F64]:
    """Return means of valid hours, of water by its flow; without any, of what there is.

    With them half their intervals: the flow that water is weighted by has an error, too.
    """
    hours, column = record.hours, getattr(record.hours, name)[p]
    there = ~np.isnan(column) & (hours.state != STOPPED)
    best = there & hours.measured[p]
    used = np.where(total.each(total(best)) > 0, best, there)
    weight, moved = np.ones(len(column)), np.zeros_like(record.hour_errors.flow)
    if outlet.kind == "drain":
        weight = np.where(hours.flow > 0, hours.flow, 0.0)
        moved = np.where(hours.flow > 0, record.hour_errors.flow, 0.0)
    weight = np.where(used, weight, 0.0)
    whole = total(weight)
    whole = np.where(whole > 0, whole, np.nan)
    mean = total(np.where(used, column, 0.0) * weight) / whole
    far = column - total.each(mean)
    change = (weight * getattr(record.hour_errors, name)[:, p] + far * moved) / total.each(whole)
    change = np.where(used, change, 0.0)
    sigma = parts_sigma(record.error, change, record.covered_s, total.window, total.count)
    return mean, np.where(np.isnan(mean), np.nan, half_width(sigma))


def _valid(query: WindowQuery, ledger: Ledger, total: _WindowSum, known: BOOL) -> BOOL:
    """Return which windows are valid by their hours, longer ones by the days of their months."""
    hours = total(known)
    if query.window == "hour":
        return hours > 0
    if query.window == "day":
        return hours >= needed("day")
    if query.window == "shift":
        return hours >= needed("shift") / 24 * (np.diff(query.edges) / HOUR_US)
    days = w.edges("day", int(query.edges[0]), int(query.edges[-1]), query.zone.key)
    day = np.searchsorted(days, ledger.edges[:-1], "right") - 1
    inner = total.window >= 0
    full = np.bincount(day[inner], known[inner], len(days) - 1) >= needed("day")
    months = w.edges("month", int(query.edges[0]), int(query.edges[-1]), query.zone.key)
    month = np.searchsorted(months, days[:-1], "right") - 1
    number = np.array([w.local(edge, query.zone).month for edge in months[:-1].tolist()])
    valid = month_valid(np.bincount(month, full, len(number)).astype(np.int64), number)
    # A quarter or a year is valid by all of its months.
    return np.logical_and.reduceat(valid, np.searchsorted(months, query.edges[:-1]))
