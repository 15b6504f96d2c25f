"""Greenhouse gases of a scope over windows, from its meters and the factors of a year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import Number, Provenance, WindowRow, record, records
from api.context import Context
from api.encode import TONNE, out
from api.sums import Sums, read_sums
from api.windows import WindowQuery
from twin.arrays import F64
from twin.emissions import carbon
from twin.emissions.sources import EmissionSource, emission_sources
from twin.reference import load as load_reference
from twin.uom import compile_uom

# Units of the activities by their quantity.
UOMS = {"energy": "MWh", "mass": "t", "normal_volume": "m^3"}
HEAT_UOM = "GJ"
# Columns of a factor that are no figures.
WORDS = (
    "standard", "source", "note", "year", "region", "method", "confidence", "verified", "name",
    "carriers", "evidence",
)  # fmt: skip

MetersHalfWidth = Annotated[
    Number,
    Field(description="half width, 95 %, of what the meters add; the factors are taken as exact"),
]


class CarbonSource(TypedDict):
    """The emission of one source in a window; scope -1 is captured and sold."""

    source: str
    scope: int
    amount: Number
    uom: str
    co2_t: Number
    co2_ci_t: MetersHalfWidth
    reason: Annotated[str, Field(description="why it is not known")]


class CarbonRow(WindowRow):
    """Scope 1 and 2 of one window."""

    scope1_t: Number
    scope1_ci_t: MetersHalfWidth
    scope2_t: Number
    scope2_ci_t: MetersHalfWidth
    total_t: Number
    total_ci_t: MetersHalfWidth
    sources: list[CarbonSource]


class CarbonFactor(Provenance):
    """A factor with its provenance."""

    of: str
    figures: dict[str, str]
    standard: str | None
    source: str | None
    note: str | None
    year: int | None
    region: str | None
    method: str | None


class CarbonAnswer(TypedDict):
    """Greenhouse gases of the scope; electricity by region and method."""

    region: str
    method: str
    items: list[CarbonRow]
    factors: list[CarbonFactor]
    available: list[CarbonFactor]


@dataclass(frozen=True, slots=True)
class GridChoice:
    """The factor of bought electricity that is wanted."""

    region: str
    method: str
    year: int | None  # None = that of each window, and of no other


@dataclass(frozen=True, slots=True)
class SourceSums:
    """One source of the account in W windows, (W,)."""

    emitter: EmissionSource
    uom: str
    amount: F64  # in `uom`
    factor: F64  # [kg/SI]
    emitted: F64  # [kg]; NaN = not known
    ci: F64  # [kg]
    reason: list[str]  # empty where it is known
    rows: list[dict[str, Any]]  # of the reference table


async def read_carbon(context: Context, query: WindowQuery, choice: GridChoice) -> CarbonAnswer:
    """Return scope 1 and 2 of each window, their sources and factors; raises StoreError."""
    network, count = query.network, len(query.edges) - 1
    active = emission_sources(network, query.scope)
    used = np.any([np.zeros(len(network.tags)), *(e.activity for e in active)], axis=0)
    sums = await read_sums(context, query, np.flatnonzero(used))
    sources = [_source(sums, emitter, choice) for emitter in active]
    rows = {(s.emitter.name, str(row)): (s.emitter.name, row) for s in sources for row in s.rows}
    lines = [_lines(source, count) for source in sources]
    unknown = [np.zeros(count, bool), *(np.isnan(source.amount) for source in sources)]
    columns = {
        **_totals(sums, sources),
        "sources": [list(each) for each in zip(*lines, strict=True)],
        **sums.trust(np.arange(len(sums.tags)), ~np.any(unknown, axis=0)),
    }
    return {
        "region": choice.region,
        "method": choice.method,
        "items": query.rows(CarbonRow, columns) if sources else [],
        "factors": [_factor(name, row) for name, row in rows.values()],
        "available": [_factor("electricity", row) for row in load_reference("carbon")["grid"]],
    }


def _totals(sums: Sums, sources: list[SourceSums]) -> dict[str, F64]:
    """Return the columns (W,) of the scopes and of their total, in t."""
    nothing = np.zeros(len(sums.amount))
    known = {
        scope: sum((s.emitted for s in sources if s.emitter.scope == scope), nothing)
        for scope in (1, 2, -1)
    }
    total = carbon.footprint(known[1], nothing, known[2], nothing, known[-1])
    columns: dict[str, F64] = {}
    for name, scopes in (("scope1", (1, -1)), ("scope2", (2,)), ("total", (1, 2, -1))):
        columns[f"{name}_t"] = out(getattr(total, name), TONNE)
        columns[f"{name}_ci_t"] = out(_ci(sums, sources, scopes), TONNE)
    return columns


def _source(sums: Sums, emitter: EmissionSource, choice: GridChoice) -> SourceSums:
    """Return the emission of one source in each window."""
    count = len(sums.amount)
    factor, reason = np.full(count, emitter.factor), [""] * count
    rows = [emitter.row] if emitter.row else []
    if emitter.kind == "electricity":
        # The factor of the year the window begins in, unless a year was chosen.
        years = [choice.year] * count if choice.year else sums.query.years.tolist()
        grid = [carbon.grid_factor(year, choice.region, choice.method) for year in years]
        factor, reason = np.array([f.value for f in grid]), [f.reason for f in grid]
        rows = [f.row for f in grid if f.row]
    elif emitter.kind == "unknown":
        reason = [f"there is no carbon content of {emitter.name}"] * count
    uom = HEAT_UOM if emitter.kind == "heat" else UOMS[emitter.quantity]
    amount = sums.weigh(emitter.activity)
    stated = amount / compile_uom(uom, emitter.quantity)[0]
    emitted, ci = amount * factor, factor * sums.ci("aluminium", emitter.activity)
    return SourceSums(emitter, uom, stated, factor, emitted, ci, reason, rows)


def _ci(sums: Sums, sources: list[SourceSums], scopes: tuple[int, ...]) -> F64:
    """Return half the interval of a sum of sources [kg], (W,); NaN without any."""
    some = [s for s in sources if s.emitter.scope in scopes]
    if not some:
        return np.full(len(sums.amount), np.nan)
    weight = np.zeros((len(sums.amount), len(sums.network.tags)))
    for s in some:
        used, sign = s.emitter.activity != 0, -1.0 if s.emitter.scope == -1 else 1.0
        weight[:, used] += sign * s.factor[:, None] * s.emitter.activity[used]
    return sums.ci("aluminium", weight)


def _lines(source: SourceSums, count: int) -> list[CarbonSource]:
    """Return one source in each window."""
    columns = {
        "source": source.emitter.name,
        "scope": source.emitter.scope,
        "amount": out(source.amount),
        "uom": source.uom,
        "co2_t": out(source.emitted, TONNE),
        "co2_ci_t": out(source.ci, TONNE),
        "reason": source.reason,
    }
    return records(CarbonSource, count, columns)


def _factor(name: str, row: dict[str, Any]) -> CarbonFactor:
    """Return a row of the reference table as it leaves: its figures as texts, its provenance."""
    figures = {key: str(value) for key, value in row.items() if key not in WORDS}
    known = dict.fromkeys(CarbonFactor.__annotations__) | row
    return record(CarbonFactor, known, of=name, figures=figures)
