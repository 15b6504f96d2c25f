"""The pure calculation of one cycle: image in, derived values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.accounts.cells import cell_quality, effective_current
from twin.accounts.demand import DEMAND_ROLES, forecast_demand, load_of
from twin.accounts.heat import heat_amounts, heat_quality
from twin.accounts.network import Network, tally
from twin.accounts.tanks import tank_mass, tank_quality
from twin.arrays import BOOL, F64, I64, MINUTE_US, SECOND_US, U8

if TYPE_CHECKING:
    from twin.series.image import Image

# The rate of an inventory is the slope of a straight line through this much history: level noise on
# a tank farm is worth several tonnes, so two readings a minute apart would show only noise.
SLOPE_US = 30 * MINUTE_US
SLOPE_EVERY_US = 10 * SECOND_US
SLOPE_MIN_US = 10 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Memory:
    """Past inventories and loads that a step hands to the next.

    (R,) int64, (R, K) float64 [kg] of the tanks and (R, D) float64 [W] of the incomers.
    """

    past_us: I64
    mass: F64
    load: F64

    @property
    def span_us(self) -> int:
        """Length of the history [µs]."""
        return int(self.past_us[-1] - self.past_us[0]) if len(self.past_us) else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Derived values of one step, in the order of ``network.derived``; (D,) float64 and uint8."""

    value: F64
    quality: U8
    memory: Memory


def no_memory(network: Network) -> Memory:
    """Return the memory before the first step."""
    tanks, scopes = len(network.tanks.tag), len(network.incomers.scopes)
    return Memory(np.zeros(0, np.int64), np.zeros((0, tanks)), np.zeros((0, scopes)))


def restore(network: Network, time_us: I64, value: F64) -> Memory:
    """Return the memory of past tag values.

    Parameters
    ----------
    network : Network
        the compiled park model
    time_us : (R,) int64 [µs]
        ascending
    value : (R, T) float64 [SI]
        values of the tags at these times, of counters their rates; NaN = no value

    Returns
    -------
    Memory
        as after steps at these times
    """
    return Memory(time_us, tank_mass(network.tanks, value), load_of(network.incomers, value))


def step(network: Network, memory: Memory, image: Image, now_us: int) -> Outcome:
    """Return the derived values at `now_us`.

    A derived value is NaN and bad when one of its tags is bad, stale or was never seen.
    """
    usable = q.usable(image.quality) & (now_us - image.time_us <= network.traits.gap_us)
    rate = np.where(usable, image.rate, np.nan)
    known = np.where(usable, image.value, np.nan)
    cells, of_cells = _cells(network, known, image.quality)
    rate[network.cells.effective] = cells[0]
    heat, doubtful = heat_amounts(network.heats, np.asarray(now_us), rate, known)
    mass = tank_mass(network.tanks, known)
    load = load_of(network.incomers, rate)
    memory = _remember(memory, mass, load, now_us)
    demand = np.where(np.isnan(load), np.nan, forecast_demand(memory.past_us, memory.load))
    signs = network.signs
    column = np.concatenate([tally(network, rate), mass, _slope(memory)])
    # bincount adds in the order of the entries, so that a sum by hand gives the same bits.
    part = column[signs.column] * signs.factor
    own = [cells.ravel(), heat, demand.ravel()]
    scopes = len(network.derived) - sum(map(len, own))
    value = np.concatenate([*own, np.bincount(signs.row, part, scopes)])
    quality = _quality(network, image.quality, usable, of_cells, doubtful)
    lost = np.uint8(q.NO_DATA) | (quality & np.uint8(q.SIMULATED))
    return Outcome(value, np.where(np.isnan(value), lost, quality), memory)


def derived_late(network: Network, late: BOOL) -> BOOL:
    """Return which derived tags stand on a tag that is late.

    Parameters
    ----------
    network : Network
        the compiled park model
    late : (T,) bool
        of the measured tags; what it says of derived ones does not count

    Returns
    -------
    (D,) bool
        in the order of ``network.derived``
    """
    quality = np.where(late, np.uint8(q.UNCERTAIN | q.LATE), np.uint8(q.GOOD))
    quality[len(network.park.tags) :] = q.GOOD
    cells = cell_quality(network.cells, quality, np.zeros(len(network.cells.effective)))
    doubtful = np.zeros(len(network.heats.tag), bool)
    mark = _quality(network, quality, q.usable(quality), np.stack([cells, cells]), doubtful)
    return mark >= q.UNCERTAIN


def _quality(network: Network, quality: U8, usable: BOOL, of_cells: U8, doubtful: BOOL) -> U8:
    """Return the quality of the derived tags, (D,), by that of the tags and of the cells (2, C)."""
    of_tags, signs = quality.copy(), network.signs
    of_tags[network.cells.effective] = of_cells[0]
    worst = q.worst_of(of_tags[network.entry_tag], network.entry_start)
    tank = tank_quality(network.tanks, quality, usable)
    of_scopes = q.worst_of(np.concatenate([worst, tank, tank])[signs.column], signs.start)
    hot = heat_quality(network.heats, quality, doubtful)
    taken = q.worst_of(of_tags[network.incomers.tag], network.incomers.start)
    taken = np.tile(taken, len(DEMAND_ROLES))
    return np.concatenate([of_cells.ravel(), hot, taken, of_scopes])


def _cells(network: Network, value: F64, quality: U8) -> tuple[F64, U8]:
    """Return effective current and current efficiency of analysed cells, (2, C), and quality.

    Without an analysis the efficiency is that of the model, and the quality says so.
    """
    cells = network.cells
    effective, analysed = effective_current(cells, value)
    efficiency = np.where(np.isnan(analysed), cells.usual, analysed)
    mark = cell_quality(cells, quality, analysed)
    return np.stack([effective, efficiency]), np.stack([mark, mark])


def _remember(memory: Memory, mass: F64, load: F64, now_us: int) -> Memory:
    """Return the memory with these values, when the next are due, and without those too old."""
    # They are due on the epoch grid: they do not depend on the beginning of a run.
    if len(memory.past_us) and now_us // SLOPE_EVERY_US <= memory.past_us[-1] // SLOPE_EVERY_US:
        return memory
    keep = memory.past_us > now_us - SLOPE_US
    return Memory(
        np.concatenate([memory.past_us[keep], [np.int64(now_us)]]),
        np.concatenate([memory.mass[keep], mass[None]]),
        np.concatenate([memory.load[keep], load[None]]),
    )


def _slope(memory: Memory) -> F64:
    """Return the rate of each inventory [kg/s] by least squares; NaN until there is enough."""
    seconds = (memory.past_us - memory.past_us[-1]) * 1e-6
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
