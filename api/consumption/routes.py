"""Consumption of a scope and its parts: carriers and measures side by side, and the bill."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field

from api.answers import (
    Given,
    HalfWidth,
    Number,
    Provenance,
    WindowAnswer,
    WindowRow,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.consumption.bill import Bill, BillLine, make_bills
from api.consumption.cost import Prices, read_prices
from api.consumption.measures import MEASURES, Consumption, Measure, amounts_of, consume, total_of
from api.context import AppContext, Context
from api.encode import ONE, TONNE, number, out
from api.joint import Joint, read_joint
from api.meters import UOMS
from api.parameters import From, Text, To
from api.problems import RESPONSES, not_found
from api.sums import Sums, read_sums
from api.windows import ScopePath, WindowQuery, parse_query
from twin.energy.consumption import Basis
from twin.energy.prices import Tariff
from twin.model.park import inside
from twin.uom import compile_uom

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

KGCE = compile_uom("kgce", "energy")
CNY_PER_KWH = compile_uom("CNY/kWh", "energy_price")
QuarterWindow = Annotated[
    Literal["quarter_hour", "hour", "shift", "day", "month"],
    Query(description="length of a row, on the park's clock"),
]
Carriers = Annotated[
    list[Text] | None, Query(alias="carrier", max_length=64, description="all when none is named")
]
Measures = Annotated[
    list[Measure] | None,
    Query(alias="measure", max_length=8, description="which to calculate; all when none is named"),
]
By = Annotated[
    Literal["scope", "children"], Query(description="the scope as a whole, or each one below it")
]
BasisChoice = Annotated[
    Basis, Query(description="electricity in coal equivalent: by its heat (当量) or as made (等价)")
]


class ConsumptionRow(WindowRow):
    """A carrier, or all together (``total``), in a scope in one window; null = not known.

    What comes in less what goes out is that of the time in which all its meters are covered, any
    other figure what was measured. `cost_cny` is that of the energy; the basic charge and the power
    factor are in the `bill` of a month of a whole supply, which adds up by itself.
    """

    scope: str
    carrier: str
    uom: Annotated[str, Field(description="of the amount; empty of a total, which has none")]
    amount: Annotated[Number, formula("sum over the meters at the top of the scope's trees")]
    amount_ci: HalfWidth
    coal_equivalent_kgce: Annotated[Number, formula("amount x coal equivalent of the carrier")]
    coal_equivalent_ci_kgce: HalfWidth
    cost_cny: Annotated[
        Number,
        formula(
            "sum over intervals of amount x price of their period, with surcharges; own power by"
            " its cost, sold power taken off"
        ),
    ]
    cost_ci_cny: HalfWidth
    co2_t: Annotated[
        Number, formula("amount x emission factor of the carrier, by location; of the year")
    ]
    co2_ci_t: HalfWidth
    reason: Annotated[str, Field(description="why something is not known")]
    bill: Annotated[list[BillLine], Field(description="of electricity of whole supplies")]


class PriceTariff(Provenance):
    """A tariff of the model that holds in the windows."""

    id: str
    scope: str
    carrier: str
    first: str
    last: str
    price: str
    prices_cny_per_kwh: Given[dict[str, float]]
    surcharges_cny_per_kwh: Given[dict[str, float]]
    clause: str
    source: str
    note: str


class ConsumptionAnswer(WindowAnswer):
    """The consumption of a scope."""

    basis: str
    items: list[ConsumptionRow]
    tariffs: list[PriceTariff]


@router.get("/{path:path}/consumption")
async def read_consumption(
    context: AppContext,
    path: ScopePath,
    window: QuarterWindow = "day",
    from_: From = None,
    to: To = None,
    carrier: Carriers = None,
    measure: Measures = None,
    by: By = "scope",
    basis: BasisChoice = "equivalent",
) -> ConsumptionAnswer:
    """Return the consumption of a scope, or of each scope below it, by carrier and measure."""
    query = parse_query(context, path, window, from_, to)
    wanted = tuple(measure or MEASURES)
    scopes = _scopes(query, by)
    count = len(scopes) * (len(query.edges) - 1)
    context.require_limit("by", count, "windows_max", "windows times scopes", "longer windows")
    carriers = _carriers(query, scopes, carrier or [])
    prices = await _read_prices(context, query, carriers) if "cost" in wanted else None
    subjects = _subjects(query, carriers, basis, prices, total=not carrier)
    bills = await make_bills(context, prices) if prices else {}
    rows = await _rows(context, query, subjects, wanted, bills)
    tariffs = _tariffs(query) if prices else []
    return query.answer(ConsumptionAnswer, rows, basis=basis, tariffs=tariffs)


def _scopes(query: WindowQuery, by: str) -> list[str]:
    if by == "scope":
        return [query.scope]
    return [each.id for each in query.network.park.scopes if each.parent == query.scope]


def _carriers(query: WindowQuery, scopes: list[str], wanted: list[str]) -> dict[str, list[str]]:
    """Return the carriers of each scope; raises Problem 404 for one without a meter anywhere."""
    known = dict.fromkeys(meter.carrier for meter in query.network.meters.meters)
    for each in wanted:
        if each not in known:
            raise not_found("carrier", each, known, "/api/v1/park")
    return {
        scope: [name for name in amounts_of(query.network, scope) if not wanted or name in wanted]
        for scope in scopes
    }


async def _read_prices(
    context: Context, query: WindowQuery, carriers: dict[str, list[str]]
) -> Prices:
    weights = [
        weight
        for scope, names in carriers.items()
        for name, weight in amounts_of(query.network, scope).items()
        if name in names
    ]
    used = np.any([np.zeros(len(query.network.tags)), *weights], axis=0)
    return await read_prices(context, query, np.flatnonzero(used))


def _subjects(
    query: WindowQuery,
    carriers: dict[str, list[str]],
    basis: Basis,
    prices: Prices | None,
    *,
    total: bool,
) -> list[Consumption]:
    """Return carriers and total of each scope."""
    subjects: list[Consumption] = []
    for scope, names in carriers.items():
        parts = [consume(query, scope, name, basis, prices) for name in names]
        subjects += parts
        if total and len(parts) > 1:
            subjects.append(total_of(scope, parts))
    return subjects


async def _rows(
    context: Context,
    query: WindowQuery,
    subjects: list[Consumption],
    wanted: tuple[Measure, ...],
    bills: dict[str, Bill],
) -> list[list[ConsumptionRow]]:
    """Return the rows of each subject."""
    groups = [np.flatnonzero(each.used) for each in subjects]
    empty = np.zeros(0, np.int64)
    sums = await read_sums(context, query, np.unique(np.concatenate([empty, *groups])))
    balances = [g for g, each in zip(groups, subjects, strict=True) if each.is_balance]
    joints = iter(await read_joint(context, sums, balances))
    return [
        _row(sums, next(joints) if each.is_balance else None, each, wanted, bills)
        for each in subjects
    ]


def _row(
    sums: Sums,
    joint: Joint | None,
    each: Consumption,
    wanted: tuple[Measure, ...],
    bills: dict[str, Bill],
) -> list[ConsumptionRow]:
    """Return the rows of one subject."""
    basis = sums if joint is None else joint.enough_sums()
    name, uom = UOMS[each.quantity] if each.quantity else ("", ONE)
    figures: tuple[tuple[Measure, str, Any], ...] = (
        ("amount", "amount{}", uom), ("coal_equivalent", "coal_equivalent{}_kgce", KGCE),
        ("cost", "cost{}_cny", ONE), ("carbon", "co2{}_t", TONNE),
    )  # fmt: skip
    columns: dict[str, Any] = {}
    known = np.ones(len(basis.amount), bool)
    unknown = np.full(len(basis.amount), np.nan)
    reasons = []
    # A mean price of no data is none, and no energy at no price.
    lost = np.isnan(basis.weigh(each.used.astype(np.float64)))
    for measure, field, unit in figures:
        weight, reason = each.weight[measure], each.reason.get(measure, "")
        value, ci = unknown, unknown
        if measure in wanted and not (measure == "amount" and not each.quantity):
            value, ci = basis.weigh(weight), basis.ci("", weight)
            value = np.where(lost | (bool(reason) & ~weight.any(axis=1)), np.nan, value)
            known &= ~np.isnan(basis.weigh(np.nan_to_num(weight)))
            reasons += [f"{measure}: {reason}"] if reason else []
        columns[field.format("")] = out(value, unit)
        columns[field.format("_ci")] = out(np.where(np.isnan(value), np.nan, ci), unit)
    used = np.searchsorted(sums.tags, np.flatnonzero(each.used))
    gaps = joint.reasons(np.where(known, 0.0, np.nan)) if joint else [""] * len(known)
    columns |= sums.trust(used, known) if joint is None else joint.trust(known)
    return sums.query.rows(
        ConsumptionRow,
        columns
        | {
            "scope": each.scope,
            "carrier": each.carrier,
            "uom": name,
            "reason": ["; ".join([*reasons, *filter(None, [gap])]) for gap in gaps],
            "bill": _bill(sums, each, bills),
        },
    )


def _bill(sums: Sums, each: Consumption, bills: dict[str, Bill]) -> list[list[BillLine]]:
    """Return the lines of the bills of the supplies inside a scope, by window."""
    mine = [bill for scope, bill in bills.items() if inside(scope, each.scope)]
    electric = each.carrier == "electricity"
    windows = len(sums.query.edges) - 1
    return [[line for bill in mine if electric for line in bill[n]] for n in range(windows)]


def _tariffs(query: WindowQuery) -> list[PriceTariff]:
    """Return the tariffs that hold in the scope in some window."""
    days = query.days
    rows = [
        row for row in query.network.park.rows(Tariff)
        if (inside(row.scope, query.scope) or inside(query.scope, row.scope))
        and any(row.first <= day <= row.last for day in days)
    ]  # fmt: skip
    return [_tariff(row) for row in rows]


def _tariff(row: Tariff) -> PriceTariff:
    return record(
        PriceTariff,
        row,
        first=str(row.first),
        last=str(row.last),
        confidence="L",
        prices_cny_per_kwh=_per_kwh(row.prices),
        surcharges_cny_per_kwh=_per_kwh(row.surcharges),
    )


def _per_kwh(prices: dict[str, float]) -> dict[str, float]:
    return {name: number(price, CNY_PER_KWH) for name, price in prices.items()}
