"""NEM12: days of interval data as Australian metering data providers send them.

Record 200 says meter, register, unit of measure and length of the intervals; each record 300 after
it is a day [1]_. A row is made of each interval, as its mean rate.

References
----------
.. [1] AEMO, Meter Data File Format Specification NEM12 & NEM13, section 4: interval metering data.
"""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from twin import quality as q

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["time", "tag", "value", "uom", "quality"]
DAY_MIN = 1440
# The first letter of a quality method, as codes of ours.
QUALITIES = {
    "A": q.GOOD,
    "S": q.UNCERTAIN | q.SUBSTITUTED,
    "F": q.UNCERTAIN | q.SUBSTITUTED,
    "E": q.UNCERTAIN | q.SUBSTITUTED,
    "N": q.BAD | q.NOT_A_NUMBER,
    "V": q.UNCERTAIN,  # of several methods, which records 400 say
}
# Amounts of an interval by the rate they become.
RATES = {"wh": "W", "kwh": "kW", "mwh": "MW", "varh": "var", "kvarh": "kvar", "mvarh": "Mvar"}
NO_RECORD: list[str] = []


def is_nem12(text: str) -> bool:
    """Return whether a text begins like a file of records 100, 200 and 300."""
    return text.startswith(("100,NEM12", "200,")) and "\n300," in text


def days(lines: Iterator[str], misshapen: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the intervals of each day as rows; what is no record of the form is kept out."""
    block: list[str] = NO_RECORD
    day: list[dict[str, Any]] = []
    for record in csv.reader(lines):
        kind = record[0].strip() if record else ""
        if kind == "400" and day:
            _override(day, record, misshapen)
            continue
        if day:
            yield pa.RecordBatch.from_pylist(day, schema=SCHEMA)
            day = []
        if kind == "200":
            block = record
        elif kind == "300":
            rows = _day(block, record)
            day = rows or []
            if rows is None:
                misshapen.append(",".join(record)[:200])
        elif kind not in ("", "100", "500", "900"):
            misshapen.append(",".join(record)[:200])
    if day:
        yield pa.RecordBatch.from_pylist(day, schema=SCHEMA)


SCHEMA = pa.schema([(name, pa.string()) for name in NAMES])


def _day(block: list[str], record: list[str]) -> list[dict[str, Any]] | None:
    """Return the rows of a record 300; None when it does not fit its record 200."""
    try:
        meter, suffix, unit, minutes = block[1], block[4], block[7], int(block[8])
        begin = datetime.strptime(record[1][:8], "%Y%m%d")  # noqa: DTZ007
        count = DAY_MIN // minutes
        quality = str(QUALITIES[record[count + 2].strip()[:1].upper()])
    except (ValueError, IndexError, KeyError, ZeroDivisionError):
        return None
    if minutes < 0 or count * minutes != DAY_MIN:
        return None
    rate = RATES.get(unit.strip().lower())
    rows = []
    for nth, cell in enumerate(record[2 : count + 2]):
        hour, minute = divmod(nth * minutes, 60)
        value = cell.strip() or None
        if rate and value:
            value = _rate(value, minutes)
        rows.append(
            {
                "time": f"{begin:%Y-%m-%d} {hour:02d}:{minute:02d}",
                "tag": f"{meter.strip()} {suffix.strip()}",
                "value": value,
                "uom": rate or unit.strip() or None,
                "quality": quality,
            }
        )
    return rows


def _rate(amount: str, minutes: int) -> str:
    """Return the mean rate per hour of the amount of an interval; what is no number stays."""
    try:
        return repr(float(amount) * 60 / minutes)
    except ValueError:
        return amount


def _override(day: list[dict[str, Any]], record: list[str], misshapen: list[str]) -> None:
    """Give some intervals of a day, numbered from 1, the quality of a record 400."""
    try:
        start, stop = int(record[1]), int(record[2])
        quality = str(QUALITIES[record[3].strip()[:1].upper()])
    except (ValueError, IndexError, KeyError):
        misshapen.append(",".join(record)[:200])
        return
    for row in day[max(start - 1, 0) : stop]:
        row["quality"] = quality
