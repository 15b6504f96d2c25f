"""A demonstration changes its scenario while it runs: the plants go on, the events are others.

Values are a function of time, so that another scenario is another function from now on. What the
former one has done to tanks is undone at the change: the plants are where they usually would be.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, Protocol

from deploy.demonstration import (
    NORMAL,
    OfferedScenario,
    PlayedScenario,
    read_order,
    write_played,
)
from simulators.scenarios.script import load_script, scenario_names
from twin.errors import ParkError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from simulators.instruments import Scene
    from simulators.scenarios.script import Script
    from twin.model.park import Park

POLL_S = 0.5
SOON_S = 3.0  # after an order, until the first event


class Play(NamedTuple):
    """A scenario made ready: its run begins when it is awaited."""

    script: Script
    scene: Scene
    run: Callable[[], Coroutine[None, None, None]]


class Stage(Protocol):
    """What scenarios are made ready on."""

    def check(self, script: Script) -> object:
        """Raise ParkError for a scenario that does not fit."""

    def prepare(self, script: Script, origin_us: int) -> Play:
        """Return a scenario whose times count from `origin_us`."""


async def play(folder: Path, park: Park, first: Play, stage: Stage, now: Callable[[], int]) -> None:
    """Play the first scenario, and others as they are ordered, until the schedule ends."""
    offers = offered(park, stage)
    current, (_, last_us) = first, read_order(folder)
    while True:
        write_played(folder, _played(current, offers))
        run = asyncio.create_task(current.run())
        try:
            order = await _next(folder, run, last_us, {one.id for one in offers})
            if order is None:
                await run
                return
            scenario, last_us = order
            script = load_script(scenario, park).begun_at(SOON_S)
            # The former one runs on meanwhile.
            current = await asyncio.to_thread(stage.prepare, script, now())
        finally:
            run.cancel()
            await asyncio.wait({run})


def offered(park: Park, stage: Stage) -> tuple[OfferedScenario, ...]:
    """Return the scenarios that fit a park and its gateways, the usual run first."""
    offers = []
    for name in scenario_names():
        try:
            script = load_script(name, park)
            stage.check(script)
        except ParkError:
            continue
        offers.append(OfferedScenario(name, script.name.get("zh", ""), script.name.get("en", "")))
    return tuple(sorted(offers, key=lambda one: (one.id != NORMAL, one.id)))


async def _next(
    folder: Path, run: asyncio.Task[None], last_us: int, names: set[str]
) -> tuple[str, int] | None:
    """Return the next order with its time; None when the run has ended before one came."""
    while not run.done():
        scenario, time_us = await asyncio.to_thread(read_order, folder)
        if time_us > last_us and scenario in names:
            return scenario, time_us
        await asyncio.wait({run}, timeout=POLL_S)
    return None


def _played(current: Play, offers: tuple[OfferedScenario, ...]) -> PlayedScenario:
    """Return what is played, with the first and the last moment of its events."""
    script, origin_us = current.script, current.scene.overlay.origin_us
    starts = [event.start_s for event in script.events] or [0.0]
    stops = [min(event.stop_s, script.duration_s) for event in script.events] or [0.0]
    first_us, last_us = (origin_us + round(s * 1e6) for s in (min(starts), max(stops)))
    return PlayedScenario(script.id, first_us, last_us, offers)
