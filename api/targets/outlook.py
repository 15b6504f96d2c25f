"""How far a figure is from its goal, where it is going, and what moved it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from api.answers import records
from api.emissions.carbon import grid_factors
from api.encode import rfc3339
from api.targets.answer import Change, Contribution, GapAmount, Move, Outlook, TargetPace
from api.targets.figures import GRID, YEAR_S, register_figure
from twin.arrays import F64, SECOND_US, ratio
from twin.book.model import AMOUNT, INSTANT, PERIODS, book_tags
from twin.series import windows as w
from twin.targets import MET, NOT_MET, verdict
from twin.targets.decomposition import explain_change
from twin.targets.trend import fit_line, forecast
from twin.uom import compile_uom

if TYPE_CHECKING:
    from api.targets.figures import Parts, TargetFigure
    from api.windows import WindowQuery
    from twin.targets.model import Target

# Units a gap is told in, by the quantity of the numerator.
GAP_UOMS = {
    "energy": ("kWh", "tce"),
    "mass": ("t",),
    "volume": ("m^3",),
    "money": ("万元",),
    "area": ("亩",),
    "mass_flow": ("kt/year",),
}
WILL = {MET: "yes", NOT_MET: "no"}
PAST = "the due date is past: the state is the answer"
NO_CAPACITY = "there are no assets of it, or a capacity is not known"
OPEN = "there is no due date"
TOO_FEW = "fewer than three {}s have a value"
COARSER = "its books are of longer periods than a {}"
NOT_ASKED = "no trend was asked for"
REGISTER = "a figure of the asset register has its dates there"


def gap_amounts(
    query: WindowQuery, target: Target, parts: Parts | None, shortfall: float
) -> list[GapAmount]:
    """Return a shortfall [SI] as amounts: energy also as coal and, of electricity, as CO2."""
    if parts is None or not shortfall > 0 or parts.quantity not in GAP_UOMS:
        return []
    amount = shortfall * float(parts.under[0].sum()) / parts.factor
    if not np.isfinite(amount):
        return []
    gaps: list[GapAmount] = [
        {"value": amount / compile_uom(uom, parts.quantity)[0], "uom": uom, "factor": ""}
        for uom in GAP_UOMS[parts.quantity]
    ]
    if target.kpi == "electricity_intensity":
        (grid, *_) = grid_factors(query, GRID)
        words = grid.row or {}
        name = f"grid factor {words.get('region', '')} {words.get('year', '')}".strip()
        if np.isfinite(grid.value):
            tonnes = amount * grid.value / compile_uom("t", "mass")[0]
            gaps.append({"value": tonnes, "uom": "tCO2", "factor": name})
    return gaps


def contributions(parts: Parts | None) -> list[Contribution]:
    """Return what each member is of the two sums of a figure, in its first window."""
    if parts is None:
        return []
    shares = (ratio(each[0], np.array(each[0].sum())) for each in (parts.over, parts.under))
    return records(
        Contribution,
        len(parts.owners),
        dict(
            zip(
                ("member", "numerator_share", "denominator_share"),
                (parts.owners, *shares),
                strict=True,
            )
        ),
    )


def is_coarser(query: WindowQuery, target: Target) -> bool:
    """Tell whether books are of longer periods than the windows: parts of one are no trend.

    What the numerator is over may be a state that holds longer, like land.
    """
    network, books = query.network, book_tags(query.network.park)
    amounts = {tag.address for tag in network.tags if tag.kind == AMOUNT}
    named = [*target.part, *(name for name in target.whole if name in amounts)]
    periods = [books[name].period for name in named if name in books]
    finer = PERIODS[: PERIODS.index(query.window) + 1]
    return any(period not in (*finer, INSTANT) for period in periods)


def years_of(times_us: F64) -> F64:
    """Return times [µs] in years of 365.25 days."""
    return np.asarray(times_us / SECOND_US / YEAR_S)


def pace_of(
    query: WindowQuery, target: Target, figure: TargetFigure, scale: float, limit: float, now: float
) -> tuple[TargetPace | None, Outlook | None, str]:
    """Return the pace over windows, the forecast at the due date in the unit, or why not.

    `query` and `figure` are of the windows, `now` is the value of today in the unit.
    """
    due, is_at_most = target.due_on, np.array(target.sense == "at_most")
    due_us = np.inf if due is None else _end_us(due, query)
    middle = (query.edges[:-1] + np.minimum(query.edges[1:], query.now_us)) / 2
    value = np.where(figure.decisive, figure.value, np.nan) / scale
    line = fit_line(years_of(middle), value, figure.half_width / scale)
    if line is None:
        return None, None, TOO_FEW.format(query.window)
    ahead_a = float(years_of(np.array(due_us - query.now_us)))
    room = now - limit if target.sense == "at_most" else limit - now
    needed = (limit - now) / ahead_a if room > 0 and 0 < ahead_a < np.inf else None
    pace: TargetPace = {
        "window": query.window,
        "points": line.points,
        "per_year": line.slope,
        "half_width": line.slope_half_width,
        "needed_per_year": needed,
    }
    if due is None or ahead_a <= 0:
        return pace, None, OPEN if due is None else PAST
    ahead, width = forecast(line, float(years_of(np.array(due_us))))
    return pace, _outlook(due, ahead, width, limit, is_at_most), ""


def registered(
    query: WindowQuery, target: Target, scale: float, limit: float
) -> tuple[Outlook | None, str]:
    """Return what the asset register says of the due date, or why nothing."""
    due = target.due_on
    if due is None:
        return None, OPEN
    if due < w.local(query.now_us, query.zone).date():
        return None, PAST
    value = float(register_figure(query, target, [due]).value[0]) / scale
    is_at_most = np.array(target.sense == "at_most")
    if not np.isfinite(value):
        return None, NO_CAPACITY
    return _outlook(due, value, 0.0, limit, is_at_most), ""


def _outlook(
    due: date, value: float, half_width: float, limit: float, is_at_most: np.ndarray
) -> Outlook:
    met = int(verdict(np.array(value), np.array(limit), is_at_most, half_width))
    return {
        "on": str(due),
        "value": value,
        "half_width": half_width,
        "will_be_met": WILL.get(met, "undecided"),  # type: ignore[typeddict-item]
    }


def change_of(query: WindowQuery, figure: TargetFigure, scale: float) -> Change | None:
    """Return what moved a figure between its two newest windows with values."""
    parts = figure.parts
    if parts is None:
        return None
    known = np.isfinite(parts.over).all(axis=1) & np.isfinite(parts.under).all(axis=1)
    known &= np.isfinite(figure.value) & (parts.under.sum(axis=1) != 0)
    last = np.flatnonzero(known)[-2:]
    if len(last) < 2:
        return None
    before, after = last.tolist()
    unit = parts.factor / scale
    # As rates: a month that is longer, or covered better, changed nothing.
    covered_s = np.ones(len(known))
    if figure.completeness is not None:
        covered_s = figure.completeness * query.elapsed_s
    old, new = (
        (parts.over[at] / covered_s[at], parts.under[at] / covered_s[at]) for at in (before, after)
    )
    over, under = explain_change(old, new)
    first, second = (
        float(parts.over[at].sum() / parts.under[at].sum()) * unit for at in (before, after)
    )
    edges = [rfc3339(int(edge), query.zone) for edge in query.edges.tolist()]
    moves: list[Move] = [
        {"member": name, "numerator": upper * unit, "denominator": lower * unit}
        for name, upper, lower in zip(parts.owners, over.tolist(), under.tolist(), strict=True)
    ]
    return {
        "before_start": edges[before],
        "before_end": edges[before + 1],
        "after_start": edges[after],
        "after_end": edges[after + 1],
        "before": first,
        "after": second,
        "change": second - first,
        "moves": moves,
    }


def _end_us(day: date, query: WindowQuery) -> int:
    """Return the end of a day on the clock of the park [µs]."""
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), query.zone)
    return round(end.timestamp()) * SECOND_US
