"""The figures of the twin for a window of a sound park, with their intervals, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.instruments import make_sensors, observe
from simulators.process.disturbances import EPOCH_US
from simulators.process.process import make_process, state
from simulators.scenarios.script import load_script
from simulators.scoring.harness import minutes_of
from simulators.scoring.losses import Loss, losing
from twin.accounts.accounts import FLOW_ITEMS, SIGNS, Account, cell_entries
from twin.accounts.heat import heat_amounts
from twin.accounts.network import compile_network
from twin.accounts.tanks import tank_mass
from twin.arrays import BOOL, F64, HOUR_S, HOUR_US, I64, MINUTE_S, MINUTE_US
from twin.chlorine.figures import CHLORINE_PER_CAUSTIC
from twin.chlorine.tank_farms import find_withdrawals, outlet_weights, withdrawal_weights
from twin.emissions import carbon
from twin.emissions.outlets import evaluate, hour_errors, outlets_of
from twin.emissions.products import compile_products, product_footprint
from twin.emissions.sources import emission_sources
from twin.energy.circuits import MAIN, Pair, circuit
from twin.energy.efficiency import cell_efficiencies, metered_cells, metered_efficiency
from twin.errors import ModelError
from twin.reconciliation.balances import compile_balance, measure
from twin.reconciliation.closure import close_balance
from twin.reconciliation.figures import reconcile_figures, stream_weights
from twin.reconciliation.uncertainty import (
    errors_of,
    half_width,
    parts_sigma,
    ratio_weight,
    stored_sigma,
    sum_sigma,
    weights,
)
from twin.reference import load as load_reference
from twin.scenario.initial_state import find_initial_state
from twin.scenario.network import compile_supply
from twin.scenario.scenario import Action, run
from twin.scenario.simulation import Policy
from twin.series.coverage import COMPLETE, joint_amount, joint_time, runs_of
from twin.series.gaps import HALF, Pieces, gap_sigma
from twin.uom import parse_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from simulators.process.process import Process
    from simulators.scenarios.script import ScriptEvent
    from simulators.scoring.harness import MinuteTable
    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Park
    from twin.reconciliation.balances import Amounts, Balance, Line
    from twin.reconciliation.closure import Closure
    from twin.scenario.network import Supply

SCAN_S, SCANS_MAX = 10.0, 4320
# They begin all over some week.
TRIP = "chlorine-user-trip"
FIRST_HOUR, STRIDE, WEEK_HOURS = 98 * 168, 37, 168
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
ENOUGH = 0.5  # share of joint time for a value, as in the answers of the api
NEAR_MINUTES = 15  # the same for the level of a tank


class CompiledPark(NamedTuple):
    """A park model compiled once for many windows."""

    park: Park
    network: Network
    supply: Supply
    trip: ScriptEvent | None  # of a chlorine user, None where its scenario does not fit the park


@dataclass(frozen=True, slots=True)
class ScoreWindow:
    """A window by the twin, and the truth; T tags."""

    known: CompiledPark
    length_s: float
    scan_s: float  # between two scans
    amount: F64  # (T,)
    covered_s: F64  # (T,)
    level: F64  # (2, T) [SI] last values before its edges
    minutes: MinuteTable
    true_minutes: F64  # (n, T) of a stream with an analyser at its usual fraction
    true_level: F64  # (2, T)
    true_value: F64  # (n, T) at each scan
    true_flow: Mapping[str, Mapping[str, float]]  # [kg] by stream and component
    part: Mapping[str, F64]  # component: (T,) [1] true production of cells over that of the model
    closed: Mapping[str, tuple[Balance, Amounts, Closure]]  # component: the whole park's balance

    @property
    def true_amount(self) -> F64:
        """True amounts of the whole window, (T,)."""
        return np.asarray(self.true_minutes.sum(axis=0))

    def true_in(self, covered_s: F64) -> F64:
        """Return the true amounts of the covered part (n, T) of each minute, (T,)."""
        return np.asarray((self.true_minutes * covered_s / MINUTE_S).sum(axis=0))


def compile_park(park: Park) -> CompiledPark:
    """Compile a park model for windows."""
    network = compile_network(park)
    try:
        trip = load_script(TRIP, park).at("process")[0]
    except ModelError:
        trip = None
    return CompiledPark(park, network, compile_supply(network), trip)


def make_window(
    known: CompiledPark, seed: int, length_s: float = HOUR_S, loss: Loss = "none"
) -> ScoreWindow:
    """Return the window of a seed, which chooses plants, instruments and the time in the week."""
    network = known.network
    process = make_process(known.park, seed)
    start_us = EPOCH_US + (FIRST_HOUR + seed * STRIDE % WEEK_HOURS) * HOUR_US
    stop_us, scan_s = start_us + round(length_s * 1e6), max(SCAN_S, length_s / SCANS_MAX)
    sound = partial(observe, make_sensors(process, seed))
    readings = losing(sound, known.park, loss, seed, start_us, stop_us)
    table = minutes_of(network, readings, start_us - MINUTE_US, stop_us, scan_s=scan_s)
    amount, covered_s = np.nansum(table.amount[1:], axis=0), table.covered_s[1:].sum(axis=0)
    amount[covered_s == 0] = np.nan
    seen = amount, covered_s, table.last[[0, -1]]
    # A meter with a gap counts as not measured: the balances tell its amount.
    gapless = np.where(covered_s >= COMPLETE * length_s, amount, np.nan), *seen[1:]
    components = {a.subject for a in network.accounts if a.item in FLOW_ITEMS}
    closed = {}
    for component in sorted(components):
        balance = compile_balance(network, known.park.id, component)
        if balance.nodes:
            amounts = measure(network, balance, *gapless)
            closed[component] = balance, amounts, close_balance(balance, amounts)
    part = {component: np.ones(len(network.tags)) for component in components}
    cells = process.plant.cells
    rows = zip(cells.electrolysers, cells.efficiency, cells.hydrogen, strict=True)
    for cell, efficiency, hydrogen in rows:
        # The true effective current has the true efficiency in it.
        usual = 1.0 if cell.id in network.effective else efficiency / cell.current_efficiency
        for component, (tag, _) in cell_entries(cell, network.index, network.effective).items():
            part[component][tag] = hydrogen if component == "hydrogen" else usual
    times = np.arange(start_us, stop_us + 1, round(scan_s * 1e6))
    total, level, value, flow = _true(network, process, times, scan_s)
    return ScoreWindow(
        known, length_s, scan_s, *seen, table, total, level, value, flow, part, closed
    )


def _true(
    network: Network, process: Process, times: I64, scan_s: float
) -> tuple[F64, F64, F64, dict[str, dict[str, float]]]:
    """Return true minutes, values at the edges and at each scan, and mass of all streams [kg]."""
    media, index = load_reference("media"), network.index
    truth = state(process, times)
    value = np.pad(truth.values, [(0, 0), (0, len(network.derived))], constant_values=np.nan)
    analysed = np.array([c.id in network.effective for c in network.park.electrolysers], bool)
    efficiency = process.plant.cells.efficiency[analysed]
    value[:, network.cells.effective] = value[:, network.cells.current] * efficiency
    level, flow = value[[0, -1]], {}
    masses = integral(truth.flow, scan_s).tolist()
    for stream, mass in zip(network.park.streams, masses, strict=True):
        shares = media[stream.medium]["component"]
        flow[stream.id] = {component: mass * share for component, share in shares.items()}
        if stream.flow and stream.fraction:
            usual = max(shares.values())
            value[:, index[stream.flow]] *= value[:, index[stream.fraction]] / usual
    heats = network.heats
    value[:, heats.tag], _ = heat_amounts(heats, times, value, value)
    scans, counters = round(MINUTE_S / scan_s), process.plant.counters
    part = (value[1:] + value[:-1]) / 2 * scan_s
    amount = part.reshape(-1, scans, value.shape[1]).sum(axis=1)
    amount[:, counters] = np.diff(value[::scans, counters], axis=0)
    return amount, level, value, flow


def integral(rate: F64, scan_s: float) -> F64:
    """Return the integral of a rate at scans, (n, ...), by trapezia."""
    return np.asarray((rate[1:] + rate[:-1]).sum(axis=0) / 2 * scan_s)


def stored_mass(network: Network, component: str, tanks: Sequence[int], level: F64) -> float:
    """Return the mass of a component stored in tanks [kg] between two rows of `level`, (2, T)."""
    before, after = tank_mass(network.tanks, level)[:, list(tanks)]
    return float((after - before) @ network.tanks.share[component][list(tanks)])


def pairs(window: ScoreWindow, cell: Electrolyser) -> tuple[Pair, Pair]:
    """Return the integrals of current and voltage by the means of minutes, and the true ones.

    Without a voltage the current stands in for it.
    """
    index, minutes = window.known.network.index, window.minutes
    at = [index[cell.current], index[cell.voltage or cell.current]]
    covered_s = minutes.covered_s[1:, at]
    amount = minutes.amount[1:, at]
    mean = amount / np.where(covered_s > 0, covered_s, np.nan)
    current, voltage = window.true_value[:, at].T
    seen = Pair(*(np.nansum(amount[:, 0] * each, axis=0) for each in (1.0, mean[:, 1], mean[:, 0])))
    truth = Pair(*(integral(current * each, window.scan_s) for each in (1.0, voltage, current)))
    return seen, truth


def true_stream_mass(window: ScoreWindow, component: str, line: Line) -> float:
    """Return the true mass of a component in a line of a balance [kg, electricity J].

    What a junction loses, or gives to users without a meter, is what its meters truly leave over.
    """
    if line.expected or not (line.tags or line.tanks or line.id in window.true_flow):
        balance = window.closed[component][0]
        signs = balance.incidence[balance.nodes.index(line.origin)]
        others = zip(balance.lines, signs.tolist(), strict=True)
        return float(
            sum(
                sign * true_stream_mass(window, component, each)
                for each, sign in others
                if sign and each.id != line.id
            )
        )
    if line.tanks:
        return stored_mass(window.known.network, component, line.tanks, window.true_level)
    if line.id in window.true_flow:
        return window.true_flow[line.id][component]
    # The line is the production of cells.
    return sum(
        float(window.part[component][tag] * window.true_amount[tag]) * factor
        for tag, factor in line.tags
    )


class StatedFigure(NamedTuple):
    """A figure of one park: the value of the twin and the truth, in the same SI unit."""

    kpi: str
    value: float
    width: float  # half of the interval of 95 %
    truth: float
    raw: float  # value by the meters alone
    reconciled: float  # value by the balances; NaN without one


def figures(
    known: CompiledPark, seed: int, length_s: float = HOUR_S, loss: Loss = "none"
) -> list[StatedFigure]:
    """Return all figures of a window of a sound park; the seed chooses plants and time.

    `length_s` [s] is that of the window: an hour or more, in whole minutes. Of what is lost amounts
    are held against the truth of the time they cover, ratios against that of the whole window.
    """
    window = make_window(known, seed, length_s, loss)
    parts = [_sums, _stocks, _shares, _reconciled, _energy, _carbon, _products, _streams]
    # Voltages and efficiencies of circuits have no interval for what is lost of them.
    parts += [_cells, _efficiencies] if loss != "outages" else []
    # Emissions are booked by the hour, and a forecast begins with the present state.
    parts += [_outlets, _forecasts] if length_s == HOUR_S else []
    return [figure for part in parts for figure in part(window)]


def _scopes(window: ScoreWindow) -> list[str]:
    """Return the scopes that have figures."""
    return [s.id for s in window.known.park.scopes if s.kind in ("region", "enterprise")]


def _dot(weight: F64, amount: F64) -> float:
    used = weight != 0
    return float(weight[used] @ amount[used])


def _adjusted(window: ScoreWindow, component: str) -> F64 | None:
    """Return the amounts as the balances of a component adjust them, (T,); None without any."""
    if component not in window.closed:
        return None
    balance, amounts, closure = window.closed[component]
    amount = window.amount.copy()
    for s, line in enumerate(balance.lines):
        if line.expected:
            continue
        usual = amounts.flow[s] * (1.0 if line.fraction is None else line.fraction[1])
        if usual > 0 and np.isfinite(closure.estimate[s]):
            amount[[tag for tag, _ in line.tags]] *= closure.estimate[s] / usual
    return amount


class SharedTime(NamedTuple):
    """Sums over the joint time of some tags, and what stands for their gaps."""

    amount: F64  # (T,) NaN for other tags
    covered_s: F64  # (T,)
    true_amount: F64  # (T,)
    minutes: Pieces
    share: F64  # (1,) [1]
    tags: I64

    def gap_sigma(self, over: F64, under: F64, value: F64, total: F64) -> float:
        """Return the standard uncertainty of a ratio for what is not covered."""
        some = self.tags
        columns = over[None, some], under[None, some], value[None], total[None]
        return float(gap_sigma([self.minutes], *columns, self.share)[0])


def _share_time(window: ScoreWindow, used: BOOL) -> SharedTime:
    """Return the joint time of some tags, (T,)."""
    tags, table = np.flatnonzero(used), window.minutes
    part, covered_s = table.amount[1:, tags], table.covered_s[1:, tags]
    length_s = np.full(len(part), MINUTE_S)
    joint_s = joint_time(covered_s, length_s)
    joint = joint_amount(part, covered_s, joint_s)
    amount, covered = np.full((2, len(used)), np.nan)
    amount[tags], covered[tags] = joint.sum(axis=0), joint_s.sum()
    one = np.zeros(len(part), np.int64)
    return SharedTime(
        amount,
        covered,
        window.true_in(joint_s[:, None]),
        Pieces(one, one, joint, joint_s, length_s, nested=False),
        np.array([joint_s.sum() / length_s.sum()]),
        tags,
    )


def _weighed(
    window: ScoreWindow, kpi: str, component: str, over: F64, under: F64 | None = None
) -> StatedFigure:
    """Return the figure of a weighted sum of the amounts of tags, (T,), or of the ratio of two."""
    network, part = window.known.network, window.part.get(component, 1.0)

    def of(amount: F64, part: F64 | float = 1.0) -> float:
        whole = 1.0 if under is None else _dot(under * part, amount)
        return _dot(over * part, amount) / whole

    weight, amount, covered_s, gap = over, window.amount, window.covered_s, 0.0
    truth = of(window.true_in(window.minutes.covered_s[1:]), part)
    if under is not None or (over < 0).any():
        shared = _share_time(window, (over != 0) | (under is not None and under != 0))
        amount, covered_s = shared.amount, shared.covered_s
        truth = of(shared.true_amount, part)
        if shared.share[0] < ENOUGH:
            return StatedFigure(kpi, NAN, NAN, NAN, NAN, NAN)
        if under is not None:
            truth, total = of(window.true_amount, part), np.array(_dot(under, amount))
            weight = ratio_weight(over, under, amount)
            gap = shared.gap_sigma(over, under, np.array(of(amount)), total)
    value, better = of(amount), _adjusted(window, component)
    reconciled = NAN if better is None else of(better)
    sigma = np.hypot(sum_sigma(network, component, weight, amount, covered_s), gap)
    return StatedFigure(kpi, value, float(half_width(sigma)), truth, value, reconciled)


def _sums(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield production, use, trade and venting of each component, by scope."""
    for account in window.known.network.accounts:
        if account.scope in _scopes(window) and account.item in MADE:
            name = f"{account.subject} {MADE[account.item]}"
            weight = weights(window.known.network, {account: 1.0})
            yield _weighed(window, name, account.subject, weight)


def _stocks(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield accumulation in tanks and the unaccounted rest of each component, by scope."""
    network = window.known.network
    for scope, component in product(_scopes(window), sorted(window.part)):
        tanks = network.tanks.scopes.get((scope, component))
        if tanks is not None:
            stored, truth = (
                stored_mass(network, component, tanks.tolist(), level)
                for level in (window.level, window.true_level)
            )
            width = float(half_width(stored_sigma(network, component, tanks, window.level)))
            yield StatedFigure(f"{component} stored", stored, width, truth, stored, NAN)
        yield from _unaccounted(window, scope, component, tanks)


def _unaccounted(
    window: ScoreWindow, scope: str, component: str, tanks: I64 | None
) -> Iterator[StatedFigure]:
    """Yield what is unaccounted of a component in the runs of its joint time."""
    network, part = window.known.network, window.part[component]
    terms = {Account(scope, component, item): sign for item, sign in SIGNS.items()}
    weight = weights(network, terms)
    tags, table = np.flatnonzero(weight), window.minutes
    least_s = joint_time(table.covered_s[1:, tags], np.full(len(window.true_minutes), MINUTE_S))
    solid = least_s >= HALF * MINUTE_S
    if solid.mean() < ENOUGH:
        return
    # A minute of which half is covered counts as a whole.
    rate = table.amount[1:][solid] / table.covered_s[1:][solid]
    amount, covered_s = rate.sum(axis=0) * MINUTE_S, np.full(len(weight), solid.sum() * MINUTE_S)
    value, truth = _dot(weight, amount), _dot(weight * part, window.true_minutes[solid].sum(axis=0))
    variance = float(sum_sigma(network, component, weight, amount, covered_s)) ** 2
    scans = (len(window.true_value) - 1) // len(solid)
    if tanks is not None:
        for run in np.stack(runs_of(solid, np.zeros(len(solid), np.int64)), axis=1).tolist():
            level = np.stack([_nearest(table.last, edge) for edge in run])
            true_level = window.true_value[[edge * scans for edge in run]]
            value -= stored_mass(network, component, tanks.tolist(), level)
            truth -= stored_mass(network, component, tanks.tolist(), true_level)
            variance += float(stored_sigma(network, component, tanks, level)) ** 2
    if variance > 0:
        width = float(half_width(np.array(variance) ** 0.5))
        yield StatedFigure(f"{component} unaccounted", value, width, truth, value, NAN)


def _nearest(last: F64, edge: int) -> F64:
    """Return the last value of each tag in a minute, or in the nearest up to 15 away, (T,)."""
    near: F64 = last[edge].copy()
    for away in range(1, NEAR_MINUTES + 1):
        for at in (edge - away, edge + away):
            if 0 <= at < len(last):
                near = np.where(np.isnan(near), last[at], near)
    return near


def _local_shares(network: Network, scope: str) -> dict[str, tuple[F64, F64]]:
    """Return the weights of the two sums of K1 and of K2; none where a scope has neither."""
    made, taken = Account(scope, "chlorine", "make"), find_withdrawals(network, scope)
    if made not in network.accounts or not taken.streams:
        return {}
    local = [s for s, inner in zip(taken.streams, taken.local, strict=True) if inner]
    inside, whole, exported = (
        withdrawal_weights(network, streams) for streams in (local, taken.streams, taken.exported)
    )
    produced = weights(network, {made: 1.0})
    return {
        "local share K1": (inside, whole),
        "local share K2": (produced - exported, produced),
    }


def _shares(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the local shares of chlorine, K1 and K2, and the chlor-alkali balance."""
    network = window.known.network
    for scope in _scopes(window):
        shares = _local_shares(network, scope)
        for kpi, pair in shares.items():
            yield _weighed(window, kpi, "chlorine", *pair)
        if not shares:
            continue
        owed = weights(network, {Account(scope, "caustic", "mass"): CHLORINE_PER_CAUSTIC})
        if owed.any():
            outlets = outlet_weights(network, scope)
            yield _weighed(window, "chlor-alkali balance", "chlorine", outlets, owed)


def _reconciled(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the flows, stored masses and local shares of scopes that stand on reconciled values."""
    network = window.known.network
    for component, scope in product(window.closed, _scopes(window)):
        balance, amounts, _ = window.closed[component]
        true = np.array([true_stream_mass(window, component, line) for line in balance.lines])
        sums, shares = _stream_sums(network, balance, scope)
        if not sums:
            continue
        weight, pairs = np.array([*sums.values()]), np.array([*shares.values()])
        pairs = pairs.reshape(-1, 2, len(balance.lines))
        result = reconcile_figures(balance, amounts, weight, pairs)
        if not result.stands:
            continue
        truths = [*(weight @ true), *((over @ true) / (under @ true) for over, under in pairs)]
        widths = half_width(result.sigma).tolist()
        for kpi, value, width, truth in zip(
            [*sums, *shares], result.value.tolist(), widths, truths, strict=True
        ):
            if np.isfinite(value):
                yield StatedFigure(f"{kpi}, reconciled", value, width, float(truth), NAN, value)


def _stream_sums(
    network: Network, balance: Balance, scope: str
) -> tuple[dict[str, F64], dict[str, F64]]:
    """Return the accounts of a scope as sums of streams, and its shares as pairs of them."""
    component = balance.component
    sums = {
        f"{component} {name}": stream_weights(balance, weights(network, {account: 1.0}))
        for item, name in MADE.items()
        for account in [Account(scope, component, item)]
        if account in network.accounts
    }
    tanks = network.tanks.scopes.get((scope, component))
    if tanks is not None:
        nothing = np.zeros(len(network.tags))
        sums[f"{component} stored"] = stream_weights(balance, nothing, tanks.tolist())
    shares = {
        kpi: np.stack([stream_weights(balance, each) for each in pair])
        for kpi, pair in _local_shares(network, scope).items()
        if component == "chlorine"
    }
    known = [
        {kpi: each for kpi, each in rows.items() if np.isfinite(each).all()}
        for rows in (sums, shares)
    ]
    return known[0], known[1]


def _energy(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield mass, energy and energy per mass of products, by scope."""
    network = window.known.network
    for account in network.accounts:
        scope, product, item = account
        if scope not in _scopes(window) or item not in ("mass", *ENERGY):
            continue
        weight = weights(network, {account: 1.0})
        if item == "mass":
            yield _weighed(window, f"{product} weighed", product, weight)
            continue
        yield _weighed(window, f"{product} {ENERGY[item]}", "", weight)
        mass = Account(scope, product, "mass")
        if mass in network.accounts:
            kpi, under = f"{product} {ENERGY[item]} per mass", weights(network, {mass: 1.0})
            yield _weighed(window, kpi, product, weight, under)


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


def _products(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the carbon footprints of products, cradle to gate inside scopes."""
    network = window.known.network
    heat = parse_quantity(load_reference("carbon")["heat"]["factor"], "emission_factor")
    grid = carbon.grid_factor(GRID_YEAR, "CN", "location").value
    factors = {"electricity": np.array([grid]), "heat": np.array([heat])}
    for scope in _scopes(window):
        system = compile_products(network, scope)
        for name, node in system.products:
            true = product_footprint(system, node, window.true_amount[None], factors)
            shared = _share_time(window, true.weight[0] != 0)
            stated = product_footprint(system, node, shared.amount[None], factors)
            if np.isfinite(stated.value[0]) and shared.share[0] >= ENOUGH:
                slope, one = stated.weight[0], np.ones(())
                gap = shared.gap_sigma(slope, np.zeros_like(slope), stated.value[0], one)
                sigma = sum_sigma(network, name, slope, shared.amount, shared.covered_s)
                value, truth = float(stated.value[0]), float(true.value[0])
                width = float(half_width(np.hypot(sigma, gap)))
                yield StatedFigure(f"{name} footprint", value, width, truth, value, NAN)


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
        tag, _ = cell_entries(cell, network.index, network.effective)[made]
        ratio = float(window.part[made][tag])
        for name, kpi in CELLS.items():
            value, sigma = getattr(seen, name)
            factor = {"product": ratio, "energy": 1 / ratio}.get(name, 1)
            if np.isfinite(sigma):
                yield _plain(kpi.format(made), value, sigma, getattr(truth, name).value * factor)


def _efficiencies(window: ScoreWindow) -> Iterator[StatedFigure]:
    """Yield the current efficiency of each analysed electrolyser: by analysis, meters and both."""
    network, cells = window.known.network, window.known.network.cells
    if not network.effective:
        return
    groups, sums = metered_cells(network), (window.amount, window.covered_s)
    meters = [metered_efficiency(network, group, *sums).mean for group in groups]
    seen = cell_efficiencies(network, groups, meters, *sums)
    true = window.true_amount[cells.effective] / window.true_amount[cells.current]
    for id_, truth in zip(network.effective, true.tolist(), strict=True):
        ways = {"by analysis": seen[id_].analysis, "by meters": seen[id_].meters,
                "by both": seen[id_].both.mean}  # fmt: skip
        for way, (value, sigma) in ways.items():
            if np.isfinite(value):
                yield _plain(f"current efficiency {way}", float(value), float(sigma), truth)


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
        for p, pollutant in enumerate(outlet.names):
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
