"""Energy of a scope: per tonne of each product and in total, and what each electrolyser takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from api import schema_scopes
from api.context import world
from api.encode import in_uom, json_answer
from api.problems import RESPONSES
from api.sums import TONNE, elapsed_s, read_pairs, read_sums, tags_of
from api.windows import Hourly, Question, trust
from twin.accounts.accounts import Account
from twin.arrays import F64, I64
from twin.energy.benchmarks import find_marks, position
from twin.energy.circuits import Pair, circuit, own_meter
from twin.energy.consumption import Basis, coal_equivalent, electricity_row, intensity
from twin.energy.electrolysis import standing_voltage
from twin.model.park import inside
from twin.reconciliation.uncertainty import half_width, weights
from twin.reference import load as load_reference
from twin.series import windows as w
from twin.uom import compile_uom, from_si, parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.sums import Pairs, Sums
    from twin.energy.circuits import Figure
    from twin.model.park import Electrolyser

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES)

BasisChoice = Annotated[
    Literal["equivalent", "equal"],
    Query(description="electricity in coal equivalent: by its heat (当量) or as made (等价)"),
]
ENERGY_ITEMS = ("mass", "electricity", "coal_equivalent")
KWH = compile_uom("kWh", "energy")[0]
KGCE = compile_uom("kgce", "energy")[0]
DENSITY = compile_uom("kA/m^2", "current_density")[0]


@router.get("/{path:path}/energy", response_model=schema_scopes.Energy)
async def energy(request: Request, asked: Hourly, basis: BasisChoice = "equivalent") -> Response:
    """Return the energy of a scope, per tonne of each product and in total: ratios of sums."""
    here, network, path = world(request), asked.network, asked.scope
    products = dict.fromkeys(
        a.subject for a in network.accounts if a.scope == path and a.item in ENERGY_ITEMS
    )
    accounts = [Account(path, product, item) for product in products for item in ENERGY_ITEMS]
    sums = await read_sums(here, network, tags_of(network, accounts), asked.window, asked.edges)
    zone = ZoneInfo(network.park.timezone)
    years = np.array([w.local(edge, zone).year for edge in asked.edges[:-1].tolist()])
    items = [row for product in products for row in energy_rows(asked, sums, product, basis, years)]
    items.sort(key=lambda row: row["start"])
    body = {"scope": path, "window": asked.window, "basis": basis, "items": items}
    factors = _factors(basis, sorted({int(year) for year in years}))
    references = _references(products)
    return json_answer({**body, "electricity": factors, "references": references, "next": None})


def _factors(basis: Basis, years: list[int]) -> list[dict[str, Any]]:
    """Return the coal equivalent of electricity with its provenance; the equal value by year."""
    found: list[dict[str, Any]] = []
    for year in years if basis == "equal" else [None]:
        row = electricity_row(basis, year or 0)
        kgce = from_si(parse_quantity(row["factor"], "fraction"), "kgce/kWh", "fraction")
        keys = ("standard", "confidence", "verified")
        known = {key: row[key] for key in keys} | {"note": row.get("note", row.get("clause", ""))}
        found.append({"year": year, "kgce_per_kwh": round(kgce, 6), **known})
    return found


def _references(products: Iterable[str]) -> list[dict[str, Any]]:
    """Return benchmarks and baselines of products; what nobody knows is left out."""
    keys = ("product", "index", "benchmark", "baseline", "standard", "edition", "confidence")
    return [
        {**{key: row[key] for key in keys}, "name": row["name"], "verified": row["verified"]}
        for row in load_reference("benchmarks")["benchmark"]
        if row["product"] in products and "benchmark" in row
    ]


def energy_rows(
    asked: Question, sums: Sums, product: str, basis: Basis, years: I64
) -> list[dict[str, Any]]:
    """Return the rows of one product, or of the total: that has no mass."""
    accounts = [Account(asked.scope, product, item) for item in ENERGY_ITEMS]
    mass, electricity, coal = (sums.total(account) for account in accounts)
    if accounts[1] in asked.network.accounts:
        coal = coal_equivalent(coal, electricity, basis, years)
    known = [a for a in accounts if a in asked.network.accounts]
    weighed, used, heat = (weights(asked.network, {account: 1.0}) for account in accounts)
    # What the basis adds for electricity differs from year to year.
    added = coal_equivalent(np.zeros(len(years)), np.ones(len(years)), basis, years)
    heat = heat + added[:, None] * used
    return asked.rows(
        {
            "product": product,
            "mass_t": in_uom(mass, TONNE, 0.0),
            "energy_kwh": in_uom(electricity, KWH, 0.0),
            "energy_kgce": in_uom(coal, KGCE, 0.0),
            "kwh_per_t": in_uom(intensity(electricity, mass), KWH / TONNE, 0.0),
            "kwh_per_t_ci": in_uom(sums.ratio_ci(product, used, weighed), KWH / TONNE, 0.0),
            "kgce_per_t": in_uom(intensity(coal, mass), KGCE / TONNE, 0.0),
            "kgce_per_t_ci": in_uom(sums.ratio_ci(product, heat, weighed), KGCE / TONNE, 0.0),
            "position": _position(product, basis, intensity(electricity, mass), coal, mass),
            **trust(asked, sums, known),
        }
    )


def _position(product: str, basis: Basis, electric: F64, coal: F64, mass: F64) -> list[str] | None:
    """Return where the product stands; None where nothing is known to compare it with."""
    marks = find_marks(product, "kgce_per_t")
    if marks is not None:
        # A benchmark in coal equivalent counts electricity by its heat.
        matches = basis == "equivalent"
        return [str(p) for p in position(intensity(coal, mass), marks)] if matches else None
    marks = find_marks(product, "kwh_per_t")
    return None if marks is None else [str(p) for p in position(electric, marks)]


@router.get("/{path:path}/electrolysers", response_model=schema_scopes.Electrolysers)
async def electrolysers(request: Request, asked: Hourly) -> Response:
    """Return voltage, current density, direct current per tonne and K of each electrolyser."""
    here, network, path = world(request), asked.network, asked.scope
    cells = [cell for cell in network.park.electrolysers if inside(cell.scope, path)]
    tags = np.unique([network.index[name] for cell in cells for name in _tags(asked, cell)])
    sums = await read_sums(here, network, tags.astype(np.int64), asked.window, asked.edges)
    current = np.array([network.index[c.current] for c in cells], dtype=np.int64)
    # Without a voltage there is still a current: it stands in, and its product is not used.
    other = np.array([network.index[c.voltage or c.current] for c in cells], dtype=np.int64)
    pairs = await read_pairs(here, network, current, other, asked.edges)
    items = [row for n, cell in enumerate(cells) for row in _cell_rows(asked, sums, pairs, n, cell)]
    items.sort(key=lambda row: row["start"])
    rows = load_reference("electrolysis")["standing_voltage"]
    used = [(kind, rows[kind]) for kind in sorted({c.kind for c in cells} & set(rows))]
    keys = ("source", "confidence", "verified")
    standing = [
        {"kind": kind, "v": standing_voltage(kind), **{key: row[key] for key in keys}}
        for kind, row in used
    ]
    body = {"scope": path, "window": asked.window, "items": items, "standing_voltage": standing}
    return json_answer({**body, "next": None})


def _tags(asked: Question, cell: Electrolyser) -> list[str]:
    """Return the addresses of the tags the figures of an electrolyser rest on."""
    found = (cell.current, cell.voltage, own_meter(asked.network.park, cell))
    return [address for address in found if address]


def _cell_rows(
    asked: Question, sums: Sums, pairs: Pairs, n: int, cell: Electrolyser
) -> list[dict[str, Any]]:
    """Return the rows of one electrolyser; its means are weighted by the charge."""
    network = asked.network
    at = np.searchsorted(sums.tags, [network.index[address] for address in _tags(asked, cell)])
    pair = Pair(pairs.first[:, n], pairs.product[:, n], pairs.square[:, n])
    found = circuit(network, cell, pair, *sums.of_all())
    method = "minute_means" if cell.voltage else None
    covered_s, elapsed = sums.covered_s[:, at], elapsed_s(asked.edges, asked.expected_us)
    share, each = w.completeness(covered_s, elapsed), w.shares(covered_s, elapsed)
    known = np.asarray(~np.isnan(sums.amount[:, at]).any(axis=1))
    return asked.rows(
        {
            "electrolyser": cell.id,
            "kind": cell.kind,
            **_stated("cell_voltage_v", "cell_voltage_ci_v", found.voltage, 1.0),
            **_stated("current_density_ka_m2", "current_density_ci_ka_m2", found.density, DENSITY),
            **_stated("product_t", "product_ci_t", found.product, TONNE),
            **_stated("dc_kwh_per_t", "dc_kwh_per_t_ci", found.energy, KWH / TONNE),
            "method": "dc_meter" if own_meter(network.park, cell) else method,
            **_stated("k_v_m2_ka", "k_ci_v_m2_ka", found.k, 1.0 / DENSITY),
            "completeness": in_uom(share, 1.0, 0.0),
            "quality": w.grade(sums.quality[:, at], each, known),
        }
    )


def _stated(name: str, ci_name: str, figure: Figure, scale: float) -> dict[str, F64]:
    """Return a figure and the half width of its interval."""
    ci = np.where(np.isnan(figure.value), np.nan, half_width(figure.sigma))
    return {name: in_uom(figure.value, scale, 0.0), ci_name: in_uom(ci, scale, 0.0)}
