"""Chlorine of a scope: balance, local shares, headroom of tanks and absorbers, hazards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from fastapi import APIRouter
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Completeness,
    Given,
    HalfWidth,
    Name,
    Number,
    Provenance,
    Rfc3339,
    Share,
    Uint8,
    WindowAnswer,
    WindowRow,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.component_balance import (
    ComponentBalance,
    flow_accounts,
    known_flows,
    read_component,
)
from api.context import AppContext, Context
from api.encode import DAY, HOUR, MINUTE, T_PER_H, TONNE, number, out, rfc3339
from api.joint import Joint, read_joint
from api.live.image import LiveImage, LiveValues, live_values
from api.parameters import Moment
from api.problems import RESPONSES
from api.reconciled import Basis, StandsOn, Values, read_reconciled, stand_on
from api.sums import Sums, read_sums, tags_of
from api.windows import Hourly, WindowQuery
from deploy.database.times import to_us
from twin import quality as q
from twin.accounts.accounts import FLOW_ITEMS, Account
from twin.accounts.network import Network
from twin.accounts.tanks import tags_of_tanks, tank_fill, tank_mass
from twin.arrays import F64, I64, NEVER, ratio
from twin.chlorine.figures import (
    CHLORINE_PER_CAUSTIC,
    chlor_alkali_balance,
    local_share_of_liquid,
    local_share_of_made,
)
from twin.chlorine.hazards import Hazard, grade, r_equivalent, tanks_of
from twin.chlorine.headroom import AbsorberSpec, absorber_flow, absorber_time
from twin.chlorine.tank_farms import (
    find_tank_farms,
    find_withdrawals,
    forecast,
    meter_of,
    outlet_weights,
    withdrawal_weights,
)
from twin.model.park import Stream, inside
from twin.reconciliation.uncertainty import weights
from twin.reference import figure
from twin.reference import load as load_reference

router = APIRouter(prefix="/api/v1/scopes", responses=RESPONSES, route_class=CalculationRoute)

# Fields of an answer by the columns of a balance, where they have another name.
NAMES = {
    "make_t": "production_t", "make_ci_t": "production_ci_t",
    "use_t": "consumption_t", "use_ci_t": "consumption_ci_t",
    "make_completeness": "production_completeness",
    "use_completeness": "consumption_completeness",
}  # fmt: skip
FIGURES = (
    "local_share", "fill_limit", "stock_producer", "stock_user", "spare_empty", "absorber_excess",
)  # fmt: skip
# The flow a stock is compared with, and its limit in the reference table.
StockOf = Literal["production", "use"]
STOCK: dict[StockOf, tuple[str, str]] = {
    "production": ("make", "stock_producer"),
    "use": ("use", "stock_user"),
}


class ChlorineRow(WindowRow):
    """The chlorine balance of one window; inventory at its end.

    Measured flows and the change of the inventory are those of the time that is covered, a measured
    share is that of the time of its own meters. Reconciled ones are those of the whole window:
    flows, the change, K1 and K2. What is unaccounted is what the meters leave over in the time in
    which all flows are covered; it and the chlor-alkali balance, which needs the caustic soda, are
    always measured.
    """

    values: StandsOn
    production_t: Annotated[
        Number,
        formula(
            "made: charge of the electrolysers by Faraday's law and efficiency, and metered "
            "streams from plants that make it; content of the component by the composition "
            "of each medium"
        ),
    ]
    production_ci_t: HalfWidth
    production_completeness: Completeness
    consumption_t: Annotated[
        Number,
        formula(
            "used: metered streams into plants that use it; content of the component by the "
            "composition of each medium"
        ),
    ]
    consumption_ci_t: HalfWidth
    consumption_completeness: Completeness
    import_t: Annotated[
        Number,
        formula(
            "sum of the metered streams into the scope; content of the component by the "
            "composition of each medium"
        ),
    ]
    import_ci_t: HalfWidth
    import_completeness: Completeness
    export_t: Annotated[
        Number,
        formula(
            "sum of the metered streams out of the scope; content of the component by the "
            "composition of each medium"
        ),
    ]
    export_ci_t: HalfWidth
    export_completeness: Completeness
    vent_t: Annotated[
        Number,
        formula(
            "sum of the metered streams to absorbers, flares and the air; content of the "
            "component by the composition of each medium"
        ),
    ]
    vent_ci_t: HalfWidth
    vent_completeness: Completeness
    inventory_t: Annotated[
        Number,
        formula(
            "sum over the tanks of volume by level and shape * density, at the end of the window"
        ),
    ]
    inventory_change_t: Annotated[
        Number, formula("inventory at the end - inventory at the start of the window")
    ]
    inventory_change_ci_t: HalfWidth
    unaccounted_t: Annotated[
        Number,
        formula(
            "production + import - consumption - export - vent - inventory change, over the "
            "joint time of all of their tags"
        ),
    ]
    unaccounted_ci_t: HalfWidth
    reason: Annotated[str, Field(description="why nothing is known of what is unaccounted")]
    k1: Annotated[
        Number,
        formula("liquid taken from tanks that is used in the scope / all liquid taken from tanks"),
    ]
    k1_ci: HalfWidth
    k1_completeness: Completeness
    k2: Annotated[Number, formula("1 - chlorine that leaves as liquid / chlorine made")]
    k2_ci: HalfWidth
    k2_completeness: Completeness
    chlor_alkali_balance: Annotated[
        Number,
        formula(
            "chlorine used here or sent on by pipe, over the chlorine that comes with"
            " the caustic soda made; without transport by road and rail, vents and stocks"
        ),
    ]
    chlor_alkali_balance_ci: HalfWidth
    chlor_alkali_balance_completeness: Completeness


class TankState(TypedDict):
    """The contents of a tank now; fill is a share of its volume."""

    id: str
    scope: str
    inventory_t: Annotated[
        Number, formula("volume by level and shape * density, or the mass by its meter, now")
    ]
    capacity_t: Given[Number]
    fill: Annotated[Share, formula("volume by level and shape / volume to the brim")]
    fill_limit: Given[float]
    time: Rfc3339 | None
    quality: Uint8


class AbsorberState(TypedDict):
    """The time the caustic soda of an absorber lasts; null as well where no chlorine comes."""

    id: str
    scope: str
    caustic_t: Annotated[
        Number, formula("volume by level and shape * density * content of NaOH, as 100 % NaOH")
    ]
    chlorine_t_per_h: Annotated[Number, formula("sum of the live flows to the absorber")]
    absorber_min: Annotated[
        Number, formula("caustic soda / (caustic that the chlorine that comes uses up)")
    ]
    quality: Uint8


class ChlorineNow(TypedDict):
    """The headroom of the tanks by the values of now, or of the moment; null where unknown.

    Times are those of the farm that is full first, and null as well while none is filling. A user
    that trips leaves its chlorine to liquefaction, for which the model has no limit: the times are
    the shortest there can be.
    """

    headroom_t: Annotated[
        Number, formula("sum over the tanks in use of fill limit * capacity - inventory")
    ]
    filling_t_per_h: Annotated[Number, formula("live flow in - live flow out of the farm")]
    headroom_h: Annotated[
        Number, formula("headroom / filling rate, of the farm that is full first")
    ]
    stock_days: Annotated[Number, formula("inventory / mean use, or production, of a day")]
    stock_of: Literal["production", "use"] | None
    stock_limit_days: Given[Number]
    minutes_to_full_on_trip: Annotated[
        Number, formula("headroom / (filling rate + flow of the largest user)")
    ]
    largest_user: Annotated[str | None, Field(description="id of its stream")]
    largest_user_t_per_h: Annotated[Number, formula("greatest live flow to a user")]
    spare_tank_ready: bool | None
    absorbers: list[AbsorberState]
    quality: Uint8


class DesignMaximum(TypedDict):
    """The legal figures of GB 18218, from the design contents of a unit; level 0 = no source."""

    s: Annotated[
        Number, formula("sum of design contents / threshold quantities (GB 18218-2018, 4.2.2)")
    ]
    r: Annotated[
        Number,
        formula(
            "alpha * sum of beta * design contents / threshold quantities (GB 18218-2018, 4.3.2)"
        ),
    ]
    level: Annotated[int, Field(ge=0, le=4)]
    verified: bool


class LiveEquivalent(TypedDict):
    """R of the present contents of the unit: for operators, no level of a major hazard source."""

    r_equivalent: Annotated[
        Number, formula("alpha * sum of beta * present contents / threshold quantities")
    ]
    quality: Uint8


class HazardRow(TypedDict):
    """A unit graded as a major hazard source (重大危险源)."""

    id: str
    scope: str
    name: Name | None
    persons: Given[float]
    design_maximum: DesignMaximum
    live: LiveEquivalent


class ReferenceFigure(Provenance):
    """A figure of the reference table of chlorine with its provenance."""

    id: str
    name: Name
    value: Given[float]
    uom: str
    source: str


class ChlorineAnswer(WindowAnswer):
    """The chlorine balance of a scope, and the state of its tanks, absorbers and hazards."""

    items: list[ChlorineRow]
    tanks: list[TankState]
    now: ChlorineNow
    hazards: list[HazardRow]
    references: list[ReferenceFigure]


@router.get("/{path:path}/chlorine")
async def read_chlorine(
    context: AppContext, query: Hourly, values: Values = "reconciled", moment: Moment = None
) -> ChlorineAnswer:
    """Return the chlorine balance of a scope, and the headroom of its tanks, now or at a moment."""
    network, path, catalogue = query.network, query.scope, context.feed.catalogue
    at = catalogue.find(tag.address for tag in network.tags)
    image = await context.image_at(at[at >= 0], moment)
    now_us = query.now_us if moment is None else to_us(moment)
    live = live_values(image, catalogue, network, now_us)
    known = (path, "chlorine") in network.tanks.scopes or any(
        Account(path, "chlorine", item) in network.accounts for item in FLOW_ITEMS
    )
    return query.answer(
        ChlorineAnswer,
        [await balance_rows(context, query, values)] if known else [],
        tanks=tank_states(context, image, network, path),
        now=chlorine_now(network, path, live),
        hazards=hazards_now(network, path, live),
        references=_figures(),
    )


class ChlorineShare(NamedTuple):
    """A share of the chlorine of a scope in W windows, of the joint time of its meters."""

    joint: Joint
    value: F64  # (W,) [1]
    half_width: F64  # (W,) [1]
    weights: tuple[F64, F64]  # (T,) of its two sums


class ChlorineFigures(NamedTuple):
    """What is known of the chlorine of a scope over W windows."""

    sums: Sums
    balance: ComponentBalance
    closed: Joint  # of the flows of the balance
    every: Joint  # of all meters
    shares: dict[str, ChlorineShare]


async def read_figures(context: Context, query: WindowQuery) -> ChlorineFigures:
    """Return the chlorine balance and shares of a scope over windows; raises StoreError."""
    network, scope = query.network, query.scope
    made, taken = Account(scope, "chlorine", "make"), find_withdrawals(network, scope)
    flows = tags_of(network, flow_accounts(scope, "chlorine"))
    cells, outlets = weights(network, {made: 1.0}), outlet_weights(network, scope)
    caustic = _caustic_made(network, scope)
    groups = [
        _meters(network, taken.streams),
        np.union1d(tags_of(network, [made]), _meters(network, taken.exported)),
        np.flatnonzero((np.nan_to_num(outlets) != 0) | (caustic != 0)),
    ]
    sums = await read_sums(context, query, np.unique(np.concatenate([flows, *groups])))
    closed, every, *joints = await read_joint(context, sums, [flows, sums.tags, *groups])
    liquid, kept, placed = (joint.sums for joint in joints)
    local = [s for s, stays in zip(taken.streams, taken.local, strict=True) if stays]
    inside_, whole, sold = (
        withdrawal_weights(network, s) for s in (local, taken.streams, taken.exported)
    )
    shares = {
        "k1": (
            local_share_of_liquid(_amounts(liquid, taken.streams), taken.local),
            (inside_, whole),
        ),
        "k2": (
            local_share_of_made(kept.weigh(cells), _amounts(kept, taken.exported)),
            (cells - sold, cells),
        ),
        "chlor_alkali_balance": (
            chlor_alkali_balance(placed.weigh(outlets), placed.weigh(caustic)),
            (outlets, caustic * CHLORINE_PER_CAUSTIC),
        ),
    }
    return ChlorineFigures(
        sums,
        await read_component(context, sums, "chlorine", closed),
        closed,
        every,
        {
            name: ChlorineShare(
                joint,
                np.where(joint.enough, value, np.nan),
                joint.ratio("chlorine", *pair)[1],
                pair,
            )
            for (name, (value, pair)), joint in zip(shares.items(), joints, strict=True)
        },
    )


def _meters(network: Network, streams: Iterable[Stream]) -> I64:
    """Return the tags of the meters of some streams of chlorine, sorted."""
    tags = [meter_of(network, stream)[0] for stream in streams]
    return np.unique([tag for tag in tags if tag >= 0]).astype(np.int64)


def _amounts(sums: Sums, streams: Sequence[Stream]) -> F64:
    """Return the chlorine each stream carried, (W, S) [kg]; NaN where it is not known."""
    amounts = np.full((len(sums.amount), len(streams)), np.nan)
    for s, stream in enumerate(streams):
        tag, factor = meter_of(sums.network, stream)
        if tag >= 0:
            amounts[:, s] = sums.amount[:, np.searchsorted(sums.tags, tag)] * factor
    return amounts


async def balance_rows(context: Context, query: WindowQuery, values: Basis) -> list[ChlorineRow]:
    """Return the chlorine balance of each window; raises StoreError."""
    figures = await read_figures(context, query)
    sums, balance = figures.sums, figures.balance
    ratios = {name: share.weights for name, share in figures.shares.items()}
    reconciled = await read_reconciled(context, query, "chlorine", values, ratios)
    columns = dict(balance.columns)
    for name, share in figures.shares.items():
        columns[name] = out(share.value)
        columns[f"{name}_ci"] = out(share.half_width)
        columns[f"{name}_completeness"] = out(share.joint.share)
    known = sums.known(known_flows(sums, "chlorine"))
    if balance.ends is not None:
        known &= ~np.isnan(balance.columns["inventory_change_t"])
    trust = figures.every.trust(known | reconciled.stands, balance.ends)
    columns = stand_on(reconciled, columns | trust)
    return query.rows(ChlorineRow, {NAMES.get(name, name): c for name, c in columns.items()})


def _caustic_made(network: Network, scope: str) -> F64:
    """Return the weights (T,) of the caustic soda a scope made: as it was weighed, else by law."""
    weighed = Account(scope, "caustic", "mass")
    made = weighed if weighed in network.accounts else Account(scope, "caustic", "make")
    return weights(network, {made: 1.0})


def tank_states(
    context: Context, image: LiveImage, network: Network, scope: str
) -> list[TankState]:
    """Return the contents of each tank with chlorine in a scope by an image."""
    catalogue = context.feed.catalogue
    value, graded = np.full(len(network.tags), np.nan), image.graded
    states: list[TankState] = []
    for k in network.tanks.scopes.get((scope, "chlorine"), np.zeros(0, np.int64)).tolist():
        tag = network.tanks.tag[k]
        at = catalogue.index.get(network.tags[tag].address)
        never = at is None or image.time_us[at] == NEVER
        quality = q.NO_DATA if at is None else int(graded[at])
        for part in tags_of_tanks(network.tanks, [k]).tolist():
            from_ = catalogue.index.get(network.tags[part].address)
            if from_ is not None and image.quality[from_] < q.BAD:
                value[part] = image.value[from_]
        mass, fill = (of(network.tanks, value)[k] for of in (tank_mass, tank_fill))
        tank, capacity = network.park.tanks[k], network.tanks.capacity[k]
        states.append(
            record(
                TankState,
                tank,
                inventory_t=number(mass, TONNE),
                capacity_t=number(capacity, TONNE),
                fill=number(fill),
                time=None if never else rfc3339(int(image.time_us[at or 0]), context.zone),
                quality=quality,
            )
        )
    return states


def _worst(live: LiveValues, tags: Iterable[int]) -> int:
    """Return the worst quality of some tags."""
    quality = live.quality[np.unique(list(tags)).astype(np.int64)]
    return int(q.worst_of(quality, np.zeros(1, np.intp))[0]) if len(quality) else q.NO_DATA


def chlorine_now(network: Network, scope: str, live: LiveValues) -> ChlorineNow:
    """Return the present headroom of the tanks and absorbers of a scope."""
    farms = find_tank_farms(network, scope)
    outlook = forecast(network, farms, live.value)
    tanks = [k for farm in farms for k in (*farm.tanks, *farm.spares)]
    flows = {name: Account(scope, "chlorine", item) for name, (item, _) in STOCK.items()}
    stock_of = next((name for name in flows if tanks and flows[name] in network.accounts), None)
    stock, limit, tags = np.nan, np.nan, outlook.tags.tolist()
    if stock_of:
        entries = network.entries(flows[stock_of])
        at = network.entry_tag[entries]
        rate = live.rate[at] @ network.entry_factor[entries]
        stock = float(ratio(tank_mass(network.tanks, live.value)[tanks].sum(), rate))
        limit = figure(f"chlorine.{STOCK[stock_of][1]}", "time")
        tags += at.tolist()
    return {
        "headroom_t": number(outlook.headroom, TONNE),
        "filling_t_per_h": number(outlook.filling, T_PER_H),
        "headroom_h": number(outlook.full_s, HOUR),
        "stock_days": number(stock, DAY),
        "stock_of": stock_of,
        "stock_limit_days": number(limit, DAY),
        "minutes_to_full_on_trip": number(outlook.trip_s, MINUTE),
        "largest_user": outlook.user or None,
        "largest_user_t_per_h": number(outlook.user_flow, T_PER_H),
        "spare_tank_ready": None if np.isnan(outlook.spare) else outlook.spare == 1,
        "absorbers": _absorbers(network, scope, live),
        "quality": _worst(live, tags),
    }


def _absorbers(network: Network, scope: str, live: LiveValues) -> list[AbsorberState]:
    """Return the time the caustic soda of each absorber lasts."""
    mass = tank_mass(network.tanks, live.value)
    tank_at = {tank.id: k for k, tank in enumerate(network.park.tanks)}
    excess = np.array(figure("chlorine.absorber_excess", "fraction"))
    states: list[AbsorberState] = []
    for row in network.park.rows(AbsorberSpec):
        if not inside(row.scope, scope):
            continue
        tank, meter = tank_at[row.tank], network.index[row.chlorine]
        caustic = mass[tank] * network.tanks.share["caustic"][tank]
        flow = absorber_flow(network, row, live.rate)
        states.append(
            record(
                AbsorberState,
                row,
                caustic_t=number(caustic, TONNE),
                chlorine_t_per_h=number(flow, T_PER_H),
                absorber_min=number(absorber_time(caustic, flow, excess), MINUTE),
                quality=_worst(live, [*tags_of_tanks(network.tanks, [tank]).tolist(), meter]),
            )
        )
    return states


def hazards_now(network: Network, scope: str, live: LiveValues) -> list[HazardRow]:
    """Return the legal figures of each unit, and apart from them R of its present contents."""
    mass = tank_mass(network.tanks, live.value)
    rows = load_reference("hazards")["substance"]
    hazards: list[HazardRow] = []
    for row in network.park.rows(Hazard):
        if not inside(row.scope, scope):
            continue
        names, persons = list(row.substances), np.array(float(row.persons))
        tanks = tanks_of(network.park, row)
        # What no tank shows may be in pipes and vessels: it is not known, and not nothing.
        held = [mass[at].sum() if at else np.nan for at in tanks]
        legal = grade(row.design_maxima(), names, persons)
        tags = [int(tag) for at in tanks for tag in tags_of_tanks(network.tanks, at)]
        present = r_equivalent(np.array(held), names, persons)
        limits: DesignMaximum = {
            "s": number(legal.s),
            "r": number(legal.r),
            "level": int(legal.level),
            "verified": all(rows[name]["verified"] for name in names),
        }
        held_now: LiveEquivalent = {"r_equivalent": number(present), "quality": _worst(live, tags)}
        hazards.append(record(HazardRow, row, design_maximum=limits, live=held_now))
    return hazards


def _figures() -> list[ReferenceFigure]:
    """Return the reference figures the answer is compared with."""
    figures: list[ReferenceFigure] = []
    for name in FIGURES:
        row = load_reference("chlorine")[name]
        value, _, uom = row["value"].partition(" ")
        stated = {"id": name, "value": float(value), "uom": uom}
        source = row.get("standard") or row["source"]
        figures.append(record(ReferenceFigure, row, **stated, source=source))
    return figures
