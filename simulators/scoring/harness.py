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
from simulators.scenarios.script import Script, load_script
from simulators.scoring.pipeline import minutes_of
from twin.accounts.network import Network, compile_network
from twin.arrays import I64, MINUTE_US
from twin.reconciliation.monitor import advance, no_memory
from twin.reconciliation.monitored import Watch, compile_watch

if TYPE_CHECKING:
    from simulators.instruments.sensors import Sensors
    from simulators.process.process import Process
    from simulators.scenarios.script import Event
    from twin.model.park import Park, Tag
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


def scene_of(stage: Stage, name: str) -> Scene:
    """Return a scenario on the stage; raises ModelError where it does not fit the park."""
    return _scene(stage, load_script(name, stage.park), stage.start_us)


def biased(stage: Stage, bias: Event, tag: Tag, start_us: int) -> Scene:
    """Return a scene in which one tag, and nothing else, is wrong by a bias from a time on [µs]."""
    duration_s = bias.stop_s - bias.start_s
    event = replace(bias, tag=tag.address, scope=tag.scope, start_s=0.0, stop_s=duration_s)
    return _scene(stage, Script(bias.id, {}, duration_s, (event,)), start_us)


def _scene(stage: Stage, script: Script, start_us: int) -> Scene:
    return Scene(stage.sensors, lay_over(stage.process, script, start_us))


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
