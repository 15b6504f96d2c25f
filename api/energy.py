"""Energy of a scope: per tonne of each product and in total, and of each electrolyser."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Cursor,
    Given,
    HalfWidth,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Share,
    WindowAnswer,
    WindowRow,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext, Context, time_range
from api.encode import KWH, ONE, TONNE, Uom, number, out, rfc3339
from api.joint import Joint, read_joint
from api.parameters import From, To
from api.problems import RESPONSES
from api.reconciled import (
    Intensity,
    ReconciledAmount,
    ReconciledColumns,
    StandsOn,
    Values,
    covered_by,
    per_amount,
    read_amounts,
    stand_on,
)
from api.sums import PairSums, Sums, read_pairs, read_sums, tags_of
from api.windows import Hourly, ScopePath, WindowQuery, parse_query
from twin.accounts.accounts import Account
from twin.accounts.network import Network
from twin.arrays import BOOL, DAY_S, DAY_US, F64, SECOND_US, ratio
from twin.energy.benchmarks import find_marks, find_row, position
from twin.energy.circuits import (
    MAIN,
    Estimate,
    Pair,
    circuit,
    mean_uncertainty,
    own_meter,
    product_weights,
)
from twin.energy.consumption import Basis, coal_equivalent, electricity_row
from twin.energy.efficiency import (
    UNDECIDED,
    CellEfficiency,
    MeteredCells,
    against_model,
    below_model,
    cell_efficiencies,
    combine,
    metered_cells,
    metered_efficiency,
    tags_of_meters,
)
from twin.energy.electrolysis import zero_current_voltage
from twin.energy.recoating import (
    NO_DATE,
    Slope,
    age,
    economic_life,
    reference_voltage,
    steady_days,
)
from twin.faraday import NAOH, mass_per_charge
from twin.model.park import Electrolyser, Park, inside
from twin.reconciliation.uncertainty import half_width, weights
from twin.reference import load as load_reference
from twin.series.gaps import gap_sigma
from twin.uom import compile_uom, from_si, parse_quantity

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

BasisChoice = Annotated[
    Basis,
    Query(description="electricity in coal equivalent: by its heat (当量) or as made (等价)"),
]
ENERGY_ITEMS = ("mass", "electricity", "coal_equivalent")
KGCE = compile_uom("kgce", "energy")
KWH_PER_T = compile_uom("kWh/t", "intensity")
KGCE_PER_T = compile_uom("kgce/t", "intensity")
KA_PER_M2 = compile_uom("kA/m^2", "current_density")
V_M2_PER_KA = (1.0 / KA_PER_M2[0], 0.0)
CNY_PER_KWH = compile_uom("CNY/kWh", "energy_price")
# What the voltage of an electrolyser is corrected for: columns of its row with a tag.
CORRECTED = ("temperature", "strength")
STEP = 1e-6  # of an amount, by which a slope is measured
AGEING_US, YEAR_S, AGES_S = 182 * DAY_US, 365.25 * DAY_S, 36525 * DAY_S


class EnergyRow(WindowRow):
    """Energy of one product, or of all together (``total``), in one window.

    Amounts are what was measured; energy per tonne is that of the time in which all its meters are
    covered, null below a share of the window. Completeness is that share for all meters of the row.
    """

    product: str
    values: StandsOn
    mass_t: Annotated[
        Number,
        formula(
            "mass of the product: sum of the amounts of its meters, reconciled where "
            "`values` says so"
        ),
    ]
    mass_completeness: Completeness
    energy_kwh: Annotated[
        Number,
        formula(
            "electricity used for the product: sum of the amounts of its meters, those that "
            "deliver to others subtracted"
        ),
    ]
    energy_kwh_completeness: Completeness
    energy_kgce: Annotated[
        Number,
        formula(
            "sum of the amounts of all carriers used for the product, each * its coal "
            "equivalent (GB/T 2589); steam by its enthalpy above the reference"
        ),
    ]
    energy_kgce_completeness: Completeness
    kwh_per_t: Annotated[Number, formula("electricity / mass, over their joint time")]
    kwh_per_t_ci: HalfWidth
    kwh_per_t_completeness: Completeness
    kgce_per_t: Annotated[
        Number,
        formula(
            "comprehensive energy / mass, over their joint time: carriers by their coal equivalent"
        ),
    ]
    kgce_per_t_ci: HalfWidth
    kgce_per_t_completeness: Completeness
    position: Annotated[
        str | None,
        Field(
            description="against benchmark and baseline; undecided where the interval of the figure"
            " has one of them in it, or too little is covered"
        ),
    ]
    reason: Annotated[str, Field(description="why energy per tonne is not known")]


class ElectricityFactor(Provenance):
    """Electricity in coal equivalent, with its provenance; the year of an equal value."""

    year: int | None
    kgce_per_kwh: Given[float]
    standard: str
    note: str


class BenchmarkReference(Provenance):
    """A benchmark (标杆) and a baseline (基准) with their provenance."""

    product: str
    index: Literal["kgce_per_t", "kwh_per_t"]
    benchmark: Given[float]
    baseline: Given[float]
    grade: Given[Annotated[Number, Field(description="least mass fraction it is for")]]
    applies: Annotated[bool, Field(description="to the grade the product has in this scope")]
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
    cell_voltage_v: Annotated[
        Number, formula("integral of voltage * current / integral of current / cells in series")
    ]
    cell_voltage_ci_v: HalfWidth
    current_density_ka_m2: Annotated[
        Number, formula("integral of current² / integral of current / area of a cell")
    ]
    current_density_ci_ka_m2: HalfWidth
    product_t: Annotated[
        Number,
        formula(
            "Faraday's law: charge * cells in series * current efficiency * molar mass / "
            "(electrons * F)"
        ),
    ]
    product_ci_t: HalfWidth
    dc_kwh_per_t: Annotated[
        Number,
        formula(
            "direct-current energy / mass of the product; energy by its meter, else the sum "
            "of voltage * current of each minute"
        ),
    ]
    dc_kwh_per_t_ci: HalfWidth
    method: str | None
    k_v_m2_ka: Annotated[
        Number, formula("(cell voltage - U0) / current density, U0 as in `zero_current_voltage`")
    ]
    k_ci_v_m2_ka: Annotated[Number, formula("half width, 95 %, at this U0")]
    current_efficiency: Annotated[
        Number, formula("mean of analysis and meters, weighted by 1 / variance")
    ]
    current_efficiency_ci: HalfWidth
    current_efficiency_analysis: Annotated[
        Share,
        formula(
            "1 - chlorine lost as oxygen, chlorate and hypochlorite, by the analysis of gas "
            "and anolyte (O'Brien et al. 2005, chapter 4)"
        ),
    ]
    current_efficiency_analysis_ci: HalfWidth
    current_efficiency_meters: Annotated[
        Number, formula("by what left the cells, over Faraday's law of the current")
    ]
    current_efficiency_meters_ci: HalfWidth
    current_efficiency_model: Given[
        Annotated[float, Field(description="the constant of the model")]
    ]
    efficiency_consistent: Annotated[
        bool | None, Field(description="whether analysis and meters agree; null without both")
    ]
    values: StandsOn
    efficiency_verdict: Annotated[
        str, Field(description="against the model: below, above, as_modelled or undecided")
    ]
    chlorine_below_model_t: Annotated[
        Number, formula("chlorine not made because the efficiency is below the model's")
    ]
    chlorine_below_model_ci_t: HalfWidth


class ZeroCurrentVoltage(Provenance):
    """The voltage at no current that K counts from."""

    kind: str
    v: Given[float]
    source: str


class ElectrolyserAnswer(WindowAnswer):
    """The electrolysers of a scope."""

    items: list[ElectrolyserRow]
    zero_current_voltage: list[ZeroCurrentVoltage]


class AgeingRow(TypedDict):
    """How an electrolyser ages, and when new coatings pay.

    The dates are null where something is not known, and `reason` says what: `no_coating_date`,
    `no_recoating_cost`, `no_energy_price`, `too_few_days`, `no_rise_of_the_energy`. Without a last
    date the rise of the energy cannot be told from none.
    """

    electrolyser: str
    days: Annotated[int, Field(description="that count: covered, and near the usual load")]
    corrected_for: Annotated[list[str], Field(description="temperature, strength")]
    efficiency_per_year: Annotated[
        Number,
        formula(
            "current efficiency: slope of the least-squares line through the days that "
            "count, * 365.25 d"
        ),
    ]
    efficiency_per_year_ci: HalfWidth
    k_per_year_v_m2_ka: Annotated[
        Number,
        formula(
            "(voltage at reference temperature and strength - U0) / current density: slope "
            "of the least-squares line through the days that count, * 365.25 d"
        ),
    ]
    k_per_year_ci_v_m2_ka: HalfWidth
    dc_kwh_per_t_per_year: Annotated[
        Number,
        formula(
            "voltage / (efficiency * mass per charge): slope of the least-squares line "
            "through the days that count, * 365.25 d"
        ),
    ]
    dc_kwh_per_t_per_year_ci: HalfWidth
    coated: Annotated[str | None, Field(description="`coated` of the model, else `commissioned`")]
    recoating_cost_cny: Given[Number]
    energy_price_cny_per_kwh: Given[Number]
    recoat_on: Annotated[str | None, Field(description="date at which the mean cost is least")]
    recoat_from: Annotated[str | None, Field(description="earliest date, of 95 %")]
    recoat_until: Annotated[str | None, Field(description="latest date; null = open")]
    reason: str | None


class AgeingAnswer(TypedDict):
    """Ageing of the membrane electrolysers of a scope by the days of a time."""

    scope: str
    start: Rfc3339
    end: Rfc3339
    items: list[AgeingRow]
    next: Cursor


@router.get("/{path:path}/energy")
async def read_energy(
    context: AppContext,
    query: Hourly,
    basis: BasisChoice = "equivalent",
    values: Values = "reconciled",
) -> EnergyAnswer:
    """Return the energy of a scope, per tonne of each product and in total: ratios of sums."""
    network, path = query.network, query.scope
    products = dict.fromkeys(
        a.subject for a in network.accounts if a.scope == path and a.item in ENERGY_ITEMS
    )
    accounts = [Account(path, product, item) for product in products for item in ENERGY_ITEMS]
    sums = await read_sums(context, query, tags_of(network, accounts))
    groups = [tags_of(network, each) for p in products for each in _inputs(path, p)]
    joint = iter(await read_joint(context, sums, groups))
    masses = {
        product: weights(network, {Account(path, product, "mass"): 1.0}) for product in products
    }
    made = await read_amounts(context, query, values, masses)
    rows = [
        _rows(sums, EnergyJoint(*islice(joint, len(EnergyJoint._fields))), basis, name, mass)
        for name, mass in made.items()
    ]
    return query.answer(
        EnergyAnswer,
        rows,
        basis=basis,
        electricity=_factors(basis, np.unique(query.years).tolist()),
        references=_references(network, path, products),
    )


def _grades(network: Network, scope: str, product: str) -> list[float]:
    """Return the grades of a product in a scope; NaN where none is stated."""
    rows = (p for p in network.park.products if p.id == product)
    return [p.grade for p in rows if inside(p.scope, scope) or inside(scope, p.scope)]


def _references(
    network: Network, scope: str, products: Collection[str]
) -> list[BenchmarkReference]:
    """Return the benchmarks of some products, those that apply to their grades first."""
    rows = [row for row in load_reference("benchmarks")["benchmark"]
            if row["product"] in products and "benchmark" in row]  # fmt: skip
    references = [
        record(
            BenchmarkReference,
            row,
            grade=row.get("grade"),
            applies=any(
                find_row(row["product"], row["index"], grade) is row
                for grade in _grades(network, scope, row["product"])
            ),
        )
        for row in rows
    ]
    return sorted(references, key=lambda reference: not reference["applies"])


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


class EnergyJoint(NamedTuple):
    """The joint sums of the accounts of a product that stand in one figure."""

    electricity: Joint
    coal: Joint
    per_mass: Joint  # electricity and mass
    coal_per_mass: Joint
    every: Joint


def _inputs(scope: str, product: str) -> list[list[Account]]:
    """Return the accounts of the fields of `EnergyJoint`."""
    mass, electricity, coal = (Account(scope, product, item) for item in ENERGY_ITEMS)
    return [
        [electricity],
        [coal],
        [mass, electricity],
        [mass, coal],
        [mass, electricity, coal],
    ]


def _rows(
    sums: Sums, joint: EnergyJoint, basis: Basis, product: str, made: ReconciledAmount
) -> list[EnergyRow]:
    """Return the rows of one product, or of the total: that has no mass."""
    network, years = sums.network, sums.query.years
    mass, electricity, coal = (Account(sums.query.scope, product, item) for item in ENERGY_ITEMS)
    known = [account for account in (mass, electricity, coal) if account in network.accounts]
    weighed, used, heat = (_weights(network, a) for a in (mass, electricity, coal))
    # What the basis adds for electricity differs from year to year.
    added = coal_equivalent(np.zeros(len(years)), np.ones(len(years)), basis, years)
    heat = heat + added[:, None] * np.nan_to_num(used)
    kwh, kwh_share = _amount(sums, joint.electricity, electricity, used)
    kgce, kgce_share = _amount(sums, joint.coal, coal, heat)
    energy = {electricity: joint.electricity, coal: joint.coal}
    made = covered_by(made, *(each for account, each in energy.items() if account in known))
    power = per_amount(made, joint.electricity, joint.per_mass, product, (used, weighed))
    burnt = per_amount(made, joint.coal, joint.coal_per_mass, product, (heat, weighed))
    figures = {"kwh_per_t": power, "kgce_per_t": burnt}
    columns = {
        "product": product,
        "mass_t": out(sums.total(mass), TONNE),
        "mass_completeness": sums.completeness(sums.columns([mass])),
        "energy_kwh": out(kwh, KWH),
        "energy_kwh_completeness": kwh_share,
        "energy_kgce": out(kgce, KGCE),
        "energy_kgce_completeness": kgce_share,
        "kwh_per_t": out(power.value, KWH_PER_T),
        "kwh_per_t_ci": out(power.half_width, KWH_PER_T),
        "kwh_per_t_completeness": out(joint.per_mass.share),
        "kgce_per_t": out(burnt.value, KGCE_PER_T),
        "kgce_per_t_ci": out(burnt.half_width, KGCE_PER_T),
        "kgce_per_t_completeness": out(joint.coal_per_mass.share),
        "position": _position(product, basis, figures, _grades(network, mass.scope, product)),
        "reason": joint.coal_per_mass.reasons(burnt.value),
        **joint.every.trust(sums.known(known) | made.stands),
    }
    mass_t = {"mass_t": out(made.value, TONNE)}
    columns = stand_on(ReconciledColumns(mass_t, made.stands, made.quality), columns)
    return sums.query.rows(EnergyRow, columns)


def _weights(network: Network, account: Account) -> F64:
    """Return the weights of an account, (T,); NaN throughout where the model has no such."""
    weight = weights(network, {account: 1.0})
    return weight if account in network.accounts else np.full_like(weight, np.nan)


def _amount(sums: Sums, joint: Joint, account: Account, weight: F64) -> tuple[F64, F64]:
    """Return an amount as it was measured [SI], and its completeness, (W,).

    What comes in less what goes out is a balance: it is that of the joint time.
    """
    if account not in sums.network.accounts:
        unknown = np.full(len(sums.amount), np.nan)
        return unknown, unknown
    if (weight < 0).any():
        return np.where(joint.enough, joint.sums.weigh(weight), np.nan), out(joint.share)
    return sums.weigh(weight), sums.completeness(sums.columns([account]))


def _position(
    product: str,
    basis: Basis,
    figures: Mapping[str, Intensity],
    grades: list[float],
) -> list[str] | None:
    """Return the position against the benchmark of a product (W,); None without a benchmark.

    Where a product has grades with several benchmarks there is none for their sum.

    `figures` (W,) [J/kg] are the intensities by their index, each with half its interval and
    whether enough is covered.
    """
    for index in ("kgce_per_t", "kwh_per_t"):
        known = {find_marks(product, index, grade) for grade in grades}
        marks = known.pop() if len(known) == 1 else None
        if marks is not None:
            # A benchmark in coal equivalent counts electricity by its heat.
            if index == "kgce_per_t" and basis != "equivalent":
                return None
            one = figures[index]
            reached = position(one.value, marks, one.half_width, decisive=one.decisive)
            return [str(each) for each in reached]
    return None


@router.get("/{path:path}/electrolysers")
async def read_electrolysers(
    context: AppContext, query: Hourly, values: Values = "reconciled"
) -> ElectrolyserAnswer:
    """Return voltage, current density, direct current per tonne and K of each electrolyser."""
    network, path = query.network, query.scope
    cells = [cell for cell in network.park.electrolysers if inside(cell.scope, path)]
    tags = [network.index[name] for cell in cells for name in _tags(network, cell)]
    groups = [each for each in metered_cells(network) if any(c in cells for c in each.cells)]
    more = [tags_of_meters(network, each) for each in groups]
    analysis = network.cells.analysis[network.cells.analysis >= 0]
    every = np.unique(np.concatenate([np.array(tags, np.int64), analysis, *more]))
    sums = await read_sums(context, query, every)
    efficiencies = await _read_efficiencies(context, sums, groups)
    owned = [np.unique([network.index[name] for name in _tags(network, cell)]) for cell in cells]
    joints = await read_joint(context, sums, owned)
    current = np.array([network.index[c.current] for c in cells], dtype=np.int64)
    # Without a voltage there is still a current: it stands in, and its product is not used.
    other = np.array([network.index[c.voltage or c.current] for c in cells], dtype=np.int64)
    pairs = await read_pairs(context, query, current, other)
    made = dict[str, ReconciledAmount]()
    for kind in sorted({cell.kind for cell in cells}):
        wanted = {c.id: product_weights(network, c) for c in cells if c.kind == kind}
        made |= await read_amounts(context, query, values, wanted, MAIN[kind])
    voltages = load_reference("electrolysis")["zero_current_voltage"]
    return query.answer(
        ElectrolyserAnswer,
        [
            _cell_rows(
                CellSums(sums, joint, pairs, n),
                cell,
                made[cell.id],
                efficiencies.get(cell.id, _no_efficiency(sums)),
            )
            for n, (cell, joint) in enumerate(zip(cells, joints, strict=True))
        ],
        zero_current_voltage=[
            record(ZeroCurrentVoltage, voltages[kind], kind=kind, v=zero_current_voltage(kind))
            for kind in sorted({cell.kind for cell in cells} & set(voltages))
        ],
    )


@router.get("/{path:path}/electrolysers/ageing")
async def read_ageing(
    context: AppContext, path: ScopePath, from_: From = None, to: To = None
) -> AgeingAnswer:
    """Return the ageing of each membrane electrolyser by its days, by default of half a year."""
    now_us = context.now_us()
    from_us, to_us = time_range(now_us, from_, to, AGEING_US)
    start, stop = (datetime.fromtimestamp(each / SECOND_US, UTC) for each in (from_us, to_us))
    query = parse_query(context, path, "day", start, stop)
    cells = membrane_cells(query.network.park, path)
    days = await read_cell_days(context, query, cells)
    stamps = [rfc3339(int(query.edges[at]), query.zone) for at in (0, -1)]
    return AgeingAnswer(
        scope=path,
        start=stamps[0],
        end=stamps[1],
        items=[_ageing_row(cell, days[cell.id]) for cell in cells],
        next=None,
    )


def membrane_cells(park: Park, scope: str) -> list[Electrolyser]:
    """Return the membrane electrolysers of a scope."""
    return [c for c in park.electrolysers if c.kind == "membrane" and inside(c.scope, scope)]


class CellDays(NamedTuple):
    """Means of an electrolyser by day, (n,) each; NaN = not known."""

    noon_s: F64
    voltage: F64  # [V] of one cell, at the temperature and strength of reference
    density: F64  # [A/m²]
    efficiency: F64  # [1]
    least_s: F64  # covered of the tag with the least data
    corrected_for: list[str]  # what the voltage is corrected for
    meters: float  # [1] relative standard uncertainty of the voltage by its meter

    def steady(self, days: BOOL | None = None) -> CellDays:
        """Return the days that count, of some or all of them."""
        some = self if days is None else self._at(days)
        count = steady_days(some.density, some.least_s)
        return some._replace(
            voltage=some.voltage * count,
            density=some.density * count,
            efficiency=some.efficiency * count,
        )

    def _at(self, days: BOOL) -> CellDays:
        names = ("noon_s", "voltage", "density", "efficiency", "least_s")
        return self._replace(**{name: getattr(self, name)[days] for name in names})


async def read_cell_days(
    context: Context, query: WindowQuery, cells: Sequence[Electrolyser]
) -> dict[str, CellDays]:
    """Return the days of membrane electrolysers by their id; raises StoreError."""
    network, index = query.network, query.network.index
    groups = [each for each in metered_cells(network) if any(c in cells for c in each.cells)]
    named = [getattr(c, name) for c in cells for name in ("current", "voltage", *CORRECTED)]
    tags = [np.array([index[name] for name in named if name], np.int64)]
    tags += [tags_of_meters(network, each) for each in groups]
    tags += [network.cells.analysis[network.cells.analysis >= 0], network.cells.effective]
    sums = await read_sums(context, query, np.unique(np.concatenate(tags)))
    efficiencies = await _read_efficiencies(context, sums, groups)
    nothing = _no_efficiency(sums)
    return {
        cell.id: _cell_days(sums, cell, efficiencies.get(cell.id, nothing)[0].both.mean.value)
        for cell in cells
    }


def _cell_days(sums: Sums, cell: Electrolyser, efficiency: F64) -> CellDays:
    """Return the means of the days of one electrolyser."""
    amount, covered_s = sums.of_all()
    index, query = sums.network.index, sums.query

    def mean(name: str) -> F64:
        return ratio(amount[:, index[name]], covered_s[:, index[name]])

    used = [name for name in ("current", "voltage", *CORRECTED) if getattr(cell, name)]
    density = mean(cell.current) / cell.area
    least_s = np.min([covered_s[:, index[getattr(cell, name)]] for name in used], axis=0)
    volts, meters = np.full(len(density), np.nan), float("nan")
    if cell.voltage:
        given = {name: mean(getattr(cell, name)) for name in CORRECTED if name in used}
        volts = reference_voltage(
            mean(cell.voltage) / cell.cells, given.get("temperature"), given.get("strength")
        )
        whole = amount.sum(axis=0, where=np.isfinite(amount)), covered_s.sum(axis=0)
        meters = float(mean_uncertainty(sums.network, cell.voltage, *whole))
    noon_s = (query.edges[:-1] + query.edges[1:]) / 2 / SECOND_US
    corrected = [name for name in CORRECTED if name in used]
    return CellDays(noon_s, volts, density, efficiency, least_s, corrected, meters)


def _ageing_row(cell: Electrolyser, days: CellDays) -> AgeingRow:
    """Return the row of one electrolyser by the means of its days."""
    noon_s, volts, density, efficiency, *_ = days.steady()
    aged = age(noon_s - noon_s[0], volts, density, efficiency)
    rate = density * cell.area * efficiency * cell.cells * mass_per_charge(NAOH)
    running = rate[np.isfinite(rate)]
    made = float(running.mean()) if len(running) else float("nan")
    life = economic_life(aged.energy, made, cell.energy_price, cell.recoating_cost)
    begun = cell.coated or cell.commissioned
    return record(
        AgeingRow,
        electrolyser=cell.id,
        days=aged.points,
        corrected_for=days.corrected_for,
        **_per_year("efficiency_per_year{}", aged.efficiency, ONE),
        **_per_year("k_per_year{}_v_m2_ka", aged.k, V_M2_PER_KA),
        **_per_year("dc_kwh_per_t_per_year{}", aged.energy, KWH_PER_T),
        coated=begun.isoformat() if begun else None,
        recoating_cost_cny=number(cell.recoating_cost),
        energy_price_cny_per_kwh=number(cell.energy_price, CNY_PER_KWH),
        **{
            name: _date(begun, days)
            for name, days in (
                ("recoat_on", life.value), ("recoat_from", life.low), ("recoat_until", life.high)
            )
        },
        reason=life.reason or (None if begun else NO_DATE),
    )  # fmt: skip


def _per_year(name: str, slope: Slope, uom: Uom) -> dict[str, float]:
    """Return a slope and the half width of its interval, whose name has `_ci` in the gap."""
    return {
        name.format(""): number(slope.value * YEAR_S, uom),
        name.format("_ci"): number(slope.width * YEAR_S, uom),
    }


def _date(begun: date | None, life_s: float) -> str | None:
    """Return the date at the end of a life; None where it is open or beyond the calendar."""
    if begun is None or not 0 <= life_s < AGES_S:
        return None
    return (begun + timedelta(seconds=life_s)).isoformat()


def _tags(network: Network, cell: Electrolyser) -> list[str]:
    """Return the addresses of the tags the figures of an electrolyser rest on."""
    effective = network.effective.get(cell.id)
    made = "" if effective is None else network.tags[effective].address
    addresses = (cell.current, made, cell.voltage, own_meter(network.park, cell))
    return [address for address in addresses if address]


class CellSums(NamedTuple):
    """Sums that the figures of one electrolyser are made of."""

    sums: Sums
    joint: Joint  # of its own meters
    pairs: PairSums
    n: int  # its place in the pairs


def _cell_rows(
    own: CellSums,
    cell: Electrolyser,
    made: ReconciledAmount,
    efficiency: tuple[CellEfficiency, BOOL],
) -> list[ElectrolyserRow]:
    """Return the rows of one electrolyser; its means are weighted by the charge.

    The product is what was measured, all else that of the joint time of its meters.
    """
    (sums, joint, pairs, n), network = own, own.sums.network
    at = np.searchsorted(sums.tags, [network.index[name] for name in _tags(network, cell)])
    pair = Pair(pairs.first[:, n], pairs.product[:, n], pairs.square[:, n])
    product = circuit(network, cell, pair, *sums.of_all()).product
    result = circuit(network, cell, pair, *joint.sums.of_all())
    voltage, density, energy, k = (
        Estimate(np.where(joint.enough, each.value, np.nan), each.sigma)
        for each in (result.voltage, result.density, result.energy, result.k)
    )
    made = covered_by(made, joint)
    # The same energy for another mass.
    share = np.where(made.stands, ratio(product.value, made.value), 1.0)
    energy = Estimate(energy.value * share, energy.sigma * share)
    method = "minute_means" if cell.voltage else None
    columns = {
        "electrolyser": cell.id,
        "kind": cell.kind,
        **_stated("cell_voltage{}_v", voltage, ONE),
        **_stated("current_density{}_ka_m2", density, KA_PER_M2),
        **_stated("product{}_t", product, TONNE),
        **_stated("dc_kwh_per_t{}", energy, KWH_PER_T),
        "method": "dc_meter" if own_meter(network.park, cell) else method,
        **_stated("k{}_v_m2_ka", k, V_M2_PER_KA),
        **_efficiency_columns(sums, cell, *efficiency),
        **joint.trust(np.asarray(~np.isnan(sums.amount[:, at]).any(axis=1))),
    }
    stated = _stated("product{}_t", Estimate(made.value, made.sigma), TONNE)
    columns = stand_on(ReconciledColumns(stated, made.stands, made.quality), columns)
    return sums.query.rows(ElectrolyserRow, columns)


def _no_efficiency(sums: Sums) -> tuple[CellEfficiency, BOOL]:
    """Return what is known of an efficiency beside the model without meters and analysis."""
    unknown = np.full(len(sums.amount), np.nan)
    nothing = Estimate(unknown, unknown)
    return CellEfficiency(nothing, nothing, combine([nothing, nothing])), np.isnan(unknown)


async def _read_efficiencies(
    context: Context, sums: Sums, groups: Sequence[MeteredCells]
) -> dict[str, tuple[CellEfficiency, BOOL]]:
    """Return the efficiency of electrolysers, and whether it is covered enough for a verdict.

    What the meters tell is over the time in which all of them are covered.
    """
    network = sums.network
    analysed = [np.unique(row[row >= 0]) for row in network.cells.analysis]
    of_meters = [tags_of_meters(network, each) for each in groups]
    joints = await read_joint(context, sums, [*of_meters, *analysed])
    meters = [_by_meters(each, joint) for each, joint in zip(groups, joints, strict=False)]
    amount, covered_s = sums.of_all()
    decisive = {}
    for id_, tags, joint in zip(network.effective, analysed, joints[len(groups) :], strict=True):
        amount[np.ix_(~joint.enough, tags)] = np.nan
        decisive[id_] = joint.decisive
    seen = cell_efficiencies(network, groups, meters, amount, covered_s)
    result = {}
    for group, joint in zip(groups, joints, strict=False):
        for cell in group.cells:
            one = seen[cell.id]
            sure = np.isnan(one.meters.value) | joint.decisive
            sure &= np.isnan(one.analysis.value) | decisive.get(cell.id, joint.decisive)
            result[cell.id] = one, np.asarray(sure)
    return result


def _by_meters(group: MeteredCells, joint: Joint) -> Estimate:
    """Return the efficiency by meters over their joint time, its interval with what is missing."""
    network, (amount, covered_s) = joint.sums.network, joint.sums.of_all()
    mean = metered_efficiency(network, group, amount, covered_s).mean
    value = np.where(joint.enough, mean.value, np.nan)
    some = np.flatnonzero((joint.share < 1) & ~np.isnan(value))
    if not len(some):
        return Estimate(value, mean.sigma)
    slope = np.zeros((len(value), len(joint.sums.tags)))
    part, covered_s = amount[some], covered_s[some]
    for u, tag in enumerate(joint.sums.tags.tolist()):
        moved = part.copy()
        moved[:, tag] *= 1 + STEP
        change = metered_efficiency(network, group, moved, covered_s).mean.value - value[some]
        slope[some, u] = np.nan_to_num(ratio(change, STEP * part[:, tag]))
    one = np.where(np.isnan(value), np.nan, 1.0)
    gaps = gap_sigma(joint.levels, slope, np.zeros(slope.shape), value, one, joint.share)
    return Estimate(value, np.hypot(mean.sigma, gaps))


def _efficiency_columns(
    sums: Sums, cell: Electrolyser, efficiency: CellEfficiency, decisive: BOOL
) -> dict[str, Any]:
    """Return the columns of the current efficiency."""
    both = efficiency.both
    amount, _ = sums.of_all()
    charge = amount[:, sums.network.index[cell.current]]
    below = below_model(cell, efficiency, charge)
    agree = [bool(c) if d else None for c, d in zip(both.consistent, both.dof, strict=True)]
    return {
        **_stated("current_efficiency{}", both.mean, ONE),
        **_stated("current_efficiency_analysis{}", efficiency.analysis, ONE),
        **_stated("current_efficiency_meters{}", efficiency.meters, ONE),
        "current_efficiency_model": cell.current_efficiency,
        "efficiency_consistent": agree,
        "efficiency_verdict": [
            verdict if sure else UNDECIDED
            for verdict, sure in zip(against_model(cell, efficiency), decisive, strict=True)
        ],
        **_stated("chlorine_below_model{}_t", below, TONNE),
    }


def _stated(name: str, figure: Estimate, uom: Uom) -> dict[str, F64]:
    """Return a figure and the half width of its interval, whose name has `_ci` in the gap."""
    ci = np.where(np.isnan(figure.value), np.nan, half_width(figure.sigma))
    return {name.format(""): out(figure.value, uom), name.format("_ci"): out(ci, uom)}
