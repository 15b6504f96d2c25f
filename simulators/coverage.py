"""How often the intervals the twin states hold the truth, over many parks with other meters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.cells import true_electrolysers
from simulators.memory import minutes_of
from simulators.process import make_process, state
from simulators.sensors import make_sensors, observe
from twin.accounts import Account
from twin.balances import compile_balance, measure
from twin.closure import close
from twin.intervals import half_width, ratio_weight, spread, weights
from twin.minutes import MINUTE_US
from twin.network import compile_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from simulators.memory import Table
    from simulators.process import Process
    from simulators.waves import F64
    from twin.model import Park
    from twin.network import Network

WINDOW_MINUTES = 60
SCAN_S = 10.0
COMPONENTS = ("chlorine", "caustic", "hydrogen_chloride")
BALANCE = {"make": 1.0, "import": 1.0, "use": -1.0, "export": -1.0, "vent": -1.0}


class Stated(NamedTuple):
    """One figure of one park: what the twin says, and what is so; NaN = it says nothing."""

    kpi: str
    value: float
    raw: float  # without reconciliation
    width: float  # half of the interval of 95 %
    truth: float


class Coverage(NamedTuple):
    """A figure over all parks and places."""

    kpi: str
    intervals: int
    share: float  # of the intervals that hold the truth
    error: float  # median of |value - truth| / truth; NaN where the truth is zero
    raw_error: float


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour as the twin sees it, and as it truly was."""

    network: Network
    true_network: Network  # with the efficiencies the electrolysers truly have
    amount: F64  # (T,)
    covered_s: F64  # (T,)
    levels: F64  # (2, T)
    true_amount: F64
    true_levels: F64


def figures(park: Park, seed: int, start_us: int) -> list[Stated]:
    """Return all figures of an hour of a park with the meters of a seed, nothing being wrong."""
    process = make_process(park, seed)
    network = compile_network(park)
    cells = true_electrolysers(process.plant.cells)
    true_network = compile_network(replace(park, electrolysers=cells))
    stop_us = start_us + WINDOW_MINUTES * MINUTE_US
    show = partial(observe, make_sensors(process, seed))
    table = minutes_of(network, show, start_us - MINUTE_US, stop_us, scan_s=SCAN_S)
    hour = Hour(
        network,
        true_network,
        *_window(table),
        *_true(true_network, process, start_us, stop_us),
    )
    return [*_sums(hour), *_energy(hour), *_reconciled(hour)]


def _reconciled(hour: Hour) -> Iterator[Stated]:
    """Yield the flows of all streams as the balances adjust them."""
    whole = hour.network.park.id
    for component in COMPONENTS:
        balance = compile_balance(hour.network, whole, component)
        measured = measure(hour.network, balance, hour.amount, hour.covered_s, hour.levels)
        truth = _true_flows(hour, whole, component)
        closed = close(balance, measured)
        known = np.isfinite(closed.sigma) & np.isfinite(truth) & (closed.sigma > 0)
        width = half_width(closed.sigma)
        columns = (closed.estimate, closed.measured, width, truth)
        for s in np.flatnonzero(known).tolist():
            yield Stated(f"reconciled {component}", *(float(column[s]) for column in columns))


def _true_flows(hour: Hour, scope: str, component: str) -> F64:
    """Return the true flows of a balance, (S,) [kg]."""
    balance = compile_balance(hour.true_network, scope, component)
    covered_s = np.full(len(hour.covered_s), WINDOW_MINUTES * 60.0)
    found = measure(hour.true_network, balance, hour.true_amount, covered_s, hour.true_levels)
    return np.asarray(found.flow * found.fraction)


def _window(table: Table) -> tuple[F64, F64, F64]:
    """Return amounts, cover, and the values at the edges: means of the minute before."""
    mean = table.amount / np.where(table.covered_s > 0, table.covered_s, np.nan)
    amount, covered_s = table.amount[1:].sum(axis=0), table.covered_s[1:].sum(axis=0)
    return amount, covered_s, np.stack([mean[0], mean[-1]])


def _true(network: Network, process: Process, start_us: int, stop_us: int) -> tuple[F64, F64]:
    """Return the true amounts of a window, and the true values at its edges."""
    step_us = round(SCAN_S * 1e6)
    values = state(process, np.arange(start_us, stop_us + 1, step_us)).values
    amount = (values[1:] + values[:-1]).sum(axis=0) / 2 * SCAN_S
    counters = process.plant.counters
    amount[counters] = values[-1, counters] - values[0, counters]
    pad = np.full(len(network.tags) - len(amount), np.nan)
    # The edges as the twin takes them: the mean of the minute before.
    half_us = MINUTE_US // 2
    edges = state(process, np.array([start_us, stop_us]) - half_us).values
    return np.concatenate([amount, pad]), np.hstack([edges, np.tile(pad, (2, 1))])


def _scopes(hour: Hour) -> list[str]:
    """Return the scopes figures are asked of."""
    return [s.id for s in hour.network.park.scopes if s.kind in ("region", "enterprise")]


def _sums(hour: Hour) -> Iterator[Stated]:
    """Yield what was made, used, and is not accounted for, by scope."""
    for scope in _scopes(hour):
        for component in ("chlorine", "caustic"):
            for item, name in (("make", "made"), ("use", "used")):
                account = Account(scope, component, item)
                if account in hour.network.accounts:
                    yield _sum(hour, f"{component} {name}", {account: 1.0})
        terms = {Account(scope, "chlorine", item): sign for item, sign in BALANCE.items()}
        if Account(scope, "chlorine", "make") in hour.network.accounts:
            yield _unaccounted(hour, scope, _sum(hour, "chlorine unaccounted", terms))


def _sum(hour: Hour, kpi: str, terms: dict[Account, float]) -> Stated:
    """Return a sum of accounts."""
    weight, right = (weights(each, terms) for each in (hour.network, hour.true_network))
    width = half_width(spread(hour.network, weight, hour.amount, hour.covered_s))
    value = _dot(weight, hour.amount)
    return Stated(kpi, value, value, float(width), _dot(right, hour.true_amount))


def _unaccounted(hour: Hour, scope: str, flows: Stated) -> Stated:
    """Return what is left over when the tanks have taken up theirs."""
    balance = compile_balance(hour.network, scope, "chlorine")
    found = measure(hour.network, balance, hour.amount, hour.covered_s, hour.levels)
    tanks = [s for s, line in enumerate(balance.lines) if line.tanks]
    value = flows.value - float(found.flow[tanks].sum())
    truth = flows.truth - float(_true_flows(hour, scope, "chlorine")[tanks].sum())
    width = float(np.hypot(flows.width, half_width(np.hypot.reduce(found.sigma[tanks]))))
    return Stated(flows.kpi, value, value, width, truth)


def _energy(hour: Hour) -> Iterator[Stated]:
    """Yield what products took of energy, by scope."""
    for scope in _scopes(hour):
        for product in ("caustic", "aluminium", "ammonia"):
            mass = Account(scope, product, "mass")
            if mass not in hour.network.accounts:
                continue
            yield _sum(hour, f"{product} by its meter", {mass: 1.0})
            for item, name in (("electricity", "kWh/t"), ("coal_equivalent", "kgce/t")):
                energy = Account(scope, product, item)
                if energy in hour.network.accounts:
                    yield _ratio(hour, f"{product} {name}", energy, mass)


def _ratio(hour: Hour, kpi: str, over: Account, under: Account) -> Stated:
    """Return a ratio of two accounts."""
    above, below = (weights(hour.network, {account: 1.0}) for account in (over, under))
    gradient = ratio_weight(above, below, hour.amount)
    width = half_width(spread(hour.network, gradient, hour.amount, hour.covered_s))
    value = _dot(above, hour.amount) / _dot(below, hour.amount)
    truth = _dot(above, hour.true_amount) / _dot(below, hour.true_amount)
    return Stated(kpi, value, value, float(width), truth)


def _dot(weight: F64, amount: F64) -> float:
    used = weight != 0
    return float(weight[used] @ amount[used])


def coverage(stated: Sequence[Stated]) -> list[Coverage]:
    """Return how often intervals hold the truth, figure by figure, and of all together."""
    rows = []
    for kpi in (*dict.fromkeys(s.kpi for s in stated), ""):
        mine = np.array([s[1:] for s in stated if kpi in ("", s.kpi)])
        value, raw, width, truth = mine.T
        known = np.isfinite(value + width)
        inside = np.abs(value - truth)[known] <= width[known]
        # What is zero but for its error has no relative one.
        some = known & (np.abs(truth) > width)
        error, raw_error = (
            float(np.median(np.abs(each[some] / truth[some] - 1))) if some.any() else np.nan
            for each in (value, raw)
        )
        rows.append(
            Coverage(kpi or "all", int(known.sum()), float(inside.mean()), error, raw_error)
        )
    return rows
