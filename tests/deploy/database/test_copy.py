"""PostgreSQL's binary COPY format, byte by byte and both ways."""

import struct
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deploy.database.copy import EPOCH_US, HEADER, TRAILER, decode, pieces, read, row_dtype

TYPES = ("timestamptz", "int4", "float8", "int2")
T0 = 1_760_000_000_000_000


def encode(types, columns):
    return b"".join(pieces(types, columns))


def test_one_row_is_what_the_documentation_says():
    got = encode(TYPES, (np.array([T0]), np.array([7]), np.array([36.5]), np.array([96], np.uint8)))
    signature = b"PGCOPY\n\xff\r\n\x00"
    flags, extension = struct.pack(">i", 0), struct.pack(">i", 0)
    row = struct.pack(">hiqiiidih", 4, 8, T0 - 946_684_800_000_000, 4, 7, 8, 36.5, 2, 96)
    assert got == signature + flags + extension + row + struct.pack(">h", -1)


def test_time_of_postgres_begins_with_the_year_2000():
    days = np.datetime64("2000-01-01", "us") - np.datetime64("1970-01-01", "us")
    assert days.astype(np.int64) == EPOCH_US


def test_no_rows_are_header_and_trailer():
    nothing = tuple(np.zeros(0, np.int64) for _ in TYPES)
    assert encode(TYPES, nothing) == HEADER + TRAILER
    assert [len(column) for column in decode(TYPES, HEADER + TRAILER)] == [0, 0, 0, 0]


def test_row_has_no_padding():
    assert row_dtype(TYPES).itemsize == 2 + 4 * 4 + 8 + 4 + 8 + 2


def test_columns_of_different_length_are_a_mistake():
    with pytest.raises(ValueError, match="broadcast"):
        encode(("int4", "int4"), (np.arange(2), np.arange(3)))


@settings(deadline=None)
@given(st.data(), st.integers(0, 20))
def test_what_is_encoded_is_decoded(data, count):
    def draw(dtype, elements):
        return data.draw(arrays(dtype, count, elements=elements))

    columns = (
        draw(np.int64, st.integers(-(2**62), 2**62)),
        draw(np.int64, st.integers(-(2**31), 2**31 - 1)),
        draw(np.float64, st.floats()),
        draw(np.uint8, st.integers(0, 255)),
    )
    got = decode(TYPES, encode(TYPES, columns))
    assert [column.dtype.str for column in got] == ["<i8", "<i4", "<f8", "<i2"]
    for column, back in zip(columns, got, strict=True):
        np.testing.assert_array_equal(back, column)


async def test_arguments_reach_the_server_as_they_are(db):
    china = datetime(2026, 11, 1, 8, 0, 0, 250_000, timezone(timedelta(hours=8)))
    statement = """
        SELECT n::int4, t + $3::interval, x::float8
        FROM unnest($1::int[], $2::timestamptz[]) w(n, t)
        JOIN unnest($4::float8[]) WITH ORDINALITY v(x, at) ON at = n WHERE n < $5 AND t >= $6"""
    args = ([1, 2, 3], [china, china, china], timedelta(days=1, microseconds=1), [0.1, -1e300, 0.0],
            3, china.astimezone(UTC))  # fmt: skip
    number, time_us, value = await read(db, ("int4", "timestamptz", "float8"), statement, *args)
    assert number.tolist() == [1, 2]
    begin_us = round(china.timestamp() * 1e6)
    assert (time_us - begin_us).tolist() == [86_400_000_001] * 2
    assert value.tolist() == [0.1, -1e300]
    assert [
        len(column) for column in await read(db, ("int4",), "SELECT unnest($1::int[])", [])
    ] == [0]
