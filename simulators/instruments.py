"""Instruments: readings of the true state, with noise and faults; pure in seed and time.

The errors are those of the twin (`twin.reconciliation.balances`): a constant part, drawn once for
each instrument, and a part that averages out over the correlation time. May import
`simulators.process` and `simulators.scenarios`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process import disturbances, process
from simulators.scenarios.overlay import Overlay, state
from simulators.scenarios.script import STAYING, weight
from twin.arrays import F64, I64
from twin.reconciliation.uncertainty import random_share
from twin.uom import compile_uom

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulators.process.process import Process
    from simulators.scenarios.script import ScriptEvent
    from twin.model.park import Tag

DECIMALS_MAX = 6
ADC_STEPS = 4096  # resolution of an instrument without a sigma, over its range
COUNTER_S = 0.1  # A counter's last digit is about this much time at its usual rate.
# Noise runs from one draw to the next along a quarter of a circle, so that its variance is always
# 1. With draws π²/16 correlation times apart its mean over a long time has the variance of one draw
# in each correlation time.
KNOT = np.pi**2 / 16


@dataclass(frozen=True, slots=True)
class Sensors:
    """One instrument per tag; numbers in the tag's uom."""

    process: Process
    seed: int
    scale: F64
    shift: F64
    absolute: F64
    relative: F64
    constant: F64  # the constant error, in standard uncertainties
    random: F64  # standard deviation of the noise, in standard uncertainties
    knot_us: I64  # time between two draws of the noise; 0 = one draw for each value
    inverse_step: F64
    register: F64  # (c,) range of a counter, which rolls over at its end


def make_sensors(truth: Process, seed: int) -> Sensors:
    """Compile the instruments of every tag of the model; everything random comes from `seed`."""
    tags = truth.plant.park.tags
    scale = np.array([t.scale for t in tags])
    shift = np.array([t.shift for t in tags])
    absolute, relative = np.zeros(len(tags)), np.zeros(len(tags))
    for i, tag in enumerate(tags):
        if tag.kind != "state" and tag.sigma:
            share = tag.sigma.endswith("%")
            (relative if share else absolute)[i] = float(tag.sigma.rstrip("% ")) / (
                100.0 if share else 1.0
            )
    usual = np.abs((truth.plant.base - shift) / scale)
    span = np.nan_to_num(np.array([(t.high - t.low) / t.scale for t in tags])) / ADC_STEPS
    fine = np.where(absolute + relative > 0, (absolute + relative * usual) / 2, span)
    fine[truth.plant.counters] = (
        truth.table[-1] / disturbances.WEEK_S * COUNTER_S / scale[truth.plant.counters]
    )
    decimals = -np.floor(np.log10(np.maximum(fine, 10.0**-DECIMALS_MAX)))
    constant, noise = np.array([_parts(tag) for tag in tags]).reshape(-1, 2).T
    rng = _generator(seed, 0, 0, 1, 0)
    correlation_s = np.array([random_share(tag)[1] for tag in tags])
    return Sensors(
        truth,
        seed,
        scale,
        shift,
        absolute,
        relative,
        rng.standard_normal(len(tags)) * np.sqrt(constant),
        np.sqrt(noise),
        np.round(correlation_s * KNOT * 1e6).astype(np.int64),
        10 ** np.maximum(decimals, 0.0),
        np.array([tag.high / tag.scale for tag in tags])[truth.plant.counters],
    )


def _parts(tag: Tag) -> tuple[float, float]:
    """Return the parts [1] of the variance that are constant and noise."""
    share = random_share(tag)[0]
    if tag.source == "manual":
        return 0.0, 0.0
    if tag.kind == "counter":
        # Noise of the rate of a counter averages out within the hour.
        return 1 - share, 0.0
    # An instrument without a constant part is all noise.
    return (1 - share, share) if share else (0.0, 1.0)


def observe(sensors: Sensors, time_us: I64, truth: F64 | None = None) -> F64:
    """Return the readings at (n,) int64 [µs]: (n, t) in each tag's uom.

    `truth` is the state, (n, t) in SI; by default that of the undisturbed process.
    """
    if truth is None:
        truth = _at_meters(sensors, time_us, lambda at: process.state(sensors.process, at).values)
    true = (truth - sensors.shift) / sensors.scale
    error = sensors.constant + sensors.random * _noise(sensors, time_us)
    reading = true + error * (sensors.absolute + sensors.relative * np.abs(true))
    digits = reading * sensors.inverse_step
    counters = sensors.process.plant.counters
    digits[:, counters] = np.floor(digits[:, counters])
    reading = np.round(digits) / sensors.inverse_step
    limited = np.isfinite(sensors.register)
    reading[:, counters[limited]] %= sensors.register[limited]
    return np.asarray(reading)


def _at_meters(sensors: Sensors, time_us: I64, values: Callable[[I64], F64]) -> F64:
    """Return the truth where the meters are, (n, t) [SI]: behind what holds a stream up.

    A stream with a hold-up time goes through pipes and vessels in it, and reaches its meter later.
    """
    park, truth = sensors.process.plant.park, values(time_us)
    column = {tag.address: t for t, tag in enumerate(park.tags)}
    late: dict[float, list[int]] = {}
    for stream in park.streams:
        if stream.flow and stream.hold_up_s > 0:
            late.setdefault(stream.hold_up_s, []).append(column[stream.flow])
    for held_s, columns in late.items():
        truth[:, columns] = values(time_us - round(held_s * 1e6))[:, columns]
    return truth


def _noise(sensors: Sensors, time_us: I64) -> F64:
    """Return noise of variance 1, (n, t)."""
    noise = np.zeros((len(time_us), len(sensors.scale)))
    for knot_us in np.unique(sensors.knot_us).tolist():
        at = np.flatnonzero((sensors.knot_us == knot_us) & (sensors.random > 0))
        # A draw belongs to a time: a sample does not depend on the start of a run.
        if not knot_us:
            noise[:, at] = _draws(sensors.seed, 0, time_us, len(at))
            continue
        knot, since_us = np.divmod(time_us, knot_us)
        knots, inverse = np.unique(np.concatenate([knot, knot + 1]), return_inverse=True)
        draws = _draws(sensors.seed, knot_us, knots, len(at))
        angle = np.pi / 2 * (since_us / knot_us)[:, None]
        before, after = np.split(inverse, 2)
        noise[:, at] = np.cos(angle) * draws[before] + np.sin(angle) * draws[after]
    return noise


def _draws(seed: int, stream: int, number: I64, count: int) -> F64:
    """Return `count` normal deviates for each number of a random stream, (n, count)."""
    if not len(number):
        return np.zeros((0, count))
    # Streams of knots lie apart from that of the constants, 1, by the length of their knots.
    return np.stack([_generator(seed, 0, 0, stream, int(n)).standard_normal(count) for n in number])


def _generator(seed: int, *counter: int) -> np.random.Generator:
    """Return the random generator of a seed at one of its counters."""
    return np.random.Generator(np.random.Philox(key=seed, counter=list(counter)))


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
    truth = _at_meters(scene.sensors, time_us, lambda at: state(scene.overlay, at).values)
    return observe(scene.sensors, time_us, truth)


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
    seed = scene.sensors.seed
    chances = [_generator(seed, 0, number + 1, 0, int(n)).random() for n in draws]
    return np.array(chances)[inverse]
