"""Stores over the tests' database, and what stands in it."""

import json
from contextlib import asynccontextmanager

import asyncpg

from ingest.cycle.cycle import Cycle
from ingest.routing.topics import Message
from ingest.settings import IngestSettings
from ingest.store import Store

TOPIC = "park/v1/acmepark/acme/gw1"
T0 = 1_760_000_000_000 // 3_600_000 * 3_600_000  # a full hour, in ms


@asynccontextmanager
async def opened(database, kind=Store):
    """Yield a store that is open."""
    store = kind(database)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def cycling(database, model, now_us=T0 * 1000, kind=Store, **settings):
    """Yield a cycle over the database, as after a start of the program."""
    async with opened(database, kind) as store:
        cycle = Cycle(model, store, IngestSettings(database_url=database, **settings))
        await cycle.start(now_us)
        yield cycle


async def turn(cycle, commands, now_us, came=()):
    """Run a cycle with what commands bring back, and with what has come."""
    block = await commands.take(now_us)
    await cycle.run(block.messages, now_us, block.samples, cycle.decode(came))
    await commands.done()


def message(body, topic=TOPIC, at_ms=T0, *, raw=False):
    payload = body if raw else json.dumps(body).encode()
    return Message(topic, payload, at_ms * 1000, 0, 0, 0)


async def query(database, statement, *args):
    """Return the rows a statement has on a connection of its own."""
    connection = await asyncpg.connect(
        database, timeout=5, server_settings={"search_path": "park,public"}
    )
    try:
        return [tuple(row) for row in await connection.fetch(statement, *args)]
    finally:
        await connection.close()


async def samples(db, tag="FT-1"):
    """Return (ms after T0, value, quality) of the samples of a tag."""
    rows = await db.fetch(
        "SELECT extract(epoch FROM time)::float8 AS t, value, quality FROM sample_named"
        " WHERE tag = $1 ORDER BY time",
        tag,
    )
    return [(round(row["t"] * 1000) - T0, row["value"], row["quality"]) for row in rows]


async def everything(db):
    """Return all samples, minutes, hours and days of measured tags, to the last bit."""
    columns = dict.fromkeys(
        ("minute", "hour", "day"), "n, amount, covered_s, x.min, x.max, last, quality"
    )
    columns["hour"] += ", measured, measured_mean"
    return {
        table: await db.fetch(
            f"SELECT t.tag, x.time, {names} FROM {table} x JOIN tag t USING (tag_id)"
            " WHERE t.source = 'measured' ORDER BY 1, 2"
        )
        for table, names in {"sample": "float8send(value), quality", **columns}.items()
    }
