"""Slow process disturbances: pure functions of time, bounded, smooth and periodic in one week.

The period closes every integral over time: a counter is whole weeks plus a table of one week.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import DAY_US, F64, I64

EPOCH_US = 1_704_067_200_000_000  # Monday 2024-01-01 00:00 UTC, where counters start at zero.
WEEK_S = 7 * 24 * 3600
WEEK_US = 7 * DAY_US

# Whole cycles per week of each harmonic: of days, of hours, and of about an hour.
BANDS = ((3, 14), (15, 42), (43, 120))
WEIGHTS = (0.6, 0.25, 0.15)


@dataclass(frozen=True, slots=True)
class Disturbances:
    """Disturbances of k signals, each a sum of harmonics of `BANDS` within -1..1; (bands, k)."""

    cycles: F64
    phase: F64
    weight: F64


def make_disturbances(
    rng: np.random.Generator, count: int, bands: int = len(BANDS)
) -> Disturbances:
    """Draw `count` signals with a harmonic in each of the first `bands` bands."""
    cycles = np.stack([rng.integers(low, high + 1, count) for low, high in BANDS[:bands]])
    phase = rng.uniform(0.0, 2 * np.pi, cycles.shape)
    weight = np.array(WEIGHTS[:bands])[:, None]
    return Disturbances(cycles.astype(np.float64), phase, weight / weight.sum())


def week_time(time_us: I64) -> F64:
    """Return the seconds since the last whole week after the epoch, (n,) float64 [s]."""
    return np.asarray(((time_us - EPOCH_US) % WEEK_US) / 1e6)


def value(signals: Disturbances, time_s: F64) -> F64:
    """Return the signals, (n, k) float64 [1], within -1..1."""
    angle = _angle(signals, time_s)
    return np.asarray((signals.weight * np.sin(angle)).sum(axis=1))


def slope(signals: Disturbances, time_s: F64) -> F64:
    """Return the time derivative of the signals, (n, k) float64 [1/s]."""
    omega = 2 * np.pi * signals.cycles / WEEK_S
    return np.asarray((signals.weight * omega * np.cos(_angle(signals, time_s))).sum(axis=1))


def _angle(signals: Disturbances, time_s: F64) -> F64:
    return np.asarray(
        2 * np.pi / WEEK_S * time_s[:, None, None] * signals.cycles[None] + signals.phase[None]
    )


def shift_pattern(starts_s: F64, levels: F64, time_s: F64, ramp_s: float) -> F64:
    """Return a level per shift with smooth hand-overs.

    Parameters
    ----------
    starts_s : (k,) float64 [s]     sorted starts within the week
    levels : (k, m) float64 [1]     level of each shift
    time_s : (n,) float64 [s]       within the week
    ramp_s                          length of a hand-over

    Returns
    -------
    (n, m) float64 [1]
    """
    now = np.searchsorted(starts_s, time_s, side="right") - 1
    since = (time_s - starts_s[now]) % WEEK_S
    part = np.clip(since / ramp_s, 0.0, 1.0)[:, None]
    smooth = part * part * (3 - 2 * part)
    return np.asarray(levels[now - 1] + (levels[now] - levels[now - 1]) * smooth)
