"""Faults of instruments: pure functions of seed and time, as the instruments are."""

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
    from simulators.scenarios.script import ScriptEvent


@dataclass(frozen=True, slots=True)
class Scene:
    """The instruments of a park in a scenario: process with its changes, and faults."""

    sensors: Sensors
    overlay: Overlay


def readings(scene: Scene, time_us: I64) -> F64:
    """Return the readings at (n,) int64 [µs]: (n, t) in each tag's uom, NaN = no reading.

    Faults of one tag apply one after the other, in the order of the script.
    """
    value = _faultless(scene, time_us)
    tags = scene.sensors.process.plant.park.tags
    column = {tag.address: t for t, tag in enumerate(tags)}
    since_s = (time_us - scene.overlay.origin_us) / 1e6
    for number, event in enumerate(scene.overlay.script.at("sensor")):
        stays = event.kind in STAYING
        on = (since_s >= event.start_s) & ((since_s < event.stop_s) | stays)
        if on.any():
            t = column[event.tag]
            value[on, t] = _faulty(scene, event, number, t, time_us[on], value[on, t])
    return value


def _faultless(scene: Scene, time_us: I64) -> F64:
    """Return the readings without faults, (n, t) in each tag's uom."""
    return observe(scene.sensors, time_us, state(scene.overlay, time_us).values)


def _faulty(scene: Scene, event: ScriptEvent, number: int, t: int, time_us: I64, value: F64) -> F64:
    """Return the readings of a faulty instrument, (n,) in the tag's uom."""
    tag = scene.sensors.process.plant.park.tags[t]
    origin_us = scene.overlay.origin_us
    start_us = np.array([origin_us + round(event.start_s * 1e6)])
    size = event.size / tag.scale
    off = size + np.zeros(len(value)) if not event.relative else event.size * value
    reading = value
    if event.kind in ("bias", "drift"):
        reading = value + weight(event, (time_us - origin_us) / 1e6) * off
    elif event.kind == "stuck":
        reading = np.full(len(value), _faultless(scene, start_us)[0, t])
    elif event.kind == "spike":
        every_us, lasting_us = round(event.every_s * 1e6), event.lasting_s * 1e6
        turn, since_us = np.divmod(time_us - start_us, every_us)
        first_us = _random_numbers(scene, number, turn) * (every_us - lasting_us)
        reading = value + ((since_us >= first_us) & (since_us < first_us + lasting_us)) * off
    elif event.kind == "dropout":
        reading = np.where(_random_numbers(scene, number, time_us) < event.size, np.nan, value)
    elif event.kind == "quantised":
        reading = np.round(value / size) * size
    elif event.kind == "unit":
        scale, shift = compile_uom(event.uom, tag.quantity)
        reading = (value * tag.scale + tag.shift - shift) / scale
    elif event.kind == "reset":
        reading = value - _faultless(scene, start_us)[0, t]
    elif event.kind == "rollover":
        reading = value % size
    return np.asarray(reading)


def _random_numbers(scene: Scene, number: int, draw: I64) -> F64:
    """Return a number between 0 and 1 for each draw, (n,), independent for each event."""
    draws, inverse = np.unique(draw, return_inverse=True)
    chances = [
        np.random.Generator(
            np.random.Philox(key=scene.sensors.seed, counter=[0, number + 1, 0, int(n)])
        ).random()
        for n in draws
    ]
    return np.array(chances)[inverse]
