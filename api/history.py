"""One tag over time in not more points than asked for: mean, min and max of each bucket.

Buckets lie on the grid of their own width, so that they stay where they are when the range moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from api.encode import Columns, in_uom
from twin import quality as q
from twin.arrays import (
    BOOL,
    DAY_US,
    F64,
    HOUR_US,
    I64,
    INTP,
    MINUTE_US,
    SECOND_US,
    U8,
    last_known,
    ratio,
    runs,
)

if TYPE_CHECKING:
    from api.context import World
    from twin.model.park import Tag

# Up to here the samples themselves are counted; the hours at the ends would mislead.
PROBE_US = 2 * HOUR_US
BASES = {"minute": MINUTE_US, "hour": HOUR_US}


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one tag, SI, (n,)."""

    time_us: I64
    value: F64
    min: F64
    max: F64
    quality: U8


async def read_history(
    world: World, tag: Tag, tag_id: int, gap_us: int, from_us: int, to_us: int, points: int
) -> Columns:
    """Return the history of a tag: raw when it fits, else from samples, minutes or hours."""
    settings, store = world.settings, world.store
    span_us = to_us - from_us
    few = (
        span_us <= PROBE_US
        or await store.sample_count(tag_id, from_us, to_us) <= settings.raw_rows_max
    )
    gauge = tag.kind == "gauge"
    if few:
        limit = settings.raw_rows_max
        rows = await store.samples(tag_id, from_us, to_us, limit + 1)
        count = len(rows["time_us"])
        if count <= points:
            value = rows["value"]
            raw = Series(rows["time_us"], value, value, value, rows["quality"])
            return _columns(tag, "raw", raw)
        if count <= limit:
            step_us = step(span_us, points, 1_000 if span_us < points * SECOND_US else SECOND_US)
            series = bucket_samples(rows, to_us, step_us, gap_us, gauge=gauge)
            return _columns(tag, f"{step_us / SECOND_US:g}s", series)
    table = "minute" if span_us <= settings.minute_days_max * DAY_US else "hour"
    base_us = BASES[table]
    rows = await store.series(table, tag_id, from_us // base_us * base_us, to_us)
    step_us = step(span_us, points, base_us)
    series = bucket_rollups(rows, step_us, base_us, gauge=gauge)
    whole = step_us == base_us
    return _columns(tag, table if whole else f"{step_us // SECOND_US}s", series)


def _columns(tag: Tag, resolution: str, series: Series) -> Columns:
    def shown(si: F64) -> F64:
        return in_uom(si, tag.scale, tag.shift)

    return Columns(
        tag.address, tag.uom, resolution, series.time_us,
        shown(series.value), shown(series.min), shown(series.max), series.quality,
    )  # fmt: skip


def step(span_us: int, points: int, base_us: int) -> int:
    """Return the width of a bucket, a multiple of `base_us`, for at most `points` of them."""
    # A range that does not begin on the grid touches one bucket more.
    wanted = -(-span_us // max(points - 1, 1))
    return max(-(-wanted // base_us), 1) * base_us


def bucket_samples(
    rows: dict[str, NDArray[Any]], to_us: int, step_us: int, gap_us: int, *, gauge: bool
) -> Series:
    """Return buckets of samples: the time-weighted mean of a gauge, the last value of others."""
    time_us, value, quality = rows["time_us"], rows["value"], rows["quality"]
    usable = q.usable(quality) & ~np.isnan(value)
    good = np.where(usable, value, np.nan)
    bucket = time_us // step_us
    start = np.flatnonzero(runs(bucket)[0])
    left = bucket[start] * step_us
    low, high = np.fmin.reduceat(good, start), np.fmax.reduceat(good, start)
    if gauge:
        hold = np.minimum(np.append(time_us[1:], max(to_us, time_us[-1])) - time_us, gap_us)
        hold = np.where(usable, hold, 0)
        mean = _held_mean(time_us, good, hold, left, np.minimum(left + step_us, to_us))
        # What is held from before belongs to the bucket as well.
        held = np.roll(np.where(usable, time_us + hold, 0), 1)[start] > left
        before = np.where(held & (start > 0), np.roll(good, 1)[start], np.nan)
        low, high = np.fmin(low, before), np.fmax(high, before)
        result = np.where(np.isnan(mean), last_known(good, start), mean)
    else:
        result = last_known(good, start)
    hole = np.add.reduceat((~usable).astype(np.int64), start) > 0
    return Series(left, result, low, high, _grade(quality, usable, hole, start))


def bucket_rollups(
    rows: dict[str, NDArray[Any]], step_us: int, base_us: int, *, gauge: bool
) -> Series:
    """Return buckets of minutes or hours: the mean of a gauge, the last value of others."""
    time_us = rows["time_us"]
    if not len(time_us):
        return Series(time_us, rows["min"], rows["min"], rows["max"], rows["quality"])
    phase = int(time_us[0]) % base_us  # local hours of a half-hour time zone
    bucket = (time_us - phase) // step_us
    start = np.flatnonzero(runs(bucket)[0])
    covered_s = np.add.reduceat(rows["covered_s"], start)
    amount = np.add.reduceat(rows["amount"], start)
    mean = ratio(amount, covered_s)
    # Rows at the ends may not be there yet; a hole is what is missing in between.
    final = np.append(start[1:], len(time_us)) - 1
    expected_s = (time_us[final] - time_us[start] + base_us) / SECOND_US
    usable = rows["covered_s"] > 0
    return Series(
        time_us=bucket[start] * step_us + phase,
        value=mean if gauge else last_known(rows["last"], start),
        min=np.fmin.reduceat(rows["min"], start),
        max=np.fmax.reduceat(rows["max"], start),
        quality=_grade(rows["quality"], usable, covered_s < 0.99 * expected_s, start),
    )


def _held_mean(time_us: I64, value: F64, hold_us: I64, left: I64, right: I64) -> F64:
    """Return the mean over [left, right) of values that hold for a while; NaN where none does."""
    known = ~np.isnan(value)
    # Deviations from the mean, so that what is constant stays exactly constant.
    middle = float(value[known].mean()) if known.any() else 0.0
    part = np.where(known, value - middle, 0.0) * hold_us
    zero = int(time_us[0])
    knots = np.stack([time_us - zero, time_us - zero + hold_us], axis=1).ravel()
    ends = np.stack([left - zero, right - zero])

    def between(parts: NDArray[Any]) -> F64:
        total = np.cumsum(parts, dtype=np.float64)
        run = np.stack([total - parts, total], axis=1).ravel()
        at = np.interp(ends, knots, run)
        return np.asarray(at[1] - at[0])

    covered = between(hold_us)
    return np.where(covered > 0, middle + between(part) / np.where(covered > 0, covered, 1), np.nan)


def _grade(quality: U8, usable: BOOL, hole: BOOL, start: INTP) -> U8:
    """Return the worst quality of what was used; not good with a hole, bad without a value."""
    flag = np.uint8(q.SIMULATED)
    worst = q.worst_of(np.where(usable, quality, quality & flag), start)
    torn = q.worse(worst, np.full(len(worst), q.UNCERTAIN | q.INCOMPLETE, np.uint8))
    worst = np.where(hole, torn, worst)
    lost = ~np.logical_or.reduceat(usable, start)
    return np.where(lost, np.uint8(q.NO_DATA) | (worst & flag), worst).astype(np.uint8)
