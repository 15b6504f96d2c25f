"""One tag over time in not more points than wanted: mean, min and max of each bucket.

Buckets lie on the grid of their own width, so that they stay where they are when the range moves.
A history leaves as JSON, CSV or an Arrow stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
from fastapi import APIRouter, Header, Query, Response
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from api.answers import (
    Number,
    Uint8,
    formula,
    record,
)
from api.calculation.pool import CalculationRoute
from api.context import AppContext, Context, time_range
from api.encode import json_answer, milliseconds, out
from api.parameters import Address, From, To
from api.problems import RESPONSES, Problem
from api.table import CSV, JSON, attachment, preferred
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
    from twin.model.park import Tag

router = APIRouter(prefix="/api/v1", responses=RESPONSES, route_class=CalculationRoute)


# Up to this range the samples themselves are counted; the hours at the ends would mislead.
PROBE_US = 2 * HOUR_US
BASES = {"minute": MINUTE_US, "hour": HOUR_US}
ARROW = "application/vnd.apache.arrow.stream"
FORMATS = {"json": JSON, "csv": CSV, "arrow": ARROW}
MEDIA_TYPES = {each: each for each in FORMATS.values()} | {"text/*": CSV}
MEDIA_TYPES |= dict.fromkeys(("", "*/*", "application/*"), JSON)
FormatWish = Annotated[
    Literal["json", "csv", "arrow"] | None, Query(description="before the Accept header")
]
FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            CSV: {"schema": {"type": "string"}},
            ARROW: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


class HistoryAnswer(TypedDict):
    """One tag over time in its uom; times in epoch ms."""

    tag: str
    uom: str
    resolution: Annotated[str, Field(description="raw, minute, hour or <seconds>s")]
    time: list[int]
    value: Annotated[
        list[Number],
        formula(
            "samples, or of each bucket the time-weighted mean of a gauge, the last value of others"
        ),
    ]
    min: Annotated[list[Number], formula("least value of each bucket")]
    max: Annotated[list[Number], formula("greatest value of each bucket")]
    quality: list[Uint8]


class HistoryList(TypedDict):
    """Several tags over time, in the order they were asked for."""

    items: list[HistoryAnswer]


@router.get("/history", response_model=HistoryAnswer | HistoryList, responses=FORMS)
async def read_tag_history(
    context: AppContext,
    tag: Annotated[
        list[Address],
        Query(min_length=1, max_length=256, description="tag address; items for several of them"),
    ],
    from_: From = None,
    to: To = None,
    points: Annotated[int, Query(ge=10, le=1_000_000)] = 1_000,
    format: FormatWish = None,  # noqa: A002 - its name in the query
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """Return a tag over time, raw when it fits into `points`, else mean, min and max of buckets."""
    context.require_image()
    media_type = FORMATS[format] if format else preferred(accept, MEDIA_TYPES)
    if media_type is None:
        raise Problem(
            406,
            f"a history is not to be had as {accept}",
            hint=f"{JSON}, {CSV} or {ARROW}",
        )
    context.require_limit("points", points, "history_points_max", "points", "fewer of them")
    context.require_limit("tag", len(tag), "history_tags_max", "tags", "several requests")
    from_us, until_us = time_range(context.now_us(), from_, to)
    days = (until_us - from_us) / DAY_US
    context.require_limit("from", days, "history_days_max", "days", "a shorter range")
    histories = []
    for address in tag:
        row, tag_id = context.find_series(address)
        read = await read_history(context, row, tag_id, from_us, until_us, points)
        histories.append((row, *read))
    return history_answer(histories, media_type)


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one tag, SI, (n,)."""

    time_us: I64
    value: F64
    min: F64
    max: F64
    quality: U8


async def read_history(
    context: Context, tag: Tag, tag_id: int, from_us: int, until_us: int, points: int
) -> tuple[str, Series]:
    """Return resolution and at most `points` points of a tag with its id in the database.

    They are raw when they fit, else made of samples, minutes or hours; raises StoreError.
    """
    settings, store = context.settings, context.store
    span_us = until_us - from_us
    # Buckets of hours and more are made of hours.
    by_hours = span_us >= points * HOUR_US
    most = points if by_hours else settings.raw_rows_max
    few = span_us <= PROBE_US or await store.sample_count(tag_id, from_us, until_us) <= most
    gauge = tag.kind == "gauge"
    if few:
        limit = settings.raw_rows_max
        rows = await store.samples(tag_id, from_us, until_us, limit + 1)
        count = len(rows["time_us"])
        if count <= points:
            value = rows["value"]
            return "raw", Series(rows["time_us"], value, value, value, rows["quality"])
        if count <= limit:
            step_us = step(span_us, points, 1_000 if span_us < points * SECOND_US else SECOND_US)
            gap_us = context.gap_us(tag.address)
            series = bucket_samples(rows, until_us, step_us, gap_us, gauge=gauge)
            return f"{step_us / SECOND_US:g}s", series
    by_minutes = not by_hours and span_us <= settings.minute_days_max * DAY_US
    table = "minute" if by_minutes else "hour"
    base_us = BASES[table]
    rows = await store.series(table, tag_id, from_us // base_us * base_us, until_us)
    step_us = step(span_us, points, base_us)
    series = bucket_rollups(rows, step_us, base_us, gauge=gauge)
    return table if step_us == base_us else f"{step_us // SECOND_US}s", series


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
    begin = bucket[start] * step_us
    low, high = np.fmin.reduceat(good, start), np.fmax.reduceat(good, start)
    if gauge:
        hold = np.minimum(np.append(time_us[1:], max(to_us, time_us[-1])) - time_us, gap_us)
        hold = np.where(usable, hold, 0)
        mean = _held_mean(time_us, good, hold, begin, np.minimum(begin + step_us, to_us))
        # What is held from before belongs to the bucket as well.
        held = np.roll(np.where(usable, time_us + hold, 0), 1)[start] > begin
        before = np.where(held & (start > 0), np.roll(good, 1)[start], np.nan)
        low, high = np.fmin(low, before), np.fmax(high, before)
        result = np.where(np.isnan(mean), last_known(good, start), mean)
    else:
        result = last_known(good, start)
    hole = np.add.reduceat((~usable).astype(np.int64), start) > 0
    return Series(begin, result, low, high, _grade(quality, usable, hole, start))


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


def _held_mean(time_us: I64, value: F64, hold_us: I64, begin: I64, end: I64) -> F64:
    """Return the mean over [begin, end) of values that hold for a while; NaN where none does."""
    known = ~np.isnan(value)
    # Deviations from the mean, so that what is constant stays exactly constant.
    middle = float(value[known].mean()) if known.any() else 0.0
    part = np.where(known, value - middle, 0.0) * hold_us
    zero = int(time_us[0])
    knots = np.stack([time_us - zero, time_us - zero + hold_us], axis=1).ravel()
    ends = np.stack([begin - zero, end - zero])

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


def history_answer(histories: list[tuple[Tag, str, Series]], media_type: str) -> Response:
    """Return the histories of one or more tags in their uoms as JSON, CSV or an Arrow stream."""
    if media_type == JSON:
        items = [_history(*each) for each in histories]
        return json_answer(items[0] if len(items) == 1 else {"items": items})
    tables = [_table(*each) for each in histories]
    return _csv(tables) if media_type == CSV else _arrow(tables)


def _history(tag: Tag, resolution: str, series: Series) -> HistoryAnswer:
    columns = {name: column.tolist() for name, column in _columns(tag, series).items()}
    time = milliseconds(series.time_us).tolist()
    facts = {"tag": tag.address, "uom": tag.uom, "resolution": resolution}
    return record(HistoryAnswer, facts | columns, time=time)


def _columns(tag: Tag, series: Series) -> dict[str, NDArray[Any]]:
    uom = (tag.scale, tag.shift)
    values = {name: out(getattr(series, name), uom) for name in ("value", "min", "max")}
    return {**values, "quality": series.quality}


def _table(tag: Tag, resolution: str, series: Series) -> pa.Table:
    arrays = {name: pa.array(c, from_pandas=True) for name, c in _columns(tag, series).items()}
    time = pa.array(series.time_us).cast(pa.timestamp("us", tz="UTC"))
    facts = {"tag": tag.address, "uom": tag.uom, "resolution": resolution}
    return pa.table({"time": time, **arrays}, metadata=facts)


def _named(table: pa.Table) -> pa.Table:
    """Return a history with the facts about it as columns."""
    facts = {name.decode(): text.decode() for name, text in table.schema.metadata.items()}
    for name in ("tag", "uom"):
        table = table.append_column(name, pa.array([facts[name]] * len(table), pa.string()))
    return table.replace_schema_metadata(None)


def _csv(tables: list[pa.Table]) -> Response:
    table = pa.concat_tables([_named(each) for each in tables])
    time = np.datetime_as_string(table["time"].to_numpy(), "ms", timezone="UTC")
    table = table.set_column(0, "time", pa.array(time.tolist(), pa.string()))
    table = table.select(["time", "tag", "value", "min", "max", "uom", "quality"])
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    pyarrow.csv.write_csv(table, sink, options)
    name = tables[0].schema.metadata[b"tag"].decode() if len(tables) == 1 else "history"
    headers = {"Content-Disposition": attachment(f"{name.replace('/', '-')}.csv")}
    return Response(sink.getvalue().to_pybytes(), media_type=CSV, headers=headers)


def _arrow(tables: list[pa.Table]) -> Response:
    table = tables[0] if len(tables) == 1 else pa.concat_tables([_named(each) for each in tables])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)
