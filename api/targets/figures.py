"""The figure of a target in windows of time: its value, how far to trust it, what it is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Literal

import numpy as np

from api import queries
from api.chlorine import hazards_now, read_figures, tank_states
from api.context import Context
from api.emissions.carbon import GridChoice, read_carbon
from api.encode import TONNE
from api.joint import Joint, read_joint
from api.live.image import live_values
from api.loops import rate_tags
from api.reconciled import (
    Basis,
    ReconciledAmount,
    covered_by,
    per_amount,
    read_amounts,
    read_reconciled,
)
from api.sums import read_sums, tag_ids, tags_of
from api.totals.figures import read_pace
from api.windows import WindowQuery
from twin.accounts.accounts import Account
from twin.arrays import BOOL, DAY_S, F64, HOUR_US, I64, SECOND_US, U8, ratio
from twin.byproducts.loops import Loop, compile_loops
from twin.emissions.permits import permits_of
from twin.energy.benchmarks import find_level
from twin.energy.consumption import electricity_row
from twin.model.park import inside
from twin.quality import NO_DATA, worse
from twin.reconciliation.uncertainty import weights
from twin.series import windows as w
from twin.series.coverage import missing
from twin.targets import MET, NOT_MET, UNDECIDED, verdict
from twin.targets.assets import ZERO_GAP, assets_of, capacities
from twin.targets.freight import ROAD, far_freight
from twin.targets.model import OF_TAGS, Target, is_held, summed_quantity
from twin.uom import compile_uom, parse_quantity

INTENSITY = {"electricity_intensity": "electricity", "energy_intensity": "coal_equivalent"}
OF_INDEX = {
    "kwh_per_t": "electricity_intensity",
    "kgce_per_t": "energy_intensity",
    "kgoe_per_t": "energy_intensity",
}
SHARES = {
    "local_share_of_liquid": "k1",
    "local_share_of_chlorine": "k2",
    "chlor_alkali_balance": "chlor_alkali_balance",
}
Origin = Literal["meters", "books", "both", "register"]
KINDS = {"aluminium": "potline", "caustic": "membrane", "chlorine": "membrane"}
TOO_LITTLE = "only {:.0%} of the time is covered by all of its tags"
YEAR_S = 365.25 * DAY_S
MWH = compile_uom("MWh", "energy")[0]
# The factors of the zero-carbon figures are those of the country, by location.
GRID = GridChoice("CN", "location", None)


@dataclass(frozen=True, slots=True)
class Parts:
    """The two sums of a ratio in W windows, by the enterprises they are of."""

    owners: list[str]
    over: F64  # (W, E) [SI]
    under: F64  # (W, E) [SI]
    quantity: str  # of `over`, of which a gap is an amount
    factor: float = 1.0  # of the figure to the ratio of the sums


@dataclass(frozen=True, slots=True)
class TargetFigure:
    """A figure in W windows, and how far to trust it."""

    value: F64  # (W,) [SI]; NaN = none
    half_width: F64  # (W,) [SI] 95 %; 0 = taken as exact
    quality: U8  # (W,)
    decisive: BOOL  # (W,) enough of the time is covered for a verdict
    missing: list[list[str]]  # of each window
    completeness: F64 | None = None  # (W,)
    stands: BOOL | None = None  # on reconciled amounts
    parts: Parts | None = None
    no_data: list[str] = field(default_factory=list)  # inputs the model or a reference lacks
    below: list[str] = field(default_factory=list)  # products that certainly miss their level


def no_figure(windows: int, *inputs: str) -> TargetFigure:
    """Return a figure without a value, and the inputs it lacks."""
    unknown, nothing = np.full(windows, np.nan), np.zeros(windows)
    quality = np.full(windows, NO_DATA, np.uint8)
    return TargetFigure(
        unknown, nothing, quality, nothing > 0, [[]] * windows, no_data=list(inputs)
    )


async def read_figure(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return the figure of a target in the windows of a query; raises StoreError."""
    return await EVALUATE[target.kpi](context, query, target, values)


def days_of(query: WindowQuery) -> list[date]:
    """Return the last day of each window."""
    day = timedelta(days=1)
    return [w.local(edge, query.zone).date() - day for edge in query.edges[1:].tolist()]


def _of(
    joint: Joint,
    value: F64,
    half_width: F64,
    *,
    ends: U8 | None = None,
    on: ReconciledAmount | None = None,
    parts: Parts | None = None,
) -> TargetFigure:
    """Return a figure of joint time; `ends` are as of `Sums.trust`, `on` what it may stand on."""
    trust = joint.trust(~np.isnan(value), ends)
    quality, stands = trust["quality"], np.zeros(len(value), bool)
    if on is not None:
        stands = on.stands
        quality = np.where(stands, worse(quality, on.quality), quality)
    return TargetFigure(
        value, half_width, quality, joint.decisive | stands, joint.missing, joint.share, stands,
        parts,
    )  # fmt: skip


def _parts(joint: Joint, over: F64, under: F64, quantity: str, factor: float = 1.0) -> Parts:
    """Return two weighted sums (T,) of joint time by the owners of their tags."""
    tags = joint.sums.tags
    used = tags[(np.nan_to_num(over[tags]) != 0) | (np.nan_to_num(under[tags]) != 0)]
    named = [joint.sums.network.tags[tag].owner for tag in used.tolist()]
    owners = sorted(set(named))
    member = np.array([[name == owner for owner in owners] for name in named], np.float64)
    member = member.reshape(len(used), len(owners))
    amount = joint.sums.amount[:, np.searchsorted(tags, used)]
    upper, lower = ((amount * each[used]) @ member for each in (over, under))
    return Parts(owners, upper, lower, quantity, factor)


async def _intensity(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return energy per mass of a product."""
    network = query.network
    energy, mass = (
        Account(query.scope, target.product, item) for item in (INTENSITY[target.kpi], "mass")
    )
    unknown = [f"{a.item} of {a.subject}" for a in (energy, mass) if a not in network.accounts]
    if unknown:
        return no_figure(len(query.edges) - 1, *unknown)
    groups = [tags_of(network, [energy]), tags_of(network, [energy, mass])]
    sums = await read_sums(context, query, groups[1])
    used, both = await read_joint(context, sums, groups)
    over, under = (weights(network, {account: 1.0}) for account in (energy, mass))
    made = (await read_amounts(context, query, values, {"mass": under}))["mass"]
    made = covered_by(made, used)
    figure = per_amount(made, used, both, target.product, (over, under))
    parts = _parts(both, over, under, "energy")
    return _of(both, figure.value, figure.half_width, on=made, parts=parts)


async def _chlorine(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return a share of the chlorine of a scope."""
    figures = await read_figures(context, query)
    if target.kpi in SHARES:
        name = SHARES[target.kpi]
        share = figures.shares[name]
        parts = _parts(share.joint, *share.weights, "mass")
        other = await read_reconciled(context, query, "chlorine", values, {name: share.weights})
        value, width, on = share.value, share.half_width, None
        if name in other.columns:
            on = ReconciledAmount(
                other.columns[name], other.columns[f"{name}_ci"], other.stands, other.quality
            )
            value = np.where(on.stands, on.value, value)
            width = np.where(on.stands, on.sigma, width)
        return _of(share.joint, value, width, on=on, parts=parts)
    balance, closed = figures.balance, figures.closed
    value, ci = (
        ratio(each, balance.made) for each in (abs(balance.unaccounted), balance.unaccounted_ci)
    )
    return _of(closed, value, ci, ends=balance.ends)


async def _register(_: Context, query: WindowQuery, target: Target, __: Basis) -> TargetFigure:
    """Return a figure of the asset register on the last day of each window."""
    return register_figure(query, target, days_of(query))


def register_figure(query: WindowQuery, target: Target, days: list[date]) -> TargetFigure:
    """Return a figure of the asset register on some days, which may be to come."""
    kind, has = target.asset, target.has
    if target.kpi == "capacity":
        kind = KINDS.get(target.product, target.product)
    elif target.kpi == "zero_gap_share":
        kind, has = "membrane", ZERO_GAP
    today = w.local(query.now_us, query.zone).date()
    assets = assets_of(query.network.park, query.scope, kind, today)
    if not assets:
        return no_figure(len(days), f"[[asset]] of kind {kind!r} in {query.scope}")
    part, whole = capacities(assets, has, days)
    scopes = sorted({each.scope for each in assets})
    member = np.array([[each.scope == scope for scope in scopes] for each in assets], np.float64)
    over, under = part @ member, whole @ member
    value = over.sum(axis=1)
    if target.kpi in ("zero_gap_share", "asset_share"):
        value = ratio(value, under.sum(axis=1))
    else:
        under = np.zeros_like(under)
        under[:, 0] = 1.0
    nothing = np.zeros(len(days))
    unknown = [f"capacity of {each.id}" for each in assets if np.isnan(each.capacity)]
    parts = Parts(scopes, over, under, "mass_flow")
    return TargetFigure(
        value, nothing, nothing.astype(np.uint8), nothing == 0, [[]] * len(days), parts=parts,
        no_data=unknown,
    )  # fmt: skip


async def _tags(context: Context, query: WindowQuery, target: Target, _: Basis) -> TargetFigure:
    """Return an amount in a year, or a ratio of amounts, of tags; without an error it is exact."""
    network = query.network
    position = {tag.address: at for at, tag in enumerate(network.tags)}
    part, whole = ([position[name] for name in names] for names in (target.part, target.whole))
    over, under = np.zeros((2, len(network.tags)))
    over[part], under[whole] = 1.0, 1.0
    used = np.unique(np.array([*part, *whole], np.int64))
    sums = await read_sums(context, query, used)
    (joint,) = await read_joint(context, sums, [used])
    covered_s = joint.sums.covered_s[:, :1]
    first = [network.tags[each[0]] for each in (part, whole or part)]
    held = [is_held(tag) for tag in first]
    quantity = summed_quantity(first[0])
    if not target.whole:
        value, width = joint.rate(over)
        parts = _parts(joint, over, under, "" if held[0] else quantity)
        parts.under[:, :1] = covered_s
        return _of(joint, value, np.nan_to_num(width), parts=parts)
    # An amount over a state is one in a year: tax on land.
    factor = YEAR_S if held == [False, True] else 1.0
    value, width = (factor * each for each in joint.ratio("", over, under))
    parts = _parts(joint, over, under, quantity, factor)
    if all(held):
        parts = replace(
            parts, over=ratio(parts.over, covered_s), under=ratio(parts.under, covered_s)
        )
    return _of(joint, value, np.nan_to_num(width), parts=parts)


async def _count(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return how many tags come to more than an amount in a year."""
    network = query.network
    tag = next(each for each in network.tags if each.address == target.part[0])
    above = parse_quantity(target.above, summed_quantity(tag)) / YEAR_S
    one = [await _tags(context, query, replace(target, part=(name,)), values)
           for name in target.part]  # fmt: skip
    rates = np.array([figure.value for figure in one])
    value = np.where(np.isnan(rates).any(axis=0), np.nan, (rates >= above).sum(axis=0))
    shares = np.array([figure.completeness for figure in one], np.float64)
    missing = [
        [name for names in window for name in names]
        for window in zip(*(figure.missing for figure in one), strict=True)
    ]
    quality = np.max([figure.quality for figure in one], axis=0)
    decisive = np.all([figure.decisive for figure in one], axis=0)
    return TargetFigure(value, np.zeros(len(value)), quality, decisive, missing, shares.min(axis=0))


async def _rise(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return by how much a ratio is above that of its base year."""
    year = target.base_year or 0
    begin = [datetime(each, 1, 1, tzinfo=query.zone) for each in (year, year + 1)]
    stamps = [round(each.timestamp()) * SECOND_US for each in begin]
    before = await _tags(
        context, replace(query, window="month", edges=np.array(stamps)), target, values
    )
    now = await _tags(context, query, target, values)
    if np.isnan(before.value[0]):
        lacking = before.missing[0] or [*target.part, *target.whole]
        now = replace(now, no_data=[f"{name} in {year}" for name in lacking])
    value = ratio(now.value, before.value[0]) - 1
    width = ratio(np.hypot(now.half_width, (value + 1) * before.half_width[0]), before.value[0])
    decisive = now.decisive & before.decisive
    return replace(now, value=value, half_width=width, decisive=decisive, parts=None)


async def _carbon(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return emissions, or green electricity, over the comprehensive energy of a scope."""
    network, windows = query.network, len(query.edges) - 1
    energy = Account(query.scope, "total", "coal_equivalent")
    if energy not in network.accounts:
        return no_figure(windows, f"energy meters of {query.scope}")
    tags = tags_of(network, [energy])
    sums = await read_sums(context, query, tags)
    (joint,) = await read_joint(context, sums, [tags])
    weight = weights(network, {energy: 1.0})
    used, used_ci = joint.rate(weight)
    rows = (await read_carbon(context, query, GRID, values))["items"]
    if not rows:
        return no_figure(windows, f"sources of carbon dioxide of {query.scope}")
    if target.kpi == "carbon_per_energy":
        over = np.array([row["total_t"] for row in rows], np.float64) * TONNE[0]
        over_ci = np.array([row["total_ci_t"] for row in rows], np.float64) * TONNE[0]
    else:
        # Electricity counts as in what it is a share of: by the coal equivalent of its heat.
        heat = parse_quantity(electricity_row("equivalent", 0)["factor"], "fraction")
        over = np.array([row["green_mwh"] for row in rows], np.float64) * MWH * heat
        over_ci = np.zeros(windows)
    shares = np.array([row["completeness"] for row in rows], np.float64)
    quality = np.array([row["quality"] for row in rows], np.uint8)
    # Both are of the time their own meters cover; what is not covered may be none or twice of it.
    share = np.minimum(joint.share, shares)
    rate = ratio(over, shares * query.elapsed_s)
    value = np.where(share >= context.settings.value_completeness, ratio(rate, used), np.nan)
    relative = np.where(over_ci == 0, 0.0, ratio(over_ci, over))
    width = np.abs(value) * (np.hypot(relative, ratio(used_ci, used)) + 1 - share)
    emitted, energy_used = ((each * query.elapsed_s * share)[:, None] for each in (rate, used))
    quantity = "mass" if target.kpi == "carbon_per_energy" else "energy"
    parts = Parts([query.scope], emitted, energy_used, quantity)
    enough = context.settings.verdict_completeness
    figure = _of(joint, value, width, parts=parts)
    return replace(
        figure,
        quality=worse(figure.quality, quality),
        completeness=share,
        missing=[
            [*dict.fromkeys([*mine, *row["missing"]])]
            for mine, row in zip(joint.missing, rows, strict=True)
        ],
        decisive=joint.decisive & (shares >= enough),
    )


def goal_of(query: WindowQuery, target: Target, product: str = "") -> tuple[float, str, str]:
    """Return the goal of a target [SI] by its level, the input it lacks and the kind of figure."""
    name = product or target.product
    grades = [row.grade for row in query.network.park.products
              if row.id == name and (inside(row.scope, query.scope)
                                     or inside(query.scope, row.scope))]  # fmt: skip
    level = find_level(name, target.level, next(iter(grades), np.nan))
    if level is None:
        return np.nan, f"{target.level} of {name}: no standard is named", target.kpi
    kpi = OF_INDEX[level.index]
    if np.isnan(level.goal):
        lack = f"{target.level} of {name}: the table of {level.standard} is not known"
        return np.nan, lack, kpi
    if not product and kpi != target.kpi:
        return np.nan, f"{target.level} of {name}: it is one of {kpi}", kpi
    return level.goal, "", kpi


async def _at_level(
    context: Context, query: WindowQuery, target: Target, values: Basis
) -> TargetFigure:
    """Return the share of the products that reach their level, each decided by its interval."""
    windows = len(query.edges) - 1
    rows = query.network.park.products
    products = list(dict.fromkeys(row.id for row in rows if inside(row.scope, query.scope)))
    goals = [goal_of(query, target, product) for product in products]
    lacking = [lack for _, lack, _ in goals if lack]
    if lacking or not products:
        return no_figure(windows, *(lacking or [f"[[product]] in {query.scope}"]))
    each = [
        await _intensity(context, query, replace(target, kpi=kpi, product=product), values)
        for product, (_, _, kpi) in zip(products, goals, strict=True)
    ]
    value, width = (np.array([getattr(e, n) for e in each]) for n in ("value", "half_width"))
    goal = np.array([[goal] for goal, _, _ in goals])
    met = verdict(value, goal, np.array(True), width, decisive=[e.decisive for e in each])
    reached = np.where(met == UNDECIDED, np.nan, met == MET).mean(axis=0)
    shares = np.array([e.completeness for e in each], np.float64)
    open_, below = (
        [p for p, m in zip(products, met, strict=True) if (m == state).any()]
        for state in (UNDECIDED, NOT_MET)
    )
    return TargetFigure(
        reached,
        np.zeros(windows),
        np.max([e.quality for e in each], axis=0),
        np.all([e.decisive for e in each], axis=0),
        [[name for e in each for name in e.missing[at]] for at in range(windows)],
        shares.min(axis=0),
        no_data=[f"energy per tonne of {p}, decided" for p in open_],
        below=below,
    )


def _loop_of(query: WindowQuery, target: Target) -> Loop | None:
    """Return the loop that a target is about; None where its scope has none."""
    loops = compile_loops(query.network, query.scope)
    return next((loop for loop in loops if loop.id == target.loop), None)


async def _loop(context: Context, query: WindowQuery, target: Target, _: Basis) -> TargetFigure:
    """Return the rate of a loop: reuse of water, use of a waste, of waste heat or a by-product."""
    windows, loop = len(query.edges) - 1, _loop_of(query, target)
    if loop is None:
        return no_figure(windows, f"loop {target.loop} of {query.scope}")
    if loop.lacking:
        return no_figure(windows, *loop.lacking)
    used = rate_tags(loop)
    sums = await read_sums(context, query, used)
    (joint,) = await read_joint(context, sums, [used])
    value, width = joint.ratio(loop.component, loop.over, loop.under)
    parts = _parts(joint, loop.over, loop.under, "energy" if loop.energy else "mass")
    return _of(joint, value, np.nan_to_num(width), parts=parts)


async def _data(context: Context, query: WindowQuery, _: Target, __: Basis) -> TargetFigure:
    """Return the share of the time that the measured tags of a scope are covered, their mean."""
    tags = query.network.tags
    used = np.array(
        [n for n, t in enumerate(tags) if t.source == "measured" and inside(t.scope, query.scope)],
        np.int64,
    )
    if not len(used):
        return no_figure(len(query.edges) - 1, f"measured tags of {query.scope}")
    sums = await read_sums(context, query, used)
    share = w.shares(sums.covered_s, query.elapsed_s)
    named = [tags[n] for n in used.tolist()]
    owners = sorted({tag.owner for tag in named})
    member = np.array([[tag.owner == owner for owner in owners] for tag in named], np.float64)
    value, windows = share.mean(axis=1), len(share)
    whole = np.broadcast_to(member.sum(axis=0), (windows, len(owners)))
    return TargetFigure(
        value, np.zeros(windows), np.zeros(windows, np.uint8), np.full(windows, fill_value=True),
        missing(share, [tag.address for tag in named]), value,
        parts=Parts(owners, share @ member, whole, ""),
    )  # fmt: skip


async def _live(context: Context, query: WindowQuery, target: Target, _: Basis) -> TargetFigure:
    """Return the room of the chlorine tanks, or the largest R of a hazard, by the live values."""
    windows, now_us, feed = len(query.edges) - 1, query.now_us, context.feed
    if windows != 1 or int(query.edges[-1]) < now_us - HOUR_US:
        return no_figure(windows, "live values: they are of now, not of another time")
    live = live_values(feed.image, feed.catalogue, query.network, now_us)
    if target.kpi == "hazard_equivalent":
        hazards = hazards_now(query.network, query.scope, live)
        size = np.array([row["live"]["r_equivalent"] for row in hazards], np.float64)
        value = float(size.max()) if hazards else np.nan
        names = [row["id"] for row, r in zip(hazards, size.tolist(), strict=True) if np.isnan(r)]
        usual = "[[hazard]] of the scope"
        quality = max([row["live"]["quality"] for row in hazards], default=NO_DATA)
    else:
        network = query.network
        inside_ = network.tanks.scopes.get((query.scope, "chlorine"), np.zeros(0, np.int64))
        states = tank_states(context, feed.image, network, query.scope)
        pairs = zip(inside_.tolist(), states, strict=True)
        # Spare tanks are for accidents: they are no room.
        used = [(k, row) for k, row in pairs if not network.park.tanks[k].spare]
        tanks = [row for _, row in used]
        held = np.array([row["inventory_t"] for row in tanks], np.float64)
        room = network.tanks.limit[[k for k, _ in used]] / TONNE[0]
        value = float(ratio(room.sum() - held.sum(), room.sum()))
        names = [row["id"] for row, t in zip(tanks, held.tolist(), strict=True) if np.isnan(t)]
        usual = f"tanks with chlorine of {query.scope}"
        quality = max([row["quality"] for row in tanks], default=NO_DATA)
    lacking = [f"contents of {name}" for name in names] or [usual]
    known = np.isfinite(value)
    one = np.zeros(1)
    return TargetFigure(
        np.array([value], np.float64), one, np.array([quality], np.uint8), one == 0, [[]],
        no_data=[] if known else lacking,
    )  # fmt: skip


def _named(query: WindowQuery, target: Target) -> I64:
    """Return the places of the tags that a target names, or that its loop or freight has."""
    tags = query.network.tags
    loop = _loop_of(query, target) if target.kpi == "loop_rate" else None
    if loop is not None:
        return rate_tags(loop)
    named = {*target.part, *target.whole}
    if target.kpi == "off_road_share":
        named = {row.tag for row in far_freight(query.network.park, query.scope)}
    return np.array([n for n, tag in enumerate(tags) if tag.address in named], np.int64)


def _entered(query: WindowQuery, target: Target) -> I64:
    """Return the places of the tags of a target whose values people enter."""
    used = _named(query, target)
    return used[[query.network.tags[n].source == "manual" for n in used.tolist()]]


def made_of(query: WindowQuery, target: Target) -> Origin:
    """Return what a figure is made of: meters, books, both of them, or the asset register."""
    if EVALUATE[target.kpi] is _register:
        return "register"
    used, entered = len(_named(query, target)), len(_entered(query, target))
    if not entered:
        return "meters"
    return "books" if entered == used else "both"


async def _permit_pace(
    context: Context, query: WindowQuery, target: Target, _: Basis
) -> TargetFigure:
    """Return emissions at the pace of each window, of whole days, over what a permit allows."""
    permits = {permit.id: permit for permit in permits_of(query.network.park)}
    permit = permits.get(target.permit)
    if permit is None:
        return no_figure(len(query.edges) - 1, f"[[permit]] {target.permit!r}")
    pace = await read_pace(context, query, permit)
    enough = context.settings
    value = np.where(pace.share >= enough.value_completeness, pace.rate * YEAR_S, np.nan)
    return TargetFigure(
        value / permit.amount,
        pace.half_width * YEAR_S / permit.amount,
        np.full(len(value), pace.quality, np.uint8),
        pace.share >= enough.verdict_completeness,
        [pace.missing] * len(value),
        pace.share,
    )


async def _off_road(context: Context, query: WindowQuery, _: Target, __: Basis) -> TargetFigure:
    """Return the share of rail and pipe in the tonne-kilometres of goods that go far."""
    network, windows = query.network, len(query.edges) - 1
    rows = far_freight(network.park, query.scope)
    if not rows:
        return no_figure(windows, f"[[freight]] of {query.scope} that goes far")
    over, under = np.zeros((2, len(network.tags)))
    at = [network.index[row.tag] for row in rows]
    for n, row in zip(at, rows, strict=True):
        under[n] += row.distance
        over[n] += row.distance * (row.mode != ROAD)
    sums = await read_sums(context, query, np.unique(np.array(at, np.int64)))
    (joint,) = await read_joint(context, sums, [sums.tags])
    value, width = joint.ratio("", over, under)
    # By enterprise and mode: the work of each mode is its part of the denominator.
    names = [f"{network.tags[n].owner}/{row.mode}" for n, row in zip(at, rows, strict=True)]
    owners = sorted(set(names))
    work = (
        np.array([row.distance for row in rows])
        * joint.sums.amount[:, np.searchsorted(joint.sums.tags, at)]
    )
    member = np.array([[name == owner for owner in owners] for name in names], np.float64)
    off = np.array([row.mode != ROAD for row in rows])
    parts = Parts(owners, (work * off) @ member, work @ member, "")
    return _of(joint, value, np.nan_to_num(width), parts=parts)


async def last_stop(context: Context, query: WindowQuery, target: Target) -> int | None:
    """Return when the newest period ends that all book tags of a target have, [µs]."""
    booked = _entered(query, target)
    if target.kpi not in (*OF_TAGS, "loop_rate", "off_road_share") or not len(booked):
        return None
    ids = tag_ids(context, query.network, booked)
    rows = await context.store.rows(queries.BOOK_STOPS, ids.tolist())
    stops = [stop for (stop,) in rows]
    return min(stops) if len(stops) == len(booked) else None


EVALUATE: dict[str, Callable[[Context, WindowQuery, Target, Basis], Awaitable[TargetFigure]]] = {
    "electricity_intensity": _intensity,
    "energy_intensity": _intensity,
    "local_share_of_liquid": _chlorine,
    "local_share_of_chlorine": _chlorine,
    "unaccounted_share": _chlorine,
    "chlor_alkali_balance": _chlorine,
    "zero_gap_share": _register,
    "capacity": _register,
    "asset_share": _register,
    "asset_capacity": _register,
    "ratio": _tags,
    "amount": _tags,
    "count": _count,
    "rise": _rise,
    "carbon_per_energy": _carbon,
    "clean_energy_share": _carbon,
    "products_at_level": _at_level,
    "loop_rate": _loop,
    "data_availability": _data,
    "chlorine_tank_room": _live,
    "hazard_equivalent": _live,
    "permit_pace": _permit_pace,
    "off_road_share": _off_road,
}
