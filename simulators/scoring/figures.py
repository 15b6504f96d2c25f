"""What the twin states of a window of a park with its intervals, and what was true of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.scoring.window import carried, integral, kept, make_window, pairs
from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account
from twin.arrays import F64, HOUR_S
from twin.chlorine.tank_farms import drawn, find_taken
from twin.emissions import carbon
from twin.emissions.outlets import changes, evaluate, outlets_of
from twin.emissions.sources import emitters
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
from twin.scenario.initial_state import present
from twin.scenario.scenario import Action, run
from twin.scenario.simulation import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulators.scoring.window import Known, Window

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
GRID_YEAR = 2022
NAN = float("nan")


class Stated(NamedTuple):
    """One figure of one park: what the twin says, and what is so."""

    kpi: str
    value: float
    width: float  # half of the interval of 95 %
    truth: float
    raw: float  # by the meters alone
    reconciled: float  # NaN where no balance checks it


def figures(known: Known, seed: int, length_s: float = HOUR_S) -> list[Stated]:
    """Return all figures of some window of the week of a park, nothing being wrong."""
    window = make_window(known, seed, length_s)
    parts = [_sums, _stocks, _shares, _energy, _carbon, _cells, _streams]
    # What outlets send out is booked hour by hour, and what is foreseen is so now.
    parts += [_outlets, _foreseen] if length_s == HOUR_S else []
    return [stated for part in parts for stated in part(window)]


def _scopes(window: Window) -> list[str]:
    """Return the scopes figures are asked of."""
    return [s.id for s in window.known.park.scopes if s.kind in ("region", "enterprise")]


def _dot(weight: F64, amount: F64) -> float:
    used = weight != 0
    return float(weight[used] @ amount[used])


def _width(window: Window, component: str, weight: F64) -> float:
    """Return half the interval of a sum."""
    found = sum_sigma(window.known.network, component, weight, window.amount, window.covered_s)
    return float(half_width(found))


def _adjusted(window: Window, component: str) -> F64 | None:
    """Return the amounts as the balances of a component adjust them, (T,); None without any."""
    if component not in window.closed:
        return None
    balance, found, closure = window.closed[component]
    amount = window.amount.copy()
    for s, line in enumerate(balance.lines):
        usual = found.flow[s] if line.fraction is None else found.flow[s] * line.fraction[1]
        if usual > 0 and np.isfinite(closure.estimate[s]):
            amount[[tag for tag, _ in line.tags]] *= closure.estimate[s] / usual
    return amount


def _of(window: Window, kpi: str, component: str, terms: Mapping[Account, float]) -> Stated:
    """Return a sum of accounts."""
    return _weighed(window, kpi, component, weights(window.known.network, terms))


def _weighed(window: Window, kpi: str, component: str, weight: F64) -> Stated:
    """Return a sum of amounts of tags."""
    value = _dot(weight, window.amount)
    better = _adjusted(window, component)
    truth = _dot(weight * window.part.get(component, 1.0), window.true_amount)
    reconciled = NAN if better is None else _dot(weight, better)
    return Stated(kpi, value, _width(window, component, weight), truth, value, reconciled)


def _sums(window: Window) -> Iterator[Stated]:
    """Yield what was made, used, traded, vented of each component, by scope."""
    for account in window.known.network.accounts:
        if account.scope in _scopes(window) and account.item in MADE:
            name = f"{account.subject} {MADE[account.item]}"
            yield _of(window, name, account.subject, {account: 1.0})


def _stocks(window: Window) -> Iterator[Stated]:
    """Yield what the tanks took up, and what was left over, of each component, by scope."""
    network = window.known.network
    components = sorted({a.subject for a in network.accounts if a.item in FLOW_ITEMS})
    asked = [(scope, component) for scope in _scopes(window) for component in components]
    for scope, component in asked:
        stored = truth = width = 0.0
        if (tanks := network.tank_scopes.get((scope, component))) is not None:
            stored = kept(network, component, tanks.tolist(), window.level)
            truth = kept(network, component, tanks.tolist(), window.true_level)
            width = float(half_width(stored_sigma(network, component, tanks, window.level)))
            yield Stated(f"{component} stored", stored, width, truth, stored, NAN)
        terms = {Account(scope, component, item): sign for item, sign in SIGNS.items()}
        left = _of(window, f"{component} unaccounted", component, terms)
        value, both = left.value - stored, float(np.hypot(left.width, width))
        if both > 0:
            yield Stated(left.kpi, value, both, left.truth - truth, value, NAN)


def _ratio(window: Window, kpi: str, component: str, over: F64, under: F64) -> Stated:
    """Return a ratio of two sums."""
    gradient = ratio_weight(over, under, window.amount)
    value = _dot(over, window.amount) / _dot(under, window.amount)
    part = window.part.get(component, 1.0)
    truth = _dot(over * part, window.true_amount) / _dot(under * part, window.true_amount)
    better = _adjusted(window, component)
    reconciled = NAN if better is None else _dot(over, better) / _dot(under, better)
    return Stated(kpi, value, _width(window, component, gradient), truth, value, reconciled)


def _shares(window: Window) -> Iterator[Stated]:
    """Yield the local shares of chlorine, K1 and K2."""
    network = window.known.network
    for scope in _scopes(window):
        made, taken = Account(scope, "chlorine", "make"), find_taken(network, scope)
        if made not in network.accounts or not taken.streams:
            continue
        local = [s for s, here in zip(taken.streams, taken.local, strict=True) if here]
        inside, whole = drawn(network, local), drawn(network, taken.streams)
        yield _ratio(window, "local share K1", "chlorine", inside, whole)
        made_of, gone = weights(network, {made: 1.0}), drawn(network, taken.exported)
        yield _ratio(window, "local share K2", "chlorine", made_of - gone, made_of)


def _energy(window: Window) -> Iterator[Stated]:
    """Yield what products weighed and took of energy, by scope."""
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


def _carbon(window: Window) -> Iterator[Stated]:
    """Yield the greenhouse gases of scopes, by what emits them; the factors are what they are."""
    network = window.known.network
    grid = carbon.grid_factor(GRID_YEAR, "CN", "location").value
    for scope in _scopes(window):
        total = np.zeros(len(network.tags))
        for emitter in emitters(network, scope):
            factor = grid if emitter.kind == "electricity" else emitter.factor
            weight = np.where(emitter.activity, emitter.activity * factor, 0.0)
            yield _weighed(window, f"carbon dioxide, {emitter.name}", "aluminium", weight)
            total += weight * (-1.0 if emitter.scope == -1 else 1.0)
        if total.any():
            yield _weighed(window, "carbon dioxide, all", "aluminium", total)


def _cells(window: Window) -> Iterator[Stated]:
    """Yield what each electrolyser made by its current, and how it worked."""
    network = window.known.network
    for cell in window.known.park.electrolysers:
        made = MAIN[cell.kind]
        seen, truth = (
            circuit(network, cell, pair, amount, window.covered_s)
            for pair, amount in zip(
                pairs(window, cell), (window.amount, window.true_amount), strict=True
            )
        )
        better = float(window.part[made][network.index[cell.current]])
        for name, kpi in CELLS.items():
            value, sigma = getattr(seen, name)
            so = getattr(truth, name).value * {"product": better, "energy": 1 / better}.get(name, 1)
            if np.isfinite(sigma):
                yield _plain(kpi.format(made), value, sigma, so)


def _outlets(window: Window) -> Iterator[Stated]:
    """Yield what each outlet sent out, and in what concentration, of each pollutant."""
    network = window.known.network
    mean = window.amount / window.covered_s
    whole, scans = np.array([window.length_s]), np.full(len(window.true_value), window.scan_s)
    for outlet in outlets_of(window.known.park):
        used = {a: network.index[a] for a in {*outlet.measured_by, *outlet.tags.values()}}
        at = np.array([network.index[a] for a in outlet.measured_by])
        error, covered_s = errors_of(network, at), window.covered_s[at, None]
        shown = {a: mean[[t]] for a, t in used.items()}
        seen = evaluate(outlet, shown, {a: window.covered_s[[t]] for a, t in used.items()}, whole)
        change = changes(outlet, error, shown, whole)
        ever = dict.fromkeys(used, np.full(len(scans), window.length_s))
        truth = evaluate(outlet, {a: window.true_value[:, t] for a, t in used.items()}, ever, scans)
        for p, pollutant in enumerate(outlet.pollutants):
            for name, kpi in SENT.items():
                if name == "corrected" and np.isnan(outlet.oxygen_reference):
                    continue
                sigma = parts_sigma(
                    error, getattr(change, name)[:, p], covered_s, np.zeros(1, np.int64), 1
                )
                # A scan's emission is that of its length, a concentration a mean.
                over = window.scan_s if name == "emission" else window.length_s
                so = float(integral(getattr(truth, name)[p], window.scan_s)) / over
                yield _plain(kpi.format(pollutant), getattr(seen, name)[p, 0], sigma[0], so)


def _plain(kpi: str, value: float, sigma: float, truth: float) -> Stated:
    """Return a figure no balance checks."""
    width = float(half_width(np.array(sigma)))
    return Stated(kpi, float(value), width, float(truth), float(value), NAN)


def _streams(window: Window) -> Iterator[Stated]:
    """Yield the streams of the balances: as measured, as estimated, and their purity."""
    for component, (balance, found, closed) in window.closed.items():
        for s, line in enumerate(balance.lines):
            truth = carried(window, component, line)
            raw, best = float(closed.measured[s]), float(closed.estimate[s])
            width = half_width(np.array([closed.measured_sigma[s], closed.sigma[s]]))
            if np.isfinite(raw):
                yield Stated(f"{component} by each meter", raw, width[0], truth, raw, NAN)
            yield Stated(f"{component} by each meter, reconciled", best, width[1], truth, raw, best)
            if line.fraction:
                at, purity = line.fraction[0], float(closed.fraction[s])
                width = half_width(closed.fraction_sigma[s])
                mean = window.true_amount[at] / window.length_s
                yield Stated(f"{component} purity, reconciled", purity, float(width), mean,
                             float(found.fraction[s]), purity)  # fmt: skip


def _foreseen(window: Window) -> Iterator[Stated]:
    """Yield when tanks would be full if a user tripped now."""
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
        start = present(known.supply, rate, value)
        course = run(known.supply, start, tripped, [Policy(cut=False, response_s=0.0)],
                     horizon_s=AHEAD_S, step_s=AHEAD_STEP_S)  # fmt: skip
        courses.append({(e.kind, *e.subject): e for e in course.events})
    for key, said in courses[0].items():
        if key in courses[1] and np.isfinite(said.sigma_s):
            width = float(half_width(np.array(said.sigma_s)))
            yield Stated("time to full after a trip", said.time_s, width, courses[1][key].time_s,
                         said.time_s, NAN)  # fmt: skip
