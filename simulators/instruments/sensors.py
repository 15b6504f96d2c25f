"""What the instruments say: truth, errors of the tag's sigma, resolution. Pure in (seed, time).

The errors are those the twin reckons with (`twin.reconciliation.balances`): one part stays for
good, drawn once for each instrument, the other averages out over the correlation time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.process import disturbances, process
from twin.arrays import F64, I64
from twin.reconciliation.uncertainty import random_share

if TYPE_CHECKING:
    from simulators.process.process import Process
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
    constant: F64  # the error that stays, in standard uncertainties
    random: F64  # what part of a standard uncertainty the noise is
    knot_us: I64  # time between two draws of the noise; 0 = every value has its own
    inverse_step: F64
    register: F64  # (c,) what a counter can show; it begins again there


def make_sensors(truth: Process, seed: int) -> Sensors:
    """Return the instruments of every tag of the model."""
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
    stays, noise = np.array([_parts(tag) for tag in tags]).reshape(-1, 2).T
    drawn = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 1, 0]))
    correlation_s = np.array([random_share(tag)[1] for tag in tags])
    return Sensors(
        truth,
        seed,
        scale,
        shift,
        absolute,
        relative,
        drawn.standard_normal(len(tags)) * np.sqrt(stays),
        np.sqrt(noise),
        np.round(correlation_s * KNOT * 1e6).astype(np.int64),
        10 ** np.maximum(decimals, 0.0),
        np.array([tag.high / tag.scale for tag in tags])[truth.plant.counters],
    )


def _parts(tag: Tag) -> tuple[float, float]:
    """Return what parts of the variance stay and are noise."""
    share = random_share(tag)[0]
    if tag.kind == "counter":
        # A register only ever counts on: noise of its rate would be gone within the hour.
        return 1 - share, 0.0
    # An instrument of which nothing is said to stay is all noise.
    return (1 - share, share) if share else (0.0, 1.0)


def observe(sensors: Sensors, time_us: I64, truth: F64 | None = None) -> F64:
    """Return what the instruments show at (n,) int64 [µs]: (n, t) in each tag's uom.

    `truth` is what there is to see, (n, t) in SI; the undisturbed process without it.
    """
    if truth is None:
        truth = process.state(sensors.process, time_us).values
    true = (truth - sensors.shift) / sensors.scale
    error = sensors.constant + sensors.random * _noise(sensors, time_us)
    shown = true + error * (sensors.absolute + sensors.relative * np.abs(true))
    digits = shown * sensors.inverse_step
    counters = sensors.process.plant.counters
    digits[:, counters] = np.floor(digits[:, counters])
    shown = np.round(digits) / sensors.inverse_step
    ends = np.isfinite(sensors.register)
    shown[:, counters[ends]] %= sensors.register[ends]
    return np.asarray(shown)


def _noise(sensors: Sensors, time_us: I64) -> F64:
    """Return noise of variance 1, (n, t)."""
    noise = np.zeros((len(time_us), len(sensors.scale)))
    for knot_us in np.unique(sensors.knot_us).tolist():
        at = np.flatnonzero((sensors.knot_us == knot_us) & (sensors.random > 0))
        # What is drawn belongs to a time: a sample does not depend on where a run began.
        if not knot_us:
            noise[:, at] = _draws(sensors.seed, 0, time_us, len(at))
            continue
        knot, since_us = np.divmod(time_us, knot_us)
        knots, place = np.unique(np.concatenate([knot, knot + 1]), return_inverse=True)
        drawn = _draws(sensors.seed, knot_us, knots, len(at))
        angle = np.pi / 2 * (since_us / knot_us)[:, None]
        before, behind = np.split(place, 2)
        noise[:, at] = np.cos(angle) * drawn[before] + np.sin(angle) * drawn[behind]
    return noise


def _draws(seed: int, stream: int, number: I64, count: int) -> F64:
    """Return `count` normal deviates for each number of a stream: (n, count)."""
    if not len(number):
        return np.zeros((0, count))
    # Streams of knots lie apart from that of the constants, 1, by the length of their knots.
    return np.stack(
        [
            np.random.Generator(
                np.random.Philox(key=seed, counter=[0, 0, stream, int(n)])
            ).standard_normal(count)
            for n in number
        ]
    )
