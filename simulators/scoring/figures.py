"""The figures of the twin for a window of a park, with their intervals, and the truth."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.scoring.window import integral, make_window, pairs, stored_mass, true_stream_mass
from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account
from twin.arrays import F64, HOUR_S
from twin.chlorine.tank_farms import find_withdrawals, withdrawal_weights
from twin.emissions import carbon
from twin.emissions.outlets import evaluate, hour_errors, outlets_of
from twin.emissions.sources import emission_sources
from twin.energy.circuits import MAIN, circuit
from twin.reconciliation.uncertainty import (
    errors_of,
    half_width,
    parts_sigma,
    ratio_weight,
    stored_sigma,
    sum_sigma,
    weights,
)
from twin.scenario.initial_state import find_initial_state
from twin.scenario.scenario import Action, run
from twin.scenario.simulation import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulators.scoring.window import CompiledPark, ScoreWindow

MADE = {"make": "made", "use": "used", "import": "imported", "export": "exported", "vent": "vented"}
ENERGY = {"electricity": "electricity", "coal_equivalent": "coal equivalent"}
CELLS = {
    "product": "{} of each circuit",
    "voltage": "cell voltage of each {} circuit",
    "density": "current density of each {} circuit",
    "energy": "{} direct current per mass",
    "k": "K of each {} circuit",
}
SENT = {"emission": "{} emitted", "concentration": "{} concentration", "corrected": "{} corrected"}
AHEAD_S, AHEAD_STEP_S = 30 * HOUR_S, HOUR_S / 6
KPI_FULL = "time to full after a trip"
GRID_YEAR = 2022
NAN = float("nan")


class StatedFigure(NamedTuple):
    """A figure of one park: the value of the twin and the truth, in the same SI unit."""

    kpi: str
    value: float
    width: float  # half of the interval of 95 %
    truth: float
    raw: float  # value by the meters alone
    reconciled: float  # value by the balances; NaN without one


def figures(known: CompiledPark, seed: int, length_s: float = HOUR_S) -> list[StatedFigure]:
    """Return all figures of a window of a sound park; the seed chooses plants and time.

    `length_s` [s] is that of the window: an hour or more, in whole minutes.
    """
    window = make_window(known, seed, length_s)
    parts = [_sums, _stocks, _shares, _energy, _carbon, _cells, _streams]
    # Emissions are booked by the hour, and a forecast begins with the present state.
    parts += [_outlets, _forecasts] if length_s == HOUR_S else []
    return [figure for part in parts for figure in part(window)]


def _scopes(window: ScoreWindow) -> list[str]:
    """Return the scopes that have figures."""
    return [s.id for s in window.known.park.scopes if s.kind in ("region", "enterprise")]


def _dot(weight: F64, amount: F64) -> float:
    used = weight != 0
    return float(weight[used] @ amount[used])


def _width(window: ScoreWindow, component: str, weight: F64) -> float:
    """Return half the interval of a sum."""
    sigma = sum_sigma(window.known.network, component, weight, window.amount, window.covered_s)
    return float(half_width(sigma))


def _adjusted(window: ScoreWindow, component: str) -> F64 | None:
    """Return the amounts as the balances of a component adjust them, (T,); None without any."""
    if component not in window.closed:
        return None
    balance, amounts, closure = window.closed[component]
    amount = window.amount.copy()
    for s, line in enumerate(balance.lines):
        usual = amounts.flow[s] * (1.0 if line.fraction is None else line.fraction[1])
        if usual > 0 and np.isfinite(closure.estimate[s]):
            amount[[tag for tag, _ in line.tags]] *= closure.estimate[s] / usual
    return amount


def _of(
    window: ScoreWindow, kpi: str, component: str, terms: Mapping[Account, float]
) -> StatedFigure:
    """Return the figure of a sum of accounts."""
    return _weighed(window, kpi, component, weights(window.known.network, terms))


def _weighed(window: ScoreWindow, kpi: str, component: str, weight: F64) -> StatedFigure:
    """Return the figure of a weighted sum of the amounts of tags, `weight` (T,)."""
    value = _dot(weight, window.amount)
    better = _adjusted(window, component)
    truth = _dot(weight * window.part.get(component, 1.0), window.true_amount)
    reconciled = NAN if better is None else _dot(weight, better)
    return StatedFigure(kpi, value, _width(window, component, weight), truth, value, reconciled)


def _sums(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield production, use, trade and venting of each component, by scope."""
    for account in window.known.network.accounts:
        if account.scope in _scopes(window) and account.item in MADE:
            name = f"{account.subject} {MADE[account.item]}"
            yield _of(window, name, account.subject, {account: 1.0})


def _stocks(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield accumulation in tanks and the unaccounted rest of each component, by scope."""
    network = window.known.network
    components = sorted({a.subject for a in network.accounts if a.item in FLOW_ITEMS})
    for scope, component in product(_scopes(window), components):
        stored = truth = width = 0.0
        if (tanks := network.tanks.scopes.get((scope, component))) is not None:
            stored = stored_mass(network, component, tanks.tolist(), window.level)
            truth = stored_mass(network, component, tanks.tolist(), window.true_level)
            width = float(half_width(stored_sigma(network, component, tanks, window.level)))
            yield StatedFigure(f"{component} stored", stored, width, truth, stored, NAN)
        terms = {Account(scope, component, item): sign for item, sign in SIGNS.items()}
        flows = _of(window, f"{component} unaccounted", component, terms)
        value, both = flows.value - stored, float(np.hypot(flows.width, width))
        if both > 0:
            yield StatedFigure(flows.kpi, value, both, flows.truth - truth, value, NAN)


def _ratio(window: ScoreWindow, kpi: str, component: str, over: F64, under: F64) -> StatedFigure:
    """Return the figure of a ratio of two weighted sums."""
    gradient = ratio_weight(over, under, window.amount)
    value = _dot(over, window.amount) / _dot(under, window.amount)
    part = window.part.get(component, 1.0)
    truth = _dot(over * part, window.true_amount) / _dot(under * part, window.true_amount)
    better = _adjusted(window, component)
    reconciled = NAN if better is None else _dot(over, better) / _dot(under, better)
    return StatedFigure(kpi, value, _width(window, component, gradient), truth, value, reconciled)


def _shares(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the local shares of chlorine, K1 and K2."""
    network = window.known.network
    for scope in _scopes(window):
        made, taken = Account(scope, "chlorine", "make"), find_withdrawals(network, scope)
        if made not in network.accounts or not taken.streams:
            continue
        local = [s for s, inner in zip(taken.streams, taken.local, strict=True) if inner]
        inside, whole = (
            withdrawal_weights(network, local),
            withdrawal_weights(network, taken.streams),
        )
        yield _ratio(window, "local share K1", "chlorine", inside, whole)
        produced, exported = (
            weights(network, {made: 1.0}),
            withdrawal_weights(network, taken.exported),
        )
        yield _ratio(window, "local share K2", "chlorine", produced - exported, produced)


def _energy(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield mass, energy and energy per mass of products, by scope."""
    accounts = window.known.network.accounts
    for account in accounts:
        scope, product, item = account
        if scope not in _scopes(window):
            continue
        if item == "mass":
            yield _of(window, f"{product} weighed", product, {account: 1.0})
        if item in ENERGY:
            yield _of(window, f"{product} {ENERGY[item]}", "", {account: 1.0})
            mass = Account(scope, product, "mass")
            if mass in accounts:
                over, under = (weights(window.known.network, {a: 1.0}) for a in (account, mass))
                yield _ratio(window, f"{product} {ENERGY[item]} per mass", product, over, under)


def _carbon(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the greenhouse gases of scopes by source; the emission factors count as exact."""
    network = window.known.network
    grid = carbon.grid_factor(GRID_YEAR, "CN", "location").value
    for scope in _scopes(window):
        total = np.zeros(len(network.tags))
        for emitter in emission_sources(network, scope):
            factor = grid if emitter.kind == "electricity" else emitter.factor
            weight = np.where(emitter.activity, emitter.activity * factor, 0.0)
            yield _weighed(window, f"carbon dioxide, {emitter.name}", "aluminium", weight)
            total += weight * (-1.0 if emitter.scope == -1 else 1.0)
        if total.any():
            yield _weighed(window, "carbon dioxide, all", "aluminium", total)


def _cells(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield production and electrical figures of each electrolyser."""
    network = window.known.network
    for cell in window.known.park.electrolysers:
        made = MAIN[cell.kind]
        seen, truth = (
            circuit(network, cell, pair, amount, window.covered_s)
            for pair, amount in zip(
                pairs(window, cell), (window.amount, window.true_amount), strict=True
            )
        )
        ratio = float(window.part[made][network.index[cell.current]])
        for name, kpi in CELLS.items():
            value, sigma = getattr(seen, name)
            factor = {"product": ratio, "energy": 1 / ratio}.get(name, 1)
            if np.isfinite(sigma):
                yield _plain(kpi.format(made), value, sigma, getattr(truth, name).value * factor)


def _outlets(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield emission and concentration of each pollutant of each outlet."""
    network = window.known.network
    mean = window.amount / window.covered_s
    whole, scans = np.array([window.length_s]), np.full(len(window.true_value), window.scan_s)
    for outlet in outlets_of(window.known.park):
        used = {a: network.index[a] for a in {*outlet.measured_by, *outlet.tags.values()}}
        at = np.array([network.index[a] for a in outlet.measured_by])
        error, covered_s = errors_of(network, at), window.covered_s[at, None]
        means = {a: mean[[t]] for a, t in used.items()}
        seen = evaluate(outlet, means, {a: window.covered_s[[t]] for a, t in used.items()}, whole)
        change = hour_errors(outlet, error, means, whole)
        ever = dict.fromkeys(used, np.full(len(scans), window.length_s))
        truth = evaluate(outlet, {a: window.true_value[:, t] for a, t in used.items()}, ever, scans)
        for p, pollutant in enumerate(outlet.pollutants):
            for name, kpi in SENT.items():
                if name == "corrected" and np.isnan(outlet.oxygen_reference):
                    continue
                sigma = parts_sigma(
                    error, getattr(change, name)[:, p], covered_s, np.zeros(1, np.int64), 1
                )
                # An emission is an integral over the window, a concentration a mean.
                over = window.scan_s if name == "emission" else window.length_s
                exact = float(integral(getattr(truth, name)[p], window.scan_s)) / over
                yield _plain(kpi.format(pollutant), getattr(seen, name)[p, 0], sigma[0], exact)


def _plain(kpi: str, value: float, sigma: float, truth: float) -> StatedFigure:
    """Return a figure without a reconciled value."""
    width = float(half_width(np.array(sigma)))
    return StatedFigure(kpi, float(value), width, float(truth), float(value), NAN)


def _streams(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield measured and reconciled flow of the streams of balances, and their purity."""
    for component, (balance, amounts, closed) in window.closed.items():
        for s, line in enumerate(balance.lines):
            truth = true_stream_mass(window, component, line)
            raw, best = float(closed.measured[s]), float(closed.estimate[s])
            width = half_width(np.array([closed.measured_sigma[s], closed.sigma[s]]))
            if np.isfinite(raw):
                yield StatedFigure(f"{component} by each meter", raw, width[0], truth, raw, NAN)
            yield StatedFigure(
                f"{component} by each meter, reconciled", best, width[1], truth, raw, best
            )
            if line.fraction:
                at, purity = line.fraction[0], float(closed.fraction[s])
                width = half_width(closed.fraction_sigma[s])
                mean = window.true_amount[at] / window.length_s
                yield StatedFigure(f"{component} purity, reconciled", purity, float(width), mean,
                             float(amounts.fraction[s]), purity)  # fmt: skip


def _forecasts(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the time to full of each tank farm after a trip of the user in the scenario."""
    known, trip = window.known, window.known.trip
    if trip is None:
        return
    tripped = [[Action(trip.scope, trip.size)]]
    true_rate = window.true_level[1] * window.part["chlorine"]
    courses = []
    for rate, value, amount in (
        (window.level[1].copy(), window.level[1], window.amount),
        (true_rate, window.true_level[1], window.true_amount),
    ):
        counters = [t for t, tag in enumerate(known.park.tags) if tag.kind == "counter"]
        rate[counters] = amount[counters] / window.length_s
        start = find_initial_state(known.supply, rate, value)
        trajectory = run(known.supply, start, tripped, [Policy(cut=False, response_s=0.0)],
                     horizon_s=AHEAD_S, step_s=AHEAD_STEP_S)  # fmt: skip
        courses.append({(e.kind, *e.subject): e for e in trajectory.events})
    for key, stated in courses[0].items():
        if key in courses[1] and np.isfinite(stated.sigma_s):
            width = float(half_width(np.array(stated.sigma_s)))
            exact_s = courses[1][key].time_s
            yield StatedFigure(KPI_FULL, stated.time_s, width, exact_s, stated.time_s, NAN)
