"""The true state of a park: every tag a pure function of time and seed, every balance closed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from simulators.process import disturbances
from simulators.process.cells import electrolyse, oxygen_in_chlorine, production, warmth
from simulators.process.flows import demand_flows, solve, unconverted_flows
from simulators.process.plant import make_plant
from simulators.process.recipes import FUEL, POWER
from simulators.process.vessels import inventory, with_oscillation, write_tank_tags
from twin.arrays import F64, I64

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulators.process.flows import ComponentNetwork
    from simulators.process.plant import LoadPattern, Plant
    from twin.model.park import Park

COUNTER_STEP_S = 120  # Rates change within hours: a straight line over two minutes is enough.
CHUNK = 720
HANDOVER_S = 2700.0
NIGHT_VALLEY = 3 / 24  # Electricity is cheapest, and the load highest, at three in the morning.


@dataclass(frozen=True, slots=True)
class Process:
    """A plant and the weekly table of its counters."""

    plant: Plant
    table: F64  # (w, c) [SI] count of each counter since the start of the week


@dataclass(frozen=True, slots=True)
class ProcessChanges:
    """Changes of the process by a scenario at n times; the defaults change nothing."""

    run: F64 | float = 1.0  # (n, e) [1] further factor on the load of each electrolyser
    added_v: F64 | float = 0.0  # (n, e) [V] per cell
    lost: F64 | float = 0.0  # (n, e) [1] off the current efficiency
    factor: F64 | float = 1.0  # (n, t) [1] on tags that no equation explains
    shift: F64 | float = 0.0  # (n, t) [SI] added to them
    fill: F64 | float = 0.0  # (n, k) [1] of the volume, added to the usual
    accumulation: F64 | float = 0.0  # (n, k) [kg/s] added to the usual
    leak: Mapping[str, F64] = field(default_factory=dict)  # component: (n, m) [kg/s]
    # component: {stream: (n,) [kg/s]} flows that are set, not solved for
    fixed: Mapping[str, Mapping[int, F64]] = field(default_factory=dict)


UNCHANGED = ProcessChanges()


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The truth at n times in SI: tags, flow of each stream's medium, accumulation of each tank.

    Flows are of media at their usual composition; a meter reads more of a medium that is poorer.
    """

    values: F64  # (n, t)
    flow: F64  # (n, s) [kg/s]; NaN where the medium has no balanced component
    accumulation: F64  # (n, k) [kg/s]
    throughput: Mapping[str, F64]  # component: (n, m) [kg/s] outflow, or use, of each node


def make_process(park: Park, seed: int) -> Process:
    """Compile the process of any park model; everything random comes from `seed`."""
    plant = make_plant(park, seed)
    hours = np.arange(0.0, disturbances.WEEK_S, 3600.0)
    plant = replace(plant, vessels=with_oscillation(plant.vessels, rates(plant, hours).throughput))
    steps = np.arange(0.0, disturbances.WEEK_S + COUNTER_STEP_S, COUNTER_STEP_S)
    parts = [rates(plant, part).values[:, plant.counters] for part in chunks(steps, CHUNK)]
    return Process(plant, integral_since_start(steps, np.concatenate(parts)))


def chunks(time_s: F64, size: int) -> list[F64]:
    """Return times in parts of a size."""
    return [time_s[i : i + size] for i in range(0, len(time_s), size)]


def integral_since_start(step_s: F64, rate: F64) -> F64:
    """Return the integral of a rate, (w, c), from the first step (w,) [s] on, by trapezia."""
    total = np.zeros_like(rate)
    total[1:] = np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(step_s)[:, None], axis=0)
    return total


def interpolate(time_s: F64, step_s: F64, table: F64) -> F64:
    """Return the columns of a table (w, c) at times, (n, c), linear between steps (w,)."""
    columns = [np.interp(time_s, step_s, column) for column in table.T]
    return np.array(columns, dtype=np.float64).reshape(-1, len(time_s)).T


def state(process: Process, time_us: I64) -> ProcessState:
    """Return the truth at (n,) int64 [µs]; equal times give equal values in every run."""
    truth = rates(process.plant, disturbances.week_time(time_us))
    truth.values[:, process.plant.counters] = counted(process, time_us)
    return truth


def counted(process: Process, time_us: I64) -> F64:
    """Return the counts of the counters since the epoch, (n, c) [SI], at (n,) int64 [µs]."""
    time_s = disturbances.week_time(time_us)
    weeks = (time_us - disturbances.EPOCH_US) // disturbances.WEEK_US
    steps = np.arange(0.0, len(process.table)) * COUNTER_STEP_S
    part = interpolate(time_s, steps, process.table)
    return np.asarray(weeks[:, None] * process.table[-1] + part)


def _relative_load(load: LoadPattern, time_s: F64) -> F64:
    """Return the load of each owner relative to its usual load, (n, o) [1]."""
    local = (time_s + load.utc_offset_s) % disturbances.WEEK_S
    day = np.cos(2 * np.pi * (local / 86400.0 - NIGHT_VALLEY))[:, None]
    shift = disturbances.shift_pattern(load.shift_starts, load.shift_levels, local, HANDOVER_S)
    return np.asarray(
        1 + 0.03 * day + 0.015 * shift + 0.01 * disturbances.value(load.disturbance, time_s)
    )


def rates(plant: Plant, time_s: F64, changes: ProcessChanges = UNCHANGED) -> ProcessState:
    """Return the state at (n,) float64 [s] of the week; columns of counters hold rates [SI/s]."""
    load = _relative_load(plant.load, time_s)
    values = plant.base + plant.load_gain * (load[:, plant.tag_owner] - 1)
    values += plant.disturbance_gain * disturbances.value(plant.tag_disturbances, time_s)
    values = values * changes.factor + changes.shift

    made, power = _electric(plant, load, time_s, changes, values)
    fill, accumulation = inventory(plant.vessels, time_s)
    fill, accumulation = fill + changes.fill, accumulation + changes.accumulation
    write_tank_tags(plant.vessels, fill, values)
    flow = np.full((len(time_s), len(plant.park.streams)), np.nan)
    throughput: dict[str, F64] = {}
    disturbance = disturbances.value(plant.stream_disturbances, time_s)
    given = load[:, plant.stream_owner] * (1 + 0.02 * disturbance)
    for network in plant.networks:
        produced, kept = _sources(plant, network, made, accumulation)
        needs, returned = _react(plant, network, throughput, power, produced)
        at = list(network.streams)
        name = network.component
        fixed = demand_flows(network, needs) | dict(changes.fixed.get(name, {}))
        split_weight = 1 + 0.05 * disturbance[:, at]
        fixed |= unconverted_flows(network, np.maximum(-produced, 0.0), split_weight)
        if name in changes.leak:
            produced -= changes.leak[name]
        part, throughput[name] = solve(
            network, produced, kept, given[:, at], split_weight, fixed, returned
        )
        flow[:, at] = part / network.fraction
    for stream, column, factor, fraction in plant.stream_columns:
        # The flow of the component is the solved one: a meter reads more of a poorer medium.
        poor = values[:, fraction] if fraction >= 0 else 1.0
        values[:, column] = flow[:, stream] * factor / poor
    for column, node, usual in plant.stack_columns:
        values[:, column] *= throughput[FUEL][:, node] / usual
    values[:, plant.counters] = values[:, plant.rate_column[plant.counters]]
    return ProcessState(values, flow, accumulation, throughput)


def _electric(
    plant: Plant, load: F64, time_s: F64, changes: ProcessChanges, values: F64
) -> tuple[dict[str, F64], dict[str, F64]]:
    """Write the tags of electrolysis, captive power and incomers into `values`.

    Return the production of the cells by component, (n, e) [kg/s], and the power of the captive
    plants by scope, (n,) [W].
    """
    added_v = changes.added_v + warmth(plant.cells, values)
    current, voltage = electrolyse(plant.cells, load, time_s, changes.run, added_v)
    made = production(plant.cells, current, changes.lost)
    values[:, plant.cells.current_column] = current
    measured = plant.cells.voltage_column >= 0
    values[:, plant.cells.voltage_column[measured]] = voltage[:, measured]
    for column, at, mine in plant.cells.oxygen_columns:
        hydrogen = values[:, at] if at >= 0 else 0.0
        values[:, column] = oxygen_in_chlorine(plant.cells, current, changes.lost, mine, hydrogen)
    for column, component, part in plant.product_columns:
        values[:, column] = made[component] @ part
    for column, part in plant.power_columns:
        values[:, column] = (current * voltage) @ part
    power = {}
    for source in plant.sources:
        other = source.other * load[:, plant.tag_owner[source.column]]
        values[:, source.column] = values[:, source.taken] @ source.weight + other
        power[source.scope] = values[:, source.column]
    return made, power


def _sources(
    plant: Plant, network: ComponentNetwork, made: Mapping[str, F64], accumulation: F64
) -> tuple[F64, F64]:
    """Return production by cells and accumulation in tanks of each node, (n, m) [kg/s]."""
    shape = (len(accumulation), len(network.nodes))
    produced, kept = np.zeros(shape), np.zeros(shape)
    if network.component in made:
        for e, electrolyser in enumerate(plant.cells.electrolysers):
            node = network.index(electrolyser.scope)
            if node is not None:
                produced[:, node] += made[network.component][:, e]
    for k, at in enumerate(plant.vessels.balance_node):
        if at is not None and at.component == network.component:
            kept[:, at.node] += accumulation[:, k] * at.fraction
    return produced, kept


def _react(
    plant: Plant,
    network: ComponentNetwork,
    throughput: Mapping[str, F64],
    power: Mapping[str, F64],
    produced: F64,
) -> tuple[dict[int, F64], list[tuple[int, int, float]]]:
    """Add the production of reactions to `produced`, (n, m) [kg/s].

    Return their needs by node, (n,) [kg/s], and the component they return: user, node, [kg/kg].
    """
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
            drive = throughput[reaction.driver][:, nodes[reaction.driver].index(reaction.at)]
        if reaction.makes:
            produced[:, node] += drive * reaction.ratio
        else:
            needs[node] = needs.get(node, 0.0) + drive * reaction.ratio
    return needs, returned
