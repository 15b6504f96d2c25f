"""The test harness of scenarios: a park, its instruments, minutes and monitor of balances.

Samples pass through the same functions of the twin as in `ingest`, without broker and database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simulators.instruments import Scene, make_sensors, readings
from simulators.process.process import make_process
from simulators.scenarios.overlay import make_overlay
from simulators.scenarios.script import Script, load_script
from twin import quality as q
from twin.accounts.cells import effective_current
from twin.accounts.heat import heat_amounts
from twin.accounts.network import Network, compile_network
from twin.arrays import DAY_US, F64, FOREVER, I64, MINUTE_US, NEVER, U8, ratio
from twin.reconciliation.detection import begin_monitor, detect
from twin.reconciliation.monitor import MonitorModel, compile_monitor, monitored_components
from twin.series.minutes import Minutes, aggregate, no_open_minutes
from twin.series.samples import Samples, concatenate, no_samples, sort
from twin.validation.assess import assess, no_state
from twin.validation.rules import CheckSpec, compile_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.instruments import Sensors
    from simulators.process.process import Process
    from simulators.scenarios.script import ScriptEvent
    from twin.model.park import Park, Tag
    from twin.reconciliation.detection import Detection, MonitorState

# Validation learns the usual values once a block, so a block must not be long.
CHUNK_S = 900.0
SCAN_S = 20.0


@dataclass(frozen=True, slots=True)
class MinuteTable:
    """Minutes as a table: W minutes, T tags of a network."""

    start_us: int
    amount: F64  # (W, T) [SI] NaN = no value
    covered_s: F64  # (W, T)
    last: F64  # (W, T) [SI] last value in the minute
    quality: U8  # (W, T) 0 where there is no row
    flags: dict[tuple[int, int], int]  # tag, reason: time of the first flagged sample [µs]

    @property
    def edge_us(self) -> I64:
        """The edges of the minutes, (W + 1,) int64 [µs]."""
        return self.start_us + np.arange(len(self.amount) + 1) * MINUTE_US


def in_si(park: Park, readings: F64) -> F64:
    """Convert readings, (n, t) in each tag's uom, to SI."""
    scale = np.array([tag.scale for tag in park.tags])
    return np.asarray(readings * scale + np.array([tag.shift for tag in park.tags]))


def samples_of(network: Network, time_us: I64, readings: F64) -> Samples:
    """Return readings, (n, t) in each tag's uom at (n,) int64 [µs], as samples; NaN is none."""
    tags = network.park.tags
    low, high = np.array([tag.low for tag in tags]), np.array([tag.high for tag in tags])
    value = in_si(network.park, readings)
    plain = np.full(value.shape, q.SIMULATED, np.uint8)
    quality = q.within(value, low, high, plain)
    known = np.isfinite(value)
    time = np.broadcast_to(time_us[:, None], value.shape)
    tag = np.broadcast_to(np.arange(len(tags)), value.shape)
    return Samples(tag[known], time[known], value[known], quality[known], time[known])


def minutes_of(
    network: Network,
    observe: Callable[[I64], F64],
    start_us: int,
    stop_us: int,
    *,
    scan_s: float,
    tags: I64 | None = None,
) -> MinuteTable:
    """Return the minutes of the interval [start, stop), whose ends are whole minutes.

    Parameters
    ----------
    network : Network
    observe : function of (n,) int64 [µs]
        readings of the instruments, (n, t) in each tag's uom
    start_us, stop_us : int [µs]
    scan_s : float [s]
        between two scans
    tags : (U,) int64, optional
        only these; the others have no value

    Returns
    -------
    MinuteTable
    """
    keep = slice(None) if tags is None else _measured(network, tags)
    step_us = round(scan_s * 1e6)
    # The last count of a counter needs the reading after the end.
    times = np.arange(start_us, stop_us + step_us, step_us, dtype=np.int64)
    open_minutes = no_open_minutes(len(network.tags))
    limits = compile_limits(network.park.rows(CheckSpec), network.tags)
    state = no_state(len(network.tags))
    parts, flags = [], dict[tuple[int, int], int]()
    scans = max(round(CHUNK_S / scan_s), 1)
    for i in range(0, len(times), scans):
        now = times[i : i + scans]
        readings = np.full((len(now), len(network.park.tags)), np.nan)
        readings[:, keep] = observe(now)[:, keep]
        samples = sort(samples_of(network, now, readings)).samples
        result = assess(limits, state, samples)
        state = result.state
        samples = replace(samples, quality=result.quality)
        _note(flags, samples)
        samples = sort(concatenate(samples, _effective(network, now, readings))).samples
        parts.append(aggregate(open_minutes, network.traits, samples, NEVER))
    parts.append(aggregate(open_minutes, network.traits, no_samples(), stop_us))
    return table_of(network, parts, start_us, stop_us, flags)


def _measured(network: Network, tags: I64) -> I64:
    """Return the measured tags among some, and those that the effective currents follow from."""
    cells = network.cells
    wanted = np.isin(cells.effective, tags)
    analysis = cells.analysis[wanted].ravel()
    more = np.concatenate([tags, cells.current[wanted], analysis[analysis >= 0]])
    return np.unique(more[more < len(network.park.tags)])


def _effective(network: Network, time_us: I64, readings: F64) -> Samples:
    """Return the effective currents at some scans, as a step in each of them would store them."""
    cells, tags = network.cells, len(network.park.tags)
    value = np.full((len(time_us), len(network.tags)), np.nan)
    value[:, :tags] = in_si(network.park, readings)
    effective, _ = effective_current(cells, value)
    known = np.isfinite(effective)
    time = np.broadcast_to(time_us[:, None], known.shape)[known]
    tag = np.broadcast_to(cells.effective, known.shape)[known]
    quality = np.full(len(time), q.SIMULATED, np.uint8)
    return Samples(tag, time, effective[known], quality, time)


def _note(flags: dict[tuple[int, int], int], samples: Samples) -> None:
    """Note the time of the first flagged sample of each tag and reason."""
    reason = samples.quality & np.uint8(q.SIMULATED - 1)
    for row in np.flatnonzero(samples.quality >= q.UNCERTAIN).tolist():
        key = int(samples.tag[row]), int(reason[row])
        flags[key] = min(flags.get(key, FOREVER), int(samples.time_us[row]))


def table_of(
    network: Network,
    parts: list[Minutes],
    start_us: int,
    stop_us: int,
    flags: dict[tuple[int, int], int],
) -> MinuteTable:
    """Return rows of minutes as a table; rows outside [start, stop) are dropped."""
    shape = ((stop_us - start_us) // MINUTE_US, len(network.tags))
    amount, last = np.full((2, *shape), np.nan)
    covered_s, quality = np.zeros(shape), np.zeros(shape, np.uint8)
    for rows in parts:
        at = (rows.time_us - start_us) // MINUTE_US
        mine = (at >= 0) & (at < shape[0])
        at, tag = at[mine], rows.tag[mine]
        covered_s[at, tag] = rows.covered_us[mine] * 1e-6
        amount[at, tag] = np.where(rows.covered_us[mine] > 0, rows.amount[mine], np.nan)
        last[at, tag], quality[at, tag] = rows.last[mine], rows.quality[mine]
    heats, times = network.heats, start_us + np.arange(shape[0]) * MINUTE_US
    amount[:, heats.tag], _ = heat_amounts(heats, times, amount, ratio(amount, covered_s))
    covered_s[:, heats.tag] = covered_s[:, heats.flow]
    return MinuteTable(start_us, amount, covered_s, last, quality, flags)


@dataclass(frozen=True, slots=True)
class Harness:
    """A park with the instruments of a seed; its scenarios begin at `start_us`."""

    process: Process
    sensors: Sensors
    network: Network
    monitors: dict[str, MonitorModel]  # by component
    start_us: int

    @property
    def park(self) -> Park:
        """The park model."""
        return self.process.plant.park


def make_harness(park: Park, seed: int, start_us: int) -> Harness:
    """Compile a park with the plants and instruments of a seed."""
    process, network = make_process(park, seed), compile_network(park)
    return Harness(process, make_sensors(process, seed), network, monitors_of(network), start_us)


def monitors_of(network: Network) -> dict[str, MonitorModel]:
    """Return the monitors of a park by component."""
    root = network.park.id
    components = monitored_components(network, root)
    count = max(len(components), 1)
    # The scenarios are about chlorine, also where nothing checks its meters.
    watched = dict.fromkeys(["chlorine", *components])
    return {c: compile_monitor(network, root, c, count) for c in watched}


def scene_of(harness: Harness, name: str) -> Scene:
    """Return a scenario in the harness; raises ModelError if it does not fit the park."""
    return _scene(harness, load_script(name, harness.park), harness.start_us)


def biased(harness: Harness, bias: ScriptEvent, tag: Tag, start_us: int) -> Scene:
    """Return a scene in which one tag, and nothing else, is wrong by a bias from a time on [µs]."""
    duration_s = bias.stop_s - bias.start_s
    event = replace(bias, tag=tag.address, scope=tag.scope, start_s=0.0, stop_s=duration_s)
    return _scene(harness, Script(bias.id, {}, duration_s, (event,)), start_us)


def _scene(harness: Harness, script: Script, start_us: int) -> Scene:
    return Scene(harness.sensors, make_overlay(harness.process, script, start_us))


def run_monitor(
    harness: Harness,
    scene: Scene,
    memory: MonitorState,
    minutes: int,
    *,
    scan_s: float = SCAN_S,
    component: str = "chlorine",
) -> tuple[MonitorState, list[Detection]]:
    """Run the monitor of a component for some minutes; return its memory and its detections."""
    monitor = harness.monitors[component]
    table = minutes_of(
        harness.network,
        partial(readings, scene),
        memory.time_us,
        memory.time_us + minutes * MINUTE_US,
        scan_s=scan_s,
        tags=monitor.tags,
    )
    return detect(monitor, memory, table.amount, table.covered_s, table.last)


def false_detections(harness: Harness, days: int, scan_s: float) -> dict[str, int]:
    """Return the detections of each component in some days without an event."""
    scene = partial(readings, scene_of(harness, "normal"))
    tags = np.unique(np.concatenate([monitor.tags for monitor in harness.monitors.values()]))
    count = dict.fromkeys(harness.monitors, 0)
    states = {c: begin_monitor(m, harness.start_us) for c, m in harness.monitors.items()}
    for day in range(days):
        start_us = harness.start_us + day * DAY_US
        stop_us = start_us + DAY_US
        table = minutes_of(harness.network, scene, start_us, stop_us, scan_s=scan_s, tags=tags)
        for c, model in harness.monitors.items():
            sums = table.amount, table.covered_s, table.last
            states[c], detections = detect(model, states[c], *sums)
            count[c] += len(detections)
    return count


def quiet_memory(harness: Harness, hours: float, component: str = "chlorine") -> MonitorState:
    """Return the memory of a monitor at the start, after some hours without an event."""
    before, scene = round(hours * 60), scene_of(harness, "normal")
    start_us = harness.start_us - before * MINUTE_US
    memory = begin_monitor(harness.monitors[component], start_us)
    return run_monitor(harness, scene, memory, before, component=component)[0]
