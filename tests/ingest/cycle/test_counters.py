"""Counters through the cycle and the database: in any order, with restarts, with operators."""

import asyncio
import json

import numpy as np
import pytest

from ingest.cli import registers
from ingest.commands import CommandQueue
from ingest.cycle import restatement
from ingest.cycle.restatement import Aggregation
from tests.support.series import series
from tests.support.stored import T0, cycling, message, samples, turn
from twin import quality as q
from twin.series.minutes import no_open_minutes
from twin.series.samples import Samples

KWH = 3.6e6
MINUTE_MS = 60_000


def reading(minute, value, at_ms=None):
    at = round(T0 + minute * MINUTE_MS)
    return message({"ts": at, "values": {"JQ-1": value}}, at_ms=at if at_ms is None else at_ms)


async def send(cycle, *readings):
    """Send readings (minute, value) one after the other, in the order given."""
    now_ms = max(T0 + minute * MINUTE_MS for minute, _ in readings)
    for minute, value in readings:
        await cycle.run([reading(minute, value, now_ms)], round(now_ms * 1000))


async def counted(db, first=None, stop=None):
    """Return the amount of the minutes in a window of minutes since the start [kWh]."""
    window = [T0 / 1000 + 60 * m for m in (first if first is not None else -1e6, stop or 1e6)]
    amount = await db.fetchval(
        "SELECT sum(amount) FROM minute JOIN tag USING (tag_id) WHERE tag = 'JQ-1'"
        " AND minute.time >= to_timestamp($1) AND minute.time < to_timestamp($2)",
        *window,
    )
    return (amount or 0.0) / KWH


async def stored(db):
    """Return the minutes, hours and days as they are."""
    return [
        tuple(row)
        for table in ("minute", "hour", "day")
        for row in await db.fetch(
            f"SELECT m.time, n, amount, covered_s, m.min, m.max, last, m.quality FROM {table} m"
            " JOIN tag USING (tag_id) WHERE tag = 'JQ-1' ORDER BY m.time"
        )
    ]


async def falls(db):
    rows = await db.fetch("SELECT before, after, answer FROM register_fall ORDER BY time")
    return [(row["before"] / KWH, row["after"] / KWH, row["answer"]) for row in rows]


FALSE = [(0, 15508.0), (1, 15508.2), (2, 0.0), (3, 0.0), (4, 15508.4), (5, 15508.5)]
REPLACED = [(0, 999_300.0), (1, 999_400.0), (2, 420_000.0), (3, 420_020.0), (4, 420_030.0)]
JITTER = [(0, 999_990.0), (1, 1_000_000.0), (2, 999_999.9), (3, 1_000_010.0), (4, 1_000_020.0)]
SERIES = {"false": (FALSE, 0.5), "replaced": (REPLACED, 130.0), "jitter": (JITTER, 30.0)}


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize("order", ["as read", "backwards", "mixed"])
async def test_order_of_arrival_changes_no_bit(database, db, park, series, order):
    readings, amount = SERIES[series]
    mixed = [readings[i] for i in np.random.default_rng(3).permutation(len(readings))]
    arrived = {"as read": readings, "backwards": readings[::-1], "mixed": mixed}[order]
    # What comes at once is what the pure calculation makes of it.
    async with cycling(database, park) as cycle:
        await cycle.run([reading(*each) for each in readings], round((T0 + 5 * MINUTE_MS) * 1000))
        expected = await stored(db)
        assert await counted(db) == pytest.approx(amount)
    for table in ("sample", "minute", "hour", "day", "newest"):
        await db.execute(f"DELETE FROM {table}")
    async with cycling(database, park) as cycle:
        await send(cycle, *arrived)
    assert await stored(db) == expected
    assert len(await falls(db)) == (series == "replaced")


async def test_restart_in_doubt_changes_no_bit(database, db, park):
    for each in FALSE:
        async with cycling(database, park, round(T0 + each[0] * MINUTE_MS) * 1000) as cycle:
            await send(cycle, each)
    assert await counted(db) == pytest.approx(0.5)
    assert await falls(db) == []
    doubtful = [code for _, _, code in await samples(db, "JQ-1") if code >= q.UNCERTAIN]
    assert doubtful == [q.UNCERTAIN | q.RESET] * 2


@pytest.mark.parametrize("days", [25 / 24, 7, 31, 366])
async def test_sparse_readings_count_also_when_the_one_between_comes_late(database, db, park, days):
    end = days * 1440
    async with cycling(database, park, past_days=800.0) as cycle:
        await send(cycle, (0, 0.0), (end, 1000.0))
        assert await counted(db, 0, end) == pytest.approx(1000.0)
        hours = await db.fetch(
            "SELECT DISTINCT hour.quality FROM hour JOIN tag USING (tag_id) WHERE tag = 'JQ-1'"
        )
        assert [row["quality"] for row in hours] == [q.UNCERTAIN | q.SPREAD]
        await cycle.run(
            [reading(600, 10.0, T0 + end * MINUTE_MS)], round((T0 + end * MINUTE_MS) * 1000)
        )
        assert await counted(db, 0, 600) == pytest.approx(10.0)
        assert await counted(db, 600, end) == pytest.approx(990.0)


async def obey(cycle, db, number, now_ms):
    """Let cycles go on until a command has its answer; return its error."""
    commands = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings)
    for nth in range(20):
        await turn(cycle, commands, round(now_ms * 1000) + nth * 3_000_000)
        row = await db.fetchrow("SELECT done, error FROM command WHERE id = $1", number)
        if row["done"]:
            return row["error"]
    raise AssertionError


async def order(db, kind, **body):
    return await db.fetchval(
        "INSERT INTO command (kind, body) VALUES ($1, $2) RETURNING id", kind, json.dumps(body)
    )


async def test_operator_enters_the_meter_that_was_replaced(database, db, park):
    now_ms = T0 + 6 * MINUTE_MS
    async with cycling(database, park) as cycle:
        await send(cycle, (0, 999_400.0), (2, 420_000.0), (3, 420_020.0), (5, 420_020.0))
        assert await counted(db) == pytest.approx(20.0)
        assert await falls(db) == [(999_400.0, 420_000.0, None)]
        fall = await db.fetchval("SELECT id FROM register_fall")
        wrong = await order(db, "register.replace", id=fall, last=999_000.0, first=420_000.0)
        assert "is below the reading of" in await obey(cycle, db, wrong, now_ms)
        right = await order(db, "register.replace", id=fall, last=999_460.0, first=420_000.0)
        assert await obey(cycle, db, right, now_ms) is None
        assert await counted(db) == pytest.approx(80.0)
        assert await counted(db, 0, 2) == pytest.approx(60.0)
        assert await falls(db) == [(999_400.0, 420_000.0, "replace")]
        assert await db.fetchval("SELECT count(*) FROM restatement") >= 1
        again = await order(db, "register.replace", id=fall, last=999_460.0, first=420_000.0)
        assert "answered already" in await obey(cycle, db, again, now_ms)


async def test_operator_enters_a_new_meter_that_reads_more_than_the_old_one(database, db, park):
    now_ms = T0 + 4 * MINUTE_MS
    at = "2025-10-09T08:00:30+00:00"
    assert T0 == 1_759_996_800_000
    async with cycling(database, park) as cycle:
        await send(cycle, (0, 100.0), (1, 5010.0), (2, 5020.0))
        assert await counted(db) == pytest.approx(4920.0)
        number = await order(db, "register.replace", enterprise="acme", tag="JQ-1", time=at,
                             last=105.0, first=5000.0)  # fmt: skip
        assert await obey(cycle, db, number, now_ms) is None
        assert await counted(db) == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "it names the `id` of a fall, or a tag and a time"),
        ({"id": 9, "last": 1, "first": 1}, "there is no fall of a register 9"),
        (
            {"enterprise": "acme", "tag": "FT-1", "time": "2025-10-09T08:00:30Z", "last": 1,
             "first": 1},
            "there is no counter acme/FT-1",
        ),
        (
            {"enterprise": "acme", "tag": "JQ-1", "time": "2025-10-09T08:00:30Z"},
            "it needs the `last` reading",
        ),
    ],
)  # fmt: skip
async def test_a_wrong_command_is_refused_with_what_is_wrong(database, db, park, body, error):
    async with cycling(database, park) as cycle:
        number = await order(db, "register.replace", **body)
        assert error in await obey(cycle, db, number, T0)


async def test_falls_are_listed_and_dismissed_from_the_command_line(
    database, db, park, monkeypatch, capsys
):
    monkeypatch.setenv("PARKTWIN_DATABASE_URL", database)

    async def run(cycle, *words):
        command = asyncio.create_task(asyncio.to_thread(registers.main, list(words)))
        commands, nth = CommandQueue(cycle._store, cycle._park, cycle.topics, cycle._settings), 0
        while not command.done():
            nth += 1
            await turn(cycle, commands, (T0 + 6 * MINUTE_MS) * 1000 + nth * 3_000_000)
            await asyncio.sleep(0.02)
        return await command

    async with cycling(database, park) as cycle:
        assert await run(cycle, "list") == 0
        assert capsys.readouterr().out == "no register has fallen\n"
        await send(cycle, *REPLACED)
        assert await run(cycle, "list") == 0
        line = capsys.readouterr().out
        assert "acme/JQ-1  open  999400 kWh at 2025-10-09 08:01:00, 420000 kWh at" in line
        assert await run(cycle, "dismiss", line.split()[0], "--by", "ann") == 0
        assert await falls(db) == [(999_400.0, 420_000.0, "dismiss")]
        assert await run(cycle, "replace", "acme/JQ-1", "--at", "2025-10-09T16:01:30+08:00",
                         "--last", "999460", "--first", "420000", "--by", "ann") == 0  # fmt: skip
        assert await counted(db) == pytest.approx(190.0)


def test_readings_of_a_month_are_aggregated_one_meter_in_a_cycle():
    """A thousand meters that are read once a month do not stop the cycle that brings them."""
    meters, live = 1000, 50
    traits = series("counter", tags=meters + live)
    aggregation = Aggregation(None, traits, "UTC")
    open_minutes = no_open_minutes(meters + live)
    open_minutes.time_us[:] = open_minutes.from_us[:] = 0
    month_us = 31 * 86_400_000_000
    open_minutes.time_us[meters:] = open_minutes.from_us[meters:] = month_us - 60_000_000

    def readings(tags):
        count = len(tags)
        return Samples(tags, np.full(count, month_us), np.ones(count), np.zeros(count, np.uint8),
                       np.full(count, month_us))  # fmt: skip

    added, cycles = readings(np.arange(meters + live)), 0
    waiting = readings(np.zeros(0, np.int64))
    while cycles == 0 or len(waiting):
        now, waiting = aggregation.ready(open_minutes, waiting, added)
        assert set(range(meters, meters + live)) <= set(now.tag.tolist()) or cycles
        minutes = (month_us - open_minutes.from_us[now.tag]).sum() // 60_000_000
        assert minutes <= restatement.ROWS_READY + 31 * 1440
        open_minutes.time_us[now.tag] = open_minutes.from_us[now.tag] = month_us
        added, cycles = added.take(slice(0, 0)), cycles + 1
    assert cycles == meters
    assert (open_minutes.time_us == month_us).all()


@pytest.mark.parametrize("sentinel", [3.4028235e38, 65_535.0, 1e9])
async def test_sentinel_of_a_gauge_is_kept_and_not_summed(database, db, park, sentinel):
    values = [36.0, 36.0, sentinel, 36.0, 36.0, 36.0]
    async with cycling(database, park) as cycle:
        for minute, value in enumerate(values):
            at = T0 + minute * MINUTE_MS
            await cycle.run([message({"ts": at, "values": {"FT-1": value}}, at_ms=at)], at * 1000)
    row = await db.fetchrow(
        "SELECT sum(amount) AS kg, sum(covered_s) AS s FROM minute JOIN tag USING (tag_id)"
        " WHERE tag = 'FT-1'"
    )
    assert (row["kg"], row["s"]) == pytest.approx((4 * 600.0, 240.0))
    kept = [value for _, value, code in await samples(db) if code >= q.BAD]
    assert kept == pytest.approx([sentinel])
