"""Columns of samples, and their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twin.arrays import F64, I64, U8, Columns


@dataclass(frozen=True, slots=True)
class Samples(Columns):
    """Columns of samples, (n,): tag index, time, SI value, quality, time of receipt."""

    tag: I64
    time_us: I64
    value: F64
    quality: U8
    received_us: I64


@dataclass(frozen=True, slots=True)
class Sorted:
    """Samples by tag, then time, each once; and those that a later one supersedes."""

    samples: Samples
    superseded: Samples
    superseded_by: I64  # time of receipt of the later one
    duplicates: int


def no_samples() -> Samples:
    """Return columns without a sample."""
    nothing = np.zeros(0, np.int64)
    return Samples(nothing, nothing, np.zeros(0), np.zeros(0, np.uint8), nothing)


def concatenate(*parts: Samples) -> Samples:
    """Return samples one after the other."""
    return Samples(*(np.concatenate([getattr(p, n) for p in parts]) for n in Samples.__slots__))


def sort(samples: Samples) -> Sorted:
    """Return samples by tag, then time; at equal tag and time the last to arrive wins."""
    # Sort is stable so that equal times keep the order of arrival.
    samples = samples.take(np.lexsort((samples.time_us, samples.tag)))
    same = (samples.tag[1:] == samples.tag[:-1]) & (samples.time_us[1:] == samples.time_us[:-1])
    if not same.any():
        return Sorted(samples, samples.take(slice(0, 0)), np.zeros(0, np.int64), 0)
    beaten = np.append(same, False)
    value, later = samples.value[:-1], samples.value[1:]
    equal = (value == later) | (np.isnan(value) & np.isnan(later))
    equal &= samples.quality[:-1] == samples.quality[1:]
    superseded = np.append(same & ~equal, False)
    return Sorted(
        samples.take(~beaten),
        samples.take(superseded),
        samples.received_us[np.flatnonzero(superseded) + 1],
        int(beaten.sum() - superseded.sum()),
    )
