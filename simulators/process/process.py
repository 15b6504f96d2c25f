"""The true state of a park: every tag as a pure function of time and seed, all balances closed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from simulators.process import disturbances
from simulators.process.cells import electrolyse, make
from simulators.process.cells import show as show_cells
from simulators.process.flows import demanded, solve, undecomposed
from simulators.process.plant import make_plant
from simulators.process.recipes import FUEL, POWER
from simulators.process.vessels import inventory, let_swing
from simulators.process.vessels import show as show_vessels
from twin.arrays import F64, I64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.process.flows import Network
    from simulators.process.plant import Load, Plant
    from twin.model.park import Park

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
class Changes:
    """What a scenario changes at n times; without any, the undisturbed process."""

    run: F64 | float = 1.0  # (n, e) [1] load of each electrolyser on top of the usual one
    added_v: F64 | float = 0.0  # (n, e) [V] per cell
    lost: F64 | float = 0.0  # (n, e) [1] off the current efficiency
    factor: F64 | float = 1.0  # (n, t) [1] on tags nothing else explains
    shift: F64 | float = 0.0  # (n, t) [SI] likewise
    fill: F64 | float = 0.0  # (n, k) [1] of the volume, more than usual
    accumulation: F64 | float = 0.0  # (n, k) [kg/s] likewise
    leak: Mapping[str, F64] = field(default_factory=dict)  # component: (n, m) [kg/s]
    # component: {stream: (n,) [kg/s]} flows that no share decides
    fixed: Mapping[str, Mapping[int, F64]] = field(default_factory=dict)


UNCHANGED = Changes()


@dataclass(frozen=True, slots=True)
class State:
    """The truth at n times, SI: tags, flow of each stream's medium, accumulation of each tank.

    Flows are of media as they usually are; the tags show more of a medium that is poorer.
    """

    values: F64  # (n, t)
    flow: F64  # (n, s) [kg/s]; NaN where the medium has no balanced component
    accumulation: F64  # (n, k) [kg/s]
    through: Mapping[str, F64]  # component: (n, m) outflow, or use, of each node [kg/s]


def make_process(park: Park, seed: int) -> Process:
    """Return the process of any park model."""
    plant = make_plant(park, seed)
    hours = np.arange(0.0, disturbances.WEEK_S, 3600.0)
    plant = replace(plant, vessels=let_swing(plant.vessels, rates(plant, hours).through))
    steps = np.arange(0.0, disturbances.WEEK_S + COUNTER_STEP_S, COUNTER_STEP_S)
    speed = np.concatenate(
        [
            rates(plant, steps[i : i + CHUNK]).values[:, plant.counters]
            for i in range(0, len(steps), CHUNK)
        ]
    )
    table = np.zeros_like(speed)
    table[1:] = np.cumsum((speed[1:] + speed[:-1]) / 2 * COUNTER_STEP_S, axis=0)
    return Process(plant, table)


def state(process: Process, time_us: I64) -> State:
    """Return the truth at (n,) int64 [µs]; the same times always give the same values."""
    truth = rates(process.plant, disturbances.week_time(time_us))
    truth.values[:, process.plant.counters] = counted(process, time_us)
    return truth


def counted(process: Process, time_us: I64) -> F64:
    """Return what the counters have counted since the epoch, (n, c) [SI]."""
    time_s = disturbances.week_time(time_us)
    weeks = (time_us - disturbances.EPOCH_US) // disturbances.WEEK_US
    steps = np.arange(len(process.table)) * float(COUNTER_STEP_S)
    amounts = [np.interp(time_s, steps, amount) for amount in process.table.T]
    part = np.array(amounts, dtype=np.float64).reshape(-1, len(time_us)).T
    return np.asarray(weeks[:, None] * process.table[-1] + part)


def _work(load: Load, time_s: F64) -> F64:
    """Return the load of each owner over its usual one, (n, o) float64 [1]."""
    local = (time_s + load.utc_offset_s) % disturbances.WEEK_S
    day = np.cos(2 * np.pi * (local / 86400.0 - NIGHT_VALLEY))[:, None]
    shift = disturbances.shift_pattern(load.shift_starts, load.shift_levels, local, HANDOVER_S)
    return np.asarray(
        1 + 0.03 * day + 0.015 * shift + 0.01 * disturbances.value(load.waves, time_s)
    )


def rates(plant: Plant, time_s: F64, changes: Changes = UNCHANGED) -> State:
    """Return the state at (n,) float64 [s] of the week; counters' columns hold their rates."""
    load = _work(plant.load, time_s)
    values = plant.base + plant.load_gain * (load[:, plant.tag_owner] - 1)
    values += plant.wave_gain * disturbances.value(plant.tag_waves, time_s)
    values = values * changes.factor + changes.shift

    made, power = _electric(plant, load, time_s, changes, values)
    fill, accumulation = inventory(plant.vessels, time_s)
    fill, accumulation = fill + changes.fill, accumulation + changes.accumulation
    show_vessels(plant.vessels, fill, values)
    flow = np.full((len(time_s), len(plant.park.streams)), np.nan)
    through: dict[str, F64] = {}
    wave = disturbances.value(plant.stream_waves, time_s)
    given = load[:, plant.stream_owner] * (1 + 0.02 * wave)
    for network in plant.networks:
        produced, kept = _sources(plant, network, made, accumulation)
        needs, returned = _react(plant, network, through, power, produced)
        at = list(network.streams)
        name = network.component
        fixed = demanded(network, needs) | dict(changes.fixed.get(name, {}))
        swing = 1 + 0.05 * wave[:, at]
        fixed |= undecomposed(network, np.maximum(-produced, 0.0), swing)
        if name in changes.leak:
            produced -= changes.leak[name]
        part, through[name] = solve(network, produced, kept, given[:, at], swing, fixed, returned)
        flow[:, at] = part / network.fraction
    for stream, column, factor, fraction in plant.stream_columns:
        # The component flows; a poorer medium shows as more of it.
        poor = values[:, fraction] if fraction >= 0 else 1.0
        values[:, column] = flow[:, stream] * factor / poor
    for column, node, usual in plant.stack_columns:
        values[:, column] *= through[FUEL][:, node] / usual
    values[:, plant.counters] = values[:, plant.rate_column[plant.counters]]
    return State(values, flow, accumulation, through)


def _electric(
    plant: Plant, load: F64, time_s: F64, changes: Changes, values: F64
) -> tuple[dict[str, F64], dict[str, F64]]:
    """Show electrolysis and captive power; return what cells make and what captive plants send."""
    current, voltage = electrolyse(plant.cells, load, time_s, changes.run, changes.added_v)
    made = make(plant.cells, current, changes.lost)
    show_cells(plant.cells, current, voltage, values)
    for column, component, part in plant.product_columns:
        values[:, column] = made[component] @ part
    for column, part in plant.power_columns:
        values[:, column] = (current * voltage) @ part
    power = {}
    for captive in plant.captive:
        rest = captive.rest * load[:, plant.tag_owner[captive.column]]
        values[:, captive.column] = captive.share * values[:, captive.users].sum(axis=1) + rest
        power[captive.scope] = values[:, captive.column]
    return made, power


def _sources(
    plant: Plant, network: Network, made: Mapping[str, F64], accumulation: F64
) -> tuple[F64, F64]:
    """Return what cells make at each node and what its tanks keep, (n, m)."""
    shape = (len(accumulation), len(network.nodes))
    produced, kept = np.zeros(shape), np.zeros(shape)
    if network.component in made:
        for e, electrolyser in enumerate(plant.cells.electrolysers):
            node = network.index(electrolyser.scope)
            if node is not None:
                produced[:, node] += made[network.component][:, e]
    for k, place in enumerate(plant.vessels.place):
        if place is not None and place[0] == network.component:
            kept[:, place[1]] += accumulation[:, k] * place[2]
    return produced, kept


def _react(
    plant: Plant,
    network: Network,
    through: Mapping[str, F64],
    power: Mapping[str, F64],
    produced: F64,
) -> tuple[dict[int, F64], list[tuple[int, int, float]]]:
    """Add what reactions make to what is produced; return their needs, and what is returned."""
    needs: dict[int, F64] = {}
    returned = []
    nodes = {n.component: n.nodes for n in plant.networks}
    for reaction in plant.reactions:
        if reaction.component != network.component:
            continue
        node = network.nodes.index(reaction.scope)
        if reaction.driver == network.component:
            returned.append((network.nodes.index(reaction.at), node, reaction.ratio))
            continue
        if reaction.driver == POWER:
            drive = power[reaction.at]
        else:
            drive = through[reaction.driver][:, nodes[reaction.driver].index(reaction.at)]
        if reaction.makes:
            produced[:, node] += drive * reaction.ratio
        else:
            needs[node] = needs.get(node, 0.0) + drive * reaction.ratio
    return needs, returned
