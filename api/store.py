"""The database as the API reads it: the only module that knows asyncpg. Big answers are columns."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
from numpy.typing import NDArray

from api import queries
from api.order_keys import OrderKey, require_same
from deploy.database import copy
from deploy.database.errors import EXPECTED, store_errors
from deploy.database.times import stamp, stamps
from twin.arrays import I64

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime, timedelta

Columns = dict[str, NDArray[Any]]
TIME, INT, FLOAT, SMALL = "timestamptz", "int4", "float8", "int2"

AMOUNTS = {
    "tag_id": INT, "time_us": TIME, "amount": FLOAT, "covered_s": FLOAT, "quality": SMALL,
}  # fmt: skip

CONNECT_S = 5.0
CYCLES_AT_ONCE = 100


class ReadStore:
    """Connections to one database, read-only but for commands; made again after a loss."""

    def __init__(self, url: str, *, pool_size: int, query_timeout_s: float) -> None:
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
        return await self._columns(fields, queries.SAMPLES, *args)

    async def series(self, table: str, tag_id: int, from_us: int, to_us: int) -> Columns:
        """Return the minutes, hours or days of one tag in time order."""
        names = ("amount", "covered_s", "min", "max", "last")
        fields = {"time_us": TIME, **dict.fromkeys(names, FLOAT), "quality": SMALL}
        span = stamp(from_us), stamp(to_us)
        return await self._columns(fields, queries.SERIES[table], tag_id, *span)

    async def amounts(self, table: str, tag_ids: I64, from_us: int, to_us: int) -> Columns:
        """Return amounts and coverage of some tags by minute, hour or day, in any order."""
        args = tag_ids.tolist(), stamp(from_us), stamp(to_us)
        return await self._columns(AMOUNTS, queries.AMOUNTS[table], *args)

    async def parts(self, table: str, tag_ids: I64, start_us: I64, stop_us: I64) -> Columns:
        """Return covered amounts of some tags in some ranges of time, in any order."""
        ids, parts = tag_ids.tolist(), list[Columns]()
        async with self._connection() as connection:
            # One query a range: of several ranges in one the planner reads all that lies between.
            for span in zip(stamps(start_us), stamps(stop_us), strict=True):
                parts.append(await _columns(connection, AMOUNTS, queries.PARTS[table], ids, *span))
        return {name: np.concatenate([part[name] for part in parts]) for name in AMOUNTS}

    async def minutes(self, tag_ids: I64, start_us: I64) -> Columns:
        """Return covered amounts of some tags in the minutes that begin at times, in any order."""
        starts = stamps(start_us)
        args = tag_ids.tolist(), starts, starts[0], starts[-1]
        return await self._columns(AMOUNTS, queries.MINUTES, *args)

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
        return await self._columns(fields, queries.PAIRS, *args)

    async def minutes_near(self, tag_ids: I64, times: I64, within: timedelta) -> Columns:
        """Return the end of each tag's minute at each time, or of the nearest covered one."""
        fields = {"time_us": TIME, "tag_id": INT, "last": FLOAT, "quality": SMALL}
        wanted = stamps(times)
        args = tag_ids.tolist(), wanted, wanted[0], wanted[-1]
        exact = await self._columns(fields, queries.MINUTES_AT, *args)
        # Nearly all are there: only what is missing is worth a search around it.
        missing = np.ones((len(tag_ids), len(times)), bool)
        order = np.argsort(tag_ids)
        tag = order[np.searchsorted(tag_ids, exact["tag_id"], sorter=order)]
        missing[tag, np.searchsorted(times, exact["time_us"])] = False
        tag, at = np.nonzero(missing)
        if not len(tag):
            return exact
        pairs = tag_ids[tag].tolist(), [wanted[i] for i in at.tolist()]
        near = await self._columns(fields, queries.MINUTES_NEAR, *pairs, within)
        return {name: np.concatenate([exact[name], near[name]]) for name in fields}

    async def _columns(self, fields: dict[str, str], query: str, *args: Any) -> Columns:
        async with self._connection() as connection:
            return await _columns(connection, fields, query, *args)


async def _columns(connection: Any, fields: dict[str, str], query: str, *args: Any) -> Columns:
    """Return the answer of a query as columns by name; `fields` are their types in `copy`."""
    columns = await copy.read(connection, tuple(fields.values()), query, *args)
    return {
        name: column.astype(np.uint8) if kind == SMALL else column
        for (name, kind), column in zip(fields.items(), columns, strict=True)
    }
