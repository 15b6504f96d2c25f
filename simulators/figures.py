"""What the twin states of an hour of a park with its intervals, and what was true of that hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.hour import HOUR_S, carried, kept, make_hour
from simulators.script import load_script
from twin.accounts import Account, cell_factor
from twin.balances import compile_balance, fence, flows
from twin.farms import drawn, find_taken
from twin.intervals import half_width, ratio_weight, spread, weights
from twin.scenario import Action, run
from twin.whatif.march import Policy
from twin.whatif.present import present

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from simulators.hour import Hour, Known
    from simulators.waves import F64

BALANCE = {"make": 1.0, "import": 1.0, "use": -1.0, "export": -1.0, "vent": -1.0}
MADE = {"make": "made", "use": "used", "import": "imported", "export": "exported", "vent": "vented"}
ENERGY = {"electricity": "electricity", "coal_equivalent": "coal equivalent"}
MAIN = {"membrane": "caustic", "potline": "aluminium"}
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
    parts = (_sums, _stocks, _shares, _energy, _cells, _streams, _foreseen)
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
    for scope in _scopes(hour):
        for component in hour.closed:
            edge = fence(compile_balance(network, scope, component))
            flow, sigma = flows(network, edge, hour.amount, hour.covered_s, hour.level)
            tanks = [s for s, line in enumerate(edge.lines) if line.tanks]
            truth = sum(kept(hour, component, edge.lines[s].tanks) for s in tanks)
            stored, width = float(flow[tanks].sum()), float(half_width(np.hypot.reduce(sigma)))
            if tanks:
                own = float(half_width(np.hypot.reduce(sigma[tanks])))
                yield Stated(f"{component} stored", stored, own, truth, stored, NAN)
            terms = {Account(scope, component, item): sign for item, sign in BALANCE.items()}
            left = _of(hour, f"{component} unaccounted", component, terms)
            if len(edge.lines) > 1 and width > 0:
                value = left.value - stored
                yield Stated(left.kpi, value, width, left.truth - truth, value, NAN)


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
    """Yield what each electrolyser made by its current."""
    network = hour.known.network
    for cell in hour.known.park.electrolysers:
        product, at = MAIN[cell.kind], network.index[cell.current]
        weight = np.zeros(len(network.tags))
        weight[at] = cell_factor(cell)[product]
        value = _dot(weight, hour.amount)
        truth = _dot(weight * hour.part[product], hour.true_amount)
        yield Stated(f"{product} of each circuit", value, _width(hour, product, weight), truth,
                     value, NAN)  # fmt: skip


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
        (hour.last.copy(), hour.last, hour.amount),
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
