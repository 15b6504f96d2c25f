"""Values of an outlet reach an authority: what it answers, what it missed, what it must not get."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ingest.counters import Counters
from ingest.forwarding.forwarder import Forwarder
from ingest.settings import IngestSettings
from ingest.transport.hj212_listener import Listener
from ingest.wire import hj212
from tests.support.small_park import add_minutes, add_samples, add_tags
from tests.support.stored import query
from tests.support.waiting import until
from twin.loading import load_park

MN = "010000A8900016F000169DC0"
S = 1_000_000
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 24 * 3600 * S
ZONE = "Asia/Shanghai"
STACK = f"""
[[outlet]]
id = "stack"
scope = "acmepark/acme"
kind = "stack"
pollutants = {{ SO2 = "acme/AI-1" }}
flow = "acme/FI-1"
[[forward]]
outlet = "stack"
mn = "{MN}"
password = "123456"
simulated = false
[[gateway]]
id = "cems-1"
scope = "acmepark/acme"
protocol = "hj212"
mn = "{MN}"
password = "123456"
"""
TAGS = (
    "AI-1,acmepark/acme,concentration,mg/m^3,gauge,0,200,1 %,SO2\n"
    "FI-1,acmepark/acme,normal_volume_flow,m^3/h,gauge,0,99000,1 %,dry gas\n"
)
VALUES = {"acme/AI-1": 28e-6, "acme/FI-1": 10.0}


class Authority:
    """A small TCP server: it keeps what comes and answers as it is told."""

    def __init__(self):
        self.taken, self.reply = [], lambda packet: [hj212.answer(packet)]
        self.writers = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        framer = hj212.Framer()
        while data := await reader.read(4096):
            for packet in framer.feed(data):
                self.taken.append(packet)
                for answer in self.reply(packet):
                    writer.write(answer)

    def of(self, cn):
        return [each for each in self.taken if each.cn == cn]


@asynccontextmanager
async def authority():
    one = Authority()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        for writer in one.writers:
            writer.close()


@pytest.fixture
def outlet_park(park_folder):
    for name, text in (("park.toml", STACK), ("tags.csv", TAGS)):
        file = park_folder / name
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    return load_park(park_folder)


@pytest.fixture
async def hours(db, outlet_park):
    """Two full hours and what has run of the next one, in the database; the end of the two [µs]."""
    now = time.time_ns() // 1000
    end = now // HOUR * HOUR
    ids = await add_tags(db, [tag for tag in outlet_park.tags if tag.address in VALUES])
    for address, value in VALUES.items():
        minutes = np.arange(end - 2 * HOUR, now - MINUTE, MINUTE)
        await add_minutes(
            db, ids[address], minutes, lambda _, v=value: v * 60, lambda _, v=value: v, quality=0
        )
        await db.execute(
            """INSERT INTO hour (time, tag_id, n, amount, covered_s, min, max, last, quality,
                                 measured, measured_mean)
               SELECT date_trunc('hour', time), tag_id, sum(n), sum(amount), sum(covered_s),
                      min(min), max(max), max(last), max(quality), count(*),
                      sum(amount) / sum(covered_s)
               FROM minute WHERE tag_id = $1 AND time < $2 GROUP BY 1, 2""",
            ids[address], datetime.fromtimestamp(end / S, UTC),
        )  # fmt: skip
        await add_samples(db, ids[address], [now - 2 * S], [value], quality=0)
    return end


async def owe(db, cn, until_us, *pieces):
    stamps = [[datetime.fromtimestamp(p[at] / S, UTC) for p in pieces] for at in (0, 1)]
    await db.execute(
        "INSERT INTO forward (mn, cn, until, owed_start, owed_stop) VALUES ($1, $2, $3, $4, $5)",
        MN, cn, datetime.fromtimestamp(until_us / S, UTC), *stamps,
    )  # fmt: skip


@asynccontextmanager
async def forwarding(database, park, port, **settings):
    counters = Counters()
    usual = {"forward_retry_s": 0.05, "forward_timeout_s": 2.0, "forward_rate": 100.0}
    limits = IngestSettings(
        database_url=database, forward_to=f"127.0.0.1:{port}", **usual | settings
    )
    forwarder = Forwarder(limits, counters)
    forwarder.follow(park)
    task = asyncio.create_task(forwarder.run())
    try:
        yield forwarder, counters
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


def cells(packet):
    return dict(pair.partition("=")[::2] for pair in packet.cp.replace(";", ",").split(","))


def local(time_us):
    return f"{datetime.fromtimestamp(time_us / S, ZoneInfo(ZONE)):%Y%m%d%H%M%S}"


async def test_hours_that_were_missed_come_later_and_the_newest_first(
    database, db, outlet_park, hours
):
    await owe(db, "2061", hours, (hours - 2 * HOUR, hours))
    async with authority() as one, forwarding(database, outlet_park, one.port) as (_, counters):
        await until(lambda: len(one.of("2061")) == 2 and one.of("2011"))
        await until(lambda: counters["forward.sent"] >= 3)
    newest, oldest = (cells(packet) for packet in one.of("2061"))
    assert (newest["DataTime"], oldest["DataTime"]) == (
        local(hours - HOUR),
        local(hours - 2 * HOUR),
    )
    # 28 mg/m³ in 10 m³/s for an hour; the clock of the park, and the begin of the hour.
    assert (oldest["a21026-Avg"], oldest["a21026-Cou"]) == ("28", "1.008")
    assert (oldest["a00000-Avg"], oldest["a00000-Cou"]) == ("10", "36000")
    assert (oldest["a21026-Flag"], oldest["a00000-Flag"]) == ("N", "N")
    assert cells(one.of("2011")[0])["a21026-Rtd"] == "28"
    head = one.of("2061")[0]
    assert (head.st, head.pw, head.mn, head.flag) == ("31", "123456", MN, 5)
    rows = await query(database, "SELECT owed_start, sent FROM forward WHERE cn = '2061'")
    assert rows == [([], 2)]


async def test_an_outage_loses_nothing(database, db, outlet_park, hours):
    await owe(db, "2061", hours, (hours - 2 * HOUR, hours))
    async with authority() as one:
        one.reply = lambda _: []
        settings = {"forward_timeout_s": 0.1, "forward_tries": 2}
        async with forwarding(database, outlet_park, one.port, **settings) as (all_, counters):
            await until(lambda: counters["forward.disconnected"] >= 2)
            # Each packet is sent twice over a connection, with the same QN.
            assert one.taken[0] == one.taken[1]
            assert all_.owed >= 2
            one.reply = lambda packet: [hj212.answer(packet)]
            await until(lambda: counters["forward.sent"] >= 2)
    rows = await query(database, "SELECT sent, refused FROM forward WHERE cn = '2061'")
    assert rows[0][1] == 0


async def test_a_refusal_keeps_the_interval_and_holds_the_command(database, db, outlet_park, hours):
    await owe(db, "2061", hours, (hours - 2 * HOUR, hours))
    async with authority() as one:
        one.reply = lambda packet: [hj212.answer(packet, "bad_password")]
        async with forwarding(database, outlet_park, one.port) as (_, counters):
            await until(lambda: counters["forward.refused"] >= 2)
            await asyncio.sleep(0.2)
    assert len(one.of("2061")) == 1
    sql = "SELECT cardinality(owed_start), problem FROM forward WHERE cn = '2061'"
    assert await query(database, sql) == [(1, "QnRtn=3")]


async def test_a_result_is_the_last_word_after_an_acknowledged_request(
    database, db, outlet_park, hours
):
    await owe(db, "2061", hours, (hours - HOUR, hours))

    def in_two_words(packet):
        head = replace(packet, st="91", flag=4)
        ready = replace(head, cn="9011", cp="QnRtn=1")
        order = replace(head, cn="1011", qn="20250101000000000", flag=5, cp="")
        return [
            hj212.encode(each) for each in (ready, order, replace(head, cn="9012", cp="ExeRtn=1"))
        ]

    async with authority() as one:
        one.reply = lambda packet: in_two_words(packet) if packet.cn == "2061" else [
            hj212.answer(packet)
        ]  # fmt: skip
        async with forwarding(database, outlet_park, one.port) as (_, counters):
            await until(lambda: counters["forward.sent"] >= 2 and one.of("9011"))
    # The twin takes no orders from there.
    assert one.of("9011")[0].cp == "QnRtn=8"


async def test_what_is_too_old_is_lost_and_counted(database, db, outlet_park, hours):
    await owe(db, "2061", hours, (hours - 30 * DAY, hours - 29 * DAY), (hours - HOUR, hours))
    async with authority() as one, forwarding(database, outlet_park, one.port) as (_, counters):
        await until(lambda: counters["forward.sent"] >= 2)
        assert counters["forward.lost"] == 24
    assert await query(database, "SELECT lost FROM forward WHERE cn = '2061'") == [(24,)]


async def test_simulated_values_stay_here(database, db, outlet_park, hours):
    await owe(db, "2061", hours, (hours - HOUR, hours))
    for table in ("hour", "minute", "sample"):
        await db.execute(f"UPDATE {table} SET quality = quality | 32")
    async with authority() as one, forwarding(database, outlet_park, one.port) as (_, counters):
        await until(lambda: counters["forward.simulated"] >= 2)
    assert one.taken == []


async def test_our_own_listener_reads_what_is_sent(database, db, outlet_park, hours):
    await owe(db, "2061", hours, (hours - HOUR, hours))
    messages = []
    settings = IngestSettings(hj212_host="127.0.0.1")
    listener = Listener(outlet_park, settings, messages.append, Counters())
    port = await listener.start()
    try:
        async with forwarding(database, outlet_park, port) as (_, counters):
            for _ in range(200):
                listener.ack(messages)
                if counters["forward.sent"] >= 2:
                    break
                await asyncio.sleep(0.02)
    finally:
        await listener.stop()
    read = {}
    for message in messages:
        decoded = hj212.decode_payload(ZoneInfo(ZONE), {}, MN, "123456", message.payload)
        assert decoded.refused == []
        read |= dict(zip(decoded.names, decoded.values, strict=True))
    assert read["2061.a21026-Avg"] == 28
    assert read["2061.a21026-Cou"] == pytest.approx(1.008)
    assert read["a21026-Rtd"] == 28
