"""The derived history: derived values of one cycle, and of all cycles in an interval of the past.

Live cycle and replay are one calculation. The result of a replay depends neither on its beginning
nor on its cuts, once it has warmed up: over as much history as a step remembers (`WARM_UP_US`),
from an image of the samples before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin.arrays import FOREVER, I64, NEVER
from twin.series.samples import Samples, concatenate, no_samples
from twin.step import SLOPE_EVERY_US, SLOPE_US, Memory, step

if TYPE_CHECKING:
    from twin.accounts.network import Network
    from twin.series.image import Image

WARM_UP_US = SLOPE_US + SLOPE_EVERY_US


@dataclass(frozen=True, slots=True)
class Replayed:
    """The derived samples of an interval, by time, and image and memory for the next interval."""

    samples: Samples
    image: Image
    memory: Memory
    steps: int


def derive(network: Network, image: Image, memory: Memory, now_us: int) -> tuple[Samples, Memory]:
    """Return the derived values that changed or are due at one moment, and the next memory.

    Parameters
    ----------
    network : Network
        the compiled park model
    image : Image
        (T or more,) newest sample of each tag of the network, derived ones too
    memory : Memory
        of the step before
    now_us : int [µs]
        the moment, later than the one before

    Returns
    -------
    samples : Samples
        (n,) of derived tags, at `now_us`
    memory : Memory
        for the next moment
    """
    outcome = step(network, memory, image.take(slice(len(network.tags))), now_us)
    tag = np.arange(len(network.tags) - len(network.derived), len(network.tags))
    value, quality = outcome.value, outcome.quality
    known = image.time_us[tag] != NEVER
    same = (value == image.value[tag]) | (np.isnan(value) & np.isnan(image.value[tag]))
    same &= quality == image.quality[tag]
    due = now_us >= _due(image.time_us[tag], network.traits.gap_us[tag])
    moved = np.where(known, ~same | due, ~np.isnan(value))
    # The clock was set back: what is in the image already cannot be written again.
    moved &= now_us > image.time_us[tag]
    at = np.full(int(moved.sum()), now_us)
    return Samples(tag[moved], at, value[moved], quality[moved], at), outcome.memory


def replay(
    network: Network, image: Image, memory: Memory, samples: Samples, cycle_us: I64
) -> Replayed:
    """Return the derived samples that live cycles store when every sample is in time.

    Parameters
    ----------
    network : Network
        the compiled park model
    image, memory : Image, Memory
        at the beginning of the interval; they stay as they are
    samples : Samples
        (n,) of measured tags, in any order, each tag and time once. Those that are not newer than
        the image are left out, and so are those after the last cycle.
    cycle_us : (C,) int64 [µs]
        the moments, ascending; a sample takes part from the first one that is not before it

    Returns
    -------
    Replayed
        derived samples by time, then tag, with the image and memory after the last cycle

    Notes
    -----
    Cycles in which nothing can change are skipped: no sample arrives, none goes stale, no memory
    and no stored value is due. The result is the same, bit by bit, as with a step in each of them.
    """
    image = image.copy()
    samples = samples.take(samples.time_us > image.time_us[samples.tag])
    arrival = np.searchsorted(cycle_us, samples.time_us)
    order = np.lexsort((samples.time_us, samples.tag, arrival))
    samples, arrival = samples.take(order), arrival[order]
    begin = np.searchsorted(arrival, np.arange(len(cycle_us) + 1))
    parts = [no_samples()]
    number = steps = 0
    while number < len(cycle_us):
        now_us = int(cycle_us[number])
        image.update(samples.take(slice(begin[number], begin[number + 1])), network.traits)
        derived, memory = derive(network, image, memory, now_us)
        if len(derived):
            image.update(derived, network.traits)
            parts.append(derived)
        steps += 1
        # The next cycle in which anything can happen.
        wake = int(np.searchsorted(cycle_us, _wake(network, image, memory, now_us)))
        if begin[number + 1] < len(arrival):
            wake = min(wake, int(arrival[begin[number + 1]]))
        number = max(number + 1, wake)
    return Replayed(concatenate(*parts), image, memory, steps)


def _due(time_us: I64, gap_us: I64) -> I64:
    """Return the time at which an unchanged derived value is stored again, before it looks stale.

    It is an edge of the epoch grid and does not depend on the beginning of the history.
    """
    half = np.maximum(gap_us // 2, 1)
    return np.asarray((time_us // half + 1) * half)


def _wake(network: Network, image: Image, memory: Memory, now_us: int) -> int:
    """Return the earliest time after `now_us` at which a step without a new sample may differ."""
    count = len(network.tags)
    measured = count - len(network.derived)
    stale = image.time_us[:measured] + network.traits.gap_us[:measured] + 1
    due = _due(image.time_us[measured:count], network.traits.gap_us[measured:])
    remember = (memory.past_us[-1:] // SLOPE_EVERY_US + 1) * SLOPE_EVERY_US
    times = np.concatenate([stale, due, remember, network.heats.edges_us])
    return int(np.min(times, where=times > now_us, initial=FOREVER))
