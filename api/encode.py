"""From SI columns to what leaves over HTTP: uom, 12 digits, JSON, CSV, Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
from fastapi import Response

from twin.arrays import F64, I64, U8
from twin.series.windows import local

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# A value in uom loses its last bits on the way through SI; 12 digits are more than any meter has.
DIGITS = 12
# Powers of ten up to here are exact in float64, so that the division is rounded only once.
EXACT_POWER = 22
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"


def rounded(value: F64) -> F64:
    """Return values rounded to 12 significant digits; NaN and zero stay."""
    magnitude = np.abs(value)
    known = np.isfinite(value) & (magnitude > 0)
    power = DIGITS - 1 - np.floor(np.log10(np.where(known, magnitude, 1.0))).astype(np.int64)
    up = 10.0 ** np.clip(power, 0, EXACT_POWER)
    down = 10.0 ** np.clip(-power, 0, EXACT_POWER)
    near = np.rint(value * up / down) / up * down
    return np.where(known & (power <= EXACT_POWER), near, value)


def in_uom(si: F64, scale: Any, shift: Any) -> F64:
    """Return SI values in the unit of measure of their tag."""
    return rounded((si - shift) / scale)


def milliseconds(time_us: I64) -> I64:
    """Return times as JSON columns have them."""
    return time_us // 1000


def rfc3339(time_us: int, zone: ZoneInfo) -> str:
    """Return a time with the offset of a zone, to the second or, where it has them, the ms."""
    whole = time_us % 1_000_000 == 0
    return local(time_us, zone).isoformat(timespec="seconds" if whole else "milliseconds")


def json_answer(body: Any) -> Response:
    """Return a JSON answer; numpy arrays are lists, NaN is null."""
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type=JSON)


@dataclass(frozen=True, slots=True)
class Columns:
    """A history in the tag's uom, as it leaves; times in µs."""

    tag: str
    uom: str
    resolution: str
    time_us: I64
    value: F64
    min: F64
    max: F64
    quality: U8


def accepted(accept: str) -> str | None:
    """Return the media type of a history by the client's wish; None when we have none of them."""
    wishes: list[tuple[float, str]] = []
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        name, _, parameters = part.strip().partition(";")
        weight = parameters.strip().removeprefix("q=")
        wishes.append((float(weight) if weight.replace(".", "", 1).isdigit() else 1.0, name))
    ours = {CSV: CSV, ARROW: ARROW, JSON: JSON, "*/*": JSON, "application/*": JSON, "text/*": CSV}
    ours[""] = JSON
    # The sort is stable: of equal wishes the first one named wins.
    for _, name in sorted((each for each in wishes if each[0] > 0), key=lambda wish: -wish[0]):
        if name.strip().lower() in ours:
            return ours[name.strip().lower()]
    return None


def history_answer(columns: Columns, media_type: str) -> Response:
    """Return a history as JSON, CSV or an Arrow stream."""
    if media_type == CSV:
        return _csv(columns)
    if media_type == ARROW:
        return _arrow(columns)
    return json_answer(
        {
            "tag": columns.tag,
            "uom": columns.uom,
            "resolution": columns.resolution,
            "time": milliseconds(columns.time_us),
            "value": columns.value,
            "min": columns.min,
            "max": columns.max,
            "quality": columns.quality,
        }
    )


def _csv(columns: Columns) -> Response:
    count = len(columns.time_us)
    time = np.datetime_as_string(columns.time_us.astype("datetime64[us]"), "ms", timezone="UTC")
    table = pa.table(
        {
            "time": pa.array(time.tolist(), pa.string()),
            "tag": pa.array([columns.tag] * count, pa.string()),
            "value": pa.array(columns.value, from_pandas=True),
            "min": pa.array(columns.min, from_pandas=True),
            "max": pa.array(columns.max, from_pandas=True),
            "uom": pa.array([columns.uom] * count, pa.string()),
            "quality": columns.quality,
        }
    )
    sink = pa.BufferOutputStream()
    options = pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")
    pyarrow.csv.write_csv(table, sink, options)
    name = columns.tag.replace("/", "-").encode("ascii", "replace").decode().replace("?", "_")
    return Response(
        sink.getvalue().to_pybytes(),
        media_type=CSV,
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _arrow(columns: Columns) -> Response:
    facts = {"tag": columns.tag, "uom": columns.uom, "resolution": columns.resolution}
    table = pa.table(
        {
            "time": pa.array(columns.time_us).cast(pa.timestamp("us", tz="UTC")),
            "value": pa.array(columns.value, from_pandas=True),
            "min": pa.array(columns.min, from_pandas=True),
            "max": pa.array(columns.max, from_pandas=True),
            "quality": pa.array(columns.quality),
        },
        metadata=facts,
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW)
