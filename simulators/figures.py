"""What the twin states of an hour of a park with its intervals, and what was true of that hour."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.hour import HOUR_S, SCAN_S, carried, integral, kept, make_hour, pairs
from simulators.script import load_script
from twin.accounts import FLOW_ITEMS, Account
from twin.byproducts import SIGNS
from twin.circuits import MAIN, circuit
from twin.farms import drawn, find_taken
from twin.intervals import (
    errors_of,
    half_width,
    ratio_weight,
    spread,
    spread_of_parts,
    stored_spread,
    weights,
)
from twin.outlets import changes, evaluate, outlets_of
from twin.scenario import Action, run
from twin.whatif.march import Policy
from twin.whatif.present import present

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulators.hour import Hour, Known
    from simulators.waves import F64

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
TRIP, AHEAD_S, AHEAD_STEP_S = "chlorine-user-trip", 30 * HOUR_S, HOUR_S / 6
NAN = float("nan")


class Stated(NamedTuple):
    """One figure of one park: what the twin says, and what is so."""

    kpi: str
    value: float
    width: float  # half of the interval of 95 %
    truth: float
    raw: float  # by the meters alone
    reconciled: float  # NaN where no balance checks it


def figures(known: Known, seed: int) -> list[Stated]:
    """Return all figures of some hour of the week of a park, nothing being wrong."""
    hour = make_hour(known, seed)
    parts = (_sums, _stocks, _shares, _energy, _cells, _outlets, _streams, _foreseen)
    return [stated for part in parts for stated in part(hour)]


def _scopes(hour: Hour) -> list[str]:
    """Return the scopes figures are asked of."""
    return [s.id for s in hour.known.park.scopes if s.kind in ("region", "enterprise")]


def _dot(weight: F64, amount: F64) -> float:
    used = weight != 0
    return float(weight[used] @ amount[used])


def _width(hour: Hour, component: str, weight: F64) -> float:
    """Return half the interval of a sum."""
    found = spread(hour.known.network, component, weight, hour.amount, hour.covered_s)
    return float(half_width(found))


def _adjusted(hour: Hour, component: str) -> F64 | None:
    """Return the amounts as the balances of a component adjust them, (T,); None without any."""
    if component not in hour.closed:
        return None
    balance, found, closure = hour.closed[component]
    amount = hour.amount.copy()
    for s, line in enumerate(balance.lines):
        usual = found.flow[s] if line.fraction is None else found.flow[s] * line.fraction[1]
        if usual > 0 and np.isfinite(closure.estimate[s]):
            amount[[tag for tag, _ in line.tags]] *= closure.estimate[s] / usual
    return amount


def _of(hour: Hour, kpi: str, component: str, terms: Mapping[Account, float]) -> Stated:
    """Return a sum of accounts."""
    weight = weights(hour.known.network, terms)
    value = _dot(weight, hour.amount)
    better = _adjusted(hour, component)
    truth = _dot(weight * hour.part.get(component, 1.0), hour.true_amount)
    reconciled = NAN if better is None else _dot(weight, better)
    return Stated(kpi, value, _width(hour, component, weight), truth, value, reconciled)


def _sums(hour: Hour) -> Iterator[Stated]:
    """Yield what was made, used, traded, vented of each component, by scope."""
    for account in hour.known.network.accounts:
        if account.scope in _scopes(hour) and account.item in MADE:
            name = f"{account.subject} {MADE[account.item]}"
            yield _of(hour, name, account.subject, {account: 1.0})


def _stocks(hour: Hour) -> Iterator[Stated]:
    """Yield what the tanks took up, and what was left over, of each component, by scope."""
    network = hour.known.network
    components = sorted({a.subject for a in network.accounts if a.item in FLOW_ITEMS})
    for scope, component in product(_scopes(hour), components):
        stored = truth = width = 0.0
        if (tanks := network.tank_scopes.get((scope, component))) is not None:
            stored = kept(network, component, tanks.tolist(), hour.level)
            truth = kept(network, component, tanks.tolist(), hour.true_level)
            width = float(half_width(stored_spread(network, component, tanks, hour.level)))
            yield Stated(f"{component} stored", stored, width, truth, stored, NAN)
        terms = {Account(scope, component, item): sign for item, sign in SIGNS.items()}
        left = _of(hour, f"{component} unaccounted", component, terms)
        value, both = left.value - stored, float(np.hypot(left.width, width))
        if both > 0:
            yield Stated(left.kpi, value, both, left.truth - truth, value, NAN)


def _ratio(hour: Hour, kpi: str, component: str, over: F64, under: F64) -> Stated:
    """Return a ratio of two sums."""
    gradient = ratio_weight(over, under, hour.amount)
    value = _dot(over, hour.amount) / _dot(under, hour.amount)
    part = hour.part.get(component, 1.0)
    truth = _dot(over * part, hour.true_amount) / _dot(under * part, hour.true_amount)
    better = _adjusted(hour, component)
    reconciled = NAN if better is None else _dot(over, better) / _dot(under, better)
    return Stated(kpi, value, _width(hour, component, gradient), truth, value, reconciled)


def _shares(hour: Hour) -> Iterator[Stated]:
    """Yield the local shares of chlorine, K1 and K2."""
    network = hour.known.network
    for scope in _scopes(hour):
        made, taken = Account(scope, "chlorine", "make"), find_taken(network, scope)
        if made not in network.accounts or not taken.streams:
            continue
        local = [s for s, here in zip(taken.streams, taken.local, strict=True) if here]
        inside, whole = drawn(network, local), drawn(network, taken.streams)
        yield _ratio(hour, "local share K1", "chlorine", inside, whole)
        made_of, gone = weights(network, {made: 1.0}), drawn(network, taken.exported)
        yield _ratio(hour, "local share K2", "chlorine", made_of - gone, made_of)


def _energy(hour: Hour) -> Iterator[Stated]:
    """Yield what products weighed and took of energy, by scope."""
    accounts = hour.known.network.accounts
    for account in accounts:
        scope, product, item = account
        if scope not in _scopes(hour):
            continue
        if item == "mass":
            yield _of(hour, f"{product} weighed", product, {account: 1.0})
        if item in ENERGY:
            yield _of(hour, f"{product} {ENERGY[item]}", "", {account: 1.0})
            mass = Account(scope, product, "mass")
            if mass in accounts:
                over, under = (weights(hour.known.network, {a: 1.0}) for a in (account, mass))
                yield _ratio(hour, f"{product} {ENERGY[item]} per mass", product, over, under)


def _cells(hour: Hour) -> Iterator[Stated]:
    """Yield what each electrolyser made by its current, and how it worked."""
    network = hour.known.network
    for cell in hour.known.park.electrolysers:
        made = MAIN[cell.kind]
        seen, truth = (
            circuit(network, cell, pair, amount, hour.covered_s)
            for pair, amount in zip(pairs(hour, cell), (hour.amount, hour.true_amount), strict=True)
        )
        better = float(hour.part[made][network.index[cell.current]])
        for name, kpi in CELLS.items():
            value, sigma = getattr(seen, name)
            so = getattr(truth, name).value * {"product": better, "energy": 1 / better}.get(name, 1)
            if np.isfinite(sigma):
                yield _plain(kpi.format(made), value, sigma, so)


def _outlets(hour: Hour) -> Iterator[Stated]:
    """Yield what each outlet sent out, and in what concentration, of each pollutant."""
    network = hour.known.network
    mean = hour.amount / hour.covered_s
    whole, scans = np.array([HOUR_S]), np.full(len(hour.true_value), SCAN_S)
    for outlet in outlets_of(hour.known.park):
        used = {a: network.index[a] for a in {*outlet.measured_by, *outlet.tags.values()}}
        at = np.array([network.index[a] for a in outlet.measured_by])
        error, covered_s = errors_of(network, at), hour.covered_s[at, None]
        shown = {a: mean[[t]] for a, t in used.items()}
        seen = evaluate(outlet, shown, {a: hour.covered_s[[t]] for a, t in used.items()}, whole)
        change = changes(outlet, error, shown, whole)
        ever = dict.fromkeys(used, np.full(len(scans), HOUR_S))
        truth = evaluate(outlet, {a: hour.true_value[:, t] for a, t in used.items()}, ever, scans)
        for p, pollutant in enumerate(outlet.pollutants):
            for name, kpi in SENT.items():
                if name == "corrected" and np.isnan(outlet.oxygen_reference):
                    continue
                sigma = spread_of_parts(
                    error, getattr(change, name)[:, p], covered_s, np.zeros(1, np.int64), 1
                )
                # A scan's emission is that of its length, a concentration a mean.
                over = SCAN_S if name == "emission" else HOUR_S
                so = float(integral(getattr(truth, name)[p])) / over
                yield _plain(kpi.format(pollutant), getattr(seen, name)[p, 0], sigma[0], so)


def _plain(kpi: str, value: float, sigma: float, truth: float) -> Stated:
    """Return a figure no balance checks."""
    width = float(half_width(np.array(sigma)))
    return Stated(kpi, float(value), width, float(truth), float(value), NAN)


def _streams(hour: Hour) -> Iterator[Stated]:
    """Yield the streams of the balances: as measured, as estimated, and their purity."""
    for component, (balance, found, closed) in hour.closed.items():
        for s, line in enumerate(balance.lines):
            truth = carried(hour, component, line)
            raw, best = float(closed.measured[s]), float(closed.estimate[s])
            width = half_width(np.array([closed.measured_sigma[s], closed.sigma[s]]))
            if np.isfinite(raw):
                yield Stated(f"{component} by each meter", raw, width[0], truth, raw, NAN)
            yield Stated(f"{component} by each meter, reconciled", best, width[1], truth, raw, best)
            if line.fraction:
                at, purity = line.fraction[0], float(closed.fraction[s])
                width = half_width(closed.fraction_sigma[s])
                mean = hour.true_amount[at] / HOUR_S
                yield Stated(f"{component} purity, reconciled", purity, float(width), mean,
                             float(found.fraction[s]), purity)  # fmt: skip


def _foreseen(hour: Hour) -> Iterator[Stated]:
    """Yield when tanks would be full if a user tripped now."""
    known, (event, *_) = hour.known, load_script(TRIP, hour.known.park).at("process")
    tripped = [[Action(event.scope, event.size)]]
    true_rate = hour.true_level[1] * hour.part["chlorine"]
    courses = []
    for rate, value, amount in (
        (hour.level[1].copy(), hour.level[1], hour.amount),
        (true_rate, hour.true_level[1], hour.true_amount),
    ):
        counters = [t for t, tag in enumerate(known.park.tags) if tag.kind == "counter"]
        rate[counters] = amount[counters] / HOUR_S
        start = present(known.supply, rate, value)
        course = run(known.supply, start, tripped, [Policy(cut=False, response_s=0.0)],
                     horizon_s=AHEAD_S, step_s=AHEAD_STEP_S)  # fmt: skip
        courses.append({(e.kind, *e.subject): e for e in course.events})
    for key, said in courses[0].items():
        if key in courses[1] and np.isfinite(said.sigma_s):
            width = float(half_width(np.array(said.sigma_s)))
            yield Stated("time to full after a trip", said.time_s, width, courses[1][key].time_s,
                         said.time_s, NAN)  # fmt: skip
