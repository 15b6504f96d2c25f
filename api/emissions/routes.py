"""Emissions of the outlets of a scope, their permits, and greenhouse gases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Literal, cast

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Given,
    HalfWidth,
    Name,
    Number,
    Provenance,
    Share,
    Uint8,
    Verdict,
    WindowAnswer,
    WindowRow,
    formula,
    record,
    records,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext
from api.emissions.carbon import CarbonAnswer, GridChoice, read_carbon
from api.emissions.outlets import (
    MG_PER_M3,
    Ledger,
    OutletHours,
    addresses_of,
    by_window,
    counted_until,
    mass_ci,
    outlet_hours,
    outlets_in,
    positions,
    read_ledger,
)
from api.emissions.products import FootprintAnswer, read_products
from api.encode import DAY, TONNE, number, out
from api.parameters import From, Text, To
from api.problems import RESPONSES
from api.reconciled import Values
from api.sums import Sums, read_sums
from api.windows import Daily, ScopePath, WindowQuery, parse_query
from twin.arrays import BOOL, F64, I64
from twin.emissions.outlets import Outlet
from twin.emissions.permits import permit_outlook, year_of
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.targets import WORDS, verdict
from twin.uom import parse_quantity

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

HourWindow = Annotated[
    Literal["hour", "shift", "day", "month", "quarter", "year"],
    Query(description="length of a row, on the park's clock; an hour is the shortest"),
]
Region = Annotated[Text, Query(description="region of the grid factor: CN, CN-SD, …")]
Method = Annotated[
    Literal["location", "market", "fossil", "ets"], Query(description="kind of grid factor")
]
FactorYear = Annotated[
    int | None,
    Query(ge=1990, le=2200, description="year of the grid factor; default that of each window"),
]


class PermitLimit(TypedDict):
    """The permitted concentration of an outlet, with its source."""

    value: Given[Annotated[float, Field(description="mg/m3, hourly mean")]]
    oxygen_reference: Given[Share]
    source: str
    verified: bool


class EmissionRow(WindowRow):
    """One pollutant of one outlet in one window; concentrations dry, in the reference state."""

    outlet: str
    pollutant: str
    name: Name | None
    code: Annotated[str | None, Field(description="HJ 212-2017 Annex B")]
    concentration_mg_m3: Annotated[
        Number,
        formula(
            "mean of the valid hours, dry, in the reference state: volume share * molar "
            "mass / molar volume, (1 - moisture) and state as the analyser shows"
        ),
    ]
    concentration_ci_mg_m3: HalfWidth
    corrected_mg_m3: Annotated[
        Number,
        formula(
            "measured * (21 - reference oxygen) / (21 - oxygen), mean of the valid hours; "
            "else measured"
        ),
    ]
    corrected_ci_mg_m3: HalfWidth
    mass_kg: Annotated[
        Number,
        formula(
            "sum over the valid hours of concentration * flow of dry gas in the reference state"
        ),
    ]
    mass_ci_kg: HalfWidth
    substituted_kg: Annotated[
        Number,
        formula(
            "sum over the missing hours of what the rule of HJ 75 puts for them, from "
            "`substituted_from_h` valid hours before; null = none"
        ),
    ]
    substituted_h: Annotated[float, formula("hours that are substituted")]
    substituted_from_h: Annotated[float, formula("valid hours looked back; 0 = none")]
    stopped_h: Annotated[
        float, formula("hours in which flow and running tag say that it stood still")
    ]
    suspect_h: Annotated[float, formula("hours without flow from a running plant: nothing booked")]
    hours_above: Annotated[Number, formula("valid hours whose corrected mean is above the limit")]
    valid: Annotated[
        bool, Field(description="enough valid hours of 45 minutes: 1, 20 of a day, 25 days")
    ]
    valid_minutes: Annotated[
        float,
        formula("minutes with a sample of their own, of that tag of the mass that has the fewest"),
    ]
    capture: Annotated[Share, formula("valid and stopped hours / hours of the window")]
    reported_mg_m3: Annotated[
        Number, formula("mean of the hours of the tag the data logger reports")
    ]
    reported_kg: Annotated[Number, formula("sum of the hours of the tag the data logger reports")]
    reported_difference: Annotated[
        Number, formula("reported over measured concentration - 1, hours both have")
    ]
    reported_mass_difference: Annotated[
        Number, formula("reported over measured mass - 1, hours both have")
    ]
    limit: PermitLimit | None
    share_of_limit: Annotated[Number, formula("corrected concentration / limit of the permit")]
    verdict: Annotated[
        Verdict | None,
        Field(
            description="mean against limit by the whole interval; null without a limit, undecided"
            " in a window that is not valid"
        ),
    ]


class PermitRow(TypedDict):
    """The use of a yearly permit."""

    outlet: str
    pollutant: str
    year: int
    permit_t: Given[float]
    emitted_t: Annotated[Number, formula("measured + substituted, of the year until now")]
    emitted_ci_t: Annotated[
        Number, formula("that of what was measured; null = not known, or a part is substituted")
    ]
    measured_t: Annotated[Number, formula("sum over the valid hours of concentration * flow")]
    measured_ci_t: HalfWidth
    substituted_t: Annotated[Number, formula("sum of what is substituted for the missing hours")]
    substituted_share: Annotated[Number, formula("substituted / emitted")]
    share: Annotated[Number, formula("emitted / permit")]
    verdict: Annotated[
        Verdict,
        Field(
            description="not_met = certainly more than the permit; undecided = the permit lies"
            " inside the interval of what was measured, or too few hours of the year are known;"
            " substituted hours count as booked"
        ),
    ]
    allowance_t: Annotated[Number, formula("permit * share of the year that has passed")]
    forecast_t: Annotated[Number, formula("emitted / share of the year that has passed")]
    days_to_exhaustion: Annotated[
        Number,
        formula(
            "(permit - emitted) / mean emission of a day of the year; 0 = used up, null = "
            "never or unknown"
        ),
    ]
    completeness: Completeness
    quality: Uint8
    source: str
    verified: bool


class StandardLimit(Provenance):
    """A limit of a standard, for orientation."""

    application: Name
    tier: str
    limits_mg_m3: Given[dict[str, float]]
    oxygen_reference: Given[Share]
    standard: str
    note: str | None


class EmissionAnswer(WindowAnswer):
    """The emissions of a scope."""

    items: list[EmissionRow]
    permits: list[PermitRow]
    carbon: CarbonAnswer
    standards: list[StandardLimit]


@router.get("/{path:path}/emissions")
async def read_emissions(
    context: AppContext,
    path: ScopePath,
    window: HourWindow = "hour",
    from_: From = None,
    to: To = None,
    region: Region = "CN",
    method: Method = "location",
    factor_year: FactorYear = None,
    values: Values = "reconciled",
) -> EmissionAnswer:
    """Return concentrations and masses by outlet and pollutant, permits, and carbon dioxide.

    Hours as the data logger of the outlet reported them stand next to ours and in no figure of
    ours: the mean and the sum of those it reported. A difference is theirs over ours - 1, both
    summed over the hours for which the logger reported and ours is valid.
    """
    query = parse_query(context, path, window, from_, to)
    network = query.network
    outlets = outlets_in(network, path)
    rows: list[list[EmissionRow]] = []
    permits: list[PermitRow] = []
    if outlets:
        ledger = await read_ledger(context, query, outlets)
        tags = positions(network, (a for outlet in outlets for a in addresses_of(outlet)))
        sums = await read_sums(context, query, tags)
        for outlet in outlets:
            hours = outlet_hours(ledger, outlet)
            pollutants = range(len(outlet.names))
            rows += [_rows(ledger, sums, outlet, hours, p) for p in pollutants]
            enough = context.settings.verdict_completeness
            permits += _permits(query, ledger, outlet, hours, enough)
    return query.answer(
        EmissionAnswer,
        rows,
        permits=permits,
        carbon=await read_carbon(context, query, GridChoice(region, method, factor_year), values),
        standards=_standards({name for outlet in outlets for name in outlet.names}),
    )


@router.get("/{path:path}/emissions/products")
async def read_product_footprints(
    context: AppContext,
    query: Daily,
    region: Region = "CN",
    method: Method = "location",
    factor_year: FactorYear = None,
    values: Values = "reconciled",
) -> FootprintAnswer:
    """Return the carbon footprint of each product per tonne, cradle to gate inside the scope."""
    choice = GridChoice(region, method, factor_year)
    return await read_products(context, query, choice, values)


def _columns(sums: Sums, outlet: Outlet, name: str) -> I64:
    """Return the columns of the tags the figures of a pollutant rest on."""
    tags = positions(sums.network, [*outlet.corrected_by(name), *outlet.flow_tags])
    return np.searchsorted(sums.tags, tags)


def _rows(
    ledger: Ledger, sums: Sums, outlet: Outlet, hours: OutletHours, p: int
) -> list[EmissionRow]:
    """Return the rows of one pollutant of one outlet."""
    name = outlet.names[p]
    windows = by_window(sums.query, ledger, outlet, hours, p)
    code, title = _code(name, outlet.kind)
    limit = outlet.permit.get(name)
    permitted: PermitLimit | None = None
    if limit is not None:
        permitted = record(PermitLimit, outlet, value=number(limit, MG_PER_M3))
    return sums.query.rows(
        EmissionRow,
        {
            "outlet": outlet.id,
            "pollutant": name,
            "name": title,
            "code": code,
            "limit": permitted,
            "verdict": _within(windows, limit),
            **windows,
            **sums.trust(_columns(sums, outlet, name), ~np.isnan(windows["mass_kg"])),
        },
    )


def _within(windows: Mapping[str, F64], limit: float | None) -> list[str] | None:
    """Return the verdicts on the means of windows (W,); None without a limit."""
    if limit is None:
        return None
    mean, half_width = (windows[name] for name in ("corrected_mg_m3", "corrected_ci_mg_m3"))
    return _judged(mean, number(limit, MG_PER_M3), half_width, windows["valid"] != 0)


def _judged(value: F64, cap: F64 | float, half_width: F64, decisive: BOOL) -> list[str]:
    """Return the verdicts on values with their intervals that may not rise above a cap."""
    goal, at_most = np.asarray(cap, np.float64), np.array(True)
    met = verdict(value, goal, at_most, half_width, decisive=decisive)
    return [WORDS[each] for each in met.tolist()]


def _permits(
    query: WindowQuery, ledger: Ledger, outlet: Outlet, hours: OutletHours, enough: float
) -> list[PermitRow]:
    """Return the use of the yearly permits of an outlet until the end of the query.

    `enough` is the share of the hours that a permit needs to be met; it is exceeded without it.
    """
    until_us = counted_until(query)
    begin_us, end_us = year_of(until_us, query.zone.key)
    year = (ledger.edges[:-1] >= begin_us) & (ledger.edges[:-1] < until_us)
    names = [name for name in outlet.names if name in outlet.annual]
    p = [outlet.names.index(name) for name in names]
    known, instead = hours.known[p] & year, hours.substitution.emission[p]
    stands = ~np.isnan(instead) & year
    measured = np.where(known, hours.hours.emission[p], 0.0).sum(axis=1)
    substituted = np.where(stands, instead, 0.0).sum(axis=1)
    known_s = (known | stands) @ ledger.elapsed_s
    this_year = np.where(year, 0, -1)
    measured_ci = np.array([mass_ci(hours, n, this_year, 1)[0] for n in p])
    measured_ci = np.where(known.any(axis=1), measured_ci, np.nan)
    permit = np.array([outlet.annual[name] for name in names])
    ahead = permit_outlook(measured, substituted, permit, known_s, begin_us, end_us, until_us)
    decisive = (ahead.completeness >= enough) | (ahead.emitted > permit)
    quality = [
        w.grade(
            ledger.sums.quality[year][:, _columns(ledger.sums, outlet, name)].reshape(1, -1),
            ahead.completeness[n : n + 1],
            known_s[n : n + 1] > 0,
        )
        for n, name in enumerate(names)
    ]
    columns = {
        "outlet": outlet.id,
        "pollutant": names,
        "year": w.local(until_us, query.zone).year,
        "permit_t": out(permit, TONNE),
        "emitted_t": out(ahead.emitted, TONNE),
        "emitted_ci_t": out(np.where(stands.any(axis=1), np.nan, measured_ci), TONNE),
        "measured_t": out(measured, TONNE),
        "measured_ci_t": out(measured_ci, TONNE),
        "substituted_t": out(substituted, TONNE),
        "substituted_share": out(ahead.substituted_share),
        "share": out(ahead.share),
        "verdict": _judged(ahead.emitted, permit, measured_ci, decisive),
        "allowance_t": out(ahead.allowance, TONNE),
        "forecast_t": out(ahead.forecast, TONNE),
        "days_to_exhaustion": out(ahead.exhausted_in_s, DAY),
        "completeness": out(ahead.completeness),
        "quality": np.array(quality, np.uint8).ravel(),
        "source": outlet.source,
        "verified": outlet.verified,
    }
    return records(PermitRow, len(names), columns)


@cache
def _code(symbol: str, kind: str) -> tuple[str | None, Name | None]:
    """Return code and names of a pollutant of park.toml by HJ 212; None for others."""
    letter = {"stack": "a", "drain": "w"}[kind]
    for code, row in load_reference("pollutants").items():
        if code.startswith(letter) and symbol in (code, *row.get("symbols", ())):
            return code, cast("Name", row["name"])
    return None, None


def _standards(pollutants: set[str]) -> list[StandardLimit]:
    """Return the limits of standards for some pollutants: orientation, not what binds an outlet."""
    standards: list[StandardLimit] = []
    for row in load_reference("emission_limits")["limit"]:
        limits = {
            name: number(parse_quantity(text, "concentration"), MG_PER_M3)
            for name, text in row["limits"].items()
            if name in pollutants
        }
        oxygen = row.get("oxygen_reference")
        if limits:
            share = parse_quantity(oxygen, "fraction") if oxygen else None
            stated = {"limits_mg_m3": limits, "oxygen_reference": share, "note": row.get("note")}
            standards.append(record(StandardLimit, row, **stated))
    return standards
