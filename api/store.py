"""The database as the API reads it: the only module that knows asyncpg. Big answers are columns."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from api import queries
from api.order_keys import OrderKey, require_same
from deploy.archive.layout import MINUTE, SAMPLE, Kind
from deploy.archive.layout import Columns as ArchivedRows
from deploy.archive.manifest import Archive, ArchiveFiles, among, archived, unite
from deploy.database import copy
from deploy.database.errors import EXPECTED, store_errors
from deploy.database.times import distinct, stamp, stamps
from twin.arrays import BOOL, I64, runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime, timedelta
    from pathlib import Path

Columns = dict[str, NDArray[Any]]
TIME, INT, FLOAT, SMALL = "timestamptz", "int4", "float8", "int2"

AMOUNTS = {
    "tag_id": INT, "time_us": TIME, "amount": FLOAT, "covered_s": FLOAT, "quality": SMALL,
}  # fmt: skip

LASTS = {"time_us": TIME, "tag_id": INT, "last": FLOAT, "quality": SMALL}
# Columns of archived minutes that an answer may need.
NAMES = ("amount", "covered_s", "min", "max", "last", "quality")

CONNECT_S = 5.0
CYCLES_AT_ONCE = 100


class ReadStore:
    """Connections to one database, read-only but for commands; made again after a loss."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        query_timeout_s: float,
        archive_folder: Path | None = None,
    ) -> None:
        """Prepare to read one database, and what is archived in the folder of its archive."""
        self._archive = Archive(archive_folder)
        self._url = url
        self._pool_size = pool_size
        self._timeout_s = query_timeout_s
        self._pool: Any = None

    def _options(self) -> dict[str, Any]:
        return {
            "dsn": self._url,
            "timeout": CONNECT_S,
            # The server gives up first and says why; this one is for a server that went away.
            "command_timeout": self._timeout_s + CONNECT_S,
            "server_settings": {
                "search_path": "park, public",
                "application_name": "parktwin-api",
                "default_transaction_read_only": "on",
                "statement_timeout": str(round(self._timeout_s * 1000)),
                "timezone": "UTC",
                "jit": "off",
                # Chunks are left out while planning, which needs the times and not just $2.
                "plan_cache_mode": "force_custom_plan",
            },
        }

    async def open(self) -> None:
        """Prepare the pool; no connection is made yet."""
        with store_errors(EXPECTED):
            self._pool = await asyncpg.create_pool(
                min_size=0, max_size=self._pool_size, **self._options()
            )

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            self._pool.terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        assert self._pool is not None, "the store is not open"
        with store_errors(EXPECTED):
            async with self._pool.acquire(timeout=CONNECT_S) as connection:
                yield connection

    @asynccontextmanager
    async def listen(self, heard: Callable[[str], None]) -> AsyncIterator[Callable[[], bool]]:
        """Call `heard` with the channel of every wake-up; yields whether it still can."""

        def notified(_connection: Any, _pid: int, channel: str, _payload: str) -> None:
            heard(channel)

        with store_errors(EXPECTED):
            connection: Any = await asyncpg.connect(**self._options())
        try:
            with store_errors(EXPECTED):
                for channel in ("park_cycle", "park_model"):
                    await connection.add_listener(channel, notified)
            yield lambda: not connection.is_closed()
        finally:
            connection.terminate()

    async def model(self) -> tuple[int, datetime, str] | None:
        """Return version, time and files (JSON) of the newest park model."""
        rows = await self.rows(queries.MODEL)
        return tuple(rows[0]) if rows else None

    async def image(self) -> tuple[int, Columns, str, bytes | None]:
        """Return newest cycle (0 = none), newest samples, alarms (JSON) and ids of late tags.

        All are of one moment.
        """
        fields = {"tag_id": INT, "time_us": TIME, "value": FLOAT, "quality": SMALL}
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            cycle_us = await connection.fetchval(queries.NEWEST_CYCLE)
            alarms = await connection.fetchval(queries.ALARMS)
            late = await connection.fetchval(queries.LATE)
            newest = await _columns(connection, fields, queries.IMAGE)
            return cycle_us or 0, newest, alarms, late

    async def cycles(self, after_us: int) -> list[Any]:
        """Return the rows of the cycles after one, oldest first."""
        return await self.rows(queries.CYCLES, after_us, CYCLES_AT_ONCE)

    async def queue_command(
        self, kind: str, body: str, waiting_max: int, order: OrderKey | None
    ) -> int | None:
        """Queue a command for ingest; return its number, None when too many wait already.

        Raises Problem 422 for a key that another request had.
        """
        key, request = (order.key, order.request) if order else (None, None)
        async with self._connection() as connection, connection.transaction():
            # The one thing the API writes.
            await connection.execute("SET TRANSACTION READ WRITE")
            args = kind, body, waiting_max, key, request
            number = await connection.fetchval(queries.QUEUE_COMMAND, *args)
        if number is None and order is not None:
            # One of two at the same time.
            return await self.command_of(order)
        return None if number is None else int(number)

    async def command_of(self, order: OrderKey) -> int | None:
        """Return the command that was queued with a key; None where there is none.

        Raises Problem 422 for a key that another request had.
        """
        rows = await self.rows(queries.COMMAND_OF, order.key)
        if not rows:
            return None
        require_same(order, rows[0]["request"])
        return int(rows[0]["id"])

    async def rows(self, statement: str, *args: Any) -> list[Any]:
        """Return the rows of a query."""
        async with self._connection() as connection:
            return list(await connection.fetch(statement, *args))

    async def sample_count(self, tag_id: int, from_us: int, to_us: int) -> int:
        """Return about how many samples a tag has, from its hours."""
        rows = await self.rows(queries.COUNT, tag_id, stamp(from_us), stamp(to_us))
        return int(rows[0][0])

    async def samples(self, tag_id: int, from_us: int, to_us: int, limit: int) -> Columns:
        """Return the samples of a tag in time order: time_us, value, quality."""
        fields = {"time_us": TIME, "value": FLOAT, "quality": SMALL}
        args = tag_id, stamp(from_us), stamp(to_us), limit
        part = ArchivePart(SAMPLE, np.array([tag_id]), (from_us, to_us), most=limit)
        rows = await self._united(part, fields, queries.SAMPLES, *args)
        return {name: column[:limit] for name, column in rows.items()}

    async def samples_at(self, tag_ids: I64, moment_us: int, within: timedelta) -> Columns:
        """Return the last sample of each tag at a moment, at most so long before, in any order."""
        fields = {"tag_id": INT, "time_us": TIME, "value": FLOAT, "quality": SMALL}
        span_us = moment_us - round(within.total_seconds() * 1e6) + 1, moment_us + 1
        args = tag_ids.tolist(), stamp(moment_us), within
        rows = await self._united(
            ArchivePart(SAMPLE, tag_ids, span_us), fields, queries.SAMPLES_AT, *args
        )
        _, last = runs(rows["tag_id"])
        return {name: column[last] for name, column in rows.items()}

    async def values_at(self, tag_ids: I64, times: I64) -> list[float | None]:
        """Return the value of each tag, (n,), at its own time; None where it has no sample."""
        if not len(times):
            return []
        first, second = distinct(tag_ids, times)
        keys = {"tag_id": first, "time_us": second}
        fields = {"tag_id": INT, "time_us": TIME, "value": FLOAT}
        part = ArchivePart(
            SAMPLE, first, (int(times.min()), int(times.max()) + 1),
            keep=lambda rows: among(rows, keys),
        )  # fmt: skip
        args = first.tolist(), stamps(second), stamp(part.span_us[0]), stamp(part.span_us[1])
        rows = await self._united(part, fields, queries.VALUES_AT, *args)
        pairs = zip(rows["tag_id"].tolist(), rows["time_us"].tolist(), strict=True)
        known = dict(zip(pairs, rows["value"].tolist(), strict=True))
        return [known.get(pair) for pair in zip(tag_ids.tolist(), times.tolist(), strict=True)]

    async def series(self, table: str, tag_id: int, from_us: int, to_us: int) -> Columns:
        """Return the minutes, hours or days of one tag in time order."""
        names = ("amount", "covered_s", "min", "max", "last")
        fields = {"time_us": TIME, **dict.fromkeys(names, FLOAT), "quality": SMALL}
        args = queries.SERIES[table], tag_id, stamp(from_us), stamp(to_us)
        if table != "minute":
            return await self._columns(fields, *args)
        return await self._united(
            ArchivePart(MINUTE, np.array([tag_id]), (from_us, to_us)), fields, *args
        )

    async def amounts(self, table: str, tag_ids: I64, from_us: int, to_us: int) -> Columns:
        """Return amounts and coverage of some tags by minute, hour or day, in any order."""
        args = queries.AMOUNTS[table], tag_ids.tolist(), stamp(from_us), stamp(to_us)
        if table != "minute":
            return await self._columns(AMOUNTS, *args)
        return await self._united(ArchivePart(MINUTE, tag_ids, (from_us, to_us)), AMOUNTS, *args)

    async def parts(self, table: str, tag_ids: I64, start_us: I64, stop_us: I64) -> Columns:
        """Return covered amounts of some tags in some ranges of time, in any order."""
        ids, parts, files = tag_ids.tolist(), list[Columns](), list[ArchiveFiles]()
        async with self._connection() as connection:
            # One query a range: of several ranges in one the planner reads all that lies between.
            for span in zip(stamps(start_us), stamps(stop_us), strict=True):
                parts.append(await _columns(connection, AMOUNTS, queries.PARTS[table], ids, *span))
            if table == "minute" and len(start_us):
                whole = await archived(connection, MINUTE, int(start_us.min()), int(stop_us.max()))
                spans = zip(start_us.tolist(), stop_us.tolist(), strict=True)
                files = [whole.within(*span) for span in spans]
        for number, some in enumerate(files):
            cold = await self._archive.read(some, tag_ids, NAMES, keep=_is_covered)
            parts[number] = unite(parts[number], cold)
        return {name: np.concatenate([part[name] for part in parts]) for name in AMOUNTS}

    async def minutes(self, tag_ids: I64, start_us: I64) -> Columns:
        """Return covered amounts of some tags in the minutes that begin at times, in any order."""
        starts = stamps(start_us)
        part = ArchivePart(
            MINUTE, tag_ids, (int(start_us[0]), int(start_us[-1]) + 1),
            keep=lambda rows: _is_covered(rows) & np.isin(rows["time_us"], start_us),
        )  # fmt: skip
        args = tag_ids.tolist(), starts, starts[0], starts[-1]
        return await self._united(part, AMOUNTS, queries.MINUTES, *args)

    async def measured(self, tag_ids: I64, from_us: int, to_us: int) -> Columns:
        """Return by hour the minutes with samples of their own of some tags, and their mean."""
        fields = {"tag_id": INT, "time_us": TIME, "measured": FLOAT, "mean": FLOAT}
        args = tag_ids.tolist(), stamp(from_us), stamp(to_us)
        return await self._columns(fields, queries.MEASURED, *args)

    async def pairs(self, first: I64, second: I64, edges: I64) -> Columns:
        """Return sums over windows of the products of pairs of gauges, minute by minute."""
        sums = ("first", "product", "square")
        fields = {"pair": INT, "window": INT, **dict.fromkeys(sums, FLOAT)}
        moments = stamps(edges)
        args = first.tolist(), second.tolist(), moments, moments[0], moments[-1]
        span_us = int(edges[0]), int(edges[-1])
        async with self._connection() as connection:
            rows = await _columns(connection, fields, queries.PAIRS, *args)
            files = await archived(connection, MINUTE, *span_us)
        if not len(files):
            return rows
        minutes = await self.amounts("minute", np.union1d(first, second), *span_us)
        return _products(minutes, first, second, edges)

    async def minutes_near(self, tag_ids: I64, times: I64, within: timedelta) -> Columns:
        """Return the end of each tag's minute at each time, or of the nearest covered one."""
        reach_us = round(within.total_seconds() * 1e6)
        near = await self._stored_near(tag_ids, times, within)
        async with self._connection() as connection:
            files = await archived(connection, MINUTE, int(times[0]) - reach_us, int(times[-1]) + 1)
        old = times < files.stop_us + reach_us if len(files) else np.zeros(len(times), bool)
        if not old.any():
            return near
        older = await self._archived_near(tag_ids, times[old], reach_us)
        kept = ~np.isin(near["time_us"], times[old])
        return {name: np.concatenate([older[name], near[name][kept]]) for name in LASTS}

    async def _stored_near(self, tag_ids: I64, times: I64, within: timedelta) -> Columns:
        """Return what `minutes_near` does, of the minutes in the database."""
        wanted = stamps(times)
        args = tag_ids.tolist(), wanted, wanted[0], wanted[-1]
        exact = await self._columns(LASTS, queries.MINUTES_AT, *args)
        # Nearly all are there: only what is missing is worth a search around it.
        missing = np.ones((len(tag_ids), len(times)), bool)
        order = np.argsort(tag_ids)
        tag = order[np.searchsorted(tag_ids, exact["tag_id"], sorter=order)]
        missing[tag, np.searchsorted(times, exact["time_us"])] = False
        tag, at = np.nonzero(missing)
        if not len(tag):
            return exact
        pairs = tag_ids[tag].tolist(), [wanted[i] for i in at.tolist()]
        near = await self._columns(LASTS, queries.MINUTES_NEAR, *pairs, within)
        return {name: np.concatenate([exact[name], near[name]]) for name in LASTS}

    async def _archived_near(self, tag_ids: I64, times: I64, reach_us: int) -> Columns:
        """Return what `minutes_near` does, of the minutes in the database and in the archive."""

        def is_near(rows: ArchivedRows) -> BOOL:
            at = np.searchsorted(times, rows["time_us"])
            after = times[np.minimum(at, len(times) - 1)] - rows["time_us"]
            before = rows["time_us"] - times[np.maximum(at - 1, 0)]
            return _is_covered(rows) & (np.minimum(np.abs(after), np.abs(before)) <= reach_us)

        span_us = int(times[0]) - reach_us, int(times[-1]) + reach_us + 1
        part = ArchivePart(MINUTE, tag_ids, span_us, keep=is_near)
        args = tag_ids.tolist(), *map(stamp, span_us)
        rows = await self._united(part, LASTS, queries.LASTS, *args)
        return nearest(rows, tag_ids, times, reach_us)

    async def _columns(self, fields: dict[str, str], query: str, *args: Any) -> Columns:
        async with self._connection() as connection:
            return await _columns(connection, fields, query, *args)

    async def _united(
        self, part: ArchivePart, fields: dict[str, str], query: str, *args: Any
    ) -> Columns:
        """Return the answer of a query and the archived rows of a part, in time order by tag."""
        async with self._connection() as connection:
            hot = await _columns(connection, fields, query, *args)
            files = await archived(connection, part.kind, *part.span_us)
        if not len(files):
            return hot
        names = NAMES if part.kind is MINUTE else ("value", "quality")
        cold = await self._archive.read(files, part.tag_ids, names, keep=part.keep, most=part.most)
        if "tag_id" not in fields:
            hot["tag_id"] = np.full(len(hot["time_us"]), part.tag_ids[0])
        rows = unite(hot, cold)
        return {name: rows[name] for name in fields}


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """What of the archive belongs to the answer of a query: tags, begin and end [µs]."""

    kind: Kind
    tag_ids: I64
    span_us: tuple[int, int]
    keep: Callable[[ArchivedRows], BOOL] | None = None  # which of the rows
    most: int | None = None  # so many are enough, from the first


def _is_covered(rows: ArchivedRows) -> BOOL:
    return np.asarray(rows["covered_s"] > 0)


def _products(minutes: Columns, first: I64, second: I64, edges: I64) -> Columns:
    """Return the sums of `pairs` over covered minutes of its tags."""
    covered = minutes["covered_s"] > 0
    parts: list[tuple[Any, ...]] = []
    for number, ids in enumerate(zip(first.tolist(), second.tolist(), strict=True), 1):
        rows = [np.flatnonzero(covered & (minutes["tag_id"] == tag_id)) for tag_id in ids]
        times = [minutes["time_us"][some] for some in rows]
        common, *at = np.intersect1d(times[0], times[1], assume_unique=True, return_indices=True)
        a, b = (minutes["amount"][some[i]] for some, i in zip(rows, at, strict=True))
        covered_a, covered_b = (
            minutes["covered_s"][some[i]] for some, i in zip(rows, at, strict=True)
        )
        windows, row = np.unique(
            np.searchsorted(edges, common, side="right") - 1, return_inverse=True
        )
        sums = [
            np.bincount(row, each, len(windows))
            for each in (a, a * b / covered_b, a * a / covered_a)
        ]
        parts.append((np.full(len(windows), number), windows, *sums))
    columns = zip(*parts, strict=True)
    names = ("pair", "window", "first", "product", "square")
    return {name: np.concatenate(column) for name, column in zip(names, columns, strict=True)}


def nearest(rows: Columns, tag_ids: I64, times: I64, reach_us: int) -> Columns:
    """Return of each tag and time the row of that time, or else the nearest within reach [µs].

    Rows are covered minutes by tag and time; of two as near as another the earlier one counts.
    """
    rows = {name: column[np.lexsort((rows["time_us"], rows["tag_id"]))]
            for name, column in rows.items()}  # fmt: skip
    taken, moments = [], []
    for tag_id in tag_ids.tolist():
        begin, end = np.searchsorted(rows["tag_id"], [tag_id, tag_id + 1]).tolist()
        if begin == end:
            continue
        own = rows["time_us"][begin:end]
        after = np.minimum(np.searchsorted(own, times), end - begin - 1)
        before = np.maximum(after - 1, 0)
        closer = np.abs(own[before] - times) <= np.abs(own[after] - times)
        at = np.where(closer, before, after)
        near = np.abs(own[at] - times) <= reach_us
        taken.append(begin + at[near])
        moments.append(times[near])
    nothing = [np.zeros(0, np.int64)]
    at = np.concatenate(taken or nothing)
    return {name: column[at] for name, column in rows.items()} | {
        "time_us": np.concatenate(moments or nothing)
    }


async def _columns(connection: Any, fields: dict[str, str], query: str, *args: Any) -> Columns:
    """Return the answer of a query as columns by name; `fields` are their types in `copy`."""
    columns = await copy.read(connection, tuple(fields.values()), query, *args)
    return {
        name: column.astype(np.uint8) if kind == SMALL else column
        for (name, kind), column in zip(fields.items(), columns, strict=True)
    }
