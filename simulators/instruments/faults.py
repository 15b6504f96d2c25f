"""Faults of instruments: what they show instead. Pure in (seed, time), as the instruments are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.instruments.sensors import observe
from simulators.scenarios.overlay import Overlay, state
from simulators.scenarios.script import STAYING, weight
from twin.arrays import F64, I64
from twin.uom import compile_uom

if TYPE_CHECKING:
    from simulators.instruments.sensors import Sensors
    from simulators.scenarios.script import Event


@dataclass(frozen=True, slots=True)
class Scene:
    """The instruments in a scenario: the process with its changes, and the faults."""

    sensors: Sensors
    overlay: Overlay


def show(scene: Scene, time_us: I64) -> F64:
    """Return what the instruments show at (n,) int64 [µs]: (n, t) in each tag's uom; NaN = nothing.

    Faults of one tag add up in the order of the script.
    """
    shown = _sound(scene, time_us)
    tags = scene.sensors.process.plant.park.tags
    column = {tag.address: t for t, tag in enumerate(tags)}
    since_s = (time_us - scene.overlay.origin_us) / 1e6
    for number, event in enumerate(scene.overlay.script.at("sensor")):
        stays = event.kind in STAYING
        on = (since_s >= event.start_s) & ((since_s < event.stop_s) | stays)
        if on.any():
            t = column[event.tag]
            shown[on, t] = _wrong(scene, event, number, t, time_us[on], shown[on, t])
    return shown


def _sound(scene: Scene, time_us: I64) -> F64:
    """Return what the instruments would show without a fault."""
    return observe(scene.sensors, time_us, state(scene.overlay, time_us).values)


def _wrong(scene: Scene, event: Event, number: int, t: int, time_us: I64, value: F64) -> F64:
    """Return what a faulty instrument shows, (n,)."""
    tag = scene.sensors.process.plant.park.tags[t]
    origin_us = scene.overlay.origin_us
    start_us = np.array([origin_us + round(event.start_s * 1e6)])
    size = event.size / tag.scale
    off = size + np.zeros(len(value)) if not event.relative else event.size * value
    found = value
    if event.kind in ("bias", "drift"):
        found = value + weight(event, (time_us - origin_us) / 1e6) * off
    elif event.kind == "stuck":
        found = np.full(len(value), _sound(scene, start_us)[0, t])
    elif event.kind == "spike":
        every_us, lasting_us = round(event.every_s * 1e6), event.lasting_s * 1e6
        turn, since_us = np.divmod(time_us - start_us, every_us)
        first_us = _chances(scene, number, turn) * (every_us - lasting_us)
        found = value + ((since_us >= first_us) & (since_us < first_us + lasting_us)) * off
    elif event.kind == "dropout":
        found = np.where(_chances(scene, number, time_us) < event.size, np.nan, value)
    elif event.kind == "quantised":
        found = np.round(value / size) * size
    elif event.kind == "unit":
        scale, shift = compile_uom(event.uom, tag.quantity)
        found = (value * tag.scale + tag.shift - shift) / scale
    elif event.kind == "reset":
        found = value - _sound(scene, start_us)[0, t]
    elif event.kind == "rollover":
        found = value % size
    return np.asarray(found)


def _chances(scene: Scene, number: int, draw: I64) -> F64:
    """Return a number between 0 and 1 for each draw, (n,), of its own for each event."""
    draws, place = np.unique(draw, return_inverse=True)
    chances = [
        np.random.Generator(
            np.random.Philox(key=scene.sensors.seed, counter=[0, number + 1, 0, int(n)])
        ).random()
        for n in draws
    ]
    return np.array(chances)[place]
