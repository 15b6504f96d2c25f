"""The test harness of scenarios: a park, its instruments and the monitor of its balances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simulators.instruments.faults import Scene, readings
from simulators.instruments.sensors import make_sensors
from simulators.process.process import make_process
from simulators.scenarios.overlay import make_overlay
from simulators.scenarios.script import Script, load_script
from simulators.scoring.pipeline import minutes_of
from twin.accounts.network import Network, compile_network
from twin.arrays import I64, MINUTE_US
from twin.reconciliation.detection import begin_monitor, detect
from twin.reconciliation.monitor import MonitorModel, compile_monitor

if TYPE_CHECKING:
    from simulators.instruments.sensors import Sensors
    from simulators.process.process import Process
    from simulators.scenarios.script import ScriptEvent
    from twin.model.park import Park, Tag
    from twin.reconciliation.detection import Detection, MonitorState

SCAN_S = 20.0


@dataclass(frozen=True, slots=True)
class Harness:
    """A park with the instruments of a seed; its scenarios begin at `start_us`."""

    process: Process
    sensors: Sensors
    network: Network
    monitor: MonitorModel
    start_us: int

    @property
    def park(self) -> Park:
        """The park model."""
        return self.process.plant.park


def make_harness(park: Park, seed: int, start_us: int) -> Harness:
    """Compile a park with the plants and instruments of a seed."""
    process, network = make_process(park, seed), compile_network(park)
    monitor = compile_monitor(network, park.id, "chlorine")
    return Harness(process, make_sensors(process, seed), network, monitor, start_us)


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


def monitored_tags(harness: Harness) -> I64:
    """Return the indices of the tags that the monitor of chlorine reads, (u,) int64."""
    tanks = harness.network.tanks.tag[harness.monitor.tanks]
    return np.unique(np.concatenate([harness.monitor.balance.tags, tanks]))


def run_monitor(
    harness: Harness, scene: Scene, memory: MonitorState, minutes: int, *, scan_s: float = SCAN_S
) -> tuple[MonitorState, list[Detection]]:
    """Run the monitor for some minutes; return its memory and its detections."""
    table = minutes_of(
        harness.network,
        partial(readings, scene),
        memory.time_us,
        memory.time_us + minutes * MINUTE_US,
        scan_s=scan_s,
        tags=monitored_tags(harness),
    )
    return detect(harness.monitor, memory, table.amount, table.covered_s, table.last)


def quiet_memory(harness: Harness, hours: float) -> MonitorState:
    """Return the memory of the monitor at the start, after some hours without an event."""
    before = round(hours * 60)
    memory = begin_monitor(harness.monitor, harness.start_us - before * MINUTE_US)
    return run_monitor(harness, scene_of(harness, "normal"), memory, before)[0]
