"""Table book: versions of what people enter, and the hours and days of those that stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.database.times import TIME_MAX_US, TIME_MIN_US, micros, stamp, to_us
from ingest.store.table import Table, columns_of, insert
from twin import quality as q
from twin.arrays import F64, I64, SECOND_US, U8, Columns, runs
from twin.book.entries import Version
from twin.book.model import AMOUNT
from twin.book.periods import Period
from twin.series.windows import edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twin.book.entries import BookEntry

# The newest version of each value of some tags.
NEWEST = """
SELECT id, address, start, stop, version, value, confirmed FROM book_named
WHERE newest AND active AND address = ANY($1::text[])
"""
ADD = insert(
    "book",
    "tag_id int, start timestamptz, stop timestamptz, version int, value float8, entered float8,"
    " uom text, meter_id int, evidence text, note text, reason text, recorded timestamptz,"
    " recorded_by text, confirmed timestamptz, confirmed_by text, command bigint",
)
CONFIRM = """
UPDATE book SET confirmed = $2, confirmed_by = $3 WHERE id = ANY($1::bigint[])
"""
ROWS = "SELECT * FROM book_named WHERE id = ANY($1::bigint[])"
# What stands in a range of time, of some tags or of all.
STANDING = """
SELECT DISTINCT ON (b.tag_id, b.start) b.tag_id, t.kind, b.start, b.stop, b.value
FROM book b JOIN tag t USING (tag_id)
WHERE b.confirmed IS NOT NULL AND ($1::int[] IS NULL OR b.tag_id = ANY($1))
    AND b.start < $3 AND b.stop > $2
ORDER BY b.tag_id, b.start, b.version DESC
"""
DROP_SUMS = "DELETE FROM {table} WHERE tag_id = ANY($1::int[]) AND time >= $2 AND time < $3"
LIST = """
SELECT * FROM book_named
WHERE (stands OR $1 <> 'standing') AND (newest OR $1 <> 'newest')
    AND ($2 = '' OR address = $2) AND ($3 = '' OR scope = $3 OR starts_with(scope, $3 || '/'))
    AND ($4::bigint IS NULL OR (tag_id, start) = (SELECT tag_id, start FROM book WHERE id = $4))
ORDER BY start DESC, address, version DESC LIMIT $5
"""
MODEL = "SELECT files FROM model ORDER BY version DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class SumRows(Columns):
    """Rows of table hour or day, (r,), in the order of `SUM_COLUMNS`."""

    time_us: I64
    amount: F64  # [SI s] of a gauge, [SI] of an amount
    covered_s: F64
    min: F64
    max: F64
    last: F64
    tag_id: I64
    n: I64
    quality: U8


NO_SUMS = SumRows(*(np.zeros(0, kind) for kind in (
    np.int64, *[np.float64] * 5, np.int64, np.int64, np.uint8)))  # fmt: skip


class BookTable(Table):
    """Table book, and the hours and days of its tags."""

    async def newest(self, addresses: Sequence[str]) -> list[Version]:
        """Return the newest version of each value of some tags."""
        return [
            Version(
                row["id"], row["address"], Period(to_us(row["start"]), to_us(row["stop"])),
                row["version"], row["value"], row["confirmed"] is not None,
            )
            for row in await self._fetch(NEWEST, list(addresses))
        ]  # fmt: skip

    async def add(
        self,
        entries: Sequence[BookEntry],
        tags: Sequence[int],
        meters: Sequence[int | None],
        versions: Sequence[int],
        by: str,
        now_us: int,
        command: int,
        *,
        confirm: bool,
    ) -> None:
        """Write versions down; `tags` are indices of the model, `meters` as well."""
        ids, now = self._store.tag_id, stamp(now_us)
        rows = [
            (
                int(ids[tag]), stamp(entry.period.start_us), stamp(entry.period.stop_us), version,
                entry.value, entry.entered, entry.uom, None if meter is None else int(ids[meter]),
                entry.evidence, entry.note, entry.reason, now, by, now if confirm else None,
                by if confirm else None, command,
            )
            for entry, tag, meter, version in zip(entries, tags, meters, versions, strict=True)
        ]  # fmt: skip
        await self._fetch(ADD, *columns_of(rows))

    async def rows(self, numbers: Sequence[int]) -> list[Any]:
        """Return versions by their numbers, with the columns of view book_named."""
        return await self._fetch(ROWS, list(numbers))

    async def confirm(self, numbers: Sequence[int], by: str, now_us: int) -> None:
        """Confirm versions."""
        await self._fetch(CONFIRM, list(numbers), stamp(now_us), by)

    async def spread(self, zone: str, tags: I64 | None = None, span: Period | None = None) -> None:
        """Make hours and days of some tags in a span of time, or of all, anew from what stands.

        An amount is spread evenly over its period, a value of a gauge holds through it.
        """
        ids = None if tags is None else self._store.tag_id[tags].tolist()
        for table in ("hour", "day"):
            start_us, stop_us = TIME_MIN_US, TIME_MAX_US
            if span is not None:
                start_us, stop_us = edges(table, *span, zone)[[0, -1]].tolist()
            within = stamp(start_us), stamp(stop_us)
            rows = await self._fetch(STANDING, ids, *within)
            numbers = ids if ids is not None else sorted({row["tag_id"] for row in rows})
            await self._fetch(DROP_SUMS.format(table=table), numbers, *within)
            cells = _cells(rows, table, zone)
            inside = (cells.time_us >= start_us) & (cells.time_us < stop_us)
            await self._store.copy_sums(table, cells.take(inside))

    async def list(
        self, which: str, limit: int, *, tag: str = "", scope: str = "", value: int | None = None
    ) -> list[Any]:
        """Return versions for a listing: those that stand, the newest, or all; the latest first.

        `value` is the number of a version: those of the same tag and period.
        """
        return await self._fetch(LIST, which, tag, scope, value, limit)

    async def model(self) -> str | None:
        """Return the files of the newest park model (JSON); None before the first."""
        rows = await self._fetch(MODEL)
        return rows[0]["files"] if rows else None


def _cells(rows: Sequence[Any], table: str, zone: str) -> SumRows:
    """Return the hours or days of values that stand."""
    parts, grids = [NO_SUMS], dict[tuple[int, int], I64]()
    for row in rows:
        start_us, stop_us = micros([row["start"], row["stop"]]).tolist()
        if start_us == stop_us:
            continue
        period = start_us, stop_us
        if period not in grids:
            grids[period] = edges(table, *period, zone)
        parts.append(_cells_of(row, *period, grids[period]))
    columns = (np.concatenate([getattr(part, n) for part in parts]) for n in SumRows.__slots__)
    return _joined(SumRows(*columns))


def _cells_of(row: Any, start_us: int, stop_us: int, grid: I64) -> SumRows:
    """Return the rows of one value on a grid that covers its period."""
    held_us = np.minimum(grid[1:], stop_us) - np.maximum(grid[:-1], start_us)
    held_s, count = held_us / SECOND_US, len(held_us)
    is_amount = row["kind"] == AMOUNT
    total_s = (stop_us - start_us) / SECOND_US if is_amount else 1.0
    value = np.full(count, row["value"])
    code = q.UNCERTAIN | q.SPREAD if is_amount and count > 1 else q.MANUAL
    return SumRows(
        time_us=grid[:-1],
        amount=value * (held_s / total_s),
        covered_s=held_s,
        min=value,
        max=value,
        last=value,
        tag_id=np.full(count, row["tag_id"]),
        n=(np.arange(count) == 0).astype(np.int64),
        quality=np.full(count, code, np.uint8),
    )


def _joined(cells: SumRows) -> SumRows:
    """Return rows by tag and time, each once: on another clock two periods meet within one."""
    cells = cells.take(np.lexsort((cells.time_us, cells.tag_id)))
    first, last = runs(cells.tag_id, cells.time_us)
    if first.all():
        return cells
    at = np.flatnonzero(first)
    sums = {
        name: np.add.reduceat(getattr(cells, name), at) for name in ("amount", "covered_s", "n")
    }
    quality = q.worst_of(cells.quality, at)
    return replace(
        cells.take(last),
        **sums,
        min=np.minimum.reduceat(cells.min, at),
        max=np.maximum.reduceat(cells.max, at),
        quality=quality,
    )
