"""Energy of a scope: per tonne of each product and in total, and of each electrolyser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field

from api.answers import HalfWidth, Name, Number, Provenance, WindowAnswer, WindowRow, record
from api.calculation.pool import CalculationRoute
from api.context import AppContext
from api.encode import ONE, TONNE, Uom, out
from api.problems import RESPONSES
from api.sums import PairSums, Sums, read_pairs, read_sums, tags_of
from api.windows import Hourly
from twin.accounts.accounts import Account
from twin.accounts.network import Network
from twin.arrays import F64
from twin.energy.benchmarks import find_marks, position
from twin.energy.circuits import Estimate, Pair, circuit, own_meter
from twin.energy.consumption import Basis, coal_equivalent, electricity_row, intensity
from twin.energy.electrolysis import zero_current_voltage
from twin.model.park import Electrolyser, inside
from twin.reconciliation.uncertainty import half_width, weights
from twin.reference import load as load_reference
from twin.uom import compile_uom, from_si, parse_quantity

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

BasisChoice = Annotated[
    Basis,
    Query(description="electricity in coal equivalent: by its heat (当量) or as made (等价)"),
]
ENERGY_ITEMS = ("mass", "electricity", "coal_equivalent")
KWH = compile_uom("kWh", "energy")
KGCE = compile_uom("kgce", "energy")
KWH_PER_T = compile_uom("kWh/t", "intensity")
KGCE_PER_T = compile_uom("kgce/t", "intensity")
KA_PER_M2 = compile_uom("kA/m^2", "current_density")
V_M2_PER_KA = (1.0 / KA_PER_M2[0], 0.0)


class EnergyRow(WindowRow):
    """Energy of one product, or of all together (``total``), in one window."""

    product: str
    mass_t: Number
    energy_kwh: Number
    energy_kgce: Number
    kwh_per_t: Number
    kwh_per_t_ci: HalfWidth
    kgce_per_t: Number
    kgce_per_t_ci: HalfWidth
    position: Annotated[
        str | None,
        Field(
            description="against benchmark and baseline; undecided where the interval of the figure"
            " has one of them in it"
        ),
    ]


class ElectricityFactor(Provenance):
    """Electricity in coal equivalent, with its provenance; the year of an equal value."""

    year: int | None
    kgce_per_kwh: float
    standard: str
    note: str


class BenchmarkReference(Provenance):
    """A benchmark (标杆) and a baseline (基准) with their provenance."""

    product: str
    index: Literal["kgce_per_t", "kwh_per_t"]
    benchmark: float
    baseline: float
    standard: str
    edition: str
    name: Name


class EnergyAnswer(WindowAnswer):
    """Energy per tonne of product."""

    basis: str
    items: list[EnergyRow]
    electricity: list[ElectricityFactor]
    references: list[BenchmarkReference]


class ElectrolyserRow(WindowRow):
    """An electrolyser in one window; voltage and current density are weighted by the charge.

    method: ``dc_meter``, or ``minute_means`` where the energy is the sum of the products of the
    mean voltage and the mean current of each minute.
    """

    electrolyser: str
    kind: str
    cell_voltage_v: Number
    cell_voltage_ci_v: HalfWidth
    current_density_ka_m2: Number
    current_density_ci_ka_m2: HalfWidth
    product_t: Number
    product_ci_t: HalfWidth
    dc_kwh_per_t: Number
    dc_kwh_per_t_ci: HalfWidth
    method: str | None
    k_v_m2_ka: Number
    k_ci_v_m2_ka: Annotated[Number, Field(description="half width, 95 %, at this U0")]


class ZeroCurrentVoltage(Provenance):
    """The voltage at no current that K counts from."""

    kind: str
    v: float
    source: str


class ElectrolyserAnswer(WindowAnswer):
    """The electrolysers of a scope."""

    items: list[ElectrolyserRow]
    zero_current_voltage: list[ZeroCurrentVoltage]


@router.get("/{path:path}/energy")
async def read_energy(
    context: AppContext, query: Hourly, basis: BasisChoice = "equivalent"
) -> EnergyAnswer:
    """Return the energy of a scope, per tonne of each product and in total: ratios of sums."""
    network, path = query.network, query.scope
    products = dict.fromkeys(
        a.subject for a in network.accounts if a.scope == path and a.item in ENERGY_ITEMS
    )
    accounts = [Account(path, product, item) for product in products for item in ENERGY_ITEMS]
    sums = await read_sums(context, query, tags_of(network, accounts))
    return query.answer(
        EnergyAnswer,
        [energy_rows(sums, product, basis) for product in products],
        basis=basis,
        electricity=_factors(basis, np.unique(query.years).tolist()),
        references=[
            record(BenchmarkReference, row)
            for row in load_reference("benchmarks")["benchmark"]
            if row["product"] in products and "benchmark" in row
        ],
    )


def _factors(basis: Basis, years: list[int]) -> list[ElectricityFactor]:
    """Return the coal equivalent of electricity with its provenance; the equal value by year."""
    factors: list[ElectricityFactor] = []
    for year in years if basis == "equal" else [None]:
        row = electricity_row(basis, year or 0)
        kgce = from_si(parse_quantity(row["factor"], "fraction"), "kgce/kWh", "fraction")
        stated = {"year": year, "kgce_per_kwh": round(kgce, 6)}
        note = row.get("note", row.get("clause", ""))
        factors.append(record(ElectricityFactor, row, **stated, note=note))
    return factors


def energy_rows(sums: Sums, product: str, basis: Basis) -> list[EnergyRow]:
    """Return the rows of one product, or of the total: that has no mass."""
    network, years = sums.network, sums.query.years
    accounts = [Account(sums.query.scope, product, item) for item in ENERGY_ITEMS]
    mass, electricity, coal = (sums.total(account) for account in accounts)
    if accounts[1] in network.accounts:
        coal = coal_equivalent(coal, electricity, basis, years)
    known = [a for a in accounts if a in network.accounts]
    weighed, used, heat = (weights(network, {account: 1.0}) for account in accounts)
    per_mass, width = intensity(electricity, mass), sums.ratio_ci(product, used, weighed)
    # What the basis adds for electricity differs from year to year.
    added = coal_equivalent(np.zeros(len(years)), np.ones(len(years)), basis, years)
    heat = heat + added[:, None] * used
    coal_per_mass, coal_width = intensity(coal, mass), sums.ratio_ci(product, heat, weighed)
    figures = {"kwh_per_t": (per_mass, width), "kgce_per_t": (coal_per_mass, coal_width)}
    return sums.query.rows(
        EnergyRow,
        {
            "product": product,
            "mass_t": out(mass, TONNE),
            "energy_kwh": out(electricity, KWH),
            "energy_kgce": out(coal, KGCE),
            "kwh_per_t": out(per_mass, KWH_PER_T),
            "kwh_per_t_ci": out(width, KWH_PER_T),
            "kgce_per_t": out(coal_per_mass, KGCE_PER_T),
            "kgce_per_t_ci": out(coal_width, KGCE_PER_T),
            "position": _position(product, basis, figures),
            **sums.trust(sums.columns(known), sums.known(known)),
        },
    )


def _position(
    product: str, basis: Basis, figures: Mapping[str, tuple[F64, F64]]
) -> list[str] | None:
    """Return the position against the benchmark of a product (W,); None without a benchmark.

    `figures` (W,) [J/kg] are the intensities by their index, each with half its interval.
    """
    for index in ("kgce_per_t", "kwh_per_t"):
        marks = find_marks(product, index)
        if marks is not None:
            # A benchmark in coal equivalent counts electricity by its heat.
            if index == "kgce_per_t" and basis != "equivalent":
                return None
            value, half_width = figures[index]
            return [str(p) for p in position(value, marks, half_width)]
    return None


@router.get("/{path:path}/electrolysers")
async def read_electrolysers(context: AppContext, query: Hourly) -> ElectrolyserAnswer:
    """Return voltage, current density, direct current per tonne and K of each electrolyser."""
    network, path = query.network, query.scope
    cells = [cell for cell in network.park.electrolysers if inside(cell.scope, path)]
    tags = [network.index[name] for cell in cells for name in _tags(network, cell)]
    sums = await read_sums(context, query, np.unique(tags).astype(np.int64))
    current = np.array([network.index[c.current] for c in cells], dtype=np.int64)
    # Without a voltage there is still a current: it stands in, and its product is not used.
    other = np.array([network.index[c.voltage or c.current] for c in cells], dtype=np.int64)
    pairs = await read_pairs(context, query, current, other)
    voltages = load_reference("electrolysis")["zero_current_voltage"]
    return query.answer(
        ElectrolyserAnswer,
        [_cell_rows(sums, pairs, n, cell) for n, cell in enumerate(cells)],
        zero_current_voltage=[
            record(ZeroCurrentVoltage, voltages[kind], kind=kind, v=zero_current_voltage(kind))
            for kind in sorted({cell.kind for cell in cells} & set(voltages))
        ],
    )


def _tags(network: Network, cell: Electrolyser) -> list[str]:
    """Return the addresses of the tags the figures of an electrolyser rest on."""
    addresses = (cell.current, cell.voltage, own_meter(network.park, cell))
    return [address for address in addresses if address]


def _cell_rows(sums: Sums, pairs: PairSums, n: int, cell: Electrolyser) -> list[ElectrolyserRow]:
    """Return the rows of one electrolyser; its means are weighted by the charge."""
    network = sums.network
    at = np.searchsorted(sums.tags, [network.index[name] for name in _tags(network, cell)])
    pair = Pair(pairs.first[:, n], pairs.product[:, n], pairs.square[:, n])
    result = circuit(network, cell, pair, *sums.of_all())
    method = "minute_means" if cell.voltage else None
    return sums.query.rows(
        ElectrolyserRow,
        {
            "electrolyser": cell.id,
            "kind": cell.kind,
            **_stated("cell_voltage{}_v", result.voltage, ONE),
            **_stated("current_density{}_ka_m2", result.density, KA_PER_M2),
            **_stated("product{}_t", result.product, TONNE),
            **_stated("dc_kwh_per_t{}", result.energy, KWH_PER_T),
            "method": "dc_meter" if own_meter(network.park, cell) else method,
            **_stated("k{}_v_m2_ka", result.k, V_M2_PER_KA),
            **sums.trust(at, np.asarray(~np.isnan(sums.amount[:, at]).any(axis=1))),
        },
    )


def _stated(name: str, figure: Estimate, uom: Uom) -> dict[str, F64]:
    """Return a figure and the half width of its interval, whose name has `_ci` in the gap."""
    ci = np.where(np.isnan(figure.value), np.nan, half_width(figure.sigma))
    return {name.format(""): out(figure.value, uom), name.format("_ci"): out(ci, uom)}
