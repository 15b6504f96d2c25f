"""What the instruments say: truth, noise of the tag's sigma, resolution. Pure in (seed, time)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators import process, waves

if TYPE_CHECKING:
    from simulators.process import Process
    from simulators.waves import F64, I64

DECIMALS_MAX = 6
ADC_STEPS = 4096  # resolution of an instrument without a sigma, over its range
COUNTER_S = 0.1  # A counter's last digit is about this much time at its usual rate.


@dataclass(frozen=True, slots=True)
class Sensors:
    """One instrument per tag; numbers in the tag's uom."""

    process: Process
    seed: int
    scale: F64
    shift: F64
    absolute: F64
    relative: F64
    inverse_step: F64


def make_sensors(truth: Process, seed: int) -> Sensors:
    """Return the instruments of every tag of the model."""
    tags = truth.plant.park.tags
    scale = np.array([t.scale for t in tags])
    shift = np.array([t.shift for t in tags])
    absolute, relative = np.zeros(len(tags)), np.zeros(len(tags))
    for i, tag in enumerate(tags):
        if tag.kind == "gauge" and tag.sigma:
            share = tag.sigma.endswith("%")
            (relative if share else absolute)[i] = float(tag.sigma.rstrip("% ")) / (
                100.0 if share else 1.0
            )
    usual = np.abs((truth.plant.base - shift) / scale)
    span = np.nan_to_num(np.array([(t.high - t.low) / t.scale for t in tags])) / ADC_STEPS
    fine = np.where(absolute + relative > 0, (absolute + relative * usual) / 2, span)
    fine[truth.plant.counters] = (
        truth.table[-1] / waves.WEEK_S * COUNTER_S / scale[truth.plant.counters]
    )
    decimals = -np.floor(np.log10(np.maximum(fine, 10.0**-DECIMALS_MAX)))
    return Sensors(truth, seed, scale, shift, absolute, relative, 10 ** np.maximum(decimals, 0.0))


def observe(sensors: Sensors, time_us: I64) -> F64:
    """Return what the instruments show at (n,) int64 [µs]: (n, t) in each tag's uom."""
    truth = (process.state(sensors.process, time_us).values - sensors.shift) / sensors.scale
    # One counter block of the generator per time: a sample does not depend on where a run began.
    noise = np.stack(
        [
            np.random.Generator(
                np.random.Philox(key=sensors.seed, counter=[0, 0, 0, int(t)])
            ).standard_normal(truth.shape[1])
            for t in time_us
        ]
    )
    shown = truth + noise * (sensors.absolute + sensors.relative * np.abs(truth))
    digits = shown * sensors.inverse_step
    counters = sensors.process.plant.counters
    digits[:, counters] = np.floor(digits[:, counters])
    return np.asarray(np.round(digits) / sensors.inverse_step)
