"""A stage for scenarios: a park, its instruments, and the twin's watch over them, in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simulators.instruments.faults import Scene, show
from simulators.instruments.sensors import make_sensors
from simulators.process.process import make_process
from simulators.scenarios.overlay import lay_over
from simulators.scenarios.script import load_script
from simulators.scoring.pipeline import minutes_of
from twin.accounts.network import Network, compile_network
from twin.arrays import I64, MINUTE_US
from twin.reconciliation.monitor import advance, no_memory
from twin.reconciliation.monitored import Watch, compile_watch

if TYPE_CHECKING:
    from simulators.instruments.sensors import Sensors
    from simulators.process.process import Process
    from twin.model.park import Park
    from twin.reconciliation.monitor import Memory, Naming

SCAN_S = 20.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A park with the instruments of a seed, and when its scenarios begin."""

    process: Process
    sensors: Sensors
    network: Network
    watch: Watch
    start_us: int

    @property
    def park(self) -> Park:
        """The model."""
        return self.process.plant.park


def make_stage(park: Park, seed: int, start_us: int) -> Stage:
    """Return the stage of a seed."""
    process, network = make_process(park, seed), compile_network(park)
    watch = compile_watch(network, park.id, "chlorine")
    return Stage(process, make_sensors(process, seed), network, watch, start_us)


def scene_of(stage: Stage, name: str, *, tag: str = "") -> Scene:
    """Return a scenario on the stage; with a tag, its faults of instruments are of that one."""
    script = load_script(name, stage.park)
    if tag:
        scope = next(t.scope for t in stage.park.tags if t.address == tag)
        events = tuple(replace(event, tag=tag, scope=scope) for event in script.events)
        script = replace(script, events=events)
    return Scene(stage.sensors, lay_over(stage.process, script, stage.start_us))


def moved(scene: Scene, origin_us: int) -> Scene:
    """Return a scene that only has faults of instruments, beginning at another time."""
    assert not scene.overlay.script.at("process"), "the process has a course of its own"
    return replace(scene, overlay=replace(scene.overlay, origin_us=origin_us))


def watched_tags(stage: Stage) -> I64:
    """Return the tags the watch over chlorine looks at."""
    tanks = stage.network.tank_tag[stage.watch.tanks]
    return np.unique(np.concatenate([stage.watch.balance.tags, tanks]))


def watch_on(
    stage: Stage, scene: Scene, memory: Memory, minutes: int, *, scan_s: float = SCAN_S
) -> tuple[Memory, list[Naming]]:
    """Let the watch go on for some minutes."""
    table = minutes_of(
        stage.network,
        partial(show, scene),
        memory.time_us,
        memory.time_us + minutes * MINUTE_US,
        scan_s=scan_s,
        tags=watched_tags(stage),
    )
    return advance(stage.watch, memory, table.amount, table.covered_s, table.last)


def learnt(stage: Stage, hours: float) -> Memory:
    """Return the memory of the watch at the start, after some hours in which nothing happened."""
    before = round(hours * 60)
    memory = no_memory(stage.watch, stage.start_us - before * MINUTE_US)
    return watch_on(stage, scene_of(stage, "normal"), memory, before)[0]
