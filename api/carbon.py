"""Greenhouse gases of a scope over windows, from its meters and the factors of a year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from api.accounts import TONNE, elapsed_s, read_sums, tags_of
from api.encode import in_uom
from api.outlets import places
from twin import carbon
from twin import windows as w
from twin.accounts import Account
from twin.energy import carrier_factor
from twin.model import inside
from twin.reference import load as load_reference
from twin.uom import compile_uom

if TYPE_CHECKING:
    from api.accounts import Sums
    from api.questions import Question
    from api.world import World
    from twin.model import Meter

F64 = NDArray[np.float64]

# What the amount of a carrier is shown in, by what it is accounted by.
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

    name: str
    scope: int  # 1 emitted here, 2 emitted where it was bought; -1 captured here and sold
    amount: F64  # in `uom`
    uom: str
    emitted: F64  # [kg]; NaN = not known
    reason: list[str]  # why it is not known; empty where it is
    rows: list[dict[str, Any]]  # of the reference table


async def read_carbon(here: World, asked: Question, choice: Choice) -> dict[str, Any]:
    """Return scope 1 and 2 of each window, what they are made of, and by which factors."""
    network, count = asked.network, len(asked.edges) - 1
    meters = [
        meter
        for meter in network.park.meters
        if inside(meter.scope, asked.scope)
        and meter.basis != "DC"
        and carbon.source_of(meter.carrier) != "nothing"
    ]
    accounts = [
        account
        for account in (
            Account(asked.scope, "aluminium", "mass"),
            Account(asked.scope, "carbon_dioxide", "export"),
        )
        if account in network.accounts
    ]
    tags = np.union1d(places(network, (meter.tag for meter in meters)), tags_of(network, accounts))
    sums = await read_sums(here, network, tags, asked.window, asked.edges)
    sources = [
        *_metered(asked, sums, meters, choice),
        *_processes(sums, accounts),
    ]
    known = {
        scope: sum((s.emitted for s in sources if s.scope == scope), np.zeros(count))
        for scope in (1, 2, -1)
    }
    nothing = np.zeros(count)
    total = carbon.footprint(known[1], nothing, known[2], nothing, known[-1])
    measured = np.all([~np.isnan(s.amount) for s in sources], axis=0) & np.ones(count, bool)
    elapsed = elapsed_s(asked.edges, asked.expected_us)
    share = w.completeness(sums.covered_s, elapsed)
    columns = {
        "scope1_t": in_uom(total.scope1, TONNE, 0.0),
        "scope2_t": in_uom(total.scope2, TONNE, 0.0),
        "total_t": in_uom(total.total, TONNE, 0.0),
        "sources": [[_line(source, number) for source in sources] for number in range(count)],
        "completeness": in_uom(share, 1.0, 0.0),
        "quality": w.grade(sums.quality, w.shares(sums.covered_s, elapsed), measured),
    }
    rows = {(s.name, str(row)): {"source_of": s.name} | row for s in sources for row in s.rows}
    return {
        "region": choice.region,
        "method": choice.method,
        "items": asked.rows(columns) if sources else [],
        "factors": [_factor(row["source_of"], row) for row in rows.values()],
        "available": [_factor("electricity", row) for row in load_reference("carbon")["grid"]],
    }


def _metered(asked: Question, sums: Sums, meters: list[Meter], choice: Choice) -> list[Source]:
    """Return what each carrier emits: what comes in less what goes out."""
    count, table = len(asked.edges) - 1, load_reference("carbon")
    amounts: dict[str, F64] = {}
    for meter in meters:
        u = np.searchsorted(sums.tags, asked.network.index[meter.tag])
        signed = sums.amount[:, u] * (1.0 if meter.direction == "in" else -1.0)
        amounts[meter.carrier] = amounts.get(meter.carrier, np.zeros(count)) + signed
    found = []
    for carrier, amount in amounts.items():
        kind, row = carbon.source_of(carrier), load_reference("energy")[carrier]
        uom = SHOWN[row["quantity"]]
        shown, silent = amount / compile_uom(uom, row["quantity"])[0], [""] * count
        if kind == "electricity":
            factors = _grid_factors(asked, choice)
            emitted = carbon.by_factor(amount, np.array([f.value for f in factors]))
            rows = [f.row for f in factors if f.row]
            reasons = [f.reason for f in factors]
            found.append(Source(carrier, 2, shown, uom, emitted, reasons, rows))
        elif kind == "heat":
            heat = amount * carrier_factor(carrier)
            shown = heat / compile_uom(HEAT_UOM, "energy")[0]
            emitted = carbon.by_factor(heat, carbon.heat_factor())
            found.append(Source(carrier, 2, shown, HEAT_UOM, emitted, silent, [table["heat"]]))
        elif kind == "fuel":
            emitted = carbon.fuel(amount, **carbon.parameters("fuel", carrier))
            found.append(Source(carrier, 1, shown, uom, emitted, silent, [table["fuel"][carrier]]))
        else:
            reasons = [f"there is no carbon content of {carrier}"] * count
            found.append(Source(carrier, 1, shown, uom, np.full(count, np.nan), reasons, []))
    return found


def _grid_factors(asked: Question, choice: Choice) -> list[carbon.GridFactor]:
    """Return the factor of each window: of the year it begins in, unless a year was chosen."""
    zone = ZoneInfo(asked.network.park.timezone)
    years = [choice.year or w.local(edge, zone).year for edge in asked.edges[:-1].tolist()]
    return [carbon.grid_factor(year, choice.region, choice.method) for year in years]


def _processes(sums: Sums, accounts: list[Account]) -> list[Source]:
    """Return what the making of aluminium emits, and what is captured and sold."""
    table = load_reference("carbon")["process"]
    found = []
    for account in accounts:
        mass = sums.total(account)
        shown, silent = mass / TONNE, [""] * len(mass)
        if account.item == "export":
            found.append(Source("captured", -1, shown, "t", mass, silent, []))
            continue
        for name, formula in (
            ("anode", carbon.anode),
            ("perfluorocarbons", carbon.perfluorocarbons),
        ):
            emitted = formula(mass, **carbon.parameters("process", name))
            found.append(Source(name, 1, shown, "t", emitted, silent, [table[name]]))
    return found


def _line(source: Source, number: int) -> dict[str, Any]:
    """Return one source of one window."""
    return {
        "source": source.name,
        "scope": source.scope,
        "amount": float(in_uom(source.amount[number], 1.0, 0.0)),
        "uom": source.uom,
        "co2_t": float(in_uom(source.emitted[number], TONNE, 0.0)),
        "reason": source.reason[number],
    }


def _factor(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the reference table as it leaves: its figures as texts, its provenance."""
    apart = {*PROVENANCE, "name", "carriers", "evidence", "source_of"}
    figures = {key: str(value) for key, value in row.items() if key not in apart}
    provenance = {key: row.get(key) for key in PROVENANCE}
    return {"of": name, "figures": figures} | provenance
