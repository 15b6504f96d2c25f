"""PostgreSQL's binary COPY format, built and read as one numpy structured array.

References
----------
.. [1] PostgreSQL documentation, COPY, section "Binary Format".
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.arrays import BOOL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# timestamptz counts microseconds from 2000-01-01, we from 1970-01-01.
EPOCH_US = 946_684_800_000_000
# A float8 column in which NaN stands for NULL.
NULLABLE = "float8?"
# Encoded at a time: the server works on the rows before, and memory stays small.
PIECE_ROWS = 16_384
PARAMETER = re.compile(r"\$(\d+)\b")
_WIRE = {NULLABLE: ">f8", "int2": ">i2", "int4": ">i4", "float8": ">f8", "timestamptz": ">i8"}


def row_dtype(types: tuple[str, ...]) -> np.dtype[Any]:
    """Return the layout of one row: its field count, then length and value of each column."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for i, name in enumerate(types):
        fields += [(f"l{i}", ">i4"), (f"v{i}", _WIRE[name])]
    return np.dtype(fields)


def pieces(types: tuple[str, ...], columns: tuple[NDArray[Any], ...]) -> Iterator[bytes]:
    """Yield rows in the binary format, piece by piece; times are int64 µs since 1970."""
    yield HEADER
    for first in range(0, len(columns[0]), PIECE_ROWS):
        yield _rows(types, [column[first : first + PIECE_ROWS] for column in columns])
    yield TRAILER


def _rows(types: tuple[str, ...], columns: Sequence[NDArray[Any]]) -> bytes:
    dtype = row_dtype(types)
    rows = np.empty(len(columns[0]), dtype)
    rows["fields"] = len(types)
    nulls: list[tuple[int, BOOL]] = []
    for i, (name, column) in enumerate(zip(types, columns, strict=True)):
        rows[f"l{i}"] = np.dtype(_WIRE[name]).itemsize
        rows[f"v{i}"] = column - EPOCH_US if name == "timestamptz" else column
        if name == NULLABLE and np.isnan(column).any():
            nulls.append((i, np.isnan(column)))
    return _without(nulls, rows) if nulls else rows.tobytes()


def _without(nulls: list[tuple[int, BOOL]], rows: NDArray[Any]) -> bytes:
    """Return rows in bytes; a NULL has the length -1 and no value."""
    sent = np.ones((len(rows), rows.dtype.itemsize), bool)
    for i, none in nulls:
        rows[f"l{i}"][none] = -1
        value = rows.dtype[f"v{i}"]
        at = rows.dtype.fields[f"v{i}"][1]  # type: ignore[index]
        sent[none, at : at + value.itemsize] = False
    return rows.view(np.uint8).reshape(sent.shape)[sent].tobytes()


async def read(
    connection: Any, types: tuple[str, ...], statement: str, *args: Any
) -> tuple[NDArray[Any], ...]:
    """Return the columns of a query without NULLs; raises what the driver raises."""
    data = bytearray()

    # A coroutine: the driver would hand each piece for a file to another thread.
    async def collect(piece: bytes) -> None:
        data.extend(piece)

    query = inlined(statement, args)
    await connection.copy_from_query(query, output=collect, format="binary")
    return decode(types, data)


def inlined(statement: str, args: Sequence[Any]) -> str:
    """Return a query with its arguments in it, as COPY takes none.

    Of numbers, times, lengths of time and lists of them no character needs quoting. The driver
    would ask the server for types and texts first, which takes longer than most answers.
    """
    return PARAMETER.sub(lambda match: f"'{_text(args[int(match[1]) - 1])}'", statement)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(map(_text, value)) + "}"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f} s"
    assert isinstance(value, int | float), f"{type(value)} has no literal"
    return str(value)


def decode(types: tuple[str, ...], data: bytes | bytearray) -> tuple[NDArray[Any], ...]:
    """Return the columns of rows without NULLs, in native byte order; times are int64 µs."""
    dtype = row_dtype(types)
    count, excess = divmod(len(data) - len(HEADER) - len(TRAILER), dtype.itemsize)
    assert excess == 0, "a column of this query can be NULL"
    rows = np.frombuffer(data, dtype, count, len(HEADER))
    return tuple(
        rows[f"v{i}"].astype(np.dtype(_WIRE[name]).newbyteorder("="))
        + (EPOCH_US if name == "timestamptz" else 0)
        for i, name in enumerate(types)
    )
