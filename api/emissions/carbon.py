"""Greenhouse gases of a scope over windows, from its meters and the factors of a year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Given,
    Number,
    Provenance,
    Share,
    WindowRow,
    formula,
    record,
    records,
)
from api.context import Context
from api.encode import TONNE, number, out
from api.joint import read_joint
from api.reconciled import (
    Basis,
    ReconciledAmount,
    basis_of,
    covered_by,
    no_amount,
    read_amounts,
)
from api.sums import Sums, read_sums
from api.windows import WindowQuery
from twin.arrays import F64, ratio
from twin.emissions import carbon
from twin.emissions.green_power import (
    GreenCover,
    GreenPower,
    covered_energy,
    green_cover,
    green_scopes,
)
from twin.emissions.sources import EmissionSource, emission_sources
from twin.model.park import inside
from twin.reconciliation.uncertainty import half_width
from twin.reference import load as load_reference
from twin.uom import compile_uom

# Units of the activities by their quantity.
UOMS = {"energy": "MWh", "mass": "t", "normal_volume": "m^3"}
HEAT_UOM = "GJ"
# These are measured: what was bought and sold of them is more than one amount.
TRADED = ("electricity", "heat")
MWH = compile_uom("MWh", "energy")
# Columns of a factor that are no figures.
WORDS = (
    "standard", "source", "note", "year", "region", "method", "confidence", "verified", "name",
    "carriers", "evidence", "material",
)  # fmt: skip

MetersHalfWidth = Annotated[
    Number,
    formula("half width, 95 %, of what the meters add; the factors are taken as exact"),
]


class CarbonSource(TypedDict):
    """The emission of one source in a window; scope -1 is captured, or bound in a product."""

    source: Annotated[str, Field(description="carrier, process, or id of a row of [[carbon]]")]
    kind: Annotated[
        str,
        Field(
            description="fuel, electricity, heat, unknown, process, received (carbon dioxide),"
            " captured, product"
        ),
    ]
    scope: int
    amount: Annotated[
        Number, formula("net: what came in less what went out, sums of the amounts of its meters")
    ]
    purchased: Annotated[
        Number, formula("sum of the meters of what is bought, of electricity and heat")
    ]
    sold: Annotated[Number, formula("sum of the meters of what is sold, of electricity and heat")]
    uom: str
    co2_t: Annotated[
        Number,
        formula(
            "amount * factor of the source, as in `factors`; fuels: heating value * carbon "
            "content * oxidation * 44/12"
        ),
    ]
    co2_ci_t: MetersHalfWidth
    values: Annotated[Basis, Field(description="what the amount stands on")]
    factor_year: Annotated[int | None, Field(description="of the factor of electricity")]
    factor_stands_in: Annotated[
        bool, Field(description="that is another year than the window's: none is published for it")
    ]
    reason: Annotated[str, Field(description="why it is not known, or which factor stands in")]


class CarbonRow(WindowRow):
    """Scope 1 and 2 of one window; scope 2 as chosen, and beside it by the market.

    By the market green power has no emission, and what it does not cover takes the factor without
    the non-fossil electricity that was traded. Where some energy or carbon leaves, all figures are
    those of the time in which all meters are covered, else what was measured.
    """

    scope1_t: Annotated[
        Number, formula("sum of the sources of scope 1, less what is captured or bound")
    ]
    scope1_ci_t: MetersHalfWidth
    scope2_t: Annotated[
        Number, formula("(bought - sold) * factor, of electricity and heat, as chosen")
    ]
    scope2_ci_t: MetersHalfWidth
    total_t: Annotated[Number, formula("scope 1 + scope 2")]
    total_ci_t: MetersHalfWidth
    scope2_market_t: Annotated[
        Number, formula("(bought - sold - green power) * residual factor, heat as by location")
    ]
    scope2_market_ci_t: MetersHalfWidth
    total_market_t: Annotated[Number, formula("scope 1 + scope 2 by the market")]
    total_market_ci_t: MetersHalfWidth
    green_mwh: Annotated[
        Number,
        formula(
            "contracts and certificates of green power, spread over their days, at most "
            "what was bought"
        ),
    ]
    green_share: Annotated[Share, formula("green power / electricity bought")]
    reason: Annotated[str, Field(description="why nothing is known")]
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


class GreenPowerRow(TypedDict):
    """A contract or certificates of green power; both days are included."""

    id: str
    scope: str
    kind: str
    first: str
    last: str
    energy_mwh: Given[Number]
    share: Given[Share]
    tag: str | None
    source: str
    note: str


class CarbonAnswer(TypedDict):
    """Greenhouse gases of the scope; electricity by region and method.

    A factor of a year without one is the newest before it; `factor_stands_in` marks it.
    """

    region: str
    method: str
    items: list[CarbonRow]
    factors: list[CarbonFactor]
    available: list[CarbonFactor]
    green_power: list[GreenPowerRow]


@dataclass(frozen=True, slots=True)
class GridChoice:
    """The factor of bought electricity that is wanted."""

    region: str
    method: str
    year: int | None  # None = that of each window


@dataclass(frozen=True, slots=True)
class SourceSums:
    """One source of the account in W windows, (W,)."""

    emitter: EmissionSource
    uom: str
    amount: F64  # in `uom`
    sold: F64  # in `uom`; what of it was bought is the rest
    factor: F64  # [kg/SI]
    emitted: F64  # [kg]; NaN = not known
    ci: F64  # [kg]
    on: ReconciledAmount  # of the amount [SI]
    grid: list[carbon.GridFactor]  # of electricity, by window
    reason: list[str]  # empty where it is known, by a factor of its year
    rows: list[dict[str, Any]]  # of the reference table


@dataclass(frozen=True, slots=True)
class Cover:
    """The green power of one scope, in W windows."""

    scope: str
    cover: GreenCover
    bought: F64  # (T,) weights of the electricity bought there
    delivered: F64  # (W, T) weights of the meters of deliveries


@dataclass(frozen=True, slots=True)
class Market:
    """Scope 2 by the market in W windows, (W,)."""

    emitted: F64  # [kg]; NaN = not known
    weight: F64  # (W, T) [kg/SI] of the tags
    green: F64  # [J]
    share: F64  # [1] of what was bought
    rows: list[dict[str, Any]]  # of the reference table


async def read_carbon(
    context: Context, query: WindowQuery, choice: GridChoice, values: Basis
) -> CarbonAnswer:
    """Return scope 1 and 2 of each window, their sources and factors; raises StoreError."""
    network, count = query.network, len(query.edges) - 1
    active, covers = emission_sources(network, query.scope), _covers(query)
    used = np.any([np.zeros(len(network.tags)), *(e.activity for e in active)], axis=0)
    more = [(c.bought != 0) | (c.delivered != 0).any(axis=0) for c in covers]
    measured = await read_sums(context, query, np.flatnonzero(np.any([used, *more], axis=0)))
    (joint,) = await read_joint(context, measured, [measured.tags])
    # What comes in less what leaves is a balance: it is that of the time all meters are covered.
    is_balance = any((e.weight < 0).any() or (e.activity < 0).any() for e in active)
    sums = joint.enough_sums() if is_balance else measured
    wanted = {str(n): e.activity for n, e in enumerate(active) if e.kind not in TRADED}
    amounts = await read_amounts(context, query, values, wanted)
    # What leaves is that of the time in which all meters are covered.
    amounts = {n: covered_by(on, joint) if is_balance else on for n, on in amounts.items()}
    nothing = no_amount(count)
    sources = [
        _source(sums, emitter, choice, amounts.get(str(n), nothing))
        for n, emitter in enumerate(active)
    ]
    market = _market(sums, sources, covers, choice)
    rows = {(s.emitter.name, str(row)): (s.emitter.name, row) for s in sources for row in s.rows}
    rows |= {("electricity", str(row)): ("electricity", row) for row in market.rows}
    lines = [_lines(source, count) for source in sources]
    unknown = [np.zeros(count, bool), *(np.isnan(source.amount) for source in sources)]
    known = ~np.any(unknown, axis=0)
    columns = {
        **_totals(sums, sources, market),
        "green_mwh": out(market.green, MWH),
        "green_share": out(market.share),
        "sources": [list(each) for each in zip(*lines, strict=True)],
        "reason": joint.reasons(np.where(known, 0.0, np.nan)),
        **(
            joint.trust(known)
            if is_balance
            else sums.trust(np.searchsorted(sums.tags, np.flatnonzero(used)), known)
        ),
    }
    return {
        "region": choice.region,
        "method": choice.method,
        "items": query.rows(CarbonRow, columns) if sources else [],
        "factors": [factor_row(name, row) for name, row in rows.values()],
        "available": [factor_row("electricity", row) for row in load_reference("carbon")["grid"]],
        "green_power": _green_rows(query),
    }


def _totals(sums: Sums, sources: list[SourceSums], market: Market) -> dict[str, F64]:
    """Return the columns (W,) of the scopes and of their totals, in t."""
    nothing = np.zeros(len(sums.amount))
    known = {
        scope: sum((s.emitted for s in sources if s.emitter.scope == scope), nothing)
        for scope in (1, 2, -1)
    }
    power = sum((s.emitted for s in sources if s.emitter.kind == "electricity"), nothing)
    heat = sum((s.emitted for s in sources if s.emitter.kind == "heat"), nothing)
    total = carbon.footprint(known[1], nothing, power, heat, known[-1])
    traded = carbon.footprint(known[1], nothing, market.emitted, heat, known[-1])
    others = [s for s in sources if s.emitter.kind != "electricity"]
    columns: dict[str, F64] = {}
    for name, scopes in (("scope1", (1, -1)), ("scope2", (2,)), ("total", (1, 2, -1))):
        columns[f"{name}_t"] = out(getattr(total, name), TONNE)
        columns[f"{name}_ci_t"] = out(_ci(sums, sources, scopes), TONNE)
        if name != "scope1":
            columns[f"{name}_market_t"] = out(getattr(traded, name), TONNE)
            ci = _ci(sums, others, scopes, market.weight)
            columns[f"{name}_market_ci_t"] = out(ci, TONNE)
    return columns


def _source(
    sums: Sums, emitter: EmissionSource, choice: GridChoice, on: ReconciledAmount
) -> SourceSums:
    """Return the emission of one source in each window."""
    count = len(sums.amount)
    factor, reason = np.full(count, emitter.factor), [""] * count
    rows, grid = ([emitter.row] if emitter.row else []), list[carbon.GridFactor]()
    if emitter.kind == "electricity":
        grid = grid_factors(sums.query, choice)
        factor, reason = np.array([f.value for f in grid]), [f.reason for f in grid]
        rows = [f.row for f in grid if f.row]
    elif emitter.kind == "unknown":
        reason = [f"there is no carbon content of {emitter.name}"] * count
    # Heat, and fuels by their measured heating value, in GJ; electricity in MWh.
    is_heat = emitter.quantity == "energy" and emitter.kind != "electricity"
    uom = HEAT_UOM if is_heat else UOMS[emitter.quantity]
    scale = compile_uom(uom, emitter.quantity)[0]
    amount = np.where(on.stands, on.value, sums.weigh(emitter.activity))
    # What no meter of sold energy shows has left where the balance is below 0.
    sold = sums.weigh(emitter.sold)
    sold = sold + np.maximum(-(amount + sold), 0.0)
    width = np.where(on.stands, half_width(on.sigma), sums.ci("aluminium", emitter.activity))
    emitted, ci = amount * factor, factor * width
    return SourceSums(
        emitter, uom, amount / scale, sold / scale, factor, emitted, ci, on, grid, reason, rows
    )


def grid_factors(query: WindowQuery, choice: GridChoice) -> list[carbon.GridFactor]:
    """Return the factor of bought electricity in each window."""
    years = _years(query, choice)
    return [carbon.grid_factor(year, choice.region, choice.method) for year in years]


def _years(query: WindowQuery, choice: GridChoice) -> list[int]:
    """Return the year whose factor each window takes: that it begins in, unless one was chosen."""
    years = query.years.tolist()
    return [choice.year] * len(years) if choice.year else years


def _weight(sums: Sums, sources: list[SourceSums], scopes: tuple[int, ...]) -> F64:
    """Return the weights (W, T) [kg/SI] of the tags in a sum of sources as they were measured."""
    weight = np.zeros((len(sums.amount), len(sums.network.tags)))
    for s in (s for s in sources if s.emitter.scope in scopes):
        used, sign = s.emitter.activity != 0, -1.0 if s.emitter.scope == -1 else 1.0
        factor = np.where(s.on.stands, 0.0, s.factor)
        weight[:, used] += sign * factor[:, None] * s.emitter.activity[used]
    return weight


def _ci(
    sums: Sums, sources: list[SourceSums], scopes: tuple[int, ...], more: F64 | float = 0.0
) -> F64:
    """Return half the interval of a sum of sources and more weights [kg], (W,).

    NaN without any source.
    """
    if not np.any(more) and not any(s.emitter.scope in scopes for s in sources):
        return np.full(len(sums.amount), np.nan)
    mine = [s for s in sources if s.emitter.scope in scopes]
    # Reconciled amounts share their meters: together they err by the sum at most.
    closed = sum((np.where(s.on.stands, s.ci, 0.0) for s in mine), np.zeros(len(sums.amount)))
    return np.hypot(sums.ci("aluminium", _weight(sums, sources, scopes) + more), closed)


def _covers(query: WindowQuery) -> list[Cover]:
    """Return the green power that counts in the scope of a query."""
    network = query.network
    until_us = min(int(query.edges[-1]), query.expected_us)
    covers: list[Cover] = []
    for scope in green_scopes(network.park, query.scope):
        cover = green_cover(network.park, scope, query.edges, until_us)
        delivered = np.zeros((len(query.edges) - 1, len(network.tags)))
        for tag, part in cover.tags.items():
            delivered[:, network.index[tag]] += part
        bought = next(
            (s.activity for s in emission_sources(network, scope) if s.kind == "electricity"),
            np.zeros(len(network.tags)),
        )
        covers.append(Cover(scope, cover, bought, delivered))
    return covers


def _market(
    sums: Sums, sources: list[SourceSums], covers: list[Cover], choice: GridChoice
) -> Market:
    """Return the emission of bought electricity by the market.

    Green power of a wider scope counts in proportion to the electricity.
    """
    count, nothing = len(sums.amount), np.zeros((len(sums.amount), len(sums.network.tags)))
    power = next((s.emitter for s in sources if s.emitter.kind == "electricity"), None)
    if power is None:
        unknown = np.full(count, np.nan)
        return Market(np.zeros(count), nothing, unknown, unknown, [])
    grid = [carbon.market_factor(year, choice.region) for year in _years(sums.query, choice)]
    factor = np.array([f.value for f in grid])
    bought = sums.weigh(power.activity)
    green, slope = np.zeros(count), nothing
    for c in covers:
        whole, delivered = sums.weigh(c.bought), sums.weigh(c.delivered)
        energy = covered_energy(c.cover, whole, delivered)
        moved = c.cover.share[:, None] * c.bought + c.delivered
        moved = np.where((energy < whole)[:, None], moved, c.bought)
        if c.scope != sums.query.scope and inside(sums.query.scope, c.scope):
            part = ratio(energy, whole)
            energy, moved = part * bought, part[:, None] * power.activity
        green, slope = green + energy, slope + moved
    full = green >= bought
    green = np.minimum(green, np.maximum(bought, 0.0))
    slope = np.where(full[:, None], power.activity, slope)
    weight = np.where(power.activity != 0, factor[:, None] * (power.activity - slope), 0.0)
    rows = [f.row for f in grid if f.row]
    return Market(factor * (bought - green), weight, green, ratio(green, bought), rows)


def _green_rows(query: WindowQuery) -> list[GreenPowerRow]:
    """Return the contracts and certificates that count in the scope of a query."""
    park = query.network.park
    scopes = green_scopes(park, query.scope)
    return [
        record(GreenPowerRow, row, energy_mwh=number(row.energy, MWH), tag=row.tag or None,
               share=number(row.share), first=str(row.first), last=str(row.last))
        for row in park.rows(GreenPower)
        if row.scope in scopes
    ]  # fmt: skip


def _lines(source: SourceSums, count: int) -> list[CarbonSource]:
    """Return one source in each window."""
    traded = source.emitter.kind in TRADED
    columns = {
        "source": source.emitter.name,
        "kind": source.emitter.kind,
        "scope": source.emitter.scope,
        "amount": out(source.amount),
        "purchased": out(source.amount + source.sold) if traded else None,
        "sold": out(source.sold) if traded else None,
        "uom": source.uom,
        "co2_t": out(source.emitted, TONNE),
        "co2_ci_t": out(source.ci, TONNE),
        "values": basis_of(source.on.stands),
        "factor_year": [f.row.get("year") for f in source.grid] or None,
        "factor_stands_in": [f.stands_in for f in source.grid] or False,
        "reason": source.reason,
    }
    return records(CarbonSource, count, columns)


def factor_row(name: str, row: dict[str, Any]) -> CarbonFactor:
    """Return a row of the reference table as it leaves: its figures as texts, its provenance."""
    figures = {key: str(value) for key, value in row.items() if key not in WORDS}
    known = dict.fromkeys(CarbonFactor.__annotations__) | row
    return record(CarbonFactor, known, of=name, figures=figures)
