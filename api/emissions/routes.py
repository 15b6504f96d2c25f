"""What the outlets of a scope emit, how it stands against their permits, and its carbon dioxide."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from api.context import From, To, world
from api.emissions import schema
from api.emissions.carbon import Choice, read_carbon
from api.emissions.outlets import (
    addresses_of,
    by_window,
    counted_until,
    mass_ci,
    outlets_in,
    places,
    read_ledger,
    record,
)
from api.encode import in_uom, json_answer
from api.problems import RESPONSES
from api.sums import TONNE, elapsed_s, read_sums
from api.windows import Question, ScopePath, ask
from twin.arrays import DAY_S, I64
from twin.emissions.permits import outlook, year_of
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.uom import compile_uom, parse_quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from api.emissions.outlets import Ledger, Record
    from api.sums import Sums
    from twin.emissions.outlets import Outlet

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)

MG = compile_uom("mg/m^3", "concentration")[0]

HourWindow = Annotated[
    Literal["hour", "shift", "day", "month"],
    Query(description="length of a row, on the park's clock; an hour is the shortest"),
]
Region = Annotated[str, Query(description="region of the grid factor: CN, CN-SD, …")]
Method = Annotated[
    Literal["location", "market", "fossil", "ets"], Query(description="kind of grid factor")
]
FactorYear = Annotated[
    int | None,
    Query(ge=1990, le=2200, description="year of the grid factor; default that of each window"),
]


@router.get("/{path:path}/emissions", response_model=schema.Emissions)
async def emissions(
    request: Request,
    path: ScopePath,
    window: HourWindow = "hour",
    from_: From = None,
    to: To = None,
    region: Region = "CN",
    method: Method = "location",
    factor_year: FactorYear = None,
) -> Response:
    """Return concentrations and masses by outlet and pollutant, permits, and carbon dioxide.

    Hours as the outlet's data logger reported them stand next to ours and in no figure of ours: the
    mean and the sum of those it reported. A difference is theirs over ours - 1, both summed over
    the hours for which the logger reported and ours is valid.
    """
    here = world(request)
    asked = ask(here, path, window, from_, to)
    network = asked.network
    outlets = outlets_in(network, path)
    items: list[dict[str, Any]] = []
    permits: list[dict[str, Any]] = []
    if outlets:
        ledger = await read_ledger(here, asked, outlets)
        tags = places(network, (a for outlet in outlets for a in addresses_of(outlet)))
        sums = await read_sums(here, network, tags, window, asked.edges)
        for outlet in outlets:
            found = record(ledger, outlet)
            for p in range(len(outlet.pollutants)):
                items += _rows(asked, ledger, sums, outlet, found, p)
            permits += _permits(asked, ledger, outlet, found)
    items.sort(key=lambda row: row["start"])
    body = {
        "scope": path,
        "window": window,
        "items": items,
        "permits": permits,
        "carbon": await read_carbon(here, asked, Choice(region, method, factor_year)),
        "standards": _standards({name for outlet in outlets for name in outlet.pollutants}),
    }
    return json_answer({**body, "next": None})


def _columns(asked: Question, sums: Sums, outlet: Outlet, name: str) -> I64:
    """Return the columns of the tags the figures of a pollutant rest on."""
    oxygen = () if np.isnan(outlet.oxygen_reference) else ("oxygen",)
    aired = [outlet.tags[column] for column in oxygen if column in outlet.tags]
    tags = places(asked.network, [outlet.pollutants[name], *outlet.flow_tags, *aired])
    return np.asarray(np.searchsorted(sums.tags, tags))


def _rows(
    asked: Question, ledger: Ledger, sums: Sums, outlet: Outlet, found: Record, p: int
) -> list[dict[str, Any]]:
    """Return the rows of one pollutant of one outlet."""
    name = list(outlet.pollutants)[p]
    windows = by_window(asked, ledger, outlet, found, p)
    at = _columns(asked, sums, outlet, name)
    covered_s, elapsed = sums.covered_s[:, at], elapsed_s(asked.edges, asked.expected_us)
    share, each = w.completeness(covered_s, elapsed), w.shares(covered_s, elapsed)
    limit = outlet.permit.get(name, np.nan)
    code, title = _code(name, outlet.kind)
    return asked.rows(
        {
            "outlet": outlet.id,
            "pollutant": name,
            "name": title,
            "code": code,
            "concentration_mg_m3": in_uom(windows.concentration, MG, 0.0),
            "concentration_ci_mg_m3": in_uom(windows.concentration_ci, MG, 0.0),
            "corrected_mg_m3": in_uom(windows.corrected, MG, 0.0),
            "corrected_ci_mg_m3": in_uom(windows.corrected_ci, MG, 0.0),
            "mass_kg": in_uom(windows.measured, 1.0, 0.0),
            "mass_ci_kg": in_uom(windows.measured_ci, 1.0, 0.0),
            "substituted_kg": in_uom(windows.substituted, 1.0, 0.0),
            "substituted_h": windows.substituted_h,
            "substituted_from_h": windows.previous_h,
            "stopped_h": windows.stopped_h,
            "suspect_h": windows.suspect_h,
            "hours_above": np.where(np.isnan(limit), np.nan, windows.hours_above),
            "valid": windows.valid,
            "capture": in_uom(windows.capture, 1.0, 0.0),
            "reported_mg_m3": in_uom(windows.reported, MG, 0.0),
            "reported_kg": in_uom(windows.reported_mass, 1.0, 0.0),
            "reported_difference": in_uom(windows.reported_difference, 1.0, 0.0),
            "reported_mass_difference": in_uom(windows.reported_mass_difference, 1.0, 0.0),
            "limit": _limit(outlet, limit),
            "share_of_limit": in_uom(windows.corrected / limit, 1.0, 0.0),
            "completeness": in_uom(share, 1.0, 0.0),
            "quality": w.grade(sums.quality[:, at], each, ~np.isnan(windows.measured)),
        }
    )


def _limit(outlet: Outlet, limit: float) -> dict[str, Any] | None:
    """Return a limit with its provenance; None when there is none."""
    if np.isnan(limit):
        return None
    return {
        "value": _milligrams(limit),
        "oxygen_reference": outlet.oxygen_reference,
        "source": outlet.source,
        "verified": outlet.verified,
    }


def _permits(
    asked: Question, ledger: Ledger, outlet: Outlet, found: Record
) -> list[dict[str, Any]]:
    """Return where the yearly permits of an outlet stand at the end of what was asked."""
    until_us, timezone = counted_until(asked), asked.network.park.timezone
    begin_us, end_us = year_of(until_us, timezone)
    year = (ledger.edges[:-1] >= begin_us) & (ledger.edges[:-1] < until_us)
    names = [name for name in outlet.pollutants if name in outlet.annual]
    p = [list(outlet.pollutants).index(name) for name in names]
    known, instead = found.known[p] & year, found.substitution.emission[p]
    stands = ~np.isnan(instead) & year
    measured = np.where(known, found.hours.emission[p], 0.0).sum(axis=1)
    substituted = np.where(stands, instead, 0.0).sum(axis=1)
    known_s = (known | stands) @ ledger.elapsed_s
    this_year = np.where(year, 0, -1)
    measured_ci = np.array([mass_ci(found, n, this_year, 1)[0] for n in p])
    measured_ci = np.where(known.any(axis=1), measured_ci, np.nan)
    emitted_ci = np.where(stands.any(axis=1), np.nan, measured_ci)
    permit = np.array([outlet.annual[name] for name in names])
    ahead = outlook(measured, substituted, permit, known_s, begin_us, end_us, until_us)
    quality = [
        w.grade(
            ledger.sums.quality[year][:, _columns(asked, ledger.sums, outlet, name)].reshape(1, -1),
            ahead.completeness[n : n + 1],
            known_s[n : n + 1] > 0,
        )
        for n, name in enumerate(names)
    ]
    columns: dict[str, NDArray[Any]] = {
        "permit_t": in_uom(permit, TONNE, 0.0),
        "emitted_t": in_uom(ahead.emitted, TONNE, 0.0),
        "emitted_ci_t": in_uom(emitted_ci, TONNE, 0.0),
        "measured_t": in_uom(measured, TONNE, 0.0),
        "measured_ci_t": in_uom(measured_ci, TONNE, 0.0),
        "substituted_t": in_uom(substituted, TONNE, 0.0),
        "substituted_share": in_uom(ahead.substituted_share, 1.0, 0.0),
        "share": in_uom(ahead.share, 1.0, 0.0),
        "allowance_t": in_uom(ahead.allowance, TONNE, 0.0),
        "forecast_t": in_uom(ahead.forecast, TONNE, 0.0),
        "days_to_exhaustion": in_uom(ahead.exhausted_in_s, DAY_S, 0.0),
        "completeness": in_uom(ahead.completeness, 1.0, 0.0),
        "quality": np.array(quality, np.uint8).ravel(),
    }
    fixed = {
        "year": w.local(until_us, ZoneInfo(timezone)).year,
        "source": outlet.source,
        "verified": outlet.verified,
    }
    lists = {key: column.tolist() for key, column in columns.items()}
    return [
        {"outlet": outlet.id, "pollutant": name, **fixed, **{k: v[n] for k, v in lists.items()}}
        for n, name in enumerate(names)
    ]


def _milligrams(concentration: float) -> float:
    return float(in_uom(np.array(concentration), MG, 0.0))


@cache
def _code(symbol: str, kind: str) -> tuple[str | None, dict[str, str] | None]:
    """Return code and names of a pollutant of park.toml by HJ 212; None for others."""
    letter = {"stack": "a", "drain": "w"}[kind]
    for code, row in load_reference("pollutants").items():
        if code.startswith(letter) and symbol in (code, *row.get("symbols", ())):
            return code, row["name"]
    return None, None


def _standards(pollutants: set[str]) -> list[dict[str, Any]]:
    """Return the limits of standards for some pollutants: orientation, not what binds an outlet."""
    found = []
    for row in load_reference("emission_limits")["limit"]:
        limits = {k: v for k, v in row["limits"].items() if k in pollutants}
        oxygen = row.get("oxygen_reference")
        if limits:
            found.append(
                {
                    "application": row["application"],
                    "tier": row["tier"],
                    "limits_mg_m3": {
                        k: _milligrams(parse_quantity(v, "concentration"))
                        for k, v in limits.items()
                    },
                    "oxygen_reference": parse_quantity(oxygen, "fraction") if oxygen else None,
                    "standard": row["standard"],
                    "note": row.get("note"),
                    "confidence": row["confidence"],
                    "verified": row["verified"],
                }
            )
    return found
