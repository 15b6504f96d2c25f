"""The balance of a component in a scope over windows: its flows, its stocks, what is unaccounted.

Flows are what was measured. What is unaccounted is that of the joint time of all flows, with what
the tanks took up in each run of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from api.encode import TONNE, out
from api.sums import Sums, column_of, read_rows, read_sums, tag_ids, worst_at
from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account
from twin.accounts.tanks import tags_of_tanks, tank_mass
from twin.arrays import F64, I64, MINUTE_S, MINUTE_US, U8, ratio
from twin.byproducts.balance import unaccounted
from twin.reconciliation.balances import Amounts, Balance, measure
from twin.reconciliation.steady import hold_back
from twin.reconciliation.uncertainty import half_width, stored_sigma, weights
from twin.series.coverage import COMPLETE

if TYPE_CHECKING:
    from api.context import Context
    from api.joint import Joint
    from api.windows import WindowQuery
    from twin.reconciliation.closure import Closure

# An inventory at an edge may come from a minute that is this far away.
NEAR = timedelta(minutes=15)
NO_STOCK = "what the tanks hold is not known at an edge of the time that is covered"


@dataclass(frozen=True, slots=True)
class Stocks:
    """Mass of a component in the tanks of a scope at the edges of W windows and of r runs."""

    mass: F64  # (W+1,) [kg]; NaN where a tank is not known
    quality: U8  # (W+1,)
    change_ci: F64  # (W,) [kg] half width of what the tanks take up in a window
    run_change: F64  # (W,) [kg] in the runs of a window
    run_change_ci: F64  # (W,) [kg]


@dataclass(frozen=True, slots=True)
class ComponentBalance:
    """The balance of a component over W windows; of what is unaccounted, SI."""

    columns: dict[str, Any]  # of an answer, in t
    unaccounted: F64  # (W,) [kg] over the joint time
    unaccounted_ci: F64  # (W,) [kg]
    made: F64  # (W,) [kg] over the joint time; NaN where the scope makes none
    ends: U8 | None  # (W+1,) quality of the stocks at the edges


def flow_accounts(scope: str, component: str) -> list[Account]:
    """Return the accounts of the flows of a balance."""
    return [Account(scope, component, item) for item in FLOW_ITEMS]


async def read_levels(
    context: Context, query: WindowQuery, tanks: I64, edges: I64
) -> tuple[F64, U8]:
    """Return the values of the tags (n, T) [SI] of some tanks at n times, and their quality.

    A value is the last before the time, or the nearest covered one; raises StoreError.
    """
    network = query.network
    tags = tags_of_tanks(network.tanks, tanks)
    until_us = np.minimum(edges, query.expected_us // MINUTE_US * MINUTE_US)
    moments, edge = np.unique(until_us, return_inverse=True)
    context.require_affordable(len(moments) * len(tags))
    ids = tag_ids(context, network, tags)
    rows = await context.store.minutes_near(ids, moments - MINUTE_US, NEAR)
    value = np.full((len(moments), len(network.tags)), np.nan)
    at = np.searchsorted(moments, rows["time_us"] + MINUTE_US)
    value[at, tags[column_of(ids, rows)]] = rows["last"]
    return value[edge], worst_at(rows["quality"], at, len(moments))[edge]


class MeasuredStreams(NamedTuple):
    """The streams of a balance over W windows as they were measured."""

    amounts: Amounts  # (W, S)
    sums: Sums  # of their tags
    ends: U8  # (W+1,) quality of the stocks at the edges


async def read_streams(context: Context, query: WindowQuery, balance: Balance) -> MeasuredStreams:
    """Return the measured streams of a balance over the windows of a query; raises StoreError."""
    network = query.network
    sums = await read_sums(context, query, balance.tags)
    levels, ends = await read_levels(context, query, tanks_of(balance), query.edges)
    # A meter with a hole has counted too little: the balances tell the amount, it does not.
    whole = sums.covered_s >= COMPLETE * query.elapsed_s[:, None]
    amount, covered_s = sums.of_all()
    amount[:, sums.tags] = np.where(whole, sums.amount, np.nan)
    edges = np.stack([levels[:-1], levels[1:]], axis=1)
    return MeasuredStreams(measure(network, balance, amount, covered_s, edges), sums, ends)


async def read_held_back(
    context: Context, query: WindowQuery, balance: Balance, amounts: Amounts, closure: Closure
) -> list[tuple[str, ...]]:
    """Return of each window the moving streams that `hold_back` names; raises StoreError.

    How far flows moved is the difference of the last minute of a window and of the one that was a
    hold-up time before it. Without these minutes nothing is held back.
    """
    held = list[tuple[str, ...]]([()] * len(amounts.flow))
    # A flow seldom changes by more than its double: where that explains nothing, nothing is read.
    most = 2 * np.abs(np.nan_to_num(amounts.carried()[0])) / query.elapsed_s.clip(min=1.0)[:, None]
    at = np.flatnonzero([bool(some) for some in hold_back(balance, amounts, closure, most)])
    count = 2 * len(at) * len(balance.tags)
    if not len(at) or count > context.settings.calculation_values_max:
        return held
    longest_us = round(max(line.hold_up_s for line in balance.lines) / MINUTE_S) * MINUTE_US
    last_us = np.minimum(query.edges[1:][at], query.expected_us // MINUTE_US * MINUTE_US)
    ends = np.stack([query.edges[:-1][at] - longest_us, last_us])
    rate = await _read_rates(context, query, balance, ends.ravel())
    change = np.zeros(amounts.flow.shape)
    change[at] = rate[len(at) :] - rate[: len(at)]
    return hold_back(balance, amounts, closure, change)


async def _read_rates(context: Context, query: WindowQuery, balance: Balance, moments: I64) -> F64:
    """Return the flows in the minutes that end at some times, (n, S) [kg/s]; raises StoreError."""
    network, tags = query.network, balance.tags
    ends, which = np.unique(moments, return_inverse=True)
    rows = await read_rows(
        context,
        network,
        tags,
        lambda ids: context.store.minutes(ids, ends - MINUTE_US),
    )
    amount = np.full((len(ends), len(network.tags)), np.nan)
    at = np.searchsorted(ends - MINUTE_US, rows["time_us"])
    amount[at, rows["tag"]] = ratio(rows["amount"], rows["covered_s"])
    covered_s = np.where(np.isfinite(amount), 1.0, 0.0)
    levels = np.full((len(ends), 2, len(network.tags)), np.nan)
    return measure(network, balance, amount, covered_s, levels).carried()[0][which]


def tanks_of(balance: Balance) -> I64:
    """Return the places of the tanks of a balance."""
    return np.array([k for line in balance.lines for k in line.tanks], dtype=np.int64)


async def read_component(
    context: Context, sums: Sums, component: str, joint: Joint
) -> ComponentBalance:
    """Return the balance of a component in the scope of the sums; raises StoreError.

    `joint` has the joint sums of `flow_accounts`. The columns (W,) are the items of the accounts,
    `inventory_change`, `unaccounted` and `inventory`, each item with half the width of its
    interval, as make_t and make_ci_t, the completeness of the flows, as make_completeness, and the
    reason why nothing is known of what is unaccounted.
    """
    network, scope, count = sums.network, sums.query.scope, len(sums.amount)
    accounts = flow_accounts(scope, component)
    stocks = await _read_stocks(context, sums.query, component, joint)
    unknown = np.full(count, np.nan)
    change = unknown if stocks is None else np.diff(stocks.mass)
    residual, residual_ci, made = _close(component, joint, accounts, stocks)
    columns = {account.item: sums.total(account) for account in accounts}
    widths = {a.item: sums.ci(component, weights(network, {a: SIGNS[a.item]})) for a in accounts}
    columns |= {"inventory_change": change, "unaccounted": residual}
    widths["inventory_change"] = unknown if stocks is None else stocks.change_ci
    widths["unaccounted"] = residual_ci
    for name, column in list(columns.items()):
        columns[f"{name}_ci"] = np.where(np.isnan(column), np.nan, widths[name])
    columns["inventory"] = unknown if stocks is None else stocks.mass[1:]
    lost = stocks is not None and np.isnan(stocks.run_change)
    reasons = np.where(joint.enough & lost, NO_STOCK, joint.reasons(residual))
    answer = {
        **{f"{name}_t": out(column, TONNE) for name, column in columns.items()},
        **{f"{a.item}_completeness": sums.completeness(sums.columns([a])) for a in accounts},
        "reason": reasons.tolist(),
    }
    return ComponentBalance(
        answer, residual, residual_ci, made, None if stocks is None else stocks.quality
    )


def known_flows(sums: Sums, component: str) -> list[Account]:
    """Return the accounts of the flows of a balance that the model has."""
    accounts = flow_accounts(sums.query.scope, component)
    return [account for account in accounts if account in sums.network.accounts]


async def _read_stocks(
    context: Context, query: WindowQuery, component: str, joint: Joint
) -> Stocks | None:
    """Return the stocks of a component in the scope; None where it has no tanks of it."""
    network = query.network
    tanks = network.tanks.scopes.get((query.scope, component))
    if tanks is None:
        return None
    runs, windows = joint.runs(), len(query.edges) - 1
    edges = np.concatenate([query.edges, runs.start_us, runs.stop_us])
    levels, quality = await read_levels(context, query, tanks, edges)
    mass = tank_mass(network.tanks, levels)[:, tanks] @ network.tanks.share[component][tanks]
    count = windows + 1
    before, after = np.split(mass[count:], 2)
    level = np.stack([levels[: count - 1], levels[1:count]], axis=1)
    run_level = np.stack(np.split(levels[count:], 2), axis=1)
    # The errors of levels at the edges of runs are independent.
    variance = stored_sigma(network, component, tanks, run_level) ** 2
    return Stocks(
        mass[:count],
        quality[:count],
        half_width(stored_sigma(network, component, tanks, level)),
        np.bincount(runs.window, after - before, windows).astype(np.float64),
        half_width(np.sqrt(np.bincount(runs.window, variance, windows))),
    )


def _close(
    component: str, joint: Joint, accounts: list[Account], stocks: Stocks | None
) -> tuple[F64, F64, F64]:
    """Return what is unaccounted, half its interval, and what was made [kg], of the joint time."""
    sums = joint.runs().sums
    network, nothing = sums.network, np.zeros(len(sums.amount))
    known = [account for account in accounts if account in network.accounts]
    # A stream the model does not have takes no part; one without data makes the balance unknown.
    make, use, imported, exported, vented = (
        sums.total(a) if a in network.accounts else nothing for a in accounts
    )
    kept = nothing if stocks is None else stocks.run_change
    residual = unaccounted(make, use, imported, exported, vented, kept)
    residual = np.where(joint.enough & bool(known), residual, np.nan)
    terms = {account: SIGNS[account.item] for account in accounts}
    width = sums.ci(component, weights(network, terms))
    if stocks is not None:
        width = np.hypot(width, stocks.run_change_ci)
    return residual, width, sums.total(accounts[0])
