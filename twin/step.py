"""The pure calculation of one cycle: image in, derived values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.accounts.cells import cell_quality, effective_current
from twin.accounts.heat import heat_amounts, heat_quality
from twin.accounts.network import Network, tally
from twin.accounts.tanks import tank_mass, tank_quality
from twin.arrays import F64, I64, MINUTE_US, SECOND_US, U8

if TYPE_CHECKING:
    from twin.series.image import Image

# The rate of an inventory is the slope of a straight line through this much history: level noise on
# a tank farm is worth several tonnes, so two readings a minute apart would show only noise.
SLOPE_US = 30 * MINUTE_US
SLOPE_EVERY_US = 10 * SECOND_US
SLOPE_MIN_US = 10 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Memory:
    """Past inventories that a step hands to the next, (R,) int64 and (R, K) float64 [kg]."""

    mass_us: I64
    mass: F64

    @property
    def span_us(self) -> int:
        """Length of the history [µs]."""
        return int(self.mass_us[-1] - self.mass_us[0]) if len(self.mass_us) else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Derived values of one step, in the order of ``network.derived``; (D,) float64 and uint8."""

    value: F64
    quality: U8
    memory: Memory


def no_memory(network: Network) -> Memory:
    """Return the memory before the first step."""
    return Memory(np.zeros(0, np.int64), np.zeros((0, len(network.tanks.tag))))


def restore(network: Network, time_us: I64, value: F64) -> Memory:
    """Return the memory of past tag values.

    Parameters
    ----------
    network : Network
        the compiled park model
    time_us : (R,) int64 [µs]
        ascending
    value : (R, T) float64 [SI]
        values of the tags at these times; NaN = no value

    Returns
    -------
    Memory
        as after steps at these times
    """
    return Memory(time_us, tank_mass(network.tanks, value))


def step(network: Network, memory: Memory, image: Image, now_us: int) -> Outcome:
    """Return the derived values at `now_us`.

    A derived value is NaN and bad when one of its tags is bad, stale or was never seen.
    """
    usable = q.usable(image.quality) & (now_us - image.time_us <= network.traits.gap_us)
    rate = np.where(usable, image.rate, np.nan)
    known = np.where(usable, image.value, np.nan)
    cells, tag_quality = _cells(network, known, image.quality)
    rate[network.cells.effective], of_tags = cells[0], image.quality.copy()
    of_tags[network.cells.effective] = tag_quality[0]
    heat, doubtful = heat_amounts(network.heats, np.asarray(now_us), rate, known)
    mass = tank_mass(network.tanks, known)
    memory = _remember(memory, mass, now_us)
    signs = network.signs
    column = np.concatenate([tally(network, rate), mass, _slope(memory)])
    # bincount adds in the order of the entries, so that a sum by hand gives the same bits.
    part = column[signs.column] * signs.factor
    scopes = len(network.derived) - cells.size - heat.size
    value = np.concatenate([cells.ravel(), heat, np.bincount(signs.row, part, scopes)])
    tank = tank_quality(network.tanks, image.quality, usable)
    worst = q.worst_of(of_tags[network.entry_tag], network.entry_start)
    quality = q.worst_of(np.concatenate([worst, tank, tank])[signs.column], signs.start)
    hot = heat_quality(network.heats, image.quality, doubtful)
    quality = np.concatenate([tag_quality.ravel(), hot, quality])
    lost = np.uint8(q.NO_DATA) | (quality & np.uint8(q.SIMULATED))
    return Outcome(value, np.where(np.isnan(value), lost, quality), memory)


def _cells(network: Network, value: F64, quality: U8) -> tuple[F64, U8]:
    """Return effective current and current efficiency of analysed cells, (2, C), and quality.

    Without an analysis the efficiency is that of the model, and the quality says so.
    """
    cells = network.cells
    effective, analysed = effective_current(cells, value)
    efficiency = np.where(np.isnan(analysed), cells.usual, analysed)
    mark = cell_quality(cells, quality, analysed)
    return np.stack([effective, efficiency]), np.stack([mark, mark])


def _remember(memory: Memory, mass: F64, now_us: int) -> Memory:
    """Return the memory with this inventory, when the next is due, and without those too old."""
    # Inventories are due on the epoch grid: they do not depend on the beginning of a run.
    if len(memory.mass_us) and now_us // SLOPE_EVERY_US <= memory.mass_us[-1] // SLOPE_EVERY_US:
        return memory
    keep = memory.mass_us > now_us - SLOPE_US
    return Memory(
        np.concatenate([memory.mass_us[keep], [np.int64(now_us)]]),
        np.concatenate([memory.mass[keep], mass[None]]),
    )


def _slope(memory: Memory) -> F64:
    """Return the rate of each inventory [kg/s] by least squares; NaN until there is enough."""
    seconds = (memory.mass_us - memory.mass_us[-1]) * 1e-6
    known = ~np.isnan(memory.mass)
    # The history of a tank lies between its first and its last value.
    first = np.min(np.where(known, seconds[:, None], np.inf), axis=0)
    last = np.max(np.where(known, seconds[:, None], -np.inf), axis=0)
    enough = last - first >= SLOPE_MIN_US * 1e-6
    count = np.maximum(known.sum(axis=0), 1)
    time = np.where(known, seconds[:, None], 0.0)
    time = np.where(known, time - time.sum(axis=0) / count, 0.0)
    spread = (time * time).sum(axis=0)
    slope = (time * np.where(known, memory.mass, 0.0)).sum(axis=0)
    return np.where(enough, slope / np.where(spread > 0, spread, 1.0), np.nan)
