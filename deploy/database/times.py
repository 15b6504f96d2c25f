"""Between numpy columns and the values the database driver takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin.arrays import I64, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# asyncpg takes datetimes; beyond this span everything is clipped to it.
TIME_MIN_US = -2_000_000_000_000_000
TIME_MAX_US = 200_000_000_000_000_000


def distinct(first: I64, second: I64) -> tuple[I64, I64]:
    """Return the pairs of two columns, sorted and each once."""
    order = np.lexsort((second, first))
    a, b = first[order], second[order]
    new, _ = runs(a, b)
    return a[new], b[new]


def stamps(time_us: I64) -> list[datetime]:
    """Return times as datetimes, for the statements that are not columns."""
    clipped = np.clip(time_us, TIME_MIN_US, TIME_MAX_US)
    return [t.replace(tzinfo=UTC) for t in clipped.astype("datetime64[us]").tolist()]


def stamp(time_us: int) -> datetime:
    """Return one time as a datetime."""
    return EPOCH + timedelta(microseconds=int(min(max(time_us, TIME_MIN_US), TIME_MAX_US)))


def to_us(time: datetime) -> int:
    """Return one datetime with an offset as µs since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


def plain(text: str) -> str:
    """Return a text the database can hold: it may come from anybody."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\\0")


def null(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return None if np.isnan(value) else float(value)


def nulls(column: NDArray[Any]) -> list[Any]:
    """Return a column with None for NaN."""
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124


def micros(times: Sequence[datetime]) -> I64:
    """Return datetimes as int64 µs since 1970."""
    naive = [t.replace(tzinfo=None) for t in times]
    return np.array(naive, dtype="datetime64[us]").astype(np.int64)
