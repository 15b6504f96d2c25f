"""The way of the samples without broker and database: instruments, assessment, minutes.

What `ingest` does with samples is done here with columns of them, by the same functions of the
twin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from twin import quality as q
from twin.arrays import BOOL, F64, FOREVER, I64, MINUTE_US, NEVER, U8
from twin.series.minutes import Minutes, aggregate, no_open_minutes
from twin.series.samples import Samples, no_samples, sort
from twin.validation.assess import assess, no_memory
from twin.validation.rules import compile_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin.accounts.network import Network
    from twin.model.park import Park

# An assessment asks once for a block of samples what is usual, so a block must not be long.
CHUNK_S = 900.0


@dataclass(frozen=True, slots=True)
class Table:
    """Minutes as a table: W minutes, T tags of a network."""

    start_us: int
    amount: F64  # (W, T) [SI] NaN = no value
    covered_s: F64  # (W, T)
    last: F64  # (W, T) [SI] last value in the minute
    quality: U8  # (W, T) 0 where there is no row
    doubts: dict[tuple[int, int], int]  # tag, reason: when it was first doubted [µs]

    @property
    def edge_us(self) -> I64:
        """The edges of the minutes, (W + 1,) int64 [µs]."""
        return self.start_us + np.arange(len(self.amount) + 1) * MINUTE_US


def in_si(park: Park, shown: F64) -> F64:
    """Return what instruments show, (n, t) in each tag's uom, in SI."""
    scale = np.array([tag.scale for tag in park.tags])
    return np.asarray(shown * scale + np.array([tag.shift for tag in park.tags]))


def samples_of(network: Network, time_us: I64, shown: F64) -> Samples:
    """Return what instruments show, (n, t) in each tag's uom, as samples; NaN is no sample."""
    tags = network.park.tags
    low, high = np.array([tag.low for tag in tags]), np.array([tag.high for tag in tags])
    value = in_si(network.park, shown)
    plain = np.full(value.shape, q.SIMULATED, np.uint8)
    quality = q.within(value, low, high, plain)
    there = np.isfinite(value)
    time = np.broadcast_to(time_us[:, None], value.shape)
    tag = np.broadcast_to(np.arange(len(tags)), value.shape)
    return Samples(tag[there], time[there], value[there], quality[there], time[there])


def minutes_of(
    network: Network,
    show: Callable[[I64], F64],
    start_us: int,
    stop_us: int,
    *,
    scan_s: float,
    tags: I64 | None = None,
) -> Table:
    """Return the minutes of a stretch of time, [start, stop) on the minute.

    Parameters
    ----------
    network : Network
    show : function of (n,) int64 [µs]
        what the instruments show, (n, t) in each tag's uom
    start_us, stop_us : int [µs]
    scan_s : float [s]
        between two scans
    tags : (U,) int64, optional
        only these; the others have no value
    """
    keep = (
        np.arange(len(network.park.tags)) if tags is None else tags[tags < len(network.park.tags)]
    )
    step_us = round(scan_s * 1e6)
    # A counter tells what it has counted with the reading after the end.
    times = np.arange(start_us, stop_us + step_us, step_us, dtype=np.int64)
    open_minutes = no_open_minutes(len(network.tags))
    limits = compile_limits(network.park.tables.get("check", ()), network.tags)
    memory = no_memory(len(network.tags))
    parts, doubts = [], dict[tuple[int, int], int]()
    scans = max(round(CHUNK_S / scan_s), 1)
    for i in range(0, len(times), scans):
        now = times[i : i + scans]
        shown = np.full((len(now), len(network.park.tags)), np.nan)
        shown[:, keep] = show(now)[:, keep]
        samples = sort(samples_of(network, now, shown)).samples
        found = assess(limits, memory, samples)
        memory = found.memory
        samples = replace(samples, quality=found.quality)
        _note(doubts, samples, found.slip)
        # What is known to be in another unit of measure is not stored.
        samples = samples.take(~found.slip)
        parts.append(aggregate(open_minutes, network.traits, samples, NEVER))
    parts.append(aggregate(open_minutes, network.traits, no_samples(), stop_us))
    return table_of(network, parts, start_us, stop_us, doubts)


def _note(doubts: dict[tuple[int, int], int], samples: Samples, slip: BOOL) -> None:
    """Keep the first time at which each tag was doubted for a reason."""
    reason = samples.quality & np.uint8(q.SIMULATED - 1)
    reason = np.where(slip, np.uint8(q.UNIT_SLIP), reason)
    for row in np.flatnonzero((samples.quality >= q.UNCERTAIN) | slip).tolist():
        key = int(samples.tag[row]), int(reason[row])
        doubts[key] = min(doubts.get(key, FOREVER), int(samples.time_us[row]))


def table_of(
    network: Network,
    parts: list[Minutes],
    start_us: int,
    stop_us: int,
    doubts: dict[tuple[int, int], int],
) -> Table:
    """Return rows of minutes as a table."""
    shape = ((stop_us - start_us) // MINUTE_US, len(network.tags))
    amount, last = np.full((2, *shape), np.nan)
    covered_s, quality = np.zeros(shape), np.zeros(shape, np.uint8)
    for rows in parts:
        at = (rows.time_us - start_us) // MINUTE_US
        mine = (at >= 0) & (at < shape[0])
        at, tag = at[mine], rows.tag[mine]
        covered_s[at, tag] = rows.covered_us[mine] * 1e-6
        amount[at, tag] = np.where(rows.covered_us[mine] > 0, rows.amount[mine], np.nan)
        last[at, tag], quality[at, tag] = rows.last[mine], rows.quality[mine]
    return Table(start_us, amount, covered_s, last, quality, doubts)
