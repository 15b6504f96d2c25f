"""A window of a sound park: the sums of the twin, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.instruments.sensors import make_sensors, observe
from simulators.process.disturbances import EPOCH_US
from simulators.process.process import make_process, state
from simulators.scenarios.script import load_script
from simulators.scoring.pipeline import minutes_of
from twin.accounts.accounts import FLOW_ITEMS, cell_factor
from twin.accounts.network import compile_network
from twin.accounts.tanks import tank_mass
from twin.arrays import F64, HOUR_S, HOUR_US, I64, MINUTE_US
from twin.energy.circuits import Pair
from twin.errors import ModelError
from twin.reconciliation.balances import compile_balance, measure
from twin.reconciliation.closure import close_balance
from twin.reference import load as load_reference
from twin.scenario.network import compile_supply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from simulators.process.process import Process
    from simulators.scenarios.script import ScriptEvent
    from simulators.scoring.pipeline import MinuteTable
    from twin.accounts.network import Network
    from twin.model.park import Electrolyser, Park
    from twin.reconciliation.balances import Amounts, Balance, Line
    from twin.reconciliation.closure import Closure
    from twin.scenario.network import Supply

SCAN_S, SCANS_MAX = 10.0, 4320
# They begin all over some week.
TRIP = "chlorine-user-trip"
FIRST_HOUR, STRIDE, WEEK_HOURS = 98 * 168, 37, 168


class CompiledPark(NamedTuple):
    """A park model compiled once for many windows."""

    park: Park
    network: Network
    supply: Supply
    trip: (
        ScriptEvent | None
    )  # of a chlorine user, None where the scenario of it does not fit the park


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
    true_amount: F64  # (T,) of a stream with an analyser at its usual fraction
    true_level: F64  # (2, T)
    true_value: F64  # (n, T) at each scan
    true_flow: Mapping[str, Mapping[str, float]]  # [kg] by stream and component
    part: Mapping[str, F64]  # component: (T,) [1] true production of cells over that of the model
    closed: Mapping[str, tuple[Balance, Amounts, Closure]]  # component: the whole park's balance


def compile_park(park: Park) -> CompiledPark:
    """Compile a park model for windows."""
    network = compile_network(park)
    try:
        trip = load_script(TRIP, park).at("process")[0]
    except ModelError:
        trip = None
    return CompiledPark(park, network, compile_supply(network), trip)


def make_window(known: CompiledPark, seed: int, length_s: float = HOUR_S) -> ScoreWindow:
    """Return the window of a seed, which chooses plants, instruments and the time in the week."""
    network = known.network
    process = make_process(known.park, seed)
    start_us = EPOCH_US + (FIRST_HOUR + seed * STRIDE % WEEK_HOURS) * HOUR_US
    stop_us, scan_s = start_us + round(length_s * 1e6), max(SCAN_S, length_s / SCANS_MAX)
    readings = partial(observe, make_sensors(process, seed))
    table = minutes_of(network, readings, start_us - MINUTE_US, stop_us, scan_s=scan_s)
    seen = _seen(table)
    components = {a.subject for a in network.accounts if a.item in FLOW_ITEMS}
    closed = {}
    for component in sorted(components):
        balance = compile_balance(network, known.park.id, component)
        if balance.nodes:
            amounts = measure(network, balance, *seen)
            closed[component] = balance, amounts, close_balance(balance, amounts)
    part = {component: np.ones(len(network.tags)) for component in components}
    cells = process.plant.cells
    rows = zip(cells.electrolysers, cells.efficiency, cells.hydrogen, strict=True)
    for cell, efficiency, hydrogen in rows:
        for component in cell_factor(cell):
            ratio = hydrogen if component == "hydrogen" else efficiency / cell.current_efficiency
            part[component][network.index[cell.current]] = ratio
    times = np.arange(start_us, stop_us + 1, round(scan_s * 1e6))
    amount, level, value, flow = _true(network, process, times, scan_s)
    return ScoreWindow(
        known, length_s, scan_s, *seen, table, amount, level, value, flow, part, closed
    )


def _seen(table: MinuteTable) -> tuple[F64, F64, F64]:
    """Return amounts, cover [s], and the last values before the edges."""
    amount, covered_s = table.amount[1:].sum(axis=0), table.covered_s[1:].sum(axis=0)
    return amount, covered_s, table.last[[0, -1]]


def _true(
    network: Network, process: Process, times: I64, scan_s: float
) -> tuple[F64, F64, F64, dict[str, dict[str, float]]]:
    """Return true amounts, values at the edges and at each scan, and mass of all streams [kg]."""
    media, index = load_reference("media"), network.index
    truth = state(process, times)
    values, edges = truth.values, truth.values[[0, -1]]
    flow = {}
    for stream, mass in zip(
        network.park.streams, integral(truth.flow, scan_s).tolist(), strict=True
    ):
        shares = media[stream.medium]["component"]
        flow[stream.id] = {component: mass * share for component, share in shares.items()}
        if stream.flow and stream.fraction:
            usual = max(shares.values())
            values[:, index[stream.flow]] *= values[:, index[stream.fraction]] / usual
    amount = integral(values, scan_s)
    amount[process.plant.counters] = np.diff(edges, axis=0)[0, process.plant.counters]

    def padded(column: F64) -> F64:
        more = len(network.tags) - column.shape[-1]
        return np.pad(column, [(0, 0)] * (column.ndim - 1) + [(0, more)], constant_values=np.nan)

    return padded(amount), padded(edges), padded(values), flow


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
    """Return the true mass of a component in a line of a balance [kg]."""
    if line.tanks:
        return stored_mass(window.known.network, component, line.tanks, window.true_level)
    if line.id in window.true_flow:
        return window.true_flow[line.id][component]
    # The line is the production of cells.
    return sum(
        float(window.part[component][tag] * window.true_amount[tag]) * factor
        for tag, factor in line.tags
    )
