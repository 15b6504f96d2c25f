"""HJ 212 data loggers on a real socket: answered after the commit, told what is wrong, bounded."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from ingest.counters import Counters
from ingest.settings import IngestSettings
from ingest.transport.hj212_listener import Listener
from ingest.wire import hj212
from tests.support.stored import cycling
from tests.support.waiting import until, until_still
from twin.errors import SettingsError
from twin.loading import load_park

MN, OTHER = "010000A8900016F000169DC0", "FFFF00A8900016F000169DC0"
QN = "20251122083005123"
NOW_US = 1_763_771_405_000_000  # 2025-11-22 08:30:05 at +08:00
GATEWAY = f"""
[[gateway]]
id = "cems-1"
scope = "acmepark/acme"
protocol = "hj212"
mn = "{MN}"
password = "123456"
tags = {{ "a21022-Rtd" = "FT-1", "2061.a21022-Cou" = "TT-1" }}
uoms = {{ a21022 = "t/h" }}
"""


def packet(cp="DataTime=20251122083000;a21022-Rtd=1.8,a21022-Flag=N", *, cn="2011", qn=QN, mn=MN,
           pw="123456", flag=5, pnum=1, pno=1):  # fmt: skip
    return hj212.encode(hj212.Packet(qn, "31", cn, pw, mn, flag, cp, pnum, pno))


@pytest.fixture
def park(park_folder):
    file = park_folder / "park.toml"
    file.write_text(file.read_text(encoding="utf-8") + GATEWAY, encoding="utf-8")
    return load_park(park_folder)


@asynccontextmanager
async def listening(park, counters=None, **settings):
    counters = Counters() if counters is None else counters
    messages = []
    limits = IngestSettings(hj212_host="127.0.0.1", **settings)
    listener = Listener(park, limits, messages.append, counters)
    port = await listener.start()
    try:
        yield listener, messages, port
    finally:
        await listener.stop()


async def call(port, *chunks):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0.01)
    return reader, writer


async def dribble(reader, writer, byte):
    """Send a byte again and again until the listener hangs up."""
    with contextlib.suppress(ConnectionError):
        while not reader.at_eof():
            writer.write(byte)
            await asyncio.sleep(0.05)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.01)


async def reply(reader):
    async with asyncio.timeout(5):
        (result,) = hj212.Framer().feed(await reader.readuntil(b"\r\n"))
    return result


async def test_packet_is_answered_after_the_commit_and_not_before(park):
    async with listening(park) as (listener, messages, port):
        reader, writer = await call(port, packet()[:30], packet()[30:])
        await until(lambda: messages)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        listener.ack(messages)
        answer = await reply(reader)
        assert (answer.cn, answer.qn, answer.mn) == ("9014", QN, MN)
        assert messages[0].topic == "hj212/v1/acmepark/acme/cems-1"
        writer.close()


async def test_sender_that_wants_no_answer_gets_none(park):
    async with listening(park) as (listener, messages, port):
        reader, writer = await call(port, packet(flag=4), packet(qn="20251122083005124"))
        await until(lambda: len(messages) == 2)
        listener.ack(messages)
        assert (await reply(reader)).qn == "20251122083005124"
        writer.close()


@pytest.mark.parametrize(
    ("raw", "code"),
    [(packet(mn=OTHER), 4), (packet(pw="654321"), 3), (packet(cn="1062"), 8),
     (packet(qn="1"), 7), (packet(flag=13), 6),
     (packet().replace(b"1.8", b"1.9"), 9)],
)  # fmt: skip
async def test_what_is_wrong_is_told_by_the_code_of_the_standard(park, raw, code):
    async with listening(park) as (_, messages, port):
        reader, writer = await call(port, raw)
        answer = await reply(reader)
        assert (answer.cn, answer.cp) == ("9011", f"QnRtn={code}")
        assert [m.payload for m in messages] == [raw]
        writer.close()


async def test_logger_that_waits_for_the_answer_to_each_part_gets_it(park):
    async with listening(park) as (listener, messages, port):
        reader, writer = await call(port)
        for number, cp in ((1, "DataTime=20251122083000;a21022-Rtd=1.8"), (2, "a21024-Rtd=2")):
            part = packet(cp, qn=f"{int(QN) + number}", flag=7, pnum=2, pno=number)
            writer.write(part)
            await until(lambda: messages)
            assert messages[0].payload == part
            listener.ack([messages.pop()])
            answer = await reply(reader)
            assert (answer.cn, answer.qn) == ("9014", f"{int(QN) + number}")
        writer.close()


@pytest.mark.parametrize("end", [b"\n", b"", b"\r\n"])
async def test_packet_is_answered_whatever_its_line_end(park, end):
    async with listening(park) as (listener, messages, port):
        reader, writer = await call(port)
        for _ in range(2):
            writer.write(packet()[:-2] + end)
            await until(lambda: messages)
            listener.ack([messages.pop()])
            assert (await reply(reader)).cn == "9014"
        writer.close()


async def test_heartbeat_is_answered_as_a_notice_and_keeps_the_connection(park):
    async with listening(park, hj212_hello_s=0.5, hj212_idle_s=0.5) as (listener, messages, port):
        reader, writer = await call(port)
        for _ in range(4):
            writer.write(packet("", cn="9015", flag=9))
            await until(lambda: messages)
            listener.ack([messages.pop()])
            assert (await reply(reader)).cn == "9013"
            await asyncio.sleep(0.2)
        writer.close()


async def test_what_a_caller_leaves_unfinished_is_handed_on_to_be_rejected(park):
    async with listening(park) as (_, messages, port):
        half = packet("DataTime=20251122083000;a21022-Rtd=1.8", flag=7, pnum=2, pno=1)
        _, writer = await call(port, half, packet()[:50])
        writer.close()
        await until(lambda: len(messages) == 2)
        assert [m.payload for m in messages] == [half, packet()[:50]]


async def test_number_of_loggers_and_their_silence_are_limited(park):
    counters = Counters()
    limits = {"hj212_connections": 1, "hj212_idle_s": 0.3}
    async with listening(park, counters, **limits) as (_, messages, port):
        first, writer = await call(port, packet(flag=4))
        await until(lambda: messages)
        second, other = await call(port)
        assert await asyncio.wait_for(second.read(), 5) == b""
        assert await asyncio.wait_for(first.read(), 5) == b""
        assert counters == {"loggers.refused": 1, "loggers.silent": 1}
        writer.close()
        other.close()


@pytest.mark.parametrize("limit", ["hj212_connections", "hj212_address_connections"])
async def test_the_oldest_stranger_makes_room_for_a_new_caller(park, limit):
    counters = Counters()
    async with listening(park, counters, **{limit: 2}) as (_, messages, port):
        _, known = await call(port, packet(flag=4))
        await until(lambda: messages)
        stranger, silent = await call(port)
        _, new = await call(port, packet(flag=4))
        await until(lambda: len(messages) == 2)
        assert await asyncio.wait_for(stranger.read(), 5) == b""
        assert counters == {"loggers.evicted": 1}
        for writer in (known, silent, new):
            writer.close()


async def test_a_stranger_has_little_time_however_busy_it_looks(park):
    counters = Counters()
    async with listening(park, counters, hj212_hello_s=0.5) as (_, _, port):
        reader, writer = await call(port, b"##0999", packet(mn=OTHER, flag=4))
        await dribble(reader, writer, b"x")
        assert counters == {"loggers.silent": 1}
        writer.close()


async def test_a_known_logger_that_dribbles_is_disconnected_too(park):
    counters = Counters()
    async with listening(park, counters, hj212_idle_s=0.5) as (_, _, port):
        reader, writer = await call(port, packet(flag=4))
        await dribble(reader, writer, b"#")
        assert counters == {"loggers.silent": 1}
        writer.close()


async def test_logger_waits_while_too_much_is_not_committed(park):
    async with listening(park, hj212_waiting=5) as (listener, messages, port):
        reader, writer = await call(port)
        burst = [packet(qn=f"{int(QN) + n}", cp="DataTime=20251122083000;" + "a-Rtd=1;" * 100)
                 for n in range(2000)]  # fmt: skip
        writer.write(b"".join(burst))
        await until_still(lambda: len(messages))
        assert 5 <= len(messages) < 500
        done = 0
        async with asyncio.timeout(20):
            while done < 2000:
                batch, messages[:] = messages[:], []
                listener.ack(batch)
                done += len(batch)
                await asyncio.sleep(0.001)
        assert (await reply(reader)).cn == "9014"
        writer.close()


async def test_port_that_is_taken_is_said_with_a_hint(park):
    async with listening(park) as (_, _, port):
        with pytest.raises(SettingsError) as caught:
            await Listener(
                park, IngestSettings(hj212_host="127.0.0.1", hj212_port=port), list, Counters()
            ).start()
        assert "PARKTWIN_HJ212_PORT" in caught.value.hint


async def test_data_are_stored_before_they_are_acknowledged(database, db, park):
    async with (
        cycling(database, park, NOW_US) as cycle,
        listening(park) as (listener, messages, port),
    ):
        hour = "DataTime=20251122070000;a21022-Cou=293.15,a21022-Flag=M"
        reader, writer = await call(port, packet(), packet().replace(b"1.8", b"1.9"),
                                    packet(hour, cn="2061", qn="20251122083005124"))  # fmt: skip
        assert (await reply(reader)).cp == "QnRtn=9"
        await until(lambda: len(messages) == 3)
        await cycle.run([m._replace(received_us=NOW_US) for m in messages], NOW_US)
        stored = await db.fetch("SELECT tag, value, quality, time FROM sample_named"
                                " WHERE enterprise = 'acme' ORDER BY tag")  # fmt: skip
        rejects = await db.fetch("SELECT reason FROM reject")
        listener.ack(messages)
        assert [(await reply(reader)).qn for _ in range(2)] == [QN, "20251122083005124"]
        writer.close()
    result = {row["tag"]: (row["value"], row["quality"] & 0xC0) for row in stored}
    assert result["FT-1"] == (1.8, 0)
    assert [row["reason"] for row in rejects] == ["bad_crc", "wrong_uom"]


NOW = "DataTime=20251122083000"
ANSWERS = {
    # One item of several, an item without a number and a code the model lacks are kept.
    f"{NOW};a01013-SampleTime=,a01013-Rtd=0.000,a01013-Flag=D;a21022-Rtd=1.8": "",
    f"{NOW};a21022-Rtd=1.8;a21024-SampleTime=noon,a21024-Rtd=2": "",
    f"{NOW};a21022-Rtd=--": "",
    f"{NOW};a99999-Rtd=1": "",
    NOW: "",
    "": "",
    # Nothing is kept of these.
    "DataTime=yesterday;a21022-Rtd=1.8": "QnRtn=100",
    "a21022-Rtd=1.8": "QnRtn=100",
    f"{NOW};a21022-SampleTime=noon,a21022-Rtd=2": "QnRtn=100",
    "{0x6F,0x5A,0x11}": "QnRtn=100",
}


@pytest.mark.parametrize("cp", ANSWERS)
async def test_only_what_is_kept_is_acknowledged(database, db, park, cp):
    async with (
        cycling(database, park, NOW_US) as cycle,
        listening(park) as (listener, messages, port),
    ):
        reader, writer = await call(port, packet(cp))
        await until(lambda: messages)
        came = [m._replace(received_us=NOW_US) for m in messages]
        listener.ack(came, (await cycle.run(came, NOW_US)).refused)
        answer = await reply(reader)
        writer.close()
    assert (answer.cn, answer.cp) == ("9011" if ANSWERS[cp] else "9014", ANSWERS[cp])
    kept = await db.fetchval("SELECT count(*) FROM sample_named WHERE tag = 'FT-1'")
    kept += await db.fetchval("SELECT count(*) FROM quarantine_sample")
    assert (kept > 0) == (cp not in ("", NOW) and not ANSWERS[cp])
    rejects = await db.fetchval("SELECT count(*) FROM reject")
    assert (rejects > 0) == ("noon" in cp or bool(ANSWERS[cp]))


async def test_amount_in_the_unit_of_something_else_is_not_acknowledged(database, park):
    async with (
        cycling(database, park, NOW_US) as cycle,
        listening(park) as (listener, messages, port),
    ):
        hour = packet("DataTime=20251122070000;a21022-Cou=293.15", cn="2061")
        reader, writer = await call(port, hour)
        await until(lambda: messages)
        came = [m._replace(received_us=NOW_US) for m in messages]
        # The block is joined with what commands bring back.
        back = [came[0]._replace(mid=0, link=0)]
        intake = await cycle.run(back, NOW_US, None, cycle.decode(came))
        listener.ack(came, intake.refused)
        assert (await reply(reader)).cp == "QnRtn=100"
        writer.close()


async def test_logger_that_only_tells_of_itself_is_heard_and_not_rejected(database, db, park):
    async with (
        cycling(database, park, NOW_US) as cycle,
        listening(park) as (listener, messages, port),
    ):
        sent = [packet("", cn="9015"), packet(f"{NOW};RestartTime=20251122082000", cn="2081"),
                packet(f"{NOW};PolId =a21022;i11001-Info=//on//", cn="3020", flag=4)]  # fmt: skip
        reader, writer = await call(port, *sent)
        await until(lambda: len(messages) == 3)
        came = [m._replace(received_us=NOW_US) for m in messages]
        listener.ack(came, (await cycle.run(came, NOW_US)).refused)
        assert [(await reply(reader)).cn for _ in range(2)] == ["9013", "9014"]
        await cycle.run([], NOW_US + 10_000_000)
        writer.close()
    row = await db.fetchrow("SELECT gateway, messages, rejected FROM gateway")
    assert tuple(row) == ("cems-1", 3, 0)
    assert await db.fetchval("SELECT count(*) FROM reject") == 0


@pytest.mark.parametrize("own", [True, False], ids=["QN of its own", "same QN"])
async def test_parts_of_an_hour_are_stored_at_its_start(database, db, park, own):
    async with (
        cycling(database, park, NOW_US) as cycle,
        listening(park) as (listener, messages, port),
    ):
        reader, writer = await call(port)
        for number, cp in ((1, f"{NOW};b-Avg=1"), (2, "a21022-Rtd=1.8,a21022-Flag=N")):
            qn = f"{int(QN) + number * own}"
            writer.write(packet(cp, qn=qn, flag=7, pnum=2, pno=number))
            await until(lambda: messages)
            came = [messages.pop()._replace(received_us=NOW_US)]
            listener.ack(came, (await cycle.run(came, NOW_US)).refused)
            answer = await reply(reader)
            assert (answer.cn, answer.qn) == ("9014", qn)
        writer.close()
    row = await db.fetchrow("SELECT value, time FROM sample_named WHERE tag = 'FT-1'")
    assert (row["value"], row["time"].minute, row["time"].second) == (1.8, 30, 0)
