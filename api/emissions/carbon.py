"""Greenhouse gases of a scope over windows, from its meters and the factors of a year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from api.encode import in_uom
from api.sums import TONNE, elapsed_s, read_sums
from twin.arrays import F64
from twin.emissions import carbon
from twin.emissions.sources import emitters
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.uom import compile_uom

if TYPE_CHECKING:
    from api.context import World
    from api.sums import Sums
    from api.windows import Question
    from twin.emissions.sources import Emitter

# What an activity is shown in, by its quantity.
SHOWN = {"energy": "MWh", "mass": "t", "normal_volume": "m^3"}
HEAT_UOM = "GJ"
PROVENANCE = ("standard", "source", "note", "year", "region", "method", "confidence", "verified")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which factor of bought electricity is meant."""

    region: str
    method: str
    year: int | None  # None = that of each window, and of no other


@dataclass(frozen=True, slots=True)
class Source:
    """One line of the account, (W,)."""

    emitter: Emitter
    uom: str
    amount: F64  # in `uom`
    factor: F64  # [kg/SI]
    emitted: F64  # [kg]; NaN = not known
    ci: F64  # [kg]
    reason: list[str]  # why it is not known; empty where it is
    rows: list[dict[str, Any]]  # of the reference table


async def read_carbon(here: World, asked: Question, choice: Choice) -> dict[str, Any]:
    """Return scope 1 and 2 of each window, what they are made of, and by which factors."""
    network, count = asked.network, len(asked.edges) - 1
    found = emitters(network, asked.scope)
    used = np.any([np.zeros(len(network.tags)), *(e.activity for e in found)], axis=0)
    sums = await read_sums(here, network, np.flatnonzero(used), asked.window, asked.edges)
    sources = [_source(asked, sums, emitter, choice) for emitter in found]
    nothing = np.zeros(count)
    known = {
        scope: sum((s.emitted for s in sources if s.emitter.scope == scope), nothing)
        for scope in (1, 2, -1)
    }
    total = carbon.footprint(known[1], nothing, known[2], nothing, known[-1])
    measured = np.all([~np.isnan(s.amount) for s in sources], axis=0) & np.ones(count, bool)
    elapsed = elapsed_s(asked.edges, asked.expected_us)
    share = w.completeness(sums.covered_s, elapsed)
    columns = {
        "scope1_t": in_uom(total.scope1, TONNE, 0.0),
        "scope1_ci_t": in_uom(_ci(sums, sources, (1, -1)), TONNE, 0.0),
        "scope2_t": in_uom(total.scope2, TONNE, 0.0),
        "scope2_ci_t": in_uom(_ci(sums, sources, (2,)), TONNE, 0.0),
        "total_t": in_uom(total.total, TONNE, 0.0),
        "total_ci_t": in_uom(_ci(sums, sources, (1, 2, -1)), TONNE, 0.0),
        "sources": [[_line(source, number) for source in sources] for number in range(count)],
        "completeness": in_uom(share, 1.0, 0.0),
        "quality": w.grade(sums.quality, w.shares(sums.covered_s, elapsed), measured),
    }
    rows = {(s.emitter.name, str(row)): (s.emitter.name, row) for s in sources for row in s.rows}
    return {
        "region": choice.region,
        "method": choice.method,
        "items": asked.rows(columns) if sources else [],
        "factors": [_factor(name, row) for name, row in rows.values()],
        "available": [_factor("electricity", row) for row in load_reference("carbon")["grid"]],
    }


def _source(asked: Question, sums: Sums, emitter: Emitter, choice: Choice) -> Source:
    """Return what an emitter emitted in each window."""
    count = len(asked.edges) - 1
    factor, reason = np.full(count, emitter.factor), [""] * count
    rows = [emitter.row] if emitter.row else []
    if emitter.kind == "electricity":
        grid = _grid_factors(asked, choice)
        factor, reason = np.array([f.value for f in grid]), [f.reason for f in grid]
        rows = [f.row for f in grid if f.row]
    elif emitter.kind == "unknown":
        reason = [f"there is no carbon content of {emitter.name}"] * count
    uom = HEAT_UOM if emitter.kind == "heat" else SHOWN[emitter.quantity]
    amount = sums.weigh(emitter.activity)
    shown = amount / compile_uom(uom, emitter.quantity)[0]
    emitted, ci = carbon.by_factor(amount, factor), factor * sums.ci("aluminium", emitter.activity)
    return Source(emitter, uom, shown, factor, emitted, ci, reason, rows)


def _ci(sums: Sums, sources: list[Source], scopes: tuple[int, ...]) -> F64:
    """Return half the interval of a sum of sources [kg], (W,); NaN without any."""
    some = [s for s in sources if s.emitter.scope in scopes]
    if not some:
        return np.full(len(sums.amount), np.nan)
    weight = np.zeros((len(sums.amount), len(sums.network.tags)))
    for s in some:
        used, sign = s.emitter.activity != 0, -1.0 if s.emitter.scope == -1 else 1.0
        weight[:, used] += sign * s.factor[:, None] * s.emitter.activity[used]
    return sums.ci("aluminium", weight)


def _grid_factors(asked: Question, choice: Choice) -> list[carbon.GridFactor]:
    """Return the factor of each window: of the year it begins in, unless a year was chosen."""
    zone = ZoneInfo(asked.network.park.timezone)
    years = [choice.year or w.local(edge, zone).year for edge in asked.edges[:-1].tolist()]
    return [carbon.grid_factor(year, choice.region, choice.method) for year in years]


def _line(source: Source, number: int) -> dict[str, Any]:
    """Return one source of one window."""
    return {
        "source": source.emitter.name,
        "scope": source.emitter.scope,
        "amount": float(in_uom(source.amount[number], 1.0, 0.0)),
        "uom": source.uom,
        "co2_t": float(in_uom(source.emitted[number], TONNE, 0.0)),
        "co2_ci_t": float(in_uom(source.ci[number], TONNE, 0.0)),
        "reason": source.reason[number],
    }


def _factor(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the reference table as it leaves: its figures as texts, its provenance."""
    apart = {*PROVENANCE, "name", "carriers", "evidence"}
    figures = {key: str(value) for key, value in row.items() if key not in apart}
    provenance = {key: row.get(key) for key in PROVENANCE}
    return {"of": name, "figures": figures} | provenance
