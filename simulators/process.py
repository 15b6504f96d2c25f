"""The true state of a park: every tag as a pure function of time and seed, all balances closed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simulators import waves
from simulators.cells import electrolyse, make
from simulators.cells import show as show_cells
from simulators.network import demanded, solve
from simulators.plant import make_plant
from simulators.vessels import inventory, let_swing
from simulators.vessels import show as show_vessels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.network import Network
    from simulators.plant import Load, Plant
    from simulators.waves import F64, I64
    from twin.model import Park

COUNTER_STEP_S = 120  # Rates change within hours: a straight line over two minutes is enough.
CHUNK = 720
HANDOVER_S = 2700.0
NIGHT_VALLEY = 3 / 24  # Electricity is cheapest, and the load highest, at three in the morning.


@dataclass(frozen=True, slots=True)
class Process:
    """A plant and the weekly table of its counters."""

    plant: Plant
    table: F64  # (w, c) amount since the start of the week, SI


@dataclass(frozen=True, slots=True)
class State:
    """The truth at n times, SI: tags, flow of each stream's medium, accumulation of each tank."""

    values: F64  # (n, t)
    flow: F64  # (n, s) [kg/s]; NaN where the medium has no balanced component
    accumulation: F64  # (n, k) [kg/s]
    through: Mapping[str, F64]  # component: (n, m) outflow, or use, of each node [kg/s]


def make_process(park: Park, seed: int) -> Process:
    """Return the process of any park model."""
    plant = make_plant(park, seed)
    hours = np.arange(0.0, waves.WEEK_S, 3600.0)
    plant = replace(plant, vessels=let_swing(plant.vessels, _rates(plant, hours).through))
    steps = np.arange(0.0, waves.WEEK_S + COUNTER_STEP_S, COUNTER_STEP_S)
    rates = np.concatenate(
        [
            _rates(plant, steps[i : i + CHUNK]).values[:, plant.counters]
            for i in range(0, len(steps), CHUNK)
        ]
    )
    table = np.zeros_like(rates)
    table[1:] = np.cumsum((rates[1:] + rates[:-1]) / 2 * COUNTER_STEP_S, axis=0)
    return Process(plant, table)


def state(process: Process, time_us: I64) -> State:
    """Return the truth at (n,) int64 [µs]; the same times always give the same values."""
    time_s = waves.week_time(time_us)
    truth = _rates(process.plant, time_s)
    weeks = (time_us - waves.EPOCH_US) // waves.WEEK_US
    steps = np.arange(len(process.table)) * float(COUNTER_STEP_S)
    for c, column in enumerate(process.plant.counters):
        amount = process.table[:, c]
        truth.values[:, column] = weeks * amount[-1] + np.interp(time_s, steps, amount)
    return truth


def _work(load: Load, time_s: F64) -> F64:
    """Return the load of each owner over its usual one, (n, o) float64 [1]."""
    local = (time_s + load.utc_offset_s) % waves.WEEK_S
    day = np.cos(2 * np.pi * (local / 86400.0 - NIGHT_VALLEY))[:, None]
    shift = waves.shift_pattern(load.shift_starts, load.shift_levels, local, HANDOVER_S)
    return np.asarray(1 + 0.03 * day + 0.015 * shift + 0.01 * waves.value(load.waves, time_s))


def _rates(plant: Plant, time_s: F64) -> State:
    """Return the state at (n,) float64 [s] of the week; counters' columns hold their rates."""
    load = _work(plant.load, time_s)
    values = plant.base + plant.load_gain * (load[:, plant.tag_owner] - 1)
    values += plant.wave_gain * waves.value(plant.tag_waves, time_s)

    current, voltage = electrolyse(plant.cells, load, time_s)
    made = make(plant.cells, current)
    show_cells(plant.cells, current, voltage, values)
    for column, component, part in plant.product_columns:
        values[:, column] = made[component] @ part
    for column, part in plant.power_columns:
        values[:, column] = (current * voltage) @ part

    fill, accumulation = inventory(plant.vessels, time_s)
    show_vessels(plant.vessels, fill, values)
    flow = np.full((len(time_s), len(plant.park.streams)), np.nan)
    through: dict[str, F64] = {}
    wave = waves.value(plant.stream_waves, time_s)
    given = load[:, plant.stream_owner] * (1 + 0.02 * wave)
    for network in plant.networks:
        produced, kept, needs = _sources(plant, network, made, accumulation, through)
        at = list(network.streams)
        part, through[network.component] = solve(
            network, produced, kept, given[:, at], 1 + 0.05 * wave[:, at], demanded(network, needs)
        )
        flow[:, at] = part / network.fraction
    for stream, column, factor in plant.stream_columns:
        values[:, column] = flow[:, stream] * factor
    values[:, plant.counters] = values[:, plant.rate_column[plant.counters]]
    return State(values, flow, accumulation, through)


def _sources(
    plant: Plant,
    network: Network,
    made: Mapping[str, F64],
    accumulation: F64,
    through: Mapping[str, F64],
) -> tuple[F64, F64, dict[int, F64]]:
    """Return production and accumulation of each node, (n, m), and what reactions need there."""
    shape = (len(accumulation), len(network.nodes))
    produced, kept = np.zeros(shape), np.zeros(shape)
    needs: dict[int, F64] = {}
    if network.component in made:
        for e, electrolyser in enumerate(plant.cells.electrolysers):
            node = network.index(electrolyser.scope)
            if node is not None:
                produced[:, node] += made[network.component][:, e]
    for k, place in enumerate(plant.vessels.place):
        if place is not None and place[0] == network.component:
            kept[:, place[1]] += accumulation[:, k] * place[2]
    for reaction in plant.reactions:
        if reaction.component == network.component:
            amount = through["chlorine"][:, reaction.user] * reaction.ratio
            node = network.nodes.index(reaction.scope)
            if reaction.makes:
                produced[:, node] += amount
            else:
                needs[node] = amount
    return produced, kept, needs
